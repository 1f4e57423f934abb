"""Exercise 5: sign and ln|det| through the LU factorisation."""

from __future__ import annotations

import math

import torch

from tutorial_lib.checks.ch03.permutations import sign
from tutorial_lib.checks.ch03.probes import apart, compare, left_to_torch, log_abs_det, matrix
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _mixed():
    """Matrices of both signs, with even and odd pivoting. First those whose U has an even number of negative entries:
    there the logarithm of its product exists and the sum of its logarithms does not, which tells two mistakes apart."""
    tried = [matrix(n, seed=64 + k) for k, n in enumerate((1, 2, 3, 3, 4, 5, 6, 7))]
    negative = [int((torch.linalg.lu(m)[2].diagonal() < 0).sum()) for m in tried]
    return [tried[k] for k in sorted(range(len(tried)), key=lambda k: (negative[k] == 0, negative[k] % 2))]


def _log(call):
    return compare("ln|det M|", [(f"n = {len(m)}", call(m)[1], log_abs_det(m)) for m in _mixed()], "the library's")


def _sign(call):
    wrong, ms = [], _mixed()
    for m in ms:
        found, expected = float(call(m)[0]), float(torch.linalg.slogdet(m).sign)
        if found != expected:
            wrong.append((len(m), found, expected))
    if not wrong:
        return None
    n, found, expected = wrong[0]
    return f"n = {n}: the sign is {found:+g}, det M has {expected:+g} ({len(wrong)} of {len(ms)} matrices are wrong)"


def _product(call):
    a, b = matrix(5, seed=72), matrix(5, seed=73)
    (sa, la), (sb, lb), (sab, lab) = call(a), call(b), call(a @ b)
    if float(sab) != float(sa) * float(sb):
        return "the sign of A B is not the product of the signs of A and of B"
    return apart("ln|det(A B)|", lab, la + lb, "ln|det A| + ln|det B|")


def _large(call):
    m = torch.linalg.qr(matrix(400, seed=74)).Q.float() * 0.5
    return apart("n = 400 in float32: ln|det M|", call(m)[1], torch.tensor(400 * math.log(0.5)), "400 ln 0.5")


def _own_work(call):
    return left_to_torch(lambda: call(matrix(4, seed=75)), {"slogdet", "logdet"}, "start from torch.linalg.lu")


def _parts(m):
    P, L, U = torch.linalg.lu(m)
    return P, L, U, U.diagonal()


def _of_p(P):
    return sign(P.argmax(0).tolist())


def _answer(which_sign=lambda P, L, U, u: _of_p(P) * u.sign().prod(),
            which_log=lambda P, L, U, u: u.abs().log().sum()):
    def answer(m):
        parts = _parts(m)
        return which_sign(*parts) * m.new_ones(()), which_log(*parts)
    return answer


def _packed(m, shift):
    packed, pivots = torch.linalg.lu_factor(m)
    swaps = int((pivots != torch.arange(len(m)) + shift).sum())
    u = packed.diagonal()
    return (-1) ** swaps * u.sign().prod(), u.abs().log().sum()


LU = Exercise(
    name="slogdet_lu", minutes=12,
    returns=(lambda M: (TensorSlot("sign", (), "()", M.dtype), TensorSlot("logabs", (), "()", M.dtype)),),
    laws=(Law("logabs is not ln|det M|", _log),
          Law("the sign is not that of det M", _sign),
          Law("sign and logarithm of A B do not follow from A and B", _product),
          Law("it fails for a large matrix in float32", _large),
          Law("the work was left to the library", _own_work)),
    passes="sign and ln|det| equal the library's, follow the product rule, and survive n = 400 in float32",
    hints=("P, L, U = torch.linalg.lu(M) gives M = P L U. The determinant of a product is the product of the three. "
           "Two of them are known without computing: which?",
           "L has ones on its diagonal. U brings |det M|, and a sign for every negative entry of its diagonal.",
           "P only exchanges rows. Its determinant is the sign of a permutation: P.argmax(dim=0) is that permutation, "
           "and you wrote permutation_sign above."),
    suspects=(
        Suspect("the sign of the pivoting is missing: each exchange of rows in P flips it",
                _answer(lambda P, L, U, u: u.sign().prod())),
        Suspect("the signs on the diagonal of U are missing: P brings only its own",
                _answer(lambda P, L, U, u: _of_p(P))),
        Suspect("the diagonal of L was used: it is all ones, the sizes are on the diagonal of U",
                _answer(lambda P, L, U, u: _of_p(P) * L.diagonal().sign().prod(),
                        lambda P, L, U, u: L.diagonal().abs().log().sum())),
        Suspect("logabs comes from L, the sign from U: both belong to U",
                _answer(which_log=lambda P, L, U, u: L.diagonal().abs().log().sum())),
        Suspect("the diagonal of M was used: that is right for a triangular matrix only",
                lambda m: (m.diagonal().sign().prod(), m.diagonal().abs().log().sum())),
        Suspect("the logarithm of a negative number: take .abs() of the diagonal first",
                _answer(which_log=lambda P, L, U, u: u.log().sum())),
        Suspect("the product was formed before the logarithm: in float32 it underflows",
                _answer(which_log=lambda P, L, U, u: u.prod().abs().log())),
        Suspect("the logarithm of the product of U's diagonal, without an absolute value: NaN when the product is "
                "negative; take abs and log entry by entry, then add",
                _answer(which_log=lambda P, L, U, u: u.prod().log())),
        Suspect("the logarithms were multiplied: they add",
                _answer(which_log=lambda P, L, U, u: u.abs().log().prod())),
        Suspect("this is |det M|, not its logarithm", _answer(which_log=lambda P, L, U, u: u.abs().prod())),
        Suspect("the sign counts the rows that P moves: one exchange moves two; count inversions or exchanges",
                _answer(lambda P, L, U, u: (-1) ** int((P.diagonal() == 0).sum()) * u.sign().prod())),
        Suspect("the sign is the sum of the signs of U: signs multiply",
                _answer(lambda P, L, U, u: _of_p(P) * u.sign().sum())),
        Suspect("the sign is turned round", _answer(lambda P, L, U, u: -_of_p(P) * u.sign().prod())),
        Suspect("the sign is always +1: logabs cannot carry it, so it must come from P and U",
                _answer(lambda P, L, U, u: 1)),
        Suspect("pivots of lu_factor count from 1: compare them with 1, 2, …, n", lambda m: _packed(m, 0)),
    ),
)
