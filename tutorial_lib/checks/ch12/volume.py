"""Exercise 4: volume normalisation, with the running means that it needs outside training."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SHAPE = (3, 4, 2, 5)
WAYS = {"one mean per pixel, dims (0, 1)": (0, 1), "one mean per channel, dims (0, 2, 3)": (0, 2, 3)}
KEPT = 0.9


def _mean_shape(dims):
    return tuple(1 if k in dims else n for k, n in enumerate(SHAPE))


def _returns(s, dims, running, training):
    return (TensorSlot("s'", s.shape, "(B, C, h, w)", s.dtype),
            TensorSlot("the running mean", running.shape, "that of the old one", running.dtype))


def _cases(seed):
    for name, dims in WAYS.items():
        yield name, 1.5 * normal(*SHAPE, seed=seed) + 0.7, dims, normal(*_mean_shape(dims), seed=seed + 1)


def _zero_sum(call):
    for name, s, dims, running in _cases(1):
        left = call(s, dims, running, True)[0].sum(dims)
        if float(left.abs().max()) > 1e-9:
            return f"training, {name}: the largest sum over these axes is {float(left.abs().max()):.3f}, due is 0"
    return None


def _means_only(call):
    for name, s, dims, running in _cases(3):
        found = differ("s'", call(s, dims, running, True)[0], s - s.mean(dims, keepdim=True), 1e-9, "s − mean")
        if found:
            return f"training, {name}: {found}"
    return None


def _joint(call):
    for name, s, dims, running in _cases(5):
        s, running = s[:, :2, :, :2], running[:, :2, :, :2]                      # 3 · 8 numbers: a Jacobian of 24 × 24
        x = normal(*s.shape, seed=7)
        kept = call(s, dims, running, True)[0].detach()
        jacobian = torch.autograd.functional.jacobian(lambda v, kept=kept: (v * kept.exp()).flatten(), x)
        total = float(torch.linalg.slogdet(jacobian.reshape(x.numel(), -1))[1])
        if abs(total) > 1e-9:
            return f"training, {name}: ln|det| of the joint Jacobian of the batch is {total:.3f}, due is 0"
    return None


def _running(call):
    for name, s, dims, running in _cases(9):
        due = KEPT * running + (1 - KEPT) * s.mean(dims, keepdim=True)
        found = differ("the running mean", call(s, dims, running, True)[1], due, 1e-9, "0.9 · old + 0.1 · batch mean")
        if found:
            return f"training, {name}: {found}"
    return None


def _graph(call):
    for name, s, dims, running in _cases(11):
        out, new = call(s.requires_grad_(), dims, running, True)
        if new.requires_grad:
            return (f"training, {name}: the running mean still knows the graph of s",
                    "the gradient runs through the running mean, and its chain grows with every step: .detach() the "
                    "batch mean before it is stored")
        if not out.requires_grad:
            return f"training, {name}: s' has lost its gradient", "detach what is stored, not what is used"
        whole = torch.autograd.grad((out * normal(*SHAPE, seed=13)).sum(), s)[0].sum(dims)
        if float(whole.abs().max()) > 1e-9:
            return (f"training, {name}: adding a constant to s moves s'",
                    "the mean was detached before it was taken away: then the network can still push the volume; "
                    "detach only what is stored")
    return None


def _evaluation(call):
    for name, s, dims, running in _cases(15):
        out, new = call(s, dims, running, False)
        found = (differ("s'", out, s - running, 1e-9, "s − running mean")
                 or differ("the running mean", new, running, 0.0, "the old one, unchanged"))
        if found:
            return f"evaluation, {name}: {found}"
        if not torch.allclose(call(s[1:2], dims, running, False)[0], out[1:2]):
            return f"evaluation, {name}: an image alone gives another s' than in the batch"
    return None


def _new(running, mean, kept=KEPT):
    return (kept * running + (1 - kept) * mean).detach()


def _wrong(normalised, mean=lambda s, dims: s.mean(dims, keepdim=True), new=_new):
    """In training another ``normalised(s, dims)`` or another running mean; outside training as it should be."""
    def wrong(s, dims, running, training):
        if not training:
            return s - running, running
        return normalised(s, dims), new(running, mean(s, dims))
    return wrong


def _minus(s, dims):
    return s - s.mean(dims, keepdim=True)


def _sample(s, dims):
    return s - s.mean(tuple(d for d in dims if d), keepdim=True)


VOLUME = Exercise(
    name="volume_norm", minutes=12, returns=(_returns,),
    laws=(Law("in training the sum over the normalised axes must be 0", _zero_sum),
          Law("nothing but the mean may be taken away", _means_only),
          Law("the volume of the whole batch must be kept", _joint),
          Law("the running mean must follow the batch mean by a tenth", _running),
          Law("in evaluation the running mean must be used, and kept", _evaluation),
          Law("the stored mean must not carry a graph, the subtracted one must", _graph)),
    passes="sums 0 and joint ln|det| of the batch 0 in training, running mean without a graph, images apart in "
           "evaluation",
    hints=("s.mean(dims, keepdim=True) takes several axes at once, and keeps them with length 1.",
           "Two cases. Training: take the batch mean away and move `running` a tenth of the way to it. Evaluation: "
           "take `running` away and give it back as it was.",
           "Autograd must see the mean that is subtracted and must not see the one that is stored: .detach()."),
    suspects=(
        Suspect("a mean per sample: the batch axis belongs to dims, the samples balance each other", _wrong(_sample)),
        Suspect("nothing was taken away", _wrong(lambda s, dims: s)),
        Suspect("divided by the spread as well: s may keep its size, only its mean goes",
                _wrong(lambda s, dims: _minus(s, dims) / s.std(dims, keepdim=True))),
        Suspect("divided by the spread as well (all of it, without n − 1): s may keep its size, only its mean goes",
                _wrong(lambda s, dims: _minus(s, dims) / s.std(dims, keepdim=True, correction=0))),
        Suspect("the running mean was taken away in training too: then the batch does not sum to 0",
                lambda s, dims, running, training: (
                    s - running, _new(running, s.mean(dims, keepdim=True)) if training else running)),
        Suspect("the new running mean was taken away in training: the batch mean makes the sum 0",
                lambda s, dims, running, training: (
                    (s - _new(running, s.mean(dims, keepdim=True)), _new(running, s.mean(dims, keepdim=True)))
                    if training else (s - running, running))),
        Suspect("one mean over everything: use dims, one mean for each place on the other axes",
                _wrong(lambda s, dims: s - s.mean())),
        Suspect("the mean over the other axes: dims names those that disappear",
                _wrong(lambda s, dims: s - s.mean(tuple(k for k in range(4) if k not in dims), keepdim=True))),
        Suspect("the mean was added", _wrong(lambda s, dims: s + s.mean(dims, keepdim=True))),
        Suspect("the weights changed places: 0.9 of the old mean, 0.1 of the new",
                _wrong(_minus, new=lambda r, m: _new(r, m, 0.1))),
        Suspect("the running mean was replaced: it keeps 0.9 of the old one",
                _wrong(_minus, new=lambda r, m: m.detach())),
        Suspect("the running mean stood still in training: it takes over a tenth of the batch mean",
                _wrong(_minus, new=lambda r, m: r)),
        Suspect("the batch mean was used in evaluation too: an image would be judged by its neighbours",
                lambda s, dims, running, training: (
                    _minus(s, dims), _new(running, s.mean(dims, keepdim=True)) if training else running)),
        Suspect("the running mean went on moving in evaluation: images that are judged must not teach",
                lambda s, dims, running, training: (
                    _minus(s, dims) if training else s - running, _new(running, s.mean(dims, keepdim=True)))),
        Suspect("the two cases changed places: the batch mean belongs to training",
                lambda s, dims, running, training: (
                    (s - running, running) if training else (_minus(s, dims), _new(running, s.mean(dims, True))))),
    ),
)
