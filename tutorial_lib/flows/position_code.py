"""Where a vector stands, in numbers that a network can read: sines and cosines of column and row.

After "Attention is all you need" (Vaswani et al. 2017, arXiv 1706.03762, section 3.5), in two dimensions as in CFlow-AD
(Gudovskiy et al. 2022, arXiv 2107.12571).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def position_code(dim: int, height: int, width: int) -> Tensor:
    """The code of each position of a map, ``(dim, height, width)``, every entry in [-1, 1]; |code|^2 = dim / 2.

    With h = dim / 2 and w_i = 10000^(-2 i / h), i = 0 ... h / 2 - 1:

        channel     2 i,     2 i + 1      sin(column w_i), cos(column w_i)
        channel h + 2 i, h + 2 i + 1      sin(row w_i),    cos(row w_i)

    Columns and rows are counted from 0 and not divided by the size: one index is another place on a coarser map.

    Raises:
        ValueError: ``dim`` is not a positive multiple of 4, or the map has no position.
    """
    if dim < 4 or dim % 4:
        raise ValueError(f"position_code got dim={dim}. Expected a multiple of 4 (4, 8, ... 64, 128): sine and cosine "
                         "of column and row.")
    if height < 1 or width < 1:
        raise ValueError(f"position_code got a map of {height} x {width}. Expected at least one position.")
    h = dim // 2
    w = torch.exp(-math.log(1e4) * torch.arange(0, h, 2, dtype=torch.float64) / h)  # (h / 2,)

    def wave(index: Tensor) -> Tensor:
        angle = index[:, None] * w  # (n, h / 2)
        return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)  # (n, h), sine and cosine in turn

    columns, rows = (wave(torch.arange(n, dtype=torch.float64)).T for n in (width, height))
    code = torch.cat([columns[:, None, :].expand(h, height, width), rows[:, :, None].expand(h, height, width)])
    return code.to(torch.get_default_dtype())
