"""From log-likelihoods of several depths to one heat map (CFlow-AD, arXiv 2107.12571, and its released code).

    p_k = exp(l_k - m_k)            m_k: the largest l of depth k that counts as normal, so p_k is in (0, 1]
    map = top - sum_k enlarged p_k  large where no depth finds the place likely
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def largest(likelihoods: Sequence[Tensor]) -> Tensor:
    """The largest value of each depth, ``(K,)`` float64, over all images and positions of maps ``(B, h_k, w_k)``."""
    return torch.stack([values.double().amax() for values in likelihoods])


def enlarged(likelihoods: Sequence[Tensor], maxima: Tensor, size: int, align_corners: bool) -> Tensor:
    """The p_k of each depth at the size of the image: maps ``(B, h_k, w_k)`` to ``(B, K, size, size)``, float64.

    A place more likely than ``maxima`` allows counts as 1. Float64, because exp underflows early: in float32 every l
    more than 17 below its maximum would give the same map.

    Args:
        align_corners: False: the value of a cell stands at the centre of the pixels that the cell covers. True (the
            released code): the outer cells stand on the outer pixels, so that a cell lies up to half a stride off.
    """
    relative = [(values.double() - m).clamp(max=0).exp()[:, None]
                for values, m in zip(likelihoods, maxima, strict=True)]
    return torch.cat([F.interpolate(p, size=(size, size), mode="bilinear", align_corners=align_corners)
                      for p in relative], dim=1)
