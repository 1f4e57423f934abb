"""Exercise 2: a coupling layer on maps."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.ch06.probes import Bounded, map_log_det
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SHAPES = ((2, 4, 3, 5), (3, 2, 1, 1), (2, 6, 2, 4))


def _returns(x, st):
    return TensorSlot("z", x.shape, "(B, C, H, W)", x.dtype), TensorSlot("log_det", x.shape[:1], "(B,)", x.dtype)


def _probe(shape):
    return 1.3 * normal(*shape, seed=11), Bounded(shape[1] // 2, seed=12)


def _right(x, st, dim=1):
    x1, x2 = x.chunk(2, dim=dim)
    s, t = st(x1).chunk(2, dim=1)
    return torch.cat([x1, x2 * s.exp() + t], dim=dim), s


def _with(log_det):
    """The right z with another log_det, which is a function of s (B, C/2, H, W)."""
    return lambda x, st: (_right(x, st)[0], log_det(_right(x, st)[1]))


def _passes(call):
    for shape in SHAPES:
        x, st = _probe(shape)
        half = shape[1] // 2
        found = differ(f"on maps {shape}, the first half of the channels of z", call(x, st)[0][:, :half], x[:, :half],
                       0.0, "x")
        if found:
            return found
    return None


def _changes(call):
    for shape in SHAPES:
        x, st = _probe(shape)
        half = shape[1] // 2
        found = differ(f"on maps {shape}, the second half of the channels", call(x, st)[0][:, half:],
                       _right(x, st)[0][:, half:], 1e-9, "x2 · exp(s) + t")
        if found:
            return found
    return None


def _log_det(call):
    for shape in SHAPES:
        x, st = _probe(shape)
        found = differ(f"on maps {shape}, log_det", call(x, st)[1], map_log_det(lambda v, st=st: call(v, st), x), 1e-6,
                       "ln|det J| by nudging every entry")
        if found:
            return found
    return None


def _rows(call):
    x, st = _probe(SHAPES[0])
    alone, together = call(x[1:], st), call(x, st)
    same = all(torch.allclose(a, b[1:], rtol=1e-9, atol=1e-9) for a, b in zip(alone, together, strict=True))
    return None if same else ("sample 1 alone gives another result than in the batch",
                              "something was reduced over the batch axis")


COUPLING = Exercise(
    name="conv_coupling", minutes=12, returns=(_returns,),
    laws=(Law("the first half of the channels does not pass unchanged", _passes),
          Law("the second half of the channels is not x2 · exp(s) + t, with s and t from x1", _changes),
          Law("log_det is not ln|det ∂z/∂x|", _log_det),
          Law("the maps of a batch depend on each other", _rows)),
    passes="half of the channels untouched, log_det equals ln|det J| on maps of three sizes, maps independent",
    hints=("Everything is as in 05, with two more axes. Which axis is split in halves, and which axes does the network "
           "keep?",
           "s has shape (B, C/2, H, W). Every entry of it scaled one number of x2. How many factors does the "
           "determinant have?",
           "Sum over everything but the batch: s.flatten(1).sum(1), or s.sum(dim=(1, 2, 3))."),
    suspects=(
        Suspect("log_det was summed over the channels only: every pixel was scaled too, so sum over H and W as well",
                _with(lambda s: s.sum(1))),
        Suspect("log_det was summed over the pixels only: the channel axis is still there",
                _with(lambda s: s.sum((2, 3)))),
        Suspect("a mean over the pixels where a sum is due: each of the H·W positions stretches its own numbers",
                _with(lambda s: s.mean((2, 3)).sum(1))),
        Suspect("a mean over all entries where a sum is due: the logarithm of a product is a sum",
                _with(lambda s: s.mean((1, 2, 3)))),
        Suspect("log_det was summed over the batch as well: one number per map",
                _with(lambda s: s.sum())),
        Suspect("log_det was summed over the batch and then repeated: every map needs its own sum",
                _with(lambda s: s.sum().expand(len(s)))),
        Suspect("log_det has the wrong sign: on the way to z, x2 is multiplied by exp(s)",
                _with(lambda s: -s.sum((1, 2, 3)))),
        Suspect("exp(s) was summed: log_det is the sum of the logarithms of the scales, which is the sum of s",
                _with(lambda s: s.exp().sum((1, 2, 3)))),
        Suspect("log_det is zero: only a layer with s = 0 keeps volumes",
                _with(lambda s: torch.zeros_like(s[:, 0, 0, 0]))),
        Suspect("only the first pixel was counted in log_det",
                _with(lambda s: s[:, :, 0, 0].sum(1))),
        Suspect("t was added before the scaling: z2 = x2 · exp(s) + t",
                lambda x, st: (_early(x, st), _right(x, st)[1].sum((1, 2, 3)))),
        Suspect("s and t changed places: the first half of the network's channels is s",
                lambda x, st: _swapped(x, st)),
        Suspect("s was clamped a second time (torch.tanh, as in the chapter): here st clamps it already",
                lambda x, st: _other(x, st, lambda x1, x2, s, t: (x2 * torch.tanh(s).exp() + t, torch.tanh(s)))),
        Suspect("the network was fed x2, the half that changes: then there is no way back; s and t come from x1",
                lambda x, st: _other(x, st, lambda x1, x2, s, t: _fed(x2, st))),
        Suspect("x2 was not stretched: z2 is x2 + t here, and the factor exp(s) was forgotten",
                lambda x, st: _other(x, st, lambda x1, x2, s, t: (x2 + t, s))),
        Suspect("t was subtracted: it is added on the way to z and subtracted on the way back",
                lambda x, st: _other(x, st, lambda x1, x2, s, t: (x2 * s.exp() - t, s))),
        Suspect("x2 was divided by exp(s): that belongs to the way back",
                lambda x, st: _other(x, st, lambda x1, x2, s, t: (x2 * (-s).exp() + t, s))),
        Suspect("exp is missing: x2 was multiplied by s itself, which may be negative or zero",
                lambda x, st: (_plain(x, st), _right(x, st)[1].sum((1, 2, 3)))),
        Suspect("the halves changed places in z: x1 comes first, as in x",
                lambda x, st: (_right(x, st)[0].roll(x.shape[1] // 2, 1), _right(x, st)[1].sum((1, 2, 3)))),
    ),
)


def _parts(x, st):
    x1, x2 = x.chunk(2, dim=1)
    return x1, x2, *st(x1).chunk(2, dim=1)


def _other(x, st, second):
    """z with another second half; ``second`` gives it and the terms that log_det sums."""
    x1, x2, s, t = _parts(x, st)
    z2, terms = second(x1, x2, s, t)
    return torch.cat([x1, z2], 1), terms.sum((1, 2, 3))


def _fed(x2, st):
    s, t = st(x2).chunk(2, dim=1)
    return x2 * s.exp() + t, s


def _early(x, st):
    x1, x2, s, t = _parts(x, st)
    return torch.cat([x1, (x2 + t) * s.exp()], 1)


def _swapped(x, st):
    x1, x2, t, s = _parts(x, st)
    return torch.cat([x1, x2 * s.exp() + t], 1), s.sum((1, 2, 3))


def _plain(x, st):
    x1, x2, s, t = _parts(x, st)
    return torch.cat([x1, x2 * s + t], 1)
