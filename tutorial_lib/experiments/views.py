"""Chapter 08's experiment: a Gaussian and a flow on the same pooled features of the same views.

Features are computed once per view, (N, T, D), and shared by every row of the table. So two rows differ in the density
model alone, or in the number of views alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.detectors.covariance import shrunk_whitening
from tutorial_lib.detectors.pooled import PooledDetector
from tutorial_lib.detectors.views import random_angles, turned
from tutorial_lib.flows import AtanClamp, Chain, Flow, Permutation, TwoSidedCoupling, dense
from tutorial_lib.flows.training import maximum_likelihood

BLOCKS, HIDDEN, DEPTH, ALPHA = 4, 128, 2, 3.0
STEPS, BATCH, LEARNING_RATE = 100, 64, 1e-3


def nested_angles(n: int, limit: float, seed: int = 0) -> Tensor:
    """``(n,)`` degrees: 0 first, then uniform draws in [-limit, limit]. The first 4 of 64 are the 4 of 4."""
    return torch.cat([torch.zeros(1), random_angles(n - 1, limit, seed, 8)])


@torch.no_grad()
def view_features(detector: PooledDetector, images: Tensor, angles: Tensor, at_once: int = 64) -> Tensor:
    """Pooled vectors of every view, ``(N, T, D)``.

    Args:
        detector: gives the backbone, the scales and the pooling; it need not be fitted.
        images: ``(N, 3, S, S)`` in [0, 1]. angles: ``(T,)`` degrees, or ``(N, T)``: each image its own.
        at_once: views in memory together.
    """
    own = angles.expand(len(images), -1)  # (N, T)
    per = max(1, at_once // own.shape[1])
    parts = [detector.features(views) for i in range(0, len(images), per)
             for views in turned(images[i:i + per], own[i:i + per]).split(at_once)]
    return torch.cat(parts).unflatten(0, (len(images), own.shape[1]))


def coupling_blocks(dim: int, seed: int, clamp=None, hidden: int = HIDDEN, blocks: int = BLOCKS) -> list:
    """Untrained blocks (permutation, two-sided coupling), initial weights from ``seed`` alone."""
    parts = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for k in range(blocks):
            parts += [Permutation(dim, seed=k), TwoSidedCoupling(dim, dense(hidden, DEPTH), clamp or AtanClamp(ALPHA))]
    return parts


def gaussian_on(rows: Tensor) -> Flow:
    """The affine flow of ``rows`` (M, D): a Gaussian with a shrunk covariance (Ledoit and Wolf 2004), closed form."""
    return Flow(shrunk_whitening(rows)[0].float(), (rows.shape[1],))


def flow_on(rows: Tensor, seed: int = 0, steps: int = STEPS, callback=None, **blocks) -> Flow:
    """The same affine flow with coupling blocks behind it, trained on ``rows`` (M, D) by maximum likelihood."""
    flow = Flow(Chain(gaussian_on(rows).transform, *coupling_blocks(rows.shape[1], seed, **blocks)), (rows.shape[1],))
    maximum_likelihood(flow, rows, steps=steps, batch=BATCH, lr=LEARNING_RATE, seed=seed, callback=callback)
    return flow.requires_grad_(False)


@torch.no_grad()
def view_scores(flow: Flow, features: Tensor) -> Tensor:
    """Mean of z² for every view: ``(N, T, D)`` to ``(N, T)``. Its mean over T is DifferNet's score."""
    z, _ = flow(features.flatten(0, 1))  # (N * T, D)
    return z.clamp(-1e6, 1e6).square().mean(1).view(features.shape[:2])


def correlation_of_views(scores: Tensor) -> float:
    """Intraclass correlation ρ of single-view scores ``(N, T)``: the share of variance common to an image's views.

    Var(mean of T views) = σ² (ρ + (1 - ρ) / T); the estimate is that of a one-way analysis of variance, T >= 2.
    """
    T = scores.shape[1]
    within = scores.var(1).mean()
    between = scores.mean(1).var()  # holds within / T as well
    shared = (between - within / T).clamp(min=0)
    return float(shared / (shared + within))
