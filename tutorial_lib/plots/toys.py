"""Pictures of flows in the plane: clouds, densities, clamps and loss curves. Arrays in, figures out."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from tutorial_lib.plots import style


def clouds(panels: dict[str, Tensor], half: float = 3.2, behind: Tensor | None = None, colour: Tensor | None = None,
           circle: tuple[int, ...] = (), axis: str = "x") -> Figure:
    """Point clouds (N, 2) side by side on one scale.

    Args:
        panels: title and points of each panel.
        half: half width of every panel.
        behind: points drawn pale behind every cloud, for comparison.
        colour: the first data coordinate x₁ of every point (N,), the same in all panels; a colour bar names it.
        circle: panels (from 0) that get a dashed circle of radius 2, which holds 86 % of a standard normal.
        axis: letter of the coordinates, ``"x"`` for data, ``"z"`` for latents.
    """
    side = min(2.6, 9.0 / len(panels))
    fig, axes = plt.subplots(1, len(panels), figsize=(side * len(panels), side + 0.6), sharey=True, squeeze=False)
    for k, (ax, (title, points)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        _square(ax, half)
        if behind is not None:
            ax.plot(*behind.T, ".", markersize=2, color=style.PALE)
        if colour is None:
            ax.plot(*points.T, ".", markersize=2.5, color=style.BLUE)
        else:
            shown = ax.scatter(*points.T, c=colour, s=4, cmap=style.NEUTRAL)
        if k in circle:
            ax.add_patch(Circle((0, 0), 2, fill=False, color=style.GREY, linestyle="--", linewidth=1.4, zorder=3))
        ax.set(title=title, xlabel=f"{axis}₁")
    axes[0, 0].set_ylabel(f"{axis}₂")
    if colour is not None:
        fig.colorbar(shown, ax=list(axes[0]), label="x₁ in the data", shrink=0.7, fraction=0.02)
    return fig


def maps(density: Tensor, log_det: Tensor, points: Tensor, half: float) -> Figure:
    """Density and log_det over the plane, both (n, n), rows from below, with some data points on the log_det."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.4))
    extent = (-half, half, -half, half)
    shown = left.imshow(density, origin="lower", extent=extent, cmap=style.SEQUENTIAL, vmin=0)
    fig.colorbar(shown, ax=left, label="density, per unit area")
    limit = float(log_det.abs().max())
    shown = right.imshow(log_det, origin="lower", extent=extent, cmap=style.DIVERGING, vmin=-limit, vmax=limit)
    fig.colorbar(shown, ax=right, label="log_det, nats")
    for ax, title in ((left, "density p(x)"), (right, "log_det: red is stretched")):
        ax.set(title=title, xlabel="x₁", ylabel="x₂", xlim=extent[:2], ylim=extent[2:])
    right.plot(*points.T, ".", markersize=1, color="black")
    return fig


def clamp_curves(s: Tensor, curves: dict[str, Tensor]) -> Figure:
    """Clamp functions c(s) over s, on one pair of axes, with the unclamped line for comparison."""
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    ax.plot(s, s, color=style.PALE, linewidth=3, label="no clamp: c(s) = s")
    for (name, values), dashes in zip(curves.items(), ("-", "--", "-.", ":"), strict=False):
        ax.plot(s, values, dashes, label=name)
    bound = max(float(v.abs().max()) for v in curves.values())
    ax.set(xlabel="s, what the network returns", ylabel="c(s), what is used", ylim=(-1.5 * bound, 1.5 * bound))
    ax.axhline(0, color=style.GREY, linewidth=0.6)
    ax.axvline(0, color=style.GREY, linewidth=0.6)
    ax.legend(loc="upper left")
    return fig


def losses(curves: dict[str, list[float]], ylabel: str = "loss, nats per sample", ylim: tuple | None = None,
           level: tuple[float, str] | None = None) -> Figure:
    """Loss curves on one pair of axes; ``level`` draws a dotted line with a name."""
    fig, ax = plt.subplots(figsize=(6.4, 3.2))
    for (name, values), dashes in zip(curves.items(), ("-", "--", "-.", ":"), strict=False):
        ax.plot(values, dashes, label=name, linewidth=1.4)
    if level is not None:
        ax.axhline(level[0], color=style.GREY, linestyle=":", label=level[1])
    ax.set(xlabel="step", ylabel=ylabel)
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.legend(loc="best")
    return fig


def learning_rates(runs: dict[float, list[list[float]]], ylim: tuple[float, float]) -> Figure:
    """One panel per learning rate, one curve per seed (smoothed over ten steps)."""
    fig, axes = plt.subplots(1, len(runs), figsize=(8.2, 2.9), sharey=True)
    window = np.ones(10) / 10
    for ax, (rate, seeds) in zip(axes, runs.items(), strict=True):
        for seed, (values, dashes) in enumerate(zip(seeds, ("-", "--", "-."), strict=False)):
            ax.plot(np.convolve(values, window, "valid"), dashes, label=f"seed {seed}", linewidth=1.4)
        ax.set(title=f"learning rate {rate:g}", xlabel="step", ylim=ylim)
    axes[0].set_ylabel("loss, nats per sample")
    axes[-1].legend(loc="upper right")
    return fig


def _square(ax: Axes, half: float) -> None:
    ax.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xticks=(-2, 0, 2), yticks=(-2, 0, 2))
