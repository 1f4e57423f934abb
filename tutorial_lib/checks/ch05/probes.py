"""Probe inputs and small numeric tools that the laws of chapter 05 share. Everything is float64 unless said."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

ALPHA = 1.9


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers from a named seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def network(c_in: int, c_out: int, seed: int, gain: float = 1.5) -> nn.Module:
    """A frozen s/t network with weights well away from zero, so that a wrong sign or a lost term shows."""
    net = nn.Sequential(nn.Linear(c_in, 16), nn.Tanh(), nn.Linear(16, c_out)).double().requires_grad_(False)
    for k, p in enumerate(net.parameters()):
        p.copy_(gain * normal(*p.shape, seed=seed + k) / math.sqrt(p.shape[-1]))
    return net


def clamp(s: Tensor, alpha: float) -> Tensor:
    """The soft clamp of the chapter: (2 alpha / pi) atan(s / alpha)."""
    return 2 * alpha / math.pi * torch.atan(s / alpha)


def numeric_log_det(function, x: Tensor, h: float = 1e-5) -> Tensor:
    """ln|det J| at each row of ``x`` (B, d) by central differences: works whatever the function does inside."""
    rows, d = x.shape
    columns = []
    for j in range(d):
        step = torch.zeros(d, dtype=x.dtype)
        step[j] = h
        columns.append((function(x + step)[0] - function(x - step)[0]).detach() / (2 * h))
    jacobian = torch.stack(columns, dim=-1).reshape(rows, d, d)  # (B, output, input)
    return torch.linalg.slogdet(jacobian).logabsdet


def worst(a: Tensor, b: Tensor) -> tuple[float, int]:
    """Largest difference of two tensors, and the row in which it occurs."""
    gap = (a.detach() - b.detach()).abs().reshape(a.shape[0], -1).amax(1)
    return float(gap.max()), int(gap.argmax())


def differ(name: str, found: Tensor, expected: Tensor, atol: float, of: str) -> str | None:
    """The sentence for "where" when two results (B, …) differ by more than ``atol`` (float32: than its
    rounding); None when they agree."""
    if torch.float32 in (found.dtype, expected.dtype):
        atol = max(atol, 1e-4 * max(1.0, float(expected.detach().abs().max())))
    gap, row = worst(found, expected)
    if gap <= atol:
        return None
    if found.ndim == 1:
        return f"sample {row}: {name} is {float(found[row]):.4f}, {of} is {float(expected[row]):.4f}"
    return f"sample {row}: {name} is off by {gap:.3g} from {of}"
