"""What can be wrong with the part itself: something missing, in the wrong place, or the wrong way round.

Severity is how much: the share that broke off, or how far it is out of place or turned; at 0 nothing is wrong.
"""

from __future__ import annotations

import math

import numpy as np

from tutorial_lib.data.factory.canvas import Canvas
from tutorial_lib.data.factory.shapes import coverage


class Fault:
    """A fault of a part, drawn once so that severity changes its amount and nothing else."""

    def __init__(self, rng: np.random.Generator, kind: str, severity: float, removable: tuple[str, ...] = ("",)):
        self.kind, self.severity = kind, severity
        self.part = removable[int(rng.integers(len(removable)))]
        self.angle = rng.uniform(0, 2 * math.pi)
        self.turn = rng.choice((-1, 1)) * rng.uniform(0.35, 0.75)
        self.jags = rng.standard_normal(24)

    def hole(self) -> tuple[float, float]:
        """Washer and nut: where the hole's centre is."""
        if self.kind != "misplaced":
            return 0.0, 0.0
        reach = 0.085 * self.severity
        return reach * math.cos(self.angle), reach * math.sin(self.angle)

    def bite(self, u: np.ndarray, v: np.ndarray, edge: np.ndarray, rim: float) -> np.ndarray:
        """Washer and nut: the distance to the nearest rim after a piece has broken out of the outer one."""
        return self.bite_at(u, v, edge, rim * math.cos(self.angle), rim * math.sin(self.angle))

    def bite_at(self, u: np.ndarray, v: np.ndarray, edge: np.ndarray, u0: float, v0: float) -> np.ndarray:
        """The distance to the nearest rim after a piece around (u0, v0) has broken out."""
        if self.kind != "missing":
            return edge
        du, dv = u - u0, v - v0
        around = np.arctan2(dv, du)
        jag = sum(self.jags[k] * np.cos((k + 2) * around + 6.28 * self.jags[k + 12]) / (k + 2) for k in range(6))
        radius = 0.26 * self.severity * (1 + 0.16 * jag)
        return np.maximum(edge, radius - np.hypot(du, dv))

    def gap(self) -> float:
        """Capsule: how far the cap stands off."""
        return 0.13 * self.severity if self.kind == "misplaced" else 0.0

    def swing(self, most: float) -> float:
        """Nut and capsule: how far the part is turned, in radians; ``most`` at severity 1."""
        return math.copysign(most * self.severity, self.turn) if self.kind == "turned" else 0.0

    def moved(self, canvas: Canvas, half: tuple[float, float]) -> Canvas:
        """Board: the canvas on which a part's body is painted: shifted and turned, or cut off at a jagged line.

        Args:
            canvas: at the part's place.
            half: half sides of the part with its leads; severity is the share of this box that broke off.
        """
        if self.kind == "misplaced":
            reach = 0.11 * self.severity
            return canvas.at(reach * math.cos(self.angle), reach * math.sin(self.angle), self.turn * self.severity)
        if self.kind != "missing":
            return canvas
        box = np.meshgrid(np.linspace(-half[0], half[0], 64), np.linspace(-half[1], half[1], 64))
        line = np.quantile(self._across(*box), 1 - self.severity) if self.severity < 1 else -np.inf
        stays = coverage(self._across(*canvas.grid()) - line, canvas.pixel)
        return Canvas(canvas.image, canvas.pose, stays if canvas.cover is None else stays * canvas.cover)

    def _across(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """How far a point lies in the direction in which the part broke; the line of breakage is jagged."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        jag = np.interp(c * v - s * u, np.linspace(-0.3, 0.3, len(self.jags)), self.jags)
        return (c * u + s * v + 0.012 * jag).astype(np.float32)
