"""Show a figure with a caption that everybody can read, and show the source of what a cell calls."""

from __future__ import annotations

import inspect
import io
import textwrap

import matplotlib.pyplot as plt
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from PIL import Image

from tutorial_lib.plots.style import DPI

PHOTO_DPI = 72


def png(fig: Figure, dpi: int = DPI) -> bytes:
    """The figure as PNG bytes; the figure is closed, so that no notebook shows it twice.

    A figure without pictures in it (lines, points, bars) is stored with 256 colours: a quarter of the size, and nobody
    sees the difference. Photographs and colour maps keep all of theirs.
    """
    drawn, stored = io.BytesIO(), io.BytesIO()
    fig.savefig(drawn, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(fig)
    picture = Image.open(drawn).convert("RGB")
    if not any(ax.images for ax in fig.axes):
        picture = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    picture.save(stored, format="png", optimize=True)
    return stored.getvalue()


def show(fig: Figure, caption: str) -> None:
    """Display the figure, and below it the caption as text.

    The caption is also the picture's alternative text (used by code hosts and by HTML export; JupyterLab 4.6 ignores
    it and calls every picture "Image", so the visible caption is what a screen reader gets there). Put the numbers that
    matter into the caption: text is compared when notebooks are tested, pictures are not.
    """
    _display(png(fig), caption, round(96 * fig.get_figwidth()))


def show_photos(fig: Figure, caption: str) -> None:
    """``show`` for figures full of photographs: fewer dots and 256 colours, a fifth of the size."""
    _display(reduced(png(fig, dpi=PHOTO_DPI)), caption, round(PHOTO_DPI * fig.get_figwidth()))


def reduced(content: bytes) -> bytes:
    """A picture with 256 colours, chosen for it."""
    stored = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(stored, format="png", optimize=True)
    return stored.getvalue()


def show_png(content: bytes, caption: str) -> None:
    """Display a picture that a widget has drawn, with a caption as in ``show``."""
    picture, stored = Image.open(io.BytesIO(content)), io.BytesIO()
    picture.save(stored, format="png", optimize=True)
    _display(stored.getvalue(), caption, picture.width)


def _display(content: bytes, caption: str, width: int) -> None:
    display({"image/png": content, "text/plain": caption}, raw=True,
            metadata={"image/png": {"alt": caption, "width": width}})
    display(Markdown(f"*{caption.strip()}*"))


def show_source(obj) -> None:
    """Display the source of a function, method or class as a highlighted block, with the file it stands in."""
    source = textwrap.dedent(inspect.getsource(obj))
    module = inspect.getmodule(obj).__name__.replace(".", "/")
    display(Markdown(f"`{obj.__qualname__}` in `{module}.py`:\n\n```python\n{source.rstrip()}\n```"))
