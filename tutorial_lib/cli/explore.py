"""``python -m tutorial_lib explore``: the latent explorer as a web page of its own, on this machine only."""

import contextlib
import os
import secrets
import socket
import tempfile
import threading
import time
import webbrowser
from html import escape
from pathlib import Path

from tutorial_lib.cli.errors import CommandError, Parser
from tutorial_lib.cli.lab import HOST, choose_port, has_display

PORT = 8866


def run(argv: list[str]) -> int:
    """Serve the page and stay until Ctrl-C; returns the exit code."""
    parser = Parser(prog="python -m tutorial_lib explore", description=__doc__.split(": ", 1)[1])
    parser.add_argument("model", nargs="?", metavar="MODEL",
                        help="a method with a stored detector, or a file that detector.save wrote (default: every "
                             "stored detector; with --data: gaussian, fitted on the folder in seconds)")
    parser.add_argument("--data", type=Path, metavar="DIR",
                        help="folder in the layout of MVTec AD (default: the factory)")
    parser.add_argument("--category", metavar="NAME", help="one folder inside --data, or a product of the factory")
    parser.add_argument("--size", type=int, default=64, help="with --data and without a file: pixels (default: 64)")
    parser.add_argument("--port", type=int, help=f"port on this machine (default: {PORT}, or the next that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    options = parser.parse_args(argv)
    _need_voila()
    port = choose_port(options.port, PORT, "the explorer")
    with tempfile.TemporaryDirectory(prefix="explorer_") as folder:
        spec = _spec(options, Path(folder))
        token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
        os.environ["JUPYTER_TOKEN"] = token  # by the environment: the list of processes shows arguments to everybody
        address = f"http://{HOST}:{port}/?token={token}"
        door = _door(Path(folder), address) if not options.no_browser and has_display() else None
        threading.Thread(target=_announce, args=(port, address, door), daemon=True).start()
        (page := Path(folder) / "page").mkdir()  # what is served holds the page and nothing else
        _serve(page, port, spec)
    print("The explorer has stopped.", flush=True)
    return 0


def _spec(options, folder: Path) -> dict:
    """What the page will show; everything that can be wrong is found here, before a server starts."""
    from tutorial_lib import detectors, stored

    there = sorted({method for method, _ in stored.names()})
    wanted = options.model
    if wanted is not None and Path(wanted).suffix == ".safetensors":
        file = Path(wanted).resolve()
        detectors.load(file, progress=False)
        return {"file": str(file), "label": file.stem} | _images(options)
    if wanted is not None and wanted not in (there if options.data is None else detectors.NAMES):
        raise CommandError(f"There is no model '{wanted}'. Stored are {', '.join(there)}. Or give a .safetensors file "
                           "that detector.save wrote; with --data any method of 'compare' is fitted on the folder.")
    if options.data is None:
        pairs = [p for p in stored.names() if wanted in (None, p[0]) and options.category in (None, p[1])]
        if not pairs:
            raise CommandError(f"There is no stored detector for the product '{options.category}'. There are: "
                               f"{', '.join(stored.CATEGORIES)}.")
        for method, category in pairs[:1]:
            stored.load(method, category)  # weights that do not fit are said now, not in the browser
        return {"stored": pairs}
    return _fitted(options, wanted or "gaussian", folder)


def _images(options) -> dict:
    """The part of the spec that names the images; reads the folder's index once to see that it can be read."""
    from tutorial_lib import data, stored

    if options.data is None:
        category = options.category or stored.CATEGORIES[0]
        if category not in stored.CATEGORIES:
            raise CommandError(f"The explorer has no images of the product '{category}'. Choose from "
                               f"{', '.join(stored.CATEGORIES)}, or name a folder of photographs with --data.")
        return {"category": category}
    data.folder.read(options.data, options.category)
    return {"data": str(options.data.resolve())} | ({"category": options.category} if options.category else {})


def _fitted(options, method: str, folder: Path) -> dict:
    """Fit ``method`` on the normal pictures of the folder, so that the page opens with something to see."""
    from tutorial_lib import data, detectors
    from tutorial_lib.explorer.page import shortened

    if not 32 <= options.size <= 256:
        raise CommandError(f"--size is {options.size}. Expected 32 to 256 pixels; 64 answers a click quickly.")
    images = _images(options)
    split = shortened(data.folder.read(options.data, options.category))
    print(f"Fitting {method} on {len(split.train)} normal pictures at {options.size} px ...", flush=True)
    detector = detectors.create(method, size=options.size)
    detector.fit(split.train)
    return {"file": str(detector.save(folder / f"{method}.safetensors")), "label": f"{method} · {split.name}"} | images


def _need_voila() -> None:
    try:
        import anywidget  # noqa: F401
        import voila  # noqa: F401
    except ImportError as error:
        raise CommandError(f"The explorer's page needs a package that is not installed ({error}). 'pip install voila "
                           "anywidget' installs it; the notebook of chapter 14 needs no voila.") from error


def _door(folder: Path, address: str) -> Path:
    """A file that only this user can read and that sends the browser on to ``address``.

    A browser gets what it opens as an argument, which the list of processes shows; so it gets this file, not the token.
    """
    door, link = folder / "open.html", escape(address)
    with os.fdopen(os.open(door, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={link}">'
                   f'<title>Latent explorer</title><p><a href="{link}">Open the latent explorer</a></p>')
    return door


def _announce(port: int, address: str, door: Path | None) -> None:
    """Print the address once the server answers, and open ``door``, where there is one, in the browser."""
    for _ in range(600):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    what = "Your browser opens by itself; if it does not, go to" if door else "Open this address in a browser"
    print(f"\n{what}:\n\n    {address}\n\nCtrl-C in this window stops the explorer.\n", flush=True)
    if door:
        webbrowser.open(door.as_uri())


def _serve(folder: Path, port: int, spec: dict) -> None:
    from tutorial_lib.explorer.page import serve

    with contextlib.suppress(KeyboardInterrupt):
        serve(folder, port, spec)
