"""A memory of normal patches: how far is the nearest one? The idea of PatchCore (Roth 2022, arXiv 2106.08265).

    features f (C, h, w), means over 3 x 3 neighbours -> memory: the vectors of normal images, from whatever position
    map at p = min over the memory of |f_p - m|, enlarged and blurred        score = max over p, before the blur

No density and nothing trained: what was seen is normal, and so is what lies near it. PatchCore keeps a chosen subset
(a greedy cover of the feature space) and lowers the score of an image whose nearest patch is itself rare; here the
subset is drawn at random from the seed, and the score is the plain maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import base
from .errors import DetectorError
from .gaussian import blurred, stacked
from .views import stream


@dataclass(frozen=True, kw_only=True)
class PatchesSettings(base.Settings):
    """Settings of the memory.

    Attributes:
        memory: patches that are kept, drawn from the seed; a smaller memory is part of a larger one of the same seed.
        neighbourhood: side of the square of positions that are averaged, odd; 1 for none.
        sigma: blur of the map, in pixels of the resized image.
    """

    memory: int = 2000
    neighbourhood: int = 3
    sigma: float = 4.0

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise DetectorError(f"memory={self.memory}: expected 1 or more patches.")
        if self.neighbourhood < 1 or self.neighbourhood % 2 == 0:
            raise DetectorError(f"neighbourhood={self.neighbourhood}: expected an odd number such as 1 or 3.")


def nearest_distance(patches: Tensor, memory: Tensor) -> Tensor:
    """Distance of each patch ``(P, C)`` to the nearest row of ``memory`` (M, C): ``(P,)``, exactly 0 for equal rows.

    Which row is nearest is found by |a|^2 - 2 ab + |b|^2 in float64, fast and good to 8 digits. Its root would not be 0
    for equal patches, or not a number at all: the rounding may fall below 0. So the distance itself is |a - b|.
    """
    a, b = patches.double(), memory.double()
    squares = torch.addmm(b.square().sum(1), a, b.T, alpha=-2)  # (P, M), up to |a|^2, which all in a row share
    return (patches - memory[squares.argmin(1)]).norm(dim=1)


class Patches(base.Detector):
    """Distance of each patch to the nearest normal patch in a memory, wherever on the part that one was."""

    name = "patches"
    Settings = PatchesSettings
    settings: PatchesSettings

    @classmethod
    def small(cls, backbone="embedded", seed=0, device="auto", progress=True, **overrides) -> Patches:
        """The setting for two CPU cores: of the embedded backbone the taps of stride 4 and 8."""
        if backbone == "embedded":
            overrides = {"taps": ("stride4", "stride8")} | overrides
        return cls._make(backbone, seed, device, progress, overrides)

    def features(self, batch: Tensor) -> Tensor:
        """Images ``(B, 3, S, S)`` to ``(B, C, h, w)``: every tap averaged over neighbours, at the first one's size."""
        k = self.settings.neighbourhood
        return stacked([F.avg_pool2d(m, k, 1, k // 2, count_include_pad=False) for m in self.maps(batch)])

    @torch.no_grad()
    def _fit(self, images, callback, resume):
        maps = torch.cat([self.features(batch) for batch, _ in self._batches(images, "fit")])  # (N, C, h, w)
        if not maps.isfinite().all():
            bad = int((~maps.isfinite().flatten(1).all(1)).nonzero()[0])
            raise DetectorError(f"{self.name}.fit: image {bad} has NaN or infinite features. The weights of the "
                                f"backbone ({self.backbone_label}) are damaged: load others.")
        if (maps - maps[:1]).abs().max() <= 1e-5 * maps.abs().max():
            raise DetectorError(f"All {len(maps)} training images have the same features: nothing varies, so nothing "
                                "can be unusual. Give images that differ (are they copies of one file, or all black?).")
        patches = maps.movedim(1, -1).flatten(0, 2)  # (N h w, C)
        kept = torch.randperm(len(patches), generator=stream(self.settings.seed, 0))[:self.settings.memory]
        return {"memory": patches[kept.to(patches.device)]}, {"patches": len(patches), "kept": len(kept)}

    def _distances(self, batch: Tensor) -> Tensor:
        f = self.features(batch)  # (B, C, h, w)
        rows = f.flatten(2).mT    # (B, h w, C)
        return torch.stack([nearest_distance(r, self.state["memory"]) for r in rows]).unflatten(1, f.shape[2:])

    def _latents(self, batch):
        return (self.features(batch),)  # no model behind the features: they are the coordinates

    def _map(self, batch):
        m = F.interpolate(self._distances(batch)[:, None], size=batch.shape[2:], mode="bilinear", align_corners=False)
        return blurred(m, self.settings.sigma)[:, 0]  # (B, S, S)

    def _terms(self, batch):
        return {"largest distance": self._distances(batch).amax((1, 2))}
