"""The Laplacian pyramid: an image as what each scale adds to a smoother copy of it; exactly undone by addition.

    g_0 = x,  g_{l+1} = down(g_l)                the smoother and smaller copies
    p_l = g_l - up(g_{l+1}),  p_{L-1} = g_{L-1}  what a copy has and its enlarged successor lacks
    back: r = p_{L-1};  r = up(r) + p_l          for l = L-2, ..., 0

Burt and Adelson 1983, The Laplacian pyramid as a compact image code. The way back adds what the way out subtracted, so
it is exact for *any* ``down`` and ``up``. That is injective, not onto: a square image of n pixels becomes
n (1 + 1/4 + 1/16 + ...) numbers, so most pyramids are the pyramid of no image, the Jacobian is not square, and there is
no log_det. These are therefore functions, not a ``Transform``; PyramidFlow's flow begins on the levels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Resample = Callable[[Tensor], Tensor]

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def blur(x: Tensor) -> Tensor:
    """Smooth each channel of ``(B, C, H, W)`` by the 5 x 5 binomial kernel [1 4 6 4 1]^T [1 4 6 4 1] / 256.

    Outside the image stands 0, as in PyramidFlow's released code: borders grow darker. Two passes of five numbers.
    """
    channels = x.shape[1]
    line = x.new_tensor(BINOMIAL).expand(channels, 1, 5)                     # (C, 1, 5)
    x = F.conv2d(x, line[:, :, None], padding=(0, 2), groups=channels)       # along each row
    return F.conv2d(x, line[..., None], padding=(2, 0), groups=channels)     # along each column


def max_down(x: Tensor) -> Tensor:
    """Blur, then the largest of each 2 x 2 block: ``(B, C, H, W)`` to half the size. PyramidFlow's released code."""
    return F.max_pool2d(blur(x), 2)


def nearest_down(x: Tensor) -> Tensor:
    """Blur, then every second row and column: ``(B, C, H, W)`` to half the size. PyramidFlow's paper (supplement)."""
    return blur(x)[:, :, ::2, ::2]


def smooth_up(x: Tensor) -> Tensor:
    """Repeat each value in a 2 x 2 block, then blur: ``(B, C, h, w)`` to twice the size. It is linear in x."""
    return blur(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def laplacian_split(x: Tensor, levels: int, down: Resample = max_down, up: Resample = smooth_up) -> tuple[Tensor, ...]:
    """The pyramid of ``x`` ``(B, C, H, W)``: ``levels`` maps, finest first, level l ``(B, C, H / 2^l, W / 2^l)``.

    Raises:
        ValueError: ``levels`` is below 1, or a side is not a multiple of 2^(levels - 1).
    """
    check_sides(x, levels)
    parts = []
    for _ in range(levels - 1):
        smaller = down(x)
        parts.append(x - up(smaller))
        x = smaller
    return *parts, x


def laplacian_join(pyramid: tuple[Tensor, ...], up: Resample = smooth_up) -> Tensor:
    """The image ``(B, C, H, W)`` of a pyramid, with the ``up`` that split it. Linear in the pyramid if ``up`` is."""
    x = pyramid[-1]
    for part in reversed(pyramid[:-1]):
        x = up(x) + part
    return x


def level_contributions(pyramid: tuple[Tensor, ...], up: Resample = smooth_up) -> Tensor:
    """What each level alone brings to the joined image, ``(B, L, C, H, W)``; for a linear ``up`` they add up to it."""
    full = []
    for level, part in enumerate(pyramid):
        for _ in range(level):
            part = up(part)
        full.append(part)
    return torch.stack(full, dim=1)


def level_sizes(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """(height, width) of each level, finest first."""
    return [(height >> level, width >> level) for level in range(levels)]


def check_sides(x: Tensor, levels: int) -> None:
    """Raise unless ``x`` is ``(B, C, H, W)`` and both sides can be halved ``levels - 1`` times."""
    if levels < 1:
        raise ValueError(f"levels={levels}: a pyramid has at least 1.")
    step = 2 ** (levels - 1)
    if x.dim() != 4 or x.shape[2] % step or x.shape[3] % step:
        raise ValueError(f"A pyramid of {levels} levels received a tensor of shape {tuple(x.shape)}. Expected "
                         f"(B, C, H, W) with H and W multiples of {step}: each side is halved {levels - 1} times. "
                         "Resize the image or use fewer levels.")
