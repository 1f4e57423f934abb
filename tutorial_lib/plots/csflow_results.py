"""Results of chapter 10: which scale sees which defect, the ablation, a broken inverse, what was missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tutorial_lib.plots import style


def table_of_aurocs(values: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> Figure:
    """AUROCs ``(rows, columns)`` as a table of coloured cells: white is guessing, 0.5 or below."""
    fig, ax = plt.subplots(figsize=(1.15 * len(columns) + 1.9, 0.42 * len(rows) + 0.9), layout="constrained")
    colours = LinearSegmentedColormap.from_list("auroc", ["white", style.BLUE])
    ax.imshow(values, cmap=colours, vmin=0.5, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=10.5,
                color="white" if value > 0.85 else style.BLACK)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig


def ablation(panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], blocks: Sequence[int],
             without: Mapping[str, float], label: str) -> Figure:
    """One panel per product: quality over the number of blocks, one line per setting, mean and standard deviation.

    Args:
        panels: product to {setting: (means, standard deviations)}. blocks: along x.
        without: product to the value without any block, a dashed line. label: of the y axis.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(2.75 * len(panels) + 0.6, 3.1), sharey=True, layout="constrained")
    for ax, (product, lines) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        for k, (name, (mean, spread)) in enumerate(lines.items()):
            ax.errorbar(np.arange(len(blocks)) + 0.12 * (k - (len(lines) - 1) / 2), mean, spread, marker="os^"[k % 3],
                        capsize=3, color=style.CYCLE[k], label=name)
        ax.axhline(without[product], color=style.GREY, ls="--", lw=1.2, label="no blocks (Gaussian)")
        ax.set_xticks(range(len(blocks)), [str(b) for b in blocks])
        ax.set(title=product, xlabel="blocks")
        ax.grid(axis="y")
    first = np.atleast_1d(axes)[0]
    first.set_ylabel(label)
    handles, names = first.get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=len(names))
    return fig


def round_trips(gammas: Sequence[float], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Largest error of a round trip over the size of the gammas, one line per inverse."""
    fig, ax = plt.subplots(figsize=(5.2, 2.9), layout="constrained")
    for k, (name, values) in enumerate(errors.items()):
        ax.plot(range(len(gammas)), values, marker="os"[k % 2], color=style.CYCLE[k], label=name)
    ax.set_yscale("log")
    ax.set_xticks(range(len(gammas)), [f"{g:g}" for g in gammas])
    ax.set(xlabel="all gammas", ylabel="largest error")
    ax.grid(axis="y")
    ax.legend()
    return fig
