"""Scores to draw from, and what right and wrong ways of drawing give: quantiles of many resampled AUROCs.

A bootstrap is random, so no law compares with one stored answer. ``nearest`` says which way of drawing an interval
looks like: the reference intervals come from many more draws than the learner's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Scores = tuple[Tensor, Tensor]  # normal (N,), defective (M,)
DRAWS = 4000                    # of the references


def auroc(normal: Tensor, defect: Tensor) -> float:
    """Share of pairs in which the defective score lies above the normal one; a tie counts one half."""
    return 0.5 + 0.5 * float(torch.sign(defect[:, None] - normal).mean())


def scores(n: int, m: int, shift: float, seed: int) -> Scores:
    """Normal scores ``(n,)`` and defective ones ``(m,)`` that lie ``shift`` standard deviations higher."""
    draw = torch.Generator().manual_seed(seed)
    return (torch.randn(n, generator=draw, dtype=torch.float64),
            torch.randn(m, generator=draw, dtype=torch.float64) + shift)


def alike(pair: Scores, noise: float, shift: float, seed: int) -> Scores:
    """What another method gives to the same images: the same scores, disturbed and shifted apart."""
    draw = torch.Generator().manual_seed(seed)
    normal, defect = (x + noise * torch.randn(x.shape, generator=draw, dtype=x.dtype) for x in pair)
    return normal, defect + shift


def indices(n: int, size: int, draw: torch.Generator) -> Tensor:
    """``(n, size)`` draws with replacement."""
    return torch.randint(size, (n, size), generator=draw)


def batch_auroc(normal: Tensor, defect: Tensor) -> Tensor:
    """AUROC of each row of ``(n, N)`` and ``(n, M)``: ``(n,)``."""
    return 0.5 + 0.5 * torch.sign(defect[:, :, None] - normal[:, None, :]).mean((1, 2))


def quantiles(values: Tensor, level: float = 0.95) -> Tensor:
    """``(2,)``: the ends of the middle share ``level``."""
    return values.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype))


def nearest(found: tuple[float, float], ways: Mapping[str, Callable[[], Tensor]]) -> tuple[str, float]:
    """The way of drawing whose interval is nearest, and by how much: the larger distance of the two ends."""
    far = {name: float((torch.tensor(found, dtype=torch.float64) - way()).abs().max()) for name, way in ways.items()}
    name = min(far, key=far.get)
    return name, far[name]
