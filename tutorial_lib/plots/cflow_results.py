"""What was measured on CFlow-AD: curves of training, where an enlarged cell lands, kinds of defect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tutorial_lib.plots import style

WINDOW = 20  # steps of the running mean


def training(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Loss over the optimiser step, as a running mean."""
    fig = Figure(figsize=(6.4, 2.8), dpi=style.DPI, layout="constrained")
    ax = fig.subplots()
    for (name, losses), line in zip(curves.items(), ("-", "--"), strict=False):
        mean = np.convolve(losses, np.ones(WINDOW) / WINDOW, mode="valid")
        ax.plot(np.arange(len(mean)) + WINDOW, mean, ls=line, label=name)
    ax.set(xlabel="optimiser step", ylabel="loss")
    ax.grid()
    fig.legend(loc="outside right upper")
    return fig


def alignment(maps: Mapping[str, Tensor], cell: tuple[int, int], stride: int) -> Figure:
    """The same single cell enlarged in several ways; its true place is outlined, its neighbourhood drawn larger.

    Args:
        maps: title to ``(S, S)``. cell: (row, column). stride: pixels of a cell's side.
    """
    fig = Figure(figsize=(7.6, 3.0), dpi=style.DPI, layout="constrained")
    axes = np.atleast_1d(fig.subplots(1, len(maps), sharey=True))
    top, left = cell[0] * stride - 0.5, cell[1] * stride - 0.5
    for ax, (title, values) in zip(axes, maps.items(), strict=True):
        shown = ax.imshow(values.cpu(), cmap=style.SEQUENTIAL, vmin=0, vmax=1)
        ax.add_patch(Rectangle((left, top), stride, stride, fill=False, ec=style.ORANGE, lw=2))
        ax.set(title=title, xlabel="pixel column", xlim=(left - 2.2 * stride, len(values) - 0.5),
               ylim=(top + 2.5 * stride, top - 1.5 * stride))
    axes[0].set_ylabel("pixel row")
    fig.colorbar(shown, ax=axes, label="1 − p", shrink=0.9)
    return fig


def by_kind(panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
            names: Sequence[str] = ("told", "not told")) -> Figure:
    """One dot per seed: a panel per product, a row per kind of defect, one colour and marker per variant.

    Args:
        panels: product to kind to values ``(seeds,)`` of each variant.
    """
    rows = [len(kinds) for kinds in panels.values()]
    fig = Figure(figsize=(8.6, 0.36 * max(rows) + 1.3), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(panels), sharex=True)
    looks = ((style.BLUE, "o", -0.13), (style.ORANGE, "^", 0.13))
    for ax, (product, kinds) in zip(axes, panels.items(), strict=True):
        for row, variants in enumerate(kinds.values()):
            for name, values, (colour, marker, shift) in zip(names, variants, looks, strict=True):
                ax.plot(values, np.full(len(values), row + shift), ls="", marker=marker, ms=6, color=colour,
                        alpha=0.8, label=name if row == 0 else None)
        ax.set_yticks(range(len(kinds)), list(kinds))
        ax.set_ylim(max(rows) - 0.5, -0.5)
        ax.axvline(0.5, color=style.GREY, lw=1, ls="--")
        ax.set(title=product, xlabel="image AUROC")
        ax.grid(axis="x")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig
