"""Builds notebooks, solutions and exercises from their text sources.

    python course/build.py            everything
    python course/build.py 05 08      the chapters and solutions whose names begin like this
    python course/build.py --check    run nothing; fail, naming the files, when a built file is stale

``course/chapters/NN_topic.py`` becomes ``notebooks/NN_topic.ipynb``, executed, with its outputs.
``course/solutions/NN_topic.py`` becomes ``solutions/NN_topic.ipynb``, executed, and ``exercises/NN_topic.ipynb``,
cut by the markers of ``cutting.py``, without outputs. The same sources give the same files, byte for byte.
"""

import argparse
import copy
import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from jupytext.config import load_jupytext_config
from nbformat.v4 import new_notebook

import cutting
from running import BuildError, execute, keep_measurements

ROOT = Path(__file__).resolve().parents[1]
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read_source(path: Path) -> nbformat.NotebookNode:
    """The notebook that a text source stands for: no outputs, shared metadata, ids that follow from the text."""
    nb = new_notebook(cells=jupytext.read(path, fmt="py:percent").cells, metadata=METADATA, nbformat_minor=5)
    seen: dict[str, int] = {}
    for cell in nb.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    return nb


def as_text(nb: nbformat.NotebookNode) -> str:
    """The text that JupyterLab writes to the source when a reader saves ``nb``, blank lines included."""
    layout = {"extension": ".py", "format_name": "percent"}
    load_jupytext_config(str(ROOT / "course")).set_default_format_options(layout)
    return jupytext.writes(copy.deepcopy(nb), fmt=layout)


def exercise_of(solution: nbformat.NotebookNode, path: Path) -> nbformat.NotebookNode:
    """The solution without its answers; cells tagged ``solution`` are dropped."""
    cells = [nbformat.from_dict(c) for c in solution.cells if "solution" not in c.metadata.get("tags", [])]
    for cell in cells:
        if cell.cell_type == "code":
            try:
                cell.source = cutting.cut(cell.source)
            except ValueError as error:
                raise BuildError(f"{path.name}, cell that begins {cell.source[:40]!r}: {error}") from None
    return new_notebook(cells=cells, metadata=METADATA, nbformat_minor=5)


def targets(root: Path, names: list[str]) -> Iterator[tuple[Path, Path, bool]]:
    """(source, built file, is it an exercise) for every source whose name begins with one of ``names``."""
    found = False
    for kind, folders in (("chapters", ("notebooks",)), ("solutions", ("exercises", "solutions"))):
        for source in sorted((root / "course" / kind).glob("[0-9][0-9]_*.py")):
            if not names or source.stem.startswith(tuple(names)):
                found = True
                for folder in folders:
                    yield source, root / folder / f"{source.stem}.ipynb", folder == "exercises"
    if names and not found:
        raise BuildError(f"no source in course/chapters or course/solutions begins with {' or '.join(names)}.")


def is_current(built: Path, wanted: nbformat.NotebookNode, executed: bool) -> bool:
    """Whether a built file has the cells, ids, tags and metadata of its source, and was run if it must be."""
    if not built.exists():
        return False
    nb = nbformat.read(built, as_version=4)
    same = [[(c.cell_type, c.id, c.source, c.metadata) for c in n.cells] for n in (nb, wanted)]
    if same[0] != same[1] or nb.metadata != wanted.metadata:
        return False
    counts = [c.execution_count for c in nb.cells if c.cell_type == "code" and c.source.strip()]
    return counts == (list(range(1, len(counts) + 1)) if executed else [None] * len(counts))


def orphans(root: Path) -> list[Path]:
    """Built files whose source is gone."""
    known = {built for _, built, _ in targets(root, [])}
    return [p for folder in ("notebooks", "exercises", "solutions")
            for p in sorted((root / folder).glob("*.ipynb")) if p not in known]


def write(text: str, path: Path) -> None:
    """Store ``text``; an interrupted write leaves the old file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)


def check(root: Path, names: list[str]) -> list[str]:
    """One sentence for each built file that no longer says what its source says; runs nothing."""
    stale = []
    for source, built, blank in targets(root, names):
        nb = read_source(source)
        if not blank and source.read_text(encoding="utf-8") != as_text(nb):
            stale.append(f"{source.relative_to(root).as_posix()} is not laid out as JupyterLab saves it: run "
                         f"'python course/build.py {source.stem}'")
        if not is_current(built, exercise_of(nb, source) if blank else nb, executed=not blank):
            stale.append(f"{built.relative_to(root).as_posix()} is stale: run 'python course/build.py {source.stem}'")
    if not names:
        stale += [f"{p.relative_to(root).as_posix()} has no source: delete it" for p in orphans(root)]
    return stale


def build(root: Path, names: list[str]) -> None:
    """Write every built file of the named sources, and say how long each took."""
    for source, built, blank in targets(root, names):
        start = time.perf_counter()
        nb = read_source(source)
        name = built.relative_to(root).as_posix()
        if blank:
            nb = exercise_of(nb, source)
        else:
            if source.read_text(encoding="utf-8") != (text := as_text(nb)):
                write(text, source)   # else JupyterLab would see two versions and refuse to open either
            built.parent.mkdir(parents=True, exist_ok=True)
            execute(nb, built.parent, name)
            if built.exists():
                keep_measurements(nb, nbformat.read(built, as_version=4))
        write(nbformat.writes(nb) + "\n", built)
        print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    """Entry point; the exit status is 0 when everything was built, or with ``--check`` when nothing is stale."""
    parser = argparse.ArgumentParser(prog="course/build.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 05; everything when left out")
    parser.add_argument("--check", action="store_true", help="run nothing; fail when a built file is stale")
    args = parser.parse_args(argv)
    try:
        problems = check(root, args.names) if args.check else build(root, args.names) or []
    except BuildError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
