"""Exercise 5: a map that is not one-to-one. Every branch brings its own mass."""

from __future__ import annotations

import torch
from torch.distributions import Chi2

from tutorial_lib.checks.ch04.probes import negative, normal_density, not_one, per_sample
from tutorial_lib.checks.ch05.probes import differ
from tutorial_lib.checks.core import Exercise, Law, Suspect


def _squares():
    """Points y > 0 that crowd at 0, where the density grows without limit."""
    return torch.linspace(-11.5, 1.9, 4001, dtype=torch.float64).exp().square()


def _some():
    return torch.linspace(0.05, 6.0, 60, dtype=torch.float64)


def _library(call):
    y = _some()
    return differ("the density", call(y), Chi2(torch.tensor(1.0, dtype=torch.float64)).log_prob(y).exp(), 1e-9,
                  "that of χ² with one degree of freedom")


TWO_BRANCHES = Exercise(
    name="two_branch_density", minutes=8, returns=(per_sample("the density"),),
    laws=(Law("a density is never negative", lambda call: negative(call, _some())),
          Law("the mass is not 1", lambda call: not_one(call, _squares(), "all y > 0")),
          Law("it is not the density of the square of a standard normal number", _library)),
    passes="integral 1, and equal to χ² with one degree of freedom",
    hints=("Which numbers x have x² = y? There are two, and both send mass to y.",
           "Each branch adds π(x) / |dy/dx| at its own x. dy/dx = 2x, taken at x = √y and at x = −√y.",
           "π is even and |2x| is the same on both branches: two equal terms."),
    suspects=(
        Suspect("one branch only: −√y is squared to y as well, so half of the mass is missing",
                lambda y: normal_density(y.sqrt()) / (2 * y.sqrt())),
        Suspect("the derivative 2x was taken at y: it belongs to x = √y",
                lambda y: 2 * normal_density(y.sqrt()) / (2 * y)),
        Suspect("one branch only, and its derivative 2x was taken at y", lambda y: normal_density(y.sqrt()) / (2 * y)),
        Suspect("the absolute value is missing: on the branch x = −√y the derivative is negative, and the two cancel",
                lambda y: normal_density(y.sqrt()) / (2 * y.sqrt()) - normal_density(-y.sqrt()) / (2 * y.sqrt())),
        Suspect("the derivative is missing: the two densities of x were added as they are",
                lambda y: 2 * normal_density(y.sqrt())),
        Suspect("multiplied by the derivative where a division is due",
                lambda y: 2 * normal_density(y.sqrt()) * 2 * y.sqrt()),
        Suspect("the 2 of the derivative 2x is missing", lambda y: 2 * normal_density(y.sqrt()) / y.sqrt()),
        Suspect("the base density was taken at y: the points that come to y are √y and −√y",
                lambda y: normal_density(y) / y.sqrt()),
        Suspect("the logarithm of the density was returned", lambda y: (normal_density(y.sqrt()) / y.sqrt()).log()),
    ),
)
