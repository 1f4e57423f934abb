"""Exercise 4: the Jacobian of a chain of maps."""

from __future__ import annotations

from itertools import pairwise

import torch

from tutorial_lib.checks.ch02.probes import curved, entries_differ, exact, normal, wrapped
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _through(fs, x):
    for f in fs:
        x = f(x)
    return x


def _points(fs, x):
    """The point at which each map is entered."""
    points = [x]
    for f in fs[:-1]:
        points.append(f(points[-1]))
    return points


def _product(matrices):
    """The last map stands on the left."""
    total = matrices[0]
    for matrix in matrices[1:]:
        total = matrix @ total
    return total


def _right(fs, x):
    return _product([exact(f, p) for f, p in zip(fs, _points(fs, x), strict=True)])


def _gap(call, sizes, seed):
    fs = [curved(n, m, seed=seed + 10 * k) for k, (n, m) in enumerate(pairwise(sizes))]
    x = 0.4 * normal(sizes[0], seed=seed + 5)
    total = exact(lambda v: _through(fs, v), x)
    return entries_differ(call(fs, x), total, 1e-9 * max(1.0, float(total.abs().max())), "autograd of the composition")


def _one_at_a_time(call):
    """Whether each map was differentiated by itself.

    A transform (jacrev, jvp, …) that runs over the whole chain hands the second map the very object that the first one
    made inside it; one over the second map alone hands it a new wrapper.
    """
    fs, made, entered = [curved(n, n, seed=83 + 10 * n) for n in (3, 3)], [], []

    def first(v):
        made.append(fs[0](v))
        return made[-1]

    def second(v):
        entered.append(wrapped(v) and any(v is z for z in made))
        return fs[1](v)

    call([first, second], normal(3, seed=87))
    entered = entered[:-1]  # the last call came from this check, which asks for the shape of the result
    return ("one differentiation ran through both maps",
            "jacrev of the whole composition is right, and skips the chain rule: call jacrev on single maps only, and "
            "multiply") if entered and all(entered) else None


def _slot(fs, x):
    return TensorSlot("J", (_through(fs, x).numel(), x.numel()), "(m, n)", x.dtype)


CHAIN = Exercise(
    name="jacobian_of_chain", minutes=10, returns=(_slot,),
    laws=(Law("one map alone goes wrong", lambda call: _gap(call, (3, 3), 71)),
          Law("it is not the Jacobian of the composition", lambda call: _gap(call, (3, 3, 3, 3), 71)),
          Law("it goes wrong when the maps change the number of values", lambda call: _gap(call, (4, 3, 5, 2), 75)),
          Law("it goes wrong for two maps", lambda call: _gap(call, (2, 3, 2), 79)),
          Law("the maps are not differentiated one by one", _one_at_a_time)),
    passes="equals autograd of the composition, three non-linear maps with 4 → 3 → 5 → 2 values",
    hints=("The Jacobian of f₂ after f₁ is J₂ J₁. Which map acts first on a direction v, and where does v stand in "
           "J₂ J₁ v?",
           "J₂ is taken where the second map is entered: at f₁(x), not at x. Carry the point along.",
           "Start with the identity of size (n, n). For each map: total = J(f, point) @ total, then point = f(point)."),
    suspects=(
        Suspect("all Jacobians were taken at x: each map's own is taken at the point that it receives",
                lambda fs, x: _product([exact(f, x) for f in fs])),
        Suspect("the order is reversed: the first map's Jacobian stands on the right, total = J @ total",
                lambda fs, x: _product([exact(f, p) for f, p in zip(fs, _points(fs, x), strict=True)][::-1])),
        Suspect("the order is reversed, and all Jacobians were taken at x",
                lambda fs, x: _product([exact(f, x) for f in fs][::-1])),
        Suspect("the point moves on too early: J is taken where a map is entered, not where it comes out",
                lambda fs, x: _product([exact(f, f(p)) for f, p in zip(fs, _points(fs, x), strict=True)])),
        Suspect("entries were multiplied one by one: the chain rule is a matrix product, @ and not *",
                lambda fs, x: torch.stack([exact(f, p) for f, p in zip(fs, _points(fs, x), strict=True)]).prod(0)),
        Suspect("the Jacobians were added: they multiply",
                lambda fs, x: torch.stack([exact(f, p) for f, p in zip(fs, _points(fs, x), strict=True)]).sum(0)),
        Suspect("the Jacobian of the last map only", lambda fs, x: exact(fs[-1], _points(fs, x)[-1])),
        Suspect("the Jacobian of the first map only", lambda fs, x: exact(fs[0], x)),
        Suspect("the result is transposed", lambda fs, x: _right(fs, x).T),
    ),
)
