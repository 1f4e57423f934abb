"""``python -m tutorial_lib lab``: open the course in JupyterLab, on this machine only."""

import os
import secrets
import socket
import sys
import threading
import time
from pathlib import Path

from tutorial_lib.cli.errors import CommandError, Parser

START = "notebooks/00_start_here.ipynb"
SETTINGS = Path(__file__).parent / "jupyter"  # JupyterLab's question "notified about news?" is switched off there
PORT, TRIES = 8888, 50
HOST = "127.0.0.1"


def run(argv: list[str]) -> int:
    """Start JupyterLab and stay until Ctrl-C; returns the exit code."""
    parser = Parser(prog="python -m tutorial_lib lab", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--port", type=int, help=f"port on this machine (default: {PORT}, or the next that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    options = parser.parse_args(argv)
    root, port = course_folder(), choose_port(options.port)
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    os.environ["JUPYTER_TOKEN"] = token  # by the environment: the list of processes shows arguments to everybody
    more = os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join([str(SETTINGS), *([more] if more else [])])
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # for the kernels: two notebooks at once do not fight for cores
    here = START if (root / START).is_file() else ""
    if not here:
        print(f"Note: {START} is not there. 'python course/build.py' builds the notebooks.", flush=True)
    browser = not options.no_browser and has_display()
    address = f"http://{HOST}:{port}/lab" + (f"/tree/{here}" if here else "") + f"?token={token}"
    threading.Thread(target=_announce, args=(port, address, browser), daemon=True).start()
    _serve(arguments(root, port, here, browser))
    print("JupyterLab has stopped. What you saved is on the disk.", flush=True)
    return 0


def arguments(root: Path, port: int, here: str, browser: bool) -> list[str]:
    """What JupyterLab is told: loopback only, token on, no news, no search for updates."""
    return [
        f"--ServerApp.root_dir={root}",
        f"--ServerApp.ip={HOST}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.open_browser={browser}",
        "--ServerApp.answer_yes=True",  # one Ctrl-C is enough
        "--Application.log_level=WARN",
        f"--LabApp.default_url=/lab{f'/tree/{here}' if here else ''}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]


def course_folder() -> Path:
    """The checkout: the folder above the package or, where the package was copied elsewhere, the current one."""
    candidates = [Path(__file__).resolve().parents[2], Path.cwd()]
    for folder in candidates:
        if (folder / "notebooks").is_dir() or (folder / "course").is_dir():
            return folder
    raise CommandError(f"The notebooks were not found in {' or '.join(map(str, candidates))}. Change into the folder "
                       "of the course, the one that holds notebooks/, and run the command again.")


def choose_port(wanted: int | None, first: int | None = None, what: str = "JupyterLab") -> int:
    """``wanted`` if it is free, else a sentence; without a wish the first free port from ``first`` on, said aloud."""
    first = PORT if first is None else first
    if wanted is not None:
        if not 1 <= wanted <= 65535:
            raise CommandError(f"--port is {wanted}. Expected a number from 1 to 65535, such as {first}.")
        if not _free(wanted):
            raise CommandError(f"Port {wanted} is taken or not allowed: most often {what} is running already. Stop "
                               f"it, or choose another port, such as --port {min(wanted + 1, 65535)}.")
        return wanted
    for port in range(first, first + TRIES):
        if _free(port):
            if port != first:
                print(f"Port {first} is taken, most likely by {what} in another window; using {port}.", flush=True)
            return port
    raise CommandError(f"Every port from {first} to {first + TRIES - 1} is taken. Name a free one with --port.")


def has_display() -> bool:
    """Whether a browser window could open here."""
    if sys.platform in ("win32", "darwin"):
        return not os.environ.get("SSH_CONNECTION")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        if sys.platform != "win32":  # on Windows this option would let two programs share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _announce(port: int, address: str, browser: bool) -> None:
    """Print the address once the server answers, so that a quick click does not meet a closed door."""
    for _ in range(600):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    what = "Your browser opens by itself; if it does not, go to" if browser else "Open this address in a browser"
    print(f"\n{what}:\n\n    {address}\n\nCtrl-C in this window stops JupyterLab.\n", flush=True)


def _serve(argv: list[str]) -> None:
    try:
        from jupyterlab.labapp import LabApp
    except ImportError as error:
        raise CommandError(f"JupyterLab is not installed ({error}). 'pip install jupyterlab', or 'make lab', which "
                           "installs everything.") from error
    try:
        LabApp.launch_instance(argv)
    except KeyboardInterrupt:
        pass
    except SystemExit as stop:
        if stop.code:
            raise CommandError("JupyterLab did not start; its own message stands above. 'python -m tutorial_lib "
                               "doctor' looks for the cause.") from stop
