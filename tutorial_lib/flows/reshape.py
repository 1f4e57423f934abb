"""Squeeze: trade position for channels, so that a coupling can tell neighbouring pixels apart."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from tutorial_lib.flows.base import Transform


class Squeeze(Transform):
    """(B, C, H, W) -> (B, 4C, H/2, W/2): each 2 x 2 block of pixels becomes four channels; log_det = 0.

        z[:, 4c + 2i + j, h, w] = x[:, c, 2h + i, 2w + j]        i, j in {0, 1}

    A reordering, so nothing is stretched (RealNVP, 2016, arXiv 1605.08803, section 3.6).

    Raises:
        ValueError: if H or W is odd, or (for the inverse) the channels are not a multiple of 4.
    """

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if x.dim() != 4 or x.shape[2] % 2 or x.shape[3] % 2:
            raise ValueError(f"Squeeze received a tensor of shape {tuple(x.shape)}. Expected (B, C, H, W) with even H "
                             "and W, because it cuts the map into 2 x 2 blocks. Crop or pad one row or column.")
        return pixel_unshuffle(x, 2), x.new_zeros(x.shape[0])

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if z.dim() != 4 or z.shape[1] % 4:
            raise ValueError(f"Squeeze.inverse received a tensor of shape {tuple(z.shape)}. Expected (B, 4C, H, W): "
                             "four channels make one 2 x 2 block of pixels.")
        return pixel_shuffle(z, 2), z.new_zeros(z.shape[0])
