"""Laws that every density fulfils, for the checks of chapter 04: never negative, integral 1, counts as in a histogram.

All in float64. ``function`` is a density on the line: (B,) -> (B,).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.checks.slots import TensorSlot

ROOT_2PI = math.sqrt(2 * math.pi)


def per_sample(name: str) -> Callable[..., TensorSlot]:
    """The slot of a result with one number per row of the last argument."""
    return lambda *args: TensorSlot(name, args[-1].shape[:1], "(B,)", args[-1].dtype)


def normal_density(z: Tensor) -> Tensor:
    """The standard normal density."""
    return torch.exp(-0.5 * z.square()) / ROOT_2PI


def negative(function: Callable, x: Tensor) -> str | None:
    """Where the density is below zero, or None."""
    p = function(x).detach()
    k = int(p.argmin())
    return f"at x = {float(x[k]):.2f} it is {float(p[k]):.3f}" if float(p[k]) < 0 else None


def not_one(function: Callable, x: Tensor, over: str, atol: float = 1e-3) -> str | None:
    """What the density integrates to over the increasing points ``x`` (B,), when that is not 1."""
    total = float(torch.trapezoid(function(x).detach(), x))
    return None if abs(total - 1) <= atol else f"the integral over {over} is {total:.3f}, it must be 1"


def off_the_histogram(function: Callable, samples: Tensor, edges: Tensor, fine: int = 41) -> str | None:
    """The worst bin when a count is more than three standard errors from what the density says, else None."""
    low, high = edges[:-1, None], edges[1:, None]
    x = low + (high - low) * torch.linspace(0, 1, fine, dtype=edges.dtype)             # (bins, fine)
    mass = torch.trapezoid(function(x.reshape(-1)).detach().view_as(x), x)             # (bins,)
    count, n = torch.histogram(samples, edges).hist, len(samples)
    errors = (count - n * mass).abs() / (n * mass * (1 - mass)).clamp(min=1).sqrt()
    k = int(errors.argmax())
    return None if float(errors[k]) <= 3 else (
        f"between {float(edges[k]):.2f} and {float(edges[k + 1]):.2f} lie {int(count[k])} of {n} samples, your "
        f"density says {n * float(mass[k]):.0f}")
