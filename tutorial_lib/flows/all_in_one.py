"""The block of FrEIA that CFlow-AD and FastFlow are made of, from the parts of this package.

    coupling (s and t multiplied by 0.1)  ->  learned scale and shift per channel  ->  fixed mixing of the channels

FrEIA's AllInOneBlock (github.com/vislearn/FrEIA) in the form that those papers used, before its clamp changed in 2023:
s = alpha tanh(0.1 a), t = 0.1 b, where (a, b) is what the network returns.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.flows.base import Transform, check_channels
from tutorial_lib.flows.clamps import TanhClamp
from tutorial_lib.flows.coupling import AffineCoupling
from tutorial_lib.flows.mixing import positions
from tutorial_lib.flows.subnets import SubnetMaker

DAMPING = 0.1


class SoftplusAffine(Transform):
    """A learned scale and shift per channel: z = g x + b, log_det = H W sum ln g, with g = 0.1 softplus(q, beta 0.5).

    q starts at 2 ln(e^5 - 1) = 9.98648, so that g = 1; b starts at 0. g grows like q / 10 where it is large and cannot
    become negative. On (B, C) the log_det counts once, on (B, C, H, W) once per position.

    Args:
        dim: number of channels.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.q = nn.Parameter(torch.full((dim,), 2 * math.log(math.exp(5) - 1)))
        self.b = nn.Parameter(torch.zeros(dim))

    @property
    def g(self) -> Tensor:
        """The scale of each channel, ``(dim,)``."""
        return 0.1 * F.softplus(self.q, beta=0.5)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        g, b = self._per_channel(x)
        return x * g + b, self._log_det(x)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        g, b = self._per_channel(z)
        return (z - b) / g, -self._log_det(z)

    def _per_channel(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (x.dim() - 2))
        return self.g.view(shape), self.b.view(shape)

    def _log_det(self, x: Tensor) -> Tensor:
        return (positions(x) * self.g.log().sum()).expand(x.shape[0])


class Damped(nn.Sequential):
    """A network whose output is multiplied by 0.1."""

    def forward(self, x: Tensor) -> Tensor:
        return DAMPING * super().forward(x)


def damped(subnet: SubnetMaker) -> SubnetMaker:
    """The same maker with the output of each network multiplied by 0.1: smaller first steps, same functions."""
    return lambda c_in, c_out: Damped(*subnet(c_in, c_out))


def all_in_one(dim: int, subnet: SubnetMaker, alpha: float = 1.9, cond_dim: int = 0,
               mixing: Transform | None = None) -> list[Transform]:
    """Coupling, scale and shift, and (if one is given) the mixing: the transforms of one block, in order.

    Args:
        dim: channels. subnet: maker of the s/t network, an ``nn.Sequential``; see ``flows.dense`` and ``flows.conv``.
        alpha: bound of the log-scale. cond_dim: channels of the condition, 0 for none.
        mixing: a ``Rotation`` ("soft permutation") or a ``Permutation``.
    """
    coupling = AffineCoupling(dim, damped(subnet), TanhClamp(alpha), cond_dim=cond_dim)
    return [coupling, SoftplusAffine(dim), *([] if mixing is None else [mixing])]
