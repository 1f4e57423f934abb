"""Pictures of chapter 03: costs, permutations, block-triangular Jacobians, folds. Arrays in, figures out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import ListedColormap, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from tutorial_lib.plots import style


def costs(curves: dict[str, dict[int, float]], budget: float, marks: Sequence[tuple[float, float, str]]) -> Figure:
    """Operations against n, log-log, ``{name: {n: operations}}``; a budget line; points with a text at them."""
    fig, ax = plt.subplots(figsize=(7.4, 4.0))
    for (name, values), marker in zip(curves.items(), "osd", strict=True):
        ax.plot(list(values), list(values.values()), marker, ls="-", ms=4, lw=1.4, label=name)
    ax.axhline(budget, color=style.GREY, ls=":", label=f"{budget:.0e} operations")
    for n, count, text in marks:
        ax.plot(n, count, "o", ms=10, mfc="none", mec=style.BLACK)
        ax.annotate(text, (n, count), xytext=(12, -9), textcoords="offset points", fontsize=10,
                    bbox={"fc": "white", "ec": "none", "pad": 0.0})
    ax.set(xscale="log", yscale="log", xlabel="n, number of rows of the matrix", ylabel="operations",
           xlim=(0.9, 6e10), ylim=(0.7, 1e13))
    ax.grid(True)
    ax.legend(loc="lower right")
    return fig


def surviving_terms(permutations: Sequence[tuple[int, ...]], k: int) -> Figure:
    """Every permutation of n as a small square board: filled cells are the entries of its term.

    A cell in the zero block (rows < k, columns >= k) is orange and kills the term; a cell in the lower left block is
    pink; the others are blue.
    """
    n, columns = len(permutations[0]), 8
    rows = math.ceil(len(permutations) / columns)
    fig, axes = plt.subplots(rows, columns, figsize=(8.4, 1.13 * rows + 0.35))
    palette = ListedColormap(["white", style.BLUE, style.PINK, style.ORANGE])
    for ax, p in zip(axes.flat, permutations, strict=False):
        board = np.zeros((n, n))
        for i, j in enumerate(p):
            board[i, j] = 3 if i < k <= j else 2 if i >= k > j else 1
        ax.imshow(board, cmap=palette, vmin=0, vmax=3)
        ax.axhline(k - 0.5, color=style.BLACK, lw=0.8)
        ax.axvline(k - 0.5, color=style.BLACK, lw=0.8)
        ax.set(xticks=[], yticks=[])
        for side in ax.spines.values():
            side.set_visible(True)
            side.set_linewidth(2.6 if (board < 2).all() else 0.6)
            side.set_color(style.BLACK if (board < 2).all() else style.GREY)
    names = {style.BLUE: "entry of A or D", style.PINK: "entry of B", style.ORANGE: "entry of the zero block"}
    fig.legend([Patch(color=c) for c in names], names.values(), loc="outside lower center", ncols=3)
    return fig


def jacobians(panels: dict[str, Tensor], limit: float = 5.0) -> Figure:
    """Matrices (d, d) side by side on one signed scale, linear near 0, logarithmic beyond; exact zeros are white."""
    fig, axes = plt.subplots(1, len(panels), figsize=(2.4 * len(panels) + 0.6, 3.0), squeeze=False)
    for ax, (title, j) in zip(axes[0], panels.items(), strict=True):
        shown = ax.imshow(j, cmap=style.DIVERGING, norm=SymLogNorm(0.02, vmin=-limit, vmax=limit), interpolation="none")
        half = j.shape[0] / 2 - 0.5
        ax.axhline(half, color=style.GREY, lw=0.8)
        ax.axvline(half, color=style.GREY, lw=0.8)
        ax.set(title=title, xlabel="input", xticks=[0, j.shape[1] - 1], yticks=[0, j.shape[0] - 1])
    axes[0, 0].set_ylabel("output")
    fig.colorbar(shown, ax=list(axes[0]), label="∂ output / ∂ input", shrink=0.75, ticks=[-1, -0.1, 0, 0.1, 1])
    return fig


def before_and_after(panels: Sequence[tuple[str, Tensor, Tensor, Tensor, Tensor]]) -> Figure:
    """Points before and after a map, ``(title, x (N, 2), z (N, 2), pair (2, 2), images of the pair (2, 2))``.

    Blue where x1 > 0, orange elsewhere. The pair and its images are drawn as rings.
    """
    fig, axes = plt.subplots(1, 2 * len(panels), figsize=(9.6, 3.0))
    for k, (title, x, z, pair, meeting) in enumerate(panels):
        left, right = axes[2 * k], axes[2 * k + 1]
        hue = np.where(x[:, 0].numpy() > 0, style.BLUE, style.ORANGE)
        for ax, points, rings, name, axis in ((left, x, pair, f"{title}: before", "x"),
                                              (right, z, meeting, "after", "z")):
            ax.scatter(*points.T, c=hue, s=3, linewidths=0)
            ax.set(aspect="equal", xlabel=f"{axis}₁", ylabel=f"{axis}₂", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
            ax.set_title(name, fontsize=10.5)
            ax.plot(*rings.T, "o", ms=9, mfc="none", mec=style.BLACK, mew=2)
    return fig
