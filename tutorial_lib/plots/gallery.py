"""Rows of images, with their anomaly maps and true masks."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style


def strip(images: Sequence[Tensor], titles: Sequence[str] | None = None, maps: Sequence[Tensor] | None = None,
          masks: Sequence[Tensor] | None = None, limits: tuple[float, float] | None = None) -> Figure:
    """Images side by side; below each, where given, its anomaly map, both with the outline of the true mask.

    Args:
        images: n tensors (3, H, W), values in [0, 1].
        titles: n short texts above the images.
        maps: n tensors (H, W). All share one colour scale, so that a dark map means a low one.
        masks: n boolean tensors (H, W); an empty mask draws nothing.
        limits: colour limits of the maps; by default 0 and their common maximum.
    """
    n, rows = len(images), 1 if maps is None else 2
    side = min(7.0 / n, 2.4)
    fig, axes = plt.subplots(rows, n, figsize=(n * side, rows * side + 0.3), squeeze=False, layout="constrained")
    if maps is not None:
        low, high = limits or (0.0, max(float(m.max()) for m in maps))
    for i, image in enumerate(images):
        axes[0, i].imshow(image.permute(1, 2, 0).clamp(0, 1).cpu())
        if titles is not None:
            axes[0, i].set_title(titles[i], parse_math=False)  # a name may hold a $
        if maps is not None:
            shown = axes[1, i].imshow(maps[i].detach().cpu(), cmap=style.SEQUENTIAL, vmin=low, vmax=high)
        for ax in axes[:, i]:
            ax.set_axis_off()
            if masks is not None and masks[i].any():
                ax.contour(masks[i].cpu().float(), levels=[0.5], colors=[style.ORANGE], linewidths=1.2)
    if maps is not None:
        fig.colorbar(shown, ax=axes[1, :], label="anomaly", shrink=0.9)
    return fig
