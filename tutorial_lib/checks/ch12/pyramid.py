"""Exercise 1: a Laplacian pyramid, and back."""

from __future__ import annotations

from itertools import pairwise

import torch

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.ch12.probes import WAYS, LevelsSlot, gaussian, join, split
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.findings import Stop
from tutorial_lib.checks.slots import TensorSlot

SHAPES = (((2, 2, 16, 8), 4), ((1, 3, 4, 8), 2))  # shape, levels


def _levels(x, levels, down, up):
    sizes = [(x.shape[2] >> k, x.shape[3] >> k) for k in range(levels)]
    return (LevelsSlot("the pyramid", tuple(TensorSlot(f"level {k}", (*x.shape[:2], *size), "(B, C, h, w)", x.dtype)
                                            for k, size in enumerate(sizes))),)


def _unpacked(x, levels, down, up):
    return _levels(x, levels, down, up)[0]


def _picture(pyramid, up):
    return TensorSlot("x", pyramid[0].shape, "(B, C, H, W)", pyramid[0].dtype)


def _cases(seed):
    for name, (down, up) in WAYS.items():
        for shape, levels in SHAPES:
            yield f"{name}, {levels} levels", normal(*shape, seed=seed), levels, down, up


def _coarsest(call, back):
    for name, x, levels, down, up in _cases(1):
        found = differ("the last level", call(x, levels, down, up)[-1], gaussian(x, levels, down)[-1], 1e-9,
                       f"down applied {levels - 1} times")
        if found:
            return f"{name}, {found}"
    return None


def _missed(call, back):
    for name, x, levels, down, up in _cases(2):
        for k, (got, due) in enumerate(zip(call(x, levels, down, up), split(x, levels, down, up), strict=True)):
            found = differ(f"level {k}", got, due, 1e-9, "(this level) − up(next level)")
            if found:
                return f"{name}, {found}"
    return None


def _join(call, back):
    for name, x, levels, down, up in _cases(3):
        pyramid = [p + normal(*p.shape, seed=30 + k) for k, p in enumerate(split(x, levels, down, up))]
        found = differ("laplacian_join", back(pyramid, up), join(pyramid, up), 1e-9, "up(…) + level, coarse to fine")
        if found:
            return f"{name}, {found}"
    return None


def _round_trip(call, back):
    for name, x, levels, down, up in _cases(4):
        found = differ("the round trip", back(call(x, levels, down, up), up), x, 1e-9, "x")
        if found:
            return f"{name}, {found}"
    return None


def _odd(call, back):
    down, up = next(iter(WAYS.values()))
    for side, levels in ((7, 2), (12, 4)):
        x = normal(1, 1, side, 16, seed=5)
        try:
            call(x, levels, down, up)
        except Stop as stop:
            if "ValueError" in stop.finding.law and str(side) in stop.finding.law:
                continue
            return (f"{side} × 16 pixels, {levels} levels: {stop.finding.law}",
                    "an error that does not name the side: raise ValueError with the sides and the number of levels")
        return f"{side} × 16 pixels, {levels} levels: no error", "the test of the sides was taken out"
    return None


def _skipping(x, levels, down, up):
    g = gaussian(x, levels, down)
    return [a - up(a[..., ::2, ::2]) for a in g[:-1]] + [g[-1]]


def _gaussian(x, levels, down, up):
    return gaussian(x, levels, down)


def _unblurred_twice(x, levels, down, up):
    g = gaussian(x, levels, lambda v: v[..., ::2, ::2])
    return [a - up(b) for a, b in pairwise(g)] + [g[-1]]


def _negated(x, levels, down, up):
    p = split(x, levels, down, up)
    return [-v for v in p[:-1]] + [p[-1]]


def _plus(x, levels, down, up):
    g = gaussian(x, levels, down)
    return [a + up(b) for a, b in pairwise(g)] + [g[-1]]


def _residuals_down(x, levels, down, up):
    found = []
    for _ in range(levels - 1):
        found.append(x - up(down(x)))
        x = down(found[-1])
    return [*found, x]


PYRAMID = Exercise(
    name="laplacian_split", minutes=12, functions=("laplacian_split", "laplacian_join"),
    returns=(_unpacked, _picture),
    laws=(Law("the last level must be the picture made small", _coarsest),
          Law("a level must hold what up(next level) missed", _missed),
          Law("laplacian_join must go from coarse to fine, up(…) plus the level", _join),
          Law("join(split(x)) is not x", _round_trip),
          Law("sides that cannot be halved so often must raise a ValueError that names them", _odd)),
    passes="exact for three pairs of down and up, one of them nonsense; sides that do not fit are named",
    hints=("You have `smaller`, the next level. What does up(smaller) look like beside x, and what has it missed?",
           "Each level stores x − up(smaller). The way back adds what was taken away.",
           "In join: x begins as the smallest level. One step is x = up(x) + (what was missed at that size)."),
    suspects=(
        Suspect("the prediction comes from the unblurred level (every second pixel of x): use up(smaller)", _skipping),
        Suspect("the levels hold the shrunk pictures themselves: take the prediction up(smaller) away", _gaussian),
        Suspect("down was not used: every second pixel was taken without it", _unblurred_twice),
        Suspect("the difference has the wrong sign: x minus the prediction", _negated),
        Suspect("the prediction was added: x minus up(smaller) is what it missed", _plus),
        Suspect("the next level was made from the difference: go on with `smaller`, the small picture",
                _residuals_down),
        Suspect("a difference was taken in laplacian_join: adding what was missed restores x",
                lambda pyramid, up: join([*[-p for p in pyramid[:-1]], pyramid[-1]], up), index=1),
        Suspect("the smallest picture was forgotten in laplacian_join: x begins as pyramid[-1]",
                lambda pyramid, up: join([*pyramid[:-1], torch.zeros_like(pyramid[-1])], up), index=1),
        Suspect("only the finest level was added: one step per level, from coarse to fine",
                lambda pyramid, up: join([pyramid[0], *[torch.zeros_like(p) for p in pyramid[1:-1]], pyramid[-1]], up),
                index=1),
    ),
)
