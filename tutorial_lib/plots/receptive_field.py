"""Figures of chapter 07B: what a cell can see, counted and measured; pictures with equal features; scores in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tutorial_lib.plots import style

GLOW = 0.5  # exponent: weak gradients become visible


def photo_with_box(ax: Axes, picture: np.ndarray, mask: np.ndarray) -> Rectangle:
    """The picture ``(S, S, 3)`` with the outline of the defect; returns the box, still to be placed."""
    ax.imshow(picture)
    if mask.any():
        ax.contour(mask.astype(float), levels=[0.5], colors=[style.ORANGE], linewidths=1.2)
    ax.set_axis_off()
    return ax.add_patch(_frame())


def _frame() -> Rectangle:
    return Rectangle((0, 0), 1, 1, fill=False, ec=style.SKY, lw=2)


def place(box: Rectangle, left: float, top: float, size: int) -> None:
    """Put a box around whole pixels: pixel p covers p − 0.5 to p + 0.5."""
    box.set_bounds(left - 0.5, top - 0.5, size, size)


def glow(gradient: np.ndarray) -> np.ndarray:
    """Sizes of gradients ``(S, S)`` to colours between 0 and 1, the weak ones lifted."""
    return (gradient / max(float(gradient.max()), 1e-12)) ** GLOW


class FieldPicture:
    """The figure of the widget: the picture with the counted box, and the measured gradient with the same box."""

    def __init__(self, picture: np.ndarray, mask: np.ndarray):
        self.fig = Figure(figsize=(6.4, 3.3), dpi=100, layout="constrained")
        left, right = self.fig.subplots(1, 2)
        self.box = photo_with_box(left, picture, mask)
        left.set_title("counted: the box", fontsize=11)
        self.image = right.imshow(np.zeros(picture.shape[:2]), cmap=style.SEQUENTIAL, vmin=0, vmax=1)
        self.frame = right.add_patch(_frame())
        right.set_title("measured: |gradient|", fontsize=11)
        right.set_axis_off()
        self.moving = [self.box, self.image, self.frame]

    def set(self, gradient: np.ndarray, left: int, top: int, size: int) -> None:
        """Move to one cell."""
        self.image.set_data(glow(gradient))
        for box in (self.box, self.frame):
            place(box, left, top, size)


def field_strip(picture: np.ndarray, mask: np.ndarray,
                states: Sequence[tuple[str, np.ndarray, tuple[int, int, int]]]) -> Figure:
    """Pictures above, gradients below, one column per state ``(title, gradient (S, S), (left, top, size))``."""
    fig = Figure(figsize=(8.4, 4.5), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(2, len(states))
    side = picture.shape[0]
    for (above, below), (title, gradient, where) in zip(axes.T, states, strict=True):
        boxes = [photo_with_box(above, picture, mask)]
        below.imshow(glow(gradient), cmap=style.SEQUENTIAL, vmin=0, vmax=1)
        below.set_axis_off()
        boxes.append(below.add_patch(_frame()))
        for box in boxes:
            place(box, *where)
        for ax in (above, below):
            ax.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))
        above.set_title(title, fontsize=10.5)
    return fig


def equal_features(pictures: dict[str, Tensor], changes: dict[str, Tensor]) -> Figure:
    """Pictures ``(3, S, S)`` by title, then changes ``(S, S)`` by title as signed maps on one scale."""
    fig = Figure(figsize=(8.4, 2.2), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(pictures) + len(changes))
    for ax, (title, picture) in zip(axes, pictures.items(), strict=False):
        ax.imshow(picture.permute(1, 2, 0).clamp(0, 1))
        ax.set_title(title, fontsize=10)
    limit = max(float(change.abs().max()) for change in changes.values())
    for ax, (title, change) in zip(axes[len(pictures):], changes.items(), strict=True):
        shown = ax.imshow(change, cmap=style.DIVERGING, vmin=-limit, vmax=limit)
        ax.set_title(title, fontsize=10)
    fig.colorbar(shown, ax=axes[-1], label="grey, of 1", shrink=0.8)
    for ax in axes:
        ax.set_axis_off()
    return fig


def dots(groups: dict[str, dict[str, Sequence[float]]], label: str, guess: float | None = 0.5) -> Figure:
    """One dot per run: a panel per data set, a row per setting, the value along x.

    Args:
        groups: data set to setting to values. guess: where a dashed line stands, None for none.
    """
    rows = max(len(g) for g in groups.values())
    fig = Figure(figsize=(7.0, 0.42 * rows + 1.2), dpi=style.DPI, layout="constrained")
    axes = np.atleast_1d(fig.subplots(1, len(groups), sharex=True))
    for ax, (title, group) in zip(axes, groups.items(), strict=True):
        for k, values in enumerate(group.values()):
            ax.plot(values, [k] * len(values), marker="o", ls="", ms=7, color=style.CYCLE[k % 4], alpha=0.8)
        ax.set_yticks(range(len(group)), list(group))
        ax.set_ylim(len(group) - 0.5, -0.5)
        ax.set_title(title)
        ax.set_xlabel(label)
        ax.grid(axis="x")
        if guess is not None:
            ax.axvline(guess, color=style.GREY, lw=1, ls="--")
    return fig
