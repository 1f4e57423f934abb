"""Exercise 1: the bootstrap interval of an AUROC."""

from __future__ import annotations

from functools import cache

import torch

from tutorial_lib.checks.ch13.draws import (
    DRAWS,
    FEW,
    MANY,
    ONE_URN,
    auroc,
    batch_auroc,
    nearest,
    quantiles,
    scores,
    share_interval,
    sizes_cause,
    two_kinds,
)
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.findings import Stop
from tutorial_lib.checks.slots import NumberSlot

RIGHT = "right"
N, NEAR = 4000, 0.03  # of a width of 0.20
CLOSE = 0.009         # an end found by 4000 draws has a standard deviation of 0.002; one at 5 % lies 0.016 away


@cache
def _some():
    """Scores whose resampled AUROCs lie around 0.7, nearly symmetric."""
    return scores(90, 15, 0.8, 1)


@cache
def _values(sizes: tuple[int, int] | None = None):
    """Resampled AUROCs ``(n,)`` of ``_some``, both classes drawn anew, ``sizes`` of them (as many as there are)."""
    draw, count = torch.Generator().manual_seed(3), sizes or tuple(len(x) for x in _some())
    n = 1000 if sizes else DRAWS
    return batch_auroc(*(x[torch.randint(len(x), (n, k), generator=draw)] for x, k in zip(_some(), count, strict=True)))


def _extremes():
    """Smallest and largest of N values, on average."""
    rounds = _values().view(-1, N)
    return torch.stack([rounds.amin(1).mean(), rounds.amax(1).mean()])


def _spread(factor):
    middle, sd = auroc(*_some()), _values().std()
    return torch.stack([middle - factor * sd, middle + factor * sd])


WAYS = {
    RIGHT: lambda: quantiles(_values()),
    "the middle 90 % were kept: for 95 % cut off 2.5 % at each end, the quantiles 0.025 and 0.975":
        lambda: quantiles(_values(), 0.9),
    "5 % were cut off at one end only, or the quantiles are 0.05 and 1":
        lambda: _values().quantile(torch.tensor([0.05, 1.0], dtype=torch.float64)),
    "5 % were cut off at one end and 2.5 % at the other: the quantiles are 0.025 and 0.975":
        lambda: _values().quantile(torch.tensor([0.05, 0.975], dtype=torch.float64)),
    "one standard deviation to each side holds two thirds of the draws, not 95 %": lambda: _spread(1),
    "the quartiles hold half of the draws, not 95 %": lambda: quantiles(_values(), 0.5),
    "the smallest and largest of all draws? They wander outwards as n grows; take the quantiles 0.025 and 0.975":
        _extremes,
    "as many defective images were drawn as there are normal ones: draw M of M":
        lambda: quantiles(_values((90, 90))),
    "as many normal images were drawn as there are defective ones: draw N of N":
        lambda: quantiles(_values((15, 15))),
    "the sizes of the two classes were exchanged: draw N of N and M of M": lambda: quantiles(_values((15, 90))),
    "half of the images were drawn: an interval for N and M images comes from draws of N and M":
        lambda: quantiles(_values((45, 7))),
}


def _plain(call):
    normal = scores(9, 1, 0.0, 4)[0]
    cases = (("all defective scores above all normal ones", normal, normal + 100, 1.0),
             ("all scores equal", torch.zeros(6).double(), torch.zeros(5).double(), 0.5))
    for what, a, b, expected in cases:
        low, high = (float(v) for v in call(a, b, 50))
        if max(abs(low - expected), abs(high - expected)) > 1e-6:
            cause = "the arguments are exchanged: auroc(normal, defect) takes the normal scores first"
            return (f"{what}: every draw gives {expected:g}, found {low:.3f} to {high:.3f}",
                    cause if expected == 1 and max(abs(low), abs(high)) < 1e-6 else "")
    return None


def _order(call):
    low, high = (float(v) for v in call(*_some(), 200))
    if low > high:
        return f"found {low:.3f} first, then {high:.3f}", "the ends are exchanged: return the lower one first"
    if high - low < 1e-9:
        return (f"90 normal and 15 defective scores, n = 200: from {low:.3f} to {high:.3f}",
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
        found = stop.finding
        raise Stop(found.because(ONE_URN) if found.kind in ("finite", "error") else found) from None


def _share(call):
    low, high = (float(v) for v in call(*_some(), N))
    if nearest((low, high), {RIGHT: WAYS[RIGHT]})[1] < CLOSE:
        return None
    name, off = nearest((low, high), WAYS)
    expected = WAYS[RIGHT]()
    cause = name if name != RIGHT and off < NEAR else ""
    if not cause and high - low < 0.25 * float(expected[1] - expected[0]):
        cause = ("far too narrow: the standard deviation of the draws *is* the uncertainty; do not divide it by √n, "
                 "and draw as many images as there are")
    return (f"90 normal and 15 defective scores, n = {N}: found {low:.3f} to {high:.3f}, expected about "
            f"{float(expected[0]):.3f} to {float(expected[1]):.3f}"), cause


def _exp(call):
    a, b = call(*_some(), 400), call(*((2 * x).exp() for x in _some()), 400)
    gap = max(abs(float(x) - float(y)) for x, y in zip(a, b, strict=True))
    return None if gap < 2 * NEAR else (f"the same scores through exp(2 s) move an end by {gap:.3f}",
                                    "the scores were averaged or compared by size: an AUROC asks for their order only")


def _sizes(call):
    """Five images of one class and forty alike of the other: what a draw can give shows how many it took."""
    for other in ("defective", "normal"):
        low, high = (float(v) for v in call(*two_kinds(other), 1000))
        cause = sizes_cause(low, high)
        if cause is not None:
            ends = share_interval(FEW)
            return (f"{MANY} scores of 0 in one class, {FEW} {other} ones, of which 3 lie on the right side: found "
                    f"{low:.3f} to {high:.3f}, expected {ends[0]:g} to {ends[1]:g}"), cause
    return None


def _n_draws(call):
    try:
        low, high = (float(v) for v in call(*_some(), 1))
    except Stop:  # an index that needs more than one draw
        return None
    return None if high - low < 1e-9 else (f"n = 1: found {low:.3f} to {high:.3f}; one draw gives one value",
                                           "the number of draws is fixed in your code, or one more: draw n times")


INTERVAL = Exercise(
    name="bootstrap_auroc", minutes=8,
    returns=(lambda normal, defect, n: (NumberSlot("lo"), NumberSlot("hi")),),
    laws=(Law("when every draw gives the same AUROC, so must both ends", _plain),
          Law("it must return the lower and the upper end of an interval in [0, 1]", _order),
          Law("each class must keep its size in every draw", _classes),
          Law("both classes must be drawn anew", _both),
          Law("only the order of the scores may matter", _exp),
          Law("it is not the interval that holds 95 % of the resampled AUROCs", _share),
          Law("it does not hold near the end of the scale, with few images of one class", _sizes),
          Law("n is the number of draws", _n_draws)),
    passes="holds 95 % of the draws, classes keep their sizes, unchanged under exp",
    hints=("What would another day's test set have been? Other images of the same kinds. Your own images stand in for "
           "them: draw N of the N normals, some twice, some not at all.",
           "normal[torch.randint(len(normal), (len(normal),))] is one such draw. Draw the defective ones in the same "
           "way, and compute one AUROC.",
           "Repeat that n times. The interval that holds 95 % of the n values ends at the quantiles 0.025 and 0.975."),
)
