"""Exercise 1: ln|det| of a triangular matrix."""

from __future__ import annotations

import math

import torch

from tutorial_lib.checks.ch03.probes import apart, compare, log_abs_det, matrix
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _lower(n, seed):
    """Lower triangular, with entries of both signs on the diagonal and no diagonal entry near 1."""
    m = matrix(n, seed=seed).tril()
    m.diagonal().copy_(torch.linspace(0.3, 2.6, n) * torch.tensor([1.0, -1.0] * n)[:n])
    return m


def _positive(call):
    L = _lower(4, 31).abs()
    return apart("ln|det|", call(L), log_abs_det(L), "the library's", 1e-10)


def _negative(call):
    tried = [_lower(n, 32 + n) for n in (4, 5, 7)]  # two, two, three negative entries: det is positive twice
    return compare("ln|det|", [(f"n = {len(L)}", call(L), log_abs_det(L)) for L in tried], "the library's", 1e-10)


def _large(call):
    L = 0.5 * torch.eye(1024) + 0.01 * matrix(1024, seed=33, dtype=torch.float32).tril(-1)
    return apart("n = 1024, diagonal 0.5: ln|det|", call(L), torch.tensor(1024 * math.log(0.5)), "1024 ln 0.5")


TRIANGULAR = Exercise(
    name="logdet_triangular", minutes=4,
    returns=(lambda L: TensorSlot("ln|det|", (), "()", L.dtype),),
    laws=(Law("it is not ln|det L|", _positive),
          Law("it is not ln|det L| when the diagonal has negative entries", _negative),
          Law("it fails for a large matrix in float32", _large)),
    passes="equals the library's ln|det|, also with negative entries, and at n = 1024 in float32",
    hints=("The determinant of a triangular matrix is the product of its diagonal. What is the logarithm of a product?",
           "ln|det|: the absolute value comes first, entry by entry, then the logarithm, then the sum.",
           "Try your order of the three steps on diag(2, −0.5): its determinant is −1, so ln|det| must be 0, and no "
           "NaN may appear on the way."),
    suspects=(
        Suspect("the logarithm of a negative number: take .abs() of the entries first",
                lambda L: L.diagonal().log().sum()),
        Suspect("the absolute value was taken after the logarithm: it belongs before it; ln of an entry below 1 is "
                "negative and must stay so, ln of a negative entry is NaN",
                lambda L: L.diagonal().log().abs().sum()),
        Suspect("the logarithm of the product: the product underflows to 0 first; add logarithms instead",
                lambda L: L.diagonal().prod().abs().log()),
        Suspect("the logarithm of the product, without an absolute value",
                lambda L: L.diagonal().prod().log()),
        Suspect("this is the determinant of L itself, not its logarithm", lambda L: L.diagonal().prod()),
        Suspect("the trace: the diagonal was added where its logarithms must be added", lambda L: L.diagonal().sum()),
        Suspect("the logarithm of the sum: logarithms of products split, those of sums do not",
                lambda L: L.diagonal().sum().abs().log()),
        Suspect("a mean over the diagonal where a sum is due", lambda L: L.diagonal().abs().log().mean()),
        Suspect("these are bits: log2 where the natural logarithm, log, is meant",
                lambda L: L.diagonal().abs().log2().sum()),
        Suspect("the logarithms of the product were multiplied: ln(ab) = ln a + ln b",
                lambda L: L.diagonal().abs().log().prod()),
        Suspect("the sign is wrong: this is the ln|det| of the inverse", lambda L: -L.diagonal().abs().log().sum()),
        Suspect("small entries were clamped: then entries below the bound count as the bound",
                lambda L: L.diagonal().clamp(min=1e-6).log().sum()),
        Suspect("every entry of L was used, and ln 0 is −inf: only the diagonal counts",
                lambda L: L.abs().log().sum()),
    ),
)
