"""Shapes as signed distances: functions (u, v) -> distance in their own units, negative inside.

An edge is antialiased by its distance: coverage = 1/2 - d/pixel, cut to [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]


def coverage(distance: np.ndarray, width: float) -> np.ndarray:
    """Share of a pixel inside an edge: 1/2 - d/width, cut to [0, 1]."""
    return np.clip(0.5 - distance / np.float32(width), 0, 1)


def _length(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v)      # several times faster than np.hypot, and nothing here overflows


def disc(radius: float, u0: float = 0.0, v0: float = 0.0) -> Shape:
    return lambda u, v: _length(u - u0, v - v0) - radius


def annulus(inner: float, outer: float) -> Shape:
    middle, half = (inner + outer) / 2, (outer - inner) / 2
    return lambda u, v: np.abs(_length(u, v) - middle) - half


def box(half_u: float, half_v: float, corner: float = 0.0, u0: float = 0.0, v0: float = 0.0) -> Shape:
    def distance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        du, dv = np.abs(u - u0) - (half_u - corner), np.abs(v - v0) - (half_v - corner)
        return _length(np.maximum(du, 0), np.maximum(dv, 0)) + np.minimum(np.maximum(du, dv), 0) - corner
    return distance


def hexagon(apothem: float) -> Shape:
    """Two of the flats lie level. Outside the corners the distance is that to the nearest flat, prolonged."""
    def distance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.maximum(np.abs(v), np.float32(3**0.5 / 2) * np.abs(u) + np.abs(v) / 2) - apothem
    return distance


def row_of(shape: Shape, count: int, pitch: float) -> Shape:
    """``count`` copies of a shape along u, centred on the origin, for the price of one."""
    def distance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        first = -(count - 1) / 2
        nearest = np.clip(np.round(u / pitch - first), 0, count - 1) + first
        return shape(u - pitch * nearest, v)
    return distance


def stroke(points: np.ndarray, widths: np.ndarray) -> Shape:
    """A bent line through ``points`` (M, 2) whose half width runs through ``widths`` (M,)."""
    def distance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        best = np.full(np.broadcast_shapes(u.shape, v.shape), np.inf, np.float32)
        for (a, b), (c, d), wide, slim in zip(points[:-1], points[1:], widths[:-1], widths[1:], strict=True):
            along_u, along_v = c - a, d - b
            square = along_u**2 + along_v**2 + 1e-12
            t = np.clip(((u - a) * along_u + (v - b) * along_v) / square, 0, 1)
            near = _length(u - a - t * along_u, v - b - t * along_v) - (wide + t * (slim - wide))
            best = np.minimum(best, near)
        return best
    return distance
