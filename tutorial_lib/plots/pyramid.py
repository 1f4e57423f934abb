"""Pictures of an image pyramid: the levels themselves, and a defect seen through some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from tutorial_lib.plots import style

WINDOW = 56  # pixels of a close-up


def _photo(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).clamp(0, 1).cpu().numpy()


def _bare(ax: Axes, title: str = "") -> Axes:
    ax.set_title(title, fontsize=10.5)
    ax.set_axis_off()
    return ax


def levels(smaller: Sequence[Tensor], pyramid: Sequence[Tensor]) -> Figure:
    """The shrunk copies of a picture above, what is stored of each below; every picture in its own size.

    Args:
        smaller: L pictures ``(3, h, w)`` in [0, 1], finest first. pyramid: L levels ``(3, h, w)``; all but the last one
            are signed and drawn about middle grey.
    """
    sides = [level.shape[-1] / pyramid[0].shape[-1] for level in pyramid]
    fig = Figure(figsize=(7.2, 5.2), dpi=style.DPI)
    fig.set_layout_engine("none")                                     # every picture at one scale: no automatic layout
    unit, left = 0.40, 0.02
    for k, (copy, level, side) in enumerate(zip(smaller, pyramid, sides, strict=True)):
        size = f"{level.shape[-2]} × {level.shape[-1]}"
        stored = level if k == len(pyramid) - 1 else 0.5 + 1.5 * level
        for picture, title, bottom in ((copy, f"copy {k}\n{size}", 0.50), (stored, f"level {k}\nstored", 0.02)):
            height = unit * side * 0.92
            ax = fig.add_axes((left, bottom + (0.37 - height) / 2, unit * side * 0.66, height))
            _bare(ax, title).imshow(_photo(picture))
        left += max(unit * side * 0.66, 0.12) + 0.10
    return fig


class MixPicture:
    """The figure of the widget: the picture from the levels that are on, and the defect alone through them."""

    def __init__(self, side: int, levels: int, span: float):
        self.fig = Figure(figsize=(8.4, 3.1), dpi=100, layout="constrained")
        grid = self.fig.add_gridspec(1, 3, width_ratios=(1, 1.2, 0.9))
        left, middle, self.right = (self.fig.add_subplot(grid[k]) for k in range(3))
        self.image = _bare(left, "levels that are on, joined").imshow(np.zeros((side, side, 3)))
        self.defect = _bare(middle, "the defect alone, joined").imshow(
            np.zeros((side, side)), cmap=style.DIVERGING, vmin=-span, vmax=span)
        self.fig.colorbar(self.defect, ax=middle, label="brighter (+) or darker (−)", shrink=0.85)
        self.bars = self.right.bar(range(levels), np.zeros(levels), color=style.PALE, edgecolor=style.BLACK, lw=0.8)
        self.right.set(xlabel="level (0 = finest)", ylabel="share of the defect", ylim=(0, 1))
        self.right.set_title("where the defect lives", fontsize=10.5)
        self.right.set_xticks(range(levels))
        self.moving = [self.image, self.defect, *self.bars]

    def set(self, picture: Tensor, defect: Tensor, shares: Sequence[float], kept: Sequence[bool]) -> None:
        """Move to one state: ``picture`` (3, S, S), ``defect`` (S, S) signed, and one share and switch per level."""
        self.image.set_data(_photo(picture))
        self.defect.set_data(defect.numpy())
        for bar, share, on in zip(self.bars, shares, kept, strict=True):
            bar.set_height(share)
            bar.set_facecolor(style.BLUE if on else style.PALE)


def mix_strip(rows: Sequence[tuple[str, Tensor, Tensor, Sequence[Tensor], Sequence[float]]]) -> Figure:
    """A defect level by level, one row per picture: the picture, then close-ups of what each level holds of it.

    Args:
        rows: ``(title, picture (3, S, S), mask (S, S), parts of the defect (S, S) per level, shares per level)``.
    """
    n = len(rows[0][3])
    fig = Figure(figsize=(8.6, 1.75 * len(rows) + 0.2), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(len(rows), n + 1, squeeze=False)
    for row, (title, picture, mask, parts, shares) in zip(axes, rows, strict=True):
        _bare(row[0], title).imshow(_photo(picture))
        top, left = _window(mask)
        row[0].add_patch(Rectangle((left - 0.5, top - 0.5), WINDOW, WINDOW, fill=False, ec=style.BLACK, lw=1.1))
        span = max(float(part.abs().max()) for part in parts)
        for k, (part, share) in enumerate(zip(parts, shares, strict=True)):
            _bare(row[k + 1], f"level {k}: {share:.0%}").imshow(
                part[top:top + WINDOW, left:left + WINDOW].numpy(), cmap=style.DIVERGING, vmin=-span, vmax=span)
    return fig


def _window(mask: Tensor) -> tuple[int, int]:
    """Top left corner of a square of side ``WINDOW`` around the defect, inside the picture."""
    rows, columns = mask.nonzero().float().mean(0).int().tolist()
    return tuple(min(max(at - WINDOW // 2, 0), mask.shape[-1] - WINDOW) for at in (rows, columns))
