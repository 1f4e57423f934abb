"""Exercise 3: AUROC from ranks, ties included."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot


def _pair() -> tuple[Tensor, Tensor]:
    """Scores of 31 normal and 17 defective images without ties, in no order."""
    draw = torch.Generator().manual_seed(11)
    return (torch.randn(31, generator=draw, dtype=torch.float64),
            torch.randn(17, generator=draw, dtype=torch.float64) + 0.9)


def _tied() -> tuple[Tensor, Tensor]:
    """The same, rounded: many ties within and between the groups."""
    return tuple((2 * scores).round() / 2 for scores in _pair())


def _count(normal: Tensor, defect: Tensor, tie: float = 0.5) -> float:
    wins = sum(1.0 if d > n else tie if d == n else 0.0 for d in defect.tolist() for n in normal.tolist())
    return wins / (len(normal) * len(defect))


def _ordered(call):
    normal, defect = _pair()
    call(normal, defect), call(*_tied())  # first, so that a suspect is judged on scores that tell them apart
    for a, b, expected in ((normal, normal + 100, 1.0), (normal + 100, normal, 0.0)):
        found = float(call(a, b))
        if abs(found - expected) > 1e-9:
            return f"every defective score {'above' if expected else 'below'} every normal one: found {found:.4f}, " \
                   f"expected {expected:.0f}"
    return None


def _pairs(call):
    found, expected = float(call(*_pair())), _count(*_pair())
    return None if abs(found - expected) < 1e-6 else (
        f"counting all 31 · 17 pairs gives {expected:.4f}; found {found:.4f}")


def _ties(call):
    found, expected = float(call(*_tied())), _count(*_tied())
    return None if abs(found - expected) < 1e-6 else (
        f"scores with ties: counting all pairs, a tie as one half, gives {expected:.4f}; found {found:.4f}")


def _scale(call):
    normal, defect = _pair()
    gap = abs(float(call(normal, defect)) - float(call((3 * normal).exp(), (3 * defect).exp())))
    return None if gap < 1e-6 else f"the scores through exp(3 s) change it by {gap:.4f}"


def _mirror(call):
    normal, defect = _tied()
    total = float(call(normal, defect)) + float(call(-normal, -defect))
    return None if abs(total - 1) < 1e-6 else f"auroc(−s) + auroc(s) is {total:.4f}, expected 1"


def _unsorted_trapezoid(normal: Tensor, defect: Tensor) -> float:
    """The ROC curve with its thresholds in the order in which the scores came, as torch.trapezoid integrates it."""
    lines = torch.cat([normal, defect])
    fpr, tpr = (normal > lines[:, None]).double().mean(1), (defect > lines[:, None]).double().mean(1)
    return float(torch.trapezoid(tpr, fpr))


AUROC = Exercise(
    name="auroc", minutes=10,
    returns=(lambda normal, defect: NumberSlot("the AUROC"),),
    laws=(Law("scores that are fully apart must give 1, or 0 the wrong way round", _ordered),
          Law("it is not the share of rightly ordered pairs", _pairs),
          Law("a tie must count one half", _ties),
          Law("only the order of the scores may matter", _scale),
          Law("auroc(−s) must be 1 − auroc(s)", _mirror)),
    passes="equals counting all pairs with ties as one half, unchanged under exp, mirrored under −s",
    hints=("AUROC is a share of pairs: one defective, one normal. When is a pair ordered rightly, and what is a tie "
           "worth?",
           "One defective score beats all normal scores below it. torch.searchsorted(ordered, values) says how many "
           "entries of a sorted tensor lie below each value.",
           "searchsorted has side=\"left\" (entries strictly below) and side=\"right\" (entries below or equal). With "
           "a tie as one half, take the mean of the two counts, then divide by the number of normals."),
    suspects=(
        Suspect("twice the value: the mean of the two counts is due, and they were added and not halved",
                lambda n, d: 2 * _count(n, d)),
        Suspect("divided by N + M: there are N · M pairs",
                lambda n, d: _count(n, d) * len(n) * len(d) / (len(n) + len(d))),
        Suspect("divided by the wrong square, N² or M²: there are N · M pairs",
                lambda n, d: _count(n, d) * len(d) / len(n)),
        Suspect("divided by the wrong square, M² or N²: there are N · M pairs",
                lambda n, d: _count(n, d) * len(n) / len(d)),
        Suspect("the ranks of the defective images were added, and the pairs of them among themselves not taken away: "
                "subtract M (M + 1) / 2", lambda n, d: _count(n, d) + (len(d) + 1) / 2 / len(n)),
        Suspect("off by one in the ranks: they run from 1 if M (M + 1) / 2 is subtracted, from 0 with M (M − 1) / 2",
                lambda n, d: _count(n, d) - 1 / len(n)),
        Suspect("off by one in the ranks, each is one too high: from 1 subtract M (M + 1) / 2, from 0 M (M − 1) / 2",
                lambda n, d: _count(n, d) + 1 / len(n)),
        Suspect("the normal scores were not sorted before searchsorted, and ties count as 0",
                lambda n, d: float(torch.searchsorted(n, d).double().mean() / len(n))),
        Suspect("the normal scores were not sorted before searchsorted, and ties count as 1",
                lambda n, d: float(torch.searchsorted(n, d, right=True).double().mean() / len(n))),
        Suspect("ties count as 0: a pair with equal scores is worth one half",
                lambda n, d: _count(n, d, 0.0)),
        Suspect("ties count as 1: a pair with equal scores is worth one half", lambda n, d: _count(n, d, 1.0)),
        Suspect("the sign is flipped: here a higher score is more anomalous, so defective above normal is right",
                lambda n, d: 1 - _count(n, d)),
        Suspect("the sign is flipped, and ties count as 0", lambda n, d: _count(d, n, 0.0)),
        Suspect("the sign is flipped, and ties count as 1", lambda n, d: _count(d, n, 1.0)),
        Suspect("the thresholds of the curve were not sorted: the trapezoid rule runs back and forth",
                _unsorted_trapezoid),
        Suspect("the pairs were counted and not divided by N · M", lambda n, d: _count(n, d) * len(n) * len(d)),
        Suspect("divided by the number of defective images only: divide by N · M pairs",
                lambda n, d: _count(n, d) * len(n)),
        Suspect("divided by the number of normal images only: divide by N · M pairs",
                lambda n, d: _count(n, d) * len(d)),
        Suspect("the normal scores were not sorted, and searchsorted expects them sorted",
                lambda n, d: _searched(n, d)),
        Suspect("this is a difference of means: it changes when the scores are rescaled, ranks do not",
                lambda n, d: float(d.mean() - n.mean())),
        Suspect("only equal positions were compared, or the pairs wrapped around: every defective score meets every "
                "normal one", lambda n, d: float((d > n[:len(d)]).double().mean()))),
)


def _searched(normal, defect):
    found = [torch.searchsorted(normal, defect, right=right).double() for right in (False, True)]
    return float((found[0] + found[1]).mean() / 2 / len(normal))
