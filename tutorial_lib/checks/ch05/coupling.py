"""Exercises 2 and 3: a coupling layer forward, and back."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import ALPHA, clamp, differ, network, normal, numeric_log_det
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _returns(name):
    return (lambda x, st, alpha: (TensorSlot(name, x.shape, "(B, d)", x.dtype),
                                  TensorSlot("log_det", x.shape[:1], "(B,)", x.dtype)),)


def _halves(x, st, alpha):
    x1, x2 = x.chunk(2, dim=1)
    raw, t = st(x1).chunk(2, dim=1)
    return x1, x2, raw, clamp(raw, alpha), t


def _right(x, st, alpha):
    x1, x2, _, s, t = _halves(x, st, alpha)
    return torch.cat([x1, x2 * s.exp() + t], 1), s.sum(1)


def _st():
    return network(2, 4, seed=60, gain=2.5)


def _x(n=12, seed=61):
    return 1.5 * normal(n, 4, seed=seed)


def _first_half(call):
    x = _x()
    return differ("the first half of z", call(x, _st(), ALPHA)[0][:, :2], x[:, :2], 0.0, "x")


def _second_half(call):
    x, st = _x(), _st()
    return differ("the second half of z", call(x, st, ALPHA)[0][:, 2:], _right(x, st, ALPHA)[0][:, 2:], 1e-9,
                  "x2 · exp(clamp(s)) + t")


def _log_det(call):
    x, st = _x(), _st()
    return differ("log_det", call(x, st, ALPHA)[1], numeric_log_det(lambda v: call(v, st, ALPHA), x), 1e-6,
                  "ln|det J| by finite differences")


def _rows(call):
    x, st = _x(), _st()
    z, log_det = call(x, st, ALPHA)
    for alone, together in zip(call(x[3:4], st, ALPHA), (z, log_det), strict=True):
        if not torch.allclose(alone, together[3:4], rtol=1e-9, atol=1e-9):
            return "sample 3 alone gives another result than in the batch", "something was reduced over the batch axis"
    return None


FORWARD = Exercise(
    name="coupling_forward", minutes=10, returns=_returns("z"),
    laws=(Law("the first half must pass unchanged", _first_half),
          Law("the second half is not x2 · exp(clamp(s)) + t", _second_half),
          Law("log_det is not ln|det ∂z/∂x|", _log_det),
          Law("the rows of a batch depend on each other", _rows)),
    passes="first half untouched, log_det equals ln|det J| by finite differences, rows independent",
    hints=("The Jacobian is lower triangular: ones for the half that passes, exp(s) for the half that is scaled. "
           "What is the logarithm of the product of that diagonal?",
           "Which s multiplied x2: the network's output, or the clamped one? The same one belongs in log_det.",
           "Sum over the axis of the features, dim=1. The batch axis stays: shape (B,)."),
    suspects=(
        Suspect("log_det was summed over the batch as well: use s.sum(dim=1), one number per sample",
                lambda x, st, a: (_right(x, st, a)[0], _right(x, st, a)[1].sum())),
        Suspect("log_det was summed over the batch and then repeated: every sample needs its own sum",
                lambda x, st, a: (_right(x, st, a)[0], _right(x, st, a)[1].sum().expand(len(x)))),
        Suspect("log_det uses s before the clamp: what scaled x2 is the clamped s",
                lambda x, st, a: (_right(x, st, a)[0], _halves(x, st, a)[2].sum(1))),
        Suspect("the clamp is missing altogether: s from the network went straight into exp",
                lambda x, st, a: (torch.cat([x.chunk(2, 1)[0], _halves(x, st, a)[1] * _halves(x, st, a)[2].exp()
                                             + _halves(x, st, a)[4]], 1), _halves(x, st, a)[2].sum(1))),
        Suspect("a hard clamp: torch.clamp has slope 0 outside ±α, where nothing can be learnt; use the soft one",
                lambda x, st, a: _hard(x, st, a)),
        Suspect("log_det has the wrong sign: on the way to z the second half is multiplied by exp(s), so it is +Σ s",
                lambda x, st, a: (_right(x, st, a)[0], -_right(x, st, a)[1])),
        Suspect("a mean over the features where a sum is due: the logarithm of a product is a sum",
                lambda x, st, a: (_right(x, st, a)[0], _halves(x, st, a)[3].mean(1))),
        Suspect("exp(s) was summed: log_det is the sum of the logarithms of the scales, which is the sum of s",
                lambda x, st, a: (_right(x, st, a)[0], _halves(x, st, a)[3].exp().sum(1))),
        Suspect("the shift t slipped into log_det: adding t moves points and changes no volume",
                lambda x, st, a: (_right(x, st, a)[0], (_halves(x, st, a)[3] + _halves(x, st, a)[4]).sum(1))),
        Suspect("the sum runs over the batch axis: dim=0 instead of dim=1",
                lambda x, st, a: (_right(x, st, a)[0], _halves(x, st, a)[3].sum(0))),
        Suspect("log_det is zero: only a layer with s = 0 keeps volumes",
                lambda x, st, a: (_right(x, st, a)[0], torch.zeros_like(x[:, 0]))),
        Suspect("s and t changed places: the first half of the network's output is s",
                lambda x, st, a: _swapped(x, st, a)),
        Suspect("t was added before the scaling: z2 = x2 · exp(s) + t",
                lambda x, st, a: (torch.cat([x.chunk(2, 1)[0], (x.chunk(2, 1)[1] + _halves(x, st, a)[4])
                                             * _halves(x, st, a)[3].exp()], 1), _right(x, st, a)[1])),
    ),
)


def _hard(x, st, alpha):
    x1, x2, raw, _, t = _halves(x, st, alpha)
    s = raw.clamp(-alpha, alpha)
    return torch.cat([x1, x2 * s.exp() + t], 1), s.sum(1)


def _swapped(x, st, alpha):
    x1, x2, raw, _, t = _halves(x, st, alpha)
    s = clamp(t, alpha)
    return torch.cat([x1, x2 * s.exp() + raw], 1), s.sum(1)


def _z_of(dtype=torch.float64):
    x, st = _x(seed=62).to(dtype), _st().to(dtype)
    z, log_det = _right(x, st, ALPHA)
    return x, z, log_det, st


def _untouched(call):
    x, z, _, st = _z_of()
    return differ("the first half of x", call(z, st, ALPHA)[0][:, :2], x[:, :2], 0.0, "the first half of z")


def _round_trip(call):
    x, z, _, st = _z_of()
    return differ("inverse(forward(x))", call(z, st, ALPHA)[0], x, 1e-12 * 100, "x")


def _round_trip32(call):
    x, z, _, st = _z_of(torch.float32)
    return differ("inverse(forward(x)) in float32", call(z, st, ALPHA)[0], x, 1e-4, "x")


def _negated(call):
    _, z, log_det, st = _z_of()
    return differ("log_det", call(z, st, ALPHA)[1], -log_det, 1e-9, "minus the forward one")


def _inverse(z, st, alpha, wrong=lambda z2, raw, s, t: (z2 - t) * (-s).exp(), sign=-1.0, half=0):
    z1, z2 = z.chunk(2, dim=1)
    raw, t = st((z1, z2)[half]).chunk(2, dim=1)
    s = clamp(raw, alpha)
    return torch.cat([z1, wrong(z2, raw, s, t)], 1), sign * s.sum(1)


INVERSE = Exercise(
    name="coupling_inverse", minutes=8, returns=_returns("x"),
    laws=(Law("the first half must come back unchanged", _untouched),
          Law("the inverse does not undo the forward layer", _round_trip),
          Law("the inverse log_det is not minus the forward one", _negated),
          Law("the round trip fails in float32", _round_trip32)),
    passes="round trip to 1e-10 in float64 and 1e-4 in float32, log_det negated",
    hints=("The first half passed unchanged, so you have it. From it you can compute the same s and t as the forward "
           "layer did: nothing needs to be inverted inside the network.",
           "Forward: multiply, then add. Undo the last step first.",
           "The clamp belongs to s in both directions. And log_det here is that of the way back: minus the sum of s."),
    suspects=(
        Suspect("the clamp was forgotten on the way back: s must be clamped exactly as in the forward layer",
                lambda z, st, a: (_inverse(z, st, a, lambda z2, raw, s, t: (z2 - t) * (-raw).exp())[0],
                                  -st(z.chunk(2, 1)[0]).chunk(2, 1)[0].sum(1))),
        Suspect("the clamp was forgotten on the way back, in x: s must be clamped exactly as in the forward layer",
                lambda z, st, a: _inverse(z, st, a, lambda z2, raw, s, t: (z2 - t) * (-raw).exp())),
        Suspect("s and t come from the changed half: the network must see the half that passed, z1",
                lambda z, st, a: _inverse(z, st, a, half=1)),
        Suspect("wrong order: forward is multiply, then add; so subtract t first, then divide by exp(s)",
                lambda z, st, a: _inverse(z, st, a, lambda z2, raw, s, t: z2 * (-s).exp() - t)),
        Suspect("t was added where it must be subtracted",
                lambda z, st, a: _inverse(z, st, a, lambda z2, raw, s, t: (z2 + t) * (-s).exp())),
        Suspect("this is the forward formula again: the inverse subtracts t and divides by exp(s)",
                lambda z, st, a: _inverse(z, st, a, lambda z2, raw, s, t: z2 * s.exp() + t)),
        Suspect("this is the whole forward layer again, its log_det included",
                lambda z, st, a: _right(z, st, a)),
        Suspect("multiplied by exp(s) where a division is due: use exp(−s)",
                lambda z, st, a: _inverse(z, st, a, lambda z2, raw, s, t: (z2 - t) * s.exp())),
        Suspect("log_det is the forward one: the way back grows what the way there shrank, so it changes sign",
                lambda z, st, a: _inverse(z, st, a, sign=1.0)),
        Suspect("log_det uses s before the clamp: x is right, but the s of the return line must be the clamped one",
                lambda z, st, a: (_inverse(z, st, a)[0], -st(z.chunk(2, 1)[0]).chunk(2, 1)[0].sum(1))),
        Suspect("log_det was summed over the batch as well: one number per sample, dim=1",
                lambda z, st, a: (_inverse(z, st, a)[0], _inverse(z, st, a)[1].sum())),
        Suspect("log_det is zero on the way back: it is −Σ s",
                lambda z, st, a: (_inverse(z, st, a)[0], torch.zeros_like(z[:, 0]))),
    ),
)
