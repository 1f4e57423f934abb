"""The inverse that CS-Flow's released code has, in our words: right while nothing is coupled, wrong afterwards."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.flows import CrossScaleCoupling
from tutorial_lib.flows.cross_scale_coupling import Scales, sum_log_det, unstretch


def released_inverse(block: CrossScaleCoupling, z: Scales) -> tuple[Scales, Tensor]:
    """Undo ``block`` as github.com/marco-rudolph/cs-flow does (commit 88a13b8, March 2023); copied by anomalib.

    Returns ``(x, log_det)``. Exercise 5 of chapter 10 is to find out what is wrong.
    """
    y1, y2 = block._halves(z)
    s_b, t_b = block._scale_shift(block.b, y1, block.split[1])
    x2 = unstretch(y2, s_b, t_b)
    s_a, _ = block._scale_shift(block.a, x2, block.split[0])
    x1 = unstretch(y1, s_a, t_b)
    return tuple(torch.cat(pair, dim=1) for pair in zip(x1, x2, strict=True)), sum_log_det(s_a) + sum_log_det(s_b)
