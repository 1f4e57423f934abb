"""A planed softwood board: growth rings that widen and bend, pale early wood, dark late wood, fine fibres and pores."""

from __future__ import annotations

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise
from tutorial_lib.data.factory.scene import Scene
from tutorial_lib.data.factory.textures import anywhere

RINGS = 9              # across the picture
EARLY = np.array([0.74, 0.55, 0.35], np.float32)
LATE = np.array([0.47, 0.28, 0.14], np.float32)
PORE = np.array([0.30, 0.18, 0.10], np.float32)


def draw(rng: np.random.Generator, size: int) -> Scene:
    """Rings are cut lengthwise; a ring darkens slowly towards its late wood and ends at once, as a year does."""
    pose = Pose(*rng.uniform(-0.1, 0.1, 2), angle=rng.normal(0, 0.03))
    lean, bow, offset = rng.normal(0, 0.10), rng.normal(0, 0.10), rng.uniform(0, 1)
    wander = 0.40 * noise(rng, size, 2, 3) + 0.05 * noise(rng, size, 5, 14)
    width = rng.uniform(0.75, 1.3, 4 * RINGS)                             # years are not alike
    depth = rng.uniform(0.6, 1.0, 4 * RINGS).astype(np.float32)
    fibre = 0.6 * noise(rng, size, 5, 150) + 0.6 * noise(rng, size, 9, 260)
    pores = noise(rng, size, 14, 200)
    cloud = noise(rng, size, 2, 4)
    canvas = Canvas(np.empty((size, size, 3), np.float32), pose)
    u, v = canvas.grid()
    years = (u + lean * v + bow * v * v) * (RINGS / 2) + wander + offset
    limits = np.cumsum(width) - width[:2 * RINGS].sum()
    year = np.clip(np.searchsorted(limits, years, side="right") - 1, 0, len(width) - 2)
    t = ((years - limits[year]) / width[year + 1]).astype(np.float32)     # 0 to 1 through one year
    step = RINGS / size / 0.9                                             # a pixel, in years
    end = np.clip((1 - t) / max(0.12, 1.2 * step), 0, 1)
    late = depth[year] * np.clip(t, 0, 1) ** 2.2 * end
    wood = EARLY + late[..., None] * (LATE - EARLY)
    wood = wood * (1 + 0.05 * fibre * (1 - 0.5 * late) + 0.035 * cloud)[..., None]
    dark = 0.55 * np.clip(pores - 1.55, 0, 1)[..., None]
    canvas.image[:] = wood + dark * (PORE - wood)
    return Scene(canvas.image, pose, np.ones((size, size), np.float32), anywhere)
