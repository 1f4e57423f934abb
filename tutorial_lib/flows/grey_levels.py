"""Pictures are integers, densities are not: noise that fills the gaps between grey levels, and the unit of papers."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def dequantise(x: Tensor, levels: int, generator: torch.Generator | None = None) -> Tensor:
    """(x + u) / K with u uniform in [0, 1): every grey level gets its own interval of width 1 / K.

    The mean of -log p over u bounds the nats of the integer picture from above (Theis et al., 2015, arXiv 1511.01844,
    section 3.1).

    Args:
        x: integers 0 ... K - 1, any shape and number type.
        levels: K.
        generator: of the noise, drawn on the CPU; the global one if None.

    Returns:
        float32 in [0, 1), the shape of x.

    Raises:
        ValueError: if a value is no integer of 0 ... K - 1 (noise on pictures that were divided by 255 fills nothing).
    """
    if x.numel() and (x.min() < 0 or x.max() > levels - 1 or bool((x != x.round()).any())):
        raise ValueError(f"dequantise received values from {float(x.min()):.4g} to {float(x.max()):.4g}. Expected "
                         f"integers 0 ... {levels - 1}. Do not divide by the number of levels before.")
    rounding = levels * 2**-22                               # float32 rounds 255.9999999 up to the next level
    noise = torch.rand(x.shape, generator=generator).clamp(rounding, 1 - rounding).to(x.device)
    return (x + noise) / levels


def quantise(y: Tensor, levels: int) -> Tensor:
    """Back to grey levels: floor(K y), kept inside 0 ... K - 1. Undoes :func:`dequantise` (K up to 256); int64."""
    return (y * levels).floor().clamp(0, levels - 1).long()


def bits_per_dim(nll: Tensor, d: int, levels: int) -> Tensor:
    """Nats of a picture scaled to [0, 1] as bits per pixel value: nll / (d ln 2) + log2 K.

    The second term is the scaling: dividing by K stretches the density by K in each of the d directions. Guessing
    evenly among K levels costs log2 K.

    Args:
        nll: -log p(y), y = dequantise(x, levels), in nats, any shape.
        d: numbers in one picture (C H W).
        levels: K.
    """
    return nll / (d * math.log(2)) + math.log2(levels)
