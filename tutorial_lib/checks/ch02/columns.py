"""Exercise 3: J v without J."""

from __future__ import annotations

import torch
from torch.func import jacfwd
from torch.utils._python_dispatch import TorchDispatchMode

from tutorial_lib.checks.ch02.probes import curved, exact, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


class Watch(TorchDispatchMode):
    """Counts tensor operations and notes the largest tensor that one of them makes."""

    def __init__(self):
        super().__init__()
        self.operations = self.largest = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self.operations += 1
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor):
                self.largest = max(self.largest, value.numel())
        return result


def wide(copies: int):
    """n inputs to copies · n outputs, without a matrix inside."""
    return lambda x: torch.cat([(x * (k + 1)).sin() * x.roll(k) for k in range(copies)])


def _value(call):
    for n, m in ((3, 3), (4, 2), (2, 5)):
        f, x, v = curved(n, m, seed=41), normal(n, seed=43), normal(n, seed=45)
        found, expected = call(f, x, v), exact(f, x) @ v
        gap = (found - expected).abs()
        if float(gap.max()) > 1e-5:
            k = int(gap.argmax())
            return f"{n} inputs, {m} outputs, entry {k}: found {float(found[k]):.4f}, (J v) is {float(expected[k]):.4f}"
    return None


def _once(call):
    count, f = [0], curved(4, 3, seed=47)

    def counted(x):
        count[0] += 1
        return f(x)

    call(counted, normal(4, seed=49), normal(4, seed=51))
    # once by the check itself, which needs the shape of the result
    used = count[0] - 1
    return None if used <= 1 else (f"f was called {used} times",
                                   "a difference of two values of f: differentiate instead, one call is enough")


def _linear(call):
    f, x = curved(4, 3, seed=53), normal(4, seed=55)
    v, w = normal(4, seed=57), normal(4, seed=59)
    gap = float((call(f, x, 2 * v - 3 * w) - 2 * call(f, x, v) + 3 * call(f, x, w)).abs().max())
    return None if gap < 1e-9 else f"J (2v − 3w) differs from 2 Jv − 3 Jw by {gap:.2g}"


def _without_matrix(call):
    n, x, v = 40, normal(40, seed=61), normal(40, seed=63)
    seen = {}
    for copies in (2, 4):
        with Watch() as watch:
            call.function(wide(copies), x.clone(), v.clone())
        if watch.largest >= copies * n * n:
            return (f"with {n} inputs and {copies * n} outputs a tensor of {watch.largest} numbers was made",
                    "the whole matrix J was built, and then multiplied by v: torch.func.jvp does it in one pass")
        seen[copies] = watch.operations
    if seen[4] > 3 * seen[2] or seen[2] > 250:
        return (f"{seen[2]} tensor operations for {2 * n} outputs, {seen[4]} for {4 * n}",
                "a loop over rows or columns: torch.func.jvp needs one pass")
    return None


COLUMNS = Exercise(
    name="jvp_without_matrix", minutes=8,
    returns=(lambda f, x, v: TensorSlot("J v", tuple(f(x).shape), "(m,)", x.dtype),),
    laws=(Law("it is not J v", _value),
          Law("f is called more than once", _once),
          Law("it is not linear in v", _linear),
          Law("the matrix is not avoided", _without_matrix)),
    passes="equals J v, linear in v, one call of f, no tensor of m·n numbers",
    hints=("J v is the directional derivative: how all outputs move when x moves along v. Which of the two, jvp or "
           "vjp, takes a direction in the *input*?",
           "torch.func.jvp(f, (x,), (v,)) takes tuples, because f may have several arguments.",
           "It returns two things, the value f(x) and the derivative J v. You want the second."),
    suspects=(
        Suspect("vjp instead of jvp: you computed vᵀJ, which mixes rows; J v mixes columns",
                lambda f, x, v: v @ exact(f, x)),
        Suspect("the value f(x) was returned: jvp gives (value, derivative)", lambda f, x, v: f(x)),
        Suspect("f(x + v) − f(x) was computed: a whole step; J v is the slope at x along v",
                lambda f, x, v: f(x + v) - f(x)),
        Suspect("v was scaled to length 1: J v grows with v", lambda f, x, v: jacfwd(f)(x) @ (v / v.norm())),
        Suspect("f(v) instead of J v: J is the linear map, f is not", lambda f, x, v: f(v)),
        Suspect("the derivative is taken at v in the direction x: x is the point, v the direction",
                lambda f, x, v: exact(f, v) @ x),
        Suspect("the columns were not summed: J v is a sum over inputs, J * v is still a matrix",
                lambda f, x, v: exact(f, x) * v),
        Suspect("the derivative along (1, …, 1), the sum of all columns: v was not used",
                lambda f, x, v: exact(f, x).sum(1)),
    ),
)
