"""Maps to probe with, and the sentence that says where two matrices differ. Everything is float64 unless said."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacfwd

from tutorial_lib.checks.slots import TensorSlot


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers from a named seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def quadratic(n: int, m: int, seed: int) -> Callable[[Tensor], Tensor]:
    """z_i = x·A_i x + b_i·x: central differences are exact for it, at any step. x: (n,), z: (m,)."""
    a, b = normal(m, n, n, seed=seed), normal(m, n, seed=seed + 1)
    return lambda x: torch.einsum("j,ijk,k->i", x, a.to(x), x) + b.to(x) @ x


def curved(n: int, m: int, seed: int) -> Callable[[Tensor], Tensor]:
    """z = sin(W x) + (V x)²/2, far from linear. x: (n,), z: (m,)."""
    w, v = normal(m, n, seed=seed), normal(m, n, seed=seed + 1)
    return lambda x: torch.sin(w.to(x) @ x) + 0.5 * (v.to(x) @ x).square()


def exact(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The Jacobian by forward differentiation, (m, n)."""
    return jacfwd(f)(x).detach()


def wrapped(x: Tensor) -> bool:
    """Whether a torch.func transform (jacrev, jvp, vmap, …) is at work on x; no public function of torch says so."""
    return torch._C._functorch.is_functorch_wrapped_tensor(x)


def matrix_slot(f: Callable, x: Tensor) -> TensorSlot:
    """J of f at x: as many rows as f has outputs, as many columns as x has entries."""
    return TensorSlot("J", (f(x).numel(), x.numel()), "(m, n)", x.dtype)


def entries_differ(found: Tensor, expected: Tensor, atol: float, of: str) -> str | None:
    """The sentence for "where" when two matrices differ by more than ``atol`` (float32: than its rounding)."""
    found, expected = found.detach(), expected.detach()
    if found.dtype == torch.float32:
        atol = max(atol, 1e-4 * max(1.0, float(expected.abs().max())))
    gap = (found.double() - expected.double()).abs()
    if float(gap.max()) <= atol:
        return None
    row, column = divmod(int(gap.argmax()), gap.shape[1])
    return (f"row {row}, column {column}: found {float(found[row, column]):.4f}, {of} is "
            f"{float(expected[row, column]):.4f}")
