"""Pictures of PyramidFlow itself: its pipeline, what pays for shrinking, and what each level adds to a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from tutorial_lib.plots import style

LEVEL_COLOURS = (style.BLUE, style.SKY, style.AMBER, style.PINK)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], both: bool = False) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "<->" if both else "->", "lw": 1.3, "color": style.GREY})


def _box(ax: Axes, x: float, y: float, width: float, height: float, text: str) -> None:
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02", fc=style.PALE, ec=style.BLACK, lw=1))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9.5)


def _stack(ax: Axes, x: float, sides: Sequence[float], centres: Sequence[float], names: Sequence[str]) -> None:
    for side, y, colour, name in zip(sides, centres, LEVEL_COLOURS, names, strict=False):
        ax.add_patch(Rectangle((x - side / 2, y - side / 2), side, side, fc=colour, ec=style.BLACK, lw=0.9))
        ax.text(x, y - side / 2 - 0.20, name, ha="center", va="center", fontsize=9.5)


def pipeline(image: Tensor, heat: Tensor, size: int = 64, channels: int = 3, stacks: int = 4) -> Figure:
    """PyramidFlow from the image to its map: stem, pyramid, flow between the levels, template, composition.

    Args:
        image: ``(3, H, W)`` in [0, 1]. heat: its map ``(H, W)``.
        size: side of the image in pixels. channels: of every level. stacks: times the levels take turns.
    """
    fig = Figure(figsize=(9.0, 4.1), dpi=style.DPI, layout="constrained")
    ax = fig.subplots()
    ax.set(xlim=(0, 13.6), ylim=(-1.15, 4.75), aspect="equal")
    ax.set_axis_off()
    sides, centres = (1.30, 0.82, 0.52, 0.32), (3.65, 2.15, 1.05, 0.25)
    ax.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), extent=(0.1, 1.6, 1.5, 3.0), zorder=2)
    ax.text(0.85, 1.27, f"{size} px, 3 colours", ha="center", va="center", fontsize=9.5)
    _arrow(ax, (1.65, 2.25), (2.05, 2.25))
    _box(ax, 2.1, 1.75, 1.0, 1.0, f"fixed\nmatrix\n3 → {channels}")
    _arrow(ax, (3.15, 2.25), (3.55, 2.25))
    _stack(ax, 4.3, sides, centres, [f"{size >> k} × {size >> k}" for k in range(4)])
    ax.text(4.3, 4.55, "pyramid", ha="center", va="center", fontsize=10.5)
    ax.add_patch(FancyBboxPatch((5.5, -0.15), 2.0, 4.45, boxstyle="round,pad=0.04", fc="white", ec=style.ORANGE,
                                lw=1.6))
    ax.text(6.5, 4.58, f"flow: {stacks} rounds", ha="center", va="center", fontsize=10.5)
    for y, colour in zip(centres, LEVEL_COLOURS, strict=True):
        ax.plot([5.05, 7.95], [y, y], color=colour, lw=3, zorder=1, solid_capstyle="butt")
    for above, below in pairwise(centres):
        _arrow(ax, (6.5, above - 0.08), (6.5, below + 0.08), both=True)
    ax.text(6.62, (centres[0] + centres[1]) / 2, "s, t", fontsize=9.5, va="center")
    _stack(ax, 8.7, sides, centres, [f"z{sub}" for sub in "₀₁₂₃"])
    ax.text(8.7, 4.55, "latents", ha="center", va="center", fontsize=10.5)
    _arrow(ax, (9.5, 2.25), (9.85, 2.25))
    _box(ax, 9.9, 1.55, 1.35, 1.4, "|z − T|\nT: mean of\nnormal ones")
    _arrow(ax, (11.3, 2.25), (11.65, 2.25))
    ax.text(11.48, 2.52, "join", ha="center", fontsize=9.5)
    ax.imshow(heat.numpy(), extent=(11.7, 13.2, 1.5, 3.0), cmap=style.SEQUENTIAL, zorder=2)
    ax.text(12.45, 1.27, "map; score: its\nmaximum", ha="center", va="top", fontsize=9.5)
    for left, right, colour, text in ((0.1, 5.0, style.BLUE, "never trained"),
                                      (5.4, 7.6, style.ORANGE, "trained"),
                                      (8.0, 13.3, style.BLUE, "a mean, an absolute value, a sum")):
        ax.plot([left, right], [-0.55, -0.55], color=colour, lw=1.5)
        ax.text((left + right) / 2, -0.85, text, ha="center", va="center", fontsize=10, color=colour)
    ax.set(xlim=(0, 13.6), ylim=(-1.15, 4.75))
    return fig


def shrinking(runs: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Two trainings side by side: the loss, and what the volume does, over the steps.

    Args:
        runs: name to ``(loss, log_det of the batch per number)``, one entry per step.
    """
    fig = Figure(figsize=(7.8, 2.9), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, 2)
    for (name, curves), colour, look in zip(runs.items(), (style.BLUE, style.ORANGE), ("-", "--"), strict=False):
        for ax, values in zip(axes, curves, strict=True):
            ax.plot(range(1, len(values) + 1), values, color=colour, ls=look, label=name)
    for ax, title in zip(axes, ("loss", "log_det, nats per number"), strict=True):
        ax.set(title=title, xlabel="optimiser step")
        ax.grid(axis="y")
    axes[0].set_yscale("log")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def shares(groups: Mapping[str, tuple[Sequence[float], float]]) -> Figure:
    """log|det| of each sample of a batch and of the batch as a whole, one group of bars per setting.

    Args:
        groups: title to ``(one number per sample, the number of the joint Jacobian)``, in nats.
    """
    fig = Figure(figsize=(7.8, 2.7), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(groups), sharey=True)
    for ax, (title, (alone, joint)) in zip(axes, groups.items(), strict=True):
        names = [str(k + 1) for k in range(len(alone))] + ["batch"]
        ax.bar(names, [*alone, joint], color=[style.SKY] * len(alone) + [style.ORANGE], edgecolor=style.BLACK, lw=0.7)
        ax.axhline(0, color=style.BLACK, lw=0.8)
        ax.set_title(title, fontsize=10.5)
        ax.set_xlabel("sample")
        for k, value in enumerate([*alone, joint]):
            ax.annotate(f"{value + 0.0:.2f}", (k, value), xytext=(0, 3 if value >= 0 else -11),
                        textcoords="offset points", ha="center", fontsize=9)
    axes[0].set_ylabel("log|det|, nats")
    axes[0].margins(y=0.2)
    return fig


def level_maps(image: Tensor, parts: Tensor, mask: Tensor) -> Figure:
    """How a map is composed: the picture, what each level adds, and the sum.

    Args:
        image: ``(3, S, S)``. parts: ``(L, S, S)``, what each level adds. mask: ``(S, S)`` bool, outlined.
    """
    n, top = len(parts), float(parts.sum(0).max())
    fig = Figure(figsize=(8.6, 1.9), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, n + 2)
    axes[0].imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
    for ax, part in zip(axes[1:], [*parts, parts.sum(0)], strict=True):
        shown = ax.imshow(part.numpy(), cmap=style.SEQUENTIAL, vmin=0, vmax=top)
    for ax, title in zip(axes, ("picture", *(f"level {k}" for k in range(n)), "map = sum"), strict=True):
        ax.set_title(title, fontsize=10.5)
        ax.set_axis_off()
        if mask.any():
            ax.contour(mask.numpy().astype(float), levels=[0.5], colors=[style.ORANGE], linewidths=1.1)
    fig.colorbar(shown, ax=axes, shrink=0.8)
    return fig


def ablations(panels: Mapping[str, tuple[Sequence[str], Mapping[str, tuple[Sequence[float], Sequence[float]]]]],
              label: str) -> Figure:
    """One panel per switch: mean and spread over seeds at each of its settings, one line per product.

    Args:
        panels: title to ``(settings, product -> (means, standard deviations))``. label: of the shared axis.
    """
    fig = Figure(figsize=(8.8, 3.1), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (title, (settings, products)) in zip(axes, panels.items(), strict=True):
        at = np.arange(len(settings))
        looks = zip(products.items(), style.CYCLE, ("o", "s", "^", "D"), (-0.06, 0.06, -0.12, 0.12), strict=False)
        for (product, (mean, sd)), colour, marker, aside in looks:
            ax.errorbar(at + aside, mean, sd, color=colour, marker=marker, ms=5, capsize=3, label=product)
        ax.set_xticks(at, settings)
        ax.margins(x=0.15)
        ax.set_title(title, fontsize=10.5)
        ax.grid(axis="y")
    axes[0].set_ylabel(label)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
