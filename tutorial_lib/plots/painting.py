"""Pictures of small pictures: rows of 8 x 8 images, numbered blocks, a discriminator, a Jacobian, a path. Arrays in."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

GREYS = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
MARGIN = 2   # pixels between two small pictures


def sheet(images: Tensor, columns: int) -> np.ndarray:
    """Images (N, 1, H, W) in rows of ``columns``, with a margin between them, as one picture; clipped to [0, 1]."""
    n, _, h, w = images.shape
    lines = -(-n // columns)
    page = np.full((lines * (h + MARGIN) - MARGIN, columns * (w + MARGIN) - MARGIN), np.nan)
    for k, image in enumerate(images[:, 0].detach().clamp(0, 1).numpy()):
        row, column = k // columns * (h + MARGIN), k % columns * (w + MARGIN)
        page[row:row + h, column:column + w] = image
    return page


def rows(named: dict[str, Tensor], width: float = 8.2) -> Figure:
    """One line of pictures (N, 1, H, W) per name; grey 0 (black) to 1 (white), clipped."""
    lines = [sheet(images, len(images)) for images in named.values()]
    height = sum(0.86 * width * line.shape[0] / line.shape[1] + 0.12 for line in lines) + 0.1
    fig, axes = plt.subplots(len(lines), 1, figsize=(width, height), squeeze=False)
    for ax, name, line in zip(axes[:, 0], named, lines, strict=True):
        ax.imshow(line, **GREYS)
        ax.set_yticks([(line.shape[0] - 1) / 2], [name])
        ax.set_xticks([])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return fig


def blocks(before: Tensor, after: Tensor) -> Figure:
    """A ramp (H, W) of integers and its squeezed channels (4, H/2, W/2), numbers in the cells, one colour a channel."""
    fig, axes = plt.subplots(1, 5, figsize=(8.2, 2.2), width_ratios=(2, 1, 1, 1, 1))
    colours = (style.SKY, style.AMBER, style.PINK, style.PALE)
    kinds = np.indices(before.shape).transpose(1, 2, 0) % 2 @ np.array([2, 1])      # which place in its 2 × 2 block
    panels = [("x: one channel", before.numpy(), kinds)]
    panels += [(f"channel {k} of z", part.numpy(), np.full(part.shape, k)) for k, part in enumerate(after)]
    for ax, (title, values, kind) in zip(axes, panels, strict=True):
        for (row, column), value in np.ndenumerate(values):
            ax.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=colours[kind[row, column]], edgecolor="black"))
            ax.text(column + 0.5, row + 0.5, f"{int(value)}", ha="center", va="center")
        ax.set(title=title, xlim=(0, values.shape[1]), ylim=(values.shape[0], 0), aspect="equal")
        ax.set_axis_off()
    return fig


def discriminators(x: Tensor, cases: dict[str, tuple[Tensor, Tensor]]) -> Figure:
    """For each case the densities p of the data and q of the generator, and below them p / (p + q)."""
    fig, axes = plt.subplots(2, len(cases), figsize=(8.2, 4.2), sharex=True, sharey="row", squeeze=False)
    for (top, bottom), (name, (p, q)) in zip(axes.T, cases.items(), strict=True):
        top.plot(x, p, label="p, the data")
        top.plot(x, q, "--", label="q, the generator")
        bottom.plot(x, p / (p + q), color=style.GREEN)
        bottom.axhline(0.5, color=style.GREY, linestyle=":", linewidth=1)
        top.set_title(name)
        bottom.set(xlabel="x", ylim=(-0.05, 1.05))
    axes[0, 0].set_ylabel("density")
    axes[1, 0].set_ylabel("best D = p / (p + q)")
    axes[0, 0].legend(loc="upper right")
    return fig


def jacobian(matrix: Tensor, half: int) -> Figure:
    """dz/dx of one map: white where nothing depends, colours for the sign; lines between the two halves."""
    fig, ax = plt.subplots(figsize=(4.6, 3.8))
    shown = ax.imshow(matrix, cmap=style.DIVERGING, vmin=-1.5, vmax=1.5, interpolation="nearest")
    fig.colorbar(shown, ax=ax, label="∂z / ∂x", extend="both")
    ax.axhline(half - 0.5, color=style.GREY, linewidth=1)
    ax.axvline(half - 0.5, color=style.GREY, linewidth=1)
    ax.set(xlabel="entry of x (channel by channel)", ylabel="entry of z")
    return fig


def pairs(named: dict[str, Tensor], levels: int) -> Figure:
    """Pairs of neighbouring pixels (N, 2), in grey levels."""
    fig, axes = plt.subplots(1, len(named), figsize=(3.2 * len(named), 3.3), sharey=True)
    for ax, (name, points) in zip(axes, named.items(), strict=True):
        ax.plot(*points.T, ".", markersize=2.5, alpha=0.5, color=style.BLUE)
        ax.set(title=name, xlabel="left pixel, grey level", aspect="equal", xlim=(0, levels), ylim=(0, levels),
               xticks=range(0, levels, 4), yticks=range(0, levels, 4))
    axes[0].set_ylabel("right pixel, grey level")
    return fig


def norms(t: Tensor, named: dict[str, Tensor], shell: tuple[float, float]) -> Figure:
    """Length of the latent along paths; the band is where latents of real pictures lie."""
    fig, ax = plt.subplots(figsize=(6.4, 2.9))
    ax.axhspan(*shell, color=style.PALE, alpha=0.7, label="mean ± 2 deviations, held-out digits")
    for (name, values), dashes in zip(named.items(), ("-", "--"), strict=True):
        ax.plot(t, values, dashes, label=name)
    ax.set(xlabel="place on the path, 0 to 1", ylabel="‖z‖", ylim=(0, None))
    ax.legend(loc="lower right")
    return fig
