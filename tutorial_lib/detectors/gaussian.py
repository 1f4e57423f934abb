"""One Gaussian per position of the feature map: the baseline with a map. After PaDiM (Defard 2020, arXiv 2011.08785).

    features f (C, h, w) -> z_p = L_p^-1 (f_p - mean_p) at each position p -> map |z_p|^2 / C -> blur -> score = maximum

z_p is the latent of an affine flow of its own at every position. PaDiM shrinks each covariance towards the identity
(ridge 0.01); here it is shrunk towards the mean covariance over all positions, which follows any linear change of
the features (up to the small ridge).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from . import base
from .covariance import per_position_cholesky
from .views import stream


@dataclass(frozen=True, kw_only=True)
class GaussianSettings(base.Settings):
    """Settings of the per-position Gaussian.

    Attributes:
        channels: how many channels, drawn from the seed, are kept of all taps together (PaDiM: 100).
        shrinkage: share of the mean covariance over positions. ridge: see ``covariance.per_position_cholesky``.
        sigma: blur of the map before its maximum is taken, in pixels of the resized image.
    """

    channels: int = 100
    shrinkage: float = 0.2
    ridge: float = 1e-3
    sigma: float = 4.0


def stacked(maps: Sequence[Tensor]) -> Tensor:
    """Maps ``(B, C_i, h_i, w_i)`` of several taps as one, ``(B, sum of C_i, h_0, w_0)``, all at the first one's size.

    Coarser maps are enlarged. A map twice as fine is averaged over 2 x 2 positions, which is what bilinear gives.
    """
    size = maps[0].shape[2:]
    return torch.cat([maps[0]] + [F.interpolate(m, size=size, mode="bilinear") for m in maps[1:]], dim=1)


def blurred(m: Tensor, sigma: float) -> Tensor:
    """Maps ``(B, 1, S, S)`` under a Gaussian of ``sigma`` pixels, cut off at four of them; 0 for none."""
    reach = min(int(4 * sigma + 0.5), m.shape[-1] - 1)
    return gaussian_blur(m, [2 * reach + 1] * 2, [sigma] * 2) if sigma > 0 else m


class Gaussian(base.Detector):
    """Squared Mahalanobis distance at each position over the number of channels: near 1 where an image is normal."""

    name = "gaussian"
    Settings = GaussianSettings
    settings: GaussianSettings

    @classmethod
    def small(cls, backbone="embedded", seed=0, device="auto", progress=True, **overrides) -> Gaussian:
        """The setting for two CPU cores: of the embedded backbone the two finest taps, both at stride 4."""
        if backbone == "embedded":
            overrides = {"taps": ("stride4", "stride2")} | overrides
        return cls._make(backbone, seed, device, progress, overrides)

    def features(self, batch: Tensor) -> Tensor:
        """Images ``(B, 3, S, S)`` to ``(B, C, h, w)``: all taps at the first one's size, some channels kept."""
        f = stacked(self.maps(batch))
        return f[:, self.channels(f.shape[1])]

    def channels(self, available: int) -> Tensor:
        """Indices of the channels that are kept, in order."""
        kept = torch.randperm(available, generator=stream(self.settings.seed, 0))[:self.settings.channels]
        return kept.sort().values

    @torch.no_grad()
    def _fit(self, images, callback, resume):
        s, n = self.settings, 0
        for batch, _ in self._batches(images, "fit"):
            f = self.features(batch).flatten(2).permute(2, 0, 1).double()  # (P, B, C)
            if n == 0:
                origin = f.mean(1, keepdim=True)  # near the mean, so that the moments below lose no digits
                first, second = torch.zeros_like(origin), torch.zeros(len(f), f.shape[2], f.shape[2]).to(f)
            f = f - origin
            first += f.sum(1, keepdim=True)
            second += f.mT @ f  # (P, C, C)
            n += f.shape[1]
        mean = first / n  # (P, 1, C)
        moments = second / n - mean.mT @ mean
        lower = per_position_cholesky(moments, s.shrinkage, s.ridge)
        return {"mean": (mean + origin)[:, 0].float(), "L": lower.float()}, {"positions": len(lower)}

    def _white(self, batch: Tensor) -> tuple[Tensor, torch.Size]:
        f = self.features(batch)  # (B, C, h, w)
        centred = f.flatten(2).permute(2, 1, 0) - self.state["mean"][:, :, None]  # (P, C, B)
        return torch.linalg.solve_triangular(self.state["L"], centred, upper=False), f.shape[2:]

    def _latents(self, batch):
        z, size = self._white(batch)  # (P, C, B)
        return (z.permute(2, 1, 0).unflatten(2, size),)  # (B, C, h, w)

    def _map(self, batch):
        z, size = self._white(batch)
        m = z.square().mean(1).T.unflatten(1, size)[:, None]  # (B, 1, h, w)
        m = F.interpolate(m, size=batch.shape[2:], mode="bilinear", align_corners=False)
        return blurred(m, self.settings.sigma)[:, 0]  # (B, S, S)

    def _terms(self, batch):
        return {"map maximum": self._map(batch).amax((1, 2))}

    def parameters_count(self) -> int:
        """One mean and one triangle per position."""
        self._need_fit("parameters_count")
        positions, c = self.state["mean"].shape
        return positions * (c + c * (c + 1) // 2)
