"""Exercise 1: where the mass of a standard normal in d dimensions lies."""

from __future__ import annotations

import math

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot

DIMS = (1, 10, 768)
DRAWS = 10_000  # the laws allow what so many draws would miss by: three standard errors


def exact(d: int) -> tuple[float, float]:
    """Mean and standard deviation of the length of a standard normal vector (the chi distribution)."""
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return mean, math.sqrt(d - mean * mean)


def _log_ratio(d: int) -> float:
    return math.lgamma((d + 1) / 2) - math.lgamma(d / 2)


def _from(mean: float, d: int) -> tuple[float, float]:
    """A wrong mean, and the sd that the exercise's own line makes of it."""
    return mean, math.sqrt(d - mean**2)


def _mean(call):
    for d in DIMS:
        found, (mean, sd) = float(call(d)[0]), exact(d)
        if abs(found - mean) > 3 * sd / math.sqrt(DRAWS):
            return f"d = {d}: found {found:.4f}, the draws have mean length {mean:.4f}"
    return None


def _sd(call):
    for d in DIMS:
        found, (_, sd) = float(call(d)[1]), exact(d)
        if abs(found - sd) > 3 * sd / math.sqrt(2 * DRAWS):
            return f"d = {d}: found {found:.4f}, the lengths of the draws have standard deviation {sd:.4f}"
    return None


RADIUS = Exercise(
    name="typical_radius", minutes=6, returns=(lambda d: (NumberSlot("mean"), NumberSlot("sd")),),
    laws=(Law("the mean is not the mean length of a standard normal vector", _mean),
          Law("the sd is not the spread of the lengths", _sd)),
    passes="mean and sd within three standard errors of 10,000 draws, for d = 1, 10 and 768",
    hints=("The formula stands above the cell. Γ(384) is too large for a float: work with math.lgamma, the logarithm "
           "of Γ, and take exp of a difference.",
           "ln of a ratio is a difference of logarithms. Take the two lgamma first, then their difference, then leave "
           "the logarithm again.",
           "√2 stands outside of the logarithm: multiply by it last. Test yourself: d = 1 gives √(2 / π) = 0.80. The "
           "spread is in the cell already."),
    suspects=(
        Suspect("√d is the root of the mean of ‖z‖², not the mean of ‖z‖: close in 768 dimensions, wrong in one",
                lambda d: (math.sqrt(d), math.sqrt(d - exact(d)[0] ** 2))),
        Suspect("√d for the mean, and so a spread of 0: √d is the root of the mean square",
                lambda d: (math.sqrt(d), 0.0)),
        Suspect("exp was forgotten: lgamma is the logarithm of Γ, so the difference of two is that of their ratio",
                lambda d: _from(math.sqrt(2) * _log_ratio(d), d)),
        Suspect("exp was forgotten, and so for √2: this is the logarithm of the mean",
                lambda d: _from(_log_ratio(d) + math.log(2) / 2, d)),
        Suspect("these are mean and spread of the *squared* length: d and √(2d)", lambda d: (d, math.sqrt(2 * d))),
        Suspect("√(d − ½) is a good approximation from d = 10 on, and off at d = 1",
                lambda d: (math.sqrt(d - 0.5), math.sqrt(0.5))),
        Suspect("the factor √2 is missing", lambda d: (exact(d)[0] / math.sqrt(2),
                                                       math.sqrt(d - exact(d)[0] ** 2 / 2))),
        Suspect("the two Γ changed places: it is Γ((d + 1)/2) over Γ(d/2)",
                lambda d: (2 / exact(d)[0], math.sqrt(abs(d - 4 / exact(d)[0] ** 2)))),
        Suspect("the sd grows with d here: the lengths of the draws spread by 0.60 to 0.71, whatever d is",
                lambda d: (exact(d)[0], math.sqrt(d))),
        Suspect("the sd grows with d here, as √(2d): that is the spread of the squared length",
                lambda d: (exact(d)[0], math.sqrt(2 * d))),
        Suspect("this is the variance of the length: the sd is its root",
                lambda d: (exact(d)[0], exact(d)[1] ** 2)),
        Suspect("the spread of one coordinate is 1, that of the length is not",
                lambda d: (exact(d)[0], 1.0)),
    ),
)
