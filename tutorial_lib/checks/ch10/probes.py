"""Probe maps and networks that the laws of chapter 10 share. Everything is float64 unless said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import Slot, TensorSlot
from tutorial_lib.flows import CrossScaleNet, Flattened

Maps = tuple[Tensor, ...]


@dataclass(frozen=True)
class MapsSlot(Slot):
    """One map per scale, the largest first: a tuple (or list) of finite tensors of these shapes."""

    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype | None = None

    def of_any_dtype(self) -> MapsSlot:
        return MapsSlot(self.name, self.shapes)

    def examine(self, value) -> None:
        if not isinstance(value, tuple | list):
            raise Stop(Finding("type", f"{self.name} must be a tuple with one map per scale",
                               f"found one {type(value).__name__}", "end with `return tuple(...)`"))
        if len(value) != len(self.shapes):
            raise Stop(Finding("type", f"{self.name} must hold one map per scale",
                               f"found {len(value)} of {len(self.shapes)}", "a scale was left out, or appended twice"))
        for k, (found, shape) in enumerate(zip(value, self.shapes, strict=True)):
            if isinstance(found, dict):
                keys = " and ".join(f'"{key}"' for key in found)
                raise Stop(Finding("type", f"scale {k} of {self.name} must be a map",
                                   f"found a dict with the keys {keys}",
                                   f"all taps came back: a name in brackets, such as [{keys.split(' and ')[0]}], takes "
                                   "one map out"))
            TensorSlot(f"scale {k} of {self.name}", shape, "(B, C, h, w)", self.dtype).examine(found)


def like(name: str, maps: Maps) -> MapsSlot:
    """The slot of a result that has the shapes and the number type of ``maps``."""
    return MapsSlot(name, tuple(tuple(m.shape) for m in maps), maps[0].dtype)


def pyramid(channels: int, side: int, seed: int, batch: int = 2) -> Maps:
    """Three maps (B, C, side, side), then half and a quarter of the side; every scale has its own spread."""
    return tuple((1.0 + 0.4 * k) * normal(batch, channels, side >> k, side >> k, seed=seed + k) for k in range(3))


flat = Flattened.join  # all numbers of a sample in one row: (B, D)


def joint_log_det(function: Callable, xs: Maps) -> Tensor:
    """ln|det J| of the joint map of all scales, per sample: every number of every scale is nudged, in one batch."""
    layout, rows, h = Flattened(nn.Identity(), [x.shape[1:] for x in xs]), flat(xs), 1e-5
    steps = h * torch.eye(rows.shape[1], dtype=rows.dtype)
    nudged = torch.cat([rows[:, None] + steps, rows[:, None] - steps], dim=1)          # (B, 2 D, D)
    z = flat(function(layout.split(nudged.flatten(0, 1)))[0]).detach().view_as(nudged)
    plus, minus = z.chunk(2, dim=1)
    return torch.linalg.slogdet((plus - minus).mT / (2 * h)).logabsdet


def maps_differ(name: str, found: Maps, expected: Maps, atol: float, of: str) -> str | None:
    """The sentence for "where" when one of the scales differs; None when all agree."""
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        if where := differ(f"scale {k} of {name}", a, b, atol, of):
            return where
    return None


def half(maps: Maps, second: bool) -> Maps:
    """The first or the second half of the channels at every scale."""
    return tuple(m.chunk(2, dim=1)[int(second)] for m in maps)


class CrossScale(nn.Module):
    """A frozen s/t network for three scales: c channels in, 2c out, neighbours exchange, s bounded by 1.2.

    One call gives three maps (B, 2c, h_i, w_i): s first, then t. Weights lie well away from zero.
    """

    def __init__(self, c: int, seed: int, gain: float = 0.5):
        super().__init__()
        self.net = CrossScaleNet(c, 2 * c, hidden=2 * c, gamma=1.0).double().requires_grad_(False)
        for k, conv in enumerate(m for m in self.net.modules() if isinstance(m, nn.Conv2d)):
            conv.weight.copy_(gain * normal(*conv.weight.shape, seed=seed + 2 * k))
            conv.bias.copy_(gain * normal(*conv.bias.shape, seed=seed + 2 * k + 1))

    def forward(self, xs: Maps) -> Maps:
        parts = [m.chunk(2, dim=1) for m in self.net(tuple(xs))]
        return tuple(torch.cat([1.2 * torch.tanh(s + 0.2), t], dim=1) for s, t in parts)
