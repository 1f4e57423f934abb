"""Covariances from too few samples: shrink what was measured towards something simple that has an inverse."""

from __future__ import annotations

from typing import NamedTuple

import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor

from tutorial_lib.flows import Whitening

from .errors import DetectorError

DEAD = 1e-2  # channels with less than this share of the median spread are treated as if they had it


def spread(rows: Tensor) -> Tensor:
    """Standard deviation of each column, ``(D,)``, with a floor for columns that never change in these rows."""
    std = rows.std(0, correction=0)
    alive = std[std > 0]
    if len(alive) == 0:
        raise DetectorError(f"All {len(rows)} training vectors are equal: nothing varies, so nothing can be unusual. "
                            "Give images that differ (are they copies of one file, or all black?).")
    return std.clamp(min=DEAD * float(alive.median()))


class Shrunk(NamedTuple):
    """A whitening, the share a of the identity in it, and the noise ``(D,)`` that this share stands for.

    sqrt(1 - a) (x - mean) + noise * N(0, I) has the shrunk covariance L L^T, so that its latent has covariance I.
    """

    whitening: Whitening
    shrinkage: float
    noise: Tensor


def shrunk_whitening(rows: Tensor, shrinkage: float | None = None, standardise: bool = True,
                     independent: Tensor | None = None) -> Shrunk:
    """The affine flow z = L^-1 (x - mean) whose L L^T is the shrunk covariance of ``rows``, in float64.

        covariance = (1 - a) S + a (tr S / D) I        |z|^2 is the squared Mahalanobis distance

    Args:
        rows: samples ``(N, D)``; N may be smaller than D.
        shrinkage: a in (0, 1); None takes the value of Ledoit and Wolf 2004 (A well-conditioned estimator for
            large-dimensional covariance matrices).
        standardise: shrink the correlations instead, so that units of channels do not matter.
        independent: the rows that Ledoit and Wolf may count, where ``rows`` holds several views of one image: views
            are not independent, and counting them as if they were gives far too little shrinkage.

    Raises:
        DetectorError: all rows are equal.
    """
    rows = rows.double()
    scale = spread(rows) if standardise else torch.ones_like(rows[0])
    x = rows / scale
    if shrinkage is None:
        counted = x if independent is None else independent.double() / scale
        shrinkage = float(ledoit_wolf_shrinkage(counted.cpu().numpy()))
    a = min(max(shrinkage, 1e-6), 1 - 1e-6)
    whitening = Whitening(rows.shape[1]).to(rows).fit(x, eps=a / (1 - a))  # S + a/(1-a) (tr S / D) I
    whitening.L.mul_((1 - a) ** 0.5 * scale[:, None])  # back to the units of the rows
    whitening.mean.mul_(scale)
    level = x.var(0, correction=0).mean()  # tr S / D
    return Shrunk(whitening, a, (a * level).sqrt() * scale)


def per_position_cholesky(moments: Tensor, shrinkage: float, ridge: float) -> Tensor:
    """Cholesky factors ``(P, C, C)`` of one covariance per position, each shrunk towards the mean over positions.

        covariance_p = (1 - a) S_p + a mean_q S_q + ridge (tr / C) I

    Without the ridge this follows any invertible map f -> A f + b of the features exactly, because S_p and the mean
    become A S A^T; a shrinkage towards the identity does not. The ridge is only there for channels that are dead.

    Args:
        moments: ``(P, C, C)`` float64, the covariances S_p.

    Raises:
        DetectorError: nothing varies at any position, or no factor exists.
    """
    pooled = moments.mean(0)  # (C, C)
    level = pooled.diagonal().mean()
    if level <= 0:
        raise DetectorError("The training images do not differ at any position, so nothing can be unusual. "
                            "Give images that differ (are they copies of one file, or all black?).")
    covariance = (1 - shrinkage) * moments + shrinkage * pooled
    covariance = covariance + ridge * level * torch.eye(len(pooled)).to(covariance)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if failed.any():
        raise DetectorError(f"The covariance at {int((failed > 0).sum())} of {len(moments)} positions has no Cholesky "
                            f"factor (shrinkage {shrinkage:g}, ridge {ridge:g}). Use more images or a larger ridge.")
    return lower
