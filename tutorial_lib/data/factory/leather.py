"""Leather with a pebble grain: rounded cells of unequal size between furrows, lit from the upper left."""

from __future__ import annotations

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise
from tutorial_lib.data.factory.scene import Scene
from tutorial_lib.data.factory.textures import anywhere

CELLS = 21             # across the picture: 6 px each at 128 px
COGNAC = np.array([0.56, 0.33, 0.19], np.float32)
GLOSS = np.array([0.30, 0.27, 0.24], np.float32)


def draw(rng: np.random.Generator, size: int) -> Scene:
    """Pebbles are Voronoi cells (Worley 1996) of a jittered lattice, bent by smooth noise; furrows lie between them."""
    pose = Pose(*rng.uniform(-0.1, 0.1, 2), angle=rng.normal(0, 0.06), scale=rng.uniform(0.96, 1.04))
    bend = [0.35 * noise(rng, size, 5) for _ in range(2)]
    points = rng.uniform(0.12, 0.88, (2, CELLS + 14, CELLS + 14)).astype(np.float32)
    tone = rng.standard_normal((CELLS + 14, CELLS + 14)).astype(np.float32)
    cloud, pores = noise(rng, size, 4), noise(rng, size, 110)
    canvas = Canvas(np.empty((size, size, 3), np.float32), pose)
    u, v = (axis * (CELLS / 2) + CELLS / 2 + 7 + shift for axis, shift in zip(canvas.grid(), bend, strict=True))
    height, own = _pebbles(u, v, points, tone, 1.3 * CELLS / size)
    height += 0.05 * pores
    slope_y, slope_x = np.gradient(height, 2 / size)
    facing = np.clip(-(0.59 * slope_x + 0.81 * slope_y) / 42, -0.9, 0.9)   # towards the light, which is upper left
    light = (0.50 + 0.50 * height) * (1 + 0.05 * own + 0.05 * cloud) * (1 + 0.45 * facing)
    canvas.image[:] = COGNAC * light[..., None] + GLOSS * (np.clip(facing, 0, 1) ** 2 * height)[..., None]
    return Scene(canvas.image, pose, np.ones((size, size), np.float32), anywhere)


def _pebbles(u: np.ndarray, v: np.ndarray, points: np.ndarray, tone: np.ndarray, soft: float):
    """Height in (0, 1] of the pebble under each pixel and that pebble's tone, from the two nearest points.

    Args:
        u, v: place in cells, each (S, S). points: (2, N, N), place of a point inside its cell. tone: (N, N).
        soft: width of a pixel in cells; furrows are no narrower.
    """
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    du, dv = u - column, v - row
    first, second = np.full((2, *u.shape), np.inf, np.float32)
    own = np.zeros_like(u)
    last = len(tone) - 1
    for j in (-1, 0, 1):
        for i in (-1, 0, 1):
            cell = np.clip(row + j, 0, last), np.clip(column + i, 0, last)
            far = np.square(points[0][cell] + i - du) + np.square(points[1][cell] + j - dv)
            nearer = far < first
            second = np.minimum(second, np.where(nearer, first, far))
            own = np.where(nearer, tone[cell], own)
            first = np.where(nearer, far, first)
    gap = np.sqrt(second) - np.sqrt(first)                               # 0 on the border between two pebbles
    return 1 - np.exp(-((gap + 0.03) / (0.28 + soft)) ** 1.3), own
