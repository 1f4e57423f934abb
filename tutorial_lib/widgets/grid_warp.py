"""Grid warp: by what factor does the gap between map and Jacobian shrink when the square is halved?

A square of side h around a point goes through a map of the plane. Its true image is curved; the Jacobian J makes a
parallelogram of it. The gap is the largest distance between the two, corresponding points compared:

    gap = max over u of | f(p + h u) - f(p) - h J u |,     u on the edge of the square [-1/2, 1/2]²
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots.grid_warp import WarpPicture, warp_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

HALF = 1.6                                   # the grid covers |x1|, |x2| <= HALF
SIDES = (1.0, 0.5, 0.25, 0.125, 0.0625)
PLACES = tuple(round(-1.0 + 0.25 * k, 2) for k in range(9))


def swirl(x: Tensor) -> Tensor:
    """Turn each point around the origin, by an angle that falls with the distance. x: (…, 2)."""
    angle = 1.2 * torch.exp(-0.5 * x.square().sum(-1))
    c, s = angle.cos(), angle.sin()
    return torch.stack([c * x[..., 0] - s * x[..., 1], s * x[..., 0] + c * x[..., 1]], -1)


def squares(x: Tensor) -> Tensor:
    """(x1² - x2², 2 x1 x2) / 2: the map of chapter 03, halved to fit the picture. x: (…, 2)."""
    return torch.stack([(x[..., 0] ** 2 - x[..., 1] ** 2) / 2, x[..., 0] * x[..., 1]], -1)


def coupling(x: Tensor) -> Tensor:
    """x1 passes; x2 is stretched and shifted by an amount that x1 decides, as in chapter 05. x: (…, 2)."""
    return torch.stack([x[..., 0], x[..., 1] * torch.exp(0.5 * x[..., 0].sin()) + 0.4 * (2 * x[..., 0]).cos()], -1)


def shear(x: Tensor) -> Tensor:
    """A matrix: x1 + 0.6 x2, 0.2 x1 + 0.9 x2. x: (…, 2)."""
    return torch.stack([x[..., 0] + 0.6 * x[..., 1], 0.2 * x[..., 0] + 0.9 * x[..., 1]], -1)


def fold(x: Tensor) -> Tensor:
    """|x1| with a slope, x2: the plane folded along x1 = 0, where there is no derivative. x: (…, 2)."""
    return torch.stack([x[..., 0].abs(), x[..., 1] + 0.3 * x[..., 0].abs()], -1)


MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "swirl": swirl, "squares": squares, "coupling layer": coupling, "matrix": shear, "fold": fold}


def jacobian(name: str, point: tuple[float, float]) -> Tensor:
    """J (2, 2) of the named map at a point: rows are outputs, columns are inputs."""
    return torch.func.jacrev(MAPS[name])(torch.tensor(point, dtype=torch.float64))


def edge(n: int = 24) -> Tensor:
    """The edge of the square [-1/2, 1/2]², closed, n points a side: (4 n + 1, 2)."""
    t = torch.arange(n, dtype=torch.float64)[:, None] / n - 0.5
    half = torch.full_like(t, 0.5)
    sides = [torch.cat(pair, 1) for pair in ((t, -half), (half, t), (-t, half), (-half, -t))]
    return torch.cat([*sides, sides[0][:1]])


def images(name: str, point: tuple[float, float], h: float) -> tuple[Tensor, Tensor]:
    """True image of the square's edge, and the parallelogram that J makes of it, both (97, 2)."""
    p, u = torch.tensor(point, dtype=torch.float64), edge()
    return MAPS[name](p + h * u), MAPS[name](p) + h * u @ jacobian(name, point).T


def measure(name: str, point: tuple[float, float], h: float) -> dict[str, float]:
    """The numbers of one state: the ``gap``, the gap at twice the side ``doubled``, their ``factor`` and J's entries.

    ``factor`` is NaN where both gaps are zero, as for a matrix.
    """
    gap, doubled = (_gap(name, point, side) for side in (h, 2 * h))
    j = jacobian(name, point)
    return {"gap": gap, "doubled": doubled, "factor": doubled / gap if gap > 1e-12 else float("nan"),
            "j11": float(j[0, 0]), "j12": float(j[0, 1]), "j21": float(j[1, 0]), "j22": float(j[1, 1])}


def _gap(name: str, point: tuple[float, float], h: float) -> float:
    true, flat = images(name, point, h)
    return float((true - flat).norm(dim=1).max())


def sentence(name: str, point: tuple[float, float], h: float, n: dict[str, float]) -> str:
    """What the picture of one state shows, in words."""
    factor = "The image is the parallelogram: no gap" if n["factor"] != n["factor"] else (
        f"gap {_digits(n['gap'])}; at side {2 * h:g} it is {_digits(n['doubled'])}, {n['factor']:.1f} times as large")
    j = [f"{round(n[k], 2) + 0.0:.2f}" for k in ("j11", "j12", "j21", "j22")]
    return (f"{name} at ({point[0]:g}, {point[1]:g}), side {h:g}: J = [{j[0]}, {j[1]}; {j[2]}, {j[3]}]. {factor}.")


def _digits(gap: float) -> str:
    return f"{gap:.2g}" if gap >= 1e-12 else "0"


class Warp:
    """The picture, with the grids of every map drawn once; ``view`` redraws what a control moves."""

    def __init__(self):
        self.picture = WarpPicture(HALF)
        self.canvas = Canvas(self.picture.fig, self.picture.moving, self.picture.staged)
        for name, function in MAPS.items():
            self.picture.stage(function)
            self.canvas.keep(name)

    def view(self, name: str, point: tuple[float, float], h: float) -> View:
        """Picture, numbers and sentence of one state."""
        n = measure(name, point, h)
        p = torch.tensor(point, dtype=torch.float64)
        self.picture.set(p, p + h * edge(), *images(name, point, h), MAPS[name](p), h)
        return View(self.canvas.png(name), n, sentence(name, point, h, n))


def grid_warp():
    """A map, a point and the side of the square, with picture, numbers and one question."""
    import ipywidgets as w

    warp = Warp()
    name = w.Dropdown(options=list(MAPS), description="map", style=STYLE, layout=WIDTH)
    across = w.SelectionSlider(options=PLACES, value=0.5, description="point, x₁", style=STYLE, layout=WIDTH)
    up = w.SelectionSlider(options=PLACES, value=0.25, description="point, x₂", style=STYLE, layout=WIDTH)
    side = w.SelectionSlider(options=SIDES, value=1.0, description="side h", style=STYLE, layout=WIDTH)
    def state() -> tuple[str, tuple[float, float], float]:
        return name.value, (across.value, up.value), side.value

    return framed("By what factor does the gap between the curved image and the parallelogram shrink when the side is "
                  "halved?", ["not at all", "about 2", "about 4", "about 8"],
                  pictured([name, across, up, side], lambda: warp.view(*state())),
                  "Complete: in this state the gap at twice the side is … times as large (0 if there is no gap).",
                  lambda: 0.0 if (f := measure(*state())["factor"]) != f else f, 0.15)


def strip(states: list[tuple[str, tuple[float, float], float]]) -> tuple[Figure, str]:
    """Named states side by side, each blown up by 1/h, and one sentence per state."""
    panels = [(f"{name}, h = {h:g}", *images(name, p, h), MAPS[name](torch.tensor(p, dtype=torch.float64)), h,
               measure(name, p, h)["gap"]) for name, p, h in states]
    return warp_strip(panels), " ".join(sentence(name, p, h, measure(name, p, h)) for name, p, h in states)
