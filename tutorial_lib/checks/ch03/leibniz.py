"""Exercise 3: the sum over all permutations."""

from __future__ import annotations

from itertools import permutations

import torch

from tutorial_lib.checks.ch03.permutations import inversions, moved, sign
from tutorial_lib.checks.ch03.probes import apart, compare, left_to_torch, matrix
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _sum(m, weight=sign, pick=lambda m, p: m[list(range(len(p))), list(p)].prod(), which=lambda p: True):
    n = len(m)
    return sum((weight(p) * pick(m, p) for p in permutations(range(n)) if which(p)), start=m.new_zeros(()))


def _shift(p):
    """Whether p is one of Sarrus' diagonals: a cyclic shift, forwards or backwards."""
    n = len(p)
    return n < 3 or any(all((p[i] - p[0]) % n == (step * i) % n for i in range(n)) for step in (1, -1))


def _sarrus(m):
    n = len(m)
    return _sum(m, which=_shift) if n < 3 else _sum(
        m, weight=lambda p: 1 if (p[1] - p[0]) % n == 1 else -1, which=_shift)


def _det(call):
    tried = [matrix(n, seed=40 + n) for n in (1, 2, 3, 4, 5)]
    return compare("the sum", [(f"n = {len(m)}", call(m), torch.linalg.det(m)) for m in tried], "det M")


def _flips(call):
    m = matrix(4, seed=46)
    return apart("after an exchange of rows 0 and 2 the sum", call(m[[2, 1, 0, 3]]), -call(m), "minus the one before")


def _six(call):
    m = matrix(6, seed=47)
    return apart("n = 6: the sum", call(m), torch.linalg.det(m), "det M")


def _float32(call):
    m = matrix(3, seed=48, dtype=torch.float32)
    return apart("in float32: the sum", call(m), torch.linalg.det(m), "det M")


def _own_work(call):
    return left_to_torch(lambda: call(matrix(3, seed=49)), {"det", "slogdet", "logdet"},
                         "add the terms of the permutations yourself")


LEIBNIZ = Exercise(
    name="leibniz", minutes=10,
    returns=(lambda M: TensorSlot("the sum", (), "()", M.dtype),),
    laws=(Law("it is not the determinant", _det),
          Law("exchanging two rows must flip the sign", _flips),
          Law("it fails at n = 6", _six), Law("it fails in float32", _float32),
          Law("the work was left to the library", _own_work)),
    passes="equals det M for n = 1 to 6, and flips its sign when two rows are exchanged",
    hints=("A permutation p says: from row i take column p[i]. One entry from each row, never the same column "
           "twice.",
           "For one p: multiply the n entries M[i, p[i]]. M[range(n), p] picks all of them at once.",
           "Each product is added with its sign: your permutation_sign(p) takes a tuple as well."),
    suspects=(
        Suspect("the sign was dropped: this sum is called the permanent, and it is no volume",
                lambda M: _sum(M, lambda p: 1)),
        Suspect("every term has the same entries, so the signs cancel: with both indices from p, M[p, p] is the "
                "diagonal each time; rows go 0, 1, 2 … and columns follow p",
                lambda M: _sum(M, pick=lambda m, p: m[list(p), list(p)].prod())),
        Suspect("τ was used as the sign: it must be (−1)^τ", lambda M: _sum(M, inversions)),
        Suspect("the sign is that of the number of moved elements: use inversions",
                lambda M: _sum(M, lambda p: (-1) ** moved(p))),
        Suspect("the entries of a term were added: they must be multiplied",
                lambda M: _sum(M, pick=lambda m, p: m[list(range(len(p))), list(p)].sum())),
        Suspect("only the permutations with sign +1 were added",
                lambda M: _sum(M, which=lambda p: sign(p) > 0)),
        Suspect("the rule of Sarrus: its diagonals are all permutations for n = 3, from n = 4 on they are too few",
                _sarrus),
        Suspect("only the last permutation counts: total was overwritten where it must grow",
                lambda M: _sum(M, which=lambda p: list(p) == sorted(p, reverse=True))),
        Suspect("a product that starts at 0 stays 0, and so does the sum", lambda M: 0 * M.sum()),
        Suspect("the absolute value was returned: a determinant has a sign", lambda M: _sum(M).abs()),
        Suspect("the sign is turned round in every term", lambda M: -_sum(M)),
    ),
)
