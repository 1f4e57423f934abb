"""Parts that keep volumes by construction: no log-determinant in a loss has to forbid shrinking.

Volume normalisation: log-scales with their mean taken away, so that one place can only grow where another shrinks.

    s' = s - mean of s over some axes        training: of this batch; evaluation: a running mean from training

A coupling multiplies by exp(s'), so its log-determinant is the sum of s'. The axes always include the batch: over a
*training batch* the sum is 0, the flow as a map of the whole batch keeps volumes, and no sample can be shrunk unless
another grows. It is not 0 for a single sample of the batch, nor in evaluation. PyramidFlow (2023, arXiv 2303.02595).

``forward`` never changes the running mean; the coupling calls ``track`` once per training step. So a pass that is
repeated, as in reversible training, does not count twice (in the released code it counts three times: its momentum of
0.1 acts as 0.271). The running mean is detached and has its final shape from the start, so it can be saved and loaded.

The 1 x 1 convolution with |det W| = 1: the same idea for a matrix, whose log-stretches have their mean taken away.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.flows.triangular import Invertible1x1


def volume_norm(s: Tensor, axes: tuple[int, ...]) -> Tensor:
    """``s`` minus its mean over ``axes``: its sum over them is then 0. Same shape."""
    return s - s.mean(axes, keepdim=True)


class VolumeNorm(nn.Module):
    """What both kinds share. ``axes`` are averaged over, ``shape`` is that of the mean.

    Args:
        momentum: share of the newest batch in the running mean, m <- (1 - momentum) m + momentum * mean; m begins at 0.
    """

    axes: tuple[int, ...]

    def __init__(self, shape: tuple[int, ...], momentum: float = 0.1):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(shape))

    def forward(self, s: Tensor) -> Tensor:
        if tuple(1 if axis in self.axes else n for axis, n in enumerate(s.shape)) != self.running_mean.shape:
            raise ValueError(f"{type(self).__name__} received log-scales of shape {tuple(s.shape)}; its running mean "
                             f"has shape {tuple(self.running_mean.shape)}. Expected the sizes it was built for.")
        return volume_norm(s, self.axes) if self.training else s - self.running_mean

    @torch.no_grad()
    def track(self, s: Tensor) -> None:
        """Move the running mean towards that of the log-scales ``s`` (B, C, H, W), as they are before ``forward``."""
        self.running_mean.lerp_(s.mean(self.axes, keepdim=True), self.momentum)


class ChannelVolumeNorm(VolumeNorm):
    """One mean per position, over batch and channels (CVN): ties the layer to one size of map.

    Args:
        size: (height, width) of the log-scales.
    """

    axes = (0, 1)

    def __init__(self, size: tuple[int, int], momentum: float = 0.1):
        super().__init__((1, 1, *size), momentum)


class SpatialVolumeNorm(VolumeNorm):
    """One mean per channel, over batch and positions (SVN): the size of the map may change.

    Args:
        channels: C of the log-scales.
    """

    axes = (0, 2, 3)

    def __init__(self, channels: int, momentum: float = 0.1):
        super().__init__((1, channels, 1, 1), momentum)


class NoVolumeNorm(nn.Module):
    """Leaves log-scales as they are: what the two kinds are for is seen without them."""

    def forward(self, s: Tensor) -> Tensor:
        return s

    def track(self, s: Tensor) -> None:
        """Nothing to remember."""


class UnitVolume1x1(Invertible1x1):
    """z = W x with |det W| = 1 at every step of training: W = P L (U + diag(sign * exp(log_s - mean(log_s)))).

    It starts as a rotation. After one step it is none any more: it may stretch one direction if it shrinks another.
    log_det = H W sum (log_s - mean(log_s)) = 0, in exact arithmetic and here.
    """

    def factors(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.tril(-1) + torch.eye(self.dim).to(self.lower)
        return lower, self.upper.triu(1) + torch.diag(self.sign * (self.log_s - self.log_s.mean()).exp())

    def _log_det(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0])
