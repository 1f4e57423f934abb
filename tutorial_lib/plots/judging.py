"""How answers are judged: score histograms with the ROC curve, the PRO curve, planted maps, rates over severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style


def scores_and_roc(normal: Tensor, defect: Tensor, roc: Tensor, line: float, area: float) -> Figure:
    """Histograms of scores ``(N,)`` and ``(M,)`` with a threshold; the ROC curve ``(2, K)`` with its area."""
    fig = Figure(figsize=(7.6, 3.1), dpi=style.DPI, layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=(1.5, 1))
    bins = np.geomspace(float(min(normal.min(), defect.min())), float(max(normal.max(), defect.max())), 24)
    for scores, colour, hatch, label in ((normal, style.BLUE, None, "good"), (defect, style.ORANGE, "//", "damaged")):
        weights = np.full(len(scores), 1 / len(scores))
        left.hist(scores.numpy(), bins, weights=weights, color=colour, alpha=0.55, hatch=hatch, label=label)
    left.axvline(line, color=style.BLACK, lw=2)
    left.set(xscale="log", xlabel="score (logarithmic), higher = less like the good ones", ylabel="share of the images")
    left.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    left.minorticks_off()
    left.legend()
    right.fill_between(roc[0].numpy(), roc[1].numpy(), color=style.SKY, alpha=0.35, lw=0)
    right.plot(roc[0].numpy(), roc[1].numpy(), color=style.GREEN)
    right.plot([0, 1], [0, 1], color=style.GREY, lw=0.8, ls=":")
    point = (float((normal > line).float().mean()), float((defect > line).float().mean()))
    right.plot(*point, "o", color=style.BLACK, ms=9, mfc="none", mew=2)
    right.text(0.55, 0.3, f"area\n{area:.3f}", ha="center")
    right.set_aspect("equal")
    right.set(xlabel="false-positive rate", ylabel="true-positive rate", xlim=(-0.02, 1), ylim=(0, 1.02))
    return fig


def overlap_curves(heat: Tensor, truth: Tensor, fpr: Tensor, shares: Mapping[str, Tensor], limit: float) -> Figure:
    """A map ``(H, W)`` with its true regions, and the share of each that is found over the false-positive rate."""
    fig = Figure(figsize=(7.8, 3.1), dpi=style.DPI, layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.5))
    left.imshow(heat.numpy(), cmap=style.SEQUENTIAL)
    left.contour(truth.float().numpy(), levels=[0.5], colors=[style.ORANGE], linewidths=1.5)
    left.set_axis_off()
    left.set_title("map; truth outlined", fontsize=10.5)
    looks = ((style.BLUE, "-."), (style.GREY, ":"), (style.ORANGE, "-"))
    for (name, share), (colour, dash) in zip(shares.items(), looks, strict=False):
        right.plot(fpr.numpy(), share.numpy(), color=colour, ls=dash, label=name)
    x = np.linspace(0, limit, 50)
    right.fill_between(x, np.interp(x, fpr.numpy(), list(shares.values())[-1].numpy()), color=style.AMBER, alpha=0.35,
                       lw=0, label=f"area up to {limit:g}")
    right.axvline(limit, color=style.BLACK, lw=1, ls="--")
    right.set(xlabel="false-positive rate over pixels", ylabel="share of the region found", ylim=(0, 1.05), xlim=(0, 1))
    right.legend(loc="lower right")
    return fig


def map_strip(maps: Sequence[Tensor], titles: Sequence[str]) -> Figure:
    """Maps ``(H, W)`` side by side on one colour scale."""
    fig = Figure(figsize=(7.6, 2.6), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(maps))
    low, high = min(float(m.min()) for m in maps), max(float(m.max()) for m in maps)
    for ax, heat, title in zip(axes, maps, titles, strict=True):
        shown = ax.imshow(heat.numpy(), cmap=style.SEQUENTIAL, vmin=low, vmax=high)
        ax.set_title(title, fontsize=10.5)
        ax.set_axis_off()
    fig.colorbar(shown, ax=axes, label="anomaly", shrink=0.85)
    return fig


def over_severity(severity: Sequence[float], curves: Mapping[str, Sequence[float]], floor: float) -> Figure:
    """Share of defects over the threshold, by severity; ``floor``: the share of good parts over it."""
    fig = Figure(figsize=style.WIDE, dpi=style.DPI, layout="constrained")
    ax = fig.add_subplot()
    for (name, shares), marker in zip(curves.items(), "os^D", strict=False):
        ax.plot(severity, shares, marker=marker, label=name)
    ax.axhline(floor, color=style.GREY, ls="--", lw=1, label=f"false alarms allowed, {floor:.0%}")
    ax.set(xlabel="severity of the defect", ylabel="share over the threshold", ylim=(-0.03, 1.05))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))  # the curves need all of the axes
    return fig


def luck(chosen: Sequence[float], fresh: Sequence[float]) -> Figure:
    """Accuracy of random scorers on the images that chose their threshold, and on fresh ones."""
    fig = Figure(figsize=style.WIDE, dpi=style.DPI, layout="constrained")
    ax = fig.add_subplot()
    numbers = np.arange(1, len(chosen) + 1)
    ax.vlines(numbers, fresh, chosen, color=style.PALE, lw=2)
    ax.plot(numbers, chosen, "o", color=style.ORANGE, label="on the images that chose the line")
    ax.plot(numbers, fresh, "s", color=style.BLUE, mfc="none", mew=2, label="on 40 fresh images, same line")
    ax.axhline(0.5, color=style.BLACK, lw=1, ls="--")
    ax.set(xlabel="random scorer", ylabel="accuracy", ylim=(0.25, 0.85), xticks=numbers)
    ax.legend(loc="upper left", ncols=2)
    return fig
