"""Tiny grey pictures for flows on pixels: printed digits, and patches of a texture. All drawn by this course's code.

Both return integers 0 … levels − 1, as a camera would: ``(n, 1, size, size)`` int64. Picture i does not depend on n.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from tutorial_lib.data import factory
from tutorial_lib.data.factory.glyphs import DOTS

DIGITS = {"0": DOTS["O"], **{d: DOTS[d] for d in "1234567"},  # no stroke through the zero: at 8 pixels it is an 8
          "8": "01110 10001 10001 01110 10001 10001 01110", "9": "01110 10001 10001 01111 00001 00010 01100"}
FINE = 4                  # samples along each side of a pixel: edges become grey, as on a sensor
PICTURE, PATCHES = 128, 16  # side of the factory pictures in pixels, and patches cut from each


def glyph_images(n: int, size: int = 8, levels: int = 17, seed: int = 0) -> Tensor:
    """``n`` printed digits, bright on dark, each with its own place, size, slant, turn and ink.

    Args:
        n: number of pictures.
        size: side in pixels, at least 4.
        levels: number of grey levels K; values are 0 … K − 1.
        seed: of all draws. Which digit is drawn: :func:`glyph_labels` with the same seed.

    Returns:
        (n, 1, size, size) int64.

    Raises:
        ValueError: if an argument is out of range.
    """
    _check(n, size, levels)
    draws = _draws(n, seed)                                                   # (n, 8), uniform in [−1, 1)
    turn, slant, wide, tall = 0.12 * draws[:, 1], 0.16 * draws[:, 2], 1 + 0.1 * draws[:, 3], 1 + 0.08 * draws[:, 4]
    place = 0.045 * draws[:, 5:7]                                             # of the side of the picture
    axis = (np.arange(size * FINE) + 0.5) / (size * FINE) - 0.5               # of the side, from the centre
    v, u = np.meshgrid(axis, axis, indexing="ij")                             # (S, S): down, right
    u, v = u[None] - place[:, :1, None], v[None] - place[:, 1:, None]         # (n, S, S)
    c, s = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    right, down = c * u + s * v, c * v - s * u
    right = (right + slant[:, None, None] * down) / wide[:, None, None]
    down = down / tall[:, None, None]
    rasters = _rasters()                                                      # (10, 11, 9)
    which = glyph_labels(n, seed).numpy()[:, None, None] + 0 * u
    where = np.stack([which, down * 8.6 + 5, right * 8.6 + 4])                # 8.6 dots across the side
    ink = ndimage.map_coordinates(rasters, where, order=1, mode="constant")
    ink = ink.reshape(n, size, FINE, size, FINE).mean((2, 4))
    ink = ink * (1.45 + 0.15 * draws[:, 7, None, None])                       # saturates in the middle of thick strokes
    return _quantised(ink, levels)


def glyph_labels(n: int, seed: int = 0) -> Tensor:
    """Which digit each picture of :func:`glyph_images` shows, (n,) int64 in 0 … 9."""
    return torch.from_numpy(np.floor((_draws(n, seed)[:, 0] + 1) * 5).astype(np.int64))


def texture_images(n: int, size: int = 8, levels: int = 17, seed: int = 0, category: str = "carpet") -> Tensor:
    """``n`` patches cut at random places from pictures of a factory texture, grey: the mean of red, green and blue.

    Args:
        n, size, levels, seed: as in :func:`glyph_images`; ``size`` at most 128.
        category: ``"carpet"`` (woven, the same everywhere) or ``"metal"`` (brushed, under a lamp).

    Returns:
        (n, 1, size, size) int64.

    Raises:
        ValueError: if an argument is out of range, or the category is no texture.
    """
    _check(n, size, levels)
    if category not in ("carpet", "metal"):
        raise ValueError(f"texture_images: {category!r} is not a texture. Expected 'carpet' or 'metal'.")
    if size > PICTURE:
        raise ValueError(f"texture_images: size {size} is larger than the {PICTURE} pixels of a picture.")
    grey = factory.normal(category, -(-n // PATCHES), PICTURE, seed).mean(1).numpy()     # (m, 128, 128)
    corner = np.random.default_rng((seed, 1)).random((n, 2)) * (PICTURE - size + 1)
    rows, columns = corner.astype(int).T
    patches = [grey[i // PATCHES, rows[i]:rows[i] + size, columns[i]:columns[i] + size] for i in range(n)]
    return _quantised(np.reshape(patches, (n, size, size)), levels)


def _draws(n: int, seed: int) -> np.ndarray:
    return 2 * np.random.default_rng((seed, 0)).random((n, 8)) - 1            # row by row: row i does not depend on n


@cache
def _rasters() -> np.ndarray:
    dots = [[[int(dot) for dot in row] for row in glyph.split()] for glyph in DIGITS.values()]
    return ndimage.gaussian_filter(np.pad(np.array(dots, float), ((0, 0), (2, 2), (2, 2))), (0, 0.45, 0.45))


def _quantised(grey: np.ndarray, levels: int) -> Tensor:
    """Grey in [0, 1] to 0 … levels − 1, every level as wide as the others. (n, S, S) -> (n, 1, S, S)."""
    return torch.from_numpy(np.clip(np.floor(grey * levels), 0, levels - 1).astype(np.int64))[:, None]


def _check(n: int, size: int, levels: int) -> None:
    for name, value, least in (("n", n, 0), ("size", size, 4), ("levels", levels, 2)):
        if value < least:
            raise ValueError(f"{name} is {value}. Expected at least {least}.")
