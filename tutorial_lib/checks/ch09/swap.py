"""Exercise 6: two positions exchange their vectors; who notices?"""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot
from tutorial_lib.flows import position_code

C, P, H, W = 5, 8, 4, 6
PAIRS = (((0, 1), (3, 4)), ((2, 5), (1, 0)))
CLOSE = 1e-6


class Told:
    """Two likelihoods of a vector: one is told the position, one is not. The interface that the exercise describes."""

    mix = normal(C, P, seed=97)
    bend = normal(C, C, seed=98)

    def code(self, h: int, w: int) -> torch.Tensor:
        """The codes of all positions, (h * w, P), row by row."""
        return position_code(P, h, w).flatten(1).T.double()

    def with_code(self, v: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """ln p of vectors (N, C) at places with codes (N, P): (N,)."""
        if v.ndim != 2 or v.shape[1] != C or c.shape != (len(v), P):
            raise ValueError(f"with_code reads vectors (N, {C}) and codes (N, {P}); it was given {tuple(v.shape)} and "
                             f"{tuple(c.shape)}")
        return _on_grid(-0.5 * (v - c.to(v) @ self.mix.T.to(v)).square().sum(1) + torch.sin(v @ self.bend.to(v)).sum(1))

    def without_code(self, v: torch.Tensor) -> torch.Tensor:
        """ln p of vectors (N, C), wherever they stand: (N,)."""
        if v.ndim != 2 or v.shape[1] != C:
            raise ValueError(f"without_code reads vectors (N, {C}); it was given {tuple(v.shape)}")
        return _on_grid(-0.5 * v.square().sum(1) + torch.sin(v @ self.bend.to(v)).sum(1))


def _on_grid(values: torch.Tensor) -> torch.Tensor:
    """Multiples of 2^-16: sums of a few are exact in whatever order, so that "changes nothing" is exactly 0."""
    return (values * 65536).round() / 65536


def _f(seed=99):
    return normal(C, H, W, seed=seed)


def _rows(f):
    return f.flatten(1).T


def _swapped(f, a, b):
    g = f.clone()
    g[:, a[0], a[1]], g[:, b[0], b[1]] = f[:, b[0], b[1]], f[:, a[0], a[1]]
    return g


def _right(detector, f, a, b, join=lambda after, before: float((after - before).sum())):
    c, g = detector.code(*f.shape[1:]), _swapped(f, a, b)
    return (join(detector.with_code(_rows(g), c), detector.with_code(_rows(f), c)),
            join(detector.without_code(_rows(g)), detector.without_code(_rows(f))))


def _untold(call):
    for a, b in PAIRS:
        found = float(call(Told(), _f(), a, b)[1])
        if abs(found) > CLOSE:
            return f"{a} and {b}: without the code the sum changes by {found:.4g}; the same vectors are still there"
    return None


def _told(call):
    for a, b in PAIRS:
        found, due = float(call(Told(), _f(), a, b)[0]), _right(Told(), _f(), a, b)[0]
        if abs(found - due) > 1e-4 * max(1.0, abs(due)):
            return f"{a} and {b}: with the code the sum changes by {found:.4f}, due is {due:.4f}"
    return None


def _nothing(call):
    found = call(Told(), _f(), (1, 2), (1, 2))
    return None if max(abs(float(v)) for v in found) < CLOSE else "a position exchanged with itself changes something"


def _codes_too(detector, f, a, b):
    c = detector.code(*f.shape[1:]).clone()
    i, j = (y * f.shape[2] + x for y, x in (a, b))
    d = c.clone()
    d[i], d[j] = c[j], c[i]
    g = _rows(_swapped(f, a, b))
    return (float((detector.with_code(g, d) - detector.with_code(_rows(f), c)).sum()),
            float((detector.without_code(g) - detector.without_code(_rows(f))).sum()))


def _turned(f, a, b):
    """Rows and columns exchanged: x first, then y; taken modulo the map so that it always runs."""
    return _swapped(f, (a[1] % f.shape[1], a[0] % f.shape[2]), (b[1] % f.shape[1], b[0] % f.shape[2]))


def _columns_first(detector, f, a, b):
    c, g = detector.code(*f.shape[1:]), _turned(f, a, b)
    return (float((detector.with_code(_rows(g), c) - detector.with_code(_rows(f), c)).sum()), 0.0)


def _half_swap(detector, f, a, b):
    """The slip of f[a], f[b] = f[b], f[a] on views: both places end with the same vector."""
    c, g = detector.code(*f.shape[1:]), f.clone()
    g[:, a[0], a[1]] = f[:, b[0], b[1]]
    return (float((detector.with_code(_rows(g), c) - detector.with_code(_rows(f), c)).sum()),
            float((detector.without_code(_rows(g)) - detector.without_code(_rows(f))).sum()))


SWAP = Exercise(
    name="position_swap", minutes=10, returns=(lambda detector, f, a, b: (NumberSlot("with"), NumberSlot("without")),),
    laws=(Law("without the code, exchanging two vectors must change nothing", _untold),
          Law("with the code, the change is not that of the two vectors at their new places", _told),
          Law("exchanging a position with itself must change nothing", _nothing)),
    passes="without the code exactly 0, with it the change of both vectors at their new places",
    hints=("Four sums: the map before and after, once with the codes and once without. Exercise 1 turns a map into "
           "vectors.",
           "The vectors travel, the codes stay: detector.code(h, w) is the same before and after.",
           "g = f.clone(), then g[:, a0, a1] = f[:, b0, b1] and the other way round: read from f, write into g."),
    suspects=(
        Suspect("the codes were exchanged together with the vectors: then every vector still has its old code, and "
                "nothing changes", _codes_too),
        Suspect("only place a changed. Either one vector was lost (after g[a] = g[b] both places hold the same one: "
                "read from f, write into g), or you looked at a alone", _half_swap),
        Suspect("only place b changed: both places hold the vector of a, or you looked at b alone",
                lambda d, f, a, b: _half_swap(d, f, b, a)),
        Suspect("before minus after: the change is after minus before",
                lambda d, f, a, b: tuple(-v for v in _right(d, f, a, b))),
        Suspect("a mean over the positions where the sum is asked for",
                lambda d, f, a, b: _right(d, f, a, b, lambda after, before: float((after - before).mean()))),
        Suspect("the sum after the exchange, not its change", lambda d, f, a, b: _right(
            d, f, a, b, lambda after, before: float(after.sum()))),
        Suspect("absolute values were added: what one place gains and the other loses may cancel",
                lambda d, f, a, b: _right(d, f, a, b, lambda after, before: float((after - before).abs().sum()))),
        Suspect("the two results changed places: first with the code, then without",
                lambda d, f, a, b: _right(d, f, a, b)[::-1]),
        Suspect("row and column changed places: a = (row, column), and f is (C, rows, columns)", _columns_first),
    ),
)
