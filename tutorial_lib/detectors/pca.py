"""PCA residual on small pixels: the baseline without a backbone. What the usual variation cannot explain is anomalous.

    x (3 * 32 * 32) -> c = W (x - mean)  (k,)  ->  residual r = x - mean - W^T c,  score = mean of r^2

W holds the k directions in which normal images vary most. Where objects are aligned this alone finds
many defects: the factory's pose jitter is tuned so that it does not.
Source: Pearson 1901, On lines and planes of closest fit to systems of points in space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.decomposition import PCA as SklearnPCA
from torch import Tensor

from . import base
from .images import resize


@dataclass(frozen=True, kw_only=True)
class PCASettings(base.Settings):
    """``side``: pixels per side that are kept. ``components``: directions that count as usual variation, k."""

    size: int = 128
    batch: int = 64
    backbone: str | None = None
    side: int = 32
    components: int = 15


class PCA(base.Detector):
    """Squared residual of a principal component model of the image, reduced to ``side`` x ``side`` pixels."""

    name = "pca"
    Settings = PCASettings

    @classmethod
    def small(cls, backbone=None, seed: int = 0, device: str = "auto", progress: bool = True, **overrides) -> PCA:
        """The only setting. ``backbone`` is accepted, because every detector takes it, and not used."""
        overrides = {k: v for k, v in overrides.items() if k not in ("weights", "backbone_seed", "taps")}
        return cls._make(None, seed, device, progress, overrides)

    def _fit(self, images, callback, resume):
        x = torch.cat([self._pixels(batch) for batch, _ in self._batches(images, "fit")]).cpu()  # (N, 3 * side^2)
        k = min(self.settings.components, len(x) - 1)  # N images span N - 1 directions
        model = SklearnPCA(k, svd_solver="full").fit(x.double().numpy())
        mean, components = torch.from_numpy(model.mean_), torch.from_numpy(model.components_)  # (d,), (k, d)
        history = {"components": k, "explained_variance": float(model.explained_variance_ratio_.sum())}
        return {"mean": mean.float(), "components": components.float()}, history

    def _pixels(self, batch: Tensor) -> Tensor:
        side = self.settings.side
        return resize(batch, (side, side)).flatten(1)  # (B, 3, S, S) -> (B, 3 * side^2)

    def _residual(self, batch: Tensor) -> Tensor:
        x = self._pixels(batch) - self.state["mean"]
        code = x @ self.state["components"].T  # (B, k)
        return (x - code @ self.state["components"]).square()  # (B, 3 * side^2)

    def _terms(self, batch):
        return {"residual": self._residual(batch).mean(1)}

    def _latents(self, batch):
        return ((self._pixels(batch) - self.state["mean"]) @ self.state["components"].T,)  # (B, k)

    def _map(self, batch):
        side = self.settings.side
        return self._residual(batch).unflatten(1, (3, side, side)).mean(1)  # (B, side, side); enlarged by the base
