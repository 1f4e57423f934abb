"""Exercise 6: the same views for the baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.checks.ch08.probes import drawn, gap
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.slots import TensorSlot

SIDE, T, SEED = 13, 4, 7


class Spy:
    """A score that notes every picture it sees. ``draws``: it also uses the global random numbers, as a model may."""

    def __init__(self, draws: bool = False):
        self.draws, self.pictures = draws, []

    def __call__(self, pictures: Tensor) -> Tensor:
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != (3, SIDE, SIDE):
            raise ValueError(f"score takes (N, C, H, W) = (N, 3, {SIDE}, {SIDE}); it was given {tuple(pictures.shape)}")
        self.pictures.append(pictures.detach().clone())
        if self.draws:
            torch.rand(3)
        flat = pictures.flatten(1)
        return 0.1 * flat.square().mean(1) + torch.sin(flat @ drawn(flat.shape[1], seed=9))

    @property
    def seen(self) -> Tensor:
        return torch.cat(self.pictures)  # (N, 3, SIDE, SIDE)

    def marks(self) -> Tensor:
        """One number per picture, the same for equal pictures only; sorted, so that the order is free."""
        return (self.seen.flatten(1).double() @ drawn(3 * SIDE**2, seed=11).double()).sort().values


def _images() -> Tensor:
    """Five pictures; the centre pixel, which no rotation moves, holds the number of the picture: 10, 20, …, 50."""
    images = drawn(5, 3, SIDE, SIDE, seed=1)
    images[:, :, SIDE // 2, SIDE // 2] = torch.arange(1.0, 6.0)[:, None] * 10
    return images


def _again(call, images, seed, state, draws=False):
    """Call again with the global random generator in another state; returns the spy and the result."""
    spy = Spy(draws)
    torch.manual_seed(state)
    return spy, call.function(spy, images.clone(), T, seed)


def _plain(call):
    error = gap(call(Spy(), _images(), 1, SEED), Spy()(_images()))
    return (f"T = 1: off by {error:.3g}", "the first view must be the image as it is") if error > 1e-4 else None


def _count(call):
    spy = Spy()
    call(spy, _images(), T, SEED)
    seen, due = len(spy.seen), 5 * T
    causes = {5: "each image was seen once: T views of each are due", 1: "only one picture was scored",
              T: "one picture per view was scored: every image needs T views",
              5 * (T - 1): "the untouched image counts as one of the T views: T − 1 more, not T − 2",
              5 * (T + 1): "the untouched image counts as one of the T views: T − 1 more, not T"}
    return None if seen == due else (f"5 images, T = 4: {seen} pictures were scored, expected {due}",
                                     causes.get(seen, ""))


def _distinct(call):
    spy = Spy()
    call(spy, _images(), T, SEED)
    different = len(spy.marks().unique())
    return None if different == 5 * T else (
        f"5 images, T = 4: {different} different pictures among {5 * T}",
        "every view was turned by the same angle: each of the T views needs an angle of its own")


def _mean(call):
    spy = Spy()
    found = call(spy, _images(), T, SEED)
    owner = spy.seen[:, 0, SIDE // 2, SIDE // 2].div(10).round()
    scores = Spy()(spy.seen)
    mean = torch.stack([scores[owner == i].mean() for i in range(1, 6)])
    total = torch.stack([scores[owner == i].sum() for i in range(1, 6)])
    if gap(found, mean) < 1e-3:
        return None
    cause = "you take the sum over the T views" if gap(found, total) < 1e-3 else (
        "B and T are mixed: the scores of different images were averaged" if abs(float((found - mean).mean())) < 1e-3
        else "another reduction than the mean over an image's T scores")
    return f"image 0: {float(found[0]):.3f}, the mean of its four scores is {float(mean[0]):.3f}", cause


def _same_views(call):
    images = _images()
    call(Spy(), images, T, SEED)
    first, a = _again(call, images, SEED, state=1)
    second, b = _again(call, images, SEED, state=2, draws=True)
    if torch.equal(first.marks(), second.marks()) and gap(a, b) < 1e-4:
        return None
    return ("two rows of the table, the same seed: the two scores were shown different pictures",
            "different views per row: draw the angles from torch.Generator().manual_seed(seed), inside the function")


def _other_seed(call):
    images = _images()
    call(Spy(), images, T, SEED)
    (first, _), (second, _) = _again(call, images, SEED, 1), _again(call, images, SEED + 1, 1)
    return ("seed 7 and seed 8 gave the same pictures", "seed is not used") if torch.equal(
        first.marks(), second.marks()) else None


def _alone(call):
    images = _images()
    error = gap(call(Spy(), images, T, SEED)[3:4], call(Spy(), images[3:4], T, SEED))
    return (f"image 3 alone and in the batch: its score moved by {error:.3g}",
            "the angles depend on an image's place in the batch: draw T angles once, for all images") \
        if error > 1e-3 else None


def _original(call):
    spy, images = Spy(), _images()
    call(spy, images, T, SEED)
    here = [(spy.seen - image).flatten(1).abs().amax(1).min() < 1e-5 for image in images]
    return None if all(here) else ("T = 4: the untouched image is not among the four views",
                                   "all T angles were drawn: the first one is 0, or T = 1 and T = 4 share nothing")


FAIRNESS = Exercise(
    name="views_for_the_baseline", minutes=14,
    returns=(lambda score, images, T, seed: TensorSlot("the score", (len(images),), "(B,)"),),
    laws=(Law("T = 1 must give the plain score", _plain),
          Law("every image must be seen T times", _count),
          Law("the T views of an image must differ", _distinct),
          Law("the score is not the mean over an image's views", _mean),
          Law("both rows of the table must see the same views", _same_views),
          Law("another seed must give other views", _other_seed),
          Law("an image must score the same alone and in a batch", _alone),
          Law("the untouched image must be one of the views", _original)),
    passes="T = 1 is the plain score, both rows see the same views, the seed decides them, alone equals in a batch",
    hints=("Begin with the angles: one 0 and T − 1 numbers between −180 and 180, from a generator of your own that "
           "was seeded with seed.",
           "For each angle: rotate(images, angle.expand(len(images))) gives (B, 3, S, S), and score gives (B,).",
           "Stack the T results to (B, T) and take the mean over the axis of T."))
