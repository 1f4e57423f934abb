"""Stretch a density: for which maps do the two marks stay together, and which strength lifts the density above 3?

z is standard normal and x = g(z). Ten strips of z that hold a tenth of the mass each go through g. Two marks: the image
of the mode, g(most likely z), and the mode of the image, the most likely x:

    log p(x) = log π(z) - ln|g'(z)|,     z = g⁻¹(x)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots.stretch import StretchPicture, stretch_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

STRENGTHS = tuple(k / 8 for k in range(1, 11))   # 0.125 to 1.25
STRIPS = 10
REACH = 8.0                                      # |z| beyond which no mass is counted: 1e-15 is left out


@dataclass(frozen=True)
class Stretch:
    """A map g of the line with strength a, and ln|g'|; both take z and a."""

    g: Callable[[Tensor, float], Tensor]
    log_slope: Callable[[Tensor, float], Tensor]


MAPS = {
    "x = a z": Stretch(lambda z, a: a * z, lambda z, a: torch.full_like(z, math.log(a))),
    "x = exp(a z)": Stretch(lambda z, a: (a * z).exp(), lambda z, a: math.log(a) + a * z),
    "x = sinh(a z)": Stretch(lambda z, a: (a * z).sinh(), lambda z, a: math.log(a) + (a * z).cosh().log()),
    "x = tanh(a z)": Stretch(lambda z, a: (a * z).tanh(), lambda z, a: math.log(a) - 2 * (a * z).cosh().log()),
}


def edges() -> Tensor:
    """The eleven z between which a tenth of the mass lies, (11,); the outermost are ±REACH, for infinity."""
    inner = torch.special.ndtri(torch.arange(1, STRIPS, dtype=torch.float64) / STRIPS)
    return torch.cat([inner.new_tensor([-REACH]), inner, inner.new_tensor([REACH])])


def curve(name: str, a: float, z: Tensor) -> tuple[Tensor, Tensor]:
    """The points x = g(z) and their density, each shaped like z."""
    stretch = MAPS[name]
    log_pi = -0.5 * z.square() - 0.5 * math.log(2 * math.pi)
    return stretch.g(z, a), (log_pi - stretch.log_slope(z, a)).exp()


def strips(name: str, a: float, points: int = 401) -> tuple[Tensor, Tensor]:
    """Points and densities of the ten strips, (10, points) each."""
    e = edges()
    z = e[:-1, None] + (e[1:] - e[:-1])[:, None] * torch.linspace(0, 1, points, dtype=e.dtype)
    return curve(name, a, z)


def measure(name: str, a: float) -> dict[str, float]:
    """The numbers of one state: the two marks, the ``peak`` density, the least and the most ``area`` of a strip.

    Of two equally likely x, the larger one is the mode.
    """
    z = torch.linspace(-REACH, REACH, 16_001, dtype=torch.float64)
    x, p = curve(name, a, z)
    top = int((p > p.max() * (1 - 1e-9)).nonzero()[-1])
    areas = torch.trapezoid(*reversed(strips(name, a)))
    return {"image_of_mode": float(MAPS[name].g(z.new_zeros(1), a)), "mode_of_image": float(x[top]),
            "peak": float(p[top]), "least_area": float(areas.min()), "most_area": float(areas.max())}


def sentence(name: str, a: float, n: dict[str, float]) -> str:
    """What one state shows, in words."""
    gap = abs(n["image_of_mode"] - n["mode_of_image"])
    marks = "the marks stay together" if gap < 0.005 else f"the marks are {gap:.2f} apart"
    return (f"{name} with a = {a:g}: image of the mode {n['image_of_mode']:.2f}, mode of the image "
            f"{round(n['mode_of_image'], 2) + 0.0:.2f}, {marks}. Highest density {n['peak']:.2f}; each strip holds "
            f"{n['least_area']:.3f} of the mass.")


class Stretcher:
    """The picture, drawn once; ``view`` moves the strips and the two marks."""

    def __init__(self):
        e = edges()
        z = e[:-1, None] + (e[1:] - e[:-1])[:, None] * torch.linspace(0, 1, 81, dtype=e.dtype)
        self.picture = StretchPicture(z, torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi))
        self.canvas = Canvas(self.picture.fig, self.picture.moving)
        self.canvas.keep("stretch")

    def view(self, name: str, a: float) -> View:
        """Picture, numbers and sentence of one state."""
        n = measure(name, a)
        self.picture.set(*strips(name, a, 81), n["image_of_mode"], n["mode_of_image"], n["peak"])
        return View(self.canvas.png("stretch"), n, sentence(name, a, n))


def stretch():
    """A map and a strength, with picture, numbers and one question."""
    import ipywidgets as w

    stretcher = Stretcher()
    name = w.Dropdown(options=list(MAPS), description="map", style=STYLE, layout=WIDTH)
    strength = w.SelectionSlider(options=STRENGTHS, value=1.0, description="strength a", style=STYLE, layout=WIDTH)
    return framed("For which maps do the two marks stay together at every strength, and which strength lifts the "
                  "density above 3?", ["all four", "x = a z only", "x = a z and x = sinh(a z)", "none"],
                  pictured([name, strength], lambda: stretcher.view(name.value, strength.value)),
                  "Complete: in this state the mode of the image lies at x = …",
                  lambda: measure(name.value, strength.value)["mode_of_image"], 0.02)


def strip(states: list[tuple[str, float]]) -> tuple[Figure, str]:
    """Named states side by side, and one sentence per state."""
    numbers = [measure(*state) for state in states]
    panels = [(f"{name}, a = {a:g}", *strips(name, a, 81), n["image_of_mode"], n["mode_of_image"])
              for (name, a), n in zip(states, numbers, strict=True)]
    return stretch_strip(panels), " ".join(sentence(*s, n) for s, n in zip(states, numbers, strict=True))
