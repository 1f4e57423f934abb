"""Exercise 6: another picture with the same features."""

from __future__ import annotations

import torch
from torch import nn

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.slots import TensorSlot

SHAPE, FEATURES = (2, 6, 6), 9  # 72 numbers, seen through 9


class Extract(nn.Module):
    """A smooth network from pictures (C, H, W) to features (m,)."""

    def __init__(self, seed: int, curved: float = 0.8):
        super().__init__()
        self.a = normal(24, 72, seed=seed) / 72**0.5
        self.b = normal(FEATURES, 24, seed=seed + 1) / 24**0.5
        self.curved = curved

    def forward(self, image):
        hidden = self.a.to(image.dtype) @ image.flatten()
        return self.b.to(image.dtype) @ (hidden + self.curved * torch.tanh(hidden))


def picture(seed=3):
    return normal(*SHAPE, seed=seed)


def jacobian(extract, image):
    """(m, n)"""
    return torch.autograd.functional.jacobian(extract, image).flatten(1)


CLIPPED = "the result was clipped: this picture's values are not in [0, 1]"


def _moved(call):
    for step in (0.05, 0.01):
        y, outside = call(Extract(20), picture(), step), (picture() < 0) | (picture() > 1)
        found = float((y - picture()).norm())
        if bool(((y == 0) | (y == 1))[outside].all()):
            return f"step {step}: the picture moved by {found:.4f}", CLIPPED
        if found < 1e-9:
            return "the picture did not move at all", "the picture itself was returned, or the direction is zero"
        if abs(found - step) > 0.01 * step:
            return (f"step {step}: the picture moved by {found:.4f}",
                    "the direction was not brought to length 1 before it was multiplied by step")
    return None


def _kept(call):
    for seed, step in ((20, 0.05), (30, 0.01)):
        extract, x = Extract(seed), picture(seed)
        y = call(extract, x, step)
        with torch.no_grad():
            moved = float((extract(y) - extract(x)).norm()) / step
        if moved > 0.01:
            return f"features moved by {moved:.1%} of the step", _why(jacobian(extract, x), (y - x).flatten())
    return None


def _why(J, v):
    rows = torch.linalg.svd(J, full_matrices=False).Vh                   # (m, n): spans what the features see
    inside = float((rows @ v).norm() / v.norm())
    if inside > 0.999:
        return ("this direction lies where the features look (a gradient, a row of J, or a vector of the *reduced* "
                "SVD): take one of the last rows of Vh with full_matrices=True")
    if inside < 0.2:  # a random one has √(m/n) = 0.35
        return "nearly a null direction: the Jacobian was taken at another picture, or with coarse differences"
    return ("a direction that was not projected, such as a random one: most of it is unseen, and the rest is enough; "
            "subtract its part in the rows of J")


def _every_time(call):
    y = call(Extract(40, 0.0), picture(4).float(), 0.5)
    with torch.no_grad():
        moved = float((Extract(40, 0.0)(y) - Extract(40, 0.0)(picture(4).float())).norm())
    return None if moved < 1e-4 else f"a linear extractor in float32: the features moved by {moved:.3g}, not by 0"


MOVE = Exercise(
    name="same_features_other_image", minutes=14,
    returns=(lambda extract, image, step: TensorSlot("the picture", image.shape, "(C, H, W)", image.dtype),),
    laws=(Law("the picture does not move by step", _moved),
          Law("the features change", _kept),
          Law("the features change though the extractor is linear", _every_time)),
    passes="the picture moves by step, its features by less than 1 % of that",
    hints=("You need the Jacobian of extract at this picture: (m, n), with n = C·H·W pixels in columns. "
           "torch.autograd.functional.jacobian gives (m, C, H, W): flatten the last three.",
           "A null direction v has J v = 0. There are n − m of them at least: the last rows of Vh in "
           "torch.linalg.svd(J, full_matrices=True).",
           "Bring v to length 1, multiply by step, give it the shape of the picture, add it."),
)
