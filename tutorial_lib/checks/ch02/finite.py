"""Exercise 1: the Jacobian by central differences."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch02.probes import entries_differ, exact, matrix_slot, normal, quadratic
from tutorial_lib.checks.core import Exercise, Law, Suspect


def _differences(column, steps=lambda x, j, h: h * torch.eye(len(x), dtype=x.dtype)[j]):
    """An answer whose column j is ``column(f, x, step, h)``."""
    def answer(f, x, h):
        return torch.stack([column(f, x, steps(x, j, h), h) for j in range(len(x))], dim=1)
    return answer


def _central(f, x, step, h):
    return (f(x + step) - f(x - step)) / (2 * h)


_right = _differences(_central)


def _quadratics(call):
    for n, m in ((3, 2), (2, 5)):
        f, x = quadratic(n, m, seed=11), normal(n, seed=13)
        for h in (0.1, 1.0):
            if where := entries_differ(call(f, x, h), exact(f, x), 1e-9, "the exact derivative"):
                return f"h = {h:g}, {n} inputs, {m} outputs, {where}"
    return None


def _steps(call):
    """The central difference of v³ at 0 is the square of the step. Steps of h/2 are central differences too."""
    for h in (0.01, 0.3):
        far = float(call(lambda v: v**3, torch.zeros(3, dtype=torch.float64), h)[0, 0].detach().abs().sqrt())
        if not 0.499 * h <= far <= 1.001 * h:
            return f"with h = {h:g} the steps were {far:.2g} long", "the argument h is not used, or not as the step"
    return None


def _float32(call):
    f, x = quadratic(3, 2, seed=11), normal(3, seed=13, dtype=torch.float32)
    return entries_differ(call(f, x, 0.5), exact(f, x), 1e-3, "the exact derivative")


FINITE = Exercise(
    name="jacobian_fd", minutes=8, returns=(lambda f, x, h: matrix_slot(f, x),),
    laws=(Law("it is not exact on a quadratic map", _quadratics),
          Law("the steps do not have the length h", _steps),
          Law("it does not work in float32", _float32)),
    passes="exact on quadratics at h = 0.1 and h = 1, for more inputs than outputs and the other way round",
    hints=("Column j says how all outputs react to input j. Which input does `step` move, and by how much?",
           "Go one step forward and one step back from x. How far apart are the two points at which f is evaluated?",
           "Divide the difference of the two outputs by 2h. It has shape (m,), and it becomes one column."),
    suspects=(
        Suspect("the matrix is transposed: rows are outputs, columns are inputs, so stack the columns with dim=1",
                lambda f, x, h: _right(f, x, h).T),
        Suspect("a one-sided difference, (f(x + h) − f(x)) / h: its error shrinks like h only; step to both sides",
                _differences(lambda f, x, step, h: (f(x + step) - f(x)) / h)),
        Suspect("a one-sided difference to the left, (f(x) − f(x − h)) / h: step to both sides",
                _differences(lambda f, x, step, h: (f(x) - f(x - step)) / h)),
        Suspect("divided by h: the two points lie 2h apart", _differences(lambda *a: 2 * _central(*a))),
        Suspect("not divided at all: a derivative is a difference per length of step",
                _differences(lambda f, x, step, h: f(x + step) - f(x - step))),
        Suspect("multiplied by the distance 2h: divide by it",
                _differences(lambda f, x, step, h: (f(x + step) - f(x - step)) * (2 * h))),
        Suspect("divided by 2 and multiplied by h: Python reads a / 2 * h from the left; write a / (2 * h)",
                _differences(lambda f, x, step, h: (f(x + step) - f(x - step)) / 2 * h)),
        Suspect("the sign is turned: f(x + step) comes first", _differences(lambda *a: -_central(*a))),
        Suspect("a sum of the two outputs where their difference is due",
                _differences(lambda f, x, step, h: (f(x + step) + f(x - step)) / (2 * h))),
        Suspect("every input is moved at once: column j moves input j only",
                _differences(_central, lambda x, j, h: h * torch.ones_like(x))),
        Suspect("the steps pile up: column j still carries the steps of the columns before it",
                _differences(_central, lambda x, j, h: h * (torch.arange(len(x)) <= j).to(x.dtype))),
        Suspect("a step of length 1: the step is h long",
                _differences(lambda f, x, step, h: (f(x + step / h) - f(x - step / h)) / (2 * h))),
    ),
)
