"""Typical set: from which dimension on is no draw in 1,000 nearer to the mode than half the typical radius?

``Lengths`` is the pure part: a dimension gives a picture, numbers and a sentence. ``typical_set`` puts a slider on it.
"""

from __future__ import annotations

import math

import torch

from tutorial_lib.plots.density import LengthsPicture, lengths_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, live

DRAWS = 1000
DIMENSIONS = (*range(1, 31), 40, 64, 128, 256, 512, 768)


class Lengths:
    """Lengths of 1,000 draws in every dimension of the slider.

    Args:
        seed: of one draw of ``(1000, 768)`` standard normal numbers; dimension d uses the first d of each row.
    """

    def __init__(self, seed: int = 0):
        z = torch.randn(DRAWS, DIMENSIONS[-1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.all = z.square().cumsum(1).sqrt()  # (1000, 768): column d − 1 holds the lengths in d dimensions
        self.canvas = None

    def of(self, d: int) -> torch.Tensor:
        """The 1,000 lengths in d dimensions, ``(1000,)``."""
        return self.all[:, d - 1]

    def numbers(self, d: int) -> dict[str, float]:
        """Mean, spread and smallest of the lengths; how many draws lie nearer to 0 than half the typical radius."""
        found, radius = self.of(d), typical(d)
        return {"d": d, "radius": radius, "mean": float(found.mean()), "sd": float(found.std()),
                "nearest": float(found.min()), "inside": int((found < radius / 2).sum())}

    def first_empty(self) -> int:
        """The smallest dimension of the slider from which on no draw lies inside."""
        some = [d for d in DIMENSIONS if self.numbers(d)["inside"]]
        return next(d for d in DIMENSIONS if d > max(some))

    def view(self, d: int) -> View:
        """Picture, numbers and sentence of one dimension."""
        if self.canvas is None:
            self.picture = LengthsPicture()
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("axes")
        n = self.numbers(d)
        self.picture.show(self.of(d).numpy(), n["radius"], d)
        return View(self.canvas.png("axes"), n, sentence(n))


def typical(d: int) -> float:
    """Mean length of a standard normal vector in d dimensions (the chi distribution)."""
    return math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))


def sentence(n: dict[str, float]) -> str:
    """What one dimension shows, in words."""
    return (f"d = {n['d']}: typical radius {n['radius']:.2f}; the {DRAWS:,} lengths have mean {n['mean']:.2f} and "
            f"spread {n['sd']:.2f}. Nearer to z = 0 than half the radius: {n['inside']}. Nearest of all: "
            f"{n['nearest']:.2f}.")


def typical_set(lengths: Lengths):
    """A slider over the dimension, with the histogram of the lengths."""
    import ipywidgets as w

    slider = w.SelectionSlider(options=DIMENSIONS, value=1, description="dimension d", style=STYLE, layout=WIDTH)
    image, text = w.Image(format="png"), w.HTML()

    def redraw(_=None) -> None:
        view = lengths.view(slider.value)
        image.value, text.value = view.png, live(view.alt)

    slider.observe(redraw, "value")
    redraw()
    return framed("From which dimension on is no draw in 1,000 nearer to the mode than half the typical radius?",
                  ["below 10", "between 10 and 30", "above 100", "never"], w.VBox([slider, image, text]),
                  "Complete: from d = … on, none of these 1,000 draws is inside the grey band.",
                  lengths.first_empty, 0.0)


def strip(lengths: Lengths, dimensions: tuple[int, ...]):
    """The deciding dimensions without a slider, and one sentence for all."""
    figure = lengths_strip({d: lengths.of(d).numpy() for d in dimensions})
    states = [lengths.numbers(d) for d in dimensions]
    return figure, f"Of {DRAWS:,} draws, nearer to z = 0 than half the typical radius: " + "; ".join(
        f"d = {n['d']}: {n['inside']} (nearest {n['nearest']:.2f}, spread {n['sd']:.2f})" for n in states) + "."
