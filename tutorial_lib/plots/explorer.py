"""Pictures of the latent explorer: distributions, the map of images, the card of one image, one place, one walk.

Everything comes in as plain arrays; what a ``Study`` or a ``Blame`` is, these functions do not know. A text that holds
the name of a file or a folder is drawn with ``parse_math=False``: a ``$`` in a name is no formula.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from scipy import ndimage, stats
from torch import Tensor

from tutorial_lib.plots import style

GOOD, DEFECT, TRAIN = style.BLUE, style.ORANGE, style.GREY
SHAPES = ("o", "^", "s", "D")
COLOURS = (style.ORANGE, style.PINK, style.GREEN, style.AMBER, style.SKY, style.BLACK)


def looks(groups: Sequence[str]) -> dict[str, tuple[str, int, float, bool]]:
    """Colour, shape, radius and "hollow" of each group: training and good are discs, every defect has its own look."""
    fixed = {"train": (TRAIN, 0, 3.0, True), "good": (GOOD, 0, 3.5, False)}
    kinds = [g for g in dict.fromkeys(groups) if g not in fixed]
    found = {kind: (COLOURS[k % len(COLOURS)], 1 + k % 3, 4.5, False) for k, kind in enumerate(kinds)}
    return {g: look for g, look in (fixed | found).items() if g in set(groups)}


def distributions(good: np.ndarray, defective: np.ndarray, qq: Sequence[tuple[np.ndarray, np.ndarray]],
                  norms: Sequence[tuple[np.ndarray, np.ndarray]], dim: int, correlation: np.ndarray) -> Figure:
    """Four looks at one scale: marginal density, QQ against N(0, 1), QQ of ‖z‖² against chi², correlations.

    Args:
        good, defective: entries of z. qq, norms: (theory, found) for good and for defective images.
        dim: entries of one vector. correlation: ``(C, C)`` of good images.
    """
    fig, axes = plt.subplots(1, 4, figsize=(9.6, 2.9), layout="constrained", width_ratios=(1.1, 1, 1, 1.1))
    grid = np.linspace(-6, 6, 200)
    for values, colour, name in ((good, GOOD, "good"), (defective, DEFECT, "defective")):
        sns.histplot(x=np.clip(values, -6, 6), stat="density", element="step", fill=False, color=colour, label=name,
                     bins=np.linspace(-6, 6, 61), ax=axes[0])
    axes[0].plot(grid, stats.norm.pdf(grid), color=style.BLACK, ls="--", lw=1.2, label="N(0, 1)")
    axes[0].set(yscale="log", ylim=(1e-5, 3), xlabel="entry of z", ylabel="density", title="marginals")
    axes[0].legend(fontsize=8.5, loc="upper right", handlelength=1.2, borderaxespad=0)
    for ax, pairs in ((axes[1], qq), (axes[2], norms)):
        for (theory, found), colour, mark in zip(pairs, (GOOD, DEFECT), ("o", "^"), strict=True):
            ax.plot(theory, found, ls="", marker=mark, ms=2.5, color=colour)
    span = np.array([-3.4, 3.4])
    axes[1].plot(span, span, color=style.BLACK, ls="--", lw=1.2)
    axes[1].set(xlabel="quantile of N(0, 1)", ylabel="quantile of z", title="QQ, entries")
    every = np.concatenate([q for pair in norms for q in pair])
    span = np.array([max(every.min(), 1e-3 * every.max()) / 1.2, every.max() * 1.2])  # a norm of 0 has no logarithm
    axes[2].plot(span, span, color=style.BLACK, ls="--", lw=1.2)
    axes[2].set(xscale="log", yscale="log", xlim=span, ylim=span, xlabel=f"quantile of χ²({dim}) / {dim}",
                ylabel=f"quantile of ‖z‖² / {dim}", title="QQ, squared norm")
    for axis in (axes[2].xaxis, axes[2].yaxis):
        axis.set_major_locator(LogLocator(subs=(1,) if span[1] > 30 * span[0] else (1, 2, 5)))
        axis.set_major_formatter(plt.FormatStrFormatter("%g"))
        axis.set_minor_formatter(NullFormatter())
    image = axes[3].imshow(correlation - np.eye(len(correlation)), cmap=style.DIVERGING, vmin=-0.6, vmax=0.6)
    axes[3].set(title="correlation left over", xlabel="entry", ylabel="entry")
    fig.colorbar(image, ax=axes[3], shrink=0.85)
    return fig


def maps_of_images(planes: Sequence[tuple[np.ndarray, tuple[str, str]]], groups: Sequence[str],
                   marked: dict[str, int] | None = None) -> Figure:
    """Every image as a point, in one or two planes; what the live map shows, as a picture.

    Args:
        planes: ``(points (N, 2), (x label, y label))``. groups: one per image. marked: text to index of a ringed point.
    """
    fig, axes = plt.subplots(1, len(planes), figsize=(4.6 * len(planes), 3.9), layout="constrained", squeeze=False)
    names = np.array(groups)
    for ax, (points, labels) in zip(axes[0], planes, strict=True):
        for group, (colour, shape, radius, hollow) in looks(groups).items():
            rows = points[names == group]
            ax.scatter(rows[:, 0], rows[:, 1], s=(1.6 * radius) ** 2, marker=SHAPES[shape], lw=0.9, label=group,
                       facecolors="none" if hollow else colour, edgecolors=colour, alpha=0.85)
        for text, index in (marked or {}).items():
            ax.scatter(*points[index], s=190, facecolors="none", edgecolors=style.BLACK, lw=1.6)
            _name(ax, text, points[index])
        ax.set(xlabel=labels[0], ylabel=labels[1])
    _legend(fig, axes[0, 0])
    return fig


def _name(ax: Axes, text: str, point: tuple[float, float]) -> None:
    look = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
    left, right = ax.get_xlim()
    side, sign = ("left", 1) if point[0] < (left + right) / 2 else ("right", -1)  # towards the middle, off the axis
    ax.annotate(text, point, xytext=(12 * sign, 14), textcoords="offset points", ha=side, fontsize=9.5, bbox=look,
                parse_math=False)


def _legend(fig: Figure, ax: Axes) -> None:
    handles, names = ax.get_legend_handles_labels()
    for text in fig.legend(handles, names, loc="outside lower center", ncols=min(8, len(names)), fontsize=9,
                           handletextpad=0.2, columnspacing=1.0).get_texts():
        text.set_parse_math(False)


def compressed(points: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """asinh of ``points`` in the given units: straight up to 1, then logarithmic: outliers stay on the map."""
    return np.arcsinh(points / unit)


class CardPicture:
    """One image in six panels: itself, heat map, gradient map, nearest normal; its terms; the channels at its place.

    Args:
        side: pixels of a picture. terms: names of the score's parts. channels: entries of the vector at a place.
        heat_limits: colour limits of the heat map, or None where the method has no map.
        unit: what the channels show, for the axis.
    """

    def __init__(self, side: int, terms: Sequence[str], channels: int, heat_limits: tuple[float, float] | None,
                 unit: str = "z²"):
        self.fig = Figure(figsize=(8.8, 4.7), dpi=100, layout="constrained")
        top, below = self.fig.subfigures(2, 1, height_ratios=(1.25, 1))
        self.tiles = top.subplots(1, 4)
        blank = np.zeros((side, side, 3))
        low, high = heat_limits or (0.0, 1.0)
        self.photo, self.heat, self.grad, self.near = (
            self.tiles[0].imshow(blank),
            self.tiles[1].imshow(blank[..., 0], cmap=style.SEQUENTIAL, vmin=low, vmax=high),
            self.tiles[2].imshow(blank[..., 0], cmap=style.NEUTRAL, vmin=0, vmax=1), self.tiles[3].imshow(blank))
        self.outlines = [ax.imshow(np.zeros((side, side, 4))) for ax in self.tiles[:2]]
        rim = [withStroke(linewidth=4.5, foreground="white")]  # so that the cross is seen on dark ground and on light
        self.crosses = [ax.plot([], [], marker="+", ms=15, mew=2.2, color=style.BLACK, path_effects=rim)[0]
                        for ax in self.tiles[:3]]
        self.titles = [ax.set_title("Two lines\nof text", fontsize=10, parse_math=False) for ax in self.tiles]
        for ax in self.tiles:
            ax.set_axis_off()
        left, right = below.subplots(1, 2, width_ratios=(1, 1.35))
        self.bars = left.barh(range(len(terms)), [1.0] * len(terms), color=style.BLUE, height=0.62)
        left.set_yticks(range(len(terms)), terms)
        left.set_ylim(max(1.5, len(terms) - 0.5), -0.5 - 1.0 * (len(terms) == 1))
        left.set_xscale("symlog", linthresh=1, linscale=0.6)
        left.set(xlim=(-3, 3e3), xlabel="above normal, in spreads of normal images")
        left.set_title("parts of the score", fontsize=10)
        left.axvline(0, color=style.BLACK, lw=0.8)
        left.set_xticks([-1, 0, 1, 10, 100, 1000], ["−1", "0", "1", "10", "100", "1000"])
        (self.dots,) = right.plot([], [], ls="", marker="o", ms=3, color=style.BLUE)
        (self.top,) = right.plot([], [], ls="", marker="o", ms=8, mfc="none", mec=style.ORANGE, mew=1.8)
        right.axhline(1, color=style.BLACK, lw=1, ls="--")
        right.set(yscale="log", ylim=(1e-3, 1e5), xlim=(-1, channels), xlabel="channel", ylabel=unit)
        right.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        right.yaxis.set_major_formatter(plt.FormatStrFormatter("%g"))
        self.caption = right.set_title("channels at the place", fontsize=10)
        self.moving = [self.photo, self.heat, self.grad, self.near, *self.outlines, *self.crosses, *self.titles,
                       *self.bars, self.dots, self.top, self.caption]

    def set(self, photo: np.ndarray, heat: np.ndarray | None, gradient: np.ndarray, near: np.ndarray,
            mask: np.ndarray | None, place: tuple[int, int], titles: Sequence[str], terms: Sequence[float],
            blamed: int, channels: np.ndarray, channel: int, where: str) -> None:
        """Move to one image. Pictures ``(S, S, 3)`` in [0, 1]; maps ``(S, S)``; ``terms`` in spreads above normal,
        the one with index ``blamed`` in orange."""
        self.photo.set_data(photo)
        self.heat.set_data(np.full(photo.shape[:2], np.nan) if heat is None else heat)
        self.grad.set_data(gradient / max(float(gradient.max()), 1e-12))
        self.near.set_data(near)
        for outline, hidden in zip(self.outlines, (False, heat is None), strict=True):
            outline.set_data(outlined(None if hidden else mask, photo.shape[:2]))
        for cross, shown in zip(self.crosses, (photo, heat, gradient), strict=True):
            cross.set_data(([], []) if shown is None else ([place[1]], [place[0]]))
        for text, title in zip(self.titles, titles, strict=True):
            text.set_text(title)
        for k, (bar, value) in enumerate(zip(self.bars, terms, strict=True)):
            bar.set_width(value)
            bar.set_color(style.ORANGE if k == blamed and value > 0 else style.BLUE)
        inside = np.clip(channels, 1.2e-3, 5e4)
        self.dots.set_data(np.arange(len(channels)), inside)
        self.top.set_data([channel], [inside[channel]])
        self.caption.set_text(where)


def outlined(mask: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """``(S, S, 4)``: the border of a mask in orange, everything else transparent."""
    picture = np.zeros((*shape, 4))
    if mask is not None and mask.any():
        picture[ndimage.binary_dilation(mask) & ~mask] = (*(int(style.ORANGE[k:k + 2], 16) / 255 for k in (1, 3, 5)), 1)
    return picture


class PlacePicture:
    """One vector among those of normal images at the same place: its two directions, and its length.

    Both panels are in units of the normal images, so that the axes stay where they are from click to click.
    """

    TICKS = np.array([-100, -10, 0, 10, 100])

    def __init__(self):
        self.fig = Figure(figsize=(5.6, 2.9), dpi=100, layout="constrained")
        left, right = self.fig.subplots(1, 2, width_ratios=(1, 1))
        (self.others,) = left.plot([], [], ls="", marker="o", ms=4, mfc="none", mec=style.GREY, mew=0.9)
        (self.own,) = left.plot([], [], ls="", marker="*", ms=15, color=style.ORANGE, mec=style.BLACK, mew=0.8)
        at = np.arcsinh(self.TICKS)
        names = [f"{v:d}" for v in self.TICKS]
        left.set(xlim=(-7, 7), ylim=(-7, 7), xlabel="first direction", ylabel="second direction")
        left.set_xticks(at, names), left.set_yticks(at, names)
        left.set_title("in deviations of normals", fontsize=10)
        (self.lengths,) = right.plot([], [], ls="", marker="|", ms=13, color=style.GREY)
        (self.length,) = right.plot([], [], ls="", marker="*", ms=15, color=style.ORANGE, mec=style.BLACK, mew=0.8)
        right.axvline(1, color=style.BLACK, lw=1, ls="--")
        right.set(xscale="log", xlim=(1e-3, 3e3), ylim=(-0.5, 1.5), xlabel="‖z‖² / C")
        right.set_yticks([0, 1], ["normal", "this"])
        right.set_title("length (dashed: N(0, I))", fontsize=10)
        right.xaxis.set_major_formatter(plt.FormatStrFormatter("%g"))
        self.moving = [self.others, self.own, self.lengths, self.length]

    def set(self, normals: np.ndarray, own: np.ndarray, energies: np.ndarray, energy: float) -> None:
        """``normals`` ``(M, 2)`` and ``own`` ``(2,)`` in any unit; ``energies`` ``(M,)`` of normal images."""
        unit = np.maximum(normals.std(0), 1e-9)
        inside = np.clip(compressed(np.vstack([normals, own]), unit), -6.8, 6.8)
        self.others.set_data(*inside[:-1].T)
        self.own.set_data(*inside[-1:].T)
        self.lengths.set_data(np.clip(energies, 1.2e-3, 2.5e3), np.zeros(len(energies)))
        self.length.set_data([np.clip(energy, 1.2e-3, 2.5e3)], [1])


class WalkPicture:
    """One step of a walk: the two ends, the decoded picture, and the distance after encoding again over all steps."""

    def __init__(self, shape: tuple[int, ...], span: tuple[float, float]):
        self.fig = Figure(figsize=(8.2, 2.7), dpi=100, layout="constrained")
        grid = self.fig.add_gridspec(1, 4, width_ratios=(1, 1, 1, 1.9))
        tiles = [self.fig.add_subplot(grid[k]) for k in range(3)]
        look = {"cmap": "gray", "vmin": 0, "vmax": 1}
        self.images = [ax.imshow(np.zeros(shape), **look) for ax in tiles]
        self.titles = [ax.set_title("Two lines\nof text", fontsize=10, parse_math=False) for ax in tiles]
        for ax in tiles:
            ax.set_axis_off()
        ax = self.fig.add_subplot(grid[3])
        (self.curve,) = ax.plot([], [], color=style.BLUE, marker=".", ms=4)
        (self.dot,) = ax.plot([], [], ls="", marker="o", ms=11, mfc="none", mec=style.BLACK, mew=2)
        ax.set(xlim=span, ylim=(1e-6, 1e3), yscale="log", xlabel="step, as a share of the way", ylabel="distance")
        ax.set_title("after encoding again", fontsize=10)
        self.moving = [*self.images, *self.titles, self.curve, self.dot]

    def set(self, ends: Sequence[np.ndarray], picture: np.ndarray, titles: Sequence[str], steps: np.ndarray,
            back: np.ndarray, index: int) -> None:
        """Move to one state: two end pictures, the decoded one, ``back`` of every step."""
        for image, shown in zip(self.images, (ends[0], picture, ends[1]), strict=True):
            image.set_data(shown)
        for text, title in zip(self.titles, titles, strict=True):
            text.set_text(title)
        inside = np.clip(back, 1.2e-6, 8e2)
        self.curve.set_data(steps, inside)
        self.dot.set_data([steps[index]], [inside[index]])


def walk(pictures: Sequence[np.ndarray], shown: Sequence[int], moved: Sequence[float], back: Sequence[float],
         usual: float) -> Figure:
    """A walk in latent space: the decoded pictures, and how far each point had moved when it was encoded again.

    Args:
        pictures: of the steps ``shown``, ``(S, S)`` or ``(S, S, 3)`` in [0, 1]. moved: length of each step. back:
            distance between the point that was decoded and the point that its picture encodes to. usual: distance
            between the two ends.
    """
    fig = plt.figure(figsize=(8.8, 3.6), layout="constrained")
    top, below = fig.subfigures(2, 1, height_ratios=(1, 1.1))
    for ax, picture, k in zip(top.subplots(1, len(pictures)), pictures, shown, strict=True):
        ax.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"{moved[k]:+.1f}", fontsize=10)
        ax.set_axis_off()
    ax: Axes = below.subplots()
    ax.plot(moved, back, marker="o", color=style.BLUE)
    ax.axhline(usual, color=style.BLACK, lw=1, ls="--")
    ax.text(moved[0], usual, "distance between the two ends", va="bottom", fontsize=9.5)
    ax.set(xlabel="length of the step in latent space", ylabel="distance after\nencoding again", ylim=(0, None))
    return fig


def two_parts(prior: np.ndarray, volume: np.ndarray, groups: Sequence[str], limits: tuple[float, float],
              marked: dict[str, int] | None = None) -> Figure:
    """-log p(z) across, -log_det upwards, with the limits of good images; the quarter at the top left is shaded.

    Args:
        prior, volume: ``(N,)`` nats. groups: one per image. limits: of the two. marked: text to index of a ring.
    """
    fig, ax = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    names = np.array(groups)
    for group, (colour, shape, radius, hollow) in looks(groups).items():
        rows = names == group
        ax.scatter(prior[rows], volume[rows], s=(1.6 * radius) ** 2, marker=SHAPES[shape], lw=0.9, label=group,
                   facecolors="none" if hollow else colour, edgecolors=colour, alpha=0.85)
    low, high = np.quantile(prior, 0), np.quantile(prior, 0.97)
    bottom, top = np.quantile(volume, [0, 1])
    margin = 0.06 * (top - bottom)
    ax.set(xlim=(low - 0.04 * (high - low), high + 0.04 * (high - low)), ylim=(bottom - margin, top + margin))
    ax.axvline(limits[0], color=style.BLACK, lw=1, ls="--")
    ax.axhline(limits[1], color=style.BLACK, lw=1, ls="--")
    ax.fill_between([ax.get_xlim()[0], limits[0]], limits[1], ax.get_ylim()[1], color=style.PALE, alpha=0.5, zorder=0)
    for text, index in (marked or {}).items():
        ax.scatter(prior[index], volume[index], s=170, facecolors="none", edgecolors=style.BLACK, lw=1.6)
        _name(ax, text, (prior[index], volume[index]))
    ax.set(xlabel="−log p(z), nats", ylabel="−log_det, nats")
    _legend(fig, ax)
    return fig


def near_and_far(pictures: Sequence[tuple[str, np.ndarray]], latent: np.ndarray, pixels: np.ndarray,
                 found: tuple[float, float], corner: tuple[float, float]) -> Figure:
    """Two pictures, and all pairs by their distance in latent space and in pixels (as shares of pairs that are nearer).

    Args:
        pictures: two of ``(title, (S, S, 3))``. latent, pixels: ``(M,)`` in [0, 1], one per pair. found: the pair of
            the two pictures. corner: pairs left of the first number and above the second are near and far.
    """
    fig, axes = plt.subplots(1, 3, figsize=(8.8, 3.2), layout="constrained", width_ratios=(1, 1, 1.5))
    for ax, (title, picture) in zip(axes, pictures, strict=False):
        ax.imshow(picture)
        ax.set_title(title, fontsize=10.5, parse_math=False)
        ax.set_axis_off()
    axes[2].hexbin(latent, pixels, gridsize=36, cmap="Greys", extent=(0, 1, 0, 1), linewidths=0.1)
    axes[2].add_patch(plt.Rectangle((0, corner[1]), corner[0], 1 - corner[1], fill=False, ec=style.ORANGE, lw=2))
    axes[2].plot(*found, marker="*", ms=15, color=style.ORANGE, mec=style.BLACK)
    axes[2].set(xlabel="nearer in latent space (share of pairs)", ylabel="nearer in pixels", xlim=(-0.02, 1),
                ylim=(0, 1.02))
    return fig


def as_picture(image: Tensor) -> np.ndarray:
    """``(3, S, S)`` or ``(1, S, S)`` in [0, 1] to what imshow takes."""
    picture = image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    return picture[..., 0] if picture.shape[2] == 1 else picture
