"""Point clouds in the plane, small enough to see: each returns ``(n, 2)`` float32, repeatable from its seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TILTED_MEAN = (1.0, -0.5)
TILTED_COVARIANCE = ((1.0, 0.8), (0.8, 1.0))   # correlation 0.8
ISLAND_CENTRES = ((-1.5, 0.0), (1.5, 0.0))
ISLAND_STD = 0.3


def two_moons(n: int, seed: int = 0, noise: float = 0.08) -> Tensor:
    """Two interleaved half circles of radius 1, centred on the origin; ``noise``: deviation of each coordinate."""
    rng = np.random.default_rng(seed)
    angle, lower = np.pi * rng.random(n), rng.random(n) < 0.5
    x = np.where(lower, 0.5 - np.cos(angle), np.cos(angle) - 0.5)
    y = np.where(lower, 0.25 - np.sin(angle), np.sin(angle) - 0.25)
    return _tensor(np.stack([x, y], 1) + noise * rng.standard_normal((n, 2)))


def two_islands(n: int, seed: int = 0) -> Tensor:
    """An even mixture of two round Gaussians with deviation ``ISLAND_STD`` at ``ISLAND_CENTRES``: nothing between."""
    rng = np.random.default_rng(seed)
    centre = np.asarray(ISLAND_CENTRES)[rng.integers(0, 2, n)]
    return _tensor(centre + ISLAND_STD * rng.standard_normal((n, 2)))


def ring(n: int, seed: int = 0, radius: float = 1.5, noise: float = 0.12) -> Tensor:
    """A circle: angle uniform, distance from the origin normal around ``radius`` with deviation ``noise``."""
    rng = np.random.default_rng(seed)
    angle, distance = 2 * np.pi * rng.random(n), radius + noise * rng.standard_normal(n)
    return _tensor(distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1))


def tilted_gaussian(n: int, seed: int = 0) -> Tensor:
    """A Gaussian with mean ``TILTED_MEAN`` and covariance ``TILTED_COVARIANCE``: what one affine map can whiten."""
    rng = np.random.default_rng(seed)
    factor = np.linalg.cholesky(np.asarray(TILTED_COVARIANCE))
    return _tensor(np.asarray(TILTED_MEAN) + rng.standard_normal((n, 2)) @ factor.T)


def _tensor(points: np.ndarray) -> Tensor:
    return torch.from_numpy(points.astype(np.float32))
