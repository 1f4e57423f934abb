"""What was measured on DifferNet: learning by heart, views, rankings, maxima of maps. Arrays in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from tutorial_lib.plots import style

Numbers = Sequence[float] | np.ndarray


def learning_by_heart(runs: Mapping[str, tuple[Numbers, Numbers, Numbers]]) -> Figure:
    """NLL per entry on training vectors and on other good parts, one panel per run; linear to ±10, then logarithmic.

    Args:
        runs: title to ``(steps, training NLL, held-out NLL)``, in nats per entry.
    """
    fig, axes = plt.subplots(1, len(runs), figsize=(8.6, 3.0), sharey=True, layout="constrained", squeeze=False)
    for ax, (title, (steps, train, held)) in zip(axes[0], runs.items(), strict=True):
        ax.plot(steps, held, color=style.ORANGE, marker="o", ms=3.5, label="good parts not trained on")
        ax.plot(steps, train, color=style.BLUE, marker="s", ms=3.5, label="training vectors")
        ax.set(title=title, xlabel="optimiser step")
        ax.grid(axis="y")
    axes[0, 0].set_yscale("symlog", linthresh=10)
    axes[0, 0].set_yticks([-10, 0, 10, 1e3, 1e6, 1e9], ["-10", "0", "10", "10³", "10⁶", "10⁹"])
    axes[0, 0].set_ylabel("NLL (nats per entry)")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def latent_marginals(good: Numbers, defective: Numbers) -> Figure:
    """Histogram of latent entries of both groups over the standard normal density, with a logarithmic height."""
    fig, ax = plt.subplots(figsize=(6.4, 3.0), layout="constrained")
    edges = np.linspace(-8, 8, 81)
    for values, colour, label in ((good, style.BLUE, "good, not trained on"), (defective, style.ORANGE, "defective")):
        ax.hist(np.clip(values, -8, 8), edges, density=True, histtype="step", color=colour, label=label, lw=1.6)
    grid = np.linspace(-4.5, 4.5, 181)
    ax.plot(grid, np.exp(-grid**2 / 2) / np.sqrt(2 * np.pi), color=style.BLACK, lw=1, ls="--", label="N(0, 1)")
    ax.set(yscale="log", ylim=(1e-5, 1), xlabel="entry of z (values beyond ±8 are counted at ±8)", ylabel="density")
    fig.legend(loc="outside upper center", ncols=3)
    return fig


def two_rankings(gaussian: Numbers, flow: Numbers, defective: Sequence[bool]) -> Figure:
    """Each test image as a point: its rank by the Gaussian against its rank by the flow."""
    ranks = [np.argsort(np.argsort(np.asarray(s))) + 1 for s in (gaussian, flow)]
    bad = np.asarray(defective, bool)
    fig, ax = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
    ax.plot([1, len(bad)], [1, len(bad)], color=style.PALE, lw=1)
    ax.scatter(ranks[0][~bad], ranks[1][~bad], s=26, color=style.BLUE, marker="o", label="good")
    ax.scatter(ranks[0][bad], ranks[1][bad], s=26, color=style.ORANGE, marker="^", label="defective")
    ax.set(xlabel="rank by the Gaussian", ylabel="rank by the flow")
    fig.legend(loc="outside right upper", handletextpad=0.2)
    return fig


def views_lines(rows: Mapping[str, Mapping[str, tuple[Numbers, Numbers]]], views: Sequence[int]) -> Figure:
    """Image AUROC over the number of test views, mean and spread over seeds, one panel per product.

    Args:
        rows: product to method to ``(means, standard deviations)``, one entry per number of views.
        views: numbers of views, on a logarithmic axis.
    """
    fig, axes = plt.subplots(1, len(rows), figsize=(8.6, 3.1), sharey=True, layout="constrained", squeeze=False)
    looks = {"Gaussian": (style.BLUE, "s", 0.94), "DifferNet": (style.ORANGE, "o", 1.06)}
    for ax, (product, methods) in zip(axes[0], rows.items(), strict=True):
        for method, (mean, sd) in methods.items():
            colour, marker, shift = looks[method]
            ax.errorbar(np.asarray(views) * shift, mean, sd, color=colour, marker=marker, ms=5, capsize=3, label=method)
        ax.set_xscale("log", base=4)
        ax.set_xticks(views, [str(v) for v in views])
        ax.minorticks_off()
        ax.set(title=product, xlabel="test views T")
        ax.grid(axis="y")
    axes[0, 0].set_ylabel("image AUROC")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def map_maxima(good: Numbers, bad: Mapping[str, Numbers]) -> Figure:
    """Largest value of each gradient map, in units of the normal images' median; below them each kind of defect."""
    fig, ax = plt.subplots(figsize=(6.4, 0.36 * (len(bad) + 1) + 1.0), layout="constrained")
    unit = float(np.median(good))
    for row, values in enumerate([good, *bad.values()]):
        values = np.asarray(values) / unit
        colour, marker = (style.BLUE, "o") if row == 0 else (style.ORANGE, "^")
        ax.scatter(values, np.full(len(values), row), s=24, color=colour, marker=marker, alpha=0.75)
    ax.axvline(1, color=style.BLUE, lw=1, ls="--")
    ax.set_yticks(range(len(bad) + 1), ["good", *bad])
    ax.invert_yaxis()
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ticks = [10.0**k for k in range(-9, 13) if low <= 10.0**k <= high]
    ax.set_xticks(ticks, [f"{t:g}" if 1e-2 <= t <= 1e3 else f"$10^{{{round(np.log10(t))}}}$" for t in ticks])
    ax.minorticks_off()
    ax.set_xlabel("largest value of the map ÷ median of the good parts")
    return fig
