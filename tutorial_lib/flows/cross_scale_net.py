"""The s/t network of a cross-scale coupling: two layers of convolutions, and neighbouring sizes meet in the second.

    h_k   = leaky(conv(x_k))                                                   each scale by itself
    out_k = gamma_k * (conv(h_k) + conv(h_{k-1}, stride 2) + conv(up2(h_{k+1})))     neighbours, added

After CS-Flow (2022, arXiv 2110.02855) and its released code. It is never inverted.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tutorial_lib.flows.cross_scale_coupling import Scales, check_scales
from tutorial_lib.flows.enlarged_conv import conv_of_enlarged
from tutorial_lib.flows.subnets import SubnetMaker

SLOPE = 0.1  # of LeakyReLU below 0


class CrossScaleNet(nn.Module):
    """A tuple of maps in, a tuple of maps out: ``(B, c_in, h_k, w_k) -> (B, c_out, h_k, w_k)``, h_k = 2 h_{k+1}.

    Each output is multiplied by a learned number gamma. It starts at 0, so s = t = 0 and the coupling starts as the
    identity; until the gammas have moved, no other weight gets a gradient.

    Args:
        hidden: channels between the two layers. kernel: odd side of all windows. scales: number of maps.
        exchange: whether neighbouring scales are added in the second layer; without, the scales never meet.
        gamma: where the gammas start. gammas: ``"scale"`` (one each) or ``"network"`` (one for all scales).

    Raises:
        ValueError: an even kernel; x with another number of maps, or a map that is not twice as large as the next.
    """

    def __init__(self, c_in: int, c_out: int, hidden: int, kernel: int = 3, scales: int = 3, exchange: bool = True,
                 gamma: float = 0.0, gammas: str = "scale"):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"CrossScaleNet(kernel={kernel}): an even window has no centre. Use an odd one: 1, 3, 5.")
        self.scales = scales

        def conv(a: int, b: int, stride: int = 1) -> nn.Conv2d:
            return nn.Conv2d(a, b, kernel, stride, padding=kernel // 2)

        self.own = nn.ModuleList(conv(c_in, hidden) for _ in range(scales))
        self.same = nn.ModuleList(conv(hidden, c_out) for _ in range(scales))
        links = scales - 1 if exchange else 0
        self.down = nn.ModuleList(conv(hidden, c_out, stride=2) for _ in range(links))  # from scale k to k + 1
        self.up = nn.ModuleList(conv(hidden, c_out) for _ in range(links))              # from scale k + 1 to k
        self.gamma = nn.Parameter(torch.full((scales if gammas == "scale" else 1,), float(gamma)))

    def read(self, x: Scales) -> Scales:
        """First layer, each scale by itself: ``(B, hidden, h_k, w_k)``."""
        return tuple(F.leaky_relu(conv(part), SLOPE) for conv, part in zip(self.own, x, strict=True))

    def meet(self, h: Scales) -> Scales:
        """Second layer: each scale and its neighbours, added: ``(B, c_out, h_k, w_k)``."""
        out = [conv(part) for conv, part in zip(self.same, h, strict=True)]
        for k, (down, up) in enumerate(zip(self.down, self.up, strict=True)):
            out[k + 1] = out[k + 1] + down(h[k])
            out[k] = out[k] + conv_of_enlarged(h[k + 1], up)
        return tuple(out)

    def forward(self, x: Scales) -> Scales:
        check_scales(x, self.scales, self)
        for k in range(self.scales - 1):
            (h, w), (small_h, small_w) = x[k].shape[2:], x[k + 1].shape[2:]
            if (h, w) != (2 * small_h, 2 * small_w):
                raise ValueError(f"CrossScaleNet received a map of {h} x {w} and then one of {small_h} x {small_w}. "
                                 "Expected half the height and half the width at each next scale: give images whose "
                                 f"sides are multiples of the backbone's stride times {2 ** (self.scales - 1)}.")
        return tuple(g * out for g, out in zip(self.gamma.expand(self.scales), self.meet(self.read(x)), strict=True))


def cross_scale(hidden: int = 64, kernel: int = 3, **numbers) -> SubnetMaker:
    """A maker of :class:`CrossScaleNet` for :class:`CrossScaleCoupling`; arguments as there."""
    return lambda c_in, c_out: CrossScaleNet(c_in, c_out, hidden, kernel, **numbers)
