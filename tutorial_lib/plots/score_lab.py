"""The figures of the score lab: two score distributions with ROC curve and counts; a map with a missed region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutorial_lib.plots import style

SCORES = np.linspace(-4, 10, 281)
CELLS = (("found", 0, 1), ("missed", 0, 0), ("false alarms", 1, 1), ("passed", 1, 0))


def bell(x: np.ndarray, mean: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """The density of a normal distribution."""
    return np.exp(-0.5 * ((x - mean) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))


def score_axes(ax: Axes) -> None:
    """The axes of the two distributions, with that of the normal parts."""
    ax.fill_between(SCORES, bell(SCORES), color=style.BLUE, alpha=0.25, lw=0)
    ax.plot(SCORES, bell(SCORES), color=style.BLUE, label="normal parts")
    ax.set(xlim=(-4, 10), ylim=(0, 0.85), xlabel="score (1 = spread of the normal ones)", ylabel="density", yticks=[])


def roc_axes(ax: Axes) -> None:
    ax.plot([0, 1], [0, 1], color=style.GREY, lw=0.8, ls=":")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel="false-positive rate", ylabel="true-positive rate",
           title="ROC curve", aspect="equal")


class OverlapPicture:
    """Tab 1: distributions with the threshold, ROC curve with the working point, four counts."""

    def __init__(self, parts: int):
        self.fig = Figure(figsize=(8.8, 3.1), dpi=100, layout="constrained")
        scores, roc, table = self.fig.subplots(1, 3, width_ratios=(1.5, 1, 0.95))
        score_axes(scores)
        roc_axes(roc)
        (self.curve,) = scores.plot([], [], color=style.ORANGE, ls="--", label="defective parts")
        (self.line,) = scores.plot([], [], color=style.BLACK, lw=2)
        scores.legend(loc="upper right")
        (self.roc,) = roc.plot([], [], color=style.GREEN)
        (self.point,) = roc.plot([], [], "o", color=style.BLACK, ms=9, mfc="none", mew=2)
        table.set_axis_off()
        table.set_title(f"{parts:,} parts")
        table.text(0.36, 0.90, "alarm", ha="center")
        table.text(0.78, 0.90, "no alarm", ha="center")
        for row, word in enumerate(("defective", "normal")):
            table.text(0.02, 0.62 - 0.42 * row, word, va="center", rotation=90, fontsize=10)
        self.cells = {}
        for name, row, alarm in CELLS:
            x, y = (0.36 if alarm else 0.78), 0.62 - 0.42 * row
            table.text(x, y - 0.12, name, ha="center", va="center", fontsize=9.5, color=style.GREY)
            self.cells[name] = table.text(x, y, "", ha="center", va="center", fontsize=13)
        self.moving = [self.curve, self.line, self.roc, self.point, *self.cells.values()]

    def set(self, distance: float, spread: float, threshold: float, roc: np.ndarray, point: tuple[float, float],
            counts: dict[str, float]) -> None:
        """``roc``: (2, N) rates; ``point``: the working point; ``counts``: by the names of ``CELLS``."""
        self.curve.set_data(SCORES, bell(SCORES, distance, spread))
        self.line.set_data([threshold] * 2, [0, 0.85])
        self.roc.set_data(*roc)
        self.point.set_data([point[0]], [point[1]])
        for name, artist in self.cells.items():
            artist.set_text(f"{counts[name]:,.0f}")


def overlap_strip(states: Sequence[tuple[str, float, float, float]]) -> Figure:
    """Deciding states side by side: ``(title, distance, spread, threshold)``."""
    fig = Figure(figsize=(8.6, 2.7), dpi=style.DPI, layout="constrained")
    for ax, (title, distance, spread, threshold) in zip(fig.subplots(1, len(states), sharey=True), states, strict=True):
        score_axes(ax)
        ax.plot(SCORES, bell(SCORES, distance, spread), color=style.ORANGE, ls="--", label="defective parts")
        ax.axvline(threshold, color=style.BLACK, lw=2)
        ax.set_title(title, fontsize=10)
        ax.set(xlim=(-4, 8), xlabel="score", ylim=(0, 0.6), ylabel="")
    handles = fig.axes[0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=2)
    return fig


class MissedPicture:
    """Tab 2: the map with both true regions outlined, and the two metrics over the radius of the second one."""

    def __init__(self, side: int, radii: np.ndarray):
        self.radii = radii
        self.fig = Figure(figsize=(8.4, 3.3), dpi=100, layout="constrained")
        left, right = self.fig.subplots(1, 2, width_ratios=(1, 1.5))
        self.image = left.imshow(np.zeros((side, side, 3)), interpolation="nearest")
        left.set_title("map (yellow = marked), truth in orange", fontsize=10)
        left.set_axis_off()
        self.lines, self.dots = [], []
        for name, colour, line in (("pixel AUROC", style.BLUE, "-"), ("AUPRO up to 0.3", style.ORANGE, "--")):
            self.lines += right.plot([], [], color=colour, ls=line, label=name)
            self.dots += right.plot([], [], "o", color=colour, ms=9, mfc="none", mew=2)
        right.set(xlim=(0, radii[-1] + 1), ylim=(0.5, 1.02), xlabel="radius of the second defect (pixels)",
                  ylabel="value of the metric")
        right.axhline(0.9, color=style.GREY, lw=0.8, ls=":")
        right.legend(loc="lower left")
        self.moving = [self.image, *self.lines, *self.dots]

    def set(self, pixels: np.ndarray, curves: Sequence[np.ndarray], radius: float, values: Sequence[float]) -> None:
        """``pixels``: (S, S, 3); ``curves``: both metrics at every radius; ``values``: both at this one."""
        self.image.set_data(pixels)
        for line, dot, curve, value in zip(self.lines, self.dots, curves, values, strict=True):
            line.set_data(self.radii, curve)
            dot.set_data([radius], [value])


def missed_strip(states: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Deciding states side by side: ``(title, pixels (S, S, 3))``."""
    fig = Figure(figsize=(8.4, 3.4), dpi=style.DPI, layout="compressed")
    for ax, (title, pixels) in zip(fig.subplots(1, len(states)), states, strict=True):
        ax.imshow(pixels, interpolation="nearest")
        ax.set_title(title, fontsize=10.5)
        ax.set_axis_off()
    return fig
