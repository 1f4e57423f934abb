"""Exercise 6: two positions exchange their vectors; who notices?"""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import NumberSlot
from tutorial_lib.flows import position_code

C, P, H, W = 5, 8, 4, 6
PAIRS = (((0, 1), (3, 2)), ((2, 3), (1, 0)))  # these also run with row and column exchanged,
FAR = ((2, 5), (1, 0))                        # and this one does not
CLOSE = 1e-6


class Told:
    """Two likelihoods of a vector: one is told the position, one is not. The interface that the exercise describes.

    It remembers the vectors that it was asked about: ``told`` and ``untold``.
    """

    mix = normal(C, P, seed=97)
    bend = normal(C, C, seed=98)

    def __init__(self):
        self.told, self.untold = [], []

    def code(self, h: int, w: int) -> torch.Tensor:
        """The codes of all positions, (h * w, P), row by row."""
        return position_code(P, h, w).flatten(1).T.double()

    def with_code(self, v: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """ln p of vectors (N, C) at places with codes (N, P): (N,)."""
        if v.ndim != 2 or v.shape[1] != C or c.shape != (len(v), P):
            raise ValueError(f"with_code reads vectors (N, {C}) and codes (N, {P}); it was given {tuple(v.shape)} and "
                             f"{tuple(c.shape)}")
        self.told.append(v.detach().double().clone())
        return _on_grid(-0.5 * (v - c.to(v) @ self.mix.T.to(v)).square().sum(1) + torch.sin(v @ self.bend.to(v)).sum(1))

    def without_code(self, v: torch.Tensor) -> torch.Tensor:
        """ln p of vectors (N, C), wherever they stand: (N,)."""
        if v.ndim != 2 or v.shape[1] != C:
            raise ValueError(f"without_code reads vectors (N, {C}); it was given {tuple(v.shape)}")
        self.untold.append(v.detach().double().clone())
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


def _right(detector, f, a, b, join=lambda after, before: float((after - before).sum()), move=_swapped, rows=_rows):
    c, g = detector.code(*f.shape[1:]), move(f, a, b)
    return (join(detector.with_code(rows(g), c), detector.with_code(rows(f), c)),
            join(detector.without_code(rows(g)), detector.without_code(rows(f))))


def _kept(call):
    """One of the two vectors twice and the other not at all: seen in what the detector was asked about."""
    for a, b in PAIRS:
        detector, f = Told(), _f()
        call(detector, f, a, b)
        for v in detector.told + detector.untold:
            first, second = (int((v == f[:, y, x]).all(1).sum()) for y, x in (a, b))
            if min(first, second) == 0 and max(first, second) > 1:
                kept, lost = (a, b) if first else (b, a)
                raise Stop(Finding(
                    "law", "one vector was lost in the exchange",
                    f"{a} and {b}: the detector was asked about a map that holds the vector of {kept} twice and "
                    f"that of {lost} nowhere",
                    "g[:, a…], g[:, b…] = g[:, b…], g[:, a…] (on one line or on two) exchanges nothing: slices of a "
                    "tensor are views, so the first assignment overwrites what the second one reads. Read from f, "
                    "write into its clone"))
    return None


def _untold(call):
    for a, b in PAIRS:
        found = float(call(Told(), _f(), a, b)[1])
        if abs(found) > CLOSE:
            return (f"{a} and {b}: without the code the sum changes by {found:.4g}; an exchange leaves every vector on "
                    "the map, so due is 0")
    return None


def _told(call):
    for a, b in (*PAIRS, FAR):
        found, due = float(call(Told(), _f(), a, b)[0]), _right(Told(), _f(), a, b)[0]
        if abs(found - due) > 1e-4 * max(1.0, abs(due)):
            return f"{a} and {b}: with the code the sum changes by {found:.4f}, due is {due:.4f}"
    return None


def _asked(call):
    for a, b in PAIRS:
        detector = Told()
        call(detector, _f(), a, b)
        if not detector.untold:
            return (f"{a} and {b}: detector.without_code was never called",
                    "the 0 was written down, not measured: ask without_code before and after the exchange, too")
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
    """Rows and columns exchanged: x first, then y."""
    return _swapped(f, a[::-1], b[::-1])


def _wide(f, a, b):
    """The number of a place counted with the number of rows instead of the number of columns."""
    h, w = f.shape[1:]
    return _swapped(f, *(divmod(y * h + x, w) for y, x in (a, b)))


def _reshaped(f):
    return f.reshape(-1, len(f))


def _one_place(detector, f, a, b):
    """What the place a gains: the vector of b in place of its own."""
    return _right(detector, f, a, b, lambda after, before: float((after - before)[a[0] * f.shape[2] + a[1]]))


SWAP = Exercise(
    name="position_swap", minutes=10, returns=(lambda detector, f, a, b: (NumberSlot("with"), NumberSlot("without")),),
    laws=(Law("one vector was lost in the exchange", _kept),
          Law("without the code, exchanging two vectors must change nothing", _untold),
          Law("with the code, the change is not that of the two vectors at their new places", _told),
          Law("exchanging a position with itself must change nothing", _nothing),
          Law("the detector that is not told must be asked as well", _asked)),
    passes="without the code exactly 0, with it the change of both vectors at their new places",
    hints=("Four sums: the map before and after, once with the codes and once without. Exercise 1 turns a map into "
           "vectors.",
           "The vectors travel, the codes stay: detector.code(h, w) is the same before and after.",
           "g = f.clone(), then g[:, a0, a1] = f[:, b0, b1] and the other way round: read from f, write into g."),
    suspects=(
        Suspect("the codes were exchanged together with the vectors: then every vector still has its old code, and "
                "nothing changes", _codes_too),
        Suspect("place a alone was counted: the sum runs over all positions, and b has a new vector, too",
                _one_place),
        Suspect("place b alone was counted: the sum runs over all positions, and a has a new vector, too",
                lambda d, f, a, b: _one_place(d, f, b, a)),
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
        Suspect("row and column changed places: a = (row, column), and f is (C, rows, columns)",
                lambda d, f, a, b: _right(d, f, a, b, move=_turned)),
        Suspect("the number of a place is row · w + column, with w columns: it was counted with h, the number of rows",
                lambda d, f, a, b: _right(d, f, a, b, move=_wide)),
        Suspect("the vectors were made by a plain reshape: it cuts each channel's plane into pieces. Your "
                "map_to_vectors of exercise 1 does it right", lambda d, f, a, b: _right(d, f, a, b, rows=_reshaped)),
    ),
)
