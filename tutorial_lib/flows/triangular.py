"""Linear maps of the channels whose log-det is a sum along a diagonal, because they are triangular.

Both are undone or applied by triangular solves: no matrix is ever inverted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.flows.base import Transform, check_channels
from tutorial_lib.flows.mixing import haar_rotation, mix, positions


class Whitening(Transform):
    """The smallest flow: z = L^-1 (x - mean) with L L^T = covariance; log_det = -sum ln L_ii (per position).

    Fitted in closed form by :meth:`fit`; before that it is the identity. With a standard normal base its density is
    the Gaussian N(mean, L L^T), and |z|^2 is the squared Mahalanobis distance. L is lower triangular (Cholesky).
    On (B, C, H, W) every position is whitened by the same L, and the log_det counts H * W times.

    Args:
        dim: number of channels.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("L", torch.eye(dim))

    @torch.no_grad()
    def fit(self, x: Tensor, eps: float = 1e-6) -> Whitening:
        """Set mean and L from samples: the maximum of the likelihood over all affine flows (up to the ridge).

        covariance = (1/N) sum (x - mean)(x - mean)^T + eps * (mean variance) * I. The ridge is relative to the
        variance averaged over channels, so that units do not matter, and makes N < dim possible.

        Args:
            x: samples (N, dim) or maps (N, dim, H, W), whose positions count as samples.
            eps: ridge, as a share of the mean variance.

        Raises:
            ValueError: if there is no sample, a value is not finite, all samples are equal, or L does not exist.
        """
        check_channels(x, self.dim, self)
        rows = x.detach().movedim(1, -1).reshape(-1, self.dim).cpu().double()          # (N, dim); MPS has no float64
        if len(rows) == 0:
            raise ValueError("Whitening.fit received no samples. Give at least two different ones.")
        if not rows.isfinite().all():
            bad = int((~rows.isfinite().all(1)).sum())
            raise ValueError(f"Whitening.fit: {bad} of {len(rows)} samples hold NaN or infinity. Remove them first.")
        mean = rows.mean(0)
        covariance = (rows - mean).T @ (rows - mean) / len(rows)
        variance = covariance.diagonal().mean()
        if variance == 0:
            raise ValueError(f"Whitening.fit: all {len(rows)} samples are equal, so there is no spread to whiten. "
                             "Give at least two different samples.")
        lower, failed = torch.linalg.cholesky_ex(covariance + eps * variance * torch.eye(self.dim).to(covariance))
        if failed:
            raise ValueError(f"Whitening.fit: the covariance of {len(rows)} samples in {self.dim} channels has no "
                             f"Cholesky factor with eps={eps:g}. Use more samples or a larger eps (1e-3).")
        self.mean.copy_(mean)
        self.L.copy_(lower)
        return self

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        centred = x - _per_channel(self.mean, x)
        return solve(self.L, centred), self._log_det(x)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        return mix(self.L, z) + _per_channel(self.mean, z), -self._log_det(z)

    def _log_det(self, x: Tensor) -> Tensor:
        return (-positions(x) * self.L.diagonal().log().sum()).expand(x.shape[0])


class Invertible1x1(Transform):
    """A learned linear map of the channels, one matrix for all positions: z = W x, log_det = H W sum log_s.

    W = P L (U + diag(sign * exp(log_s))), L unit lower, U strictly upper triangular, P and sign fixed
    (Glow, 2018, arXiv 1807.03039, equation 10). W starts as a random rotation, so log_det starts at 0.

    Args:
        channels: C of x, shape (B, C) or (B, C, H, W).
        seed: of the first rotation; an own generator, the global one is not touched.
    """

    def __init__(self, channels: int, seed: int):
        super().__init__()
        p, lower, upper = torch.linalg.lu(haar_rotation(channels, seed))
        dtype = torch.get_default_dtype()
        self.dim = channels
        self.register_buffer("index", p.argmax(dim=1))                       # (P y)_i = y[index_i]
        self.register_buffer("inverse_index", p.argmax(dim=0))
        self.register_buffer("sign", upper.diagonal().sign().to(dtype))
        self.lower = nn.Parameter(lower.tril(-1).to(dtype))
        self.upper = nn.Parameter(upper.triu(1).to(dtype))
        self.log_s = nn.Parameter(upper.diagonal().abs().log().to(dtype))    # (C,)

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(sign * exp(log_s)), each (C, C)."""
        lower = self.lower.tril(-1) + torch.eye(self.dim).to(self.lower)
        return lower, self.upper.triu(1) + torch.diag(self.sign * self.log_s.exp())

    def matrix(self) -> Tensor:
        """W itself, (C, C)."""
        lower, upper = self.factors()
        return (lower @ upper)[self.index]

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        return mix(self.matrix(), x), self._log_det(x)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        lower, upper = self.factors()
        y = solve(lower, z[:, self.inverse_index], unit=True)
        return solve(upper, y, upper=True), -self._log_det(z)

    def _log_det(self, x: Tensor) -> Tensor:
        return (positions(x) * self.log_s.sum()).expand(x.shape[0])


def solve(triangle: Tensor, x: Tensor, upper: bool = False, unit: bool = False) -> Tensor:
    """``triangle``^-1 applied to the channels of every position: (B, C, ...) -> (B, C, ...)."""
    columns = x.movedim(1, 0)                                                # (C, B, ...)
    out = torch.linalg.solve_triangular(triangle, columns.flatten(1), upper=upper, unitriangular=unit)
    return out.view(columns.shape).movedim(0, 1)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (x.dim() - 2))                          # (C,) -> (1, C, 1, 1)
