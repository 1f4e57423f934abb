"""Exercise 3: a coupling that reads a condition."""

from __future__ import annotations

import math

import torch
from torch import nn

from tutorial_lib.checks.ch05.probes import differ, network, normal, numeric_log_det
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

C, P = 6, 4


class Reader(nn.Module):
    """An s/t network that insists on its C/2 + P inputs; s is bounded by 1.2 already."""

    def __init__(self, seed: int = 90):
        super().__init__()
        self.net = network(C // 2 + P, C, seed)

    def forward(self, given):
        if given.ndim != 2 or given.shape[1] != C // 2 + P:
            raise ValueError(f"st reads (N, C/2 + P) = (N, {C // 2 + P}); it was given {tuple(given.shape)}")
        s, t = self.net(given).chunk(2, dim=1)
        return torch.cat([1.2 * torch.tanh(s), t], dim=1)


def _returns(x, cond, st):
    return TensorSlot("z", x.shape, "(N, C)", x.dtype), TensorSlot("log_det", x.shape[:1], "(N,)", x.dtype)


def _probe(n=5):
    return 1.3 * normal(n, C, seed=91), normal(n, P, seed=92), Reader()


def _parts(x, cond, st, read=None):
    x1, x2 = x.chunk(2, dim=1)
    s, t = st(torch.cat(read(x1, x2, cond) if read else [x1, cond], dim=1)).chunk(2, dim=1)
    return x1, x2, s, t


def _right(x, cond, st, read=None):
    x1, x2, s, t = _parts(x, cond, st, read)
    return torch.cat([x1, x2 * s.exp() + t], dim=1), s.sum(1)


def _passes(call):
    x, cond, st = _probe()
    return differ("the first half of z", call(x, cond, st)[0][:, :C // 2], x[:, :C // 2], 0.0, "x")


def _second(call):
    x, cond, st = _probe()
    return differ("the second half of z", call(x, cond, st)[0][:, C // 2:], _right(x, cond, st)[0][:, C // 2:], 1e-9,
                  "x2 · exp(s) + t with (s, t) = st([x1, cond])")


def _log_det(call):
    x, cond, st = _probe()
    return differ("log_det", call(x, cond, st)[1], numeric_log_det(lambda v: call(v, cond, st), x), 1e-6,
                  "ln|det ∂z/∂x| at a fixed condition")


def _condition(call):
    x, cond, st = _probe()
    z, other = call(x, cond, st)[0], cond.roll(1, 0)
    x1, x2 = z.chunk(2, dim=1)
    s, t = st(torch.cat([x1, other], dim=1)).chunk(2, dim=1)
    back = torch.cat([x1, (x2 - t) * (-s).exp()], dim=1)
    same = int(((back - x).abs().amax(1) < 1e-6).sum())
    return f"undone with another condition, {same} of {len(x)} vectors come back unchanged" if same else None


def _rows(call):
    x, cond, st = _probe()
    alone, together = call(x[1:2], cond[1:2], st), call(x, cond, st)
    ok = all(torch.allclose(a, b[1:2], rtol=1e-9, atol=1e-9) for a, b in zip(alone, together, strict=True))
    return None if ok else ("vector 1 alone gives another result than in the batch",
                            "something was reduced over the batch axis")


def _with(log_det):
    """The right z with another log_det, a function of s and t (N, C/2)."""
    return lambda x, cond, st: (_right(x, cond, st)[0], log_det(*_parts(x, cond, st)[2:]))


def _second_half(formula, total=lambda s, t: s.sum(1)):
    def answer(x, cond, st):
        x1, x2, s, t = _parts(x, cond, st)
        return torch.cat([x1, formula(x2, s, t)], dim=1), total(s, t)
    return answer


def _reading(read):
    return lambda x, cond, st: _right(x, cond, st, read)


CONDITIONAL = Exercise(
    name="conditional_coupling", minutes=10, returns=(_returns,),
    laws=(Law("the first half must pass unchanged", _passes),
          Law("the second half is not x2 · exp(s) + t, with s and t from x1 and the condition", _second),
          Law("log_det is not ln|det ∂z/∂x| at a fixed condition", _log_det),
          Law("another condition must mean another transform", _condition),
          Law("the rows of a batch depend on each other", _rows)),
    passes="first half untouched, log_det equals ln|det ∂z/∂x| at a fixed condition, the condition matters",
    hints=("The network may read anything that you will still have on the way back. x1 passes unchanged; where does "
           "the condition come from when you undo the step?",
           "torch.cat([x1, cond], dim=1) has C/2 + P columns: that is what st reads. z has C columns, no more.",
           "The condition is given, not transformed: it adds nothing to log_det. Sum s over the columns."),
    suspects=(
        Suspect("the condition was joined to the changed half: on the way back x2 is unknown, so s and t could not be "
                "computed again", _reading(lambda x1, x2, cond: [x2, cond])),
        Suspect("st read the condition before x1: the order is x1, then the condition",
                _reading(lambda x1, x2, cond: [cond, x1])),
        Suspect("the condition was left out: st read zeros in its place",
                _reading(lambda x1, x2, cond: [x1, torch.zeros_like(cond)])),
        Suspect("the condition of the first row was used for all: each vector has its own",
                _reading(lambda x1, x2, cond: [x1, cond[:1].expand_as(cond)])),
        Suspect("s and t changed places: the first half of the network's output is s",
                _second_half(lambda x2, s, t: x2 * t.exp() + s, lambda s, t: t.sum(1))),
        Suspect("s and t changed places in z, though not in log_det",
                _second_half(lambda x2, s, t: x2 * t.exp() + s)),
        Suspect("t was added before the stretching: z2 = x2 · exp(s) + t",
                _second_half(lambda x2, s, t: (x2 + t) * s.exp())),
        Suspect("exp is missing: x2 is multiplied by exp(s), which is never 0",
                _second_half(lambda x2, s, t: x2 * s + t)),
        Suspect("this is the way back: forward multiplies by exp(s), then adds t",
                _second_half(lambda x2, s, t: (x2 - t) * (-s).exp(), lambda s, t: -s.sum(1))),
        Suspect("log_det has the wrong sign: x2 is multiplied by exp(s), so it is +Σ s", _with(lambda s, t: -s.sum(1))),
        Suspect("log_det was summed over the batch as well: one number per vector, dim=1", _with(lambda s, t: s.sum())),
        Suspect("a mean over the columns where a sum is due", _with(lambda s, t: s.mean(1))),
        Suspect("the shift t slipped into log_det: it moves points and changes no volume",
                _with(lambda s, t: (s + t).sum(1))),
        Suspect("exp(s) was summed: the logarithm of a product of exp(s) is the sum of s",
                _with(lambda s, t: s.exp().sum(1))),
        Suspect("log_det is zero: only a step with s = 0 keeps volumes", _with(lambda s, t: 0 * s.sum(1))),
        Suspect("ln P was added to log_det: the code is given, not transformed, so its size adds nothing",
                _with(lambda s, t: s.sum(1) + math.log(P))),
        Suspect("a term of the condition was added to log_det: it is given, and nothing is differentiated by it",
                lambda x, cond, st: (_right(x, cond, st)[0],
                                     _right(x, cond, st)[1] - 0.5 * cond.square().sum(1))),
    ),
)
