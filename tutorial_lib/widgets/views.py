"""Views: which view pushes this good part over the threshold, and does the mean save it?

``Turntable`` is the pure part: a state (part, angle, number of views) gives a picture, numbers and a sentence.
``views`` puts controls on it. Every score is computed beforehand, so a move only redraws two markers and a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.detectors.views import rotate
from tutorial_lib.plots.views import ViewsPicture, limits, views_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, live

ANGLES = 41  # odd, so that 0 degrees is one of them


class Turntable:
    """A few parts, each scored under many angles.

    Args:
        images: name to picture ``(3, S, S)`` in [0, 1]; a name says what the part is, such as ``"good part 3"``.
        score: pictures ``(N, 3, S, S)`` to one score each, ``(N,)``: the score of a single view.
        threshold: of a single view, from normal images.
        limit: angles go from -limit to limit, in degrees.
        seed: of the order in which the views are taken for the running mean; the first is always 0 degrees.
        fill: of the corners that turn in, as the score learned them: ``"reflect"`` or ``"black"``.
    """

    def __init__(self, images: Mapping[str, Tensor], score: Callable[[Tensor], Tensor], threshold: float,
                 limit: float = 10.0, seed: int = 0, fill: str = "reflect"):
        self.fill, self.threshold, self.images = fill, float(threshold), dict(images)
        self.angles = torch.linspace(-limit, limit, ANGLES)  # (A,)
        middle = ANGLES // 2
        rest = torch.tensor([k for k in range(ANGLES) if k != middle])
        shuffled = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
        self.order = torch.cat([torch.tensor([middle]), shuffled])
        with torch.no_grad():
            self.scores = {name: score(self.turned(name, self.angles)).double() for name in self.images}
        span = limits([s.numpy() for s in self.scores.values()], self.threshold)  # a mean lies between single views
        self.picture = ViewsPicture(next(iter(self.images.values())).shape[-1], span)
        self.canvas = None

    def turned(self, name: str, angles: Tensor) -> Tensor:
        """The part under each angle, ``(A, 3, S, S)``; corners are filled as in training."""
        return rotate(self.images[name].expand(len(angles), -1, -1, -1), angles, fill=self.fill)

    def means(self, name: str) -> Tensor:
        """Mean score of the first 1, 2, …, A views, ``(A,)``."""
        return self.scores[name][self.order].cumsum(0) / torch.arange(1, ANGLES + 1)

    def worst(self, name: str) -> int:
        """Index of the angle with the highest score."""
        return int(self.scores[name].argmax())

    def over(self, name: str) -> int:
        """How many of the single views lie above the threshold."""
        return int((self.scores[name] > self.threshold).sum())

    def numbers(self, name: str, index: int, views: int) -> dict[str, float]:
        """The numbers of one state: the angle's own score, and the mean of the first ``views`` views."""
        return {"angle": float(self.angles[index]), "score": float(self.scores[name][index]),
                "threshold": self.threshold, "views": views, "mean": float(self.means(name)[views - 1]),
                "over": self.over(name)}

    def view(self, name: str, index: int, views: int) -> View:
        """Picture, numbers and sentence of one state."""
        self._prepare()
        n = self.numbers(name, index, views)
        photo = self.turned(name, self.angles[index:index + 1])[0].permute(1, 2, 0).clamp(0, 1).numpy()
        self.picture.set(photo, n["angle"], n["score"], views, n["mean"])
        return View(self.canvas.png(name), n, sentence(name, n))

    def _prepare(self) -> None:
        if self.canvas is not None:
            return
        for name in self.images:
            self.picture.background(self.angles.numpy(), self.scores[name].numpy(), self.means(name).numpy(),
                                    self.threshold)
            self.canvas = self.canvas or Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep(name)


def sentence(name: str, n: dict[str, float]) -> str:
    """What the picture of one state shows, in words."""
    side, kept = (("over" if value > n["threshold"] else "under") for value in (n["score"], n["mean"]))
    return (f"{name} at {n['angle']:+.1f}°: score {n['score']:.2f}, {side} the threshold {n['threshold']:.2f}. "
            f"Mean of {n['views']} view{'s' * (n['views'] > 1)}: {n['mean']:.2f}, {kept} it. "
            f"{n['over']} of {ANGLES} single views are over.")


def views(table: Turntable):
    """Part, angle and number of views, with picture, curve, running mean and one question."""
    import ipywidgets as w

    names = list(table.images)
    part = w.Dropdown(options=names, description="part", style=STYLE, layout=WIDTH)
    angle = w.SelectionSlider(options=[(f"{float(a):+.1f}°", k) for k, a in enumerate(table.angles)], value=ANGLES // 2,
                              description="angle", style=STYLE, layout=WIDTH)
    count = w.IntSlider(1, 1, ANGLES, description="views T", style=STYLE, layout=WIDTH)
    image, text = w.Image(format="png"), w.HTML()

    def redraw(_=None) -> None:
        view = table.view(part.value, angle.value, count.value)
        image.value, text.value = view.png, live(view.alt)

    for control in (part, angle, count):
        control.observe(redraw, "value")
    redraw()
    return framed("Which view pushes this good part over the threshold, and does the mean save it?",
                  ["no view does", "some views do, and the mean saves it", "some views do, and the mean does not help"],
                  w.VBox([part, angle, count, image, text]),
                  "Complete: the highest score that a single view of this part reaches is …",
                  lambda: float(table.scores[part.value].max()), 0.02)


def strip(table: Turntable) -> tuple[Figure, str]:
    """The deciding states without sliders, and one sentence per part."""
    first = next(iter(table.images))
    states = []
    for title, index in ((f"{first}, as it lies", ANGLES // 2), ("its worst view", table.worst(first)),
                         ("its best view", int(table.scores[first].argmin()))):
        states.append((title, table.turned(first, table.angles[index:index + 1])[0], float(table.angles[index]),
                       float(table.scores[first][index])))
    parts = {name: (table.scores[name].numpy(), table.means(name).numpy()) for name in table.images}
    said = " ".join(sentence(name, table.numbers(name, table.worst(name), ANGLES)) for name in table.images)
    return views_strip(states, table.angles.numpy(), parts, table.threshold), said
