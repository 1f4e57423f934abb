"""Chapter 09's experiments: what a flow knows about places, and what each scale contributes to the map."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from tutorial_lib import metrics
from tutorial_lib.data import factory
from tutorial_lib.data.factory import board
from tutorial_lib.data.splits import Split
from tutorial_lib.detectors import CFlow


@dataclass(frozen=True)
class Pair:
    """Two flows on the vectors of one tap: ``told`` reads the code of the position, ``untold`` does not.

    Both see the same whitened vectors: the whitening depends on the training images alone.
    """

    told: CFlow
    untold: CFlow
    tap: int = 0

    def code(self, h: int, w: int) -> Tensor:
        """The codes of all positions of a map, ``(h * w, P)``, row by row."""
        return self.told.code(h, w)

    @torch.no_grad()
    def with_code(self, v: Tensor, c: Tensor) -> Tensor:
        """ln p of vectors ``(N, C)`` at places with codes ``(N, P)``: ``(N,)`` nats."""
        return self.told.flows[self.tap].log_prob(v, c)

    @torch.no_grad()
    def without_code(self, v: Tensor) -> Tensor:
        """ln p of vectors ``(N, C)``, wherever they stand: ``(N,)`` nats."""
        return self.untold.flows[self.tap].log_prob(v, None)


def trained(category: str, size: int, images: int, steps: int, tap: str = "stride8", seed: int = 0) -> Pair:
    """Both flows of one tap, trained on the same normal images of the factory."""
    normals = factory.normal(category, images, size, seed)
    pair = [CFlow.small(progress=False, size=size, taps=(tap,), steps=steps, seed=seed, position=position)
            for position in (True, False)]
    for detector in pair:
        detector.fit(normals)
    return Pair(*pair)


@torch.no_grad()
def vectors_of(pair: Pair, category: str, size: int, images: int, seed: int = 100) -> Tensor:
    """Whitened maps ``(images, C, h, w)`` of normal images that were not trained on."""
    return pair.told.vectors(factory.normal(category, images, size, seed))[pair.tap]


@torch.no_grad()
def carried(pair: Pair, f: Tensor, at_once: int = 64) -> tuple[Tensor, Tensor]:
    """Every vector of a map ``f`` (C, h, w), asked for at every place, in nats per channel.

    Returns:
        told ``(h * w, h * w)``: vector of cell i at place j; untold ``(h * w,)``, the same at every place.
    """
    c, h, w = f.shape
    v, code = f.flatten(1).T, pair.code(h, w)  # (h w, C), (h w, P)
    rows = [pair.with_code(part.repeat_interleave(len(code), 0), code.repeat(len(part), 1)).view(len(part), -1)
            for part in v.split(at_once)]
    return torch.cat(rows) / c, pair.without_code(v) / c


def exchanged(images: Tensor, a: tuple[int, int], b: tuple[int, int], radius: int) -> tuple[Tensor, Tensor]:
    """The discs around ``a`` and ``b`` of each image change places, with a soft edge; and the mask of both.

    Args:
        images: ``(N, 3, S, S)``. a, b: (row, column) in pixels; both discs lie inside the image.

    Returns:
        images ``(N, 3, S, S)``, masks ``(N, S, S)`` bool.
    """
    side = images.shape[-1]
    if not all(radius < p < side - 1 - radius for p in (*a, *b)):
        raise ValueError(f"A disc of radius {radius} around {a} or {b} leaves an image of {side} pixels. Expected both "
                         "to lie inside.")
    rows, columns = torch.meshgrid(*[torch.arange(side, dtype=torch.float32)] * 2, indexing="ij")
    found, mask = images, torch.zeros(side, side, dtype=torch.bool)
    for (y, x), (from_y, from_x) in ((a, b), (b, a)):
        alpha = (radius + 0.5 - ((rows - y).square() + (columns - x).square()).sqrt()).clamp(0, 1)
        found = torch.lerp(found, images.roll((y - from_y, x - from_x), dims=(2, 3)), alpha)
        mask |= alpha > 0
    return found, mask.expand(len(images), -1, -1)


@contextmanager
def part_moved(name: str, u: float, v: float):
    """While this block runs, the factory draws one part of the board at another place: no seam, its own light.

    Everything else stays, number by number, so a board drawn inside and outside of the block differ in that part alone.

    Args:
        name: of a part in ``factory.layout.LAYOUT``. u, v: its place, in units of half the picture's side.
    """
    before = board.LAYOUT
    if name not in [part[0] for part in before]:
        raise ValueError(f"The board has no part {name!r}. Expected one of {', '.join(part[0] for part in before)}.")
    board.LAYOUT = tuple((part[0], u, v, *part[3:]) if part[0] == name else part for part in before)
    try:
        yield
    finally:
        board.LAYOUT = before


@torch.no_grad()
def doubts(detector: CFlow, images: Tensor, at_once: int = 16) -> Tensor:
    """1 - p of each scale at the size of the image, ``(N, K, S, S)`` float32: their sum over K is the map."""
    return torch.cat([(1 - detector.enlarged(detector.likelihoods(detector.vectors(batch)), detector.maxima)).float()
                      for batch in images.split(at_once)])


def from_the_middle(taps: tuple[str, ...]) -> tuple[str, ...]:
    """The same taps, the middle one first: a per-position Gaussian brings all of them to the size of the first."""
    first = taps[len(taps) // 2 if len(taps) > 2 else 0]
    return (first, *(tap for tap in taps if tap != first))


def mixed(parts: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Weighted sum over the scales: ``(N, K, S, S)`` to ``(N, S, S)``."""
    return torch.einsum("nkyx,k->nyx", parts, torch.tensor(weights, dtype=parts.dtype))


def kind_auroc(scores: Tensor, data: Split, kind: str) -> float:
    """AUROC of one kind of defect against the good test images."""
    chosen = torch.tensor([k in ("good", kind) for k in data.kinds])
    return metrics.auroc(scores[chosen], data.labels[chosen])


def judged(maps: Tensor, data: Split) -> dict[str, float]:
    """Image AUROC by the maximum of the map, pixel AUROC and AUPRO of maps ``(N, S, S)``."""
    return {"image": metrics.auroc(maps.amax((1, 2)), data.labels), "pixel": metrics.pixel_auroc(maps, data.masks),
            "aupro": metrics.aupro(maps, data.masks)}
