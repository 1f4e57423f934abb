"""How far one place of a feature map reaches: its footprint in the latent, as a widget's picture and as a strip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tutorial_lib.plots import style

FLOOR = -6.0  # log10: changes below a millionth of the largest look like none
LABEL = "change of z, log₁₀ of its share of the largest"


def shown(footprint: np.ndarray) -> np.ndarray:
    """Changes ``(h, w)`` to log10 of their share of the largest; NaN where nothing changed at all."""
    with np.errstate(divide="ignore"):
        logs = np.log10(footprint / footprint.max())
    return np.where(footprint > 0, logs.clip(FLOOR), np.nan)


def draw(ax: Axes, footprint: np.ndarray, place: tuple[int, int], reach: int):
    """The footprint, the moved place, and the square that counting kernels allows; returns image, cross and square."""
    image = ax.imshow(shown(footprint), cmap=style.SEQUENTIAL, vmin=FLOOR, vmax=0)
    ax.set_facecolor(style.PALE)
    cross, = ax.plot(*place[::-1], "+", ms=12, mew=2, color=style.ORANGE)
    square = ax.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=style.ORANGE, lw=2))
    surround(square, place, reach)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, footprint.shape[1] - 0.5), ylim=(footprint.shape[0] - 0.5, -0.5))
    return image, cross, square


def surround(square: Rectangle, place: tuple[int, int], reach: int) -> None:
    """Put the square around all cells up to ``reach`` away from ``place`` (row, column)."""
    square.set_bounds(place[1] - reach - 0.5, place[0] - reach - 0.5, 2 * reach + 1, 2 * reach + 1)


class FootprintPicture:
    """The figure of the widget: the footprint on the left, its size over the distance on the right."""

    def __init__(self, side: int):
        self.fig = Figure(figsize=(7.6, 3.3), dpi=100, layout="constrained")
        left, right = self.fig.subplots(1, 2, width_ratios=(1, 1.15))
        self.image, self.cross, self.square = draw(left, np.ones((side, side)), (0, 0), 0)
        self.fig.colorbar(self.image, ax=left, label=LABEL.replace(", ", ",\n"), shrink=0.9)
        self.curve, = right.plot([], [], color=style.BLUE, marker="o", ms=4)
        right.set(xlim=(-0.5, side - 0.5), ylim=(FLOOR - 0.4, 0.4), xlabel="distance in cells",
                  ylabel="largest change there (log₁₀)")
        self.wall = right.axvline(0, color=style.ORANGE, lw=1.5, ls="--")
        right.grid(axis="y")
        self.moving = [self.image, self.cross, self.square, self.curve, self.wall]

    def set(self, footprint: np.ndarray, place: tuple[int, int], reach: int, profile: np.ndarray) -> None:
        """Move to one state. ``profile``: largest change at each distance, as a share of the largest of all."""
        self.image.set_data(shown(footprint))
        self.cross.set_data([place[1]], [place[0]])
        surround(self.square, place, reach)
        with np.errstate(divide="ignore"):
            logs = np.log10(profile)
        self.curve.set_data(np.arange(len(profile)), np.where(profile > 0, logs.clip(FLOOR), np.nan))
        self.wall.set_xdata([reach + 0.5] * 2)


def footprint_strip(states: Sequence[tuple[str, np.ndarray, tuple[int, int], int]]) -> Figure:
    """Footprints side by side, all on one scale.

    Args:
        states: ``(title, footprint (h, w), moved place, reach)`` of each state.
    """
    fig = Figure(figsize=(8.4, 2.6), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(states))
    for ax, (title, footprint, place, reach) in zip(axes, states, strict=True):
        image, *_ = draw(ax, footprint, place, reach)
        ax.set_title(title, fontsize=10)
    fig.colorbar(image, ax=axes, label=LABEL.replace(", ", ",\n"), shrink=0.9)
    return fig
