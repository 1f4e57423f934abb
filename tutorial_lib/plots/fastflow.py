"""Pictures of FastFlow: its pipeline, tokens on their way to a map, rows of small maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Polygon, Rectangle
from torch import Tensor

from tutorial_lib.plots import style


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.3, "color": style.GREY})


def _map(ax: Axes, x: float, y: float, cells: int, side: float, colour: str) -> None:
    """A square of ``cells`` x ``cells`` around (x, y), drawn as a small stack: places kept, several channels."""
    for depth in (0.14, 0.07, 0.0):
        ax.add_patch(Rectangle((x - side / 2 + depth, y - side / 2 + depth), side, side, fc=colour, ec=style.BLACK,
                               lw=0.8))
    for k in range(1, cells):
        at = -side / 2 + side * k / cells
        ax.plot([x + at] * 2, [y - side / 2, y + side / 2], color=style.BLACK, lw=0.5)
        ax.plot([x - side / 2, x + side / 2], [y + at] * 2, color=style.BLACK, lw=0.5)


def pipeline(image: Tensor, taps: Sequence[tuple[int, int]], blocks: int, heat: Tensor) -> Figure:
    """FastFlow from the image to the map: one flow for each tap, and every map keeps its places.

    Args:
        image: ``(3, H, W)`` in [0, 1]. taps: channels and side in cells of each tap's map, finest first.
        blocks: of each flow. heat: the map of the image ``(H, W)``.
    """
    fig = Figure(figsize=(9.2, 4.0), dpi=style.DPI, layout="constrained")
    ax = fig.subplots()
    ax.set(xlim=(-0.1, 13.6), ylim=(-0.9, 5.0), aspect="equal")
    ax.set_axis_off()
    picture = image.permute(1, 2, 0).clamp(0, 1).cpu().numpy()
    ax.imshow(picture, extent=(0, 1.7, 1.4, 3.1), zorder=2)
    ax.text(0.85, 1.12, f"image\n{picture.shape[0]} px", ha="center", va="top", fontsize=10)
    _arrow(ax, (1.8, 2.25), (2.35, 2.25))
    ax.add_patch(Polygon([(2.4, 3.6), (3.9, 2.9), (3.9, 1.6), (2.4, 0.9)], fc=style.PALE, ec=style.BLACK))
    ax.text(3.12, 2.25, "backbone\n(frozen)", ha="center", va="center", fontsize=10)
    for row, (channels, cells) in enumerate(taps):
        y, side = 4.1 - 1.75 * row, 1.15 - 0.2 * row
        _arrow(ax, (4.0, 2.25 + 0.3 * (1 - row)), (4.75, y))
        _map(ax, 5.4, y, cells, side, "white")
        ax.text(5.45, y - side / 2 - 0.22, f"{channels} × {cells} × {cells}", ha="center", va="center", fontsize=9.5)
        _arrow(ax, (6.15, y), (6.65, y))
        ax.add_patch(FancyBboxPatch((6.75, y - 0.42), 2.1, 0.84, boxstyle="round,pad=0.02", fc=style.PALE,
                                    ec=style.BLACK, lw=1))
        ax.text(7.8, y, f"flow: {blocks} × (couple,\nscale, permute)", ha="center", va="center", fontsize=9.5)
        _arrow(ax, (8.95, y), (9.4, y))
        _map(ax, 10.05, y, cells, side, "#DCEBF5")
        ax.text(10.1, y - side / 2 - 0.22, "z, same size", ha="center", va="center", fontsize=9.5)
        _arrow(ax, (10.8, y), (11.5, 2.25 + 0.3 * (1 - row)))
    ax.imshow(heat.cpu().numpy(), extent=(11.65, 13.35, 1.4, 3.1), cmap=style.SEQUENTIAL, zorder=2)
    ax.text(12.5, 1.12, "−exp(−½ mean z²)\nenlarged, averaged", ha="center", va="top", fontsize=10)
    for x0, x1, colour, words in ((0.1, 6.0, style.BLUE, "never changed"), (6.7, 8.9, style.ORANGE, "trained"),
                                  (9.4, 13.4, style.BLUE, "a square, a mean, exp")):
        ax.plot([x0, x1], [-0.45] * 2, color=colour, lw=1.5)
        ax.text((x0 + x1) / 2, -0.72, words, ha="center", fontsize=10, color=colour)
    return fig


def tokens(image: Tensor, grid: tuple[int, int], right: Tensor, wrong: Tensor) -> Figure:
    """An image cut into patches, and the number of the token that stands at each place of two maps.

    Args:
        image: ``(3, H, W)`` in [0, 1]. grid: rows and columns of patches.
        right, wrong: ``(h, w)`` numbers of tokens, 0 for the class token.
    """
    fig = Figure(figsize=(8.2, 2.9), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, 3)
    h, w = grid
    axes[0].imshow(image.permute(1, 2, 0).clamp(0, 1).cpu(), extent=(-0.5, w - 0.5, h - 0.5, -0.5))
    axes[0].set_title("patches", fontsize=11)
    for ax, title, numbers in ((axes[1], "class token left out", right), (axes[2], "class token kept", wrong)):
        ax.imshow(numbers == 0, cmap="Oranges", vmin=0, vmax=1.6)
        ax.set_title(title, fontsize=11)
        for (i, j), value in np.ndenumerate(numbers.numpy().astype(int)):
            ax.text(j, i, str(value) if value else "cls", ha="center", va="center", fontsize=10)
    for ax in axes:
        ax.set(xticks=np.arange(w + 1) - 0.5, yticks=np.arange(h + 1) - 0.5, xlim=(-0.5, w - 0.5), ylim=(h - 0.5, -0.5))
        ax.tick_params(length=0, labelbottom=False, labelleft=False)
        ax.grid(color=style.AMBER if ax is axes[0] else style.BLACK, lw=0.8)
        ax.set_axisbelow(False)
    return fig


def small_maps(maps: dict[str, Tensor], label: str, limits: tuple[float, float] | None = None) -> Figure:
    """Maps ``(h, w)`` side by side by title, on one colour scale."""
    fig = Figure(figsize=(2.3 * len(maps) + 1.2, 2.6), dpi=style.DPI, layout="constrained")
    low, high = limits or (min(float(m.min()) for m in maps.values()), max(float(m.max()) for m in maps.values()))
    axes = np.atleast_1d(fig.subplots(1, len(maps)))
    for ax, (title, values) in zip(axes, maps.items(), strict=True):
        shown = ax.imshow(values.cpu(), cmap=style.SEQUENTIAL, vmin=low, vmax=high)
        ax.set_title(title, fontsize=10)
        ax.set(xticks=[], yticks=[])
    fig.colorbar(shown, ax=axes, label=label, shrink=0.9)
    return fig


def two_losses(curves: dict[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Training loss and honest NLL over the steps, one panel per run.

    Args:
        curves: title to (loss that is minimised, NLL with every volume counted), per number of the map.
    """
    fig = Figure(figsize=(8.0, 2.9), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, len(curves), sharey=True)
    for ax, (title, (loss, honest)) in zip(axes, curves.items(), strict=True):
        ax.plot(honest, color=style.BLUE, lw=2.6, label="NLL, every volume counted")
        ax.plot(loss, color=style.ORANGE, ls="--", label="loss that is minimised")
        ax.set_title(title, fontsize=11)
        ax.set(xlabel="optimiser step")
        ax.grid(axis="y")
    axes[0].set_ylabel("nats per number")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig
