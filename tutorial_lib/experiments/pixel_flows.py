"""Chapter 07's experiment: flows on small grey pictures, and which pictures they call likely.

The same two models as everywhere in this course: the affine flow (a Gaussian), and coupling blocks behind it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.data import glyph_images, texture_images
from tutorial_lib.experiments.views import coupling_blocks
from tutorial_lib.flows import Chain, Flow, Whitening, maximum_likelihood
from tutorial_lib.flows.grey_levels import bits_per_dim, dequantise

SIDE, LEVELS = 8, 256
D = SIDE * SIDE
STEPS, BATCH, LEARNING_RATE, HIDDEN = 130, 128, 1e-3, 96
SOURCES: dict[str, Callable[[int, int], Tensor]] = {
    "carpet": lambda n, seed: texture_images(n, SIDE, LEVELS, seed, "carpet"),
    "metal": lambda n, seed: texture_images(n, SIDE, LEVELS, seed, "metal"),
    "digits": lambda n, seed: glyph_images(n, SIDE, LEVELS, seed),
}


def vectors(pictures: Tensor, seed: int = 0) -> Tensor:
    """Integer pictures ``(n, 1, 8, 8)`` to points ``(n, 64)`` in [0, 1): noise fills the gaps between grey levels."""
    return dequantise(pictures, LEVELS, torch.Generator().manual_seed(seed)).flatten(1)


def fitted(pictures: Tensor, seed: int = 0, steps: int = STEPS) -> tuple[Flow, Flow]:
    """The affine flow of pictures ``(n, 1, 8, 8)``, and the same with four trained coupling blocks behind it."""
    y = vectors(pictures)
    affine = Flow(Whitening(D).fit(y), (D,))
    flow = Flow(Chain(affine.transform, *coupling_blocks(D, seed, hidden=HIDDEN)), (D,))
    if steps:
        maximum_likelihood(flow, y, steps=steps, batch=BATCH, lr=LEARNING_RATE, seed=seed)
    return affine.requires_grad_(False), flow.requires_grad_(False)


@torch.no_grad()
def bits(flow: Flow, pictures: Tensor) -> Tensor:
    """Bits per pixel of each picture ``(n, 1, 8, 8)``, ``(n,)``: low is likely. One draw of the noise."""
    return bits_per_dim(-flow.log_prob(vectors(pictures)), D, LEVELS)


def flat(pictures: Tensor, n: int = 500) -> Tensor:
    """``n`` times the same card ``(n, 1, 8, 8)``: every pixel the mean grey of these pictures."""
    return pictures.float().mean().round().long().expand(n, 1, SIDE, SIDE)


def mean_picture(pictures: Tensor, n: int = 500) -> Tensor:
    """``n`` times the mean of these pictures, pixel by pixel, in whole grey levels: ``(n, 1, 8, 8)``."""
    return pictures.float().mean(0).round().long().expand(n, 1, SIDE, SIDE)


def faded(pictures: Tensor, contrast: float) -> Tensor:
    """The pictures with their distance to the mean picture multiplied by ``contrast`` (1: as they are, 0: the mean)."""
    middle = pictures.float().mean(0)
    return (middle + contrast * (pictures - middle)).round().clamp(0, LEVELS - 1).long()
