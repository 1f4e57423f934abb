"""Figures of chapter 07A: small grey pictures with their bits, fading pictures, lengths of draws, a change of units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor

from tutorial_lib.plots import style

LEVELS = 256


def cards(rows: dict[str, Sequence[Tensor]], titles: Sequence[str]) -> Figure:
    """Rows of small grey pictures ``(1, S, S)`` of whole grey levels 0 … 255, one row per data set."""
    n = len(titles)
    fig = Figure(figsize=(7.0, 1.35 * len(rows) + 0.3), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(len(rows), n, squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for ax, picture, title in zip(line, pictures, titles, strict=True):
            ax.imshow(picture[0], cmap="gray", vmin=0, vmax=LEVELS - 1)
            ax.set(xticks=[], yticks=[])
            if ax in axes[0]:
                ax.set_title(title, fontsize=10)
        line[0].set_ylabel(name)
    return fig


def fading(pictures: dict[str, Sequence[Tensor]], contrasts: Sequence[float],
           bits: dict[str, Sequence[float]]) -> Figure:
    """Above: one picture of each kind at each contrast. Below: mean bits per pixel over the contrast.

    Args:
        pictures: name to pictures ``(1, S, S)``, one per contrast. contrasts: from 0 to 1. bits: name to the means.
    """
    fig = Figure(figsize=(7.0, 4.4), dpi=style.DPI, layout="constrained")
    top, below = fig.subfigures(2, 1, height_ratios=(0.42 * len(pictures) + 0.25, 1.5))
    axes = top.subplots(len(pictures), len(contrasts), squeeze=False)
    for line, (name, row) in zip(axes, pictures.items(), strict=True):
        for ax, picture, contrast in zip(line, row, contrasts, strict=True):
            ax.imshow(picture[0], cmap="gray", vmin=0, vmax=LEVELS - 1)
            ax.set(xticks=[], yticks=[])
            if ax in axes[0]:
                ax.set_title(f"{contrast:g}", fontsize=10)
        line[0].set_ylabel(name, fontsize=10)
    ax = below.subplots()
    for (name, values), colour, marker in zip(bits.items(), style.CYCLE, "o^s", strict=False):
        ax.plot(contrasts, values, color=colour, marker=marker, label=name)
    ax.set(xlabel="contrast: 1 as it was, 0 the mean picture", ylabel="bits per pixel\n(low is likely)")
    ax.legend()
    return fig


def lengths(ax: Axes, found: np.ndarray, d: int) -> None:
    """Histogram of the lengths of draws in d dimensions, and the density they follow."""
    top = max(3.5, np.sqrt(d) + 4)
    grid = np.linspace(0, top, 400)
    ax.hist(found, bins=np.linspace(0, top, 71), density=True, color=style.SKY, label="draws")
    ax.plot(grid, stats.chi.pdf(grid, d), color=style.BLUE, label="chi density")
    half = stats.chi.mean(d) / 2
    ax.axvspan(0, half, color=style.PALE, alpha=0.6, lw=0, label="nearer than half the typical radius")
    ax.plot([0], [0], marker="*", ms=15, color=style.ORANGE, ls="", clip_on=False, label="most likely point, z = 0")
    ax.set(xlim=(0, top), ylim=(0, None), xlabel="length ‖z‖", ylabel="density of the length")
    ax.set_title(f"d = {d}", fontsize=11)


def lengths_strip(found: dict[int, np.ndarray]) -> Figure:
    """The same for several dimensions, side by side; grey: nearer to 0 than half the typical radius."""
    fig = Figure(figsize=(8.4, 2.9), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(found))
    for ax, (d, values) in zip(axes, found.items(), strict=True):
        lengths(ax, values, d)
        if ax is not axes[0]:
            ax.set(ylabel="", yticks=[])
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig


class LengthsPicture:
    """The figure of the widget, in units of the typical radius, so that nothing but the bars must move."""

    EDGES = np.linspace(0, 4, 81)

    def __init__(self):
        self.fig = Figure(figsize=(6.4, 3.2), dpi=100, layout="constrained")
        ax = self.fig.add_subplot()
        ax.axvspan(0, 0.5, color=style.PALE, alpha=0.6, lw=0)
        ax.axvline(1, color=style.BLUE, lw=1, ls="--")
        ax.text(1.03, 1.05, "typical radius", fontsize=9.5)
        ax.text(0.02, 1.05, "half of it", fontsize=9.5)
        ax.plot([0], [0], marker="*", ms=15, color=style.ORANGE, ls="", clip_on=False)
        ax.text(0.06, 0.06, "z = 0", fontsize=9.5)
        ax.set(xlim=(0, 3.5), ylim=(0, 1.15), xlabel="length ‖z‖ over the typical radius",
               ylabel="draws, highest bar = 1")
        self.bars = ax.stairs(np.zeros(80), self.EDGES, fill=True, color=style.SKY)
        self.name = ax.text(0.98, 0.88, "", transform=ax.transAxes, ha="right", fontsize=12)
        self.moving = [self.bars, self.name]

    def show(self, found: np.ndarray, radius: float, d: int) -> None:
        """Move to dimension d."""
        counts = np.histogram(found / radius, self.EDGES)[0]
        self.bars.set_data(counts / counts.max())
        self.name.set_text(f"d = {d}")


def reranked(before: np.ndarray, after: np.ndarray) -> Figure:
    """Rank of every picture in the old and in the new unit, 1 = most likely."""
    fig = Figure(figsize=style.HALF, dpi=style.DPI, layout="constrained")
    ax = fig.add_subplot()
    ax.plot([0, len(before)], [0, len(before)], color=style.GREY, lw=1, ls="--")
    ax.plot(stats.rankdata(-before), stats.rankdata(-after), ".", color=style.BLUE, ms=4)
    ax.set(xlabel="rank in units of x (1 = most likely)", ylabel="rank in units of eˣ", aspect="equal")
    return fig
