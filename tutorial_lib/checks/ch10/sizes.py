"""Exercise 1: the same image at three sizes, through one extractor."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.ch10.probes import MapsSlot, maps_differ
from tutorial_lib.checks.core import Exercise, Law, Suspect

TAP, OTHER = "block 35", "block 36"  # 0-based, as in CS-Flow: 304 and 512 channels there, 6 and 10 here
CHANNELS, STRIDE = 6, 4


class Extractor(nn.Module):
    """A frozen network with two taps: images (B, 3, H, W) to maps (B, 6, H/4, W/4) and (B, 10, H/4, W/4)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, STRIDE, stride=STRIDE).double().requires_grad_(False)
        self.last = nn.Conv2d(CHANNELS, 10, 3, padding=1).double().requires_grad_(False)
        for k, p in enumerate(self.parameters()):
            p.copy_(normal(*p.shape, seed=70 + k))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"extract takes images (B, 3, H, W); it was given {tuple(images.shape)}")
        first = torch.tanh(self.stem(images.double()))
        return {TAP: first, OTHER: torch.tanh(self.last(first))}


def _returns(x, extract):
    b, _, h, w = x.shape
    shapes = tuple((b, CHANNELS, h // (STRIDE * k), w // (STRIDE * k)) for k in (1, 2, 4))
    return MapsSlot("the result", shapes, torch.float64)


def _images(batch=2, h=32, w=48):
    return normal(batch, 3, h, w, seed=71)


def _right(x, extract):
    return tuple(extract(x[:, :, ::k, ::k])[TAP] for k in (1, 2, 4))


def _maps(call):
    extract = Extractor()
    for x in (_images(), _images(1, 64, 32)):
        found = maps_differ("the result", call(x, extract), _right(x, extract), 1e-9,
                            f'extract(every 1st, 2nd, 4th pixel)["{TAP}"]')
        if found:
            return f"for images {tuple(x.shape)}, {found}"
    return None


def _rows(call):
    x, extract = _images(), Extractor()
    where = maps_differ("the result", call(x[1:], extract), tuple(m[1:] for m in call(x, extract)), 1e-9,
                        "that of the same image in a batch")
    return where and (where, "something was reduced over the batch axis")


def _of(maps):
    """A suspect from a function (x, extract, k) that gives one scale."""
    return lambda x, extract: tuple(maps(x, extract, k) for k in (1, 2, 4))


def _smaller(x, k, **mode):
    return x if k == 1 else F.interpolate(x, size=(x.shape[2] // k, x.shape[3] // k), **mode)


SIZES = Exercise(
    name="three_sizes", minutes=6, returns=(_returns,),
    laws=(Law("the three maps are not those of every 1st, 2nd and 4th pixel of the image", _maps),
          Law("the images of a batch depend on each other", _rows)),
    passes="three maps of block 35, of every 1st, 2nd and 4th pixel, images independent",
    hints=("What is made smaller, the picture or the map? Only a smaller picture shows the network other details.",
           "Every second pixel of an image (B, 3, H, W) is x[:, :, ::2, ::2].",
           f"extract returns a dictionary of maps. The tap of CS-Flow is called \"{TAP}\"."),
    suspects=(
        Suspect("the features were made smaller instead of the image: the network must look at a smaller picture",
                _of(lambda x, e, k: e(x)[TAP][:, :, ::k, ::k])),
        Suspect("the features were averaged down instead of the image: the network must look at a smaller picture",
                _of(lambda x, e, k: F.avg_pool2d(e(x)[TAP], k))),
        Suspect("the features were resized by interpolation instead of the image: make the picture smaller first",
                _of(lambda x, e, k: _smaller(e(x)[TAP], k, mode="bilinear"))),
        Suspect(f"the wrong tap: {OTHER} is one block too deep and has other channels",
                _of(lambda x, e, k: e(x[:, :, ::k, ::k])[OTHER])),
        Suspect(f"the wrong tap, hidden: the first channels of {OTHER} have the right shape and the wrong content. "
                "This is what CS-Flow's released code did until March 2022",
                _of(lambda x, e, k: e(x[:, :, ::k, ::k])[OTHER][:, :CHANNELS])),
        Suspect("a mean over blocks of pixels: CS-Flow takes every 2nd and 4th pixel as it is",
                _of(lambda x, e, k: e(F.avg_pool2d(x, k))[TAP])),
        Suspect("bilinear interpolation of the image: CS-Flow takes every 2nd and 4th pixel as it is",
                _of(lambda x, e, k: e(_smaller(x, k, mode="bilinear", antialias=True))[TAP])),
        Suspect("bilinear interpolation of the image, without antialias: between pixels it takes means. CS-Flow takes "
                "every 2nd and 4th pixel as it is", _of(lambda x, e, k: e(_smaller(x, k, mode="bilinear"))[TAP])),
        Suspect("bicubic interpolation of the image: CS-Flow takes every 2nd and 4th pixel as it is",
                _of(lambda x, e, k: e(_smaller(x, k, mode="bicubic"))[TAP])),
        Suspect("the picture was cropped: a corner at full size instead of the whole at half the size",
                _of(lambda x, e, k: e(x[:, :, :x.shape[2] // k, :x.shape[3] // k])[TAP])),
        Suspect("the order is reversed: the largest map comes first",
                lambda x, e: _right(x, e)[::-1]),
        Suspect("sizes 1, ½ and ⅓: the third picture has a quarter of the side",
                lambda x, e: tuple(e(x[:, :, ::k, ::k])[TAP] for k in (1, 2, 3))),
        Suspect("three times the same size: each scale needs a picture of its own size",
                _of(lambda x, e, k: e(x)[TAP])),
    ),
)
