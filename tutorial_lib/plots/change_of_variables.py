"""Figures of chapter 04: histograms with a formula on top, and patches of the unit square that a map stretches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

DASHES = ("-", "--", ":")


def before_after(before: Tensor, after: Tensor, bins: int = 20, axes: tuple[str, str] = ("u", "x = u²")) -> Figure:
    """Counts of the same numbers before and after a map, (n,) each, in bins of one width on 0 to 1."""
    fig = Figure(figsize=style.WIDE, layout="constrained")
    for ax, values, name, colour in zip(fig.subplots(1, 2, sharey=True), (before, after), axes,
                                        (style.GREY, style.BLUE), strict=True):
        ax.hist(values.numpy(), bins=bins, range=(0, 1), color=colour, edgecolor="white", lw=0.5)
        ax.set(xlabel=name, xlim=(0, 1))
    fig.axes[0].set_ylabel("count per bin")
    return fig


def histogram(samples: Tensor, edges: Tensor, curves: Mapping[str, tuple[Tensor, Tensor]],
              marks: Mapping[str, float] | None = None, ylim: tuple[float, float] | None = None) -> Figure:
    """The density of samples (n,) over bins, and named curves ``(x, p)`` on top; marks are vertical lines."""
    fig = Figure(figsize=(6.0, 3.2), layout="constrained")
    ax = fig.subplots()
    count, at = np.histogram(samples.numpy(), edges.numpy())
    ax.stairs(count / len(samples) / np.diff(at), at, fill=True, color=style.PALE, label="histogram")
    for k, (name, (x, p)) in enumerate(curves.items()):
        ax.plot(x, p, color=style.CYCLE[k], ls=DASHES[k], label=name)
    looks = ({"color": style.BLACK, "ls": "-."}, {"color": style.ORANGE, "ls": "--"})
    for (name, value), look in zip((marks or {}).items(), looks, strict=False):
        ax.axvline(value, lw=1.6, label=f"{name} {value:.2f}", **look)
    ax.set(xlabel="x", ylabel="density, per unit of x", xlim=(float(edges[0]), float(edges[-1])))
    if ylim:
        ax.set_ylim(*ylim)
    ax.legend(loc="upper right")
    return fig


def patches(before: Tensor, after: Tensor, density: Tensor, axes: Sequence[str]) -> Figure:
    """Cells of a grid before and after a map of the plane, (cells, corners, 2), shaded by density after (cells,)."""
    fig = Figure(figsize=(7.0, 3.6), layout="constrained")
    left, right = fig.subplots(1, 2)
    for ax, cells, names in ((left, before, axes[:2]), (right, after, axes[2:])):
        shown = PolyCollection(list(cells.numpy()), cmap=style.SEQUENTIAL, edgecolors="white", lw=0.6)
        shown.set_array(density.numpy())
        shown.set_clim(0, float(density.max()))
        ax.add_collection(shown)
        ax.autoscale_view()
        ax.set(xlabel=names[0], ylabel=names[1], aspect="equal")
    fig.colorbar(shown, ax=right, shrink=0.75, label="density after, per unit of area")
    return fig
