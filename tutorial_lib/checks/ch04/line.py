"""Exercises 1 and 2: the log-normal density, and the density after any one-to-one map of the line."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch04.probes import negative, normal_density, not_one, off_the_histogram, per_sample
from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect


def _positive_axis() -> torch.Tensor:
    return torch.linspace(-7.0, 6.0, 4001, dtype=torch.float64).exp()


def _pi(x):
    return normal_density(x.log())


LOGNORMAL = Exercise(
    name="lognormal_density", minutes=6, returns=(per_sample("the density"),),
    laws=(Law("a density is never negative", lambda call: negative(call, _positive_axis())),
          Law("the mass is not 1", lambda call: not_one(call, _positive_axis(), "all x > 0")),
          Law("it is not the density of exp(z)", lambda call: off_the_histogram(
              call, normal(20_000, seed=41).exp(), torch.linspace(0.05, 4.05, 17, dtype=torch.float64)))),
    passes="never negative, integral 1, and 16 bins of a histogram within three standard errors",
    hints=("z = ln x. A short piece dx around x comes from a piece of z with length dz. What is dz / dx?",
           "The derivative of ln x is 1/x. The density of z is spread over a piece x times as long.",
           "p(x) = π(ln x) · |d ln x / dx|. One line: take pi and the derivative at x."),
    suspects=(
        Suspect("the factor 1/x is missing: this is π(ln x), the density of z, not that of x", _pi),
        Suspect("the logarithm of the density was returned", lambda x: (_pi(x) / x).log()),
        Suspect("multiplied by x where a division is due: dz/dx = 1/x, dx/dz = x", lambda x: _pi(x) * x),
        Suspect("divided by z = ln x: the derivative of ln x is 1/x", lambda x: _pi(x) / x.log().abs()),
        Suspect("the derivative of exp was taken at x, as exp(x): it must be taken at z, exp(z) = x",
                lambda x: _pi(x) * (-x).exp()),
        Suspect("divided by x twice", lambda x: _pi(x) / x.square()),
        Suspect("a root too much: the factor is 1/x itself", lambda x: _pi(x) / x.sqrt()),
    ),
)

# ---- exercise 2: three maps, named by (π, g⁻¹, its derivative, x) ---------------------------------------------------


def _falling():
    """x = exp(−z), z normal."""
    return normal_density, lambda x: -x.log(), lambda x: -1 / x, _positive_axis()


def _rising():
    """x = sinh z, z from a Laplace distribution: the base need not be normal."""
    return (lambda z: 0.5 * torch.exp(-z.abs()), torch.asinh, lambda x: 1 / (1 + x.square()).sqrt(),
            torch.linspace(-12.0, 12.0, 6001, dtype=torch.float64).sinh())


def _density_of(call, case):
    pi, g_inv, dg_inv, _ = case
    return lambda x: call(pi, g_inv, dg_inv, x)


def _sign(call):
    case = _falling()
    return negative(_density_of(call, case), case[3][::40])


def _total(call):
    for case, name in ((_falling(), "all x, for x = exp(−z)"), (_rising(), "all x, for x = sinh z")):
        if found := not_one(_density_of(call, case), case[3], name):
            return found
    return None


def _interval(call):
    """The mass of an interval of x is the mass of the interval of z that it comes from."""
    for case, low, high in ((_falling(), 0.3, 1.1), (_rising(), -0.5, 2.0)):
        pi, g_inv, _, _ = case
        x = torch.linspace(low, high, 2001, dtype=torch.float64)
        a, b = sorted(float(v) for v in g_inv(x[[0, -1]]))
        z = torch.linspace(a, b, 2001, dtype=torch.float64)
        found = float(torch.trapezoid(_density_of(call, case)(x).detach(), x))
        expected = float(torch.trapezoid(pi(z), z))
        if abs(found - expected) > 1e-4:
            return f"between x = {low} and {high} your density puts {found:.4f}, the base puts {expected:.4f} there"
    return None


AFTER = Exercise(
    name="density_after", minutes=8,
    returns=(per_sample("the density"),),
    laws=(Law("a density is never negative", _sign),
          Law("the mass is not 1", _total),
          Law("the mass of an interval is not kept", _interval)),
    passes="a falling and a rising map, a base that is not normal: never negative, integral 1, every interval keeps "
           "its mass",
    hints=("Two ingredients: the density of the point that x came from, and how much longer or shorter a small piece "
           "around it became.",
           "g_inv and dg_inv both take x. The base density π takes z = g_inv(x).",
           "On a falling map the derivative is negative. A length never is: .abs()."),
    suspects=(
        Suspect("the absolute value is missing: on a falling map the derivative is negative",
                lambda pi, gi, dgi, x: pi(gi(x)) * dgi(x)),
        Suspect("the sign was turned instead of taking the absolute value: right for falling maps only",
                lambda pi, gi, dgi, x: -pi(gi(x)) * dgi(x)),
        Suspect("the derivative was taken at z: dg_inv is a function of x",
                lambda pi, gi, dgi, x: pi(gi(x)) * dgi(gi(x)).abs()),
        Suspect("divided by the derivative of g⁻¹: it multiplies; the derivative of g would divide",
                lambda pi, gi, dgi, x: pi(gi(x)) / dgi(x).abs()),
        Suspect("the base density was taken at x: x came from z = g_inv(x), and π belongs to z",
                lambda pi, gi, dgi, x: pi(x) * dgi(x).abs()),
        Suspect("the derivative is missing: π(g⁻¹(x)) alone is not the density of x",
                lambda pi, gi, dgi, x: pi(gi(x))),
        Suspect("π was multiplied by z = g⁻¹(x) instead of by the derivative",
                lambda pi, gi, dgi, x: pi(gi(x)) * gi(x).abs()),
        Suspect("the derivative was put into π: first π(g⁻¹(x)), then times |derivative|",
                lambda pi, gi, dgi, x: pi(dgi(x))),
    ),
)
