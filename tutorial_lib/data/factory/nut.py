"""A zinc-plated hexagon nut on a blue conveyor belt: chamfered corners, a faced top, a thread, a stamped 8.

A nut looks the same after a sixth of a turn; a washer after any turn, a capsule after none.
"""

from __future__ import annotations

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise
from tutorial_lib.data.factory.faults import Fault
from tutorial_lib.data.factory.glyphs import text
from tutorial_lib.data.factory.scene import Scene
from tutorial_lib.data.factory.shapes import coverage, hexagon

FLAT, HOLE, SINK = 0.58, 0.29, 0.345      # distance of the flats, radius of the hole and of its countersink
FACE = 0.575                             # radius of the flat top: beyond it the corners are chamfered
SHIFT, TURN, GROWTH = 0.050, 0.080, 0.020      # deviations of the pose
HALF_TURN = np.pi / 6                    # as far out of line as a hexagon can be
ZINC = np.array([0.60, 0.62, 0.60], np.float32)
BELT = np.array([0.085, 0.155, 0.235], np.float32)


def draw(rng: np.random.Generator, size: int, fault: Fault | None = None) -> Scene:
    """Faults: ``missing`` = a broken corner, ``misplaced`` = the hole off centre, ``turned`` = out of line on the
    belt, by 30 degrees at severity 1."""
    pose = Pose(*rng.normal(0, SHIFT, 2), angle=rng.normal(0, TURN), scale=rng.normal(1, GROWTH))
    lamp, stamp = rng.normal(-2.2, 0.25), int(rng.integers(6)) * np.pi / 3
    rings = rng.standard_normal(120).astype(np.float32)
    weave, dust, smear = noise(rng, size, 100), noise(rng, size, 6), noise(rng, size, 7)
    speckle = noise(rng, size, 150)
    if fault:
        pose = pose.at(0, 0, fault.swing(HALF_TURN))
    image = BELT * (1 + 0.16 * weave + 0.08 * dust)[..., None]
    canvas = Canvas(image.astype(np.float32), pose)
    away = lamp + np.pi - pose.angle
    shadow = canvas.at(0.06 * np.cos(away), 0.06 * np.sin(away))
    shadow.paint(hexagon(FLAT + 0.02), (0.8, 0.8), (0.015, 0.02, 0.03), strength=0.8, soft=0.12)

    u, v = canvas.grid()
    hole_u, hole_v = fault.hole() if fault else (0.0, 0.0)
    radius, angle = np.hypot(u, v), np.arctan2(v, u) + pose.angle
    hole, inside = np.hypot(u - hole_u, v - hole_v), np.arctan2(v - hole_v, u - hole_u) + pose.angle
    edge = hexagon(FLAT)(u, v)
    if fault:
        rim = FLAT / hexagon(0.0)(np.cos(fault.angle), np.sin(fault.angle))
        edge = fault.bite(u, v, edge, float(rim))
    towards, within = np.cos(angle - lamp), np.cos(inside - lamp)

    groove = np.interp(radius, np.linspace(0, 0.8, len(rings)), rings).astype(np.float32)
    gloss = np.cos(angle - lamp - 0.6) ** 4                               # a faced top shines in a bow tie, softly
    top = 0.90 + 0.16 * gloss + 0.14 * towards * radius + 0.045 * groove + 0.03 * (smear + speckle)
    slope = np.clip((radius - FACE) / 0.012, 0, 1)                        # corners fall away from the face
    light = top + slope * (0.72 + 0.55 * towards - top)
    rim = coverage(np.abs(edge + 0.012) - 0.012, canvas.pixel)
    light += rim * 0.30 * towards
    sink = coverage(hole - SINK, canvas.pixel)
    light += sink * (0.62 - 0.40 * within - light)
    deep = coverage(hole - HOLE, canvas.pixel)
    thread = 0.5 + 0.5 * np.cos(2 * np.pi * (hole - 0.02 * np.cos(inside)) / 0.045)
    wall = np.clip((hole - 0.20) / (HOLE - 0.20), 0, 1)
    light += deep * ((0.05 + 0.95 * wall * thread * (0.55 - 0.45 * within)) - light)
    metal = ZINC * np.clip(light, 0.03, 1.45)[..., None]
    metal += (deep * (1 - wall))[..., None] * (0.5 * BELT - metal)        # the belt shows through
    cover = coverage(edge, canvas.pixel)
    canvas.image += cover[..., None] * (metal - canvas.image)
    mark = Canvas(canvas.image, pose, cover).at(0, 0, stamp + np.pi / 6).at(0, -(SINK + FLAT) / 2)
    text(mark.at(0.004, 0.004), "8", 0.125, ZINC * 1.25)
    text(mark, "8", 0.125, ZINC * 0.42)
    return Scene(canvas.image, pose, cover, on_face, defect_size=1.1, lamp=lamp)


def on_face(rng: np.random.Generator) -> tuple[float, float]:
    """A place between the countersink and the flats."""
    radius, angle = rng.uniform(SINK + 0.06, FLAT - 0.06), rng.uniform(0, 2 * np.pi)
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))
