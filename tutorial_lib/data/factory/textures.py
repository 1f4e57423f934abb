"""Two textures that fill the picture: woven carpet and brushed metal."""

from __future__ import annotations

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise
from tutorial_lib.data.factory.scene import Scene

THREADS = 20           # across the picture: 6.4 px each at 128 px
WARP = np.array([0.66, 0.60, 0.50], np.float32)
WEFT = np.array([0.36, 0.42, 0.47], np.float32)
GAP = np.array([0.10, 0.09, 0.08], np.float32)
STEEL = np.array([0.55, 0.56, 0.58], np.float32)
STREAKS = ((20, 1, 0.008), (60, 2, 0.016), (140, 3, 0.034), (300, 4, 0.050), (560, 6, 0.050))  # across, along, depth


def carpet(rng: np.random.Generator, size: int) -> Scene:
    """Plain weave of two yarns: each passes over and under the other, is thinner at its rims, and is twisted."""
    fine = 2 * size   # twice as fine, then averaged: yarns are only a few pixels wide
    pose = Pose(*rng.uniform(-0.1, 0.1, 2), angle=rng.normal(0, 0.025), scale=rng.uniform(0.97, 1.03))
    bend = [0.014 * noise(rng, fine, 3) for _ in range(2)]
    tone = rng.standard_normal((2, 4 * THREADS)).astype(np.float32)
    uneven = noise(rng, fine, 40)
    cloud = noise(rng, size, 4)
    canvas = Canvas(np.zeros((fine, fine, 3), np.float32), pose)
    u, v = canvas.grid()
    u, v = (u + bend[0]) * (THREADS / 2), (v + bend[1]) * (THREADS / 2)   # one unit = one yarn
    i, j = np.floor(u), np.floor(v)
    odd = (i + j) % 2 * 2 - 1                                        # +1: warp on top
    across_u, across_v = u - i - 0.5, v - j - 0.5                    # (-1/2, 1/2) inside the crossing
    lift = odd * np.cos(np.pi * across_u) * np.cos(np.pi * across_v)  # who is on top, and by how much
    warp = _yarn(across_u, v, 0.55 + 0.45 * lift, tone[0], i, WARP, uneven)
    weft = _yarn(across_v, u, 0.55 - 0.45 * lift, tone[1], j, WEFT, uneven)
    top = np.clip(0.5 + (warp[0] - weft[0]) * 6, 0, 1)[..., None]
    image = GAP + (weft[1] + top * (warp[1] - weft[1]))
    image = image.reshape(size, 2, size, 2, 3).mean((1, 3)) * (1 + 0.03 * cloud[..., None])
    return Scene(image, pose, np.ones((size, size), np.float32), anywhere)


def _yarn(across, along, height, tone, index, colour, uneven):
    """Height of a yarn's surface and its colour: round across, striped by its twist, a little different per yarn."""
    body = np.sqrt(np.clip(1 - (2.05 * across) ** 2, 0, 1))           # a round cross-section, narrower than its cell
    twist = 0.5 + 0.5 * np.cos(2 * np.pi * (2 * along + 1.2 * across))
    own = 1 + 0.04 * tone[np.asarray(index, int) % len(tone)]
    light = body * (0.62 + 0.38 * height) * own * (0.88 + 0.12 * twist + 0.035 * uneven)
    return body * height, light[..., None] * colour


def metal(rng: np.random.Generator, size: int) -> Scene:
    """Brushed steel: fine streaks of many lengths along one direction, and the soft band of a lamp."""
    image = np.empty((size, size, 3), np.float32)
    canvas = Canvas(image, Pose(angle=rng.normal(0, 0.02)))
    u, v = canvas.grid()
    grain = np.zeros((size, size), np.float32)
    for cells, length, depth in STREAKS:
        grain += depth * noise(rng, size, cells, length)
    shear = np.tan(canvas.pose.angle)
    grain = _shear(grain, shear)
    centre, width = rng.normal(0, 0.35), rng.uniform(0.5, 0.8)
    band = np.exp(-((v + 0.15 * u - centre) / width) ** 2)
    cloud = noise(rng, size, 3, 2)
    light = 0.80 + 0.30 * band + 0.02 * cloud + grain * (0.7 + 0.8 * band)
    image[:] = STEEL * light[..., None]
    return Scene(image, canvas.pose, np.ones((size, size), np.float32), anywhere)


def _shear(rows: np.ndarray, slope: float) -> np.ndarray:
    """Shift column x down by slope * x (wrapping), so that streaks are not quite level."""
    size = rows.shape[0]
    shift = slope * (np.arange(size) - size / 2)
    y = np.arange(size)[:, None] - shift[None, :]
    low = np.floor(y).astype(int)
    part = (y - low).astype(np.float32)
    columns = np.arange(size)[None, :]
    return (1 - part) * rows[low % size, columns] + part * rows[(low + 1) % size, columns]


def anywhere(rng: np.random.Generator) -> tuple[float, float]:
    """A place for a defect on a texture, away from the picture's border."""
    u, v = rng.uniform(-0.72, 0.72, 2)
    return float(u), float(v)
