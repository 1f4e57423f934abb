"""One part under many angles: the turned picture, its score as a curve, and the running mean over the views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style


def curve(ax: Axes, angles: np.ndarray, scores: np.ndarray, threshold: float) -> None:
    """Score over the angle; what lies above the threshold is marked."""
    ax.plot(angles, scores, color=style.BLUE, lw=1.3, marker=".", ms=5)
    over = scores > threshold
    ax.plot(angles[over], scores[over], color=style.ORANGE, ls="", marker="^", ms=5)
    ax.axhline(threshold, color=style.BLACK, lw=1, ls="--")
    ax.text(0.02, threshold, "threshold", transform=ax.get_yaxis_transform(), va="bottom", fontsize=9.5)
    ax.set(xlabel="angle (degrees)", ylabel="score of this view")
    ax.set_title("one view", fontsize=11)


def running(ax: Axes, means: np.ndarray, threshold: float) -> None:
    """Mean of the first T views over T."""
    ax.plot(np.arange(1, len(means) + 1), means, color=style.GREEN)
    ax.axhline(threshold, color=style.BLACK, lw=1, ls="--")
    ax.set(xlabel="views so far, T", ylabel="mean score of T views")
    ax.set_title("mean of the first T views", fontsize=11)


def limits(scores: Sequence[np.ndarray], threshold: float) -> tuple[float, float]:
    """Common limits of the score axes of all parts, with the threshold inside."""
    low, high = min(threshold, *(s.min() for s in scores)), max(threshold, *(s.max() for s in scores))
    margin = 0.08 * (high - low)
    return low - margin, high + margin


class ViewsPicture:
    """The figure of the widget. ``background`` draws a part; ``set`` moves the picture and the two markers.

    Args:
        side: of the picture in pixels.
        span: limits of the score axes; the same for all parts, so that a marker finds its place on every background.
    """

    def __init__(self, side: int, span: tuple[float, float]):
        self.fig = Figure(figsize=(8.4, 3.0), dpi=100, layout="constrained")
        grid = self.fig.add_gridspec(1, 3, width_ratios=(0.9, 1.2, 1.2))
        self.photo, self.angle, self.mean = (self.fig.add_subplot(grid[k]) for k in range(3))
        self.photo.set_axis_off()
        self.image = self.photo.imshow(np.zeros((side, side, 3)))
        look = {"marker": "o", "ms": 12, "mfc": "none", "mec": style.BLACK, "mew": 2, "ls": ""}
        (self.ring,), (self.dot,) = self.angle.plot([], [], **look), self.mean.plot([], [], **look)
        self.moving = [self.image, self.ring, self.dot]
        for ax in (self.angle, self.mean):
            ax.set_ylim(*span)

    def background(self, angles: np.ndarray, scores: np.ndarray, means: np.ndarray, threshold: float) -> None:
        """Draw what stays while the sliders of one part move."""
        for ax in (self.angle, self.mean):
            for artist in [*ax.lines, *ax.texts]:
                if artist not in self.moving:
                    artist.remove()
        curve(self.angle, angles, scores, threshold)
        running(self.mean, means, threshold)

    def set(self, picture: np.ndarray, angle: float, score: float, views: int, mean: float) -> None:
        """Move to one state. ``picture``: (S, S, 3) in [0, 1], already turned."""
        self.image.set_data(picture)
        self.ring.set_data([angle], [score])
        self.dot.set_data([views], [mean])


def views_strip(states: Sequence[tuple[str, Tensor, float, float]], angles: np.ndarray,
                parts: dict[str, tuple[np.ndarray, np.ndarray]], threshold: float) -> Figure:
    """The deciding states side by side: three turned pictures with their score, then curve and running mean.

    Args:
        states: ``(title, picture (3, S, S), angle, score)`` of each state.
        angles: ``(A,)`` degrees. parts: name to ``(scores (A,), running means (A,))``. threshold: of one view.
    """
    fig = Figure(figsize=(8.4, 4.8), dpi=style.DPI, layout="constrained")
    top, below = fig.subfigures(2, 1, height_ratios=(1, 1.25))
    for ax, (title, picture, angle, score) in zip(top.subplots(1, len(states)), states, strict=True):
        ax.imshow(picture.permute(1, 2, 0).clamp(0, 1).cpu().numpy())
        ax.set_title(f"{title}\n{angle:+.1f}°, score {score:.2f}", fontsize=10.5)
        ax.set_axis_off()
    left, right = below.subplots(1, 2)
    low, high = limits([s for pair in parts.values() for s in pair], threshold)
    looks = zip(parts.items(), (style.BLUE, style.PINK, style.ORANGE), ("-", "-.", ":"), strict=False)
    for (name, (scores, means)), colour, line in looks:
        left.plot(angles, scores, color=colour, ls=line, label=name)
        right.plot(np.arange(1, len(means) + 1), means, color=colour, ls=line)
    for ax in (left, right):
        ax.axhline(threshold, color=style.BLACK, lw=1, ls="--", label="threshold of one view" if ax is left else None)
        ax.set_ylim(low, high)
    left.set(xlabel="angle (degrees)", ylabel="score of one view")
    right.set(xlabel="views so far, T", ylabel="mean score of T views")
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
