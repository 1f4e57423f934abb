"""What one returned value must be: a tensor of a shape, a number, or an object of a class."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutorial_lib.checks.findings import Finding, Stop

SEVERAL = ("the call returns several things (max(1): values, indices; jvp: value, derivative; autograd.grad: one per "
           "input). Take the one that is asked for")

LEFT = "some axes have not been reduced: one number is asked for, over all of them"
COMPLEX = "it is complex: the length of a complex number is .abs()"


@dataclass(frozen=True)
class Slot:
    """Anything at all; subclasses say more."""

    name: str

    def examine(self, value) -> None:
        """Raise ``Stop`` with a finding when ``value`` does not fit."""

    def of_any_dtype(self) -> Slot:
        """The same slot without its number type."""
        return self


@dataclass(frozen=True)
class TensorSlot(Slot):
    """A finite tensor of a shape. ``words`` spells the shape: ``"(B, d)"``. ``dtype`` is checked when given."""

    shape: tuple[int, ...]
    words: str = ""
    dtype: torch.dtype | None = None

    def of_any_dtype(self) -> Slot:
        return replace(self, dtype=None)

    def examine(self, value) -> None:
        if isinstance(value, tuple):
            raise Stop(Finding("type", f"{self.name} must be a torch tensor", f"found a tuple of {len(value)}",
                               SEVERAL))
        if not isinstance(value, Tensor):
            found = "a NumPy array" if type(value).__module__ == "numpy" else f"a {type(value).__name__}"
            raise Stop(Finding("type", f"{self.name} must be a torch tensor", f"found {found}",
                               "a call of .item(), .numpy() or float(), which also cuts the gradient, or a value "
                               "of another kind in its place"))
        if tuple(value.shape) != tuple(self.shape):
            expected = f"{self.words} = {tuple(self.shape)}" if self.words else f"{tuple(self.shape)}"
            raise Stop(Finding("shape", f"wrong shape of {self.name}",
                               f"found {tuple(value.shape)}, expected {expected}", self._shape_cause(value)))
        if self.dtype is not None and value.dtype != self.dtype:
            raise Stop(Finding("dtype", f"wrong number type of {self.name}",
                               f"found {value.dtype}, expected {self.dtype}, the type of the input",
                               "a new tensor that did not take the type of x (write x.new_zeros(len(x)) instead of "
                               "torch.zeros(len(x))), or a conversion such as .float()"))
        if not bool(torch.isfinite(value).all()):
            bad = int((~torch.isfinite(value)).sum())
            raise Stop(Finding("finite", f"{self.name} is not finite",
                               f"{bad} of {value.numel()} values are NaN or inf", "a logarithm of something negative "
                               "or zero, a division by zero, or exp of a large number"))

    def _shape_cause(self, value: Tensor) -> str:
        if len(self.shape) == 1 and value.ndim == 0:
            return "one number for the whole batch: every sample needs its own, so reduce the other axes only"
        if len(self.shape) == 0 and value.ndim >= 1:
            return "still one number per sample: the mean over the batch is missing"
        if value.ndim == len(self.shape) + 1 and tuple(value.shape[:-1]) == tuple(self.shape):
            return "the last axis was not reduced: a sum over it is missing"
        return ""


@dataclass(frozen=True)
class NumberSlot(Slot):
    """A finite real Python number, or a tensor that holds one. A gradient that it carries is no fault."""

    def examine(self, value) -> None:
        imaginary = isinstance(value, complex) or (isinstance(value, Tensor) and value.is_complex())
        try:
            number = float("") if imaginary else float(value.detach() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError):
            found = f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else \
                type(value).__name__
            cause = SEVERAL if isinstance(value, tuple) else COMPLEX if imaginary else \
                LEFT if isinstance(value, Tensor) and value.numel() > 1 else ""
            raise Stop(Finding("type", f"{self.name} must be one number", f"found {found}", cause)) from None
        if not math.isfinite(number):
            raise Stop(Finding("finite", f"{self.name} is not finite", f"found {number}"))


@dataclass(frozen=True)
class ObjectSlot(Slot):
    """An object of a class, such as ``torch.nn.Module``."""

    cls: type = object

    def examine(self, value) -> None:
        if not isinstance(value, self.cls):
            raise Stop(Finding("type", f"{self.name} must be a {self.cls.__name__}", f"found {type(value).__name__}"))
