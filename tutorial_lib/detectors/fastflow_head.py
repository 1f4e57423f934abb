"""What stands behind one tap of FastFlow: norm, whitening, and K x (coupling, channel scale, fixed permutation)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.flows import (
    AffineCoupling,
    Chain,
    Flow,
    Permutation,
    SoftplusScale,
    TanhClamp,
    TwoSidedCoupling,
    Whitening,
    conv,
)
from tutorial_lib.flows.all_in_one import damped

from .errors import DetectorError
from .fastflow_settings import FastFlowSettings
from .views import stream

COUPLINGS = {"one-sided": AffineCoupling, "two-sided": TwoSidedCoupling}
WEIGHTS, ORDER, MIXING = range(3)  # names of the random streams of one seed


class Head(nn.Module):
    """What stands behind one tap: norm, whitening (part of the flow), blocks. Maps ``(B, C, h, w)`` to latents.

    Raises:
        DetectorError: an odd number of channels, or too few for the hidden layers.
    """

    def __init__(self, shape: tuple[int, int, int], settings: FastFlowSettings, tap: int):
        super().__init__()
        s, c = settings, shape[0]
        if c % 2:
            raise DetectorError(f"taps: tap number {tap} has {c} channels. A coupling of fastflow splits them in two "
                                "equal halves: choose taps with an even number of channels.")
        if int(c // 2 * s.ratio) < 1:
            raise DetectorError(f"ratio={s.ratio} leaves no hidden channel of {c // 2}: expected {2 / c:g} or more.")
        self.norm = nn.Identity()
        if s.norm != "none":
            self.norm = nn.LayerNorm(shape, elementwise_affine=s.norm == "learned")
        clamp, kind, parts = TanhClamp(s.alpha, s.clamp_gain), COUPLINGS[s.coupling], [Whitening(c)] * s.whiten
        for k in range(s.blocks):
            subnet = damped(conv(int(c // 2 * s.ratio), s.kernels[k % len(s.kernels)], zero_last=s.zero_init))
            order = stream(s.seed, MIXING, tap, k).initial_seed() % 2**32
            parts += [kind(c, subnet, clamp), SoftplusScale(c), Permutation(c, order)]
        self.flow = Flow(Chain(*parts), shape)
        self.eps = s.ridge

    @property
    def whitening(self) -> Whitening | None:
        """The affine flow in front, if there is one."""
        first = self.flow.transform[0]
        return first if isinstance(first, Whitening) else None

    @torch.no_grad()
    def prepare(self, f: Tensor) -> Tensor:
        """Fit the whitening to training maps ``(N, C, h, w)``; returns them as the blocks will see them."""
        x = self.norm(f)
        return x if self.whitening is None else self.whitening.fit(x, self.eps)(x)[0]

    def learned(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(z, log_det)`` of the parts that learn: the rest was applied by ``prepare``."""
        if isinstance(self.norm, nn.LayerNorm) and self.norm.elementwise_affine:
            x = self.norm(x)
        return self.flow.transform[0 if self.whitening is None else 1:](x)

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the backbone to ``(z, log_det)``; log_det is that of the flow on normed features, ``(B,)``."""
        return self.flow(self.norm(f))
