"""Figures of the cross-talk widget: how far a push at one place of one scale is felt in the latents of all three."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from tutorial_lib.plots import style

FAINTEST, STRONGEST = -5.0, 0.0  # log10 of the change, relative to the largest one
NAMES = ("scale 0", "scale 1", "scale 2")


def felt(change: np.ndarray, largest: float) -> np.ma.MaskedArray:
    """Sizes of changes ``(h, w)`` as log10 of their share of ``largest``; places that did not move are masked."""
    with np.errstate(divide="ignore"):
        return np.ma.masked_where(change == 0, np.log10(change / max(largest, 1e-300)))


def panel(ax: Axes, cells: int) -> AxesImage:
    """An empty map of cells x cells, the same size on paper whatever the number of cells."""
    edges = np.arange(cells + 1) / cells
    ax.hlines(edges, 0, 1, color=style.PALE, lw=0.5, zorder=0)
    ax.vlines(edges, 0, 1, color=style.PALE, lw=0.5, zorder=0)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=style.PALE)
    return ax.imshow(np.ma.masked_all((cells, cells)), cmap=colormaps[style.SEQUENTIAL], vmin=FAINTEST, vmax=STRONGEST,
                     extent=(0, 1, 1, 0), interpolation="nearest", zorder=1)


def mark(ax: Axes) -> Rectangle:
    """The frame of the pushed cell, still to be placed."""
    return ax.add_patch(Rectangle((-2, -2), 0.1, 0.1, fill=False, ec=style.ORANGE, lw=2.2))


def place(frame: Rectangle, row: int, column: int, cells: int) -> None:
    """Put the frame around one cell of a map with cells x cells."""
    frame.set_bounds(column / cells, row / cells, 1 / cells, 1 / cells)


def hide(frame: Rectangle) -> None:
    """Take the frame out of sight."""
    frame.set_bounds(-2, -2, 0.1, 0.1)


class CrossTalkPicture:
    """The figure of the widget: three maps of the change, one per scale; white has not moved at all."""

    def __init__(self, cells: Sequence[int]):
        self.cells = tuple(cells)
        self.fig = Figure(figsize=(7.6, 2.9), dpi=100, layout="constrained")
        axes = self.fig.subplots(1, len(cells))
        self.images = [panel(ax, n) for ax, n in zip(axes, cells, strict=True)]
        self.frames = [mark(ax) for ax in axes]
        for ax, name, n in zip(axes, NAMES, cells, strict=True):
            ax.set_title(f"{name}, {n} × {n}", fontsize=11)
        _bar(self.fig, self.images[0], axes)
        self.moving = [*self.images, *self.frames]

    def set(self, changes: Sequence[np.ndarray], scale: int, row: int, column: int) -> None:
        """Show the changes of all scales after a push at one place of one of them."""
        largest = max(float(c.max()) for c in changes)
        for k, (image, frame, change) in enumerate(zip(self.images, self.frames, changes, strict=True)):
            image.set_data(felt(change, largest))
            place(frame, row, column, self.cells[k]) if k == scale else hide(frame)


def cross_talk_strip(states: Sequence[tuple[str, Sequence[np.ndarray]]], scale: int, row: int, column: int) -> Figure:
    """One column per state ``(title, changes of each scale)``, one row per scale."""
    scales = len(states[0][1])
    fig = Figure(figsize=(1.75 * len(states) + 0.9, 1.8 * scales + 0.4), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(scales, len(states), squeeze=False)
    for column_of_axes, (title, changes) in zip(axes.T, states, strict=True):
        largest = max(float(c.max()) for c in changes)
        for k, (ax, change) in enumerate(zip(column_of_axes, changes, strict=True)):
            shown = panel(ax, len(change))
            shown.set_data(felt(change, largest))
            if k == scale:
                place(mark(ax), row, column, len(change))
        column_of_axes[0].set_title(title, fontsize=10)
    for ax, name in zip(axes[:, 0], NAMES, strict=False):
        ax.set_ylabel(name)
    _bar(fig, shown, axes)
    return fig


def _bar(fig: Figure, shown: AxesImage, axes) -> None:
    bar = fig.colorbar(shown, ax=axes, shrink=0.85, aspect=22, ticks=[-4, -2, 0])
    bar.ax.set_yticklabels(["1/10⁴", "1/100", "largest"])
    bar.set_label("how far z moved")
