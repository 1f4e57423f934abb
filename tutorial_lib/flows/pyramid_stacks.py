"""Stacks of couplings over all levels of a pyramid (PyramidFlow, 2023, arXiv 2303.02595)."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tutorial_lib.flows.base import Chain, Transform
from tutorial_lib.flows.levels import DownCoupling, LevelCoupling, OnLevel
from tutorial_lib.flows.volume import UnitVolume1x1

NormMaker = Callable[[int], nn.Module]  # level whose size the log-scales have -> volume normalisation


def stack_order(levels: int) -> list[tuple[int, tuple[int, ...]]]:
    """(level that changes, levels that it reads) of one stack: odd levels first, then the even ones; each once.

    L = 2: 1 reads 0, 0 reads 1. L = 4: 1 reads 0 and 2, 3 reads 2, 0 reads 1, 2 reads 1 and 3.

    Raises:
        ValueError: below two levels there is nothing to couple.
    """
    if levels < 2:
        raise ValueError(f"levels={levels}: expected 2 or more, one that passes and one that is changed.")
    order = [*range(1, levels, 2), *range(0, levels, 2)]
    return [(k, tuple(j for j in (k - 1, k + 1) if 0 <= j < levels)) for k in order]


def pyramid_stacks(levels: int, channels: int, norm: NormMaker, stacks: int = 4, kernel: int = 7,
                   seed: int = 0) -> Chain:
    """``stacks`` times: couple every level with its neighbours, and mix its channels by a matrix of determinant 1.

    Untrained, every coupling is the identity and the flow a pile of rotations. The convolutions are
    drawn from the global generator, the matrices from ``seed``.

    Args:
        levels, channels: L maps of C channels each.
        norm: called with the level whose size the log-scales have, once for every coupling.
        kernel: odd side of the windows of the s/t networks.

    Returns:
        A chain of 2 * L * stacks transforms of tuples of L maps: coupling, matrix, coupling, matrix, ...
    """
    parts: list[Transform] = []
    for stack in range(stacks):
        for k, reads in stack_order(levels):
            if reads == (k - 1,):
                parts.append(DownCoupling(k, channels, norm(k - 1), kernel))
            else:
                parts.append(LevelCoupling(k, reads, channels, norm(k), kernel))
            parts.append(OnLevel(k, UnitVolume1x1(channels, seed + stack * levels + k)))
    return Chain(*parts)
