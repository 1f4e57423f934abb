"""Many methods on the same images: spread, grids of numbers, what a flow added, contamination, a leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from tutorial_lib.plots import style

Numbers = Sequence[float] | np.ndarray
LOOKS = {"pca": (style.GREY, "v"), "mahalanobis": (style.BLACK, "^"), "gaussian": (style.BLUE, "s"),
         "patches": (style.SKY, "D"), "differnet": (style.PINK, "P"), "cflow": (style.GREEN, "X"),
         "csflow": (style.AMBER, "<"), "fastflow": (style.ORANGE, "o"), "pyramidflow": ("#5D3A9B", ">")}


def folded(summary: str, table: pd.DataFrame) -> None:
    """A table behind a line that opens it: for numbers that want a guess first. Plain text shows it in the open."""
    body = table.to_html(border=0, justify="right")
    display({"text/html": f"<details><summary>{summary}</summary>{body}</details>", "text/plain": table.to_string()},
            raw=True)


def spread(deviations: Mapping[str, Numbers]) -> Figure:
    """How far each row lies from the mean of its method and product; one line of points per method."""
    fig, ax = plt.subplots(figsize=(6.8, 0.3 * len(deviations) + 0.9), layout="constrained")
    ax.axvline(0, color=style.PALE, lw=1)
    for row, (name, values) in enumerate(deviations.items()):
        colour, marker = LOOKS[name]
        ax.scatter(values, np.full(len(values), row), s=18, color=colour, marker=marker, alpha=0.65, lw=0)
    ax.set_yticks(range(len(deviations)), list(deviations))
    ax.invert_yaxis()
    ax.set_xlabel("image AUROC minus the mean of its method and product")
    return fig


def grid(table: pd.DataFrame, label: str, low: float = 0.5, high: float = 1.0) -> Figure:
    """A table as colours with its numbers written in; dark is ``low``, bright is ``high``, a column's best is bold."""
    values = table.to_numpy(float)
    fig, ax = plt.subplots(figsize=(1.7 + 0.72 * values.shape[1], 0.36 * values.shape[0] + 1.0), layout="constrained")
    shown = ax.imshow(values, cmap=style.SEQUENTIAL, vmin=low, vmax=high, aspect="auto")
    best = np.nanmax(values, axis=0)
    for i, j in np.ndindex(*values.shape):
        if not np.isnan(values[i, j]):
            light = values[i, j] < low + 0.6 * (high - low)
            ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=9,
                    color="white" if light else "black", weight="bold" if values[i, j] == best[j] else "normal")
    ax.set_xticks(range(values.shape[1]), list(table.columns), rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(values.shape[0]), list(table.index))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    fig.colorbar(shown, ax=ax, label=label, shrink=0.9)
    return fig


def added(differences: Mapping[str, Numbers]) -> Figure:
    """Method minus the same method without its flow: one point per product and seed, the mean as a bar."""
    fig, ax = plt.subplots(figsize=(6.8, 0.42 * len(differences) + 0.9), layout="constrained")
    ax.axvline(0, color=style.GREY, lw=1)
    for row, (name, values) in enumerate(differences.items()):
        colour, marker = LOOKS[name]
        jitter = row + np.linspace(-0.22, 0.22, len(values))
        ax.scatter(values, jitter, s=20, color=colour, marker=marker, alpha=0.7, lw=0)
        ax.plot([np.mean(values)] * 2, [row - 0.36, row + 0.36], color=style.BLACK, lw=2)
    ax.set_yticks(range(len(differences)), list(differences))
    ax.invert_yaxis()
    ax.set_xlabel("what the flow added to the image AUROC")
    return fig


def contamination(lines: Mapping[str, tuple[Numbers, Numbers]], shares: Numbers) -> Figure:
    """Image AUROC over the share of defective pictures among the training images, mean and spread over seeds."""
    fig, ax = plt.subplots(figsize=(6.8, 3.3), layout="constrained")
    for k, (name, (mean, sd)) in enumerate(lines.items()):
        colour, marker = LOOKS[name]
        at = np.asarray(shares) * 100 + 0.12 * (k - len(lines) / 2)
        there = ~np.isnan(mean)                                  # a method may lack a share
        ax.errorbar(at[there], np.asarray(mean)[there], np.nan_to_num(sd)[there], color=colour, marker=marker, ms=5,
                    capsize=2, lw=1.4, label=name)
    ax.set_xticks([100 * s for s in shares], [f"{s:.0%}" for s in shares])
    ax.set(xlabel="defective pictures among the training images", ylabel="image AUROC")
    ax.grid(axis="y")
    fig.legend(loc="outside right upper")
    return fig


def correlations(panels: Mapping[str, tuple[Numbers, Numbers]]) -> Figure:
    """Highest correlation with any training picture, good and defective test pictures, one panel per split."""
    fig, axes = plt.subplots(1, len(panels), figsize=(7.0, 2.7), sharey=True, layout="constrained", squeeze=False)
    edges = np.linspace(0.4, 1, 31)  # what lies below is counted at 0.4
    for ax, (title, (good, bad)) in zip(axes[0], panels.items(), strict=True):
        for values, colour, label in ((good, style.BLUE, "good"), (bad, style.ORANGE, "defective")):
            ax.hist(np.clip(values, 0.4, 1), edges, density=True, histtype="step", color=colour, lw=1.8, label=label)
        ax.set(title=title, xlabel="highest correlation with a training picture")
    axes[0, 0].set_ylabel("density of test pictures")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig


def costs(points: Mapping[str, tuple[float, float]], quality: str) -> Figure:
    """Each method as a point: processor seconds of training, on a logarithmic axis, against its quality."""
    fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    for name, (seconds, value) in points.items():
        colour, marker = LOOKS[name]
        ax.scatter(seconds, value, s=60, color=colour, marker=marker, zorder=3)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(low, high * 2.5)
    ticks = [t for t in (0.01, 0.1, 1, 10, 100) if low <= t <= high * 2.5]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.set(xlabel="training, processor seconds on one thread", ylabel=quality)
    ax.grid()
    _label_beside(fig, ax, points)
    return fig


def _label_beside(fig: Figure, ax: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """The name of each point on the first side of it where it covers no point and no other name."""
    fig.draw_without_rendering()  # the layout decides where things are
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in ax.transData.transform(list(points.values()))]
    sides = (((7, -3), "left"), ((-7, -3), "right"), ((0, 7), "center"), ((0, -14), "center"))
    for name, at in points.items():
        for away, side in sides:
            label = ax.annotate(name, at, xytext=away, textcoords="offset points", fontsize=10, ha=side)
            box = label.get_window_extent()
            if not any(box.overlaps(other) for other in taken) or (away, side) == sides[-1]:
                break
            label.remove()
        taken.append(box)
