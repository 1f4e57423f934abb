"""Exercise 5: does a flow judge every place alike, whatever stands around it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import SEVERAL, Slot

H, W, C = 3, 4, 4


@dataclass(frozen=True)
class TruthSlot(Slot):
    """True or False, as a bool or as a tensor that holds one."""

    def examine(self, value) -> None:
        plain = value.dtype == torch.bool and value.ndim == 0 if isinstance(value, Tensor) else \
            isinstance(value, bool | np.bool_)
        if not plain:
            found = f"a tensor {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else \
                f"{type(value).__name__}"
            raise Stop(Finding("type", f"{self.name} must be True or False", f"found {found}",
                               SEVERAL if isinstance(value, tuple) else ""))


class Probe:
    """A flow on maps ``(B, 4, 3, 4)``: a channel mix, then what a kind does with the neighbours.

    ``seen`` holds the maps that it was given.
    """

    def __init__(self, kind: str):
        self.seen: list[Tensor] = []
        self.kind, self.matrix = kind, torch.eye(C, dtype=torch.float64) + 0.4 * normal(C, C, seed=51)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(x.detach().double().clone())
        z = torch.einsum("ij,bjhw->bihw", self.matrix.to(x), x)
        around = torch.sin(z.roll(1, 3) + z.roll(1, 2) - 2 * z)[:, :1]
        s, t = torch.zeros_like(around), torch.zeros_like(z[:, 1:])
        if self.kind == "own scale":
            s = torch.tanh(z[:, :1])
        elif self.kind == "neighbours":
            s, t = 0.5 * around, around.expand_as(t)
        elif self.kind == "weak":
            t = torch.cat([t[:, :2], 1e-3 * around], 1)
        z = torch.cat([z[:, :1], z[:, 1:] * s.exp() + t], 1)
        if self.kind == "turn":
            a, b, c, d = z.split(1, 1)
            z = torch.cat([a, b, c * around.cos() - d * around.sin(), c * around.sin() + d * around.cos()], 1)
        elif self.kind == "move":
            z = z.roll(1, 3)
        elif self.kind == "place":
            z = z * torch.linspace(0.5, 1.5, H * W, dtype=x.dtype).view(H, W)
        elif self.kind == "rounding":
            z = z + 1e-10 * torch.arange(H * W, dtype=x.dtype).remainder(3).view(H, W)
        return z, 3 * s.sum((1, 2, 3)) + torch.linalg.slogdet(self.matrix)[1].to(x) * H * W


def _order():
    return torch.randperm(H * W, generator=torch.Generator().manual_seed(52))


def _swap():
    order = torch.arange(H * W)
    order[2], order[9] = 9, 2
    return order


def _even(sample):
    """The maps X, one of which is the same everywhere: there, neighbours make no difference."""
    x = X.clone()
    x[sample] = x[sample, :, :1, :1]
    return x


X = normal(2, C, H, W, seed=53)
ALONE = "a flow that looks at each place alone (as 1 × 1 kernels do)"
PROBES = {  # name: flow, maps, order, what is due, words
    "own": (Probe("own scale"), X, _order(), True, ALONE),
    "swap": (Probe("own scale"), X, _swap(), True, f"{ALONE}, with an order that exchanges two places"),
    "constant": (Probe("own scale"), X[:, :, :1, :1].expand_as(X).contiguous(), _order(), True,
                 f"{ALONE}, on a map that is the same everywhere"),
    "neighbours": (Probe("neighbours"), X, _order(), False, "a flow in which neighbours talk"),
    "move": (Probe("move"), X, _order(), False, "a flow that moves the map by one column (its totals never change)"),
    "turn": (Probe("turn"), X, _order(), False,
             "a flow that turns two channels by what stands around (its totals never change)"),
    "weak": (Probe("weak"), X, _order(), False, "a flow in which neighbours whisper: a thousandth, in one channel"),
    "place": (Probe("place"), X, _order(), False, "a flow that scales every place by a number of its own"),
    "second": (Probe("neighbours"), _even(0), _order(), False,
               "a flow in which neighbours talk, on a batch whose map 0 is the same everywhere"),
    "first": (Probe("neighbours"), _even(1), _order(), False,
              "a flow in which neighbours talk, on a batch whose map 1 is the same everywhere"),
    "still": (Probe("neighbours"), X, torch.arange(H * W), True,
              "an order that leaves every place where it is (then every flow gives the same z)"),
    "rounding": (Probe("rounding"), X, _order(), True, "a flow that looks at each place alone, up to rounding"),
}


def _says(*names, asked=()):
    """``asked``: probes that are called as well; the more answers there are, the surer the cause."""
    def law(call):
        found = {name: _answer(call, name) for name in (*names, *(n for n in asked if n not in names))}
        for name in names:
            *_, due, words = PROBES[name]
            if found[name] is not due:
                return f"for {words}, found {found[name]}, due is {due}"
        return None
    return law


def _answer(call, name):
    """What ``call`` says of a probe. Every place of a map that the flow was shown must hold a vector of x."""
    flow, x, perm, *_ = PROBES[name]
    flow.seen.clear()
    found = bool(call(flow, x, perm))
    for given in flow.seen:
        rows, known = (m.movedim(1, -1).reshape(-1, C) for m in (given, x))    # (places, C)
        if not bool(((rows[:, None] - known).abs().amax(-1) < 1e-5).any(1).all()):
            raise Stop(Finding("law", "the flow must be shown x, and x with its places in another order",
                               "it was given a map whose places do not hold the vectors of x",
                               "channels and places were mixed: perm orders the h·w places, so flatten rows and "
                               "columns, x.flatten(2), and take [:, :, perm]"))
    return found


def _order_used(call):
    where = _says("still")(call)
    return where and (where, "perm was not used: the places were put in an order of your own")


def _shuffled(x, perm):
    return x.flatten(2)[:, :, perm].view_as(x)


def _maps(compare):
    """An answer that compares the two outputs with the shuffled input in its own way."""
    return lambda flow, x, perm: compare(flow(x), flow(_shuffled(x, perm)), perm)


def _close(a, b):
    return torch.allclose(a, b, rtol=1e-5, atol=1e-6)


BLIND = Exercise(
    name="position_blind", minutes=10, returns=(lambda flow, x, perm: TruthSlot("the answer"),),
    laws=(Law("a flow that treats every place alike is not recognised", _says("own", "swap", "constant", asked=PROBES)),
          Law("a flow in which neighbours or places count is called blind",
              _says("neighbours", "move", "turn", "weak", "place")),
          Law("every map of the batch counts", _says("second", "first")),
          Law("rounding is taken for a difference", _says("rounding")),
          Law("the order must be perm", _order_used)),
    passes="true where every place is judged alone, false where neighbours or the place itself count, however little",
    hints=("Shuffle the places of x, apply the flow, and compare with … what? Compare whole maps.",
           "x.flatten(2)[:, :, perm].view_as(x) shuffles. Shuffle z in the same way: are both results the same?",
           "torch.allclose allows for rounding. A sum over the places would hide what moved where."),
    suspects=(
        Suspect("totals were compared, not maps: a sum over the places does not see what moved where",
                _maps(lambda a, b, p: _close(_total(*a), _total(*b)))),
        Suspect("only log_det was compared: it is one number per map, and often the same",
                _maps(lambda a, b, p: _close(a[1], b[1]))),
        Suspect("z of the shuffled map was compared with z as it was: shuffle that one too",
                _maps(lambda a, b, p: _close(a[0], b[0]))),
        Suspect("shuffled twice instead of back: compare z shuffled with the z of the shuffled map",
                _maps(lambda a, b, p: _close(a[0], _shuffled(b[0], p)))),
        Suspect("exact equality: rounding alone makes it False; use torch.allclose",
                _maps(lambda a, b, p: torch.equal(_shuffled(a[0], p), b[0]))),
        Suspect("the tolerance is so wide that a weak influence passes for none",
                _maps(lambda a, b, p: torch.allclose(_shuffled(a[0], p), b[0], atol=0.05))),
        Suspect("only the first channel was compared: the others may have looked around",
                _maps(lambda a, b, p: _close(_shuffled(a[0], p)[:, 0], b[0][:, 0]))),
        Suspect("only the first map of the batch was compared",
                _maps(lambda a, b, p: _close(_shuffled(a[0], p)[:1], b[0][:1]))),
        Suspect("only the last map of the batch was compared",
                _maps(lambda a, b, p: _close(_shuffled(a[0], p)[-1:], b[0][-1:]))),
        Suspect("sorted values were compared: that a value is still somewhere does not say where",
                _maps(lambda a, b, p: _close(a[0].flatten(2).sort().values, b[0].flatten(2).sort().values))),
        Suspect("the other way round: it answers True where neighbours count",
                _maps(lambda a, b, p: not _close(_shuffled(a[0], p), b[0]))),
        Suspect("True came back for every flow that was tried", lambda flow, x, perm: True),
        Suspect("False came back for every flow that was tried, also where perm moves nothing",
                lambda flow, x, perm: False),
    ),
)


def _total(z, log_det):
    return -0.5 * z.square().sum((1, 2, 3)) + log_det
