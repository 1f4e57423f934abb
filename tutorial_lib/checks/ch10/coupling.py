"""Exercise 4: one coupling for three maps."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ
from tutorial_lib.checks.ch10.probes import CrossScale, half, joint_log_det, like, maps_differ, pyramid
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _returns(xs, st):
    return like("zs", xs), TensorSlot("log_det", xs[0].shape[:1], "(B,)", xs[0].dtype)


def _probe(channels=2, side=4, seed=41):
    return pyramid(channels, side, seed=seed), CrossScale(channels // 2, seed=42)


def _parts(xs, st):
    """Per scale x1, x2, s, t."""
    first, second = half(xs, False), half(xs, True)
    return [(a, b, *o.chunk(2, dim=1)) for a, b, o in zip(first, second, st(first), strict=True)]


def _coupled(xs, st, change=lambda x2, s, t: x2 * s.exp() + t):
    return tuple(torch.cat([x1, change(x2, s, t)], 1) for x1, x2, s, t in _parts(xs, st))


def _sums(xs, st):
    return torch.stack([s.flatten(1).sum(1) for _, _, s, _ in _parts(xs, st)])  # (scales, B)


def _right(xs, st):
    return _coupled(xs, st), _sums(xs, st).sum(0)


def _passes(call):
    xs, st = _probe(channels=4)
    return maps_differ("the first halves of zs", half(call(xs, st)[0], False), half(xs, False), 0.0, "those of xs")


def _changes(call):
    xs, st = _probe(channels=4)
    return maps_differ("the second halves of zs", half(call(xs, st)[0], True), half(_coupled(xs, st), True), 1e-9,
                       "x2 · exp(s) + t")


def _log_det(call):
    xs, st = _probe()
    return differ("log_det", call(xs, st)[1], joint_log_det(lambda v: call(v, st), xs), 1e-6,
                  "ln|det J| of all three maps together")


def _rows(call):
    xs, st = _probe()
    alone, together = call(tuple(x[1:] for x in xs), st), call(xs, st)
    same = torch.allclose(alone[1], together[1][1:]) and all(
        torch.allclose(a, b[1:]) for a, b in zip(alone[0], together[0], strict=True))
    return None if same else ("sample 1 alone gives another result than in the batch",
                              "something was reduced over the batch axis")


def _with(log_det):
    """The right zs with another log_det, made from the (scales, B) sums of s."""
    return lambda xs, st: (_coupled(xs, st), log_det(_sums(xs, st)))


def _other(change):
    return lambda xs, st: (_coupled(xs, st, change), _sums(xs, st).sum(0))


def _unlike(xs, st):
    """The halves change roles at the middle scale."""
    first = tuple(m.chunk(2, 1)[k == 1] for k, m in enumerate(xs))
    second = tuple(m.chunk(2, 1)[k != 1] for k, m in enumerate(xs))
    parts = [(a, b, *o.chunk(2, dim=1)) for a, b, o in zip(first, second, st(first), strict=True)]
    zs = [[x1, x2 * s.exp() + t] for x1, x2, s, t in parts]
    return (tuple(torch.cat(z[::-1] if k == 1 else z, 1) for k, z in enumerate(zs)),
            sum(s.flatten(1).sum(1) for _, _, s, _ in parts))


def _fed(feed):
    def function(xs, st):
        outs = feed(half(xs, False), half(xs, True), st)
        parts = [(a, b, *o.chunk(2, 1)) for a, b, o in zip(half(xs, False), half(xs, True), outs, strict=True)]
        return (tuple(torch.cat([x1, x2 * s.exp() + t], 1) for x1, x2, s, t in parts),
                sum(s.flatten(1).sum(1) for _, _, s, _ in parts))
    return function


def _alone(x1, x2, st):
    """Every scale with the other two set to zero."""
    return [st(tuple(m if j == k else torch.zeros_like(m) for j, m in enumerate(x1)))[k] for k in range(len(x1))]


COUPLING = Exercise(
    name="cross_coupling", minutes=12, returns=(_returns,),
    laws=(Law("the first half of the channels does not pass unchanged at every scale", _passes),
          Law("the second halves are not x2 · exp(s) + t, with s and t from all first halves together", _changes),
          Law("log_det is not ln|det ∂zs/∂xs|", _log_det),
          Law("the samples of a batch depend on each other", _rows)),
    passes="first halves untouched at three scales, log_det equals ln|det J| of the joint map, samples independent",
    hints=("Everything is as in 06, three times. One thing is new: st is called once, with the first halves of all "
           "three scales.",
           "outs = st(tuple of first halves) gives one map per scale, and each of them is s and t side by side.",
           "One density, one log_det: add the sums of s over all scales."),
    suspects=(
        Suspect("log_det counts scale 0 only: the smaller maps were stretched too", _with(lambda sums: sums[0])),
        Suspect("log_det counts the last scale only: the larger maps were stretched too", _with(lambda sums: sums[-1])),
        Suspect("log_det is a mean over the scales: the three sums are added", _with(lambda sums: sums.mean(0))),
        Suspect("log_det was summed over the batch as well: one number per sample", _with(lambda sums: sums.sum())),
        Suspect("log_det was summed over the batch, then repeated: every sample has its own",
                _with(lambda sums: sums.sum().expand(sums.shape[1]))),
        Suspect("log_det has one row per scale: add them, so that (B,) is left", _with(lambda sums: sums)),
        Suspect("t was counted in log_det: a shift changes no volume, sum s alone",
                lambda xs, st: (_coupled(xs, st), sum(m.flatten(1).sum(1) for m in st(half(xs, False))))),
        Suspect("log_det is a mean over the positions of each scale: every position is stretched, so sum",
                lambda xs, st: (_coupled(xs, st), sum(s.sum(1).flatten(1).mean(1) for _, _, s, _ in _parts(xs, st)))),
        Suspect("log_det has the wrong sign: x2 is multiplied by exp(s) on the way to z",
                _with(lambda sums: -sums.sum(0))),
        Suspect("log_det is zero: only a coupling with s = 0 keeps volumes", _with(lambda sums: 0 * sums.sum(0))),
        Suspect("log_det sums exp(s): the logarithm of the scales is s itself",
                lambda xs, st: (_coupled(xs, st),
                                sum(s.exp().flatten(1).sum(1) for _, _, s, _ in _parts(xs, st)))),
        Suspect("log_det is a mean over the entries: a sum is due",
                lambda xs, st: (_coupled(xs, st), sum(s.flatten(1).mean(1) for _, _, s, _ in _parts(xs, st)))),
        Suspect("the split differs between the scales: at the middle one the other half passes", _unlike),
        Suspect("st was fed the halves that change: s and t must come from what passes, or nothing can be undone",
                _fed(lambda x1, x2, st: st(x2))),
        Suspect("st saw each scale with the others set to zero: hand it all three at once", _fed(_alone)),
        Suspect("every scale got the s and t of scale 0: use the map that belongs to it",
                _fed(lambda x1, x2, st: [st(x1)[0][:, :, ::2**k, ::2**k] for k in range(3)])),
        Suspect("t was added before the stretching: x2 · exp(s) + t", _other(lambda x2, s, t: (x2 + t) * s.exp())),
        Suspect("t was left out", _other(lambda x2, s, t: x2 * s.exp())),
        Suspect("exp is missing: multiply by exp(s)", _other(lambda x2, s, t: x2 * s + t)),
        Suspect("x2 was not stretched", _other(lambda x2, s, t: x2 + t)),
        Suspect("t was subtracted: on the way to z it is added", _other(lambda x2, s, t: x2 * s.exp() - t)),
        Suspect("x2 was divided: on the way to z it is multiplied by exp(s)",
                _other(lambda x2, s, t: x2 * (-s).exp() + t)),
        Suspect("s and t changed places: the first half of each output is s",
                lambda xs, st: (_coupled(xs, st, lambda x2, s, t: x2 * t.exp() + s),
                                sum(t.flatten(1).sum(1) for *_, t in _parts(xs, st)))),
        Suspect("the halves of z changed places: x1 comes first",
                lambda xs, st: (tuple(z.roll(z.shape[1] // 2, 1) for z in _coupled(xs, st)), _right(xs, st)[1])),
    ),
)
