"""Exercise 4: the score over several views."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch08.probes import drawn, gap, probe_nll
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _views(T: int = 4, seed: int = 0):
    return drawn(3, T, 2, 3, 3, seed=seed)


def _one(score):
    views = _views(1)
    error = gap(score(probe_nll, views), probe_nll(views[:, 0]))
    return f"T = 1: off by {error:.3g}" if error > 1e-4 else None


def _repeated(score):
    views = _views(1)
    error = gap(score(probe_nll, views), score(probe_nll, views.repeat(1, 5, 1, 1, 1)))
    return f"one view against the same view five times: the score moved by {error:.3g}" if error > 1e-4 else None


def _neighbours(score):
    views, other = _views(), _views()
    other[1] = drawn(4, 2, 3, 3, seed=5)
    error = gap(score(probe_nll, views)[0], score(probe_nll, other)[0])
    return f"image 1 was replaced, and the score of image 0 moved by {error:.3g}" if error > 1e-4 else None


def _order(score):
    views = _views()
    error = gap(score(probe_nll, views), score(probe_nll, views[:, [2, 0, 3, 1]]))
    return f"the same four views in another order: the score moved by {error:.3g}" if error > 1e-4 else None


def _loop(score):
    views = _views()
    loop = torch.stack([torch.stack([probe_nll(view[None])[0] for view in image]).mean() for image in views])
    error = gap(score(probe_nll, views), loop)
    return f"3 images, 4 views, against a double loop: off by {error:.3g}" if error > 1e-4 else None


def _variant(last):
    """A variant that folds and unfolds correctly and then reduces (B, T) by ``last``."""
    return lambda nll, v: last(nll(v.flatten(0, 1)).view(v.shape[:2]))


MULTI_VIEW = Exercise(
    name="multi_view_score", minutes=8,
    returns=(lambda nll, views: TensorSlot("the score", tuple(views.shape[:1]), "(B,)"),),
    laws=(Law("T = 1 must give the plain score", _one),
          Law("an image's score must not depend on its neighbours", _neighbours),
          Law("repeating a view must change nothing", _repeated),
          Law("the order of the views must not matter", _order),
          Law("the score is not the mean over an image's views", _loop)),
    passes="T = 1 is the plain score, the order of views is irrelevant, repeating them changes nothing",
    hints=("nll wants four axes. flatten(0, 1) turns (B, T, C, H, W) into (B · T, C, H, W).",
           "flatten puts all views of image 0 first. So the scores come back as (B, T) in this order.",
           "One axis of (B, T) is left to be reduced. Mean or sum? Think of T = 64 against T = 1."),
    suspects=(
        Suspect("you take the sum over T: with more views every image would look more anomalous",
                _variant(lambda s: s.sum(1))),
        Suspect("B and T are mixed in the reshape: the scores come image by image, so .view(B, T), not .view(T, B)",
                lambda nll, v: nll(v.flatten(0, 1)).view(v.shape[1], v.shape[0]).mean(0)),
        Suspect("B and T are mixed in the reshape: transposed on the way in, not on the way back",
                lambda nll, v: nll(v.transpose(0, 1).flatten(0, 1)).view(v.shape[:2]).mean(1)),
        Suspect("you average the pictures. The score of a mean picture is not the mean of the scores",
                lambda nll, v: nll(v.mean(1))),
        Suspect("you score the first view only", lambda nll, v: nll(v[:, 0])),
        Suspect("you take the largest of the T scores. The score is their mean", _variant(lambda s: s.amax(1))),
        Suspect("you take the smallest of the T scores. The score is their mean", _variant(lambda s: s.amin(1))),
        Suspect("you average over the images and keep the views. The mean belongs on the axis of T",
                _variant(lambda s: s.mean(0))),
        Suspect("the sign is flipped: that is a log-likelihood", _variant(lambda s: -s.mean(1)))))
