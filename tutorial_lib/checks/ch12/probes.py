"""Probe pyramids and small tools that the laws of chapter 12 share. Everything is float64 unless said."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import Slot, TensorSlot


def blur_and_skip(x: Tensor) -> Tensor:
    """Half the sides: a 3 x 3 binomial blur of each channel, then every second pixel. ``(B, C, H, W)``, H, W even."""
    tap = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device) / 4
    kernel = torch.outer(tap, tap).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])[..., ::2, ::2]


def nearest(x: Tensor) -> Tensor:
    """Twice the sides: every pixel becomes a block of 2 x 2. ``(B, C, h, w)`` or ``(C, h, w)``."""
    return x.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)


def max_pool(x: Tensor) -> Tensor:
    """Half the sides by the largest of four: a prediction that is not even linear."""
    return F.max_pool2d(x, 2)


def nearest_and_blur(x: Tensor) -> Tensor:
    """Twice the sides, smoothed."""
    big = nearest(x)
    return (big + big.roll(1, -1) + big.roll(1, -2)) / 3


def odd_filter(x: Tensor) -> Tensor:
    """Half the sides by a random filter that changes sign."""
    kernel = normal(1, 1, 2, 2, seed=121).to(x).expand(x.shape[1], 1, 2, 2)
    return F.conv2d(x, kernel, stride=2, groups=x.shape[1])


def zeros_between(x: Tensor) -> Tensor:
    """Twice the sides with zeros in the gaps: a poor prediction."""
    big = x.new_zeros(*x.shape[:-2], 2 * x.shape[-2], 2 * x.shape[-1])
    big[..., ::2, ::2] = x
    return big


WAYS = {"blur and skip, nearest": (blur_and_skip, nearest), "max-pool, nearest and blur": (max_pool, nearest_and_blur),
        "random filter, zeros between": (odd_filter, zeros_between)}


def gaussian(x: Tensor, levels: int, down) -> list[Tensor]:
    """x, down(x), down(down(x)), …"""
    found = [x]
    for _ in range(levels - 1):
        found.append(down(found[-1]))
    return found


def split(x: Tensor, levels: int, down, up) -> list[Tensor]:
    """The pyramid: what each prediction missed, then the smallest picture."""
    g = gaussian(x, levels, down)
    return [fine - up(coarse) for fine, coarse in pairwise(g)] + [g[-1]]


def join(pyramid, up) -> Tensor:
    """The picture of a pyramid, from coarse to fine."""
    x = pyramid[-1]
    for level in list(pyramid)[-2::-1]:
        x = up(x) + level
    return x


@dataclass(frozen=True)
class LevelsSlot(Slot):
    """Several finite tensors, one per level; a list or a tuple."""

    levels: tuple[TensorSlot, ...] = ()

    def examine(self, value) -> None:
        if isinstance(value, Tensor) or not isinstance(value, tuple | list):
            raise Stop(Finding("type", f"{self.name} must hold one tensor per level", f"found {type(value).__name__}",
                               "collect the levels in a list or tuple"))
        if len(value) != len(self.levels):
            raise Stop(Finding("shape", f"{self.name} must hold {len(self.levels)} levels", f"found {len(value)}",
                               "one level too few or too many: the smallest picture belongs to them, once"))
        for slot, level in zip(self.levels, value, strict=True):
            slot.examine(level)

    def of_any_dtype(self) -> Slot:
        return LevelsSlot(self.name, tuple(slot.of_any_dtype() for slot in self.levels))
