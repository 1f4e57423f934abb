"""Exercise 1: the bootstrap interval of an AUROC."""

from __future__ import annotations

from functools import cache

import torch

from tutorial_lib.checks.ch13.draws import DRAWS, auroc, batch_auroc, indices, nearest, quantiles, scores
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.findings import Stop
from tutorial_lib.checks.slots import NumberSlot

RIGHT = "right"
N, NEAR = 800, 0.03  # of a width of 0.24: an end found by 800 draws has a standard deviation of 0.006


@cache
def _some():
    """Scores whose resampled AUROCs lie around 0.7, nearly symmetric."""
    return scores(40, 30, 0.8, 1)


@cache
def _values():
    """Resampled AUROCs ``(n,)`` of ``_some``, both classes drawn anew."""
    draw = torch.Generator().manual_seed(3)
    return batch_auroc(*(x[indices(DRAWS, len(x), draw)] for x in _some()))


def _spread(factor):
    middle, sd = auroc(*_some()), _values().std()
    return torch.stack([middle - factor * sd, middle + factor * sd])


WAYS = {
    RIGHT: lambda: quantiles(_values()),
    "the middle 90 % were kept: for 95 % cut off 2.5 % at each end, the quantiles 0.025 and 0.975":
        lambda: quantiles(_values(), 0.9),
    "5 % were cut off at one end only, or the quantiles are 0.05 and 1":
        lambda: _values().quantile(torch.tensor([0.05, 1.0], dtype=torch.float64)),
    "one standard deviation to each side holds two thirds of the draws, not 95 %": lambda: _spread(1),
    "the quartiles hold half of the draws, not 95 %": lambda: quantiles(_values(), 0.5),
}


def _plain(call):
    normal = scores(9, 1, 0.0, 4)[0]
    cases = (("all defective scores above all normal ones", normal, normal + 100, 1.0),
             ("all scores equal", torch.zeros(6).double(), torch.zeros(5).double(), 0.5))
    for what, a, b, expected in cases:
        low, high = (float(v) for v in call(a, b, 50))
        if max(abs(low - expected), abs(high - expected)) > 1e-6:
            return f"{what}: every draw gives {expected:g}, found {low:.3f} to {high:.3f}"
    return None


def _order(call):
    low, high = (float(v) for v in call(*_some(), 200))
    if low > high:
        return f"found {low:.3f} first, then {high:.3f}", "the ends are exchanged: return the lower one first"
    if high - low < 1e-9:
        return (f"40 normal and 30 defective scores, n = 200: from {low:.3f} to {high:.3f}",
                "drawn without replacement, a reordering of the same scores gives the same AUROC every time; or the "
                "draw is not used")
    if low < 0 or high > 1:
        return (f"found {low:.3f} to {high:.3f}", "an AUROC lies between 0 and 1, and so do quantiles of AUROCs: "
                "take those instead of mean ± a multiple of the standard deviation, or divide the counts")
    return None


def _both(call):
    """One class has one score alone, so that only drawing the other one can move the AUROC."""
    level, mixed = torch.zeros(12, dtype=torch.float64), torch.arange(-6, 7, dtype=torch.float64)
    for what, other, a, b in (("normal scores all 0, defective ones from −6 to 6", "defective", level, mixed),
                              ("normal scores from −6 to 6, defective ones all 0", "normal", mixed, level)):
        low, high = (float(v) for v in call(a, b, 60))
        if high - low < 1e-9:
            return (f"{what}: found {low:.3f} to {high:.3f}",
                    f"the {other} images were not drawn again: they could have been others as well")
    return None


def _classes(call):
    try:
        call(scores(3, 1, 0.0, 2)[0], torch.tensor([0.3], dtype=torch.float64), 60)
    except Stop as stop:
        cause = ("both classes were drawn from one urn, and some draws hold no defective image: draw each class on its "
                 "own")
        raise Stop(stop.finding.because(cause) if stop.finding.kind in ("finite", "error") else stop.finding) from None


def _share(call):
    low, high = (float(v) for v in call(*_some(), N))
    name, off = nearest((low, high), WAYS)
    if name == RIGHT and off < NEAR:
        return None
    expected = WAYS[RIGHT]()
    cause = name if name != RIGHT and off < NEAR else ""
    if not cause and high - low < 0.25 * float(expected[1] - expected[0]):
        cause = ("far too narrow: the standard deviation of the draws *is* the uncertainty; do not divide it by √n, "
                 "and draw as many images as there are")
    if not cause and high - low > 1.3 * float(expected[1] - expected[0]):
        cause = ("the smallest and largest of all draws? They wander outwards as n grows; take the quantiles 0.025 and "
                 "0.975")
    return (f"40 normal and 30 defective scores, n = {N}: found {low:.3f} to {high:.3f}, expected about "
            f"{float(expected[0]):.3f} to {float(expected[1]):.3f}"), cause


def _exp(call):
    a, b = call(*_some(), 400), call(*((2 * x).exp() for x in _some()), 400)
    gap = max(abs(float(x) - float(y)) for x, y in zip(a, b, strict=True))
    return None if gap < 2 * NEAR else (f"the same scores through exp(2 s) move an end by {gap:.3f}",
                                    "the scores were averaged or compared by size: an AUROC asks for their order only")


INTERVAL = Exercise(
    name="bootstrap_auroc", minutes=8,
    returns=(lambda normal, defect, n: (NumberSlot("lo"), NumberSlot("hi")),),
    laws=(Law("when every draw gives the same AUROC, so must both ends", _plain),
          Law("it must return the lower and the upper end of an interval in [0, 1]", _order),
          Law("each class must keep its size in every draw", _classes),
          Law("both classes must be drawn anew", _both),
          Law("only the order of the scores may matter", _exp),
          Law("it is not the interval that holds 95 % of the resampled AUROCs", _share)),
    passes="holds 95 % of the draws, classes keep their sizes, unchanged under exp",
    hints=("What would another day's test set have been? Other images of the same kinds. Your own images stand in for "
           "them: draw N of the N normals, some twice, some not at all.",
           "normal[torch.randint(len(normal), (len(normal),))] is one such draw. Draw the defective ones in the same "
           "way, and compute one AUROC.",
           "Repeat that n times. The interval that holds 95 % of the n values ends at the quantiles 0.025 and 0.975."),
)
