"""Exercise 3: the difference of two methods on the same images, with its interval."""

from __future__ import annotations

from functools import cache

import torch

from tutorial_lib.checks.ch13.draws import (
    DRAWS,
    FEW,
    MANY,
    alike,
    auroc,
    batch_auroc,
    indices,
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
N, NEAR = 3000, 0.025  # of a width of 0.12
CLOSE = 0.006          # an end found by 3000 draws has a standard deviation of 0.0015; one at 5 % lies 0.010 away


@cache
def _two():
    a = scores(40, 30, 0.9, 11)
    return a, alike(a, 0.5, -0.3, 12)


@cache
def _drawn(same: str = "images"):
    """Resampled AUROCs of both methods, ``(n,)`` each. ``same``: what they share, "images", "normals" or "nothing"."""
    a, b = _two()
    draw = torch.Generator().manual_seed(13)
    first, other = ([indices(DRAWS, len(x), draw) for x in a] for _ in range(2))
    second = {"images": first, "normals": [first[0], other[1]], "nothing": other}[same]
    return tuple(batch_auroc(*(x[i] for x, i in zip(pair, rows, strict=True)))
                 for pair, rows in ((a, first), (b, second)))


def _difference_of(same: str, level: float = 0.95):
    a, b = _drawn(same)
    return quantiles(a - b, level)


APART = "the images were drawn separately for a and for b: draw once, and use the same images for both"
FAR = "two separate intervals were subtracted, each end from the far end: both methods saw the same images"
WAYS = {
    RIGHT: lambda: _difference_of("images"),
    APART: lambda: _difference_of("nothing"),
    "the defective images were drawn separately for a and for b": lambda: _difference_of("normals"),
    "the middle 90 % were kept: the quantiles are 0.025 and 0.975": lambda: _difference_of("images", 0.9),
    "5 % were cut off at one end and 2.5 % at the other: the quantiles are 0.025 and 0.975":
        lambda: (lambda d: d.quantile(torch.tensor([0.05, 0.975], dtype=d.dtype)))(_drawn()[0] - _drawn()[1]),
    "lower end minus lower end, upper minus upper: subtract within each draw, then take quantiles":
        lambda: quantiles(_drawn()[0]) - quantiles(_drawn()[1]),
}


def _expected() -> float:
    a, b = _two()
    return auroc(*a) - auroc(*b)


def _itself(call):
    a, _ = _two()
    difference, low, high = (float(v) for v in call(a, a, 150))
    if max(abs(low), abs(high)) > 1e-9:
        width = float(quantiles(_drawn()[0]).diff())
        return (f"a method against itself: found {difference:.3f}, {low:.3f} to {high:.3f}; every draw must give 0",
                "" if abs(low + high) > 0.5 * width else FAR if high > 0.85 * width else APART)
    return None if abs(difference) < 1e-9 else f"a method against itself: the difference is {difference:.3f}, not 0"


def _both(call):
    """One class has one score alone in both methods, so that only drawing the other one can move a difference."""
    level, mixed = torch.zeros(12, dtype=torch.float64), torch.arange(-6, 7, dtype=torch.float64)
    for what, other, a, b in (("normal scores all 0", "defective", (level, mixed), (level, mixed - 2)),
                              ("defective scores all 0", "normal", (mixed, level), (mixed - 2, level))):
        _, low, high = (float(v) for v in call(a, b, 60))
        if abs(high - low) < 1e-9:
            return (f"{what} in both methods: found {low:.3f} to {high:.3f}",
                    f"the {other} images were not drawn again: they could have been others as well")
    return None


def _difference(call):
    found, expected = float(call(*_two(), 200)[0]), _expected()
    if abs(found - expected) < 1e-6:
        return None
    cause = ""
    if abs(found + expected) < 1e-6:
        cause = "the sign: a minus b is asked for, and auroc(normal, defect) takes the normal scores first"
    elif abs(found - expected) < 0.02:
        cause = "a mean or median over the draws: the difference itself comes from all images, each once"
    return f"AUROC(a) − AUROC(b) is {expected:.4f}, found {found:.4f}", cause


def _interval(call):
    _, low, high = (float(v) for v in call(*_two(), N))
    if nearest((low, high), {RIGHT: WAYS[RIGHT]})[1] < CLOSE:
        return None
    name, off = nearest((low, high), WAYS)
    if low > high and nearest((high, low), WAYS)[1] < min(off, NEAR):
        return f"found {low:.3f} first, then {high:.3f}", "the ends are exchanged: return the lower one first"
    expected, cause = WAYS[RIGHT](), name if name != RIGHT and off < NEAR else ""
    mirrored = torch.tensor([-high, -low], dtype=torch.float64)
    if not cause and float((mirrored - expected).abs().max()) < NEAR:
        cause = "the interval belongs to b minus a: the sign is turned"
    return (f"n = {N}: found {low:.3f} to {high:.3f}, expected about {float(expected[0]):.3f} to "
            f"{float(expected[1]):.3f}"), cause


def _worse(call):
    """The two methods exchanged: now a is the worse one."""
    a, b = _two()
    difference, low, high = (float(v) for v in call(b, a, 800))
    expected, ends = -_expected(), -WAYS[RIGHT]().flip(0)
    if max(abs(difference - expected), abs(low - float(ends[0])), abs(high - float(ends[1]))) < NEAR:
        return None
    where = (f"a worse than b: found {difference:.3f}, {low:.3f} to {high:.3f}, expected {expected:.3f}, about "
             f"{float(ends[0]):.3f} to {float(ends[1]):.3f}")
    if abs(difference + expected) < 1e-6:
        return where, "an absolute value: the sign says which of the two is better"
    return where, ("the sign is lost within the interval, by an absolute value of the draws or of its ends"
                   if min(low, high) >= 0 else "")


def _sizes(call):
    """Method b gives every image the same score: its AUROC is ½, and a − b shows how many images a draw took."""
    for other in ("defective", "normal"):
        a = two_kinds(other)
        _, low, high = (float(v) for v in call(a, tuple(torch.zeros_like(x) for x in a), 1000))
        cause = sizes_cause(low + 0.5, high + 0.5)
        if cause is not None:
            ends = share_interval(FEW)
            return (f"{MANY} scores of 0 in one class, {FEW} {other} ones, of which a puts 3 on the right side, and b "
                    f"none apart: found {low:.3f} to {high:.3f}, expected {ends[0] - 0.5:.1f} to "
                    f"{ends[1] - 0.5:.1f}"), cause
    return None


def _n_draws(call):
    try:
        _, low, high = (float(v) for v in call(*_two(), 1))
    except Stop:  # an index that needs more than one draw
        return None
    return None if high - low < 1e-9 else (f"n = 1: found {low:.3f} to {high:.3f}; one draw gives one difference",
                                           "the number of draws is fixed in your code, or one more: draw n times")


def _exp(call):
    a, b = _two()
    plain, bent = call(a, b, 300), call(tuple(x.exp() for x in a), tuple(3 * x - 7 for x in b), 300)
    gap = max(abs(float(x) - float(y)) for x, y in zip(plain, bent, strict=True))
    return None if gap < 3 * NEAR else (f"a through exp, b through 3 s − 7: a result moves by {gap:.3f}",
                                    "scores of two methods have different units: compare AUROCs, never the scores")


PAIRED = Exercise(
    name="paired_difference", minutes=10,
    returns=(lambda a, b, n: (NumberSlot("difference"), NumberSlot("lo"), NumberSlot("hi")),),
    laws=(Law("a method must not differ from itself in any draw", _itself),
          Law("the difference is not that of the two AUROCs", _difference),
          Law("only the order of each method's scores may matter", _exp),
          Law("both classes must be drawn anew", _both),
          Law("it is not the interval that holds 95 % of the resampled differences", _interval),
          Law("a difference has a sign", _worse),
          Law("it does not hold with few images of one class", _sizes),
          Law("n is the number of draws", _n_draws)),
    passes="0 against itself, holds 95 % of the differences on the same draws, unchanged under exp",
    hints=("Some test images are hard for both methods. If you draw them for one method and not for the other, the "
           "difference says more about the images than about the methods.",
           "Draw indices once per round, one set for the normal images and one for the defective ones: "
           "i = torch.randint(N, (N,)), j likewise. Use them for a and for b.",
           "In each round auroc(a_normal[i], a_defect[j]) − auroc(b_normal[i], b_defect[j]). Quantiles at the end, and "
           "the difference itself from all images."),
)
