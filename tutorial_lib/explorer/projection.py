"""Two coordinates for each image, and who is near whom."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Plane(NamedTuple):
    """Points ``(N, 2)``, the names of the two axes, and the share of the variance that they show, or None."""

    points: Tensor
    axes: tuple[str, str]
    share: float | None


def principal_plane(vectors: Tensor, fit: Tensor | None = None) -> Plane:
    """The two directions in which the vectors vary most (Pearson 1901).

    Args:
        vectors: ``(N, D)``; D may be much larger than N: only N × N products are formed.
        fit: ``(N,)`` bool, the images whose spread decides the directions; all by default.
    """
    v = vectors.double()
    used = v if fit is None else v[fit]
    mean = used.mean(0)
    used = used - mean
    values, sides = torch.linalg.eigh(used @ used.T)  # (n,), ascending
    top = sides[:, -2:].flip(1) / values[-2:].flip(0).clamp(min=1e-12).sqrt()  # (n, 2)
    directions = used.T @ top  # (D, 2) of length 1
    directions = directions * directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()  # a fixed sign
    share = float(values[-2:].sum() / values.clamp(min=0).sum().clamp(min=1e-12))
    return Plane(((v - mean) @ directions).float(), ("1st principal component", "2nd"), share)


def radius_plane(vectors: Tensor, scores: Tensor) -> Plane:
    """Rank of the score from left to right, ‖z‖ / √D upwards: N(0, I) lies near height 1, whatever D is."""
    rank = scores.argsort().argsort().float()
    radius = vectors.double().norm(dim=1).float() / math.sqrt(vectors.shape[1])
    return Plane(torch.stack([rank, radius], dim=1), ("rank of the score", "‖z‖ / √D"), None)


class Nearest(NamedTuple):
    """The nearest image, its distance, and the median distance to all candidates: near only if much smaller."""

    index: int
    distance: float
    median: float


def nearest(vectors: Tensor, index: int, among: Tensor) -> Nearest:
    """Which of the images ``among`` ``(N,) bool`` lies nearest to image ``index``, itself excluded."""
    distance = (vectors - vectors[index]).double().norm(dim=1)
    candidates = among.clone()
    candidates[index] = False
    if not candidates.any():
        raise ValueError("There is no other image to compare with. Give at least two normal images.")
    found = distance.masked_fill(~candidates, torch.inf)
    return Nearest(int(found.argmin()), float(found.min()), float(distance[candidates].median()))


def distances(vectors: Tensor) -> Tensor:
    """Euclidean distance between any two rows, ``(N, N)`` float64, exactly symmetric with a zero diagonal."""
    v = vectors.double()
    squares = v.square().sum(1)
    found = (squares[:, None] + squares - 2 * v @ v.T).clamp(min=0).sqrt()
    found = (found + found.T) / 2
    return found.fill_diagonal_(0.0)
