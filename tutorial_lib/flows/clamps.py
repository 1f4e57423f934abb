"""Soft clamps: the one scalar function inside an affine coupling layer.

A coupling multiplies by exp(c(s)). Without a bound on c, one large s multiplies a feature by millions and the
round trip is lost in float32. Papers and libraries bound it in different ways, and the *slope at zero* differs by
the factor alpha between two that look alike; so each is a class named by its formula. ``bound`` is the largest |c|,
``slope`` is dc/ds at s = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AtanClamp:
    """c(s) = (2 alpha / pi) atan(s / alpha). DifferNet (2021, arXiv 2008.12577) as written in the paper."""

    alpha: float

    def __call__(self, s: Tensor) -> Tensor:
        return (2 * self.alpha / math.pi) * torch.atan(s / self.alpha)

    @property
    def bound(self) -> float:
        return self.alpha

    @property
    def slope(self) -> float:
        return 2 / math.pi


@dataclass(frozen=True)
class Atan0636Clamp:
    """c(s) = 0.636 alpha atan(s / alpha). DifferNet's released code: 0.636 stands for 2 / pi = 0.63662."""

    alpha: float

    def __call__(self, s: Tensor) -> Tensor:
        return 0.636 * self.alpha * torch.atan(s / self.alpha)

    @property
    def bound(self) -> float:
        return 0.318 * math.pi * self.alpha

    @property
    def slope(self) -> float:
        return 0.636


@dataclass(frozen=True)
class Atan0636RawClamp:
    """c(s) = 0.636 alpha atan(s). Coupling blocks of FrEIA 0.2: alpha times steeper at 0 than the form above."""

    alpha: float

    def __call__(self, s: Tensor) -> Tensor:
        return 0.636 * self.alpha * torch.atan(s)

    @property
    def bound(self) -> float:
        return 0.318 * math.pi * self.alpha

    @property
    def slope(self) -> float:
        return 0.636 * self.alpha


@dataclass(frozen=True)
class TanhClamp:
    """c(s) = alpha tanh(gain s). RealNVP (2016, arXiv 1605.08803); FrEIA's AllInOneBlock with gain 0.1."""

    alpha: float
    gain: float = 1.0

    def __call__(self, s: Tensor) -> Tensor:
        return self.alpha * torch.tanh(self.gain * s)

    @property
    def bound(self) -> float:
        return self.alpha

    @property
    def slope(self) -> float:
        return self.alpha * self.gain


@dataclass(frozen=True)
class SigmoidClamp:
    """c(s) = alpha (2 sigmoid(s) - 1), centred so that s = 0 means "leave the scale alone"."""

    alpha: float

    def __call__(self, s: Tensor) -> Tensor:
        return self.alpha * (2 * torch.sigmoid(s) - 1)

    @property
    def bound(self) -> float:
        return self.alpha

    @property
    def slope(self) -> float:
        return self.alpha / 2


@dataclass(frozen=True)
class NoClamp:
    """c(s) = s: no bound. For the break-it cells: see what the others are for."""

    def __call__(self, s: Tensor) -> Tensor:
        return s

    @property
    def bound(self) -> float:
        return math.inf

    @property
    def slope(self) -> float:
        return 1.0
