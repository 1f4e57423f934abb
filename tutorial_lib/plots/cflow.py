"""Pictures of CFlow-AD itself: its pipeline, the code of a position, the weight of a sample, and the way to a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from tutorial_lib.plots import style

LEVELS = ((3.9, 8, style.BLUE), (2.3, 4, style.SKY), (0.9, 2, style.AMBER))  # height, cells drawn, colour


def _box(ax, x, y, width, height, text, size=10):
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02", fc=style.PALE, ec=style.BLACK, lw=1))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size)


def _arrow(ax, start, end):
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.3, "color": style.GREY})


def _grid(ax, x, y, cells, side, colour="white"):
    for row in range(cells):
        for column in range(cells):
            step = side / cells
            ax.add_patch(Rectangle((x + column * step, y - side / 2 + row * step), step, step, fc=colour,
                                   ec=style.BLACK, lw=0.5))


def pipeline(image: Tensor) -> Figure:
    """CFlow-AD from the image to the map: three depths, one vector per position, one flow per depth, one sum."""
    fig, ax = plt.subplots(figsize=(9.2, 4.1), layout="constrained")
    ax.set(xlim=(0, 15.0), ylim=(-0.9, 5.5), aspect="equal")
    ax.set_axis_off()
    picture = image.permute(1, 2, 0).clamp(0, 1).cpu().numpy()
    ax.imshow(picture, extent=(0.0, 1.9, 1.45, 3.35), zorder=2)
    ax.text(0.95, 1.15, "image", ha="center", fontsize=10)
    ax.text(3.15, 4.85, "frozen backbone:\nmaps at 3 depths", ha="center", fontsize=10)
    ax.text(6.15, 4.85, "one vector per\nposition, with its code", ha="center", fontsize=10)
    ax.text(9.2, 5.05, "one flow per depth", ha="center", fontsize=10)
    ax.text(11.5, 4.85, "likelihood\nper position", ha="center", fontsize=10)
    for k, (y, cells, colour) in enumerate(LEVELS):
        side = 1.15 - 0.2 * k
        _arrow(ax, (2.0, 2.4), (2.5, y))
        _grid(ax, 2.6, y, cells, side, colour)
        _arrow(ax, (2.7 + side, y), (5.0, y))
        ax.add_patch(Rectangle((5.1, y - 0.1), 1.3, 0.22, fc=colour, ec=style.BLACK, lw=0.8))
        ax.text(5.75, y + 0.32, "vector (C,)", ha="center", fontsize=9)
        ax.add_patch(Rectangle((6.5, y - 0.1), 0.7, 0.22, fc="white", ec=style.BLACK, lw=0.8, hatch="////"))
        ax.text(6.9, y + 0.32, "code (P,)", ha="center", fontsize=9)
        _arrow(ax, (7.3, y), (7.95, y))
        _box(ax, 8.0, y - 0.42, 2.4, 0.84, "conditional flow", 9.5)
        _arrow(ax, (10.5, y), (10.95, y))
        _grid(ax, 11.05, y, cells, side)
        _arrow(ax, (11.2 + side, y), (13.0, 2.4 + 0.35 * (1 - k)))
    ax.text(14.0, 2.4, "enlarge,\nadd,\nturn round:\nthe map;\nits maximum\nis the score", ha="center", va="center",
            fontsize=9.5)
    for x0, x1, text, colour in ((0.1, 7.2, "never changed", style.BLUE), (7.9, 10.5, "trained", style.ORANGE)):
        ax.plot([x0, x1], [-0.15, -0.15], color=colour, lw=1.5)
        ax.text((x0 + x1) / 2, -0.55, text, ha="center", fontsize=10, color=colour)
    return fig


def position_code(code: Tensor, places: Sequence[tuple[int, int]], channels: Sequence[int]) -> Figure:
    """A few channels of a code ``(P, h, w)`` above; below, for some places, the cosine of their code to every other.

    Args:
        places: ``(row, column)``. channels: as many as places.
    """
    fig = Figure(figsize=(8.4, 4.4), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(2, len(places))
    for ax, channel in zip(axes[0], channels, strict=True):
        waves = ax.imshow(code[channel].cpu(), cmap=style.DIVERGING, vmin=-1, vmax=1)
        ax.set_title(f"channel {channel}", fontsize=10.5)
    for ax, (row, column) in zip(axes[1], places, strict=True):
        alike = torch.nn.functional.cosine_similarity(code, code[:, row, column][:, None, None], dim=0)
        cosine = ax.imshow(alike.cpu(), cmap=style.SEQUENTIAL, vmin=0, vmax=1)
        ax.plot([column], [row], marker="o", mfc="none", mec="white", mew=1.6, ms=9)
        ax.set_title(f"alike to ({row}, {column})", fontsize=10.5)
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
    fig.colorbar(waves, ax=axes[0, :], label="value", shrink=0.9)
    fig.colorbar(cosine, ax=axes[1, :], label="cosine", shrink=0.9)
    return fig


def sample_weight(levels: np.ndarray, losses: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray],
                  marked: Sequence[float]) -> Figure:
    """Loss over the likelihood per channel on the left, and how much such a vector weighs in the gradient on the right.

    Args:
        levels: likelihoods, nats per channel. losses, weights: name to values at them. marked: levels to mark.
    """
    fig = Figure(figsize=(7.6, 3.0), dpi=style.DPI, layout="constrained")
    left, right = fig.subplots(1, 2)
    for ax, curves, label in ((left, losses, "loss"), (right, weights, "weight in the gradient")):
        for (name, values), line in zip(curves.items(), ("-", "--"), strict=False):
            ax.plot(levels, values, ls=line, label=name)
        first = next(iter(curves.values()))
        ax.plot(marked, np.interp(marked, levels, first), ls="", marker="o", color=style.BLUE)
        ax.set(xlabel="l, nats per channel", ylabel=label)
        ax.grid()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def way_to_the_map(image: Tensor, mask: Tensor, likelihoods: Mapping[str, Tensor], parts: Mapping[str, Tensor],
                   total: Tensor) -> Figure:
    """One image: a row for each scale, the likelihood cell by cell and 1 - p enlarged; on the right image and sum.

    Args:
        image: ``(3, S, S)``. mask: ``(S, S)``. likelihoods: scale to ``(h, w)``. parts: scale to ``(S, S)``.
        total: the map, ``(S, S)``.
    """
    fig = Figure(figsize=(9.6, 2.35 * len(parts) + 0.3), dpi=style.DPI, layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=(1.75, 1))
    axes, (photo, whole) = left.subplots(len(parts), 2, squeeze=False), right.subplots(2, 1)
    for (cell_by_cell, large), (name, cells) in zip(axes, likelihoods.items(), strict=True):
        cell_by_cell.imshow(cells.cpu(), cmap=style.NEUTRAL, vmin=float(cells.quantile(0.02)))
        cell_by_cell.set_title(f"{name}: l, {cells.shape[0]} × {cells.shape[1]} cells")
        shown = large.imshow(parts[name].cpu(), cmap=style.SEQUENTIAL, vmin=0, vmax=1)
        large.set_title("1 − p, enlarged")
    left.colorbar(shown, ax=axes[:, 1], label="1 − p", shrink=0.6)
    photo.imshow(image.permute(1, 2, 0).clamp(0, 1).cpu())
    photo.set_title("image")
    shown = whole.imshow(total.cpu(), cmap=style.SEQUENTIAL)
    whole.set_title(f"map: the sum of the {len(parts)}")
    right.colorbar(shown, ax=whole, label="sum")
    for ax in (photo, whole, *axes[:, 1]):
        if mask.any():
            ax.contour(mask.cpu().float(), levels=[0.5], colors=[style.ORANGE], linewidths=1.2)
    for ax in (photo, whole, *axes.flat):
        ax.set_axis_off()
    return fig
