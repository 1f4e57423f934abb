"""The explorer as a web page of its own: the notebook that Voila shows, and the server's settings.

Loopback only, token on. The page's folder holds one notebook and nothing is served from it; pictures reach the browser
through the widgets alone. A content security policy lets the page load nothing from another machine; it does not stop a
link or a redirect.
"""

from __future__ import annotations

import json
import os
from html import escape
from pathlib import Path

SPEC = "FLOW_COURSE_EXPLORE"  # environment variable: what to explore, as JSON
MOST = {"train": 500, "test": 1500}  # images of a folder

WELCOME = """# Latent explorer

A detector has learned what good parts look like. It turns every image into numbers, its *latents*, in which good parts
should lie like standard normal noise around zero. Each point is one image: the worst scores stand at the left, and the
longest latents at the top.

**Hover** names a point, **a click opens it** (keyboard: tab to the map, arrow keys, Enter; or type a number). Begin
with the point that scores worst, then look for a good one far out and a defect far in."""

EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8", "anywidget"]
POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; style-src 'self' "
          "'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data: "
          "ws://127.0.0.1:*; frame-ancestors 'none'; form-action 'self'; base-uri 'self'")


def notebook() -> dict:
    """The page as a notebook: one text, one cell."""
    cells = [{"cell_type": "markdown", "id": "welcome", "metadata": {}, "source": WELCOME},
             {"cell_type": "code", "id": "explorer", "metadata": {}, "execution_count": None, "outputs": [],
              "source": "from tutorial_lib.explorer import page\npage.show()"}]
    return {"cells": cells, "nbformat": 4, "nbformat_minor": 5,
            "metadata": {"title": "Latent explorer",
                         "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}}


def settings(folder: Path, port: int) -> dict:
    """What Voila is told. The token comes by the environment, where no list of processes shows it."""
    return {
        "Voila": {"ip": "127.0.0.1", "port": port, "port_retries": 0, "open_browser": False, "auto_token": True,
                  "notebook_path": str(folder / "explorer.ipynb"), "root_dir": str(folder), "log_level": "WARN",
                  "config_file_paths": [], "tornado_settings": {"headers": {"Content-Security-Policy": POLICY}}},
        "VoilaConfiguration": {"file_allowlist": ["nothing"], "file_denylist": [".*"], "show_tracebacks": False,
                               "extension_allowlist": EXTENSIONS,
                               "allow_template_override": "NO", "allow_theme_override": "NO"},
    }


def serve(folder: Path, port: int, spec: dict) -> None:
    """Write the page into ``folder`` and serve it until Ctrl-C. Needs JUPYTER_TOKEN in the environment."""
    if not os.environ.get("JUPYTER_TOKEN"):
        raise ValueError("The page is served with a token only. Set JUPYTER_TOKEN first.")
    from traitlets.config import Config
    from voila.app import Voila

    os.environ[SPEC] = json.dumps(spec)
    (folder / "explorer.ipynb").write_text(json.dumps(notebook()), encoding="utf-8")
    app = Voila.instance(config=Config(settings(folder, port)))
    app.initialize([])
    app.start()


def show() -> None:
    """In the page's kernel: display the explorer, or one sentence that says why there is none."""
    from IPython.display import HTML, display

    from tutorial_lib.cli.errors import explain

    try:
        from .app import explorer

        display(explorer(models(json.loads(os.environ.get(SPEC, "{}")))))
    except Exception as error:
        sentence = explain(error) or f"This is a fault of the program: {type(error).__name__}: {error}."
        display(HTML(f"<p role='alert'><b>There is nothing to explore.</b> {escape(sentence)}</p>"))


def models(spec: dict) -> dict:
    """Label to study maker, as ``Explorer`` takes them.

    ``spec`` holds ``stored`` (pairs of method and category; all if empty) or ``file`` (a saved detector) with ``data``
    (a folder) or ``category`` (a product of the factory).
    """
    from tutorial_lib import detectors, stored
    from tutorial_lib.data import folder

    from .models import stored_models, studied

    if "file" not in spec:
        pairs = [tuple(pair) for pair in spec.get("stored", [])] or stored.names()
        return stored_models(sorted(pairs, key=lambda pair: pair != ("fastflow", "washer")))  # a map with places first

    def study():
        detector = detectors.load(spec["file"], progress=False)
        if "data" not in spec:
            return studied(detector, stored.split(spec.get("category", "washer")))
        return studied(detector, shortened(folder.read(spec["data"], spec.get("category"))))

    return {spec.get("label", Path(spec["file"]).stem): study}


def shortened(split):
    """The split of a folder, with at most ``MOST`` images of each part, evenly chosen from all."""
    from tutorial_lib.data import ImageFiles, MaskFiles, Split

    def evenly(n: int, most: int) -> list[int]:
        return [round(i * (n - 1) / (most - 1)) for i in range(most)] if n > most else list(range(n))

    def some(items, which: list[int]) -> list:
        return [items[i] for i in which]

    train, test, masks = evenly(len(split.train), MOST["train"]), evenly(len(split.test), MOST["test"]), split.masks
    return Split(split.name, ImageFiles(some(split.train.paths, train)), ImageFiles(some(split.test.paths, test)),
                 split.labels[test], some(split.kinds, test),
                 MaskFiles(*(some(part, test) for part in (masks.paths, masks.pictures, masks.defective))),
                 split.paths and some(split.paths, test))
