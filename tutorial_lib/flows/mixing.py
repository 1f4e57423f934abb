"""Fixed ways to mix channels between couplings, so that no channel passes unchanged through the whole flow.

Both leave volumes alone: log_det = 0. Both act on axis 1 of (B, C) and of (B, C, H, W).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.flows.base import Transform, check_channels


class Permutation(Transform):
    """Reorder the channels: z[:, i] = x[:, index[i]], log_det = 0.

    The order is drawn with NumPy's legacy generator, ``RandomState(seed)``, as in DifferNet's released code
    (seed k for block k): the same seed gives the same order as there. Both orders are saved with the weights.

    Args:
        dim: number of channels.
        seed: of the draw, 0 to 2^32 - 1.
        draw: which of the orders that this seed gives one after the other; 0 is the first.
    """

    def __init__(self, dim: int, seed: int, draw: int = 0):
        super().__init__()
        generator = np.random.RandomState(seed)
        index = torch.from_numpy([generator.permutation(dim) for _ in range(draw + 1)][-1])
        self.dim = dim
        self.register_buffer("index", index)
        self.register_buffer("inverse_index", index.argsort())

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        return x[:, self.index], x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        return z[:, self.inverse_index], z.new_zeros(z.shape[0])


class Rotation(Transform):
    """Turn the channels by a fixed random rotation: z = R x, x = R^T z, log_det = ln 1 = 0.

    R is uniform (Haar) on the rotations, det R = +1: the QR decomposition of a Gaussian matrix with the signs of
    diag(R) moved into Q (Mezzadri 2007, arXiv math-ph/0609050, section 5).

    Args:
        dim: number of channels.
        seed: of the draw; an own generator, the global one is not touched.
    """

    def __init__(self, dim: int, seed: int):
        super().__init__()
        self.dim = dim
        self.register_buffer("matrix", haar_rotation(dim, seed).to(torch.get_default_dtype()))

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        return mix(self.matrix, x), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        return mix(self.matrix.T, z), z.new_zeros(z.shape[0])

    def _apply(self, fn, *args, **kwargs):
        # A matrix rounded to float32 is orthogonal to 1e-7 only, also after .double(). One Newton step
        # R (3 I - R^T R) / 2 squares that error, so that the float64 flow is exact in float64.
        before = self.matrix.dtype
        super()._apply(fn, *args, **kwargs)
        if self.matrix.dtype == torch.float64 != before:
            r = self.matrix
            self.matrix = r @ (3 * torch.eye(self.dim, dtype=r.dtype, device=r.device) - r.T @ r) / 2
        return self


def haar_rotation(dim: int, seed: int) -> Tensor:
    """A random rotation matrix (dim, dim) in float64, uniform over all rotations."""
    gaussian = torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    q = q * r.diagonal().sign()                    # without it, QR's own sign convention biases the draw
    if torch.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]                         # a reflection becomes a rotation
    return q


def mix(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply the channels of every position by ``matrix`` (C, C): (B, C, ...) -> (B, C, ...)."""
    return (x.movedim(1, -1) @ matrix.T).movedim(-1, 1)


def positions(x: Tensor) -> int:
    """How often a channel map acts on one sample: H * W for (B, C, H, W), 1 for (B, C)."""
    return math.prod(x.shape[2:])
