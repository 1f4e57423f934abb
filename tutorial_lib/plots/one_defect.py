"""One defect through several methods: the image, and one map per method, all on one scale."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from tutorial_lib.plots import style

HIGHEST = 4.0  # one good pixel in ten thousand; what is rarer looks the same
COLUMNS = 4


def strip(seen: Sequence) -> Figure:
    """Panels of ``experiments.one_defect.Seen``: first the image with its mask, then each method's map of rarity."""
    columns = min(COLUMNS, len(seen) + 1)
    rows = math.ceil((len(seen) + 1) / columns)
    fig, axes = plt.subplots(rows, columns, figsize=(1.95 * columns + 0.7, 2.75 * rows), squeeze=False,
                             layout="constrained")
    panels = list(axes.flat)
    panels[0].imshow(seen[0].image.permute(1, 2, 0).clamp(0, 1).cpu())
    panels[0].contour(seen[0].mask.cpu().float(), levels=[0.5], colors=[style.ORANGE], linewidths=1.2)
    panels[0].set_title("a scratch")
    for ax, one in zip(panels[1:], seen, strict=False):
        shown = ax.imshow(one.rarity.cpu(), cmap=style.SEQUENTIAL, vmin=0, vmax=HIGHEST)
        ax.contour(one.mask.cpu().float(), levels=[0.5], colors=[style.ORANGE], linewidths=0.9)
        ax.set_title(one.method)
        ax.set_xlabel(textwrap.fill(one.places, 25), fontsize=9)
    for ax in panels:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    for ax in panels[len(seen) + 1:]:
        ax.set_axis_off()
    bar = fig.colorbar(shown, ax=axes, shrink=0.75, aspect=28, label="rarity among good pixels", ticks=range(5))
    bar.ax.set_yticklabels(["1", "1 in 10", "1 in 100", "1 in 1000", "1 in 10⁴"])
    return fig


def caption(seen: Sequence) -> str:
    """The figure in words, with the numbers that it rests on."""
    parts = [f"{one.method} {one.pixel_auroc:.2f}" + (" (peak on the scratch)" if one.on_scratch else "")
             for one in seen]
    return ("One scratch, outlined, through the methods so far. Colour says how seldom good washers reach a value as "
            "high: yellow is rarer than one good pixel in ten thousand. Pixel AUROC of this one map: "
            + ", ".join(parts) + ".")
