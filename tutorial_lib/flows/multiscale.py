"""Multi-scale flows: half of the channels is done early and leaves, the other half goes on at a coarser scale.

The latent stays one tensor of the shape of x: what leaves keeps its place, what goes on comes back to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.flows.base import Transform, check_channels, per_sample


class FactorOut(Transform):
    """The first half of the channels is already latent, the second half goes on: z = [x1, inner(x2)].

    log_det is that of ``inner`` (RealNVP, 2016, arXiv 1605.08803, section 3.6). x1 has a standard normal base like the
    rest: the layers before this one must have made it look like noise. With an odd number of channels C, the part that
    leaves has C - C // 2 of them.

    Args:
        channels: C of x, shape (B, C) or (B, C, H, W); at least 2.
        inner: a transform of C // 2 channels that keeps the shape: ``Chain(Squeeze(), ..., Undo(Squeeze()))``.

    Raises:
        ValueError: if C is below 2, x has another number of channels, or ``inner`` changes the shape.
    """

    def __init__(self, channels: int, inner: Transform):
        super().__init__()
        if channels < 2:
            raise ValueError(f"FactorOut(channels={channels}): expected at least 2, one that leaves and one that goes "
                             "on. Put a Squeeze before it.")
        self.dim, self.inner = channels, inner

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._through(self.inner, x, cond)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._through(self.inner.inverse, z, cond)

    def _through(self, function, x: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        leaves, goes_on = x.split((self.dim - self.dim // 2, self.dim // 2), dim=1)
        out, log_det = function(goes_on, cond)
        if out.shape != goes_on.shape:
            raise ValueError(f"FactorOut: inner turned shape {tuple(goes_on.shape)} into {tuple(out.shape)}. Expected "
                             "the same shape: end it with Undo(Squeeze()) where it begins with Squeeze().")
        return torch.cat([leaves, out], dim=1), per_sample(log_det, x, self.inner)


class Undo(Transform):
    """The other direction of a transform: forward is its inverse. ``Undo(Squeeze())`` puts channels back in place."""

    def __init__(self, transform: Transform):
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(x, cond)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(z, cond)
