"""Chapter 08's experiment: a Gaussian and a flow on the same pooled features of the same views.

Features are computed once per view, (N, T, D), and shared by every row of the table. So two rows differ in the density
model alone, or in the number of views alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.detectors.covariance import Shrunk, shrunk_whitening
from tutorial_lib.detectors.pooled import PooledDetector
from tutorial_lib.detectors.views import random_angles, turned
from tutorial_lib.flows import AtanClamp, Chain, Flow, Permutation, TwoSidedCoupling, dense
from tutorial_lib.flows.training import maximum_likelihood

BLOCKS, HIDDEN, DEPTH, ALPHA = 4, 128, 2, 3.0
STEPS, BATCH, LEARNING_RATE = 200, 64, 1e-3


def nested_angles(n: int, limit: float, seed: int = 0) -> Tensor:
    """``(n,)`` degrees, n <= 256: 0 first, then uniform draws in [-limit, limit]. The first 4 of 64 are the 4 of 4."""
    drawn = random_angles(255, limit, seed, 8)  # always as many: a shorter draw need not begin like a longer one
    return torch.cat([torch.zeros(1), drawn])[:n]


def bank_angles(images: int, limit: float, seed: int = 0, n: int = 8) -> Tensor:
    """``(images, 1 + n)`` degrees for training: 0 first, then n uniform draws for each image, its own."""
    return torch.stack([torch.cat([torch.zeros(1), random_angles(n, limit, seed, 1, i)]) for i in range(images)])


@torch.no_grad()
def view_features(detector: PooledDetector, images: Tensor, angles: Tensor, at_once: int = 64) -> Tensor:
    """Pooled vectors of every view, ``(N, T, D)``.

    Args:
        detector: gives the backbone, the scales, the pooling and the fill of the corners; it need not be fitted.
        images: ``(N, 3, S, S)`` in [0, 1]. angles: ``(T,)`` degrees, or ``(N, T)``: each image its own.
        at_once: views in memory together.
    """
    own = angles.expand(len(images), -1)  # (N, T)
    per = max(1, at_once // own.shape[1])
    parts = [detector.features(views) for i in range(0, len(images), per)
             for views in turned(images[i:i + per], own[i:i + per], detector.settings.fill).split(at_once)]
    return torch.cat(parts).unflatten(0, (len(images), own.shape[1]))


def coupling_blocks(dim: int, seed: int, clamp=None, hidden: int = HIDDEN, blocks: int = BLOCKS) -> list:
    """Untrained blocks (permutation, two-sided coupling) that begin as the identity; weights from ``seed`` alone."""
    parts = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for k in range(blocks):
            net = dense(hidden, DEPTH, zero_last=True)
            parts += [Permutation(dim, seed=k), TwoSidedCoupling(dim, net, clamp or AtanClamp(ALPHA))]
    return parts


def shrunk(features: Tensor) -> Shrunk:
    """The whitening of training views ``(N, V, D)``, its shrinkage a, and the noise that a stands for."""
    return shrunk_whitening(features.flatten(0, 1), independent=features[:, 0])


def gaussian_on(features: Tensor) -> Flow:
    """The affine flow of ``features`` (N, V, D): a Gaussian with a shrunk covariance (Ledoit and Wolf 2004)."""
    return Flow(shrunk(features).whitening.float(), (features.shape[2],))


def with_noise(features: Tensor, copies: int = 16, seed: int = 0) -> Tensor:
    """Noisy copies of training views ``(N, V, D)``, as rows ``(copies * N * V, D)``.

        row = mean + sqrt(1 - a) (x - mean) + noise * N(0, I)

    The shrunk covariance of the Gaussian is the covariance of exactly these rows: shrinkage *pretends* that the vectors
    are noisy, and here they are. Without noise, N images in D >> N dimensions let a flow raise their likelihood without
    limit.
    """
    whitening, a, noise = shrunk(features)
    rows, generator = features.flatten(0, 1), torch.Generator().manual_seed(seed)
    mean, noise = whitening.mean.float(), noise.float()
    centred = (1 - a) ** 0.5 * (rows - mean)
    return torch.cat([mean + centred + noise * torch.randn(rows.shape, generator=generator) for _ in range(copies)])


def flow_on(features: Tensor, seed: int = 0, steps: int = STEPS, noise: bool = True, callback=None, **blocks) -> Flow:
    """The affine flow with coupling blocks behind it, trained on views ``(N, V, D)`` by maximum likelihood."""
    dim = features.shape[2]
    flow = Flow(Chain(gaussian_on(features).transform, *coupling_blocks(dim, seed, **blocks)), (dim,))
    rows = with_noise(features, seed=seed) if noise else features.flatten(0, 1)
    maximum_likelihood(flow, rows, steps=steps, batch=BATCH, lr=LEARNING_RATE, seed=seed, callback=callback)
    return flow.requires_grad_(False)


@torch.no_grad()
def view_scores(flow: Flow, features: Tensor) -> Tensor:
    """Mean of z² for every view: ``(N, T, D)`` to ``(N, T)``. Its mean over T is DifferNet's score."""
    z, _ = flow(features.flatten(0, 1))  # (N * T, D)
    return z.clamp(-1e6, 1e6).square().mean(1).view(features.shape[:2])


def correlation_of_views(scores: Tensor) -> float:
    """Correlation ρ of single-view scores ``(N, T)``: the share of their variance that is common to an image's views.

    Var(mean of T views) = σ² (ρ + (1 - ρ) / T). Logarithms are taken first, for the tails are long; what an angle adds
    for *all* images moves no image past another and is subtracted. Then a one-way analysis of variance; T >= 2.
    """
    logs = scores.clamp(min=1e-12).log()
    logs = logs - logs.mean(0)  # (N, T): without the effect of each angle
    T = logs.shape[1]
    within = logs.var(1).mean()
    between = logs.mean(1).var()  # holds within / T as well
    shared = (between - within / T).clamp(min=0)
    return float(shared / (shared + within))
