"""Exercise 5: the gradient of a score with respect to an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.checks.ch02.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SIDE, ROW, COLUMN = 12, 3, 7  # of the image, and of the one position that ``Spot`` looks at


class Score(nn.Module):
    """One number for an image (3, H, W); its weights ask for gradients, as those of a network in training do."""

    def __init__(self, seed: int, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.to(dtype)
        with torch.no_grad():
            for k, p in enumerate(self.parameters()):
                p.copy_(0.4 * normal(*p.shape, seed=seed + k))

    def maps(self, image: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(image[None])))[0]  # (3, H, W)

    def forward(self, image: Tensor) -> Tensor:
        return self.maps(image).square().sum()


class Spot(Score):
    """The score of one position of the map: it sees 5 × 5 pixels."""

    def forward(self, image: Tensor) -> Tensor:
        return self.maps(image)[:, ROW, COLUMN].square().sum()


def _image(seed: int = 81, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gradient(score, image):
    with torch.enable_grad():
        image = image.detach().clone().requires_grad_()
        return torch.autograd.grad(score(image), image)[0]


def _directional(call):
    score, image, h = Score(85), _image(), 1e-5
    g = call(score, image)
    for seed in (87, 89):
        v = normal(3, SIDE, SIDE, seed=seed)
        with torch.no_grad():
            slope = float((score(image + h * v) - score(image - h * v)) / (2 * h))
        inner = float((g.detach() * v).sum())
        if abs(inner - slope) > 1e-6 * max(1.0, abs(slope)):
            return f"along a direction v the score rises by {slope:.4f} per step, ⟨gradient, v⟩ is {inner:.4f}"
    return None


def _receptive_field(call):
    g = call(Spot(85), _image())
    seen = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    seen[ROW - 2:ROW + 3, COLUMN - 2:COLUMN + 3] = True
    outside = float(g.detach().abs().sum(0)[~seen].max())
    if outside > 0:
        return f"outside the 5 × 5 pixels that the score sees, the gradient is {outside:.2g}"
    return None if float(g.detach().abs().sum(0)[seen].min()) > 0 else "inside the 5 × 5 pixels an entry is zero"


def _left_alone(call):
    score, image = Score(91), _image(93)
    first = call(score, image).detach().clone()
    sent = image.clone()
    again = [call.function(score, sent) for _ in range(2)][1].detach()
    if sent.requires_grad or sent.grad is not None:
        return ("the caller's image comes back with requires_grad or a .grad",
                "image.requires_grad_() changes the caller's tensor: take a copy, image.clone().requires_grad_()")
    return None if torch.allclose(first, again) else "the second call gives another gradient than the first"


def _weights(call):
    score = Score(95)
    wanted = [p.requires_grad for p in score.parameters()]
    call(score, _image(97))
    changed = [p.requires_grad for p in score.parameters()] != wanted
    if changed:
        return "the weights no longer ask for gradients", "requires_grad was switched off and not on again"
    filled = sum(p.grad is not None for p in score.parameters())
    return None if not filled else (
        f"after the call {filled} of its {len(wanted)} weights have a .grad",
        "the weights carry a .grad now: backward() writes there too; use torch.autograd.grad(score(copy), copy)")


def _float32(call):
    score, image = Score(99, torch.float32), _image(dtype=torch.float32)
    found, expected = call(score, image).detach(), gradient(score, image)
    gap = float((found - expected).abs().max())
    return None if gap < 1e-4 * float(expected.abs().max()) else f"off by {gap:.2g}"


IMAGES = Exercise(
    name="input_gradient", minutes=8,
    returns=(lambda score, image: TensorSlot("the gradient", tuple(image.shape), "(C, H, W)", image.dtype),),
    laws=(Law("⟨gradient, v⟩ is not the slope of the score along v", _directional),
          Law("the gradient does not stop at the receptive field", _receptive_field),
          Law("the image is not left as it was", _left_alone),
          Law("the network is not left as it was", _weights),
          Law("it does not work in float32", _float32)),
    passes="⟨gradient, v⟩ is the slope along v, exact zeros outside the receptive field, nothing changed in place",
    hints=("The score is one number, so its Jacobian has one row, with one entry per pixel and channel. What has to "
           "be told that it will be differentiated: the weights, or the image?",
           "Take a copy of the image, image.clone(), and call requires_grad_() on the copy.",
           "torch.autograd.grad(score(copy), copy) returns a tuple with the gradient in it."),
    suspects=(
        Suspect("the absolute value was taken: a gradient has signs", lambda s, x: gradient(s, x).abs()),
        Suspect("the sign is turned: this is the direction in which the score falls", lambda s, x: -gradient(s, x)),
        Suspect("gradient times image: that is a share of the score, not its slope", lambda s, x: gradient(s, x) * x),
        Suspect("scaled to length 1: the slope itself is asked for",
                lambda s, x: gradient(s, x) / gradient(s, x).norm()),
        Suspect("divided by its largest entry: for a picture that may do, but the slope is asked for",
                lambda s, x: gradient(s, x) / gradient(s, x).abs().max()),
        Suspect("the channels were summed: the gradient has the shape of the image",
                lambda s, x: gradient(s, x).sum(0)),
        Suspect("the gradient of the weights: the image has to be differentiated, not the network",
                lambda s, x: torch.autograd.grad(s(x), next(s.parameters()))[0]),
        Suspect("a batch axis too many: (1, C, H, W) instead of (C, H, W)", lambda s, x: gradient(s, x)[None]),
        Suspect("the gradient of the squared score: the score itself is asked for",
                lambda s, x: 2 * s(x) * gradient(s, x)),
        Suspect("two gradients added up: x.grad is added to, never overwritten", lambda s, x: 2 * gradient(s, x)),
    ),
)
