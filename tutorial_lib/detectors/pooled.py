"""One feature vector per view of an image: the part that ``differnet`` and ``mahalanobis`` share.

    image -> views (rotations) -> scales -> backbone -> each map averaged over its positions -> one vector (D,)

Pooling makes the vector blind to position: shuffle the positions of a map and nothing changes. The two methods differ
in one line, how they measure that such a vector is unusual: by a flow, or by a Gaussian, which is the affine flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import base
from .errors import DetectorError
from .views import FILLS, even_angles, random_angles, turned

POOLING: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda m: m.mean((2, 3)),  # (B, C, h, w) -> (B, C)
    "max": lambda m: m.amax((2, 3)),
}
VIEWS_AT_ONCE = 64  # through the backbone: bounds the memory, not the result


def pool_concat(maps: Iterable[Tensor], pooling: Iterable[str] = ("mean",)) -> Tensor:
    """Maps ``(B, C_i, h_i, w_i)`` to one vector per image, ``(B, sum of C_i)`` for each kind of pooling."""
    kinds = tuple(pooling)
    return torch.cat([POOLING[kind](m) for m in maps for kind in kinds], dim=1)


@dataclass(frozen=True, kw_only=True)
class PooledSettings(base.Settings):
    """Settings of the features and of the views.

    Attributes:
        scales: the image is seen at size, size / 2, size / 4, ...: so many scales.
        pooling: kinds of pooling, ``"mean"`` (the paper) and ``"max"``.
        rotation: degrees; views are turned by up to this angle either way.
        fill: what turns in at the corners, ``"black"`` (the paper) or ``"reflect"``.
        bank: views of each training image that are computed once and kept; 0 draws new ones at every step.
        test_views: views whose mean is the score.
        test_angles: ``"even"``, spread evenly and beginning with the image as it is, or ``"random"``, drawn once from
            the seed. Either way every image is turned by the same angles.
    """

    scales: int = 2
    pooling: tuple[str, ...] = ("mean", "max")
    rotation: float = 0.0
    fill: str = "reflect"
    bank: int = 1
    test_views: int = 1
    test_angles: str = "even"

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.pooling if kind not in POOLING]
        if unknown or not self.pooling:
            raise DetectorError(f"pooling={self.pooling!r}: expected one or more of {', '.join(POOLING)}, as a tuple.")
        if self.test_angles not in ("even", "random"):
            raise DetectorError(f"test_angles={self.test_angles!r}: expected 'even' or 'random'.")
        if self.fill not in FILLS:
            raise DetectorError(f"fill={self.fill!r}: expected {' or '.join(map(repr, FILLS))}.")
        for name, least in {"scales": 1, "bank": 0, "test_views": 1}.items():
            if getattr(self, name) < least:
                raise DetectorError(f"{name}={getattr(self, name)}: expected {least} or more.")


class PooledDetector(base.Detector):
    """Base of the methods that see an image as one vector per view. Subclasses give ``_encode`` and ``_terms``."""

    Settings = PooledSettings
    settings: PooledSettings

    @property
    def view_settings(self) -> dict:
        """The settings of features and views, to be handed to another pooled method for a fair comparison."""
        names = ("size", "backbone_seed", "weights", "taps", "scales", "pooling", "rotation", "fill", "bank",
                 "test_views", "test_angles")
        return {name: getattr(self.settings, name) for name in names}

    def features(self, views: Tensor) -> Tensor:
        """Views ``(M, 3, S, S)`` in [0, 1] to vectors ``(M, D)``, largest scale first.

        Smaller scales take every 2nd, 4th, ... pixel (nearest, no antialiasing, as the released code of DifferNet).
        """
        vectors = []
        for k in range(self.settings.scales):
            side = views.shape[-1] // 2**k
            scaled = views if k == 0 else F.interpolate(views, size=(side, side), mode="nearest")
            vectors.append(pool_concat(self.maps(scaled), self.settings.pooling))
        return torch.cat(vectors, dim=1)

    @property
    def feature_dim(self) -> int:
        """D: scales x kinds of pooling x channels of all taps."""
        channels = sum(tap.channels for tap in self.backbone.taps.values())
        return self.settings.scales * len(self.settings.pooling) * channels

    def test_angles(self) -> Tensor:
        """``(T,)`` degrees: the same for every image, so that scoring a batch equals scoring one by one."""
        s = self.settings
        if s.test_angles == "even":
            return even_angles(s.test_views, s.rotation)
        return random_angles(s.test_views, s.rotation, s.seed, TEST)

    def bank_angles(self, index: int, n: int | None = None) -> Tensor:
        """``(V,)`` degrees of the stored training views of image ``index``; they depend on no other image."""
        return random_angles(n or max(1, self.settings.bank), self.settings.rotation, self.settings.seed, BANK, index)

    @torch.no_grad()
    def view_features(self, images: base.Images) -> Tensor:
        """``(N, T, D)``: the vectors of the test views, without any model behind them. Needs no fit."""
        return torch.cat([self._vectors(batch, self.test_angles()) for batch, _ in self._batches(images, "features")])

    @torch.no_grad()
    def bank_features(self, images: base.Images) -> Tensor:
        """``(N, V, D)``: the vectors of the training views."""
        found, done = [], 0
        for batch, _ in self._batches(images, "features"):
            angles = torch.stack([self.bank_angles(done + i) for i in range(len(batch))])  # (B, V)
            found.append(self._vectors(batch, angles))
            done += len(batch)
        return torch.cat(found)

    def _vectors(self, batch: Tensor, angles: Tensor) -> Tensor:
        """``(B, 3, S, S)`` and ``(T,)`` or ``(B, T)`` degrees to ``(B, T, D)``."""
        per = max(1, VIEWS_AT_ONCE // angles.shape[-1])  # images at once
        parts = []
        for start in range(0, len(batch), per):
            chosen = angles if angles.ndim == 1 else angles[start:start + per]
            views = turned(batch[start:start + per], chosen.to(batch.device), self.settings.fill)
            parts.append(torch.cat([self.features(v) for v in views.split(VIEWS_AT_ONCE)]))
        return torch.cat(parts).unflatten(0, (len(batch), angles.shape[-1]))

    def _encode(self, features: Tensor) -> Tensor:
        """Vectors ``(M, D)`` to latents ``(M, D)``."""
        raise NotImplementedError

    def _latents(self, batch):
        features = self._vectors(batch, self.test_angles())  # (B, T, D)
        return (self._encode(features.flatten(0, 1)).unflatten(0, features.shape[:2]),)


BANK, TEST, ORDER, CHOICE, WEIGHTS, NOISE = range(6)  # names of the random streams of one seed
