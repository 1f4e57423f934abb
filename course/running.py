"""Runs a notebook so that its stored outputs are the same on every run, and refuses what would not be."""

import json
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
CELL_TIMEOUT_S = 600
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_TEXT = "Run this cell to use the controls."  # tests/nbval_sanitize.cfg turns a live widget's text into this
MACHINE_PATHS = ("/home/", "/root/", "/tmp/", "/Users/", ":\\Users\\")
UNCOMPARED = "nbval-ignore-output"
NUMBER = re.compile(r"\d+(?:\.\d+)?")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")


class BuildError(Exception):
    """A source or its run is not fit to be stored; the message says where, why, and what to do."""


def kernel_environment(scratch: Path) -> dict[str, str]:
    """The environment of every stored run and of every test of one: the same hashes, threads, kernels and display.

    Progress goes to a throw-away file in ``scratch``. Real photographs are hidden: stored outputs must not need them.
    """
    keep = {k: v for k, v in os.environ.items() if k not in ("MTD_DIR", "PYTHONPATH", "PYTHONSTARTUP")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    kernels = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2",
               "OPENBLAS_CORETYPE": "Haswell"}     # else newer processors round sums otherwise than older ones
    return keep | threads | kernels | {
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "TQDM_DISABLE": "1",                       # bars carry timings
        "FLOW_COURSE_PROGRESS": str(scratch / "progress.json"),
        "IPYTHONDIR": str(scratch / "ipython"),    # nobody's personal start-up files
        "JUPYTER_PREFER_ENV_PATH": "1",            # the kernel of this environment, not one of the same name elsewhere
    }


def execute(nb: nbformat.NotebookNode, folder: Path, name: str) -> None:
    """Run ``nb`` in place in a fresh kernel whose working directory is ``folder``.

    Raises BuildError, naming notebook and cell, when a cell fails or prints what cannot be stored.
    """
    metadata = dict(nb.metadata)
    with tempfile.TemporaryDirectory() as scratch:
        client = NotebookClient(nb, timeout=CELL_TIMEOUT_S, kernel_name="python3", record_timing=False,
                                resources={"metadata": {"path": str(folder)}})
        try:
            client.execute(env=kernel_environment(Path(scratch)))
        except Exception as error:
            raise BuildError(f"{name}: {COLOUR.sub('', str(error))}") from None
    nb.metadata = nbformat.from_dict(metadata)     # drops widget state and the kernel's own description
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
            for output in cell.outputs:
                settle(output, f"{name}, cell {number}")


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The same outputs with neighbouring pieces of one stream in one piece: where a stream is cut is chance."""
    whole = []
    for output in outputs:
        if whole and output.output_type == "stream" and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def keep_measurements(nb: nbformat.NotebookNode, before: nbformat.NotebookNode) -> None:
    """Where an uncompared cell of ``nb`` printed the same words as ``before`` and other numbers, keep the old ones.

    Such cells report on the machine (free memory, speed); a rebuild should not change the file for that.
    """
    old = {cell.id: cell for cell in before.cells}
    for cell in nb.cells:
        known = old.get(cell.id)
        if known and cell.cell_type == "code" and UNCOMPARED in cell.metadata.get("tags", []):
            now, then = (NUMBER.sub("#", json.dumps(c.outputs, sort_keys=True)) for c in (cell, known))
            cell.outputs = known.outputs if now == then else cell.outputs


def settle(output: nbformat.NotebookNode, where: str) -> None:
    """Replace a live widget in ``output`` by a sentence; raise BuildError for what differs from run to run."""
    if WIDGET_VIEW in output.get("data", {}):
        output.data = nbformat.from_dict({"text/plain": WIDGET_TEXT})
    if reason := unstorable(output):
        raise BuildError(f"{where} {reason}")


def unstorable(output: nbformat.NotebookNode) -> str:
    """Why ``output`` cannot be stored, as the end of a sentence about its cell; empty when it can."""
    if output.output_type == "error":
        return f"ends in an error: {output.ename}."
    if output.get("name") == "stderr":
        return f"writes to stderr: {output.text[:300]!r}. Cure the warning at its cause."
    data = output.get("data", {})
    readable = [v for kind, v in data.items() if kind not in ("image/png", "image/jpeg")]  # base64 may spell anything
    for text in map(str, (output.get("text", ""), *readable)):
        for path in (str(ROOT), *MACHINE_PATHS):
            if path in text:
                return f"shows '{path}', a path of this machine. Print a name instead."
        if ADDRESS.search(text):
            return "shows a memory address, which differs from run to run. End it with something that prints well."
    return ""
