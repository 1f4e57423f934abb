"""One step of a flow on pictures, as in Glow: set the scale, mix the channels, couple them."""

from __future__ import annotations

from tutorial_lib.flows.actnorm import ActNorm
from tutorial_lib.flows.base import Chain
from tutorial_lib.flows.coupling import AffineCoupling, Clamp
from tutorial_lib.flows.subnets import SubnetMaker
from tutorial_lib.flows.triangular import Invertible1x1


def glow_step(channels: int, subnet: SubnetMaker, clamp: Clamp, seed: int) -> Chain:
    """ActNorm, invertible 1 x 1, one-sided coupling (Glow, 2018, arXiv 1807.03039, figure 2a): (B, C, H, W) both ways.

    Args:
        channels: C, at least 2.
        subnet: maker of the s/t network, such as ``flows.conv(64, zero_last=True)``.
        clamp: bounds the log-scale; see ``flows.clamps``.
        seed: of the rotation with which the 1 x 1 begins; give every step another one.

    Raises:
        ValueError: if ``channels`` is below 2.
    """
    return Chain(ActNorm(channels), Invertible1x1(channels, seed), AffineCoupling(channels, subnet, clamp))
