"""The block of FrEIA that CFlow-AD is made of, from the parts of this package.

    coupling (s and t multiplied by 0.1)  ->  learned scale and shift per channel  ->  fixed mixing of the channels

FrEIA's AllInOneBlock (github.com/vislearn/FrEIA) in the form that its authors used, before its clamp changed in 2023:
s = alpha tanh(0.1 a), t = 0.1 b, where (a, b) is what the network returns.
"""

from __future__ import annotations

from torch import Tensor, nn

from tutorial_lib.flows.base import Transform
from tutorial_lib.flows.channel_scale import SoftplusScale
from tutorial_lib.flows.clamps import TanhClamp
from tutorial_lib.flows.coupling import AffineCoupling
from tutorial_lib.flows.subnets import SubnetMaker

DAMPING = 0.1


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
    return [coupling, SoftplusScale(dim), *([] if mixing is None else [mixing])]
