"""Exercise 4: what each place of the latent adds to the log-likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot
from tutorial_lib.flows.base import standard_normal_log_prob

SHAPES = ((2, 4, 3, 5), (3, 1, 2, 2), (1, 7, 4, 1))
LN2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class MapSlot(TensorSlot):
    """The likelihood map of latents with ``channels`` channels."""

    channels: int = 0

    def _shape_cause(self, value: Tensor) -> str:
        if tuple(value.shape) == (self.shape[0], self.channels):
            return "it was summed over the places (axes 2 and 3): sum over the channels, axis 1"
        return super()._shape_cause(value)


def _returns(z):
    return MapSlot("the map", (len(z), *z.shape[2:]), "(B, h, w)", z.dtype, z.shape[1])


def _right(z):
    return -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * LN2PI


def _total(call):
    for shape in SHAPES:
        z, log_det = normal(*shape, seed=41), normal(shape[0], seed=42)
        found = differ(f"for z of shape {shape}, the sum over the places + log_det", call(z).sum((1, 2)) + log_det,
                       standard_normal_log_prob(z) + log_det, 1e-8, "log p of the whole map")
        if found:
            return found
    return None


def _places(call):
    z = normal(2, 4, 3, 5, seed=43)
    moved = z.clone()
    moved[1, :, 2, 1] += 1.0
    changed = (call(moved) - call(z)).abs() > 1e-9
    if changed[1, 2, 1] and int(changed.sum()) == 1:
        return None
    return f"one place of z was moved, and {int(changed.sum())} places of the map changed; due is that one alone"


def _own(call):
    z = normal(2, 4, 3, 5, seed=44)
    return differ("the map", call(z), _right(z), 1e-8, "ln N(z at q; 0, I)")


LIKELIHOOD = Exercise(
    name="likelihood_map", minutes=8, returns=(_returns,),
    laws=(Law("the sum over the places and log_det do not make log p(x)", _total),
          Law("a place of the map does not depend on that place of z alone", _places),
          Law("it is not the log-density of the C numbers at the place", _own)),
    passes="the places sum to log p(z), each place counts its own C numbers",
    hints=("ln N(z; 0, 1) of one number is −z²/2 − ½ ln 2π. At one place there are C of them.",
           "Sum over the channels, axis 1. What becomes of the constant when C numbers are added?",
           "−½ Σ_c z² − (C/2) ln 2π, shape (B, h, w). It is high where the latent is likely."),
    suspects=(
        Suspect("the constant is missing: each of the C numbers brings −½ ln 2π", lambda z: -0.5 * z.square().sum(1)),
        Suspect("the constant was taken once per place: there are C numbers at a place",
                lambda z: -0.5 * z.square().sum(1) - 0.5 * LN2PI),
        Suspect("the constant of the whole map was taken at every place",
                lambda z: -0.5 * z.square().sum(1) - 0.5 * z[0].numel() * LN2PI),
        Suspect("the constant lacks its half: −½ ln 2π for each number",
                lambda z: -0.5 * z.square().sum(1) - z.shape[1] * LN2PI),
        Suspect("the constant has the wrong sign", lambda z: -0.5 * z.square().sum(1) + 0.5 * z.shape[1] * LN2PI),
        Suspect("a mean over the channels where a sum is due: log-densities add",
                lambda z: -0.5 * z.square().mean(1) - 0.5 * LN2PI),
        Suspect("a mean over the channels where a sum is due, and the constant is missing",
                lambda z: -0.5 * z.square().mean(1)),
        Suspect("a mean over the channels where a sum is due, the constant was summed",
                lambda z: -0.5 * z.square().mean(1) - 0.5 * z.shape[1] * LN2PI),
        Suspect("the wrong sign: this is the negative log-likelihood", lambda z: -_right(z)),
        Suspect("the half of z² is missing", lambda z: -z.square().sum(1) - 0.5 * z.shape[1] * LN2PI),
        Suspect("this is the paper's map −exp(−½ mean z²): a proxy, which sums to nothing",
                lambda z: -torch.exp(-0.5 * z.square().mean(1))),
        Suspect("this is the density, not its logarithm", lambda z: _right(z).exp()),
        Suspect("the sum was squared: square each number first",
                lambda z: -0.5 * z.sum(1).square() - 0.5 * z.shape[1] * LN2PI),
        Suspect("summed over the places as well: one number per map", lambda z: _right(z).sum((1, 2))),
        Suspect("the channels were not summed: one number per place", lambda z: -0.5 * z.square() - 0.5 * LN2PI),
    ),
)
