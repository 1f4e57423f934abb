"""Where things lie in the picture, and how a shape is painted there.

Nothing here depends on the image's size except the pixel width: the same scene at 128 and 256 px is the same scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tutorial_lib.data.factory.shapes import Shape, coverage


@dataclass(frozen=True)
class Pose:
    """Where local coordinates lie in the image: (x, y) + scale * rotation(angle) (u, v). The image is [-1, 1] squared,
    x to the right, y down; angle in radians, clockwise as seen."""

    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0
    scale: float = 1.0

    def to_image(self, u: float, v: float) -> tuple[float, float]:
        c, s = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        return self.x + c * u - s * v, self.y + s * u + c * v

    def to_local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, s = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        return c * dx + s * dy, c * dy - s * dx

    def at(self, u: float, v: float, angle: float = 0.0, scale: float = 1.0) -> Pose:
        """The pose of a part that sits at (u, v) in these coordinates."""
        x, y = self.to_image(u, v)
        return Pose(x, y, self.angle + angle, self.scale * scale)


class Canvas:
    """An image (S, S, 3), changed in place, with the pose of whatever is being painted.

    ``cover`` (S, S), if given, limits every stroke: 1 = may be painted fully.
    """

    def __init__(self, image: np.ndarray, pose: Pose | None = None, cover: np.ndarray | None = None):
        self.image, self.pose, self.cover = image, pose or Pose(), cover
        self.size = image.shape[0]
        self.pixel = 2 / self.size / self.pose.scale   # in local units

    def at(self, u: float, v: float, angle: float = 0.0, scale: float = 1.0) -> Canvas:
        """The same image in the coordinates of a part at (u, v)."""
        return Canvas(self.image, self.pose.at(u, v, angle, scale), self.cover)

    def window(self, half_u: float, half_v: float) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """Rows and columns that a box of these half sides touches, and their local (u, v)."""
        c, s = abs(math.cos(self.pose.angle)), abs(math.sin(self.pose.angle))
        reach_x = self.pose.scale * (c * half_u + s * half_v) + 2 / self.size
        reach_y = self.pose.scale * (s * half_u + c * half_v) + 2 / self.size
        columns, rows = self._span(self.pose.x, reach_x), self._span(self.pose.y, reach_y)
        axis = _axis(self.size)
        u, v = self.pose.to_local(axis[None, columns], axis[rows, None])
        return (rows, columns), u, v

    def _span(self, centre: float, reach: float) -> slice:
        first = math.floor((centre - reach + 1) * self.size / 2)
        last = math.ceil((centre + reach + 1) * self.size / 2)
        return slice(min(max(first, 0), self.size), min(max(last, 0), self.size))

    def paint(self, shape: Shape, half: Sequence[float], colour, strength: float = 1.0, soft: float = 0.0) -> None:
        """Blend a colour into the image where the shape is.

        Args:
            shape: signed distance.
            half: half sides of a box around the shape, local units.
            colour: three values, or a function ``(under (h, w, 3), u, v, distance) -> (h, w, 3)``.
            strength: opacity of the inside.
            soft: width of the edge in local units, at least one pixel.
        """
        window, u, v = self.window(half[0] + soft, half[1] + soft)
        if u.size == 0:
            return
        distance = shape(u, v)
        alpha = strength * coverage(distance, max(self.pixel, soft))
        if self.cover is not None:
            alpha = alpha * self.cover[window]
        under = self.image[window]
        ink = colour(under, u, v, distance) if callable(colour) else np.asarray(colour, np.float32)
        under += alpha[..., None] * (ink - under)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Local (u, v) of every pixel centre, each (S, S)."""
        axis = _axis(self.size)
        return self.pose.to_local(axis[None, :], axis[:, None])


def noise(rng: np.random.Generator, size: int, cells_y: int, cells_x: int | None = None) -> np.ndarray:
    """A smooth random field (S, S) of about unit deviation: a lattice of normals under cubic B-splines."""
    cells_x = cells_x or cells_y
    lattice = rng.standard_normal((cells_y + 3, cells_x + 3)).astype(np.float32)
    # the squared weights of a cubic B-spline add up to 151/315 on average, along each of the two axes
    return _bspline(size, cells_y) @ lattice @ _bspline(size, cells_x).T / np.float32(151 / 315)


@lru_cache(maxsize=64)
def _axis(size: int) -> np.ndarray:
    return ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)


@lru_cache(maxsize=64)
def _bspline(size: int, cells: int, parts: int = 4) -> np.ndarray:
    """Weights (S, cells + 3) of a uniform cubic B-spline, averaged over each pixel so that fine cells do not alias."""
    position = (np.arange(size * parts) + 0.5) / (size * parts) * cells
    first = np.minimum(position.astype(int), cells - 1)
    t = position - first
    weights = np.zeros((size * parts, cells + 3))
    basis = ((1 - t)**3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for k, values in enumerate(basis):
        weights[np.arange(size * parts), first + k] = values / 6
    return weights.reshape(size, parts, -1).mean(1).astype(np.float32)
