"""Scores to draw from, and what right and wrong ways of drawing give: quantiles of many resampled AUROCs.

A bootstrap is random, so no law compares with one stored answer. ``nearest`` says which way of drawing an interval
looks like: the reference intervals come from many more draws than the learner's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import torch
from scipy import stats
from torch import Tensor

Scores = tuple[Tensor, Tensor]  # normal (N,), defective (M,)
DRAWS = 16_000                  # of the references


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
    parts = zip(normal.split(1000), defect.split(1000), strict=True)  # all at once would fill the memory
    return torch.cat([0.5 + 0.5 * torch.sign(d[:, :, None] - n[:, None, :]).mean((1, 2)) for n, d in parts])


def quantiles(values: Tensor, level: float = 0.95) -> Tensor:
    """``(2,)``: the ends of the middle share ``level``."""
    return values.quantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype))


FEW, MANY, HIGH = 5, 40, 0.6  # one class: 40 scores of 0; the other: 5, of which 3 lie on the better side
SIZES = {MANY: "as many of the one class were drawn as of the other", MANY + FEW: "a draw took as many as both classes "
         "together hold", FEW - 1: "one image too few was drawn", FEW + 1: "one image too many was drawn"}
SPREAD = ("the mean and a multiple of the standard deviation: near the end of the scale the draws are not symmetric. "
          "Take the quantiles 0.025 and 0.975")
ONE_URN = ("both classes were drawn from one urn, so that their sizes change from draw to draw: draw each class on its "
           "own")


def two_kinds(other: str) -> Scores:
    """Scores whose resampled AUROC is k / 5 with k ~ Bin(5, 0.6), if class ``other`` keeps its five images."""
    level, five = torch.zeros(MANY, dtype=torch.float64), torch.tensor([1.0, -1, 1, -1, 1], dtype=torch.float64)
    return (level, five) if other == "defective" else (-five, level)


@cache
def share_interval(size: int) -> tuple[float, float]:
    """The interval that holds 95 % of the shares k / size, k ~ Bin(size, 0.6)."""
    low, high = stats.binom(size, HIGH).ppf([0.025, 0.975]) / size
    return float(low), float(high)


def sizes_cause(low: float, high: float) -> str | None:
    """None if ``low`` and ``high`` are the ends for five images; else what their place says about the draws."""
    def at(ends) -> bool:
        return max(abs(low - ends[0]), abs(high - ends[1])) < 0.03

    if max(abs(low - share_interval(FEW)[0]), abs(high - share_interval(FEW)[1])) < 0.015:
        return None
    width = 1.96 * (HIGH * (1 - HIGH) / FEW) ** 0.5
    if at((HIGH - width, HIGH + width)) or at((HIGH - width, 1.0)):
        return SPREAD
    if low < 0.01 and high > 0.99:
        return ONE_URN
    return next((f"{cause}: draw N of N and M of M" for size, cause in SIZES.items() if at(share_interval(size))), "")


def nearest(found: tuple[float, float], ways: Mapping[str, Callable[[], Tensor]]) -> tuple[str, float]:
    """The way of drawing whose interval is nearest, and by how much: the larger distance of the two ends."""
    far = {name: float((torch.tensor(found, dtype=torch.float64) - way()).abs().max()) for name, way in ways.items()}
    name = min(far, key=far.get)
    return name, far[name]
