"""A part, its map against a template of n normals, and how the map's maximum falls while the template grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style


def _photo(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).clamp(0, 1).cpu().numpy()


def _curve_axes(ax: Axes, normals: int, top: float, line: float) -> None:
    ax.axhline(line, color=style.BLACK, lw=1.2, ls=(0, (1, 2)), label="dark below this")
    ax.set(xlabel="normals in the template", ylabel="maximum of the map", xlim=(0, normals + 1), ylim=(0, top))


class BuilderPicture:
    """The figure of the widget: the shifted part, its map, and the maximum of the map over the number of normals."""

    def __init__(self, side: int, normals: int, top: float, line: float):
        self.fig = Figure(figsize=(8.4, 3.0), dpi=100, layout="constrained")
        grid = self.fig.add_gridspec(1, 3, width_ratios=(1, 1.2, 1.35))
        left, middle, right = (self.fig.add_subplot(grid[k]) for k in range(3))
        for ax, title in ((left, "part, shifted"), (middle, "its map")):
            ax.set_axis_off()
            ax.set_title(title, fontsize=10.5)
        self.image = left.imshow(np.zeros((side, side, 3)))
        self.heat = middle.imshow(np.zeros((side, side)), cmap=style.SEQUENTIAL, vmin=0, vmax=top)
        self.fig.colorbar(self.heat, ax=middle, shrink=0.85)
        _curve_axes(right, normals, top, line)
        right.legend(loc="upper right", fontsize=9.5)
        self.curve, = right.plot([], [], color=style.BLUE)
        self.dot, = right.plot([], [], marker="o", ms=9, mfc="none", mec=style.ORANGE, mew=2.5, ls="")
        self.moving = [self.image, self.heat, self.curve, self.dot]

    def set(self, part: Tensor, heat: Tensor, curve: Sequence[float], normals: int) -> None:
        """Move to one state: part ``(3, S, S)``, map ``(S, S)``, maxima for 1, 2, … normals, and the chosen number."""
        self.image.set_data(_photo(part))
        self.heat.set_data(heat.numpy())
        self.curve.set_data(range(1, len(curve) + 1), curve)
        self.dot.set_data([normals], [curve[normals - 1]])


def builder_strip(states: Sequence[tuple[str, Tensor, Tensor]], curves: Mapping[str, Sequence[float]],
                  line: float) -> Figure:
    """The deciding states side by side, and the curves of all shifts below.

    Args:
        states: ``(title, part (3, S, S), map (S, S))``.
        curves: label to the maximum of the map for 1, 2, … normals. line: below it a map counts as dark.
    """
    top = max(float(heat.max()) for _, _, heat in states)
    fig = Figure(figsize=(8.4, 3.9), dpi=style.DPI, layout="constrained")
    above, below = fig.subfigures(1, 2, width_ratios=(1.75, 1))
    axes = above.subplots(2, len(states))
    for column, (title, part, heat) in zip(axes.T, states, strict=True):
        column[0].imshow(_photo(part))
        column[0].set_title(title, fontsize=10)
        shown = column[1].imshow(heat.numpy(), cmap=style.SEQUENTIAL, vmin=0, vmax=top)
        for ax in column:
            ax.set_axis_off()
    above.colorbar(shown, ax=axes[1, :], shrink=0.85, label="map")
    right = below.subplots()
    n = max(len(c) for c in curves.values())
    _curve_axes(right, n, 1.08 * max(max(c) for c in curves.values()), line)
    for (label, values), colour, look in zip(curves.items(), style.CYCLE, ("-", "--", "-.", ":"), strict=False):
        right.plot(range(1, len(values) + 1), values, color=colour, ls=look, label=label)
    below.legend(*right.get_legend_handles_labels(), loc="outside lower center")
    return fig
