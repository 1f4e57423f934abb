"""Exercise 1: feature maps of several scales become one vector."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.checks.ch08.probes import drawn, gap
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _maps() -> list[Tensor]:
    """Three maps of different sizes and channel counts: (3, 4, 5, 7), (3, 4, 2, 3), (3, 2, 1, 2)."""
    return [drawn(3, c, h, w, seed=i) + i for i, (c, h, w) in enumerate([(4, 5, 7), (4, 2, 3), (2, 1, 2)])]


def _constant(pool):
    found = pool([torch.full((2, 3, 4, 6), 1.5), torch.full((2, 2, 3, 3), -2.0)])
    error = gap(found, torch.tensor([1.5] * 3 + [-2.0] * 2))
    return f"a 4 × 6 map of 1.5 gave {float(found[0, 0]):.3g}" if error > 1e-5 else None


def _shuffled(pool):
    maps = _maps()
    orders = [torch.randperm(m[0, 0].numel(), generator=torch.Generator().manual_seed(3)) for m in maps]
    mixed = [m.flatten(2)[:, :, order].view_as(m) for m, order in zip(maps, orders, strict=True)]
    change = gap(pool(maps), pool(mixed))
    return f"three maps, positions shuffled: the vector moved by {change:.3g}" if change > 1e-5 else None


def _loop(pool):
    maps = _maps()
    loop = torch.stack([torch.stack([m[i, c].mean() for m in maps for c in range(m.shape[1])]) for i in range(3)])
    error = gap(pool(maps), loop)
    return f"3 images, maps of 4, 4 and 2 channels: the largest difference is {error:.3g}" if error > 1e-5 else None


def _paper_width(pool):
    pool([torch.zeros(1, 256, s, s) for s in (13, 6, 2)])  # the slot asks for (1, 768)


def _pooled_by(reduce):
    return lambda maps: torch.cat([reduce(m) for m in maps], dim=1)


POOL_CONCAT = Exercise(
    name="pool_concat", minutes=5,
    returns=(lambda maps: TensorSlot("the vector", (len(maps[0]), sum(m.shape[1] for m in maps)), "(B, ΣC)"),),
    laws=(Law("a constant map must give its constant, whatever its size", _constant),
          Law("shuffling the positions of a map must change nothing", _shuffled),
          Law("the vector is not the mean of each channel, map after map", _loop),
          Law("three maps of 256 channels must give 768 numbers", _paper_width)),
    passes="positions may be shuffled, every image keeps its row, 3 × 256 channels give 768 numbers",
    hints=("One map has shape (B, C, h, w). Which two axes are positions, and which one must survive beside B?",
           "tensor.mean(dim=(…, …)) averages over two axes at once.",
           "The vectors of the maps stand side by side: look at the shape that torch.cat must give, (B, ΣC)."),
    suspects=(
        Suspect("you take the sum over the positions. Divide by h·w, or large maps outweigh small ones",
                _pooled_by(lambda m: m.sum((2, 3)))),
        Suspect("you concatenate on the batch axis (dim=0), which stacks images. Channels stand side by side: dim=1",
                lambda maps: torch.cat([m.mean((2, 3)) for m in maps], dim=0)),
        Suspect("you take the maximum over the positions, not the mean", _pooled_by(lambda m: m.amax((2, 3)))),
        Suspect("you average over one spatial axis only", _pooled_by(lambda m: m.mean(2).flatten(1))),
        Suspect("you average over the other spatial axis only", _pooled_by(lambda m: m.mean(3).flatten(1))),
        Suspect("you read one position: nothing was pooled", _pooled_by(lambda m: m[:, :, 0, 0])),
        Suspect("you flatten the whole map: it keeps all positions, nothing was pooled",
                _pooled_by(lambda m: m.flatten(1))),
        Suspect("the maps are joined in reverse order. The first map comes first",
                lambda maps: torch.cat([m.mean((2, 3)) for m in reversed(maps)], dim=1)),
        Suspect("the mean runs over the batch too, so every image gets the same row",
                _pooled_by(lambda m: m.mean((0, 2, 3)).expand(len(m), -1)))))
