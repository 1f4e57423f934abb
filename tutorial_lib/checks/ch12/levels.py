"""Exercise 5: a coupling between two levels of a pyramid."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

from tutorial_lib.checks.ch05.probes import differ, normal, numeric_log_det
from tutorial_lib.checks.ch06.probes import Bounded
from tutorial_lib.checks.ch12.probes import LevelsSlot, nearest
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SHAPES = ((2, 3, 2, 4), (3, 1, 4, 2))  # of the fine level
TINY = ((2, 1, 2, 2), (3, 2, 2, 4))    # where every entry is nudged


def _returns(fine, coarse, st):
    pair = LevelsSlot("(fine', coarse)", (TensorSlot("fine'", fine.shape, "that of fine", fine.dtype),
                                                   TensorSlot("coarse", coarse.shape, "that of coarse", coarse.dtype)))
    return pair, TensorSlot("log_det", fine.shape[:1], "(B,)", fine.dtype)


def _probe(shape, seed=1):
    b, c, h, w = shape
    return normal(*shape, seed=seed), normal(b, c, h // 2, w // 2, seed=seed + 1), Bounded(c, seed=seed + 2)


def _right(fine, coarse, st, up=nearest):
    s, t = st(up(coarse)).chunk(2, dim=1)
    return fine * s.exp() + t, s


def _passes(call):
    for shape in SHAPES:
        fine, coarse, st = _probe(shape)
        found = differ("the coarse level", call(fine, coarse, st)[0][1], coarse, 0.0, "what went in")
        if found:
            return f"fine {shape}, {found}"
    return None


def _changes(call):
    for shape in SHAPES:
        fine, coarse, st = _probe(shape)
        found = differ("fine'", call(fine, coarse, st)[0][0], _right(fine, coarse, st)[0], 1e-9,
                       "fine · exp(s) + t with s, t = st(nearest(coarse))")
        if found:
            return f"fine {shape}, {found}"
    return None


def _log_det(call):
    for shape in TINY:
        fine, coarse, st = _probe(shape)
        n = fine[0].numel()

        def flat(v, shape=shape, coarse=coarse, st=st, n=n):
            (a, b), log_det = call(v[:, :n].reshape(-1, *shape[1:]), v[:, n:].reshape(-1, *coarse.shape[1:]), st)
            return torch.cat([a.flatten(1), b.flatten(1)], 1), log_det

        truth = numeric_log_det(flat, torch.cat([fine.flatten(1), coarse.flatten(1)], 1))
        found = differ("log_det", call(fine, coarse, st)[1], truth, 1e-6, "ln|det J| by nudging every entry")
        if found:
            return f"fine {shape}, {found}"
    return None


def _apart(call):
    fine, coarse, st = _probe(SHAPES[0])
    (a, _), log_det = call(fine[1:], coarse[1:], st)
    (b, _), log_dets = call(fine, coarse, st)
    same = torch.allclose(a, b[1:]) and torch.allclose(log_det, log_dets[1:])
    return None if same else ("sample 1 alone gives another result than in the batch",
                              "something was reduced over the batch axis")


def _with(log_det):
    def wrong(fine, coarse, st):
        z, s = _right(fine, coarse, st)
        return (z, coarse), log_det(s)
    return wrong


def _other(change):
    """``change(fine, coarse, st)`` gives fine' and the terms that log_det sums."""
    def wrong(fine, coarse, st):
        z, terms = change(fine, coarse, st)
        return (z, coarse), terms.sum((1, 2, 3))
    return wrong


def _late(fine, coarse, st):
    s, t = (nearest(v) for v in st(coarse).chunk(2, dim=1))
    return fine * s.exp() + t, s


def _late_small(fine, coarse, st):
    z, _ = _late(fine, coarse, st)
    return z, st(coarse).chunk(2, dim=1)[0]


def _smooth(fine, coarse, st):
    return _right(fine, coarse, st, lambda v: torch.nn.functional.interpolate(
        v, scale_factor=2, mode="bilinear", align_corners=False))


def _other_level(fine, coarse, st):
    s, t = st(avg_pool2d(fine, 2)).chunk(2, dim=1)
    return (fine, coarse * s.exp() + t), s.sum((1, 2, 3))


def _resized(fine, coarse, st):
    s, t = st(coarse).chunk(2, dim=1)
    return nearest(avg_pool2d(fine, 2) * s.exp() + t), nearest(s)


def _parts(fine, coarse, st):
    return *_right(fine, coarse, st), st(nearest(coarse)).chunk(2, dim=1)[1]


LEVELS = Exercise(
    name="level_coupling", minutes=12, returns=(_returns,),
    laws=(Law("the coarse level does not pass unchanged", _passes),
          Law("fine' is not fine · exp(s) + t with s, t = st(nearest(coarse))", _changes),
          Law("log_det is not ln|det| of the pair's Jacobian", _log_det),
          Law("the samples of a batch depend on each other", _apart)),
    passes="the coarse level untouched, shapes kept, log_det equals ln|det J| of the pair, samples apart",
    hints=("A coupling as in 06: one part passes and is looked at, the other is scaled and shifted. Which is which "
           "here?",
           "s and t must have the size of `fine`. So enlarge what the network looks at: nearest(coarse).",
           "Every entry of `fine` was multiplied by its own exp(s), and nothing else was stretched."),
    suspects=(
        Suspect("the transformed level was resized: enlarge what the network looks at, never what is transformed, or "
                "nothing leads back", _other(_resized)),
        Suspect("the wrong level was transformed: here the fine one changes and the coarse one is looked at",
                _other_level),
        Suspect("log_det of the coarse size: each entry of s stands for 2 × 2 entries of `fine`", _other(_late_small)),
        Suspect("the network looked before the enlarging: a flow too, but here st looks at nearest(coarse)",
                _other(_late)),
        Suspect("enlarged by bilinear interpolation: here every pixel becomes a block of 2 × 2 (nearest)",
                _other(_smooth)),
        Suspect("log_det of one number in four: s has the size of `fine`, and every entry counts",
                _with(lambda s: s[..., ::2, ::2].sum((1, 2, 3)))),
        Suspect("log_det was averaged over the positions: logarithms of a product add",
                _with(lambda s: s.mean((2, 3)).sum(1))),
        Suspect("log_det is a mean over all entries: logarithms of a product add", _with(lambda s: s.mean((1, 2, 3)))),
        Suspect("log_det was summed over the batch: one number per pyramid", _with(lambda s: s.sum())),
        Suspect("log_det has the wrong sign: on the way to z, `fine` is multiplied by exp(s)",
                _with(lambda s: -s.sum((1, 2, 3)))),
        Suspect("exp(s) was summed: the logarithm of a scale exp(s) is s", _with(lambda s: s.exp().sum((1, 2, 3)))),
        Suspect("log_det is zero: the volume changes by every exp(s)", _with(lambda s: 0 * s.sum((1, 2, 3)))),
        Suspect("log_det counts 4/3 of it: the coarse level was not stretched",
                _with(lambda s: 4 / 3 * s.sum((1, 2, 3)))),
        Suspect("s and t changed places: the first half of the channels is s",
                _other(lambda f, c, st: (f * _parts(f, c, st)[2].exp() + _parts(f, c, st)[1], _parts(f, c, st)[2]))),
        Suspect("exp is missing: s itself may be negative or zero",
                _other(lambda f, c, st: (f * _parts(f, c, st)[1] + _parts(f, c, st)[2], _parts(f, c, st)[1]))),
        Suspect("t was added before the scaling",
                _other(lambda f, c, st: ((f + _parts(f, c, st)[2]) * _parts(f, c, st)[1].exp(),
                                         _parts(f, c, st)[1]))),
        Suspect("t was subtracted: it is added on the way to z",
                _other(lambda f, c, st: (f * _parts(f, c, st)[1].exp() - _parts(f, c, st)[2], _parts(f, c, st)[1]))),
        Suspect("`fine` was not stretched: the factor exp(s) is missing",
                _other(lambda f, c, st: (f + _parts(f, c, st)[2], _parts(f, c, st)[1]))),
        Suspect("the network looked at `fine`, the level that changes: then there is no way back",
                _other(lambda f, c, st: (f * st(f).chunk(2, 1)[0].exp() + st(f).chunk(2, 1)[1],
                                         st(f).chunk(2, 1)[0]))),
    ),
)
