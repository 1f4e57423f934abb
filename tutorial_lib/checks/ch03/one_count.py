"""The exact law of a counted area: area and standard error come from the same share p of n points in one box.

With area = box · p and error² = box² · p (1 − p) / n,

    area + n · error² / area = box,     n · area / box = k, a whole number of points

whatever was drawn. Whoever divides by n − 1 in the variance fulfils both with n − 1 in place of n in the first.
"""

from __future__ import annotations

import math

from tutorial_lib.checks.ch03.throws import N, ask, box, probes, size

FORMS = (  # wrong standard errors, over the box, for a share p of n points
    (lambda p, n: math.sqrt(p / n), "the factor 1 − p is missing under the root: √(p (1 − p) / n)"),
    (lambda p, n: math.sqrt((1 - p) / n), "the factor p is missing under the root: √(p (1 − p) / n)"),
    (lambda p, n: 0.5 / math.sqrt(n), "this is the standard error for p = ½, the largest there is: use your p"),
    (lambda p, n: p * (1 - p) / math.sqrt(n), "p (1 − p) stands outside the root: √(p (1 − p) / n)"),
    (lambda p, n: p / math.sqrt(n), "the share itself was divided by √n: √(p (1 − p) / n)"),
    (lambda p, n: p * math.sqrt((1 - p) / n), "one p stands outside the root: √(p (1 − p) / n)"),
    (lambda p, n: p * math.sqrt(p * (1 - p) / n),
     "the error of the share was multiplied by the area that was found: multiply it by the area of the box"))
UNITS = "√(p (1 − p) / n) times the area of the box"


def one_count(call) -> tuple[str, str] | None:
    """Where and why area and error of some matrices cannot come from one count, else None."""
    asked = [(j, ask(call, j), ask(call, j, 4 * N)) for j in probes()[:8]]
    for less in (0, 1):
        if all(_whole(few, less) and _boxes(j, few, many, less)[2] for j, few, many in asked):
            return None
    j, few, many = next(row for row in asked if not (_whole(row[1], 0) and _boxes(*row, 0)[2]))
    first, second, _ = _boxes(j, few, many, 0)
    return (f"J = {[[round(v, 2) for v in row] for row in j.tolist()]}: area {few[0]:.3f} and standard error "
            f"{few[1]:.4f} from n = {N} need a box of area + n · error² / area = {first:.2f}, those from n = {4 * N} "
            f"one of {second:.2f}; the smallest box has {float(box(j)[1].prod()):.2f}", _cause(asked))


def _boxes(j, few, many, less):
    """The boxes that follow from both counts, and whether they agree and are large enough."""
    first, second = (area + (n - less) * error**2 / area for (area, error), n in ((few, N), (many, 4 * N)))
    return first, second, abs(first - second) < 1e-3 * first and first > (1 - 1e-3) * float(box(j)[1].prod())


def _whole(few, less):
    area, error = few
    hits = N * area / (area + (N - less) * error**2 / area)
    return abs(hits - round(hits)) < 0.02


def _cause(asked) -> str:
    if all(abs(area - size(j)) < 1e-6 * size(j) for j, (area, _), _ in asked):
        return "the area is |det J| itself, to six digits: count points, no formula"
    rows = [(area / float(box(j)[1].prod()), error / float(box(j)[1].prod())) for j, (area, error), _ in asked]
    if all(0 < p < 1 for p, _ in rows):
        for form, cause in FORMS:
            if all(abs(error / form(p, N) - 1) < 1e-3 for p, error in rows):
                return cause
        factors = [error / math.sqrt(p * (1 - p) / N) for p, error in rows]
        if max(factors) - min(factors) < 2e-3 * max(factors):
            return f"the standard error is {factors[0]:.2f} times what it must be, too " + (
                "small" if factors[0] < 1 else "large") + f": {UNITS}"
    if all(_whole(few, 0) and few[0] + N * few[1]**2 / few[0] < 0.999 * float(box(j)[1].prod()) for j, few, _ in asked):
        return "the box is smaller than the parallelogram: it cuts off a corner"
    return f"area = box · p and standard error = {UNITS}, both with the p of the same n points"
