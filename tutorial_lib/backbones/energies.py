"""The third task of the pretraining: say how strong waves of each length and direction are at every position.

Names of classes ask what a picture shows, foreign regions ask what does not belong. A detector needs to know how much
of every structure is there. That answer is known by formula: the energy of a pair of Gabor filters,

    energy = sqrt((x * even)^2 + (x * odd)^2)      even: cosine under a Gaussian window, odd: sine, *: convolution

(Adelson, Bergen 1985), which hardly changes when a wave moves by a part of its length. Each octave halves the picture
and uses the same filters, so that tap k, counted from 0, reads waves from 3 pixels up to 4.5 * 2^k.
Gabor's filters for pictures: Daugman 1985.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Tap

LENGTHS, DIRECTIONS, REACH = (3, 4.5), 4, 5  # pixels of an octave; half circle in equal steps; filters are 11 x 11
COLOURS = ((1 / 3, 1 / 3, 1 / 3), (0.7, -0.7, 0), (0.4, 0.4, -0.8))  # brightness, red - green, yellow - blue
PER_OCTAVE = len(COLOURS) * len(LENGTHS) * DIRECTIONS


@cache
def filters() -> Tensor:
    """Even and odd filters in turns, ``(16, 1, 11, 11)``; even ones have mean 0 and length 1."""
    y, x = torch.meshgrid(*[torch.arange(-REACH, REACH + 1.0)] * 2, indexing="ij")
    found = []
    for length in LENGTHS:
        for k in range(DIRECTIONS):
            angle = math.pi * k / DIRECTIONS
            phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / length
            window = torch.exp(-(x * x + y * y) / 2 / (length / 2) ** 2)
            even, odd = window * phase.cos(), window * phase.sin()
            even = even - window * even.sum() / window.sum()  # no answer to plain brightness
            found += [even / even.square().sum().sqrt(), odd / even.square().sum().sqrt()]
    return torch.stack(found)[:, None]


@torch.no_grad()
def energies(images: Tensor, octaves: int) -> list[Tensor]:
    """What tap k of stride 2^(k+1) shall tell, for k below ``octaves``.

    Images ``(B, 3, S, S)`` to maps ``(B, 3 + 24 (k + 1), S / 2^(k+1), S / 2^(k+1))``: the means of brightness and
    two colour differences, then the energies of the octaves 0 to k. An octave is mirrored at its rim, or continued by
    0 where it is smaller than a filter (there plain brightness answers too).
    """
    colours, bank = torch.einsum("ij,bjhw->bihw", torch.tensor(COLOURS).to(images), images), filters().to(images)
    found, sofar = [], []
    for k in range(octaves):
        flat, size = colours.reshape(-1, 1, *colours.shape[2:]), colours.shape[-1]
        flat = F.pad(flat, (REACH,) * 4, mode="reflect" if size > 2 * REACH else "constant")
        waves = F.conv2d(flat, bank)
        energy = (waves[:, 0::2].square() + waves[:, 1::2].square() + 1e-6).sqrt()
        energy = F.avg_pool2d(energy, 2)
        sofar.append(energy.reshape(len(images), PER_OCTAVE, *energy.shape[2:]))
        colours = F.avg_pool2d(colours, 2)
        found.append(torch.cat([colours] + [F.avg_pool2d(e, 2 ** (k - j)) for j, e in enumerate(sofar)], 1))
    return found


class EnergyReader(nn.Module):
    """A linear reading of every tap on its own, and the mean and spread that make each energy count alike."""

    def __init__(self, taps: Iterable[Tap]):
        super().__init__()
        self.read = nn.ModuleList(nn.Conv2d(tap.channels, len(COLOURS) + PER_OCTAVE * (k + 1), 1)
                                  for k, tap in enumerate(taps))
        self.scale: list[tuple[Tensor, Tensor]] = []

    def measure(self, images: Tensor) -> None:
        """Mean and standard deviation of every target over these images."""
        self.scale = [(t.mean((0, 2, 3), keepdim=True), t.std((0, 2, 3), keepdim=True) + 1e-6)
                      for t in energies(images, len(self.read))]

    def loss(self, maps: Iterable[Tensor], images: Tensor) -> Tensor:
        """Mean squared error in units of the spread, summed over taps; about 1 for a tap that tells nothing."""
        told = [read(m) for read, m in zip(self.read, maps, strict=True)]
        asked = zip(energies(images, len(told)), self.scale, strict=True)
        return sum((t - (e - mean) / std).square().mean() for t, (e, (mean, std)) in zip(told, asked, strict=True))
