"""Probe matrices and small tools that the laws of chapter 03 share. Everything is float64 unless said."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def matrix(n: int, m: int | None = None, *, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal entries from a named seed, (n, m), or (n, n) without m."""
    return torch.randn(n, m or n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def log_abs_det(m: Tensor) -> Tensor:
    """ln|det m| as the library has it, ()."""
    return torch.linalg.slogdet(m).logabsdet


def apart(name: str, found: Tensor, expected: Tensor, of: str, rtol: float = 1e-9) -> str | None:
    """The sentence for "where" when two numbers differ, None when they agree. float32 may differ by its rounding."""
    if torch.float32 in (found.dtype, expected.dtype):
        rtol = max(rtol, 1e-4)
    gap = abs(float(found) - float(expected))
    return None if gap <= rtol * max(1.0, abs(float(expected))) else (
        f"{name} is {float(found):.4f}, {of} is {float(expected):.4f}")


def compare(name: str, calls: list[tuple[str, Tensor, Tensor]], of: str, rtol: float = 1e-9) -> str | None:
    """The first of ``(where, found, expected)`` that differs, in words. Every call is made before the first is judged,
    so that suspects are compared on all of them."""
    return next((text for where, found, expected in calls
                 if (text := apart(f"{where}: {name}", found, expected, of, rtol))), None)


class Watch(TorchFunctionMode):
    """Notes which torch functions are called, and the shapes of the tensors that they return.

    Calls of the learner's code only: enter it around one call.
    """

    def __init__(self):
        super().__init__()
        self.names: list[str] = []
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.names.append(getattr(func, "__name__", ""))
        if isinstance(result, Tensor):
            self.shapes.add(tuple(result.shape))
        return result


def left_to_torch(run: Callable[[], object], names: set[str], instead: str) -> tuple[str, str] | None:
    """Where and why when ``run`` calls one of torch's functions ``names``, under torch.linalg or not; else None."""
    with Watch() as seen:
        run()
    used = sorted(names & {name.split("linalg_")[-1] for name in seen.names})
    return (f"torch's {used[0]} was called", f"it answers the exercise for you: {instead}") if used else None
