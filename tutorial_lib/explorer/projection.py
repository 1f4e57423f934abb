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


EXACT = 512  # up to so many images or entries all components are computed; beyond, the first few by sampling


def principal_plane(vectors: Tensor, fit: Tensor | None = None) -> Plane:
    """The two directions in which the vectors vary most (Pearson 1901).

    Args:
        vectors: ``(N, D)``. fit: ``(N,)`` bool, the images whose spread decides the directions; all by default.
    """
    used = vectors if fit is None else vectors[fit]
    mean = used.mean(0)
    used = used - mean
    directions = _first_two(used.double() if min(used.shape) <= EXACT else used)  # (D, 2) of length 1
    directions = directions * directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()  # a fixed sign
    points = (vectors - mean).to(directions) @ directions
    total = float(used.square().sum())
    share = float((used.to(directions) @ directions).square().sum()) / total if total > 0 else 0.0
    return Plane(points.float(), ("1st principal component", "2nd"), share)


def _first_two(centred: Tensor) -> Tensor:
    """Unit vectors ``(D, 2)``: through the smaller of the two product matrices, or for large ones by sampling (Halko,
    Martinsson, Tropp 2011, arXiv 0909.4061)."""
    n, d = centred.shape
    if min(n, d) > EXACT:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return torch.svd_lowrank(centred, q=8, niter=6)[2][:, :2]
    if d <= n:
        return torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -2:].flip(1)
    values, sides = torch.linalg.eigh(centred @ centred.T)  # (n,), ascending
    return centred.T @ (sides[:, -2:].flip(1) / values[-2:].flip(0).clamp(min=1e-12).sqrt())


def radius_plane(vectors: Tensor, scores: Tensor) -> Plane:
    """Rank of the score from left to right, 1 for the highest; ‖z‖ / √D upwards: N(0, I) lies near height 1."""
    rank = 1 + scores.argsort(descending=True).argsort().float()
    radius = vectors.double().norm(dim=1).float() / math.sqrt(vectors.shape[1])
    return Plane(torch.stack([rank, radius], dim=1), ("rank of the score (1 = highest)", "‖z‖ / √D"), None)


class Nearest(NamedTuple):
    """The nearest image, its distance, and the median distance to all candidates: near only if much smaller."""

    index: int
    distance: float
    median: float


def nearest(vectors: Tensor, index: int, among: Tensor, squares: Tensor | None = None) -> Nearest:
    """Which of the images ``among`` ``(N,) bool`` lies nearest to image ``index``, itself excluded.

    Args:
        squares: ``(N,)``, the squared lengths of the vectors where known: then one product instead of N differences.
    """
    candidates = among.clone()
    candidates[index] = False
    if not candidates.any():
        raise ValueError("There is no other image to compare with. Give at least two normal images.")
    squares = vectors.square().sum(1) if squares is None else squares
    rough = (squares + squares[index] - 2 * (vectors @ vectors[index])).clamp(min=0).sqrt()  # (N,), a few digits
    few = rough.masked_fill(~candidates, torch.inf).topk(min(5, int(candidates.sum())), largest=False).indices
    exact = (vectors[few] - vectors[index]).double().norm(dim=1)
    best = int(exact.argmin())
    return Nearest(int(few[best]), float(exact[best]), float(rough[candidates].median()))


def apart(images: Tensor, index: int, other: int, among: Tensor, most: int = 200) -> tuple[float, float]:
    """How far ``other`` lies from image ``index`` in pixels, and the median distance of the images ``among``.

    Args:
        images: ``(N, 3, S, S)``. most: so many of ``among`` are compared, evenly spaced: large sets take no longer.
    """
    x = images.flatten(1)
    rows = [k for k in among.nonzero().flatten().tolist() if k != index]
    rows = [rows[k * len(rows) // min(most, len(rows))] for k in range(min(most, len(rows)))]
    found = torch.stack([(x[k] - x[index]).norm() for k in (other, *rows)])
    return float(found[0]), float(found[1:].median())


def distances(vectors: Tensor) -> Tensor:
    """Euclidean distance between any two rows, ``(N, N)`` float64, exactly symmetric with a zero diagonal."""
    v = vectors.double()
    squares = v.square().sum(1)
    found = (squares[:, None] + squares - 2 * v @ v.T).clamp(min=0).sqrt()
    found = (found + found.T) / 2
    return found.fill_diagonal_(0.0)
