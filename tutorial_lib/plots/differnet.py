"""Pictures of DifferNet itself: its pipeline, and how a gradient becomes a map."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon
from torch import Tensor

from tutorial_lib.plots import style


def _box(ax, x, y, width, height, text, colour, size=10):
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02", fc=colour, ec=style.BLACK, lw=1))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size)


def _arrow(ax, start, end):
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.3, "color": style.GREY})


def pipeline(image: Tensor, sizes: Sequence[int] = (448, 224, 112), maps: Sequence[int] = (13, 6, 2),
             channels: int = 256, blocks: int = 8) -> Figure:
    """DifferNet from the image to the score: three sizes, one frozen network, one vector, one flow.

    Args:
        image: ``(3, H, W)`` in [0, 1], drawn at three sizes.
        sizes: sides of the three images in pixels. maps: sides of their feature maps in cells.
        channels: of each map. blocks: coupling blocks of the flow.
    """
    fig, ax = plt.subplots(figsize=(9.2, 4.0), layout="constrained")
    ax.set(xlim=(0, 13.4), ylim=(-0.9, 4.9), aspect="equal")
    ax.set_axis_off()
    picture = image.permute(1, 2, 0).clamp(0, 1).cpu().numpy()
    for row, (size, cells, side) in enumerate(zip(sizes, maps, (1.5, 1.1, 0.75), strict=True)):
        y = 3.9 - 1.75 * row
        ax.imshow(picture, extent=(0.85 - side / 2, 0.85 + side / 2, y - side / 2, y + side / 2), zorder=2)
        ax.text(0.85, y - side / 2 - 0.22, f"{size} px", ha="center", fontsize=9.5)
        _arrow(ax, (1.0 + side / 2, y), (2.5, 2.15 + 0.5 * (1 - row)))
        _arrow(ax, (4.15, 2.15 + 0.5 * (1 - row)), (4.75, y))
        _grid(ax, 5.3, y, cells, 0.95 - 0.2 * row)
        ax.text(5.3, y - 0.82 + 0.12 * row, f"{channels}×{cells}×{cells}", ha="center", fontsize=9.5)
        _arrow(ax, (5.95, y), (7.0, y * 0.72 + 0.6))
    ax.add_patch(Polygon([(2.55, 3.5), (4.1, 2.8), (4.1, 1.5), (2.55, 0.8)], fc=style.PALE, ec=style.BLACK))
    ax.text(3.3, 2.15, "convolutions\nof one network\n(frozen)", ha="center", va="center", fontsize=10)
    ax.text(6.75, 4.4, "mean over\npositions", ha="center", va="center", fontsize=10)
    for k, colour in enumerate((style.BLUE, style.SKY, style.AMBER)):
        ax.add_patch(plt.Rectangle((7.05, 2.75 - 0.95 * k), 0.32, 0.9, fc=colour, ec=style.BLACK))
    ax.text(7.21, 0.35, f"one vector\n{channels * len(sizes)}", ha="center", va="center", fontsize=10)
    _arrow(ax, (7.5, 2.25), (8.1, 2.25))
    _box(ax, 8.15, 1.5, 2.2, 1.5, f"flow\n{blocks} × (permute,\ncouple)", style.PALE)
    _arrow(ax, (10.45, 2.25), (11.0, 2.25))
    ax.add_patch(plt.Rectangle((11.05, 0.85), 0.32, 2.8, fc="white", ec=style.BLACK))
    ax.text(11.21, 0.35, f"latent z\n{channels * len(sizes)}", ha="center", va="center", fontsize=10)
    _arrow(ax, (11.5, 2.25), (12.0, 2.25))
    ax.text(12.05, 2.25, "score =\nmean of z²", ha="left", va="center", fontsize=10.5)
    ax.plot([7.6, 13.2], [-0.35, -0.35], color=style.ORANGE, lw=1.5)
    ax.text(10.4, -0.68, "trained: the flow alone", ha="center", fontsize=10, color=style.ORANGE)
    ax.plot([0.1, 6.9], [-0.35, -0.35], color=style.BLUE, lw=1.5)
    ax.text(3.5, -0.68, "never changed; repeated for every view of the image", ha="center", fontsize=10,
            color=style.BLUE)
    return fig


def _grid(ax, x, y, cells, side):
    for k in range(cells + 1):
        at = -side / 2 + side * k / cells
        ax.plot([x + at, x + at], [y - side / 2, y + side / 2], color=style.BLACK, lw=0.7)
        ax.plot([x - side / 2, x + side / 2], [y + at, y + at], color=style.BLACK, lw=0.7)


def gradient_steps(image: Tensor, gradient: Tensor, blurred: Tensor, total: Tensor, mask: Tensor) -> Figure:
    """One image on its way to the gradient map: image, raw gradient, blurred gradient, sum of absolute values.

    Args:
        image: ``(3, H, W)``. gradient, blurred: one channel of it, ``(H, W)``, signed. total: the map, ``(H, W)``.
        mask: ``(H, W)`` bool, the true defect, outlined in every panel.
    """
    fig, axes = plt.subplots(1, 4, figsize=(8.2, 2.4), layout="constrained")
    axes[0].imshow(image.permute(1, 2, 0).clamp(0, 1).cpu())
    for ax, signed in ((axes[1], gradient), (axes[2], blurred)):
        top = float(signed.abs().max())
        ax.imshow(signed.cpu(), cmap=style.DIVERGING, vmin=-top, vmax=top)
    axes[3].imshow(total.cpu(), cmap=style.SEQUENTIAL, vmin=0)
    for ax, title in zip(axes, ("image", "∇x, red channel", "G ∗ ∇x, red channel", "Σ |G ∗ ∇x| over channels"),
                         strict=True):
        ax.set_title(title, fontsize=10)
        ax.set_axis_off()
        if mask.any():
            ax.contour(mask.cpu().float(), levels=[0.5], colors=[style.ORANGE], linewidths=1.3)
    return fig
