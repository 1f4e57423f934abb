"""A scene before the camera: its colours, where the object is, and where a defect may sit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas, Pose, noise

Place = Callable[[np.random.Generator], tuple[float, float]]


@dataclass
class Scene:
    """Reflected light (S, S, 3), the object's pose, its share of each pixel (S, S), a draw of places on it, how much
    larger than life its surface defects are, and the direction of the light in the image (radians)."""

    image: np.ndarray
    pose: Pose
    cover: np.ndarray
    place: Place
    defect_size: float = 1.1
    lamp: float = -2.2     # upper left

    def canvas(self) -> Canvas:
        """Paint on the object: strokes end where it ends."""
        return Canvas(self.image, self.pose, self.cover)


class Camera:
    """Light and sensor of one picture: gain, a gradient across, a tint, then noise that grows with the light.

    The same camera photographs a scene and its twin, so they differ only where the scenes do.
    """

    def __init__(self, rng: np.random.Generator, size: int):
        axis = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
        angle, slope = rng.uniform(0, 2 * np.pi), abs(rng.normal(0, 0.035))
        ramp = slope * (np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None])
        vignette = 0.05 * (axis[None, :] ** 2 + axis[:, None] ** 2)
        gain = 1 + rng.normal(0, 0.03) + ramp - vignette + 0.01 * noise(rng, size, 2)
        tint = 1 + rng.normal(0, 0.006, 3)
        self.light = (gain[..., None] * tint).astype(np.float32)
        self.grain = rng.standard_normal((size, size, 3), dtype=np.float32)   # last: its count depends on the size

    def photograph(self, image: np.ndarray) -> np.ndarray:
        """``(3, S, S)`` in [0, 1]."""
        seen = image * self.light
        return np.clip(seen + self.grain * self.sigma(seen), 0, 1).transpose(2, 0, 1)

    @staticmethod
    def sigma(seen: np.ndarray) -> np.ndarray:
        """Noise deviation: a floor of 0.008 and a part that grows with the root of the light."""
        return 0.008 + 0.010 * np.sqrt(np.clip(seen, 0, 1))
