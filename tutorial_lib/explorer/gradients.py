"""Which pixels would change the score: the gradient map of chapter 08, for any method.

    g = sum_c | G * d s / d x_c |      s ranks images as the score does

A score such as -exp(-|z|^2 / 2) is flat where an image is very unusual: its gradient is zero just where one wants to
look. For those methods s is the logarithm, which ranks the same and never saturates.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.detectors import Detector
from tutorial_lib.detectors.gradient_map import channel_sum, input_gradient
from tutorial_lib.detectors.images import square

SIGMA = 1.5  # pixels, at 64 x 64


def gradient_map(detector: Detector, images: Tensor, sigma: float | None = None) -> Tensor:
    """g of each image, ``(N, S, S)`` at the detector's size S, in units of score per unit of grey value.

    Args:
        images: ``(N, 3, H, W)`` in [0, 1]. sigma: of the blur in pixels; by default 1.5 at 64 pixels, and in
            proportion.
    """
    size = detector.settings.size
    batch = square(images, range(len(images)), size, "explorer")[0].to(detector.device)
    gradient = input_gradient(ranking_of(detector), batch)
    return channel_sum(gradient, SIGMA * size / 64 if sigma is None else sigma).cpu()


def ranking_of(detector: Detector) -> Callable[[Tensor], Tensor]:
    """A differentiable function of square images ``(B, 3, S, S)`` that ranks them as the score does, ``(B,)``."""
    return _RANKINGS.get(detector.name, _score)(detector)


def _score(detector: Detector) -> Callable[[Tensor], Tensor]:
    return lambda batch: sum(detector._terms(batch).values())


def _cflow(detector) -> Callable[[Tensor], Tensor]:
    def surprise(batch: Tensor) -> Tensor:
        """-log of the summed likelihoods where they are lowest."""
        found = zip(detector.likelihoods(detector.vectors(batch)), detector.maxima, strict=True)
        relative = [(values.double() - m).clamp(max=0) for values, m in found]  # (B, h_k, w_k) each
        logs = torch.stack([_enlarged(m, detector.settings) for m in relative])  # (K, B, S * S)
        return -torch.logsumexp(logs, 0).amin(1)

    return surprise


def _fastflow(detector) -> Callable[[Tensor], Tensor]:
    def surprise(batch: Tensor) -> Tensor:
        """-log of the mean over taps of exp(-mean z² / 2), where it is lowest."""
        energy = [-0.5 * z.square().mean(1) for z in detector._latents(batch)]  # (B, h, w) each
        logs = torch.stack([_enlarged(e, detector.settings) for e in energy])
        return -torch.logsumexp(logs, 0).amin(1)

    return surprise


def _enlarged(m: Tensor, settings) -> Tensor:
    """``(B, h, w)`` to ``(B, S * S)``, bilinear. Logarithms are enlarged, which differs between cells only."""
    align = getattr(settings, "align_corners", False)
    return F.interpolate(m[:, None], size=(settings.size,) * 2, mode="bilinear", align_corners=align).flatten(1)


def _pyramidflow(detector) -> Callable[[Tensor], Tensor]:
    def distance(batch: Tensor) -> Tensor:
        """The score itself; the fixed stem, which the detector runs without records, is passed with them here."""
        stem = detector.model.stem or (lambda x: detector.maps(x)[0])
        return detector.level_maps(detector.model(stem(batch)), detector.template).sum(1).flatten(1).amax(1)

    return distance


_RANKINGS = {"cflow": _cflow, "fastflow": _fastflow, "pyramidflow": _pyramidflow}
