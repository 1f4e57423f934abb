"""The hunt of chapter 14: what there is to find in a study, as functions whose results are numbers."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from tutorial_lib import stored
from tutorial_lib.explorer import Study, likelihood_parts, projection
from tutorial_lib.explorer.likelihood import PRIOR, VOLUME

SHARE = 0.95    # of the held-out good images lie at or below a limit
NEAR, FAR = 0.05, 0.5  # shares of all pairs: near in latent space, far in pixels


@cache
def study(method: str, category: str = "washer") -> Study:
    """The stored detector's view of its images, loaded once."""
    return Study.of(stored.load(method, category), stored.split(category))


def worst_good(study: Study) -> int:
    """The held-out good image with the highest score."""
    return int(study.scores.masked_fill(~study.good, -torch.inf).argmax())


def limit(values: Tensor, good: Tensor) -> float:
    """The smallest of the good images' values that a share ``SHARE`` of them does not exceed."""
    found = values[good].sort().values
    return float(found[-(-int(SHARE * 1000) * len(found) // 1000) - 1])


def parts_of(study: Study) -> dict[str, Tensor]:
    """``-log p(z)`` and ``-log_det`` of every image, ``(N,)``."""
    return likelihood_parts(study.detector, study.images)


def hidden(study: Study, parts: dict[str, Tensor]) -> list[int]:
    """The defective images that -log p(z) leaves at or below its limit and -log_det puts above its own."""
    below = parts[PRIOR] <= limit(parts[PRIOR], study.good)
    above = parts[VOLUME] > limit(parts[VOLUME], study.good)
    return (study.defective & below & above).nonzero().flatten().tolist()


def shares_below(distance: Tensor) -> Tensor:
    """For each pair, the share of all pairs of different images that are nearer: distances ``(N, N)`` to [0, 1]."""
    n = len(distance)
    row, col = torch.triu_indices(n, n, 1)
    rank = distance[row, col].argsort().argsort().double() / (len(row) - 1)
    found = torch.zeros(n, n, dtype=torch.float64)
    found[row, col] = rank
    return found + found.T


@cache
def pair_shares(study: Study) -> tuple[Tensor, Tensor]:
    """Shares of all pairs that are nearer in latent space, and in pixels: ``(N, N)`` each."""
    return tuple(shares_below(projection.distances(v)) for v in (study.vectors(), study.images.flatten(1)))


def best_pair(study: Study) -> tuple[int, int]:
    """The two images that are nearest in latent space for how far apart their pixels are."""
    latent, pixels = pair_shares(study)
    gap = (pixels - latent).triu(1)
    return divmod(int(gap.argmax()), len(gap))


def repaired(image: Tensor, donor: Tensor, place: tuple[int, int], radius: float) -> Tensor:
    """``image`` ``(3, S, S)`` with a disc around ``place`` taken from ``donor``, its edge 2 pixels soft."""
    side = image.shape[-1]
    row, col = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    inside = ((radius + 1 - torch.hypot(row - float(place[0]), col - float(place[1]))) / 2).clamp(0, 1)
    return image + inside * (donor - image)


def middles(images: Tensor) -> Tensor:
    """Row and column of the middle of what is brighter than 0.25, metal and not mat: ``(N, 3, S, S)`` to ``(N, 2)``."""
    metal, line = (images.mean(1) > 0.25).float(), torch.arange(float(images.shape[-1]))
    return torch.stack([metal.sum(2) @ line, metal.sum(1) @ line], 1) / metal.sum((1, 2))[:, None]


def moved(image: Tensor, down: int, right: int) -> Tensor:
    """``image`` ``(3, S, S)`` with all it shows moved by whole pixels; what comes in at the border is mirrored."""
    side, margin = image.shape[-1], max(abs(down), abs(right))
    wide = F.pad(image[None], (margin,) * 4, mode="reflect")[0]
    return wide[:, margin - down:margin - down + side, margin - right:margin - right + side]
