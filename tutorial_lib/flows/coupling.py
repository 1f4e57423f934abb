"""Affine coupling: one part of the channels passes, and decides how the other part is stretched and moved.

    z1 = x1
    z2 = x2 * exp(c(s(x1))) + t(x1)          log_det = sum over the changed entries of c(s(x1))

The Jacobian is triangular, so only its diagonal counts; the inverse needs s and t of x1 again, never their inverse.
RealNVP (2016, arXiv 1605.08803, equations 4 to 8); s and t from one network, one pass, as in Glow (arXiv 1807.03039).

With an odd number of channels C, the first part has C - C // 2 of them (one more than the second).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.flows.base import Transform, check_channels
from tutorial_lib.flows.subnets import SubnetMaker

Clamp = Callable[[Tensor], Tensor]


class _ScaleShift(nn.Module):
    """Reads one part of the channels (and the condition), returns log-scale and shift for the other part."""

    def __init__(self, c_in: int, c_out: int, cond_dim: int, subnet: SubnetMaker, clamp: Clamp):
        super().__init__()
        self.c_out, self.cond_dim, self.clamp = c_out, cond_dim, clamp
        self.net = subnet(c_in + cond_dim, 2 * c_out)

    def forward(self, x: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor]:
        out = self.net(_with_condition(x, cond, self.cond_dim))
        expected = (x.shape[0], 2 * self.c_out, *x.shape[2:])
        if out.shape != expected:        # chunk and broadcasting would hide it
            raise ValueError(f"The subnet returned a tensor of shape {tuple(out.shape)}. Expected {expected}: "
                             f"s and t for {self.c_out} channels. Build it as subnet(c_in, c_out), keeping H and W.")
        s, t = out.chunk(2, dim=1)       # (B, c_out, ...) each
        return self.clamp(s), t


class AffineCoupling(Transform):
    """One-sided coupling: the first part passes, the second is changed; ``swap`` exchanges the roles.

    Args:
        dim: number of channels C of x, shape (B, C) or (B, C, H, W); at least 2.
        subnet: maker of the s/t network, ``(c_in, c_out) -> Module``; see ``flows.dense`` and ``flows.conv``.
        clamp: bounds the log-scale; see ``flows.clamps``.
        swap: the second part passes and the first is changed.
        cond_dim: channels of the condition, shape (B, cond_dim) or (B, cond_dim, H, W); 0 for none.

    Raises:
        ValueError: if ``dim`` is below 2, or an input, condition or subnet output has another shape.
    """

    def __init__(self, dim: int, subnet: SubnetMaker, clamp: Clamp, swap: bool = False, cond_dim: int = 0):
        super().__init__()
        self.dim, self.swap = dim, swap
        self.split = halves(dim, self)
        passes, changes = reversed(self.split) if swap else self.split
        self.scale_shift = _ScaleShift(passes, changes, cond_dim, subnet, clamp)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        passive, active = self._parts(x)
        s, t = self.scale_shift(passive, cond)                            # (B, changed, ...) each
        return self._join(passive, active * s.exp() + t), _sum(s)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        passive, active = self._parts(z)
        s, t = self.scale_shift(passive, cond)                            # the same s and t: passive never changed
        return self._join(passive, (active - t) * (-s).exp()), -_sum(s)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        first, second = x.split(self.split, dim=1)
        return (second, first) if self.swap else (first, second)

    def _join(self, passive: Tensor, active: Tensor) -> Tensor:
        return torch.cat([active, passive] if self.swap else [passive, active], dim=1)


class TwoSidedCoupling(Transform):
    """Both parts are changed, the FIRST one first (order of DifferNet, arXiv 2008.12577, and of FrEIA's GLOW block).

        y1 = x1 * exp(c(s_a(x2))) + t_a(x2)
        y2 = x2 * exp(c(s_b(y1))) + t_b(y1)          log_det = sum of c(s_a) + sum of c(s_b)

    Two networks, one pass of each. Arguments and errors as in :class:`AffineCoupling`.
    """

    def __init__(self, dim: int, subnet: SubnetMaker, clamp: Clamp, cond_dim: int = 0):
        super().__init__()
        self.dim, self.split = dim, halves(dim, self)
        first, second = self.split
        self.a = _ScaleShift(second, first, cond_dim, subnet, clamp)      # reads x2, changes x1
        self.b = _ScaleShift(first, second, cond_dim, subnet, clamp)      # reads y1, changes x2

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        x1, x2 = x.split(self.split, dim=1)
        s_a, t_a = self.a(x2, cond)
        y1 = x1 * s_a.exp() + t_a
        s_b, t_b = self.b(y1, cond)
        y2 = x2 * s_b.exp() + t_b
        return torch.cat([y1, y2], dim=1), _sum(s_a) + _sum(s_b)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        y1, y2 = z.split(self.split, dim=1)
        s_b, t_b = self.b(y1, cond)
        x2 = (y2 - t_b) * (-s_b).exp()
        s_a, t_a = self.a(x2, cond)
        x1 = (y1 - t_a) * (-s_a).exp()
        return torch.cat([x1, x2], dim=1), -_sum(s_a) - _sum(s_b)


def _sum(s: Tensor) -> Tensor:
    return s.flatten(1).sum(1)                                            # (B, ...) -> (B,)


def halves(dim: int, source: nn.Module) -> tuple[int, int]:
    """Channels of the first and the second part; a sentence where there are fewer than two channels."""
    if dim < 2:
        raise ValueError(f"{type(source).__name__}(dim={dim}): a coupling needs at least 2 channels, "
                         "one that passes and one that is changed.")
    return dim - dim // 2, dim // 2


def _with_condition(x: Tensor, cond: Tensor | None, cond_dim: int) -> Tensor:
    if cond is None and cond_dim == 0:
        return x
    expected = (x.shape[0], cond_dim, *x.shape[2:])
    if cond is None or cond_dim == 0 or cond.shape != expected:
        found = "no condition" if cond is None else f"a condition of shape {tuple(cond.shape)}"
        wanted = f"shape {expected}" if cond_dim else "none: build the layer with cond_dim to use one"
        raise ValueError(f"A coupling layer received {found}. Expected {wanted}.")
    return torch.cat([x, cond], dim=1)
