"""Pictures of chapter 02: errors over the step, gaps over the side, a Jacobian as an image, what a pixel reaches."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tutorial_lib.plots import style

BOX = {"fill": False, "ec": style.ORANGE, "lw": 1.8}


def photo(ax: Axes, image: Tensor, title: str = "") -> None:
    """An image (3, H, W) in [0, 1], without axes."""
    ax.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
    ax.set_title(title, fontsize=10.5)
    ax.set_axis_off()


def one_pixel(image: Tensor, pixel: tuple[int, int], change: Tensor, blocks: dict[str, int]) -> Figure:
    """The image with the pixel (row, column) ringed, and how far each output moved, |change| (m,), in named blocks."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.1), width_ratios=(1, 2))
    photo(left, image, "one pixel, one grey level")
    left.plot(pixel[1], pixel[0], "o", ms=13, mfc="none", mec=style.ORANGE, mew=2.2)
    size, start = change.abs().numpy(), 0
    floor = 0.3 * size[size > 0].min()
    for (name, length), marker in zip(blocks.items(), (".", "^", "s"), strict=False):
        at = np.arange(start, start + length)
        moved = size[at] > 0
        right.plot(at[moved], size[at][moved], marker, ms=4, ls="", label=name)
        right.plot(at[~moved], np.full((~moved).sum(), floor), "x", ms=5, color=style.BLACK,
                   label="exactly 0" if start == 0 else None)
        start += length
    right.set(yscale="log", xlabel="output", ylabel="moved by")
    handles, labels = right.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, markerscale=1.4)
    return fig


def over(x: Tensor, curves: dict[str, Tensor], xlabel: str, ylabel: str, slopes: dict[str, tuple] | None = None,
         floor: float | None = None) -> Figure:
    """Curves on two logarithmic axes. ``slopes`` names pale guide lines: ``(power, value at the largest x)``."""
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    for name, (power, top) in (slopes or {}).items():
        line = top * (x / x.max()) ** power
        ax.plot(x, line, color=style.PALE, lw=5, zorder=0)
        ax.annotate(name, (float(x.min()), float(line.min())), xytext=(4, 12) if power == 1 else (26, -2),
                    textcoords="offset points", color=style.GREY)
    for (name, values), look in zip(curves.items(), ("o-", "s--", "^-.", "d:"), strict=False):
        ax.plot(x, values, look, ms=4, label=name)
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    if floor is not None:
        ax.set_ylim(bottom=floor)
    ax.legend(loc="best")
    return fig


def matrices(panels: dict[str, Tensor], xlabel: str, ylabel: str, blocks: Sequence[str] = ()) -> Figure:
    """Matrices (m, n) as images of |entry| on one logarithmic scale; white is exactly 0.

    ``blocks`` names equal blocks of columns, from left to right.
    """
    fig, axes = plt.subplots(1, len(panels), figsize=(min(4.6 * len(panels), 8.6), 3.1), sharey=True, squeeze=False)
    top = max(float(p.abs().max()) for p in panels.values())
    for ax, (title, matrix) in zip(axes[0], panels.items(), strict=True):
        size = np.ma.masked_equal(matrix.abs().numpy(), 0)
        shown = ax.imshow(size, norm=LogNorm(1e-4 * top, top), aspect="auto", interpolation="nearest")
        ax.set(title=title, xlabel=xlabel)
        for k, name in enumerate(blocks):
            width = matrix.shape[1] // len(blocks)
            ax.text((k + 0.5) * width, -0.01 * len(matrix), name, ha="center", va="bottom", fontsize=10)
            ax.axvline(k * width - 0.5, color=style.ORANGE, lw=1.5 if k else 0)
        if blocks:
            ax.set_xticks([*range(0, matrix.shape[1], width), matrix.shape[1]])
            ax.set_title(title, pad=20)
    axes[0, 0].set_ylabel(ylabel)
    fig.colorbar(shown, ax=list(axes[0]), label="|entry|", extend="min")
    return fig


def reach(image: Tensor, pixel: tuple[int, int], place: tuple[int, int], column: Tensor, row: Tensor,
          box: tuple[int, int, int]) -> Figure:
    """Middle: which map positions (h, w) notice ``pixel`` (ring). Right: which pixels (H, W) ``place`` (cross) notices.

    ``place``: a map position; ``box``: top, left and side of its receptive field in pixels.
    """
    fig, (a, b, c) = plt.subplots(1, 3, figsize=(8.6, 3.0), width_ratios=(1, 1.2, 1.2))
    photo(a, image, "image")
    stride = len(image[0]) / len(column)  # pixels per map position
    for ax, scale in ((a, 1), (b, 1 / stride), (c, 1)):
        ax.plot(scale * pixel[1], scale * pixel[0], "o", ms=11, mfc="none", mec=style.ORANGE, mew=2)
        ax.plot(scale * stride * place[1], scale * stride * place[0], "x", ms=9, color=style.PINK, mew=2.5)
    for ax, values, title in ((b, column, "a column of J:\npositions that notice the pixel"),
                              (c, row, "a row of J:\npixels that a position notices")):
        shown = ax.imshow(np.ma.masked_equal(values.numpy(), 0), cmap=style.SEQUENTIAL)
        ax.set_title(title, fontsize=10.5)
        fig.colorbar(shown, ax=ax, shrink=0.75, label="size of the entries")
    b.set(xlabel="column of the map", ylabel="row of the map")
    c.set(xlabel="pixel column", ylabel="pixel row")
    top, left, side = box
    c.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, **BOX))
    return fig


def sensitivity(images: Sequence[Tensor], titles: Sequence[str], masks: Sequence[Tensor],
                rows: dict[str, Sequence[Tensor]], boxes: dict[str, Sequence[tuple[int, int, int]]]) -> Figure:
    """Images with the outline of their mask; below, per named score, its gradient map (H, W), each on its own scale."""
    n = len(images)
    fig, axes = plt.subplots(1 + len(rows), n, figsize=(1.75 * n + 0.6, 1.85 * (1 + len(rows))), squeeze=False)
    for k, (image, title) in enumerate(zip(images, titles, strict=True)):
        photo(axes[0, k], image, title)
        for line, (name, maps) in enumerate(rows.items(), 1):
            ax = axes[line, k]
            ax.imshow((maps[k] / maps[k].max()).numpy(), cmap=style.SEQUENTIAL, vmin=0, vmax=1,
                      interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            if k == 0:
                ax.set_ylabel(name)
            for top, left, side in [boxes[name][k]] if name in boxes else []:
                ax.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, **BOX))
        for ax in axes[:, k]:
            if masks[k].any():
                ax.contour(masks[k].float(), levels=[0.5], colors=[style.PINK], linewidths=1.3)
    return fig
