"""A learned scale and shift per channel, as in FrEIA's AllInOneBlock: a cousin of ActNorm, ten times slower."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.flows.base import Transform, check_channels
from tutorial_lib.flows.mixing import positions

GAIN, BETA = 0.1, 0.5
START = math.log(math.exp(BETA / GAIN) - 1) / BETA  # q = 9.98648, where the scale is 1


class SoftplusScale(Transform):
    """z = g x + b with g = 0.1 softplus(q; beta 0.5) = 0.2 ln(1 + exp(q / 2)); log_det = H W sum ln g.

    It starts as the identity. There dg/dq = 0.0993, so an optimiser's step on q changes the scale a tenth as much
    as the same step on ActNorm's log_s. FrEIA 0.2, ``AllInOneBlock``, ``global_affine_type="SOFTPLUS"``.

    Args:
        channels: C of x, shape (B, C) or (B, C, H, W).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.dim = channels
        self.q = nn.Parameter(torch.full((channels,), START))
        self.b = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        g, b = self._like(x)
        return g * x + b, self._log_det(x)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        g, b = self._like(z)
        return (z - b) / g, -self._log_det(z)

    def scale(self) -> Tensor:
        """g, ``(C,)``, above 0."""
        return GAIN * F.softplus(self.q, beta=BETA)

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (x.dim() - 2))                                # (1, C) or (1, C, 1, 1)
        return self.scale().view(shape), self.b.view(shape)

    def _log_det(self, x: Tensor) -> Tensor:
        return (positions(x) * self.scale().log().sum()).expand(x.shape[0])
