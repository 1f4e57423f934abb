"""Exercise 5: the gradient map g = Σ_c |G * ∇x_c|."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.checks.ch08.probes import PlantedScore, blur, drawn, gap
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SIZE, SIGMA = 36, 2.0
CENTRE = slice(14, 22)  # planted gradients stay four sigmas from the border: how a blur treats the border is free


def _planted(*spots: tuple[int, int, int, float]) -> Tensor:
    """A gradient (3, 36, 36) that is zero but for ``(channel, row, column, value)``."""
    weights = torch.zeros(3, SIZE, SIZE)
    for channel, row, column, value in spots:
        weights[channel, row, column] = value
    return weights


def _expected(score: PlantedScore, x: Tensor) -> Tensor:
    total = torch.zeros(x.shape[1:])
    for channel in score.gradient(x):           # the loop formula: one channel after the other
        total = total + blur(channel[None], SIGMA)[0].abs()
    return total


def _compare(call, linear, curved=None, tolerance=0.02):
    score, x = PlantedScore(linear, curved), drawn(3, SIZE, SIZE, seed=2)
    found, expected = call(score, x, SIGMA), _expected(score, x)
    top = max(float(expected.max()), 1e-9)
    if gap(found, expected) <= tolerance * max(top, 0.01):
        return None
    copies = max(score.batches, default=1)
    if copies > 1 and gap(found, copies * expected) <= tolerance * copies * top:
        return (f"the map is {copies} times too large, and score was given {copies} pictures at once",
                f"the gradient of the sum over a batch of {copies} copies: give it one picture, take its one score")
    passes = len(score.batches)
    if passes > 1 and gap(found, passes * expected) <= tolerance * passes * top:
        return (f"the map is {passes} times too large, and score was called {passes} times",
                f"gradients of {passes} backward passes were accumulated in x.grad")
    return f"the largest value is {float(found.max()):.3g}, expected {top:.3g}"


def _spot(call):
    return _compare(call, _planted((1, 18, 18, 1.0)))


def _sign(call):
    score = PlantedScore(_planted((0, 18, 18, -1.0)))
    low = float(call(score, drawn(3, SIZE, SIZE, seed=2), SIGMA).min())
    return f"one negative gradient, and the map goes down to {low:.3g}" if low < -1e-6 else None


def _channels(call):
    return _compare(call, _planted((0, 18, 18, 1.0), (2, 18, 18, -1.0)))


def _neighbours(call):
    return _compare(call, _planted((0, 18, 17, 1.0), (0, 18, 18, -1.0)))


def _formula(call):
    linear, curved = torch.zeros(3, SIZE, SIZE), torch.zeros(3, SIZE, SIZE)
    linear[:, CENTRE, CENTRE], curved[:, CENTRE, CENTRE] = drawn(3, 8, 8, seed=4), drawn(3, 8, 8, seed=5)
    return _compare(call, linear, curved)


def _plain(score, x):
    image = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        value = score(image[None])[0]
    return torch.autograd.grad(value, image)[0]  # (C, H, W)


def _variant(last):
    return lambda score, x, sigma: last(_plain(score, x), sigma)


GRADIENT_MAP = Exercise(
    name="gradient_map", minutes=12,
    returns=(lambda score, x, sigma: TensorSlot("the map", tuple(x.shape[1:]), "(H, W)"),),
    laws=(Law("the map must not be negative", _sign),
          Law("one pixel that matters must show as one soft spot", _spot),
          Law("channels of opposite sign must not cancel", _channels),
          Law("neighbours of opposite sign must cancel, for they are blurred first", _neighbours),
          Law("the map is not Σ_c |G * ∇x_c|", _formula)),
    passes="not negative, equals the loop formula, absolute value after the blur and before the channel sum",
    hints=("x must ask for its gradient: a copy with .requires_grad_(True). score wants a batch: image[None].",
           "torch.autograd.grad(value, image) returns a tuple with one gradient, of the shape of the image.",
           "Read the formula from the inside out: first the blur, then the bars, then the sum over c."),
    suspects=(
        Suspect("the absolute value was taken before the blur. Then neighbours of opposite sign no longer cancel",
                _variant(lambda g, sigma: blur(g.abs(), sigma).sum(0))),
        Suspect("the absolute value was taken after the channel sum. By then channels had cancelled",
                _variant(lambda g, sigma: blur(g, sigma).sum(0).abs())),
        Suspect("there is no absolute value at all", _variant(lambda g, sigma: blur(g, sigma).sum(0))),
        Suspect("there is no blur: this is the raw gradient", _variant(lambda g, sigma: g.abs().sum(0))),
        Suspect("the channels were not added: three maps instead of one", _variant(lambda g, s: blur(g, s).abs())),
        Suspect("you take the mean over the channels. The formula has a sum",
                _variant(lambda g, sigma: blur(g, sigma).abs().mean(0))),
        Suspect("you take the largest channel. The formula has a sum",
                _variant(lambda g, sigma: blur(g, sigma).abs().amax(0))),
        Suspect("you take squares. The formula has absolute values (the released code squares at the very end)",
                _variant(lambda g, sigma: blur(g, sigma).square().sum(0))),
        Suspect("you blur the picture times its gradient. The formula has the gradient alone",
                lambda score, x, sigma: blur(x * _plain(score, x), sigma).abs().sum(0))))
