"""The two parts of a likelihood: log p(x) = log p(z) + log_det. A score may contain both, one, or neither."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.detectors import Detector, DetectorError
from tutorial_lib.detectors.images import batches
from tutorial_lib.flows.base import standard_normal_log_prob

PRIOR, VOLUME = "-log p(z)", "-log_det"


def likelihood_parts(detector: Detector, images: Tensor) -> dict[str, Tensor]:
    """``{"-log p(z)": (N,), "-log_det": (N,)}`` in nats, summed over scales and positions, mean over views.

    Raises:
        DetectorError: the method has no density on its features (pca, pyramidflow), or a constant log_det, because its
            map from features to latents is affine (mahalanobis, gaussian).
    """
    if detector.name not in _PARTS:
        reason = _WITHOUT.get(detector.name, "its score is no likelihood")
        raise DetectorError(f"{detector.name} has no log_det to look at: {reason}. Use one of {', '.join(_PARTS)}.")
    found: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for batch, _ in batches(images, detector.settings.size, detector.settings.batch, "explorer"):
            found.append(_PARTS[detector.name](detector, batch.to(detector.device)))
    prior, log_det = (torch.cat(same).double().cpu() for same in zip(*found, strict=True))
    return {PRIOR: -prior, VOLUME: -log_det}


def _differnet(detector, batch: Tensor) -> tuple[Tensor, Tensor]:
    angles = detector.test_angles()
    features = detector._vectors(batch, angles).flatten(0, 1)  # (B * T, D)
    z, log_det = detector.flow(features)
    return tuple(v.view(len(batch), -1).mean(1) for v in (standard_normal_log_prob(z), log_det))


def _fastflow(detector, batch: Tensor) -> tuple[Tensor, Tensor]:
    pairs = [head(f) for head, f in zip(detector.heads, detector.maps(batch), strict=True)]
    return sum(standard_normal_log_prob(z) for z, _ in pairs), sum(log_det for _, log_det in pairs)


def _cflow(detector, batch: Tensor) -> tuple[Tensor, Tensor]:
    prior, volume = torch.zeros(len(batch), device=batch.device), torch.zeros(len(batch), device=batch.device)
    for flow, m in zip(detector.flows, detector.vectors(batch), strict=True):
        code = detector.code(*m.shape[2:])
        rows = m.permute(0, 2, 3, 1).reshape(-1, m.shape[1])  # (B * h * w, C)
        z, log_det = flow(rows, None if code is None else code.repeat(len(m), 1))
        prior = prior + standard_normal_log_prob(z).view(len(m), -1).sum(1)
        volume = volume + log_det.view(len(m), -1).sum(1)
    return prior, volume


def _csflow(detector, batch: Tensor) -> tuple[Tensor, Tensor]:
    z, log_det = detector.flow(detector.features(batch))
    return standard_normal_log_prob(z), log_det


_PARTS: dict[str, Callable] = {"differnet": _differnet, "cflow": _cflow, "csflow": _csflow, "fastflow": _fastflow}
_WITHOUT = {
    "pca": "its score is what its latents cannot explain",
    "mahalanobis": "an affine map stretches every image alike, so log_det is the same number for all",
    "gaussian": "an affine map stretches every image alike, so log_det is the same number for all",
    "patches": "it remembers vectors and has no flow",
    "pyramidflow": "its pyramid makes more numbers than the image has, so no density of the image follows",
}
