"""Views: one image, turned by several angles. DifferNet trains on them and scores by their mean.

Rotation follows the released code: nearest pixel, canvas not enlarged. What turns in at the corners is black there
(``fill="black"``), or the image mirrored at its edge (``fill="reflect"``). It is part of what is learned, so training
and testing must fill alike; here both call ``rotate``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FILLS = {"black": "zeros", "reflect": "reflection"}  # our name, and that of torch


def rotate(images: Tensor, degrees: Tensor, mode: str = "nearest", fill: str = "black") -> Tensor:
    """Turn each image counter-clockwise about its centre by its own angle.

    Args:
        images: ``(B, C, S, S)``, square. degrees: ``(B,)``. mode: ``"nearest"`` or ``"bilinear"``.
        fill: what lies outside, ``"black"`` (0) or ``"reflect"``.
    """
    angle = degrees.to(images) * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # the grid says where each output pixel comes from: the inverse rotation, in coordinates with y downwards
    theta = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)  # (B, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode=mode, padding_mode=FILLS[fill], align_corners=False)


def turned(images: Tensor, degrees: Tensor, fill: str = "black") -> Tensor:
    """``(B, 3, S, S)`` and angles ``(B, T)`` or ``(T,)`` give the views ``(B * T, 3, S, S)``, image by image."""
    degrees = degrees.expand(len(images), -1)  # (B, T)
    return rotate(images.repeat_interleave(degrees.shape[1], dim=0), degrees.reshape(-1), fill=fill)


def stream(*key: int) -> torch.Generator:
    """A random stream of its own for each key, such as (seed, use, step): nothing depends on what was drawn before."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))


def random_angles(n: int, limit: float, *key: int) -> Tensor:
    """``(n,)`` degrees, uniform in [-limit, limit]."""
    return (2 * torch.rand(n, generator=stream(*key)) - 1) * limit


def even_angles(n: int, limit: float) -> Tensor:
    """``(n,)`` degrees, 0 first, then outward in even steps to both sides; an even n reaches one side further.

    With limit 180 these are 0, 360 / n, 2 * 360 / n, ... (the full turn is not counted twice).
    """
    if limit >= 180:
        return torch.arange(n) * (360.0 / n)
    outward = torch.arange(n).add(1).div(2, rounding_mode="floor") * (-1.0) ** torch.arange(n)  # 0, -1, 1, -2, 2, ...
    return outward * (limit / max(1, n // 2))
