"""Probe maps and small numeric tools that the laws of chapter 06 share. Everything is float64 unless said."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.checks.ch05.probes import normal, numeric_log_det


def maps(*shape: int, seed: int) -> Tensor:
    """Maps (B, C, H, W) whose channels have unlike means and spreads."""
    c = shape[1]
    scale = torch.linspace(0.4, 2.5, c, dtype=torch.float64).view(1, c, 1, 1)
    return scale * normal(*shape, seed=seed) + 3 * scale.flip(1) - 2


class Bounded(nn.Module):
    """An s/t network for maps, kernel 3, weights away from zero; s is bounded by 1.5 already, t is not."""

    def __init__(self, c_in: int, seed: int):
        super().__init__()
        self.conv = nn.Conv2d(c_in, 2 * c_in, 3, padding=1).double().requires_grad_(False)
        for k, p in enumerate(self.conv.parameters()):
            p.copy_(0.4 * normal(*p.shape, seed=seed + k))

    def forward(self, x: Tensor) -> Tensor:
        s, t = self.conv(x).chunk(2, dim=1)
        return torch.cat([1.5 * torch.tanh(s + 0.3), t], dim=1)


def map_log_det(function, x: Tensor) -> Tensor:
    """ln|det J| of each map of ``x`` (B, C, H, W), by nudging every entry."""

    def flat(v):
        z, log_det = function(v.view(len(v), *x.shape[1:]))
        return z.flatten(1), log_det

    return numeric_log_det(flat, x.flatten(1))
