"""Exercise 3: one step of FastFlow."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.ch06.probes import Bounded, map_log_det
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SHAPES = ((2, 4, 4, 5), (1, 2, 7, 9))  # 4 rows: perm would fit them, too; 7 × 9: nothing is even
NUDGED = (1, 4, 2, 3)


def _returns(x, perm, st):
    return TensorSlot("z", x.shape, "(B, C, h, w)", x.dtype), TensorSlot("log_det", x.shape[:1], "(B,)", x.dtype)


def _probe(shape):
    perm = torch.randperm(shape[1], generator=torch.Generator().manual_seed(3))
    return 1.2 * normal(*shape, seed=31), perm, Bounded(shape[1] // 2, seed=32)


def _coupled(x, st, second=lambda x2, s, t: x2 * s.exp() + t, read=0):
    x1, x2 = x.chunk(2, dim=1)
    s, t = st((x1, x2)[read]).chunk(2, dim=1)
    return torch.cat([x1, second(x2, s, t)], dim=1), s


def _right(x, perm, st):
    y, s = _coupled(x, st)
    return y[:, perm], s.sum((1, 2, 3))


def _values(call):
    for shape in SHAPES:
        x, perm, st = _probe(shape)
        found = differ(f"on maps {shape}, z", call(x, perm, st)[0], _right(x, perm, st)[0], 1e-9,
                       "the coupled channels in the order of perm")
        if found:
            return found
    return None


def _log_det(call):
    for shape in (*SHAPES, NUDGED):
        x, perm, st = _probe(shape)
        nudge = shape == NUDGED  # every entry twice: on a small map; on the others the sum of s stands for it
        truth = map_log_det(lambda v, perm=perm, st=st: call(v, perm, st), x) if nudge else _right(x, perm, st)[1]
        found = differ(f"on maps {shape}, log_det", call(x, perm, st)[1], truth, 1e-6,
                       "ln|det J|")
        if found:
            return found
    return None


def _rows(call):
    x, perm, st = _probe(SHAPES[0])
    alone, together = call(x[1:], perm, st), call(x, perm, st)
    same = all(torch.allclose(a, b[1:], rtol=1e-9, atol=1e-9) for a, b in zip(alone, together, strict=True))
    return None if same else ("map 1 alone gives another result than in the batch",
                              "something was reduced over the batch axis")


def _log_dets(value):
    """The right z with another log_det, a function of s (B, C/2, h, w)."""
    return lambda x, perm, st: (_right(x, perm, st)[0], value(_coupled(x, st)[1]))


def _other(**changed):
    """Another coupling, the right permutation."""
    def answer(x, perm, st):
        y, s = _coupled(x, st, **changed)
        return y[:, perm], s.sum((1, 2, 3))
    return answer


def _ordered(order):
    """The right coupling, another order; ``order(y, perm)``."""
    def answer(x, perm, st):
        y, s = _coupled(x, st)
        return order(y, perm), s.sum((1, 2, 3))
    return answer


def _first(x, perm, st):
    y, s = _coupled(x[:, perm], st)
    return y, s.sum((1, 2, 3))


STEP = Exercise(
    name="fastflow_step", minutes=10, returns=(_returns,),
    laws=(Law("z is not the coupled map with its channels in the order of perm", _values),
          Law("log_det is not ln|det ∂z/∂x|", _log_det),
          Law("the maps of a batch depend on each other", _rows)),
    passes="coupled, reordered, log_det equals ln|det J| on 4 × 5, 7 × 9 and 2 × 3 places, maps independent",
    hints=("The coupling is that of chapter 06: split the channels, s and t from the first half.",
           "Put the halves together, then z[:, perm]: channel i of the result is channel perm[i].",
           "Reordering stretches nothing. log_det is the sum of s over all channels and all places of a map."),
    suspects=(
        Suspect("perm was applied to the rows: channels are axis 1", _ordered(lambda y, perm: y[:, :, perm])),
        Suspect("perm was applied to the columns: channels are axis 1", _ordered(lambda y, perm: y[..., perm])),
        Suspect("the permutation is missing: the same half would pass unchanged in every step",
                _ordered(lambda y, perm: y)),
        Suspect("the inverse permutation was used: channel i of z is channel perm[i]",
                _ordered(lambda y, perm: y[:, perm.argsort()])),
        Suspect("the channels were reordered before the coupling: here it comes after it", _first),
        Suspect("s and t come from the half that changes: then there is no way back", _other(read=1)),
        Suspect("t was added before the scaling: x2 · exp(s) + t",
                _other(second=lambda x2, s, t: (x2 + t) * s.exp())),
        Suspect("exp is missing: x2 was multiplied by s itself", _other(second=lambda x2, s, t: x2 * s + t)),
        Suspect("x2 was not stretched: the factor exp(s) is missing", _other(second=lambda x2, s, t: x2 + t)),
        Suspect("this is the way back: (x2 − t) / exp(s)", _other(second=lambda x2, s, t: (x2 - t) / s.exp())),
        Suspect("s and t changed places: s is the first half of what st returns",
                lambda x, perm, st: _swapped(x, perm, st)),
        Suspect("the log_det of one place only: every place was stretched", _log_dets(lambda s: s[:, :, 0, 0].sum(1))),
        Suspect("log_det was summed over the channels only: sum over the places as well",
                _log_dets(lambda s: s.sum(1))),
        Suspect("log_det was summed over the places only: sum over the channels as well",
                _log_dets(lambda s: s.sum((2, 3)))),
        Suspect("a mean over the places where a sum is due", _log_dets(lambda s: s.mean((2, 3)).sum(1))),
        Suspect("a mean over all entries where a sum is due", _log_dets(lambda s: s.mean((1, 2, 3)))),
        Suspect("log_det was summed over the batch as well: one number per map", _log_dets(lambda s: s.sum())),
        Suspect("log_det has the wrong sign: x2 is multiplied by exp(s)", _log_dets(lambda s: -s.sum((1, 2, 3)))),
        Suspect("log_det is zero: reordering keeps volumes, the coupling does not",
                _log_dets(lambda s: torch.zeros_like(s[:, 0, 0, 0]))),
        Suspect("exp(s) was summed: the logarithm of a product of factors exp(s) is the sum of s",
                _log_dets(lambda s: s.exp().sum((1, 2, 3)))),
    ),
)


def _swapped(x, perm, st):
    x1, x2 = x.chunk(2, dim=1)
    t, s = st(x1).chunk(2, dim=1)
    return torch.cat([x1, x2 * s.exp() + t], dim=1)[:, perm], s.sum((1, 2, 3))
