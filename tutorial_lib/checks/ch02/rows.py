"""Exercise 2: the Jacobian row by row, by autograd."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch02.probes import curved, entries_differ, exact, matrix_slot, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect


def _central(f, x, h=1e-5):
    steps = h * torch.eye(len(x), dtype=x.dtype)
    return torch.stack([(f(x + s) - f(x - s)) / (2 * h) for s in steps], dim=1)


def _differences(call):
    for n, m in ((3, 4), (5, 2)):
        f, x = curved(n, m, seed=21), normal(n, seed=23)
        if where := entries_differ(call(f, x), _central(f, x), 1e-6, "the central difference"):
            return where
    return None


def _unused(call):
    """An input that nobody reads, an output that reads nothing."""
    def f(x):
        return torch.stack([x[0] * x[1], x[1].exp(), x[0] * 0 + 3.0])

    x = normal(3, seed=25)
    return entries_differ(call(f, x), exact(f, x), 1e-9, "the exact derivative")


def _exactly(call):
    f, x = curved(3, 3, seed=27), normal(3, seed=29)
    where = entries_differ(call(f, x), exact(f, x), 1e-11, "the exact derivative")
    return None if where is None else (
        where, "right to a few digits only: differences instead of autograd, or a detour through float32")


def _one_output(call):
    f, x = curved(4, 1, seed=31), normal(4, seed=33)
    return entries_differ(call(f, x), exact(f, x), 1e-9, "the exact derivative")


def _float32(call):
    f, x = curved(3, 2, seed=21), normal(3, seed=35, dtype=torch.float32)
    return entries_differ(call(f, x), exact(f, x), 1e-4, "the exact derivative")


ROWS = Exercise(
    name="jacobian_rows", minutes=10, returns=(lambda f, x: matrix_slot(f, x),),
    laws=(Law("it is not the Jacobian that central differences give", _differences),
          Law("it is not exact: autograd agrees to 11 digits", _exactly),
          Law("an entry that is zero came out as something else", _unused),
          Law("a map with one output goes wrong", _one_output),
          Law("it does not work in float32", _float32)),
    passes="equals central differences to 1e-6 and the exact derivative to 1e-11, zeros included",
    hints=("autograd differentiates one number at a time. Row i is the gradient of the number z[i]: a loop over the "
           "outputs.",
           "torch.autograd.grad(z[i], x) returns a tuple with one gradient per input, here one. It adds up nothing, "
           "which z[i].backward() does: that one adds to x.grad every time.",
           "After one gradient the graph is thrown away. All rows come from the same graph: retain_graph=True."),
    suspects=(
        Suspect("gradients accumulated: row i is the sum of rows 0 to i. x.grad is added to, never overwritten: set it "
                "to None before each row, or use torch.autograd.grad", lambda f, x: exact(f, x).cumsum(0)),
        Suspect("every row is the same tensor: x.grad was stored without a copy, and the last row wrote over all",
                lambda f, x: exact(f, x)[-1:].expand(len(exact(f, x)), -1)),
        Suspect("every row is the accumulated total: x.grad was stored without a copy and never set back to None",
                lambda f, x: exact(f, x).sum(0, keepdim=True).expand(len(exact(f, x)), -1)),
        Suspect("the outputs were summed first: f(x).sum() has one gradient, the sum of all rows",
                lambda f, x: exact(f, x).sum(0)),
        Suspect("one row only: loop over all outputs", lambda f, x: exact(f, x)[0]),
        Suspect("the matrix is transposed: gradients are rows, so stack them with dim=0",
                lambda f, x: exact(f, x).T),
        Suspect("the rows were joined end to end: torch.stack makes a matrix of them, torch.cat a long vector",
                lambda f, x: exact(f, x).flatten()),
        Suspect("the rows come in reverse order", lambda f, x: exact(f, x).flip(0)),
    ),
)
