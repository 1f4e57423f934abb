"""Fast redrawing: everything that stays is drawn once and kept as pixels; a move draws only what moved.

A new matplotlib figure per move costs more than 100 ms; restoring kept pixels and drawing a few artists on top of them
costs a fraction of that.
"""

from __future__ import annotations

import io
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


@dataclass(frozen=True)
class View:
    """What a widget shows in one state: a picture, the numbers behind it, and one sentence that says both."""

    png: bytes
    numbers: dict[str, float]
    alt: str


class Canvas:
    """A figure in three parts: axes and labels, drawn once; ``staged`` artists, drawn once per background; ``moving``
    artists, drawn at every move. (Tick labels are what takes the time.)

    Args:
        fig: drawn with matplotlib's Agg renderer; never shown by pyplot.
        moving: artists that change from move to move.
        staged: artists that differ from background to background; axis limits must not follow them.
    """

    def __init__(self, fig: Figure, moving: list[Artist], staged: list[Artist] | None = None):
        self.fig, self.moving, self.staged = fig, moving, staged or []
        self.agg = FigureCanvasAgg(fig)
        self.backgrounds: dict[Hashable, object] = {}
        for artist in [*self.moving, *self.staged]:
            artist.set_animated(True)
        fig.draw_without_rendering()  # let the layout settle once, then freeze it
        fig.set_layout_engine("none")
        self.agg.draw()
        self.base = self.agg.copy_from_bbox(fig.bbox)

    def keep(self, key: Hashable) -> None:
        """Draw the staged artists as they are now, and keep the pixels under ``key``."""
        self.agg.restore_region(self.base)
        self._draw(self.staged)
        self.backgrounds[key] = self.agg.copy_from_bbox(self.fig.bbox)

    def png(self, key: Hashable) -> bytes:
        """The kept background with the moving artists on top, as a lightly compressed PNG."""
        self.agg.restore_region(self.backgrounds[key])
        self._draw(self.moving)
        pixels = np.asarray(self.agg.buffer_rgba())[..., :3]
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png", compress_level=1)
        return buffer.getvalue()

    def _draw(self, artists: list[Artist]) -> None:
        for artist in artists:
            (artist.axes or self.fig).draw_artist(artist)
