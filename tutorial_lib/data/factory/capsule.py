"""A two-coloured gelatine capsule with a printed mark: the cap to the right and the word to be read.

The one product with a right way round: half a turn gives every pixel a legal colour and still a defective part.
"""

from __future__ import annotations

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise
from tutorial_lib.data.factory.faults import Fault
from tutorial_lib.data.factory.glyphs import text
from tutorial_lib.data.factory.scene import Scene
from tutorial_lib.data.factory.shapes import box, coverage

LONG, WIDE = 0.70, 0.285       # half length, half width
SEAM = 0.06                    # where the cap begins
SHELL = 0.018                  # how much wider the cap is
SHIFT, TURN, GROWTH = 0.050, 0.080, 0.020      # deviations of the pose
IVORY = np.array([0.80, 0.74, 0.61], np.float32)
PETROL = np.array([0.045, 0.27, 0.36], np.float32)
TABLE = np.array([0.40, 0.40, 0.39], np.float32)
INK = np.array([0.13, 0.11, 0.12], np.float32)


def draw(rng: np.random.Generator, size: int, fault: Fault | None = None) -> Scene:
    """Faults: ``missing`` = a piece broken out of the shell, ``misplaced`` = the cap not pushed home, ``turned`` = the
    capsule lies the wrong way, by half a turn at severity 1."""
    pose = Pose(*rng.normal(0, SHIFT, 2), angle=rng.normal(0, TURN), scale=rng.normal(1, GROWTH))
    lamp, slack = rng.normal(-2.2, 0.25), rng.normal(0, 1, 2)
    grit, cloud = noise(rng, size, 80), noise(rng, size, 7)
    if fault:
        pose = pose.at(0, 0, fault.swing(np.pi))
    canvas = Canvas((TABLE * (1 + 0.05 * grit + 0.035 * cloud)[..., None]).astype(np.float32), pose)
    gap = fault.gap() if fault else 0.0
    away = lamp + np.pi - pose.angle
    long = LONG + gap / 2
    shadow = canvas.at(gap / 2 + 0.055 * np.cos(away), 0.055 * np.sin(away))
    shadow.paint(box(long, WIDE, WIDE), (long, WIDE), (0.06, 0.06, 0.065), strength=0.75, soft=0.11)

    u, v = canvas.grid()
    body = box(LONG - SHELL, WIDE - SHELL, WIDE - SHELL)(u, v)
    cap = np.maximum(box(LONG, WIDE, WIDE)(u - gap, v), SEAM + gap - u)
    if fault:
        body, cap = (fault.bite_at(u, v, edge, *_outline(fault.angle)) for edge in (body, cap))
    bare = coverage(body, canvas.pixel)
    glow = _lit(u, v, LONG - SHELL, WIDE - SHELL, lamp - pose.angle)
    canvas.image += bare[..., None] * (_gelatine(IVORY, glow) - canvas.image)
    word = Canvas(canvas.image, pose, bare).at(-0.295 + 0.006 * slack[0], 0.02 + 0.006 * slack[1])
    text(word, "FLOW", 0.140, INK)

    covered = coverage(cap, canvas.pixel)
    lip = np.clip(1 - (u - SEAM - gap) / 0.05, 0, 1)                      # the rim of the cap, a little thicker
    glow = _lit(u - gap, v, LONG, WIDE, lamp - pose.angle)
    canvas.image += (0.45 * bare * np.clip(1 + (u - SEAM - gap) / 0.03, 0, 1))[..., None] * (0.4 * IVORY - canvas.image)
    canvas.image += covered[..., None] * (_gelatine(PETROL * (1 + 0.35 * lip[..., None]), glow) - canvas.image)
    text(Canvas(canvas.image, pose, covered).at(0.35 + gap, 0.02), "05", 0.165, IVORY)
    return Scene(canvas.image, pose, np.maximum(bare, covered), on_shell, defect_size=1.1, lamp=lamp)


def _lit(u: np.ndarray, v: np.ndarray, long: float, wide: float, lamp: float) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse and mirrored light (S, S) of a rod with round ends."""
    x, y = (u - np.clip(u, wide - long, long - wide)) / wide, v / wide
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    across, up = 0.50, 0.866                                              # of the unit vector towards the light
    facing = across * (np.cos(lamp) * x + np.sin(lamp) * y) + up * z
    mirror = 0.34 * (np.cos(lamp) * x + np.sin(lamp) * y) + 0.94 * z
    return np.clip(facing, 0, 1), np.clip(mirror, 0, 1) ** 40


def _gelatine(colour: np.ndarray, glow: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    diffuse, gloss = glow
    return colour * (0.34 + 0.80 * diffuse)[..., None] + 0.55 * gloss[..., None]


def _outline(angle: float) -> tuple[float, float]:
    """The point of the capsule's outline that lies in this direction from its middle."""
    c, s, h = abs(np.cos(angle)), abs(np.sin(angle)), LONG - WIDE
    reach = WIDE / s if WIDE * c <= h * s else h * c + np.sqrt(WIDE**2 - h * h * s * s)
    return float(reach * np.cos(angle)), float(reach * np.sin(angle))


def on_shell(rng: np.random.Generator) -> tuple[float, float]:
    """A place on the capsule, off its rim."""
    return float(rng.uniform(-0.52, 0.52)), float(rng.uniform(-0.16, 0.16))
