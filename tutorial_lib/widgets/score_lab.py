"""Score lab, tab 1: how far apart must two score distributions lie before half of the alarms are real?

``measure`` is the pure part: a state gives rates, precision, AUROC and counts in closed form. ``Overlap`` draws it.
Tab 2, a region that the map misses, is in ``missed_region``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from tutorial_lib.plots.score_lab import OverlapPicture, overlap_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured
from tutorial_lib.widgets.missed_region import missed_tab

PARTS = 100_000
PREVALENCES = {"1 in 2": 0.5, "1 in 10": 0.1, "1 in 100": 0.01, "1 in 1000": 0.001}


class State(NamedTuple):
    """Scores: normal parts N(0, 1), defective parts N(distance, spread²); alarm above the threshold."""

    distance: float = 2.0
    spread: float = 1.0
    prevalence: float = 0.001
    threshold: float = 1.0


def above(x: float) -> float:
    """The share of a standard normal above x; erfc keeps its digits far out, where 1 − cdf rounds to 0."""
    return 0.5 * math.erfc(x / math.sqrt(2))


def measure(state: State) -> dict[str, float]:
    """True- and false-positive rate, precision, AUROC, and the expected counts among ``PARTS`` parts."""
    tpr = above((state.threshold - state.distance) / state.spread)
    fpr = above(state.threshold)
    bad, good = state.prevalence * PARTS, (1 - state.prevalence) * PARTS
    found, false_alarms = tpr * bad, fpr * good
    auroc = above(-state.distance / math.hypot(1, state.spread))  # P(defective − normal > 0), a normal difference
    return {"tpr": tpr, "fpr": fpr, "precision": found / (found + false_alarms), "auroc": auroc, "found": found,
            "missed": bad - found, "false alarms": false_alarms, "passed": good - false_alarms}


def sentence(state: State, n: dict[str, float]) -> str:
    """What a state shows, in words."""
    return (f"Distance {state.distance:.1f}, spread {state.spread:.1f}, threshold {state.threshold:.1f}: AUROC "
            f"{n['auroc']:.3f}, {n['tpr']:.0%} of the defects found at a false-positive rate of {n['fpr']:.2%}. With "
            f"{state.prevalence:.1%} of the parts defective, {n['precision']:.1%} of the alarms are real.")


class Overlap:
    """The picture of tab 1; axes are drawn once."""

    def __init__(self):
        self.picture = OverlapPicture(PARTS)
        self.canvas = Canvas(self.picture.fig, self.picture.moving)
        self.canvas.keep("overlap")

    def view(self, state: State) -> View:
        """Picture, numbers and sentence of one state."""
        numbers = measure(state)
        lines = np.linspace(-9, 16, 101)
        rates = [(m["fpr"], m["tpr"]) for m in (measure(state._replace(threshold=float(t))) for t in lines)]
        self.picture.set(state.distance, state.spread, state.threshold, np.array(rates).T,
                         (numbers["fpr"], numbers["tpr"]), numbers)
        return View(self.canvas.png("overlap"), numbers, sentence(state, numbers))


DECIDING = {"half of the parts are defective": State(2.0, 1.0, 0.5, 1.0),
            "the same scores, 1 part in 1000": State(2.0, 1.0, 0.001, 1.0),
            "half of the alarms are real": State(3.3, 1.0, 0.001, 3.3)}


def strip() -> tuple[Figure, str]:
    """The deciding states side by side, and what each says."""
    numbers = {title: measure(state) for title, state in DECIDING.items()}
    fig = overlap_strip([(f"{title}:\nprecision {numbers[title]['precision']:.1%}", s.distance, s.spread, s.threshold)
                         for title, s in DECIDING.items()])
    return fig, " ".join(f"{title.capitalize()}: {sentence(s, numbers[title])}" for title, s in DECIDING.items())


def _overlap_tab():
    import ipywidgets as w

    overlap, start = Overlap(), State()
    distance = w.FloatSlider(start.distance, min=0, max=6, step=0.1, description="distance", style=STYLE, layout=WIDTH)
    spread = w.FloatSlider(start.spread, min=0.5, max=2, step=0.1, description="spread", style=STYLE, layout=WIDTH)
    prevalence = w.SelectionSlider(options=PREVALENCES.items(), value=start.prevalence, description="defective parts",
                                   style=STYLE, layout=WIDTH)
    threshold = w.FloatSlider(start.threshold, min=-2, max=8, step=0.1, description="threshold", style=STYLE,
                              layout=WIDTH)
    def state() -> State:
        return State(distance.value, spread.value, prevalence.value, threshold.value)

    return framed("One part in 1000 is defective. How far apart must the two distributions lie before half of the "
                  "alarms are real and half of the defects are found?",
                  ["a distance of 1", "about 2", "about 3.3", "more than 5", "no distance is enough"],
                  pictured([distance, spread, prevalence, threshold], lambda: overlap.view(state())),
                  "Complete: in this state, of 100 alarms about … are real.",
                  lambda: 100 * measure(state())["precision"], 0.6)


def score_lab():
    """Both tabs: scores and alarms; a missed region."""
    import ipywidgets as w

    return w.Tab([_overlap_tab(), missed_tab()], titles=["scores and alarms", "a missed region"], selected_index=0)
