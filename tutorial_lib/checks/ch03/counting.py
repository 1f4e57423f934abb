"""Exercise 6: an area by counting. The draw is the learner's own, so the laws look at its statistics."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch03.one_count import one_count
from tutorial_lib.checks.ch03.throws import MATRICES, N, ask, box, probes, size, transposed
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.slots import NumberSlot


def _is(found, expected):
    """Whether numbers agree to a tenth, in at least 16 of 20 places."""
    hits = sum(abs(f - e) < 0.1 * abs(e) for f, e in zip(found, expected, strict=True))
    return hits >= 0.8 * len(expected)


def _area(call):
    js = probes()
    true = [float(torch.linalg.det(j)) for j in js]
    sizes, areas = [size(j) for j in js], [ask(call, j)[0] for j in js]
    boxes = [float(box(j)[1].prod()) for j in js]
    off = [k for k, (a, s) in enumerate(zip(areas, sizes, strict=True)) if not abs(a - s) < 0.3 * s]
    if len(off) <= 3:  # a box that is wider than it need be makes a noisy count; the last law judges the rest
        return None
    guesses = (
        (_is(areas, true), "the sign of the determinant: an area is never negative"),
        (_is(areas, [s / b for s, b in zip(sizes, boxes, strict=True)]),
         "the share of the points was returned: multiply it by the area of the box"),
        (_is(areas, [s / 2 for s in sizes]), "half the area: u + v ≤ 1 is a triangle; the square is 0 ≤ u, v ≤ 1"),
        (_is(areas, boxes), "the area of the box itself: multiply it by the share of the points inside"),
        (_is(areas, [1 / s for s in sizes]), "the way round: points of the box go *back* through J⁻¹, into the square"),
        (_is(areas, [b - s for s, b in zip(sizes, boxes, strict=True)]), "the points outside were counted"),
        (_is(areas, [transposed(j) for j in js]),
         "the way back is transposed: points are rows, so x @ J⁻¹ᵀ, or solve(J, x.T).T"),
        (all(a < 1.1 * s for a, s in zip(areas, sizes, strict=True)),
         "the box is too small, or the test for \"inside\" is wrong: the parallelogram has four corners, 0, the two "
         "columns and their sum; take the smallest and the largest coordinate of all four"))
    k = off[0]
    return (f"J = {[[round(v, 2) for v in row] for row in js[k].tolist()]}: area {areas[k]:.3f}, |det J| is "
            f"{sizes[k]:.3f} ({len(off)} of {MATRICES} matrices are off)",
            next((text for matches, text in guesses if matches), ""))


def _positive(call):
    for j in probes()[:5]:
        _, error = ask(call, j)
        if error <= 0:
            return (f"the standard error is {error:g}",
                    "a count has an error: √(p (1 − p) / n) times the area of the box")
    return None


def _root_n(call):
    ratios = []
    for j in probes()[:6]:
        ratios.append(ask(call, j, 4 * N)[1] / ask(call, j, N)[1])
    ratio = sorted(ratios)[3]
    if 0.42 < ratio < 0.6:
        return None
    cause = ("the error does not shrink with n: √n is missing" if ratio > 0.9 else
             "n where √n is due, or a variance: the standard error is its square root" if ratio < 0.3 else "")
    return f"with four times the points the standard error is multiplied by {ratio:.2f}, it must be halved", cause


def _units(call):
    j = probes()[0]
    (area, error), (area10, error10) = ask(call, j), ask(call, 10 * j)
    if not 80 < area10 / area < 120:
        return f"10 · J has {area10 / area:.3g} times the area, it must be 100 times"
    ratio = error10 / error
    return None if 80 < ratio < 120 else (
        f"10 · J has an area 100 times as large and an error {ratio:.3g} times as large",
        "this is the error of the share: multiply it by the area of the box" if ratio < 2 else "")


def _honest(call):
    """A second try with more points: chance puts three of twenty areas outside now and then, but hardly twice."""
    return _off(call, N) and _off(call, 7 * N)


def _off(call, n):
    z = []
    for j in probes():
        area, error = ask(call, j, n)
        z.append((area - size(j)) / error)
    outside = sum(abs(v) > 3 for v in z)
    spread = (sum(v * v for v in z) / len(z)) ** 0.5
    if outside <= 2 and spread > 0.35:
        return None
    if outside > 2:
        return (f"{outside} of {MATRICES} areas lie more than 3 standard errors from |det J|",
                "the box cuts off a corner, or the points are not even over the box")
    return (f"the areas lie {spread:.2f} standard errors from |det J| in the mean, about 1 is right",
            "points that are more even than random ones: draw them with torch.rand")


AREA = Exercise(
    name="area_by_counting", minutes=10,
    returns=(lambda J, n: (NumberSlot("area"), NumberSlot("standard_error")),),
    laws=(Law("the area is not |det J|", _area),
          Law("there is no standard error", _positive),
          Law("the standard error does not shrink like 1/√n", _root_n),
          Law("area and error do not follow the units", _units),
          Law("area and standard error do not come from one count", one_count),
          Law("the standard error does not say how far off the area is", _honest)),
    passes=f"within 3 standard errors of |det J| for {MATRICES} matrices, and the error shrinks like 1/√n",
    hints=("Corners of the parallelogram: 0, J[:, 0], J[:, 1] and their sum. Take a box around all four, and throw n "
           "points into it: low + side * torch.rand(n, 2).",
           "A point x lies inside when J⁻¹ x lies in the unit square. torch.linalg.solve(J, x.T).T goes back for all "
           "points at once.",
           "A share of the points stands for the same share of the box. Which number turns a share into an area, and "
           "what does it do to the standard error of the share?"),
)
