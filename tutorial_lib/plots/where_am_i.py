"""One vector carried over a part: the photograph with its home, and how likely the vector is at every place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tutorial_lib.plots import style


def cell_box(cell: tuple[int, int], stride: float) -> tuple[float, float]:
    """Left and upper edge of a cell (row, column), in pixels: pixel p covers p - 0.5 to p + 0.5."""
    return cell[1] * stride - 0.5, cell[0] * stride - 0.5


def _frame(stride: float, colour: str) -> Rectangle:
    return Rectangle((0, 0), stride, stride, fill=False, ec=colour, lw=2.2)


def _photo(ax: Axes, picture: np.ndarray, title: str) -> None:
    ax.imshow(picture)
    ax.set_title(title, fontsize=10.5)
    ax.set_axis_off()


def _heat(ax: Axes, values: np.ndarray, side: int, limits: tuple[float, float]):
    shown = ax.imshow(values, cmap=style.SEQUENTIAL, vmin=limits[0], vmax=limits[1],
                      extent=(-0.5, side - 0.5, side - 0.5, -0.5), interpolation="nearest")
    ax.set_axis_off()
    return shown


class CarryPicture:
    """The figure of the widget: photograph with two frames (where the vector is from, where it is asked for), and map.

    Args:
        picture: ``(S, S, 3)``. cells: of a side of the map. limits: colour limits of the likelihood.
    """

    def __init__(self, picture: np.ndarray, cells: int, limits: tuple[float, float]):
        side = picture.shape[0]
        self.stride = side / cells
        self.fig = Figure(figsize=(7.6, 3.4), dpi=100, layout="constrained")
        photo, heat = self.fig.subplots(1, 2)
        _photo(photo, picture, "taken from the blue frame, put into the orange one")
        self.home, self.place = (photo.add_patch(_frame(self.stride, c)) for c in (style.SKY, style.ORANGE))
        self.image = _heat(heat, np.zeros((cells, cells)), side, limits)
        heat.set_title("how likely it is at each place", fontsize=10.5)
        self.fig.colorbar(self.image, ax=heat, label="nats per channel", shrink=0.9)
        self.there = heat.add_patch(_frame(self.stride, style.ORANGE))
        self.moving = [self.image, self.home, self.place, self.there]

    def set(self, values: np.ndarray, home: tuple[int, int], place: tuple[int, int]) -> None:
        """Move to one state. ``values``: (cells, cells), in nats per channel."""
        self.image.set_data(values)
        self.home.set_xy(cell_box(home, self.stride))
        for frame in (self.place, self.there):
            frame.set_xy(cell_box(place, self.stride))


def carry_strip(picture: np.ndarray, states: Sequence[tuple[str, tuple[int, int], np.ndarray]], untold: np.ndarray,
                limits: tuple[float, float]) -> Figure:
    """Columns: a vector's home above, its likelihood at every place below; the last column is the untold flow's.

    Args:
        states: ``(title, home cell, values (cells, cells))``. untold: values of the last state's vector, not told.
    """
    side, cells = picture.shape[0], untold.shape[0]
    fig = Figure(figsize=(8.4, 4.5), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(2, len(states) + 1)
    columns = [*states, ("the same, not told", states[-1][1], untold)]
    for (above, below), (title, home, values) in zip(axes.T, columns, strict=True):
        _photo(above, picture, title)
        shown = _heat(below, values, side, limits)
        for ax in (above, below):
            frame = ax.add_patch(_frame(side / cells, style.SKY if ax is above else style.ORANGE))
            frame.set_xy(cell_box(home, side / cells))
    fig.colorbar(shown, ax=axes[1, :], label="nats per channel", shrink=0.9)
    return fig
