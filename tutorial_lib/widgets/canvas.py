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
    """A figure whose ``moving`` artists are redrawn on kept backgrounds.

    Args:
        fig: drawn with matplotlib's Agg renderer; never shown by pyplot.
        moving: artists that change from move to move.
    """

    def __init__(self, fig: Figure, moving: list[Artist]):
        self.fig, self.moving = fig, moving
        self.agg = FigureCanvasAgg(fig)
        self.backgrounds: dict[Hashable, object] = {}
        for artist in moving:
            artist.set_animated(True)
        fig.draw_without_rendering()  # let the layout settle once, then freeze it
        fig.set_layout_engine("none")

    def keep(self, key: Hashable) -> None:
        """Draw everything but the moving artists, and keep the pixels under ``key``."""
        self.agg.draw()
        self.backgrounds[key] = self.agg.copy_from_bbox(self.fig.bbox)

    def png(self, key: Hashable) -> bytes:
        """The kept background with the moving artists on top, as a lightly compressed PNG."""
        self.agg.restore_region(self.backgrounds[key])
        for artist in self.moving:
            (artist.axes or self.fig).draw_artist(artist)
        pixels = np.asarray(self.agg.buffer_rgba())[..., :3]
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png", compress_level=1)
        return buffer.getvalue()
