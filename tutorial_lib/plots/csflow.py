"""Pictures of CS-Flow itself: one picture at three sizes, joint Jacobians, the pipeline, and what training moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon
from torch import Tensor

from tutorial_lib.plots import style


def sizes(rows: Mapping[str, Sequence[Tensor]], masks: Mapping[str, Tensor]) -> Figure:
    """Each picture at several sizes, pixels drawn as squares of one and the same area of paper.

    Args:
        rows: title to pictures ``(3, S_k, S_k)``, the largest first. masks: title to the defect ``(S_0, S_0)``, bool.
    """
    columns = len(next(iter(rows.values())))
    fig, axes = plt.subplots(len(rows), columns, figsize=(2.3 * columns, 2.35 * len(rows)), squeeze=False,
                             layout="constrained")
    for line, (title, pictures) in zip(axes, rows.items(), strict=True):
        for ax, picture in zip(line, pictures, strict=True):
            ax.imshow(picture.permute(1, 2, 0).clamp(0, 1), extent=(0, 1, 1, 0), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if masks[title].any():
                side = masks[title].shape[0]
                middle = (np.arange(side) + 0.5) / side
                ax.contour(middle, middle, masks[title].float(), levels=[0.5], colors=[style.ORANGE], linewidths=1.2)
        line[0].set_ylabel(title)
    for ax, picture in zip(axes[0], next(iter(rows.values())), strict=True):
        ax.set_title(f"{picture.shape[-1]} × {picture.shape[-1]} pixels")
    return fig


def jacobians(matrices: Mapping[str, Tensor], edges: Sequence[int], names: Sequence[str]) -> Figure:
    """Joint Jacobians ``(D, D)``, rows are outputs: white is exactly zero.

    Args:
        edges: where the scales begin and end, 0 and D included; the last matrix is in another order and gets no names.
        names: of the scales.
    """
    fig, axes = plt.subplots(1, len(matrices), figsize=(2.9 * len(matrices), 3.15), layout="constrained")
    last = list(matrices)[-1]
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        size = np.ma.masked_equal(matrix.abs().numpy(), 0)
        shown = ax.imshow(np.ma.log10(size), cmap=style.SEQUENTIAL, vmin=-3, vmax=0.5, interpolation="nearest")
        ax.set_title(title, fontsize=11)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=style.GREY)
        if title == last:
            continue
        for edge in edges[1:-1]:
            ax.axhline(edge - 0.5, color=style.GREY, lw=0.8)
            ax.axvline(edge - 0.5, color=style.GREY, lw=0.8)
        middles = [(a + b - 1) / 2 for a, b in pairwise(edges)]
        ax.set_xticks(middles, names, fontsize=9)
        ax.set_yticks(middles, names, fontsize=9, rotation=90, va="center")
        ax.tick_params(length=0)
    bar = fig.colorbar(shown, ax=axes, shrink=0.8, ticks=[-3, -2, -1, 0], label="|entry|")
    bar.ax.set_yticklabels(["0.001", "0.01", "0.1", "1"])
    return fig


def _arrow(ax, start, end, **more):
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.3, "color": style.GREY} | more)


def _cells(ax, x, y, side, n, colour):
    for k in range(n + 1):
        at = -side / 2 + side * k / n
        ax.plot([x + at, x + at], [y - side / 2, y + side / 2], color=colour, lw=0.7)
        ax.plot([x - side / 2, x + side / 2], [y + at, y + at], color=colour, lw=0.7)


def pipeline(image: Tensor, pixels: Sequence[int] = (768, 384, 192), cells: Sequence[int] = (24, 12, 6),
             channels: int = 304, blocks: int = 4) -> Figure:
    """CS-Flow from the image to score and map: three sizes, one frozen network, one flow in which neighbours talk.

    Args:
        image: ``(3, H, W)`` in [0, 1]. pixels, cells: sides of the images and of their maps, the largest first.
        channels: of every map. blocks: of the flow.
    """
    fig, ax = plt.subplots(figsize=(9.4, 4.6), layout="constrained")
    ax.set(xlim=(0, 14.2), ylim=(-1.0, 5.9), aspect="equal")
    ax.set_axis_off()
    picture = image.permute(1, 2, 0).clamp(0, 1).numpy()
    places = list(zip((4.9, 2.75, 0.95), (1.75, 1.2, 0.8), (1.5, 1.05, 0.7), pixels, cells, strict=True))
    for y, side, grid, size, n in places:
        ax.imshow(picture, extent=(0.95 - side / 2, 0.95 + side / 2, y - side / 2, y + side / 2), zorder=2)
        ax.text(0.95, y - side / 2 - 0.22, f"{size} px", ha="center", fontsize=9.5)
        _arrow(ax, (1.05 + side / 2, y), (2.55, 0.35 * y + 1.85))
        _arrow(ax, (4.0, 0.35 * y + 1.85), (5.35 - grid / 2, y))
        _cells(ax, 5.4, y, grid, max(2, n // 3), style.BLACK)
        ax.text(5.4, y - grid / 2 - 0.22, f"{channels}×{n}×{n}", ha="center", fontsize=9.5)
        _arrow(ax, (5.5 + grid / 2, y), (6.75, y))
        _arrow(ax, (9.85, y), (10.95 - grid / 2, y))
        _cells(ax, 11.0, y, grid, max(2, n // 3), style.BLUE)
        ax.text(11.0, y - grid / 2 - 0.22, f"z: {channels}×{n}×{n}", ha="center", fontsize=9.5)
    ax.add_patch(Polygon([(2.6, 4.3), (3.95, 3.6), (3.95, 2.1), (2.6, 1.4)], fc=style.PALE, ec=style.BLACK))
    ax.text(3.27, 2.85, "one frozen\nnetwork,\nthree times", ha="center", va="center", fontsize=9.5)
    ax.add_patch(FancyBboxPatch((6.85, 0.35), 2.9, 5.3, boxstyle="round,pad=0.05", fc="white", ec=style.BLACK, lw=1))
    for (y, *_), (below, *_) in pairwise(places):
        _arrow(ax, (7.75, y - 0.38), (7.75, below + 0.38), color=style.ORANGE, lw=2)
        _arrow(ax, (8.05, below + 0.38), (8.05, y - 0.38), color=style.ORANGE, lw=2)
    for y, *_ in places:
        ax.text(8.3, y, "permute, couple", ha="center", va="center", fontsize=9.5,
                bbox={"fc": style.PALE, "ec": "none", "boxstyle": "round,pad=0.3"})
    ax.text(8.3, 5.4, f"flow: {blocks} blocks", ha="center", va="center", fontsize=9.5)
    ax.text(8.3, 3.85, "s and t hear\nneighbours", ha="left", va="center", fontsize=8.5, color=style.ORANGE)
    ax.text(11.95, 4.9, "map: mean over\nchannels of z²,\nlargest one only", ha="left", va="center", fontsize=10)
    ax.text(11.95, 2.2, "score: ½ mean\nof z² over all\nthree maps", ha="left", va="center", fontsize=10)
    ax.plot([0.1, 6.5], [-0.4, -0.4], color=style.BLUE, lw=1.5)
    ax.text(3.3, -0.75, "never changed", ha="center", fontsize=10, color=style.BLUE)
    ax.plot([6.8, 9.8], [-0.4, -0.4], color=style.ORANGE, lw=1.5)
    ax.text(8.3, -0.75, "trained", ha="center", fontsize=10, color=style.ORANGE)
    return fig


def training(losses: Sequence[float], gammas: Tensor) -> Figure:
    """Loss per step, and the gammas after training ``(networks, scales)``."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.2, 2.9), layout="constrained")
    left.plot(losses, color=style.BLUE)
    left.set(xlabel="step", ylabel="loss, nats per number")
    for scale, line in enumerate(gammas.abs().detach().T):
        right.plot(range(1, len(line) + 1), line, marker="os^"[scale % 3], ls="", color=style.CYCLE[scale],
                   label=f"scale {scale}")
    right.axhline(0, color=style.GREY, lw=1, ls="--")
    right.set(xlabel="network, two a block", ylabel="|γ| after training", xticks=range(1, len(gammas) + 1))
    right.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.2), columnspacing=1, handletextpad=0.2)
    for ax in (left, right):
        ax.grid(axis="y")
    return fig
