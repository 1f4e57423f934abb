"""Global Mahalanobis distance of one pooled feature vector: the Gaussian that DifferNet's flow must beat.

    features f (D,) -> z = L^-1 (f - mean) -> score = |z|^2, mean over views

z is the latent of the affine flow, fitted in closed form: no steps, no seed. By default one view, the image as it is.
For the same features and the same views as DifferNet: ``Mahalanobis.small(**differnet.view_settings)``.
Sources: Mahalanobis 1936; on pooled features of a frozen network: Rippel, Mertens, Merhof 2020, arXiv 2005.14140
(there one Gaussian per level of an EfficientNet; here one for the whole vector).
"""

from __future__ import annotations

from dataclasses import dataclass

from tutorial_lib.flows import Whitening

from .covariance import shrunk_whitening
from .pooled import PooledDetector, PooledSettings


@dataclass(frozen=True, kw_only=True)
class MahalanobisSettings(PooledSettings):
    """``shrinkage``: share of the identity in the correlation matrix; None lets Ledoit and Wolf decide."""

    shrinkage: float | None = None
    standardise: bool = True


class Mahalanobis(PooledDetector):
    """Squared Mahalanobis distance of pooled features. It has no map: positions were averaged away."""

    name = "mahalanobis"
    Settings = MahalanobisSettings
    has_map = False

    def _fit(self, images, callback, resume):
        bank = self.bank_features(images)  # (N, V, D)
        found = shrunk_whitening(bank.flatten(0, 1), self.settings.shrinkage, self.settings.standardise, bank[:, 0])
        return found.whitening.float().state_dict(), {"shrinkage": found.shrinkage, "dim": bank.shape[2]}

    def _adopt(self, state):
        self.whitening = Whitening(len(state["mean"])).to(self.device)
        self.whitening.load_state_dict(state)

    def _encode(self, features):
        return self.whitening(features)[0]  # (M, D)

    def _terms(self, batch):
        (z,) = self._latents(batch)  # (B, T, D)
        return {"squared distance": z.square().sum(2).mean(1)}

    def parameters_count(self) -> int:
        """The mean and the lower triangle of L."""
        dim = self.feature_dim
        return dim + dim * (dim + 1) // 2
