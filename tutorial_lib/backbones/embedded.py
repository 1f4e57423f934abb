"""The embedded backbone: a residual network small enough to be trained here and to travel with the course.

    image (B, 3, H, W)
      stem     3 -> 24, stride 2, one block          tap stride2    24 channels, sees  11 px
      stage 4  24 -> 48, stride 2, two blocks        tap stride4    48 channels, sees  39 px
      stage 8  48 -> 96, stride 2, two blocks        tap stride8    96 channels, sees  95 px
      stage 16 96 -> 192, stride 2, one block        tap stride16  192 channels, sees 143 px

A block computes relu(conv(relu(conv(x))) + skip(x)) with 3 x 3 kernels (He, Zhang, Ren, Sun 2015, arXiv 1512.03385).
While training, each convolution is followed by batch normalisation. Its statistics are constants afterwards, so they
are multiplied into the convolutions once and for all ("folded"): the network that a reader uses has convolutions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .base import Backbone, Tap, receptive_field

Conv = Callable[..., nn.Module]


def folded_conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Module:
    """Convolution with a bias: what is used."""
    return nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2)


def normed_conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Module:
    """Convolution and batch normalisation: what is trained."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which is a 1 x 1 convolution where the shape changes."""

    def __init__(self, c_in: int, c_out: int, stride: int, conv: Conv):
        super().__init__()
        self.conv1, self.conv2 = conv(c_in, c_out, 3, stride), conv(c_out, c_out, 3)
        self.skip = conv(c_in, c_out, 1, stride) if (c_in, stride) != (c_out, 1) else nn.Identity()
        self.layers = [(3, stride), (3, 1)]  # (kernel, stride) along the longer way

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x).relu()) + self.skip(x)).relu()


class Stem(nn.Module):
    """First convolution: colours to channels, at half the resolution."""

    def __init__(self, c_out: int, conv: Conv):
        super().__init__()
        self.conv = conv(3, c_out, 3, 2)
        self.layers = [(3, 2)]

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


def stages(conv: Conv) -> nn.ModuleDict:
    """The network as four stages, named by the stride that they end with."""
    return nn.ModuleDict({
        "stride2": nn.Sequential(Stem(24, conv), Block(24, 24, 1, conv)),
        "stride4": nn.Sequential(Block(24, 48, 2, conv), Block(48, 48, 1, conv)),
        "stride8": nn.Sequential(Block(48, 96, 2, conv), Block(96, 96, 1, conv)),
        "stride16": nn.Sequential(Block(96, 192, 2, conv)),
    })


def fold(network: nn.Module) -> nn.Module:
    """Multiply each batch normalisation into its convolution: w' = w g / sqrt(v + eps), b' = b - m g / sqrt(v + eps).

    g and b are its scale and shift, m and v its running mean and variance. Changes ``network``, which must be in
    eval mode, in place and returns it; its outputs stay the same.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential) and len(child) == 2 and isinstance(child[1], nn.BatchNorm2d):
            setattr(network, name, fuse_conv_bn_eval(child[0], child[1]))
        else:
            fold(child)
    return network


def _taps() -> dict[str, Tap]:
    layers, taps = [], {}
    with torch.device("meta"):
        network = stages(folded_conv)
    for name, stage in network.items():
        layers += [layer for part in stage for layer in part.layers]
        field, stride = receptive_field(layers)
        taps[name] = Tap(stride, stage[-1].conv2.out_channels, field)
    return taps


class Embedded(Backbone):
    """The embedded backbone with folded weights, 0.9 million parameters.

    Taps: ``stride4``, ``stride8``, ``stride16`` by default; ``stride2`` on request.
    """

    name = "embedded"
    ALL_TAPS = _taps()
    DEFAULT_TAPS = ("stride4", "stride8", "stride16")
    MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, taps: Iterable[str] | None = None):
        super().__init__(taps)
        with torch.device("meta"):  # shapes only: the weights come later, and no random number is drawn for them
            self.stages = stages(folded_conv)
        self.stages.to_empty(device="cpu")

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        found = {}
        for name, stage in self.stages.items():
            x = found[name] = stage(x)  # (B, channels, H/stride, W/stride), rounded up
            if name == last:
                break
        return found
