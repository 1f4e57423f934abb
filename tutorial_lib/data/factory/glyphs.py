"""Printed letters: a 5 x 7 dot alphabet of the few signs that the board needs, drawn softly so that they scale."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from tutorial_lib.data.factory.canvas import Canvas

DOTS = {
    "0": "01110 10001 10011 10101 11001 10001 01110", "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111", "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010", "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110", "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "C": "01110 10001 10000 10000 10000 10001 01110", "D": "11110 10001 10001 10001 10001 10001 11110",
    "F": "11111 10000 10000 11110 10000 10000 10000", "L": "10000 10000 10000 10000 10000 10000 11111",
    "N": "10001 11001 10101 10101 10011 10001 10001", "O": "01110 10001 10001 10001 10001 10001 01110",
    "R": "11110 10001 10001 11110 10100 10010 10001", "U": "10001 10001 10001 10001 10001 10001 01110",
    "W": "10001 10001 10001 10101 10101 11011 10001", "Y": "10001 10001 01010 00100 00100 00100 00100",
    "-": "00000 00000 00000 11111 00000 00000 00000", ".": "00000 00000 00000 00000 00000 01100 01100",
}


def text(canvas: Canvas, letters: str, height: float, colour) -> None:
    """Print letters of this height around the canvas's origin; where a dot is smaller than a pixel, the ink thins."""
    ink = _raster(letters)
    dot = height / 7
    half = (ink.shape[1] * dot / 2, ink.shape[0] * dot / 2)
    window, u, v = canvas.window(*half)
    if u.size == 0:
        return
    blur = canvas.pixel / dot                       # dots per pixel
    soft = _blurred(letters, round(max(blur - 0.6, 0) * 2) / 2)
    where = np.stack(np.broadcast_arrays((v + half[1]) / dot - 0.5, (u + half[0]) / dot - 0.5))
    alpha = ndimage.map_coordinates(soft, where, order=1, mode="constant")
    if canvas.cover is not None:
        alpha = alpha * canvas.cover[window]
    under = canvas.image[window]
    under += alpha[..., None] * (np.asarray(colour, np.float32) - under)


@lru_cache(maxsize=256)
def _raster(letters: str) -> np.ndarray:
    rows = [np.array([[int(dot) for dot in row] for row in DOTS[letter].split()], np.float32) for letter in letters]
    return np.pad(np.concatenate([np.pad(glyph, ((0, 0), (0, 1))) for glyph in rows], 1)[:, :-1], 2)


@lru_cache(maxsize=256)
def _blurred(letters: str, dots: float) -> np.ndarray:
    return ndimage.gaussian_filter(_raster(letters), dots * 0.4) if dots else _raster(letters)
