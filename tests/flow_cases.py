"""One table of every transform of ``tutorial_lib.flows``, with its weights moved away from where they start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tutorial_lib import flows
from tutorial_lib.flows import AtanClamp, TanhClamp, conv, dense


@dataclass(frozen=True)
class Case:
    """``make(channels, seed)`` gives a transform; ``shapes`` says whether it takes vectors, maps or both."""

    name: str
    make: Callable[[int, int], nn.Module]
    shapes: tuple[str, ...]
    cond: int = 0

    def build(self, channels: int, seed: int) -> nn.Module:
        """The transform with random weights, none of them special; the global random state is left alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            transform = self.make(channels, seed)
            with torch.no_grad():
                for p in transform.parameters():
                    p.add_(0.3 * torch.randn_like(p))
                for module in transform.modules():
                    if isinstance(module, flows.Whitening):
                        module.fit(torch.randn(50, module.dim) @ torch.randn(module.dim, module.dim) + 1)
                    if isinstance(module, flows.ActNorm):
                        module.initialised.fill_(True)
        return transform


VECTOR, MAP = ("vector",), ("map",)
CLAMP = AtanClamp(1.9)


def _mixed(c: int, seed: int) -> nn.Module:
    return flows.Chain(flows.ActNorm(c), flows.Invertible1x1(c, seed), flows.AffineCoupling(c, dense(8), CLAMP),
                       flows.Permutation(c, seed + 1), flows.TwoSidedCoupling(c, dense(8), CLAMP),
                       flows.Rotation(c, seed + 2))


def _pyramid(c: int, seed: int) -> nn.Module:
    return flows.Chain(flows.Squeeze(), flows.Invertible1x1(4 * c, seed),
                       flows.AffineCoupling(4 * c, conv(4), CLAMP, swap=True))


CASES = {case.name: case for case in (
    Case("whitening", lambda c, k: flows.Whitening(c), VECTOR + MAP),
    Case("coupling", lambda c, k: flows.AffineCoupling(c, dense(8), CLAMP), VECTOR),
    Case("coupling swapped", lambda c, k: flows.AffineCoupling(c, dense(8), CLAMP, swap=True), VECTOR),
    Case("coupling conv", lambda c, k: flows.AffineCoupling(c, conv(4), TanhClamp(1.5)), MAP),
    Case("coupling with condition", lambda c, k: flows.AffineCoupling(c, dense(8), CLAMP, cond_dim=3), VECTOR, cond=3),
    Case("two-sided", lambda c, k: flows.TwoSidedCoupling(c, dense(8), CLAMP), VECTOR),
    Case("two-sided conv with condition", lambda c, k: flows.TwoSidedCoupling(c, conv(4), CLAMP, cond_dim=2), MAP,
         cond=2),
    Case("permutation", flows.Permutation, VECTOR + MAP),
    Case("rotation", flows.Rotation, VECTOR + MAP),
    Case("invertible 1x1", flows.Invertible1x1, VECTOR + MAP),
    Case("actnorm", lambda c, k: flows.ActNorm(c), VECTOR + MAP),
    Case("softplus scale", lambda c, k: flows.SoftplusScale(c), VECTOR + MAP),
    Case("squeeze", lambda c, k: flows.Squeeze(), MAP),
    Case("chain of six", _mixed, VECTOR),
    Case("squeeze, 1x1, coupling", _pyramid, MAP),
)}


def points(kind: str, channels: int, batch: int, side: int, seed: int) -> Tensor:
    """Test points in float64: (B, C) or (B, C, side, 2)."""
    shape = (batch, channels) if kind == "vector" else (batch, channels, side, 2)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def condition(x: Tensor, cond: int) -> Tensor | None:
    """A condition that fits ``x``, or None."""
    if not cond:
        return None
    return torch.randn(len(x), cond, *x.shape[2:], generator=torch.Generator().manual_seed(7), dtype=x.dtype)
