"""Maps of several scales, mixed with weights: two defects side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutorial_lib.plots import style


def _outlined(ax: Axes, mask: np.ndarray) -> None:
    if mask.any():
        ax.contour(mask.astype(float), levels=[0.5], colors=[style.ORANGE], linewidths=1.2)


class MixPicture:
    """The figure of the widget: each defect's photograph and the mixed map beside it, and one bar per kind.

    Args:
        photos: kind to ``(picture (S, S, 3), mask (S, S))``.
    """

    def __init__(self, photos: dict[str, tuple[np.ndarray, np.ndarray]]):
        self.fig = Figure(figsize=(9.0, 3.0), dpi=100, layout="constrained")
        axes = self.fig.subplots(1, 2 * len(photos) + 1, width_ratios=[1, 1] * len(photos) + [0.9])
        self.images = []
        for k, (kind, (picture, mask)) in enumerate(photos.items()):
            photo, heat = axes[2 * k], axes[2 * k + 1]
            photo.imshow(picture)
            photo.set_title(kind, fontsize=10.5)
            self.images.append(heat.imshow(np.zeros(mask.shape), cmap=style.SEQUENTIAL, vmin=0, vmax=1))
            heat.set_title("mixed map", fontsize=10.5)
            for ax in (photo, heat):
                ax.set_axis_off()
            _outlined(photo, mask)
        self.ax = axes[-1]
        self.bars = self.ax.bar(range(len(photos)), [0.5] * len(photos), color=[style.BLUE, style.ORANGE])
        self.ax.set_xticks(range(len(photos)), list(photos))
        self.ax.set(ylim=(0.4, 1.0), title="image AUROC")
        self.ax.title.set_fontsize(10.5)
        self.ax.axhline(0.5, color=style.GREY, lw=1, ls="--")
        self.moving = [*self.images, *self.bars]

    def set(self, maps: Sequence[np.ndarray], aurocs: Sequence[float]) -> None:
        """Move to one state; each map ``(S, S)`` is drawn from 0 to its own maximum over both."""
        top = max(float(m.max()) for m in maps) or 1.0
        for image, values in zip(self.images, maps, strict=True):
            image.set_data(values / top)
        for bar, value in zip(self.bars, aurocs, strict=True):
            bar.set_height(value)


def mix_strip(photos: dict[str, tuple[np.ndarray, np.ndarray]],
              states: Sequence[tuple[str, dict[str, np.ndarray], dict[str, float]]]) -> Figure:
    """One row per defect, one column per state ``(title, kind to map, kind to AUROC)``; the photograph comes first."""
    fig = Figure(figsize=(8.6, 1.95 * len(photos) + 0.5), dpi=style.DPI, layout="constrained")
    axes = np.atleast_2d(fig.subplots(len(photos), len(states) + 1))
    for row, (kind, (picture, mask)) in enumerate(photos.items()):
        axes[row, 0].imshow(picture)
        axes[row, 0].set_title(kind, fontsize=10.5)
        _outlined(axes[row, 0], mask)
        for column, (title, maps, aurocs) in enumerate(states, start=1):
            ax = axes[row, column]
            ax.imshow(maps[kind], cmap=style.SEQUENTIAL, vmin=0)
            ax.set_title(f"{title}: {aurocs[kind]:.2f}", fontsize=10.5)
            _outlined(ax, mask)
    for ax in axes.flat:
        ax.set_axis_off()
    return fig
