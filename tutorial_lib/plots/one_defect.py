"""One defect through several methods: the image, and one map per method, all on one scale."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from tutorial_lib.plots import style

HIGHEST = 4.0  # one good pixel in ten thousand; what is rarer looks the same
COLUMNS = 4    # in one row; more panels take two
TITLES = {"missing": "a missing piece", "scratch": "a scratch"}


def strip(seen: Sequence) -> Figure:
    """Panels of ``experiments.one_defect.Seen``: first the image with its mask, then each method's map of rarity."""
    panels = len(seen) + 1
    rows = 1 if panels <= COLUMNS else 2
    columns = math.ceil(panels / rows)
    fig, axes = plt.subplots(rows, columns, figsize=(1.95 * columns + 0.9, 2.65 * rows), squeeze=False,
                             layout="constrained")
    every = list(axes.flat)
    every[0].imshow(seen[0].image.permute(1, 2, 0).clamp(0, 1).cpu())
    every[0].contour(seen[0].mask.cpu().float(), levels=[0.5], colors=[style.ORANGE], linewidths=1.2)
    every[0].set_title(TITLES[seen[0].kind])
    for ax, one in zip(every[1:], seen, strict=False):
        shown = ax.imshow(one.rarity.cpu(), cmap=style.SEQUENTIAL, vmin=0, vmax=HIGHEST)
        ax.contour(one.mask.cpu().float(), levels=[0.5], colors=[style.ORANGE], linewidths=0.9)
        ax.plot(*one.peak[::-1], "+", color="white", markersize=9, markeredgewidth=1.5)
        ax.set_title(one.method)
        ax.set_xlabel(textwrap.fill(one.places, 24), fontsize=9)
    for ax in every:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    for ax in every[panels:]:
        ax.set_axis_off()
    bar = fig.colorbar(shown, ax=axes, shrink=0.75, aspect=28, label="rarity among good pixels", ticks=range(5))
    bar.ax.set_yticklabels(["1", "1 in 10", "1 in 100", "1 in 1000", "1 in 10⁴"])
    return fig


def caption(seen: Sequence) -> str:
    """The figure in words, with the numbers that it rests on."""
    parts = [f"{one.method} {one.pixel_auroc:.2f}" + (" (peak on it)" if one.on_defect else "")
             for one in seen]
    return (f"{TITLES[seen[0].kind].capitalize()}, outlined, through the methods so far; below each map, where the "
            "positions go; the cross is its highest value. Colour says how seldom good washers reach a value as high: "
            "yellow is rarer than one good pixel in ten thousand. Pixel AUROC of this map: " + ", ".join(parts) + ".")
