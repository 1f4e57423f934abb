"""Exercise 2: the sign of a permutation."""

from __future__ import annotations

from itertools import pairwise, permutations

import torch

from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.slots import NumberSlot


def inversions(p) -> int:
    """How many pairs stand in the wrong order: i < j and p[i] > p[j]."""
    return sum(int(p[i] > p[j]) for i in range(len(p)) for j in range(i + 1, len(p)))


def sign(p) -> int:
    """+1 or -1."""
    return (-1) ** inversions(p)


def moved(p) -> int:
    """How many elements do not stand in their place."""
    return sum(int(v) != k for k, v in enumerate(p))


def _cycles(p):
    left, count = set(range(len(p))), 0
    while left:
        k, count = left.pop(), count + 1
        while int(p[k]) in left:
            k = int(p[k])
            left.discard(k)
    return count


GUESSES = (
    (inversions, "τ itself was returned: the sign is (−1)^τ"),
    (lambda p: (-1) ** moved(p), "the moved elements were counted: a swap moves two and is odd; count inversions"),
    (lambda p: (-1) ** (len(p) - moved(p)), "the fixed points were counted: they say nothing about the sign"),
    (lambda p: (-1) ** _cycles(p), "the cycles were counted: the sign is (−1)^(n − cycles)"),
    (lambda p: (-1) ** (len(p) * (len(p) - 1) // 2 - inversions(p)),
     "pairs in the right order were counted: an inversion has the larger number on the left"),
    (lambda p: (-1) ** sum(int(a > b) for a, b in pairwise(p)),
     "neighbours only: every pair counts, also one that stands far apart"),
    (lambda p: -sign(p), "the sign is turned round: no inversion gives +1"),
    (lambda p: -1, "it is always −1: in Python -1 ** τ is −(1 ** τ); write (-1) ** τ"),
    (lambda p: 1, "it is always +1: each inversion was counted twice, or not at all"),
)
SHORT = [torch.tensor(p) for n in (2, 3, 4) for p in permutations(range(n))]  # 32 of them


def _values(call):
    found = [float(call(p)) for p in SHORT]
    for p, value in zip(SHORT, found, strict=True):
        if value != sign(p):
            cause = next((text for guess, text in GUESSES
                          if found == [guess(q) for q in SHORT]), "")
            return f"p = {p.tolist()} has {inversions(p)} inversion(s), you return {value:g}", cause
    return None


def _product(call):
    draw = torch.Generator().manual_seed(34)
    for n in (6, 9, 12):
        p, q = torch.randperm(n, generator=draw), torch.randperm(n, generator=draw)
        if float(call(p[q])) != float(call(p)) * float(call(q)):
            return f"n = {n}: sign(p∘q) is not sign(p) · sign(q)"
    return None


def _swap(call):
    p = torch.arange(8)
    p[[1, 6]] = p[[6, 1]]
    return None if float(call(p)) == -1 else "0 … 7 with 1 and 6 exchanged must have the sign −1"


SIGN = Exercise(
    name="permutation_sign", minutes=6,
    returns=(lambda p: NumberSlot("the sign"),),
    laws=(Law("it is not the sign of the permutation", _values),
          Law("the sign of a product is not the product of the signs", _product),
          Law("one exchange must give −1", _swap)),
    passes="right for all 32 permutations of 2, 3 and 4 elements, and sign(p∘q) = sign(p) · sign(q)",
    hints=("Take p = [2, 0, 1]. The pairs are (2, 0), (2, 1), (0, 1). Which of them stand in the wrong order?",
           "τ is the number of pairs with the larger number on the left. Is the sign τ, or something made from τ?",
           "An even τ gives +1, an odd τ gives −1: (-1) ** τ, with the parentheses."),
)
