"""Pictures of what a matrix does to the unit square: sides, box, dots, and a letter that shows a mirror."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

NAN = float("nan")
SQUARE = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0.0]]).double()                        # (5, 2), closed
LETTER = torch.tensor([[0.3, 0.15], [0.3, 0.85], [0.72, 0.85], [NAN, NAN], [0.3, 0.5], [0.62, 0.5]]).double()
MARK = {"color": style.BLACK, "lw": 2.4, "solid_capstyle": "round"}


def colour(det: float) -> str:
    """Blue keeps the orientation, orange is mirrored, black is flat."""
    return style.BLUE if det > 0 else style.ORANGE if det < 0 else style.BLACK


class ParallelogramPicture:
    """The figure of the widget for one window: the unit square with an F, and its image among dots in a box.

    Args:
        half: the right panel shows |z1|, |z2| <= half.
    """

    def __init__(self, half: float):
        self.fig = Figure(figsize=(7.6, 3.9), dpi=100, layout="constrained")
        left, right = self.fig.subplots(1, 2, width_ratios=(1, 1.75))
        left.fill(*SQUARE.T, color=style.BLUE, alpha=0.15)
        left.plot(*SQUARE.T, color=style.BLUE)
        left.plot(*LETTER.T, **MARK)
        left.set(title="the unit square", xlim=(-0.2, 1.2), ylim=(-0.2, 1.2), aspect="equal", xticks=(0, 1),
                 yticks=(0, 1), xlabel="x₁", ylabel="x₂")
        right.set(title="its image, and the dots in a box around it", xlim=(-half, half), ylim=(-half, half),
                  aspect="equal", xlabel="z₁", ylabel="z₂")
        right.grid(True)
        (self.outside,) = right.plot([], [], ".", ms=1.6, color="#B5B5B5")
        (self.inside,) = right.plot([], [], ".", ms=1.6)
        (self.edge,) = right.plot([], [], lw=2.0)
        (self.letter,) = right.plot([], [], **MARK)
        self.sides = [right.plot([], [], lw=3.2, ls=ls, color=style.PINK)[0] for ls in ("-", (0, (1.5, 1)))]
        self.moving = [self.outside, self.inside, self.edge, self.letter, *self.sides]
        self.fig.legend([*self.sides, self.outside], ["a", "b", "dot outside"], loc="outside lower center", ncols=3,
                        markerscale=6)

    def set(self, j: Tensor, dots: Tensor, hits: Tensor, det: float) -> None:
        """Move to the matrix j (2, 2), its columns being a and b; dots (n, 2), hits (n,) of bool."""
        self.outside.set_data(*dots[~hits].T)
        self.inside.set_data(*dots[hits].T)
        self.edge.set_data(*(SQUARE @ j.T).T)
        self.letter.set_data(*(LETTER @ j.T).T)
        for side, vector in zip(self.sides, j.T, strict=True):
            side.set_data([0, vector[0]], [0, vector[1]])
        for artist in (self.inside, self.edge):
            artist.set_color(colour(det))


def images(panels: Sequence[tuple[str, Tensor, Tensor | None, Tensor | None]],
           frame: tuple[float, float, float, float] | None = None) -> Figure:
    """What matrices make of the unit square, side by side: ``(title, j (2, 2), dots (n, 2), hits (n,))``.

    Dots may be None. ``frame`` (left, right, bottom, top) is common to all panels; without it each has its own scale.
    """
    fig = Figure(figsize=(2.2 * len(panels), 3.0), dpi=style.DPI, layout="constrained")
    for ax, (title, j, dots, hits) in zip(fig.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw_image(ax, j, dots, hits)
        ax.set_title(title, fontsize=10.5)
        if frame is not None:
            ax.set(xlim=frame[:2], ylim=frame[2:])
    fig.axes[0].set_ylabel("z₂")
    return fig


def draw_image(ax: Axes, j: Tensor, dots: Tensor | None = None, hits: Tensor | None = None) -> None:
    """Image of unit square and letter under j, with counted dots; dashed: the unit square."""
    det = float(j[0, 0] * j[1, 1] - j[0, 1] * j[1, 0])
    det = 0.0 if abs(det) < 1e-12 else det
    corners = SQUARE @ j.T
    if dots is not None and hits is not None:
        ax.plot(*dots[~hits].T, ".", ms=1.2, color="#B5B5B5")
        ax.plot(*dots[hits].T, ".", ms=1.2, color=colour(det))
    else:
        ax.fill(*corners.T, color=colour(det), alpha=0.2)
    ax.plot(*SQUARE.T, "--", color=style.BLACK, lw=1.1, zorder=3)
    ax.plot(*corners.T, color=colour(det), lw=2.2)
    ax.plot(*(LETTER @ j.T).T, **MARK)
    every = torch.cat([corners, SQUARE])
    middle, half = (every.amax(0) + every.amin(0)) / 2, 0.56 * float((every.amax(0) - every.amin(0)).max())
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal",
           xlabel="z₁")
