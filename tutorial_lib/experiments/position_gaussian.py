"""Chapter 07's experiment: one Gaussian per position on features that are computed once, for many small comparisons."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.functional import resize

from tutorial_lib.data.splits import Split
from tutorial_lib.detectors import Gaussian
from tutorial_lib.detectors.covariance import per_position_cholesky
from tutorial_lib.metrics import auroc

SIZE, PUBLISHED_SIZE, CHANNELS, SHRINKAGE, RIDGE = 64, 256, 48, 0.2, 1e-3


def small(weights: str = "embedded", seed: int = 0, backbone: str = "embedded") -> Gaussian:
    """The library's detector at the size of this experiment: 48 channels drawn from its taps, no blur.

    The embedded network gets 64 px; a published one, whose strides are larger, the same images enlarged to 256 px.
    """
    size = SIZE if backbone == "embedded" else PUBLISHED_SIZE
    return Gaussian.small(backbone, size=size, channels=CHANNELS, sigma=0.0, weights=weights, backbone_seed=seed,
                          progress=False)


@torch.no_grad()
def features(detector: Gaussian, images: Tensor, at_once: int = 32) -> Tensor:
    """What the detector sees of images, at its own size: ``(N, C, h, w)``. It need not be fitted."""
    side = detector.settings.size
    return torch.cat([detector.features(batch if batch.shape[-1] == side else resize(batch, [side, side]))
                      for batch in images.split(at_once)])


def fit(f: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(C, h, w)`` and triangle L ``(h, w, C, C)`` of features ``(N, C, h, w)``, shrunk as in the library."""
    mean = f.mean(0)
    x = (f - mean).double().flatten(2).permute(2, 0, 1)                       # (P, N, C)
    L = per_position_cholesky(x.mT @ x / len(f), SHRINKAGE, RIDGE)            # (P, C, C)
    return mean, L.float().unflatten(0, f.shape[2:])


def distance_map(f: Tensor, mean: Tensor, L: Tensor) -> Tensor:
    """Squared Mahalanobis distance over C at each position, ``(B, h, w)``: about 1 where an image is normal."""
    centred = (f - mean).permute(2, 3, 1, 0)                                  # (h, w, C, B)
    return torch.linalg.solve_triangular(L, centred, upper=False).square().mean(2).permute(2, 0, 1)


def image_scores(train: Tensor, test: Tensor) -> Tensor:
    """Highest value of the map of each test image, ``(M,)``, after a fit to ``train``; both features (N, C, h, w)."""
    return distance_map(test, *fit(train)).amax((1, 2))


def image_auroc(train: Tensor, test: Tensor, labels: Tensor) -> float:
    """AUROC of :func:`image_scores`; labels ``(M,)`` True = defective."""
    return auroc(image_scores(train, test), labels)


def with_weights(data: Split, weights: str, seed: int = 0, backbone: str = "embedded") -> tuple[Tensor, Tensor]:
    """Features of the training and of the test images, from a backbone with weights that ``backbones.load`` knows."""
    detector = small(weights, seed, backbone)
    return features(detector, data.train), features(detector, data.test)


def repeated_flaw(detector: Gaussian, data: Split, flaw: Tensor, shares: tuple[float, ...]) -> dict[float, float]:
    """AUROC for one flaw after training images with that very flaw, by their share of the training set.

    ``flaw`` ``(3, S, S)`` is added to good pictures, at the same place in all of them: to the first of the training
    images, and to every good test image, which are then to be told from themselves without it.
    """
    good = data.test[~data.labels]
    clean, flawed = features(detector, data.train), features(detector, (data.train + flaw).clamp(0, 1))
    test = features(detector, torch.cat([good, (good + flaw).clamp(0, 1)]))
    labels = torch.arange(len(test)) >= len(good)
    counts = {share: round(share * len(clean)) for share in shares}
    return {share: image_auroc(torch.cat([flawed[:k], clean[k:]]), test, labels) for share, k in counts.items()}
