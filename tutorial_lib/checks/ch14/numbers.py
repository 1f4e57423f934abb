"""What a finding returns: whole numbers that were read off."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import Slot


@dataclass(frozen=True)
class Whole(Slot):
    """A whole number from ``low`` to ``high``, as an int, a float without a fraction, or a tensor that holds one."""

    low: int = 0
    high: int = 0

    def examine(self, value) -> None:
        if isinstance(value, str):
            raise Stop(Finding("type", f"{self.name} must be a whole number", f"found the text {value!r}",
                               "the name of an image instead of its number: the number stands in the field 'image "
                               "number' of the explorer, and in the first column of the tables"))
        number = whole(value)
        if number is None:
            raise Stop(Finding("type", f"{self.name} must be a whole number", f"found {_short(value)}"))
        if not self.low <= number <= self.high:
            raise Stop(Finding("type", f"{self.name} must lie between {self.low} and {self.high}", f"found {number}"))


@dataclass(frozen=True)
class Wholes(Slot):
    """A list of different whole numbers; it may be empty."""

    high: int = 0

    def examine(self, value) -> None:
        if isinstance(value, Tensor) and value.ndim == 1:
            value = value.tolist()
        if not isinstance(value, list | tuple | set):
            raise Stop(Finding("type", f"{self.name} must be a list of image numbers", f"found {_short(value)}",
                               "one number without brackets: write [number], or [] for none" if whole(value) is not None
                               else "a count, or words: write the numbers in brackets, [] for none"))
        for one in value:
            Whole(f"each of {self.name}", 0, self.high).examine(one)
        if len({whole(one) for one in value}) < len(value):
            raise Stop(Finding("type", f"{self.name} names an image twice", f"found {list(value)}"))


def whole(value) -> int | None:
    """The whole number that ``value`` is, or None."""
    try:
        number = float(value.detach() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return int(number) if math.isfinite(number) and number == int(number) else None


def _short(value) -> str:
    return f"{type(value).__name__} {str(value)[:40]}"
