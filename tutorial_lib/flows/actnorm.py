"""ActNorm: batch normalisation's good start without its dependence on the batch afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.flows.base import Transform, check_channels
from tutorial_lib.flows.mixing import positions


class ActNorm(Transform):
    """Scale and shift each channel: z = x * exp(log_s) + b, log_det = H W sum log_s (Glow, 2018, arXiv 1807.03039).

    The first batch seen in training mode sets log_s and b so that each channel of z has mean 0 and variance 1 over
    the batch and all positions; from then on they are ordinary parameters. **On that one batch the samples depend on
    each other** (they share mean and variance), so its log_det is not that of a map of single samples. Call
    :meth:`initialise` yourself before training to avoid it. Whether it has happened is saved with the weights.
    In ``eval()`` nothing is ever initialised: an untouched layer is the identity.

    Args:
        channels: C of x, shape (B, C) or (B, C, H, W).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.dim = channels
        self.log_s = nn.Parameter(torch.zeros(channels))
        self.b = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set log_s and b from ``x``. A channel without spread keeps scale 1 and is only shifted.

        Raises:
            ValueError: if ``x`` is empty or holds NaN or infinity.
        """
        check_channels(x, self.dim, self)
        rows = x.movedim(1, -1).reshape(-1, self.dim)                        # (B H W, C)
        if len(rows) == 0 or not rows.isfinite().all():
            found = "no values" if len(rows) == 0 else "NaN or infinity"
            raise ValueError(f"ActNorm.initialise received {found}. Give it a batch of finite training data.")
        std = rows.std(0, correction=0)
        spread = std > 1e-6 * rows.abs().amax(0)                             # below: rounding noise of a constant
        self.log_s.copy_(torch.where(spread, -std.log(), 0.0))
        self.b.copy_(-rows.mean(0) * self.log_s.exp())
        self.initialised.fill_(True)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(x, self.dim, self)
        if self.training and not self.initialised:
            self.initialise(x)
        log_s, b = self._like(x)
        return x * log_s.exp() + b, self._log_det(x)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(z, self.dim, self)
        log_s, b = self._like(z)
        return (z - b) * (-log_s).exp(), -self._log_det(z)

    def _like(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (x.dim() - 2))                                # (1, C) or (1, C, 1, 1)
        return self.log_s.view(shape), self.b.view(shape)

    def _log_det(self, x: Tensor) -> Tensor:
        return (positions(x) * self.log_s.sum()).expand(x.shape[0])
