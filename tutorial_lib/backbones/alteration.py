"""Small foreign regions on procedural pictures, and the second task of the pretraining: say where they are.

Telling classes apart needs one answer for the whole picture, so a detail may be averaged away. Finding the altered
pixels keeps it alive in every tap. The regions are ellipses with a ragged rim; what fills them is another picture, a
plain colour or a change of brightness.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Tap


def region(n: int, size: int, generator: torch.Generator) -> Tensor:
    """One ragged ellipse per picture, thin to round: opacity ``(n, 1, size, size)`` in [0, 1]."""
    draw = lambda low, high: low + (high - low) * torch.rand(n, 1, 1, generator=generator)
    axis = torch.linspace(-1, 1, size)
    y, x = axis.view(1, -1, 1) - draw(-0.9, 0.9), axis.view(1, 1, -1) - draw(-0.9, 0.9)
    angle, length = draw(0, math.pi), 0.08 * 8 ** draw(0, 1)
    width = (length / 6 ** draw(0, 1)).clamp_min(0.04)
    u, v = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    rim = torch.randn(n, 1, 12, 12, generator=generator)
    rim = F.interpolate(rim, size=(size, size), mode="bicubic", align_corners=False)[:, 0]
    depth = 1 - torch.hypot(u / length, v / width) + 0.35 * rim
    depth = depth.masked_fill(torch.hypot(u / length, v / width) > 1.6, -9)  # no islands far from the ellipse
    return (depth * width * size / 2 + 0.5).clamp(0, 1)[:, None]


def alter(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Put a foreign region on three pictures out of four.

    Returns the pictures ``(B, 3, S, S)`` and where they changed, ``(B, 1, S, S)`` in [0, 1].
    """
    n, size = images.shape[0], images.shape[-1]
    draw = lambda low, high, channels=1: low + (high - low) * torch.rand(n, channels, 1, 1, generator=generator)
    other = images.roll(1, 0).flip(-1)
    plain = draw(0, 1, 3).expand_as(images)
    light = images + draw(0.12, 0.5) * torch.where(draw(-1, 1) > 0, 1.0, -1.0)
    choice = draw(0, 3)
    fill = torch.where(choice < 1, other, torch.where(choice < 2, plain, light.clamp(0, 1)))
    shape = region(n, size, generator) * (draw(0, 1) < 0.75)
    return images + shape * draw(0.4, 1) * (fill - images), shape


class Locator(nn.Module):
    """One number per position of the first tap: is this pixel foreign? A linear reading of each tap, added up."""

    def __init__(self, taps: dict[str, Tap]):
        super().__init__()
        self.read = nn.ModuleDict({name: nn.Conv2d(tap.channels, 1, 1) for name, tap in taps.items()})

    def forward(self, maps: dict[str, Tensor]) -> Tensor:
        votes = [self.read[name](maps[name]) for name in self.read]  # (B, 1, h, w) each
        size = votes[0].shape[2:]
        return sum(F.interpolate(vote, size=size, mode="bilinear", align_corners=False) for vote in votes)


def locating_loss(logits: Tensor, shape: Tensor) -> Tensor:
    """Binary cross-entropy against the share of each position that is foreign; foreign positions count five times."""
    share = F.adaptive_avg_pool2d(shape, logits.shape[2:])
    return F.binary_cross_entropy_with_logits(logits, share, weight=1 + 4 * share)
