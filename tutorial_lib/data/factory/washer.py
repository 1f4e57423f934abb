"""A turned metal washer on a dark mat: machining rings, the bow-tie gloss of turned metal, bevels, a soft shadow."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise
from tutorial_lib.data.factory.faults import Fault
from tutorial_lib.data.factory.scene import Scene
from tutorial_lib.data.factory.shapes import annulus, coverage

OUTER, INNER, BEVEL = 0.70, 0.34, 0.035
BRASS = np.array([0.62, 0.58, 0.50], np.float32)
MAT = np.array([0.085, 0.090, 0.105], np.float32)


def draw(rng: np.random.Generator, size: int, fault: Fault | None = None) -> Scene:
    """Faults of the part itself: ``missing`` = a piece broken out of the rim, ``misplaced`` = the hole off centre."""
    pose = Pose(*rng.normal(0, 0.035, 2), angle=rng.uniform(0, 2 * np.pi), scale=rng.normal(1, 0.02))
    lamp = rng.normal(-2.2, 0.25)                      # direction of the light, upper left
    rings = rng.standard_normal(160).astype(np.float32)
    mat = noise(rng, size, 90) * 0.012 + noise(rng, size, 5) * 0.008
    smear = noise(rng, size, 6)
    image = MAT + mat[..., None]
    canvas = Canvas(image.astype(np.float32), pose)

    shadow = Canvas(canvas.image, Pose(pose.x - 0.05 * np.cos(lamp), pose.y - 0.05 * np.sin(lamp), 0, pose.scale))
    shadow.paint(annulus(INNER - 0.01, OUTER + 0.01), (0.8, 0.8), (0.015, 0.015, 0.02), strength=0.85, soft=0.10)

    u, v = canvas.grid()
    radius, angle = np.hypot(u, v), np.arctan2(v, u) + pose.angle      # angle as seen in the image
    hole_u, hole_v = fault.hole() if fault else (0.0, 0.0)
    hole = np.hypot(u - hole_u, v - hole_v) if hole_u or hole_v else radius
    hole_angle = np.arctan2(v - hole_v, u - hole_u) + pose.angle
    edge = np.maximum(radius - OUTER, INNER - hole)                    # distance to the nearest rim, negative on metal
    if fault:
        edge = fault.bite(u, v, edge, OUTER)

    gloss = np.cos(angle - lamp - 0.6) ** 2
    fine = ndimage.gaussian_filter1d(rings, 0.45 * canvas.pixel * len(rings))      # no finer than the pixels
    groove = np.interp(radius, np.linspace(0, 1, len(rings)), fine).astype(np.float32)
    light = 0.58 + 0.62 * gloss**4 + groove * (0.045 + 0.07 * gloss) + 0.015 * smear
    outer_lip = coverage(np.abs(radius - OUTER + BEVEL / 2) - BEVEL / 2, canvas.pixel)
    inner_lip = coverage(np.abs(hole - INNER - BEVEL / 2) - BEVEL / 2, canvas.pixel)
    light += outer_lip * (0.40 * np.cos(angle - lamp) - 0.06) - inner_lip * (0.40 * np.cos(hole_angle - lamp) + 0.06)
    metal = BRASS * np.clip(light, 0.12, 1.45)[..., None]

    cover = coverage(edge, canvas.pixel)
    canvas.image += cover[..., None] * (metal - canvas.image)
    return Scene(canvas.image, pose, cover, on_ring, defect_size=1.3)


def on_ring(rng: np.random.Generator) -> tuple[float, float]:
    """A place on the face, off the rims."""
    radius, angle = rng.uniform(INNER + 0.10, OUTER - 0.09), rng.uniform(0, 2 * np.pi)
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))
