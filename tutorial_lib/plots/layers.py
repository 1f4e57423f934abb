"""Pictures of a flow layer by layer: points on the warped grid, density, log_det, and the running sum of one probe."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

GRID_LINE = 60  # points along one grid line


class LayerPicture:
    """Four panels that can be redrawn piecemeal: backgrounds per layer, and the probe on top."""

    def __init__(self, window: float, layers: int):
        self.fig = Figure(figsize=(8.2, 6.0), dpi=88, layout="constrained")
        (self.cloud, self.mass), (self.volume, self.bars) = self.fig.subplots(2, 2)
        extent = (-window, window, -window, window)
        blank = np.zeros((2, 2))
        self.lines = LineCollection([], colors=style.PALE, linewidths=0.7, zorder=0)
        self.cloud.add_collection(self.lines)
        self.points = self.cloud.scatter([0], [0], c=[0], s=7, cmap=style.NEUTRAL)
        self.density = self.mass.imshow(blank, origin="lower", extent=extent, cmap=style.SEQUENTIAL, vmin=0, vmax=0.5)
        self.log_det = self.volume.imshow(blank, origin="lower", extent=extent, cmap=style.DIVERGING, vmin=-8, vmax=8)
        self.fig.colorbar(self.density, ax=self.mass, label="per unit area", extend="max")
        self.fig.colorbar(self.log_det, ax=self.volume, label="nats", extend="both")
        self.mass.set_title("density after this layer")
        self.volume.set(title="log_det so far, at each data point x", xlabel="x₁", ylabel="x₂")
        for ax in (self.cloud, self.mass):
            ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="first coordinate", ylabel="second coordinate")
        self.cloud.set_aspect("equal")
        self.bars.set(xlim=(0.4, layers + 0.6), ylim=(-3, 3), xlabel="layer", ylabel="log_det of the probe, nats")
        self.bars.set_xticks(range(1, layers + 1))
        self.bars.set_title("what each layer adds (dark: so far)")
        self.bars.axhline(0, color=style.GREY, linewidth=0.8)
        self.boxes = self.bars.bar(range(1, layers + 1), np.zeros(layers), color=style.PALE)
        mark = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "markeredgewidth": 2.5, "linestyle": ""}
        self.marks = [ax.plot([0], [0], markeredgecolor=style.ORANGE, **mark)[0]
                      for ax in (self.cloud, self.mass, self.volume)]
        self.total = self.bars.text(0.98, 0.95, "", transform=self.bars.transAxes, ha="right", va="top")
        self.moving = [*self.marks, *self.boxes, self.total]
        self.staged = [self.density, self.log_det, self.lines, self.points, self.cloud.title]

    def background(self, layer: int, points: Tensor, colour: Tensor, lines: Tensor, density: Tensor,
                   log_det: Tensor) -> None:
        """Set what stays while the probe moves."""
        self.cloud.set_title(f"points and grid after layer {layer}" if layer else "the data, and a square grid")
        self.points.set_offsets(points.numpy())
        self.points.set_array(colour.numpy())
        self.points.autoscale()
        self.lines.set_segments(lines.view(-1, GRID_LINE, 2).numpy())
        self.density.set_data(density.numpy())
        self.log_det.set_data(log_det.numpy())

    def probe(self, start: tuple[float, float], here: tuple[float, float], parts: list[float], layer: int) -> None:
        """Move the probe: its place after ``layer`` layers, its place in the data, and its bars."""
        for mark, (x, y) in zip(self.marks, (here, here, start), strict=True):
            mark.set_data([x], [y])
        for k, (box, part) in enumerate(zip(self.boxes, parts, strict=True), start=1):
            box.set_height(part)
            box.set_facecolor(style.BLUE if k <= layer else style.PALE)
        self.total.set_text(f"sum so far {sum(parts[:layer]):+.2f} nats")


def layer_strip(stages: list[tuple[int, Tensor, Tensor]], colour: Tensor, window: float) -> Figure:
    """Stages ``(layer, points (N, 2), grid lines)`` side by side."""
    fig, axes = plt.subplots(1, len(stages), figsize=(2.3 * len(stages), 3.1), sharey=True)
    for ax, (layer, points, lines) in zip(axes, stages, strict=True):
        ax.add_collection(LineCollection(lines.view(-1, GRID_LINE, 2).numpy(), colors=style.PALE, linewidths=0.6,
                                         zorder=0))
        shown = ax.scatter(*points.T, c=colour, s=4, cmap=style.NEUTRAL)
        ax.set(xlim=(-window, window), ylim=(-window, window), aspect="equal",
               title=f"after layer {layer}" if layer else "data", xlabel="first coordinate")
    axes[0].set_ylabel("second coordinate")
    fig.colorbar(shown, ax=list(axes), label="x₁ in the data", shrink=0.7, fraction=0.02)
    return fig
