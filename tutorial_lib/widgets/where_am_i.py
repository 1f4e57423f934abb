"""Where am I: where on this board is this vector normal?

``Carrier`` is the pure part: a state (home of the vector, place where it is asked for, told or not) gives a picture,
numbers and a sentence. Every likelihood is computed beforehand.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots.where_am_i import CarryPicture, carry_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

Cell = tuple[int, int]


class Carrier:
    """One part whose vectors can be carried to any place.

    Args:
        image: ``(3, S, S)`` in [0, 1].
        told: ``(n, n)`` likelihood of the vector of cell i at place j, nats per channel; n = h * w.
        untold: ``(n,)`` likelihood of the vector of cell i by the flow that is not told: the same at every place.
        line: a vector counts as normal at a place where it is at least this likely.
        untold_line: the same for the flow that is not told.
        shape: ``(h, w)`` of the map; h = w.
    """

    def __init__(self, image: Tensor, told: Tensor, untold: Tensor, line: float, untold_line: float, shape: Cell):
        self.photo, self.shape = image.permute(1, 2, 0).clamp(0, 1).numpy(), shape
        self.told, self.untold = told.double().numpy(), untold.double().numpy()
        self.lines = {True: float(line), False: float(untold_line)}
        floor = float(np.quantile(self.told, 0.05))
        self.limits = (floor, float(max(self.told.max(), self.untold.max())))
        self.canvas = None

    def at(self, cell: Cell) -> int:
        """Number of a cell, row by row."""
        return cell[0] * self.shape[1] + cell[1]

    def values(self, home: Cell, told: bool) -> np.ndarray:
        """Likelihood of the vector of ``home`` at every place, ``(h, w)``."""
        row = self.told[self.at(home)] if told else np.full(self.told.shape[1], self.untold[self.at(home)])
        return row.reshape(self.shape)

    def numbers(self, home: Cell, place: Cell, told: bool) -> dict:
        """The numbers of one state."""
        values = self.values(home, told)
        best = divmod(int(values.argmax()), self.shape[1])
        return {"home": home, "place": place, "told": told, "at home": float(values[home]),
                "here": float(values[place]), "best": best, "at best": float(values.max()), "line": self.lines[told],
                "normal places": int((values >= self.lines[told]).sum()), "places": values.size}

    def view(self, home: Cell, place: Cell, told: bool) -> View:
        """Picture, numbers and sentence of one state."""
        if self.canvas is None:
            self.picture = CarryPicture(self.photo, self.shape[0], self.limits)
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("part")
        n = self.numbers(home, place, told)
        self.picture.set(self.values(home, told), home, place)
        return View(self.canvas.png("part"), n, sentence(n))

    def narrowest(self) -> Cell:
        """The cell whose vector is normal at home and at the fewest other places."""
        normal = (self.told >= self.lines[True]).sum(1).astype(float)
        normal[np.diag(self.told) < self.lines[True]] = np.inf
        return divmod(int(normal.argmin()), self.shape[1])

    def widest(self) -> Cell:
        """The cell whose vector is normal at the most places."""
        return divmod(int((self.told >= self.lines[True]).sum(1).argmax()), self.shape[1])


def sentence(n: dict) -> str:
    """What one state shows, in words."""
    if not n["told"]:
        verdict = "normal" if n["here"] >= n["line"] else "not normal"
        return (f"Not told the place: the vector of cell {n['home']} has {n['here']:.2f} nats per channel wherever it "
                f"stands, and counts as {verdict} at all {n['places']} places alike.")
    return (f"Told the place: the vector of cell {n['home']} has {n['at home']:.2f} nats per channel at home and "
            f"{n['here']:.2f} at {n['place']}. It is likeliest at {n['best']}, and normal (at least {n['line']:.2f}) "
            f"at {n['normal places']} of {n['places']} places.")


def where_am_i(carrier: Carrier, home: Cell):
    """Home and place of the vector, told or not told, with photograph, map and one question."""
    import ipywidgets as w

    h, width = carrier.shape
    told = w.ToggleButtons(options=[("told", True), ("not told", False)], description="the flow is", style=STYLE)
    sliders = [w.IntSlider(value, 0, top - 1, description=name, style=STYLE, layout=WIDTH)
               for value, top, name in ((home[0], h, "from row"), (home[1], width, "from column"),
                                        (home[0], h, "to row"), (home[1], width, "to column"))]

    def state() -> tuple[Cell, Cell, bool]:
        a, b, c, d = (s.value for s in sliders)
        return (a, b), (c, d), told.value

    return framed("Where on this board is this vector normal?",
                  ["nearly everywhere", "in a few regions that look alike", "at home and nowhere else"],
                  pictured([told, *sliders], lambda: carrier.view(*state())),
                  "Complete: the vector that you chose is normal at … places.",
                  lambda: float(carrier.numbers(*state())["normal places"]), 0.0)


def strip(carrier: Carrier, homes: dict[str, Cell]) -> tuple[Figure, str]:
    """The deciding states side by side, without sliders, and one sentence for each."""
    states = [(title, cell, carrier.values(cell, True)) for title, cell in homes.items()]
    last = states[-1][1]
    said = [sentence(carrier.numbers(cell, cell, True)) for cell in homes.values()]
    said.append(sentence(carrier.numbers(last, last, False)))
    return carry_strip(carrier.photo, states, carrier.values(last, False), carrier.limits), " ".join(said)
