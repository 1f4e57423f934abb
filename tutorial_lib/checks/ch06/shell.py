"""Exercise 6: a path between two latents that stays on the shell where latents live."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

WIGGLE = 0.01  # of the norm: slerp on the vectors themselves bends by less


def _returns(z0, z1, n):
    return TensorSlot("the path", (n, len(z0)), "(n, d)", z0.dtype)


def _pairs():
    one, other = normal(64, seed=41), normal(64, seed=42)
    return {"two draws in d = 64": (one, other), "a short and a long one": (0.8 * one, 1.1 * other),
            "the same two, exchanged": (1.1 * other, 0.8 * one),
            "three values at an obtuse angle": (torch.tensor([2.0, 0.0, 0.0]).double(),
                                                torch.tensor([-1.2, 1.6, 0.0]).double())}


def _ends(call):
    for name, (z0, z1) in _pairs().items():
        for n in (7, 2):
            path = call(z0, z1, n)
            if torch.allclose(path[0], z1) and torch.allclose(path[-1], z0):
                return f"{name}, n = {n}: the first point is z1 and the last is z0", "the path runs backwards"
            for end, expected, k in (("first", z0, 0), ("last", z1, -1)):
                gap = float((path[k] - expected).abs().max())
                if gap > 1e-6:
                    return f"{name}, n = {n}: the {end} point is off by {gap:.3g} from z{0 if k == 0 else 1}"
    return None


def _norms(call):
    for name, (z0, z1) in _pairs().items():
        norms = call(z0, z1, 9).norm(dim=1)
        rising = 1.0 if z1.norm() >= z0.norm() else -1.0
        falls = float((-rising * norms.diff()).max() / norms[0])
        if falls > WIGGLE:
            return (f"{name}: the norms are {' '.join(f'{v:.2f}' for v in norms.tolist())}; they must go from "
                    f"{float(z0.norm()):.2f} to {float(z1.norm()):.2f} without leaving the way between")
    return None


def _jumps(call):
    for name, (z0, z1) in _pairs().items():
        steps = call(z0, z1, 17).diff(dim=0).norm(dim=1)
        if float(steps.max()) > 3 * float(steps.mean()):
            return (f"{name}, 17 points: one step is {float(steps.max() / steps.mean()):.1f} times as long as the mean",
                    "the path stands still and then jumps, or the angle runs unevenly")
    return None


def _shortest(call):
    for name, (z0, z1) in _pairs().items():
        path, whole = call(z0, z1, 9), float(_angle(z0, z1))
        points, plane = _unit(path.to(z0)), torch.linalg.qr(torch.stack([z0, z1], 1))[0]      # (n, d), (d, 2)
        both = torch.stack([torch.arccos((points @ _unit(z)).clamp(-1, 1)) for z in (z0, z1)]).sum(0)
        if float((both - whole).abs().max()) > 1e-3:
            off = float((points - points @ plane @ plane.T).norm(dim=1).max())
            return (f"{name}: the ends are {whole:.2f} rad apart; through a point of the path it is "
                    f"{float(both.max()):.2f} rad",
                    "it leaves the plane of both ends" if off > 1e-3 else "it turns the long way round")
    return None


def _parallel(call):
    axis = torch.zeros(64, dtype=torch.float64)
    axis[0] = 8.0
    for name, z0, z1 in (("z0 and z1 = 2 z0 on one axis", axis, 2 * axis), ("z1 = z0", axis, axis.clone())):
        path = call(z0, z1, 5)
        off = float((path - z0 * ((path @ z0) / z0.square().sum())[:, None]).abs().max())
        if off > 1e-4 or float((path[-1] - z1).abs().max()) > 1e-6:
            return f"{name}: the path leaves the line through both, or misses its end"
    return None


def _t(n, z0):
    return torch.linspace(0, 1, n, dtype=z0.dtype)[:, None]


def _straight(z0, z1, n):
    return (1 - _t(n, z0)) * z0 + _t(n, z0) * z1


def _unit(z):
    return z / z.norm(dim=-1, keepdim=True)


def _angle(z0, z1):
    return torch.arccos(_unit(z0) @ _unit(z1))


def _slerp(z0, z1, n, t=None):
    t, angle = _t(n, z0) if t is None else t, _angle(z0, z1)
    return (torch.sin((1 - t) * angle) * z0 + torch.sin(t * angle) * z1) / torch.sin(angle)


SHELL = Exercise(
    name="shell_path", minutes=10, returns=(_returns,),
    laws=(Law("the path must begin at z0 and end at z1", _ends),
          Law("the norm must go steadily from that of z0 to that of z1", _norms),
          Law("the path must move in even steps", _jumps),
          Law("the direction must turn on the shortest way", _shortest),
          Law("ends that point the same way must work too", _parallel)),
    passes="ends exact, norm steady between the ends' norms, no jumps, the shortest way, parallel ends work",
    hints=("Separate length and direction. The length may go from ‖z0‖ to ‖z1‖ in even steps. What goes wrong with "
           "the direction on a straight line?",
           "Take the straight line between the two *unit* vectors, and give every point of it the length that it "
           "should have. Or turn by the angle between them (slerp).",
           "slerp divides by sin(angle), which is 0 for parallel ends. Normalising the straight line between unit "
           "vectors divides by nothing small, unless the ends are opposite."),
    suspects=(
        Suspect("a straight line: half-way between two draws it is at 0.71 of the norm, inside the shell", _straight),
        Suspect("every point has norm 1: give it the length between ‖z0‖ and ‖z1‖",
                lambda z0, z1, n: _unit(_straight(z0, z1, n))),
        Suspect("every point has the norm of z0: the last one must be z1 itself",
                lambda z0, z1, n: z0.norm() * _unit(_straight(_unit(z0), _unit(z1), n))),
        Suspect("every point has the mean of both norms: the ends must be exact",
                lambda z0, z1, n: (z0.norm() + z1.norm()) / 2 * _unit(_straight(_unit(z0), _unit(z1), n))),
        Suspect("the norm √d was forced on every point: the ends must be exact",
                lambda z0, z1, n: len(z0) ** 0.5 * _unit(_straight(_unit(z0), _unit(z1), n))),
        Suspect("the last step is missing: t must run from 0 to 1 with both ends (torch.linspace)",
                lambda z0, z1, n: _slerp(z0, z1, n, torch.arange(n, dtype=z0.dtype)[:, None] / n)),
        Suspect("weights √(1 − t) and √t keep the norm for a right angle only",
                lambda z0, z1, n: (1 - _t(n, z0)).sqrt() * z0 + _t(n, z0).sqrt() * z1),
        Suspect("a quarter turn, cos and sin of πt/2: the angle between these ends is another one",
                lambda z0, z1, n: torch.cos(torch.pi / 2 * _t(n, z0)) * z0 + torch.sin(torch.pi / 2 * _t(n, z0)) * z1),
        Suspect("division by 0: the angle between parallel ends is 0, and so is its sine",
                _slerp),
        Suspect("division by 0: length and direction are kept apart as they should be, but parallel ends have angle 0",
                lambda z0, z1, n: ((1 - _t(n, z0)) * z0.norm() + _t(n, z0) * z1.norm())
                * _slerp(_unit(z0), _unit(z1), n)),
    ),
)
