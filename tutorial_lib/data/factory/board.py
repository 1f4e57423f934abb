"""A populated circuit board on a stone table: the same product every time, placed a little differently."""

from __future__ import annotations

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise
from tutorial_lib.data.factory.faults import Fault
from tutorial_lib.data.factory.layout import HOLES, LAYOUT, TRACES, VIAS
from tutorial_lib.data.factory.scene import Scene
from tutorial_lib.data.factory.shapes import annulus, box, coverage, disc, row_of, stroke

HALF = 0.80
# cells across, depth: stone unlike from picture to picture, which a residual over all pixels adds up
GRANITE = ((90, 0.035), (30, 0.055), (9, 0.018))
SHIFT, TURN, GROWTH = 0.007, 0.007, 0.003      # deviations of the pose
PLAY = 0.0015                                  # deviation of a part's place, and a third of its turn
TABLE = np.array([0.44, 0.44, 0.46], np.float32)
MASK = np.array([0.045, 0.26, 0.15], np.float32)      # solder mask over bare laminate
COPPER = np.array([0.075, 0.37, 0.20], np.float32)    # solder mask over copper
GOLD = np.array([0.62, 0.51, 0.26], np.float32)
HOLE = np.array([0.10, 0.10, 0.10], np.float32)
INK = np.array([0.60, 0.66, 0.62], np.float32)


def draw(rng: np.random.Generator, size: int, fault: Fault | None = None) -> Scene:
    """Faults of the part itself: ``missing`` = a component broken off, ``misplaced`` = one shifted and turned."""
    pose = Pose(*rng.normal(0, SHIFT, 2), angle=rng.normal(0, TURN), scale=rng.normal(1, GROWTH))
    lamp = rng.normal(-2.2, 0.25)
    slack = rng.normal(0, 1, (len(LAYOUT), 3))                      # what the placing machine is allowed
    image = TABLE + sum(depth * noise(rng, size, cells) for cells, depth in GRANITE)[..., None]
    weave, cloud = noise(rng, size, 110), noise(rng, size, 5)
    canvas = Canvas(image.astype(np.float32), pose)
    edge = box(HALF, HALF, 0.05)
    drop = (0.03 * np.cos(lamp + np.pi - pose.angle), 0.03 * np.sin(lamp + np.pi - pose.angle))
    canvas.at(*drop).paint(edge, (HALF, HALF), (0.20, 0.20, 0.22), strength=0.7, soft=0.07)
    laminate = MASK * (1 + 0.06 * cloud + 0.05 * weave)[..., None]
    u, v = canvas.grid()
    cover = coverage(edge(u, v), canvas.pixel)
    canvas.image += cover[..., None] * (laminate - canvas.image)
    bare_board(canvas)
    for (name, u0, v0, turn, part), (du, dv, da) in zip(LAYOUT, slack, strict=True):
        place = canvas.at(u0 + PLAY * du, v0 + PLAY * dv, turn * np.pi / 2 + 3 * PLAY * da)
        part(place, name, lamp, fault if fault and fault.part == name else None)
    return Scene(canvas.image, pose, cover, on_board, defect_size=1.25)


def bare_board(canvas: Canvas) -> None:
    """Copper, holes, contacts and print, before anything is placed."""
    for points in TRACES:
        low, high = np.min(points, 0), np.max(points, 0)
        path = (np.array(points) - (low + high) / 2).astype(np.float32)
        canvas.at(*(low + high) / 2).paint(stroke(path, np.full(len(path), 0.0085)), (high - low) / 2 + 0.01, COPPER)
    for u, v in VIAS:
        via = canvas.at(u, v)
        via.paint(disc(0.022), (0.022, 0.022), GOLD * 0.85)
        via.paint(disc(0.009), (0.01, 0.01), HOLE)
    for u, v in HOLES:
        hole = canvas.at(u, v)
        hole.paint(disc(0.070), (0.07, 0.07), GOLD)
        hole.paint(annulus(0.058, 0.061), (0.07, 0.07), GOLD * 0.8)
        hole.paint(disc(0.045), (0.045, 0.045), TABLE * 0.55)
    header = canvas.at(-0.05, -0.67)
    header.paint(box(0.40, 0.055, 0.01), (0.42, 0.06), INK, strength=0.9)
    header.paint(box(0.392, 0.047, 0.01), (0.42, 0.06), MASK)
    header.paint(row_of(disc(0.030), 10, 0.078), (0.40, 0.03), GOLD)
    header.paint(row_of(disc(0.013), 10, 0.078), (0.40, 0.03), HOLE)
    fingers = canvas.at(0.0, 0.735)
    fingers.paint(row_of(box(0.022, 0.060, 0.006), 18, 0.062), (0.58, 0.065), GOLD)


def on_board(rng: np.random.Generator) -> tuple[float, float]:
    """A place on the board, away from its edge."""
    u, v = rng.uniform(-0.62, 0.62, 2)
    return float(u), float(v)
