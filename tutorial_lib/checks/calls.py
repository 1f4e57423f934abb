"""Calls a learner's function safely: copies in, problems named, results kept for the diagnosis."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tutorial_lib.checks.findings import Finding, Stop, stumbled_at
from tutorial_lib.checks.slots import Slot

SEED = 20_210  # every call starts from this state of the random generator, so that suspects can repeat the draw


class Call:
    """A learner's function under guard. Call it like the function; it raises ``Stop`` when the call goes wrong.

    Args:
        name: name of the function, for messages.
        function: what the learner wrote.
        returns: given the arguments of a call, the slots that describe its result (one slot or a tuple).
    """

    def __init__(self, name: str, function: Callable, returns: Callable[..., Slot | tuple[Slot, ...]] | None = None):
        self.name, self.function, self.returns = name, function, returns
        self.log: list[tuple[tuple, object]] = []  # (arguments, result) of every call so far
        self.any_dtype = False  # True: a result of another number type is accepted

    def __call__(self, *args):
        sent = copied(args)
        self._accepts(sent)
        torch.manual_seed(SEED)
        try:
            result = self.function(*sent)
        except NotImplementedError as error:
            raise Stop(Finding("blank", "nothing to check yet", *still_blank(error, self.function))) from None
        except (Exception, SystemExit) as error:
            message = str(error).strip().split("\n")[0][:160]
            raise Stop(Finding("error", f"your code raised {type(error).__name__}: {message or 'no message'}",
                               stumbled_at(error, self.function), cause_of(message))) from None
        if not same(sent, args, rtol=0.0):
            raise Stop(Finding("in place", "an argument was changed in place", "an input differs after the call",
                               "an operation such as x += …, x[:, :2] = … or layers.reverse(): make something new "
                               "instead"))
        self.log.append((copied(args), detached(result)))
        self._fits(result, args)
        return result

    def _accepts(self, args: tuple) -> None:
        try:
            inspect.signature(self.function).bind(*args)
        except TypeError as error:
            raise Stop(Finding("arguments", f"it was called with {len(args)} arguments and cannot take them",
                               f"its signature is {self.name}{inspect.signature(self.function)}: {error}",
                               "keep the signature of the exercise, names and order included")) from None
        except ValueError:  # some built-in functions have no signature to ask for
            return

    def _fits(self, result, args: tuple) -> None:
        if result is None or result is Ellipsis or result is NotImplemented:
            raise Stop(Finding("blank", f"it returned {result}", "the call came back without a value",
                               "a missing return line, or a `...` still in place"))
        if self.returns is None:
            return
        slots = self.returns(*args)
        if isinstance(slots, Slot):
            slots, result = (slots,), (result,)
        elif not isinstance(result, tuple | list) or len(result) != len(slots):
            got = f"{len(result)} values" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
            raise Stop(Finding("type", "it must return " + ", ".join(s.name for s in slots), f"it returned {got}",
                               "end with `return " + ", ".join(s.name for s in slots) + "`"))
        for slot, value in zip(slots, result, strict=True):
            (slot.of_any_dtype() if self.any_dtype else slot).examine(value)


def cause_of(message: str) -> str:
    """The usual cause of an error that torch words in its own way, or nothing."""
    if "AX=B" in message or "solve_triangular" in message:
        return "solve_triangular wants one column per sample: hand it the transpose, and transpose what it returns"
    if "mean()" in message and "Got:" in message:
        return "a mean of True/False or of whole numbers needs decimals: .float() or .double() first"
    if "recursion depth" in message:
        return ("Python stops after about a thousand calls inside one another, and a region may have many more pixels: "
                "keep the pixels to visit in a list, and loop while it is not empty")
    if "out of range" in message or "out of bounds" in message:
        return "n entries have the numbers 0 to n − 1; try your code with the smallest case by hand"
    if "dtype" in message or "expected scalar type" in message:
        return ("a new tensor is float32 unless you say otherwise, and the check sends float64: x.new_zeros(...) or "
                "dtype=x.dtype takes the type of x")
    if "backward through the graph a second time" in message:
        return "the graph is freed after the first gradient: retain_graph=True keeps it for the next one"
    if "does not require grad" in message:
        return "autograd was never asked to follow: copy = x.clone().requires_grad_(), and compute from the copy"
    if "must be batches of square matrices" in message:
        return "eigenvectors exist for square matrices only, and this one is not square"
    return ""


def copied(value):
    """A copy in which every tensor is cloned; other objects are passed on as they are."""
    if isinstance(value, Tensor):
        return value.clone()
    if type(value) in (list, tuple):
        return type(value)(copied(v) for v in value)
    return value


def detached(value):
    """A copy cut off from autograd, so that a later change cannot reach it."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(detached(v) for v in value)
    return value


def same(a, b, rtol: float = 1e-4) -> bool:
    """Whether two results agree: same nesting, same shapes, values within ``rtol`` of the largest magnitude."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape:
            return False
        a, b = a.detach().double(), b.detach().double()
        if rtol == 0.0:
            return bool(((a == b) | (a.isnan() & b.isnan())).all())
        scale = float(b[b.isfinite()].abs().max()) if bool(b.isfinite().any()) else 1.0
        return torch.allclose(a, b, rtol=0.0, atol=rtol * max(scale, 1e-12), equal_nan=True)
    if isinstance(a, Tensor) != isinstance(b, Tensor):  # one number, once in a tensor and once without
        a, b = (v.item() if isinstance(v, Tensor) and v.ndim == 0 else v for v in (a, b))
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(same(x, y, rtol) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b or abs(a - b) <= rtol * max(abs(b), 1e-12)
    return a is b or (isinstance(a, str) and a == b)


def still_blank(error: NotImplementedError, asked: Callable) -> tuple[str, str]:
    """Where the ``raise`` stands and what to do: in the function that was asked for, or in one that it calls."""
    step = error.__traceback__
    while step.tb_next:
        step = step.tb_next
    code = step.tb_frame.f_code
    if getattr(asked, "__code__", code) is code:
        return "it stops at `raise NotImplementedError`", "replace the TODO lines with your code"
    return (f"it calls {code.co_name}, which stops at `raise NotImplementedError`",
            f"{code.co_name} is still blank: write that one first")
