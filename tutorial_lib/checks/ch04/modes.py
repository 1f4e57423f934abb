"""Exercise 6: the image of the most likely point, and the most likely point of the image."""

from __future__ import annotations

import math

import torch

from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.slots import TensorSlot

STEP = 0.001


def _gaussian(mean, sd):
    return lambda z: -0.5 * ((z - mean) / sd).square() - math.log(sd * math.sqrt(2 * math.pi))


def _grid(low, high):
    return torch.arange(low, high, STEP, dtype=torch.float64)


CASES = {  # (log density of z, g, g⁻¹, derivative of g⁻¹, grid of x, g(mode of z), mode of x)
    "x = exp(z)": (_gaussian(0.0, 1.0), torch.exp, torch.log, lambda x: 1 / x, _grid(0.01, 6.0), 1.0, math.exp(-1)),
    "x = exp(z), z with mean 1 and deviation ½": (
        _gaussian(1.0, 0.5), torch.exp, torch.log, lambda x: 1 / x, _grid(0.1, 7.0), math.e, math.exp(0.75)),
    "x = exp(−z)": (_gaussian(0.0, 1.0), lambda z: (-z).exp(), lambda x: -x.log(), lambda x: -1 / x,
                    _grid(0.01, 6.0), 1.0, math.exp(-1)),
    "x = 3 − 2z": (_gaussian(0.7, 1.0), lambda z: 3 - 2 * z, lambda x: (3 - x) / 2,
                   lambda x: torch.full_like(x, -0.5), _grid(-3.0, 7.0), 1.6, 1.6),
}


def _guesses(case):
    """What known mistakes give, as (first, second, cause)."""
    logpdf, g, g_inv, slope, x, image, mode = case
    z, correct = g_inv(x), slope(x).abs().log()
    at = lambda score: float(x[int(score.argmax())])
    through = lambda score: float(g(x[int(score.argmax())]))
    stretch = torch.autograd.functional.jacobian(lambda v: g(v).sum(), x).abs().log()  # ln|g'|, were the grid one of z
    back = lambda value: float(g_inv(torch.tensor(value, dtype=torch.float64)))
    return (
        (mode, image, "the two answers changed places: g(mode of z) comes first"),
        (image, image, "the uncorrected density was searched: log π(g⁻¹(x)) lacks ln|dg⁻¹/dx|"),
        (image, at(logpdf(z) - correct), "the correction has the wrong sign: log p(x) = log π(z) + ln|dg⁻¹/dx|"),
        (image, at(logpdf(x)), "the base density was taken at x: it belongs to z = g⁻¹(x)"),
        (back(image), mode, "the first answer is the mode of z itself: it still has to go through g"),
        (image, back(mode), "the second answer is a z: the point of the grid, x, is asked for"),
        (image, at(logpdf(z) + slope(x).log()), "the absolute value is missing: the logarithm of a negative slope is "
                                                "NaN"),
        (image, at(logpdf(z) + slope(x).abs()), "the slope itself was added to a logarithm: add ln|slope|"),
        (image, at(logpdf(z) * slope(x).abs()), "log π was multiplied by the slope: a factor of the density is added "
                                                "to its logarithm, as ln|slope|"),
        (through(logpdf(x)), through(logpdf(x) - stretch), "the grid was taken as z: it holds x, its z are "
                                                           "g_inv(grid)"),
        (through(logpdf(x)), mode, "the most likely z was searched on the grid of x: its candidates are "
                                   "g_inv(grid)"),
        (at(logpdf(x)), mode, "the mode of z was searched on the grid of x: the points z are g⁻¹(grid)"),
        (mode, mode, "both answers are the mode of x: for the first, search log π alone, then apply g"))


def _cause(names, found):
    """The known mistake that explains what was found in every case, or nothing."""
    near = lambda a, b: abs(a - b) <= 3 * STEP * max(1.0, abs(b))
    tables = [_guesses(CASES[name]) for name in names]
    for rows in zip(*tables, strict=True):
        if all(near(f[0], row[0]) and near(f[1], row[1]) for f, row in zip(found, rows, strict=True)):
            return rows[0][2]
    return ""


def _mass(case, centre, half=0.05):
    """Mass of the window centre ± half, counted in z: P(a < z < b)."""
    logpdf, _, g_inv, _, _, _, _ = case
    a, b = sorted(float(v) for v in g_inv(torch.tensor([max(centre - half, 1e-9), centre + half]).double()))
    z = torch.linspace(a, b, 1001, dtype=torch.float64)
    return float(torch.trapezoid(logpdf(z).exp(), z))


def _broken(call, names, which):
    """The sentence for the first case in which an answer (0: image of the mode, 1: mode of the image) is wrong."""
    found = [tuple(float(v) for v in call(*CASES[name][:3], CASES[name][4])) for name in names]
    for name, values in zip(names, found, strict=True):
        case, right = CASES[name], CASES[name][5 + which]
        if abs(values[which] - right) > 2.5 * STEP:
            where = f"{name}: found {values[which]:.3f}, expected {right:.3f}"
            if which and name != "x = 3 − 2z":
                where += (f"; a window of width 0.1 there holds {_mass(case, values[1]):.4f} of the mass, around "
                          f"{right:.3f} it holds {_mass(case, right):.4f}")
            return where, _cause(names, found)
    return None


FALLING = ("x = exp(−z)", "x = 3 − 2z")
MODES = Exercise(
    name="modes", minutes=12,
    returns=(lambda logpdf_z, g, g_inv, grid: (TensorSlot("g(mode_z)", (), "()"), TensorSlot("mode_x", (), "()")),),
    laws=(Law("the first answer is not the image of the most likely z", lambda call: _broken(call, CASES, 0)),
          Law("the second answer is not where x is densest",
              lambda call: _broken(call, [n for n in CASES if n not in FALLING], 1)),
          Law("it fails on a falling map", lambda call: _broken(call, FALLING, 1))),
    passes="they differ for exp, agree for an affine map, and both are right to the step of the grid",
    hints=("Two searches over the same points. z = g_inv(grid) are the candidates in z, grid the candidates in x.",
           "log p(x) = log π(g⁻¹(x)) + ln|dg⁻¹/dx|. Chapter 02: for a function that acts on each number alone, "
           "autograd of the sum gives all derivatives at once.",
           "Let autograd follow a copy of the grid through g_inv and ask for the slope at every point. Add the "
           "logarithm of its size. argmax says where a score is largest: a place in the grid, and the same in z."),
)
