"""Parallelogram: which pairs of vectors span the area 1, and what does the determinant not tell about them?

Two vectors a and b are the columns of a matrix J. It makes a parallelogram of the unit square. 5,000 dots are thrown
into the smallest box around it, and the share inside, times the area of the box, is an estimate of |det J|:

    area = box · p,     standard error = box · sqrt(p (1 - p) / 5000)
"""

from __future__ import annotations

import math
from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots.parallelogram import ParallelogramPicture, images
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import PICTURE, STYLE, WIDTH, framed, live

DOTS = 5000
SIZES = (0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
VALUES = (*(-v for v in reversed(SIZES)), 0.0, *SIZES)    # what a coordinate may be
WINDOWS = (3.0, 8.0, 21.0, 42.0)                             # half widths of the picture

State = tuple[float, float, float, float]  # a1, a2, b1, b2


def matrix(state: State) -> Tensor:
    """J (2, 2), with a and b as columns."""
    return torch.tensor([[state[0], state[2]], [state[1], state[3]]], dtype=torch.float64)


def determinant(state: State) -> float:
    """a1 b2 - a2 b1; exactly 0 when only rounding is left of it."""
    a1, a2, b1, b2 = state
    det = a1 * b2 - a2 * b1
    return 0.0 if abs(det) < 1e-12 else det


@cache
def throws() -> Tensor:
    """The dots in the unit square, (5000, 2), from a named seed; each box stretches them to its size."""
    return torch.rand(DOTS, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def box(state: State) -> tuple[Tensor, Tensor]:
    """Lowest corner (2,) and side lengths (2,) of the smallest upright box around the parallelogram."""
    j = matrix(state)
    corners = torch.stack([torch.zeros(2, dtype=j.dtype), j[:, 0], j[:, 1], j.sum(1)])
    low = corners.amin(0)
    return low, corners.amax(0) - low


def throw(state: State) -> tuple[Tensor, Tensor]:
    """Dots in the box (5000, 2), and which of them lie inside the parallelogram, (5000,) of bool."""
    low, side = box(state)
    dots, det = low + side * throws(), determinant(state)
    if det == 0:
        return dots, torch.zeros(DOTS, dtype=torch.bool)
    a1, a2, b1, b2 = state
    u = torch.stack([b2 * dots[:, 0] - b1 * dots[:, 1], a1 * dots[:, 1] - a2 * dots[:, 0]], 1) / det  # J⁻¹ of each
    return dots, ((u > -1e-12) & (u < 1 + 1e-12)).all(1)


def measure(state: State) -> dict[str, float]:
    """``det``, its size ``area``, the ``counted`` area and its ``error``, the ``longest`` and ``shortest`` stretch.

    The stretches are the singular values: the lengths that the longest and the shortest image of a unit vector have.
    """
    share, space = float(throw(state)[1].double().mean()), float(box(state)[1].prod())
    stretch = torch.linalg.svdvals(matrix(state))
    return {"det": determinant(state), "area": abs(determinant(state)), "counted": space * share,
            "error": space * math.sqrt(share * (1 - share) / DOTS), "longest": float(stretch[0]),
            "shortest": float(stretch[1]) if determinant(state) else 0.0}


def sentence(state: State, n: dict[str, float]) -> str:
    """What the picture of one state shows, in words."""
    a1, a2, b1, b2 = state
    turn = ("flat: a whole line of points lands on 0" if n["det"] == 0 else
            "blue, the F reads as before" if n["det"] > 0 else "orange, the F is mirrored")
    return (f"a = ({a1:g}, {a2:g}), b = ({b1:g}, {b2:g}): det = {n['det']:.2f}, {turn}. Counted area "
            f"{n['counted']:.2f} ± {n['error']:.2f}, |det| = {n['area']:.2f}. A unit vector gets a length between "
            f"{n['shortest']:.2f} and {n['longest']:.2f}.")


class Board:
    """The picture, drawn once for each of four windows; ``view`` redraws what a slider moves."""

    def __init__(self):
        self.pictures = {half: ParallelogramPicture(half) for half in WINDOWS}
        self.canvases = {half: Canvas(picture.fig, picture.moving) for half, picture in self.pictures.items()}
        for canvas in self.canvases.values():
            canvas.keep("board")

    def view(self, *state: float) -> View:
        """Picture, numbers and sentence of one state."""
        low, side = box(state)
        half = next(h for h in WINDOWS if float(torch.cat([low, low + side]).abs().max()) <= h)
        self.pictures[half].set(matrix(state), *throw(state), determinant(state))
        n = measure(state)
        return View(self.canvases[half].png("board"), n, sentence(state, n))


def parallelogram():
    """Four sliders for two vectors, with picture, numbers and one question."""
    import ipywidgets as w

    board = Board()
    sliders = [w.SelectionSlider(options=VALUES, value=value, description=name, style=STYLE, layout=WIDTH)
               for name, value in (("a₁", 2.0), ("a₂", 0.5), ("b₁", -1.0), ("b₂", 1.5))]
    image, text = w.Image(format="png", layout=PICTURE), w.HTML()

    def state() -> State:
        return tuple(slider.value for slider in sliders)

    def redraw(_=None) -> None:
        view = board.view(*state())
        image.value, text.value = view.png, live(view.alt)

    for slider in sliders:
        slider.observe(redraw, "value")
    redraw()
    return framed("Find three pairs with area 1: a square, a thin one, and one with a side of length 20. What did the "
                  "determinant not tell you?",
                  ["how much room there is", "whether the image is mirrored", "how long and how thin it is"],
                  w.VBox([*sliders, image, text]),
                  "Complete: in this state the longest image of a unit vector has the length …",
                  lambda: measure(state())["longest"], 0.02)


def strip(states: dict[str, State]) -> tuple[Figure, str]:
    """Named states side by side, each on its own scale, and one sentence per state."""
    panels = [(f"{name}\ndet = {determinant(s):.2f}", matrix(s), *throw(s)) for name, s in states.items()]
    return images(panels), " ".join(f"{name}: {sentence(s, measure(s))}" for name, s in states.items())
