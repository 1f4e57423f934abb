"""Pictures of a density that a map of the line has stretched: strips of equal mass and two marks."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

IMAGE = {"color": style.BLUE, "ls": "-", "lw": 2.2}      # the image of the mode
MODE = {"color": style.ORANGE, "ls": "--", "lw": 2.2}    # the mode of the image
SHADES = mpl.colormaps["Greys"](np.linspace(0.25, 0.7, 5))
LIMITS, TOP = (-3.6, 5.2), 3.5


def shades() -> np.ndarray:
    """Ten greys that alternate, so that neighbours can be told apart, (10, 4)."""
    return np.array([SHADES[k % 2 * 2 + 1] for k in range(10)])


def polygons(x: Tensor, p: Tensor) -> list[np.ndarray]:
    """One closed polygon per strip under the curve; x and p (strips, points)."""
    base = np.zeros(len(x[0]))
    return [np.column_stack([np.r_[a, a[::-1]], np.r_[b, base]]) for a, b in zip(x.numpy(), p.numpy(), strict=True)]


class StretchPicture:
    """The figure of the widget: strips of z on the left, their images on the right; x and p are (10, points)."""

    def __init__(self, z: Tensor, p: Tensor):
        self.fig = Figure(figsize=(8.6, 3.8), dpi=100, layout="constrained")
        left, self.ax = self.fig.subplots(1, 2, width_ratios=(1, 1.7))
        left.add_collection(PolyCollection(polygons(z, p), facecolors=shades(), lw=0))
        left.axvline(0, **IMAGE)
        left.set(xlim=(-3.6, 3.6), ylim=(0, 0.45), xlabel="z", ylabel="density π(z)",
                 title="ten strips, a tenth of the mass each")
        self.strips = PolyCollection(polygons(z, p), facecolors=shades(), lw=0)
        self.ax.add_collection(self.strips)
        self.ax.set(xlim=LIMITS, ylim=(0, TOP), xlabel="x", ylabel="density p(x)", title="their images")
        self.ax.axhline(3, color=style.GREY, lw=0.8, ls=":")
        self.image, self.mode = self.ax.axvline(0, **IMAGE), self.ax.axvline(0, **MODE)
        self.said = self.ax.text(5.1, 2.82, "", ha="right", va="top", fontsize=10)
        self.moving = [self.strips, self.image, self.mode, self.said]
        self.fig.legend([self.image, self.mode], ["image of the mode", "mode of the image"],
                        loc="outside lower center", ncols=2)

    def set(self, x: Tensor, p: Tensor, image: float, mode: float, peak: float) -> None:
        """Move to one state; x, p (10, points)."""
        self.strips.set_verts(polygons(x, p))
        self.image.set_xdata([image, image])
        self.mode.set_xdata([mode, mode])
        self.said.set_text(f"highest density {peak:.2f}")


def _panel(ax: Axes, title: str, x: Tensor, p: Tensor, image: float, mode: float) -> None:
    ax.add_collection(PolyCollection(polygons(x, p), facecolors=shades(), lw=0))
    ax.axvline(image, **IMAGE, label="image of the mode")
    ax.axvline(mode, **MODE, label="mode of the image")
    inside = x[(p > 0.01 * p.max())]
    margin = 0.08 * float(inside.max() - inside.min())
    ax.set(xlim=(float(inside.min()) - margin, float(inside.max()) + margin), ylim=(0, 1.1 * float(p.max())),
           xlabel="x")
    ax.set_title(title, fontsize=10.5)


def stretch_strip(panels: Sequence[tuple[str, Tensor, Tensor, float, float]]) -> Figure:
    """States side by side, each on its own axes: ``(title, x (10, points), p (10, points), image, mode)``."""
    fig = Figure(figsize=(2.3 * len(panels), 2.9), dpi=style.DPI, layout="constrained")
    for ax, panel in zip(fig.subplots(1, len(panels)), panels, strict=True):
        _panel(ax, *panel)
    fig.axes[0].set_ylabel("density p(x)")
    fig.legend(*fig.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig
