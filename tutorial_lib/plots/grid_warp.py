"""Pictures of a map of the plane near a point: square, curved image, parallelogram. Points in, figures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

TRUE = {"color": style.BLUE, "lw": 2.0}
FLAT = {"color": style.ORANGE, "lw": 1.8, "ls": "--"}


def grid_lines(half: float, lines: int = 13, points: int = 81) -> Tensor:
    """Horizontal and vertical lines of a square grid, (2 lines, points, 2)."""
    at, along = torch.linspace(-half, half, lines), torch.linspace(-half, half, points)
    a, b = torch.meshgrid(at, along, indexing="ij")
    return torch.cat([torch.stack([a, b], -1), torch.stack([b, a], -1)]).double()


class WarpPicture:
    """The figure of the widget: plane with square, image of the plane, and the image blown up by 1/h."""

    def __init__(self, half: float):
        self.fig = Figure(figsize=(8.6, 3.3), dpi=100, layout="constrained")
        self.plane, self.image, self.zoom = self.fig.subplots(1, 3)
        self.lines = grid_lines(half)
        for ax, title, limit, axis in ((self.plane, "the square", 1.1 * half, "x"),
                                       (self.image, "its image", 1.95 * half, "z"),
                                       (self.zoom, "image, times 1/h", 1.45, "")):
            ax.set(title=title, xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
            if axis:
                ax.set(xlabel=f"{axis}₁", ylabel=f"{axis}₂")
        self.zoom.set(xlabel="(z₁ − f₁(p)) / h", ylabel="(z₂ − f₂(p)) / h")
        self.plane.add_collection(LineCollection(self.lines.numpy(), color=style.PALE, lw=0.8))
        self.warped = LineCollection(self.lines.numpy(), color=style.PALE, lw=0.8)
        self.image.add_collection(self.warped)
        self.staged = [self.warped]
        (self.square,) = self.plane.plot([], [], **TRUE)
        self.true, self.flat = _pair(self.image)
        self.big_true, self.big_flat = _pair(self.zoom)
        dot = {"marker": "o", "ms": 5, "ls": "", "color": style.BLACK}
        (self.point,), (self.landed,) = self.plane.plot([], [], **dot), self.image.plot([], [], **dot)
        self.moving = [self.square, self.true, self.flat, self.big_true, self.big_flat, self.point, self.landed]
        self.fig.legend([self.true, self.flat], ["true image", "parallelogram of J"], loc="outside lower center",
                        ncols=2)

    def stage(self, function: Callable[[Tensor], Tensor]) -> None:
        """Warp the grid of the middle panel by a map (…, 2) -> (…, 2)."""
        self.warped.set_segments(list(function(self.lines).numpy()))

    def set(self, point: Tensor, square: Tensor, true: Tensor, flat: Tensor, landed: Tensor, h: float) -> None:
        """Move to one state; all points (n, 2), ``point`` and ``landed`` (2,)."""
        self.square.set_data(*square.T)
        for line, points in ((self.true, true), (self.flat, flat), (self.big_true, (true - landed) / h),
                             (self.big_flat, (flat - landed) / h)):
            line.set_data(*points.T)
        for dot, at in ((self.point, point), (self.landed, landed)):
            dot.set_data(*at[:, None])


def _pair(ax: Axes) -> tuple:
    return ax.plot([], [], **TRUE)[0], ax.plot([], [], **FLAT)[0]


def warp_strip(panels: Sequence[tuple[str, Tensor, Tensor, Tensor, float, float]]) -> Figure:
    """States side by side, each blown up by 1/h: ``(title, true (n, 2), flat (n, 2), f(p) (2,), h, gap)``."""
    fig = Figure(figsize=(2.15 * len(panels), 3.2), dpi=style.DPI, layout="compressed")
    for ax, (title, true, flat, landed, h, gap) in zip(fig.subplots(1, len(panels), sharey=True), panels, strict=True):
        ax.plot(*((true - landed) / h).T, **TRUE, label="true image")
        ax.plot(*((flat - landed) / h).T, **FLAT, label="parallelogram of J")
        ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", xlabel="(z₁ − f₁(p)) / h")
        ax.set_title(f"{title}\ngap {gap:.2g}", fontsize=10.5)
    fig.axes[0].set_ylabel("(z₂ − f₂(p)) / h")
    fig.legend(*fig.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig
