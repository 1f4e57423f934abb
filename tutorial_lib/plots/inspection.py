"""What a factory sees: pictures in green and orange frames, parts as dots, alarms over prevalence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

Cell = tuple[Tensor, bool, Tensor | None, str]  # picture (3, H, W), defective?, mask (H, W) or None, title


def frame(ax: Axes, defective: bool) -> None:
    """A green frame around a good part, an orange one (thicker, so that it shows without colour) around a bad one."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=style.ORANGE if defective else style.GREEN, linewidth=3.5 if defective else 1.8)


def framed(rows: Sequence[Sequence[Cell]], side: float = 1.7) -> Figure:
    """Pictures in rows, each in its frame; the outline of the true mask where one is given."""
    fig = Figure(figsize=(side * len(rows[0]), (side + 0.25) * len(rows)), dpi=style.DPI, layout="constrained")
    for line, cells in zip(fig.subplots(len(rows), len(rows[0]), squeeze=False), rows, strict=True):
        for ax, (picture, defective, mask, title) in zip(line, cells, strict=True):
            ax.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy())
            if mask is not None and mask.any():
                ax.contour(mask.float().numpy(), levels=[0.5], colors=[style.ORANGE], linewidths=1)
            ax.set_title(title, fontsize=10.5)
            frame(ax, defective)
    return fig


def dots(parts: int, hits: int, missed: int, false_alarms: int) -> Figure:
    """One dot per part: good and quiet, good with an alarm, defective with an alarm, defective and quiet."""
    fig = Figure(figsize=(7.6, 3.6), dpi=style.DPI, layout="constrained")
    ax = fig.add_subplot()
    kind = np.repeat([0, 1, 2, 3], [parts - hits - missed - false_alarms, false_alarms, hits, missed])
    kind = np.random.default_rng(2).permutation(kind)
    x, y = np.arange(parts) % 80, np.arange(parts) // 80
    looks = ((style.PALE, "o", 14, "good, no alarm"), (style.AMBER, "s", 26, "good, false alarm"),
             (style.ORANGE, "^", 42, "defective, found"), (style.BLACK, "x", 36, "defective, missed"))
    for k, (colour, marker, size, label) in enumerate(looks):
        ax.scatter(x[kind == k], y[kind == k], s=size, c=colour, marker=marker,
                   label=f"{label} ({int((kind == k).sum())})")
    ax.set_axis_off()
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def precision_curves(prevalence: np.ndarray, curves: dict[str, np.ndarray], mark: tuple[float, float]) -> Figure:
    """Share of alarms that are real, over the share of defective parts (logarithmic)."""
    fig = Figure(figsize=style.WIDE, dpi=style.DPI, layout="constrained")
    ax = fig.add_subplot()
    for (name, values), line in zip(curves.items(), ("-", "--", "-."), strict=False):
        ax.plot(prevalence, values, ls=line, label=name)
    ax.plot(*mark, "o", color=style.BLACK, ms=8, mfc="none", mew=2, label="the vendor's camera")
    ax.set(xscale="log", ylim=(0, 1.02), xlabel="prevalence: share of parts that are defective",
           ylabel="precision")
    ax.set_xticks([0.001, 0.01, 0.1, 0.5], ["1 in 1000", "1 in 100", "1 in 10", "1 in 2"])
    ax.minorticks_off()
    ax.axhline(0.5, color=style.GREY, lw=0.8, ls=":")
    ax.legend()
    return fig


def three_answers(image: Tensor, heat: Tensor, alarm: Tensor, regions: Tensor, truth: Tensor,
                  titles: Sequence[str]) -> Figure:
    """One picture, three answers: the image in the frame of its verdict, the regions ``(H, W)``, the map ``(H, W)``."""
    fig = Figure(figsize=(7.6, 2.9), dpi=style.DPI, layout="constrained")
    axes = fig.subplots(1, 3)
    axes[0].imshow(image.permute(1, 2, 0).clamp(0, 1).numpy())
    axes[1].imshow(regions.numpy() % 10, cmap="tab10", interpolation="nearest", alpha=(regions > 0).double().numpy())
    shown = axes[2].imshow(heat.numpy(), cmap=style.SEQUENTIAL)
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=10.5)
        ax.contour(truth.float().numpy(), levels=[0.5], colors=[style.BLACK if ax is axes[1] else style.ORANGE],
                   linewidths=1)
        frame(ax, bool(alarm))
    fig.colorbar(shown, ax=axes[2], label="anomaly", shrink=0.8)
    return fig
