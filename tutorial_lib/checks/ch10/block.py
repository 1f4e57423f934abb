"""A two-sided block for three scales, small enough to read, with the gammas that hide a wrong inverse."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.checks.ch10.probes import CrossScale, Maps, half
from tutorial_lib.flows.cross_scale_coupling import stretch, sum_log_det


def halves(maps: Maps) -> tuple[Maps, Maps]:
    """First and second half of the channels at every scale."""
    return half(maps, False), half(maps, True)


def joined(first: Maps, second: Maps) -> Maps:
    """Undo ``halves``."""
    return tuple(torch.cat(pair, dim=1) for pair in zip(first, second, strict=True))


def total(*log_scales: Maps) -> Tensor:
    """The sum of all numbers of all scales of all arguments, per sample: (B,)."""
    return sum(sum_log_det(maps) for maps in log_scales)


class _Network(nn.Module):
    """Halves of all scales to (s, t), each one map per scale; everything is multiplied by gamma, one per scale."""

    def __init__(self, c: int, gammas: tuple[float, ...], seed: int):
        super().__init__()
        self.net, self.gammas = CrossScale(c, seed), gammas

    def forward(self, maps: Maps) -> tuple[Maps, Maps]:
        out = [g * m for g, m in zip(self.gammas, self.net(maps), strict=True)]
        return tuple(m.chunk(2, 1)[0] for m in out), tuple(m.chunk(2, 1)[1] for m in out)


class Block(nn.Module):
    """A CS-Flow block in miniature: ``a`` reads the second halves and changes the first, ``b`` the other way round.

    ``block.a(maps)`` and ``block.b(maps)`` give ``(s, t)``, each a tuple with one map per scale; s is clamped already.

    Args:
        gammas: one number per scale that multiplies s and t; 0 is the start of a training, where nothing is coupled.
        c: channels of one half.
    """

    def __init__(self, gammas: tuple[float, float, float] = (0.0, 0.0, 0.0), c: int = 1):
        super().__init__()
        self.a, self.b = _Network(c, tuple(gammas), seed=51), _Network(c, tuple(gammas), seed=52)

    def forward(self, xs: Maps) -> tuple[Maps, Tensor]:
        """All scales (B, 2c, h_i, w_i) to ``(zs, log_det)``."""
        x1, x2 = halves(xs)
        s_a, t_a = self.a(x2)
        z1 = stretch(x1, s_a, t_a)
        s_b, t_b = self.b(z1)
        z2 = stretch(x2, s_b, t_b)
        return joined(z1, z2), total(s_a, s_b)
