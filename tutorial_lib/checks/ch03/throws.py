"""What the laws about a counted area share: matrices to ask about, the box around an image, a known wrong count."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.checks.ch03.probes import matrix

N, MATRICES = 4000, 20


def probes() -> list[Tensor]:
    """Twenty matrices (2, 2), both signs, both columns of every direction, none near singular."""
    found, seed = [], 300
    while len(found) < MATRICES:
        j, seed = 2 * matrix(2, seed=seed), seed + 1
        if 1.0 < float(torch.linalg.det(j).abs()) < 12 and float(j.abs().min()) > 0.2:
            found.append(j)
    return found


def ask(call, j: Tensor, n: int = N) -> tuple[float, float]:
    """Area and standard error that the learner's function gives, as numbers."""
    area, error = call(j, n)
    return float(area), float(error)


def size(j: Tensor) -> float:
    """|det j|."""
    return float(torch.linalg.det(j).abs())


def box(j: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest corner and side lengths of the box around the parallelogram, (2,) each."""
    corners = torch.stack([torch.zeros_like(j[:, 0]), j[:, 0], j[:, 1], j.sum(1)])
    return corners.amin(0), corners.amax(0) - corners.amin(0)


def transposed(j: Tensor, n: int = 20_000) -> float:
    """The area that a count in the box of j finds when x @ j⁻¹ stands where x @ j⁻¹ᵀ is due."""
    low, side = box(j)
    x = low + side * torch.rand(n, 2, generator=torch.Generator().manual_seed(7), dtype=j.dtype)
    u = x @ torch.linalg.inv(j)
    return float(side.prod() * ((u >= 0) & (u <= 1)).all(1).double().mean())
