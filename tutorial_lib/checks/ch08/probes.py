"""Probe inputs and small tools that the laws of chapter 08 share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers from a named seed, float32."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gap(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference of two tensors."""
    return float((found - expected).detach().abs().max())


def blur(gradient: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of each channel on its own: G * x_c, the kernel cut at four standard deviations.

    Args:
        gradient: ``(C, H, W)``.
        sigma: standard deviation of G in pixels, above 0.

    Returns:
        ``(C, H, W)``; outside the picture the values count as zero.
    """
    reach = int(4 * sigma + 0.5)
    steps = torch.arange(-reach, reach + 1, dtype=gradient.dtype, device=gradient.device)
    kernel = torch.exp(-0.5 * (steps / sigma).square())
    kernel = kernel / kernel.sum()
    down = F.conv2d(gradient[:, None], kernel[None, None, :, None], padding=(reach, 0))
    return F.conv2d(down, kernel[None, None, None, :], padding=(0, reach))[:, 0]


def probe_nll(pictures: Tensor) -> Tensor:
    """A score that is not linear in the picture: ``(N, 2, 3, 3) -> (N,)``."""
    if pictures.ndim != 4 or tuple(pictures.shape[1:]) != (2, 3, 3):
        raise ValueError(f"nll takes (N, C, H, W) = (N, 2, 3, 3); it was given {tuple(pictures.shape)}")
    flat = pictures.flatten(1)
    return flat.square().sum(1) + torch.sin(3 * flat @ drawn(18, seed=9))


class PlantedScore(nn.Module):
    """A score whose gradient is known: sum of ``linear * x + curved * x² / 2`` over one picture.

    It notes how many pictures it was given, so that a batch of copies is noticed.
    """

    def __init__(self, linear: Tensor, curved: Tensor | None = None):
        super().__init__()
        self.linear = linear
        self.curved = torch.zeros_like(linear) if curved is None else curved
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        shape = tuple(self.linear.shape)
        if images.ndim != 4 or tuple(images.shape[1:]) != shape:
            raise ValueError(f"score takes (B, C, H, W) = (B, {', '.join(map(str, shape))}); "
                             f"it was given {tuple(images.shape)}")
        self.batches.append(len(images))
        return (self.linear * images + 0.5 * self.curved * images.square()).flatten(1).sum(1)

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient at picture ``x``, ``(C, H, W)``: linear + curved · x."""
        return self.linear + self.curved * x
