"""Exercise 2: the sinusoidal code of a position, in two dimensions."""

from __future__ import annotations

import math

import torch

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

CASES = ((8, 3, 5), (16, 7, 4), (4, 1, 6))
SHEET = (128, 6, 9)
VALUES = {0: 0.656987, 1: 0.753902, 2: -0.859313, 3: 0.511449,  # P = 128 at row 5, column 7, whatever the size
          62: 0.000933, 63: 1.0, 64: -0.958924, 65: 0.283662, 126: 0.000667, 127: 1.0}
CLOSE = 2e-4  # float32: the angle may be rounded before its sine is taken


def _slot(P, h, w):
    return TensorSlot("the code", (P, h, w), "(P, h, w)")


def _bounded(call):
    for case in CASES:
        top = float(call(*case).abs().max())
        if top > 1 + 1e-5:
            return f"positions_2d{case}: the largest entry is {top:.3g}; a sine or cosine is at most 1"
    return None


def _halves(call):
    for P, h, w in CASES[:2]:
        code = call(P, h, w)
        along_rows = (code - code[:, :1]).abs().amax((1, 2)) > CLOSE        # (P,) True: changes from row to row
        along_columns = (code - code[:, :, :1]).abs().amax((1, 2)) > CLOSE
        if along_rows[:P // 2].any():
            k = int(along_rows.int().argmax())
            return f"positions_2d{(P, h, w)}: channel {k} changes from row to row; the first half depends on the column"
        if along_columns[P // 2:].any():
            k = P // 2 + int(along_columns[P // 2:].int().argmax())
            return f"positions_2d{(P, h, w)}: channel {k} changes from column to column; this half depends on the row"
    return None


def _values(call):
    at = call(*SHEET)[:, 5, 7].double()
    for k, expected in VALUES.items():
        if abs(float(at[k]) - expected) > CLOSE:
            return (f"P = 128 on a map of 6 × 9, row 5, column 7: channel {k} is {float(at[k]):.6f}, expected "
                    f"{expected:.6f}")
    return None


def _norm(call):
    for case in CASES:
        squares = call(*case).double().square().sum(0)
        if float((squares - case[0] / 2).abs().max()) > 1e-3:
            return f"positions_2d{case}: |code|² goes from {float(squares.min()):.3f} to {float(squares.max()):.3f}"
    return None


def _distinct(call):
    code = call(32, 12, 12).flatten(1).T.double()
    gap = torch.cdist(code, code).fill_diagonal_(math.inf).min()
    return None if gap > 1e-2 else "two positions of a 12 × 12 map have the same code"


def _code(P, h, w, power=lambda i, half: -2 * i / half, swap=False, first=0, scale=lambda n: 1.0, wave=None):
    half = P // 2
    omega = 1e4 ** power(torch.arange(half // 2, dtype=torch.float64), half)
    wave = wave or (lambda a: torch.stack([a.sin(), a.cos()], 2).flatten(1))

    def axis(n):
        return wave((torch.arange(n, dtype=torch.float64) + first)[:, None] / scale(n) * omega).T  # (half, n)

    columns, rows = axis(w)[:, None, :].expand(half, h, w), axis(h)[:, :, None].expand(half, h, w)
    return torch.cat([rows, columns] if swap else [columns, rows])


def _wrong(**changed):
    return lambda P, h, w: _code(P, h, w, **changed)


POSITIONS = Exercise(
    name="positions_2d", minutes=12, returns=(_slot,),
    laws=(Law("an entry is larger than a sine or cosine can be", _bounded),
          Law("half of the channels must depend on the column alone, the other half on the row alone", _halves),
          Law("the values are not those of the formula", _values),
          Law("|code|² must be P/2 at every position", _norm),
          Law("every position needs a code of its own", _distinct)),
    passes="columns in the first half, rows in the second, the sheet's values, |code|² = P/2, all positions distinct",
    hints=("Write one axis first: a function from n places to (half, n), sine and cosine in turn. Which numbers does "
           "i run through, when a pair of channels shares one ω?",
           "angle = place · ω_i with ω_i = 10000^(−2i/half), half = P/2. The first ω is 1, the last is near 1/10000.",
           "The columns' waves are the same in every row: add an axis and .expand it over the h rows."),
    suspects=(
        Suspect("x and y are swapped: the first half must tell the column, the second half the row", _wrong(swap=True)),
        Suspect("the frequencies run the wrong way: the exponent of 10000 is negative, so that later waves are slower",
                _wrong(power=lambda i, half: 2 * i / half)),
        Suspect("the exponent is divided by P, or its 2 is missing: each axis has P/2 channels, so it is −2i/(P/2)",
                _wrong(power=lambda i, half: -i / half)),
        Suspect("rows and columns are counted from 1: they start at 0", _wrong(first=1)),
        Suspect("the place was divided by the size of the map: it is counted in cells here",
                _wrong(scale=lambda n: float(n))),
        Suspect("all sines first, then all cosines: they alternate, channel 2i and 2i + 1",
                _wrong(wave=lambda a: torch.cat([a.sin(), a.cos()], 1))),
        Suspect("sine and cosine changed places: the even channels hold the sine",
                _wrong(wave=lambda a: torch.stack([a.cos(), a.sin()], 2).flatten(1))),
        Suspect("every channel got its own frequency: the sine and the cosine of a pair share one",
                lambda P, h, w: _own_frequencies(P, h, w)),
    ),
)


def _own_frequencies(P, h, w):
    half = P // 2
    j = torch.arange(half, dtype=torch.float64)

    def axis(n):
        a = torch.arange(n, dtype=torch.float64)[:, None] * 1e4 ** (-j / half)  # (n, half)
        return torch.where(j % 2 == 0, a.sin(), a.cos()).T

    return torch.cat([axis(w)[:, None, :].expand(half, h, w), axis(h)[:, :, None].expand(half, h, w)])
