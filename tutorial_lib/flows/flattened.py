"""A flow on several maps, seen as a flow on vectors: what checks and Jacobians are written for."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from tutorial_lib.flows.base import Transform


class Flattened(Transform):
    """``transform`` on vectors ``(B, D)`` that hold all its maps, one after the other. Same weights, same log_det.

    Args:
        transform: takes and returns a tuple of maps.
        shapes: (C, h, w) of each map; D is the sum of their products.
    """

    def __init__(self, transform: Transform, shapes: Iterable[tuple[int, ...]]):
        super().__init__()
        self.transform, self.shapes = transform, tuple(tuple(shape) for shape in shapes)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.transform(self.split(x), cond)
        return self.join(z), log_det

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = self.transform.inverse(self.split(z), cond)
        return self.join(x), log_det

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """``(B, D)`` to the maps."""
        parts = x.split([math.prod(shape) for shape in self.shapes], dim=1)
        return tuple(part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True))

    @staticmethod
    def join(maps: tuple[Tensor, ...]) -> Tensor:
        """The maps to ``(B, D)``."""
        return torch.cat([part.flatten(1) for part in maps], dim=1)
