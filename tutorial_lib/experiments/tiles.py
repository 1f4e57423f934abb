"""Chapter 13's detective story: which photographs of magnetic tiles show the same tile, read from their file names.

A name such as ``exp4_num_2657.jpg`` holds an exposure (1 to 6; a few names say 0) and a running number. In the order of
the running number the exposures count up again and again: each time, one tile lay under the camera.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

NAME = re.compile(r"exp(\d)_num_(\d+)")
GAP = 100  # running numbers: a longer break ends a series


def exposure_and_number(name: str) -> tuple[int, int]:
    """``"exp4_num_2657.jpg"`` to ``(4, 2657)``.

    Raises:
        ValueError: a name of another form.
    """
    found = NAME.search(name)
    if not found:
        raise ValueError(f"{name!r} is not a name like exp4_num_2657.jpg.")
    return int(found[1]), int(found[2])


def series(names: Sequence[str]) -> list[int]:
    """For each name the number of its series: exposures that count up without a long break belong to one tile.

    A heuristic: a tile that was photographed again later is counted as another one.
    """
    order = sorted(range(len(names)), key=lambda i: exposure_and_number(names[i])[::-1])
    group, last, found = -1, None, [0] * len(names)
    for i in order:
        exposure, number = exposure_and_number(names[i])
        if last is None or exposure <= last[0] or number - last[1] > GAP:
            group += 1
        found[i], last = group, (exposure, number)
    return found


def unit_vectors(pictures: Tensor) -> Tensor:
    """Pictures ``(N, H, W)`` to vectors ``(N, H W)`` of mean 0 and length 1: their products are correlations."""
    flat = pictures.flatten(1).double()
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True)


def nearest(test: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """Highest correlation of each test vector ``(N, D)`` with any training vector ``(M, D)``, and which: ``(N,)`` both.

    1 minus the first is an anomaly score without any learning: has this picture, or nearly this one, been seen?
    """
    found = (test @ train.T).max(1)
    return found.values, found.indices


def components(vectors: Tensor, threshold: float) -> list[int]:
    """Connected components of the graph that joins two vectors where their correlation is above ``threshold``."""
    from scipy.sparse.csgraph import connected_components

    joined = (vectors @ vectors.T > threshold).numpy()
    return connected_components(joined, directed=False)[1].tolist()


def draw_groups(groups: Sequence[int], share: float, seed: int) -> Tensor:
    """``(N,)`` bool: whole groups, drawn until at least ``share`` of the members are chosen."""
    groups = torch.as_tensor(groups)
    chosen, order = torch.zeros(len(groups), dtype=torch.bool), groups.unique()
    for k in order[torch.randperm(len(order), generator=torch.Generator().manual_seed(seed))]:
        if chosen.float().mean() >= share:
            break
        chosen |= groups == k
    return chosen
