"""Exercise 2: one log_det for three maps."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ
from tutorial_lib.checks.ch10.probes import flat, joint_log_det, pyramid
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _returns(s):
    return TensorSlot("log_det", s[0].shape[:1], "(B,)", s[0].dtype)


def _jacobian(call):
    for channels, side in ((2, 4), (3, 4), (1, 8)):
        s, xs = pyramid(channels, side, seed=80), pyramid(channels, side, seed=90)
        truth = joint_log_det(lambda v, s=s: (_stretched(v, s), None), xs)
        sides = ", ".join(f"{m.shape[2]}×{m.shape[3]}" for m in s)
        found = differ(f"on maps {sides} with {channels} channels, log_det", call(s), truth, 1e-6,
                       "ln|det J| of the joint map")
        if found:
            return found
    return None


def _stretched(xs, s):
    """x · exp(s); ``xs`` may hold each sample several times over."""
    return tuple(x * k.exp().repeat_interleave(len(x) // len(k), 0) for x, k in zip(xs, s, strict=True))


def _counts(call):
    ones = tuple(torch.ones_like(m) for m in pyramid(2, 4, seed=0))
    entries, found = flat(ones).shape[1], float(call(ones)[0])
    return None if abs(found - entries) < 1e-9 else (
        f"s = 1 everywhere stretches each of {entries} numbers by e, so log_det is {entries}; found {found:.4g}")


def _sums(s):
    return torch.stack([m.flatten(1).sum(1) for m in s])  # (scales, B)


LOG_DET = Exercise(
    name="sum_log_det", minutes=6, returns=(_returns,),
    laws=(Law("log_det is not ln|det J| of the three maps together", _jacobian),
          Law("every number of every scale must count once", _counts)),
    passes="equals ln|det J| of the joint map on three pyramids, each of the 21 C numbers counts once",
    hints=("Three maps with one joint density. Lay all their numbers in one row: how large is the Jacobian?",
           "It is diagonal here: exp(s) for each number of each scale. What is the logarithm of the product?",
           "Per scale m.flatten(1).sum(1) has shape (B,). Then add the three."),
    suspects=(
        Suspect("a mean over the scales: there is one joint map, so the three sums are added. Off by the factor 3",
                lambda s: _sums(s).mean(0)),
        Suspect("the batch was summed as well: each sample needs its own number, shape (B,)",
                lambda s: _sums(s).sum()),
        Suspect("the batch was summed and the sum repeated: each sample needs its own number",
                lambda s: _sums(s).sum().expand(len(s[0]))),
        Suspect("scale 0 alone: the two smaller maps are stretched too",
                lambda s: _sums(s)[0]),
        Suspect("the last scale alone: the larger maps are stretched too",
                lambda s: _sums(s)[-1]),
        Suspect("a mean over the entries of each scale: a small map then weighs as much as a large one; sum instead",
                lambda s: sum(m.flatten(1).mean(1) for m in s)),
        Suspect("a mean over all entries: that is log_det divided by their number",
                lambda s: flat(s).mean(1)),
        Suspect("one row per scale: add the scales, so that (B,) is left",
                _sums),
        Suspect("one column per scale: add the scales, so that (B,) is left",
                lambda s: _sums(s).T),
        Suspect("the wrong sign: z = x · exp(s) stretches by exp(s)",
                lambda s: -_sums(s).sum(0)),
        Suspect("exp(s) was summed: the logarithm of the scales is s itself",
                lambda s: sum(m.exp().flatten(1).sum(1) for m in s)),
        Suspect("summed over the channels, but a mean over the positions: every position is stretched",
                lambda s: sum(m.sum(1).flatten(1).mean(1) for m in s)),
        Suspect("multiplied by H · W: s already has one value per position",
                lambda s: sum(m.flatten(1).sum(1) * m[0, 0].numel() for m in s)),
        Suspect("the absolute values were summed: a scale below 1 shrinks, and its s is negative",
                lambda s: _sums(tuple(m.abs() for m in s)).sum(0)),
    ),
)
