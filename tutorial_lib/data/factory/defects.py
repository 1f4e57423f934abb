"""Defects on a surface: scratch, crack, spot, contamination, dent. Each at full strength; the caller thins it."""

from __future__ import annotations

import math

import numpy as np

from tutorial_lib.data.factory.scene import Scene
from tutorial_lib.data.factory.shapes import disc, stroke

DIRT = ((0.10, 0.16, 0.42), (0.42, 0.22, 0.08), (0.62, 0.52, 0.10), (0.45, 0.10, 0.12))   # ink, rust, glue, paint

STAIN = np.array([0.55, 0.50, 0.42], np.float32)      # what the drop leaves behind: shows on black, too


def scratch(scene: Scene, rng: np.random.Generator) -> None:
    """A bright, slightly bent groove that tapers at both ends, with a dark bank beside it."""
    place = _place(scene, rng)
    length, sag = rng.uniform(0.36, 0.60), rng.normal(0, 0.06)
    t = np.linspace(-1, 1, 13)
    path = np.stack([t * length / 2, sag * (1 - t**2)], 1).astype(np.float32)
    width = (rng.uniform(0.010, 0.014) * np.sqrt(1.02 - t**2)).astype(np.float32)
    half = (length / 2 + 0.05, abs(sag) + 0.06)
    groove = stroke(path, width)
    bank = stroke(path + np.float32([0, 0.014]), width * 0.9)
    place.paint(bank, half, lambda under, u, v, d: 0.45 * under)
    place.paint(groove, half, lambda under, u, v, d: 0.55 * under + 0.42)


def crack(scene: Scene, rng: np.random.Generator) -> None:
    """A dark jagged line that wanders, narrows and forks; its broken edges catch a little light."""
    place = _place(scene, rng)
    count = 11
    trunk = _walk(rng, count, rng.uniform(0.040, 0.052), 0.0)
    trunk -= trunk.mean(0)
    lines = [(trunk, np.linspace(0.015, 0.005, count))]
    for _ in range(2):
        start = int(rng.integers(3, 8))
        branch = _walk(rng, 6, 0.036, rng.choice((-1, 1)) * rng.uniform(0.5, 1.0)) + trunk[start]
        lines.append((branch, np.linspace(0.009, 0.003, 6)))
    shapes = [stroke(path.astype(np.float32), width.astype(np.float32)) for path, width in lines]

    def distance(u, v):
        return np.minimum.reduce([shape(u, v) for shape in shapes])

    half = tuple(np.abs(np.concatenate([path for path, _ in lines])).max(0) + 0.03)
    place.paint(lambda u, v: distance(u, v) - 0.010, half, lambda under, u, v, d: 0.8 * under + 0.16)
    place.paint(distance, half, lambda under, u, v, d: 0.12 * under)


def spot(scene: Scene, rng: np.random.Generator) -> None:
    """A round dark stain, darker along its rim, as a dried drop is."""
    place = _place(scene, rng)
    radius = rng.uniform(0.070, 0.105)
    lobes = rng.normal(0, 0.035, (4, 2))

    def outline(u, v):
        around = np.arctan2(v, u)
        wobble = sum(a * np.cos(k * around) + b * np.sin(k * around) for k, (a, b) in enumerate(lobes, start=2))
        return np.hypot(u, v) - radius * (1 + wobble)

    def stain(under, u, v, d):
        rim = np.exp(-(d / (0.18 * radius) + 0.8) ** 2)
        return under * (0.42 - 0.22 * rim)[..., None] + STAIN * (0.14 + 0.14 * rim)[..., None]

    place.paint(outline, (1.5 * radius, 1.5 * radius), stain, soft=0.02)


def contamination(scene: Scene, rng: np.random.Generator) -> None:
    """Foreign matter: a few drops that have run together, of a colour that does not belong, with a glint."""
    place = _place(scene, rng)
    ink = np.array(DIRT[int(rng.integers(len(DIRT)))], np.float32)
    drops = [(rng.normal(0, 0.055), rng.normal(0, 0.055), rng.uniform(0.035, 0.075)) for _ in range(4)]

    def blob(u, v):
        reach = sum(np.exp(-((u - a) ** 2 + (v - b) ** 2) / (r * r)) for a, b, r in drops)
        return (0.62 - reach) * 0.06                 # level set of a sum of bumps; slope about 1 / 0.06 at its edge

    def paint(under, u, v, d):
        depth = np.clip(-d / 0.05, 0, 1)
        return ink * (0.55 + 0.5 * depth)[..., None] + 0.12 * under

    place.paint(blob, (0.30, 0.30), paint)
    a, b, r = drops[0]
    place.at(a - 0.3 * r, b - 0.3 * r).paint(disc(0.22 * r), (r, r), (0.85, 0.86, 0.88), 0.7, soft=0.02)


def dent(scene: Scene, rng: np.random.Generator) -> None:
    """A shallow hollow: its far wall is light, the wall towards the lamp dark, and no edge anywhere.

    The one defect of low frequency: depth (1 - r²)³ over an ellipse, shaded by its slope along the light.
    """
    place = _place(scene, rng)
    half_u, half_v = rng.uniform(0.25, 0.30), rng.uniform(0.19, 0.23)
    turn = scene.lamp - place.pose.angle
    du, dv = math.cos(turn) / half_u, math.sin(turn) / half_v

    def slope(under, u, v, d):
        a, b = u / half_u, v / half_v
        depth = np.clip(1 - a * a - b * b, 0, 1)
        light = (du * a + dv * b) / math.hypot(du, dv) * depth**2 * 3.5      # extremes near 1, at r = 0.45
        return under * (1 - 0.30 * light)[..., None] - 0.06 * light[..., None]

    place.paint(disc(1.1 * half_u), (1.1 * half_u,) * 2, slope)


def _place(scene: Scene, rng: np.random.Generator):
    u, v = scene.place(rng)
    return scene.canvas().at(u, v, rng.uniform(0, 2 * np.pi), scene.defect_size)


def _walk(rng: np.random.Generator, count: int, step: float, heading: float) -> np.ndarray:
    """Points (count, 2) of a walk whose direction drifts and jitters."""
    angle = heading + np.cumsum(rng.normal(0, 0.22, count)) + rng.normal(0, 0.35, count)
    path = step * np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1), 0)
    return path - path[0]


SURFACE = {"scratch": scratch, "crack": crack, "spot": spot, "contamination": contamination, "dent": dent}
