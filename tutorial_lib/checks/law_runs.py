"""Call a transform under test and turn whatever goes wrong into a ``Broken`` law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Broken:
    """One broken law: which, where, the likely cause, and the numbers that show it."""

    law: str
    where: str
    cause: str
    numbers: str = ""

    def __str__(self) -> str:
        shown = f" ({self.numbers})" if self.numbers else ""
        return f"{self.law}. Where: {self.where}{shown}. Likely cause: {self.cause}."


class LawBroken(Exception):
    """Ends one law. ``fatal`` ends the check: nothing after it would make sense."""

    def __init__(self, law: str, where: str, cause: str, numbers: str = "", fatal: bool = False):
        super().__init__(law)
        self.broken, self.fatal = Broken(law, where, cause, numbers), fatal


def run(function: Callable, x: Tensor, cond: Tensor | None, where: str) -> tuple[Tensor, Tensor]:
    """``function(x)`` as a pair of finite tensors, or ``LawBroken``. The shape of log_det is judged elsewhere."""
    before = x.detach().clone()
    try:
        result = function(x) if cond is None else function(x, cond)
    except Exception as error:
        raise LawBroken("it runs", where, _cause_of_error(error, x), fatal=True) from None
    if not torch.equal(x.detach(), before):
        raise LawBroken("the input stays as it was", where, "it was changed in place: write to a new tensor",
                        fatal=True)
    if not isinstance(result, tuple | list) or len(result) != 2:
        found = f"{len(result)} values" if isinstance(result, tuple | list) else f"one {type(result).__name__}"
        raise LawBroken("it returns a pair (tensor, log_det)", where, f"it returned {found}", fatal=True)
    for name, value in zip(("the first value", "log_det"), result, strict=True):
        if not isinstance(value, Tensor):
            raise LawBroken("it returns a pair (tensor, log_det)", where,
                            f"{name} is a {type(value).__name__}, not a tensor", fatal=True)
        if value.dtype != x.dtype:
            raise LawBroken("the result has the dtype of the input", where,
                            f"{name} is {value.dtype} for an input of {x.dtype}: a cast, or a tensor made inside "
                            "without dtype=", fatal=True)
    _fits(result[0], x, where)
    for name, value in zip(("the first value", "log_det"), result, strict=True):
        if not value.isfinite().all():
            raise LawBroken("everything is finite", f"{where}, {name}", "NaN or infinity: the logarithm or root of a "
                            "negative number, a division by zero, or exp of a large number without a clamp", fatal=True)
    return result[0], result[1]


def row_jacobians(z: Tensor, x: Tensor) -> Tensor | None:
    """dz/dx of each row, (B, D, D), by one backward pass per entry of z; None if autograd sees no way from x to z.

    The sum over the batch before each pass is exact where rows do not influence each other (a law of its own).
    """
    if not z.requires_grad:
        return None
    rows = [torch.autograd.grad(entry.sum(), x, retain_graph=True, allow_unused=True)[0] for entry in z.flatten(1).T]
    return torch.stack([torch.zeros_like(x) if r is None else r for r in rows], 1).flatten(2)


def _fits(z: Tensor, x: Tensor, where: str) -> None:
    if z.dim() < 1 or len(z) != len(x) or z.numel() != x.numel():
        raise LawBroken("as many values out as in, row by row", where,
                        f"it returned shape {tuple(z.shape)} for an input of shape {tuple(x.shape)}; a map that "
                        "loses or adds values cannot be undone", fatal=True)


def _cause_of_error(error: Exception, x: Tensor) -> str:
    text = str(error).strip().split("\n")[0][:200]
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, NotImplementedError):
        return "nothing written yet (NotImplementedError)"
    if "in-place" in text:
        return f"the input was changed in place ({message})"
    if "dtype" in text or "scalar type" in text:
        return f"weights or constants of another dtype than the input, which is {x.dtype} here ({message})"
    if len(x) == 1:
        return f"it cannot take a batch of one row: .squeeze() drops that axis too ({message})"
    return message
