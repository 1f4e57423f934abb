"""A contact sheet: one line per picture; the picture, the true defect outlined, and one heat map per method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from tutorial_lib.plots import style


def contact_sheet(
    images: Sequence, masks: Sequence, maps: dict[str, Sequence], names: Sequence[str], title: str = ""
) -> Figure:
    """Pictures beside the heat maps of several methods.

    Args:
        images: one ``(3, H, W)`` in [0, 1] per line; sizes may differ.
        masks: one ``(H, W)`` bool per line, or None where the pixels' truth is unknown.
        maps: for each method one ``(H, W)`` per line; higher = more anomalous.
        names: what stands at the left of each line, such as the kind of defect.

    Each column has one colour scale: from the median of its pixels to their 99.8th percentile, so that a normal
    picture can look dark beside a defective one. Scales of different methods cannot be compared.
    """
    columns = ["picture", "true defect", *maps]
    fig = Figure(figsize=(1.8 * len(columns) + 0.4, 1.8 * len(images) + 0.7), layout="constrained", dpi=style.DPI)
    axes = fig.subplots(len(images), len(columns), squeeze=False)
    if title:
        fig.suptitle(title, fontsize=11)
    for line, (image, mask) in enumerate(zip(images, masks, strict=True)):
        axes[line, 0].set_ylabel(names[line], fontsize=10)
        for column, ax in enumerate(axes[line]):
            if column < 2:
                ax.imshow(np.moveaxis(np.asarray(image), 0, -1), vmin=0, vmax=1)
            if column and mask is not None and np.asarray(mask).any():
                ax.contour(np.asarray(mask), levels=[0.5], colors=[style.ORANGE], linewidths=0.9)
            ax.set(xticks=[], yticks=[])
            for spine in ax.spines.values():
                spine.set_visible(False)
    for column, heat in enumerate(maps.values(), start=2):
        low, high = _scale(heat)
        for line, values in enumerate(heat):
            axes[line, column].imshow(np.asarray(values), cmap=style.SEQUENTIAL, vmin=low, vmax=high)
    for ax, heading in zip(axes[0], columns, strict=True):
        ax.set_title(heading, fontsize=11)
    return fig


def _scale(heat: Sequence) -> tuple[float, float]:
    values = np.concatenate([np.asarray(one).ravel() for one in heat])
    low, high = np.quantile(values[np.isfinite(values)], [0.5, 0.998])
    return float(low), float(max(high, low + 1e-12))
