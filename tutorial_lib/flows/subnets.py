"""Networks for the s and t of a coupling layer. They are never inverted, so any network will do.

Each function here returns a *maker*: a callable ``(c_in, c_out) -> nn.Module``. The coupling layer calls it, because
only the layer knows how many channels it reads and how many numbers it needs back (s and t: twice the changed part).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import nn

SubnetMaker = Callable[[int, int], nn.Module]


def dense(hidden: int = 64, depth: int = 2, zero_last: bool = False) -> SubnetMaker:
    """Fully connected, ReLU between the layers: (B, c_in) -> (B, c_out).

    Args:
        hidden: width of each hidden layer.
        depth: number of hidden layers. DifferNet has 3 of 2048 (arXiv 2008.12577).
        zero_last: start the last layer at zero, so that s = t = 0 and the coupling starts as the identity
            (Glow, 2018, arXiv 1807.03039, section 3.3). DifferNet does not.
    """

    def make(c_in: int, c_out: int) -> nn.Module:
        widths = [c_in] + [hidden] * depth
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers, _last(nn.Linear(widths[-1], c_out), zero_last))

    return make


def conv(hidden: int = 64, kernel: int = 3, depth: int = 1, zero_last: bool = False) -> SubnetMaker:
    """Convolutional, same height and width out as in, ReLU between: (B, c_in, H, W) -> (B, c_out, H, W).

    Args:
        hidden: channels of each hidden layer.
        kernel: odd side of the square window, in cells of the map.
        depth: number of hidden layers.
        zero_last: as in :func:`dense`.

    Raises:
        ValueError: if ``kernel`` is even: it has no centre, and the map would change its size.
    """
    if kernel % 2 == 0:
        raise ValueError(f"conv(kernel={kernel}): an even window has no centre cell. Use an odd kernel: 1, 3, 5.")

    def make(c_in: int, c_out: int) -> nn.Module:
        widths = [c_in] + [hidden] * depth
        layers = [layer for a, b in pairwise(widths)
                  for layer in (nn.Conv2d(a, b, kernel, padding=kernel // 2), nn.ReLU())]
        return nn.Sequential(*layers, _last(nn.Conv2d(widths[-1], c_out, kernel, padding=kernel // 2), zero_last))

    return make


def _last(layer: nn.Linear | nn.Conv2d, zero: bool) -> nn.Module:
    if zero:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layer
