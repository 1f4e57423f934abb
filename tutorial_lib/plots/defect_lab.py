"""The figure of the defect lab: the good twin, the defective part, a close-up."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tutorial_lib.plots import style
from tutorial_lib.plots.inspection import frame


class LabPicture:
    """Three pictures in their frames; ``set`` changes pixels and moves the box of the close-up.

    Args:
        side: of the pictures, in pixels. zoom: side of the close-up, in pixels of the picture.
    """

    def __init__(self, side: int, zoom: int):
        self.fig = Figure(figsize=(8.4, 3.0), dpi=100, layout="constrained")
        axes = self.fig.subplots(1, 3)
        titles = ("good: the twin", "defective", f"close-up, {zoom} × {zoom} pixels")
        self.shown = []
        for ax, size, title in zip(axes, (side, side, zoom), titles, strict=True):
            self.shown.append(ax.imshow(np.zeros((size, size, 3)), interpolation="nearest"))
            ax.set_title(title)
            frame(ax, defective=ax is not axes[0])
        self.box = Rectangle((0, 0), zoom, zoom, fill=False, color=style.SKY, lw=1)
        axes[1].add_patch(self.box)
        self.moving = [*self.shown, self.box]

    def set(self, twin: np.ndarray, image: np.ndarray, close: np.ndarray, corner: tuple[int, int]) -> None:
        """Pictures ``(S, S, 3)`` in [0, 1]; ``corner``: row and column where the close-up begins."""
        for artist, pixels in zip(self.shown, (twin, image, close), strict=True):
            artist.set_data(pixels)
        self.box.set_xy((corner[1] - 0.5, corner[0] - 0.5))
