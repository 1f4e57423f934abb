"""Exercises 1 and 2: a threshold from normal scores, and the precision of its alarms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot

RATES = (0.05, 0.1, 0.3, 0.01)


def _scores(n: int) -> Tensor:
    """n scores without ties, in no order, some of them negative, with a long tail to the right."""
    return torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64).exp() - 0.5


def _above(scores: Tensor, threshold) -> int:
    return int((scores > float(threshold)).sum())


def _counts_above(call):
    """(n, fpr, scores above the threshold, scores that may lie above) of every case."""
    for n in (60, 30, 97):
        for fpr in RATES:
            yield n, fpr, _above(_scores(n), call(_scores(n), fpr)), math.floor(fpr * n + 1e-9)


def _share(call):
    cases = list(_counts_above(call))
    off_by_one = all(above in (allowed, allowed + 1) for _, _, above, allowed in cases)
    for n, fpr, above, allowed in cases:
        if above > allowed:
            return (f"{n} normal scores, fpr = {fpr:g}: {above} lie above the threshold, {fpr * n:.4g} are allowed",
                    "never off by more than one score: look at the place in the ranking, counted from 0, and at what a "
                    "quantile does between two scores" if off_by_one else "")
    return None


def _monotone(call):
    scores = _scores(60)
    found = [float(call(scores, fpr)) for fpr in (0.01, 0.05, 0.1, 0.3)]
    if found != sorted(found, reverse=True):
        return ("fpr 0.01, 0.05, 0.1, 0.3 gives thresholds " + ", ".join(f"{t:.3f}" for t in found),
                "the scores were not sorted, or not from the largest down")
    return None


def _tight(call):
    cases = list(_counts_above(call))
    off_by_one = all(above >= allowed - 1 for _, _, above, allowed in cases)
    for n, fpr, above, allowed in cases:
        if above < allowed:
            return (f"{n} normal scores, fpr = {fpr:g}: {above} lie above the threshold, {allowed} would be allowed",
                    "one place too high in the ranking: the threshold itself raises no alarm" if off_by_one else "")
    return None


def _one_of_them(call):
    for n in (60, 30):
        for fpr in RATES:
            threshold = float(call(_scores(n), fpr))
            below = _scores(n).sort(descending=True).values[math.floor(fpr * n + 1e-9)]
            if abs(threshold - float(below)) > 1e-6:
                what = "a small amount was added" if threshold - below < 0.01 else "a midpoint or a quantile"
                return (f"{n} normal scores, fpr = {fpr:g}: found {threshold:.4f}; the next score below is {below:.4f}",
                        f"{what}: an alarm is score > threshold, so the score itself raises none and will do")
    return None


def _tied(call):
    scores = torch.tensor([1.0, 3.0, 2.0, 3.0, 3.0, 0.0, 3.0, 1.0, 0.5, 0.2]).double()
    above = _above(scores, call(scores, 0.2))
    return f"4 of 10 scores are equal and largest, fpr = 0.2: {above} lie above the threshold" if above > 2 else None


def _threshold(pick):
    return lambda scores, fpr: float(pick(scores.sort(descending=True).values, math.floor(fpr * len(scores) + 1e-9),
                                          fpr))


THRESHOLD = Exercise(
    name="threshold_from_normals", minutes=6,
    returns=(lambda scores, fpr: NumberSlot("the threshold"),),
    laws=(Law("a smaller fpr must not lower the threshold", _monotone),
          Law("more normal parts raise an alarm than fpr allows", _share),
          Law("the threshold is higher than it needs to be", _tight),
          Law("the threshold is not one of the scores", _one_of_them),
          Law("equal scores break the promise", _tied)),
    passes="one of the scores; at most a share fpr of the normals lies above, no lower score would do",
    hints=("An alarm is score > threshold, strictly. If the threshold is itself one of the scores, that one does not "
           "raise an alarm.",
           "Sort from the largest down. The first `allowed` scores may lie above; which one is the first that may not?",
           "Python counts from 0: after the entries 0 … allowed − 1 comes the entry number `allowed`."),
    suspects=(
        Suspect("the wrong tail: this line has a share fpr of the normals *below* it; sort from the largest down",
                _threshold(lambda s, k, f: s.flip(0)[k])),
        Suspect("the wrong tail: the quantile fpr lies among the lowest scores; the line belongs at 1 − fpr",
                lambda s, f: float(s.quantile(f))),
        Suspect("one too many: with `allowed` scores above, the line is entry number `allowed`, counted from 0. Entry "
                "allowed − 1 is itself one of those that may lie above",
                _threshold(lambda s, k, f: s[k - 1])),
        Suspect("one too far down: one score more than allowed lies above this line",
                _threshold(lambda s, k, f: s[k + 1])),
        Suspect("torch.quantile interpolates between N − 1 gaps: on few scores one more than allowed lies above",
                lambda s, f: float(s.quantile(1 - f))),
        Suspect("torch.quantile with interpolation=\"nearest\" rounds the place to either side: sometimes too many lie "
                "above", lambda s, f: float(s.quantile(1 - f, interpolation="nearest"))),
        Suspect("torch.quantile with interpolation=\"lower\" counts in N − 1 steps: sometimes one too many lies "
                "above", lambda s, f: float(s.quantile(1 - f, interpolation="lower"))),
        Suspect("the largest normal score: no false alarm at all, fpr is not used", lambda s, f: float(s.max())),
        Suspect("mean plus a multiple of the spread: that promises a share only if the scores are Gaussian",
                lambda s, f: float(s.mean() + 3 * s.std())),
        Suspect("the scores were not sorted: entry number `allowed` of scores in any order is a random one",
                lambda s, f: float(s[math.floor(f * len(s) + 1e-9)])),
        Suspect("fpr is not used: this is the median", lambda s, f: float(s.median())),
        Suspect("rounding the other way: the number of allowed alarms was rounded up, so more than fpr lie above",
                _threshold(lambda s, k, f: s[math.ceil(f * len(s))]))),
)

RATES_OF_CAMERAS = ((0.95, 0.05, 0.01), (0.8, 0.02, 0.3), (0.5, 0.3, 0.5), (0.99, 0.001, 0.002))


def _counts(call):
    for tpr, fpr, prevalence in RATES_OF_CAMERAS:
        parts = 1_000_000
        found, false = tpr * prevalence * parts, fpr * (1 - prevalence) * parts
        expected, value = found / (found + false), float(call(tpr, fpr, prevalence))
        if abs(value - expected) > 1e-6:
            return (f"tpr {tpr:g}, fpr {fpr:g}, prevalence {prevalence:g}: of a million parts {found:,.0f} alarms are "
                    f"real and {false:,.0f} false, so {expected:.4f}; found {value:.4f}")
    return None


def _no_false_alarm(call):
    for rates in RATES_OF_CAMERAS:  # called first, so that a suspect is judged on rates that tell them apart
        call(*rates)
    value = float(call(0.7, 0.0, 0.01))
    return None if abs(value - 1) < 1e-9 else f"fpr = 0: every alarm is real, the precision is 1; found {value:.4f}"


def _no_information(call):
    value = float(call(0.3, 0.3, 0.07))
    return None if abs(value - 0.07) < 1e-9 else (
        f"an alarm that rings equally often for both (0.3, 0.3) tells nothing: precision 0.07, the prevalence; "
        f"found {value:.4f}")


PRECISION = Exercise(
    name="precision_at", minutes=5,
    returns=(lambda tpr, fpr, prevalence: NumberSlot("the precision"),),
    laws=(Law("without false alarms every alarm is real", _no_false_alarm),
          Law("an alarm without information must leave the share of defective parts as it was", _no_information),
          Law("it is not the share of real alarms among all alarms", _counts)),
    passes="0.161 for (0.95, 0.05, 0.01), 1 without false alarms, the prevalence where an alarm tells nothing",
    hints=("Think of a million parts. How many are defective, how many good?",
           "tpr is a share of the defective parts, fpr a share of the good ones. Which counts follow?",
           "Precision = real alarms / all alarms. All alarms: the real ones and the false ones."),
    suspects=(
        Suspect("the prevalence was forgotten, or weighs both rates and cancels: tpr is a share of the defective "
                "parts, fpr of the good ones",
                lambda t, f, p: t / (t + f)),
        Suspect("divided by all parts: precision is a share of the alarms", lambda t, f, p: t * p),
        Suspect("the good parts were forgotten: fpr must be weighted by 1 − prevalence",
                lambda t, f, p: t * p / (t * p + f)),
        Suspect("the weights changed places: prevalence belongs to tpr, 1 − prevalence to fpr",
                lambda t, f, p: t * (1 - p) / (t * (1 - p) + f * p)),
        Suspect("this is the share of *false* alarms: precision is one minus it",
                lambda t, f, p: f * (1 - p) / (t * p + f * (1 - p))),
        Suspect("this is the share of right answers (accuracy): precision looks at the alarms only",
                lambda t, f, p: t * p + (1 - f) * (1 - p)),
        Suspect("divided by the defective parts (found and missed): that gives tpr back, all alarms are due",
                lambda t, f, p: t),
        Suspect("a ratio of real to false alarms: a share divides by both together",
                lambda t, f, p: t * p / (f * (1 - p)) if f else 1.0)),
)
