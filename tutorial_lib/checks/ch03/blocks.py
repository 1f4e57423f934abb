"""Exercise 4: ln|det| of a block-triangular matrix, from its blocks."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch03.probes import Watch, apart, log_abs_det, matrix
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def whole(A, B, D):
    """[[A, 0], [B, D]], (k + m, k + m)."""
    return torch.cat([torch.cat([A, A.new_zeros(len(A), len(D))], 1), torch.cat([B, D], 1)])


def _blocks(k, m, seed):
    """A (k, k) with a negative determinant, B (m, k), D (m, m), also with a negative one."""
    A, B, D = matrix(k, seed=seed), matrix(m, k, seed=seed + 1), matrix(m, seed=seed + 2)
    for block in (A, D):
        block[0] *= -torch.linalg.det(block).sign() * 1.7
    return A, B, D


def _value(call):
    square, A, B, D = _blocks(3, 3, 50), *_blocks(4, 2, 53)
    found = call(*square)  # first: a B that is square lets every wrong use of B run
    broken = apart("A is 3×3, D is 3×3: ln|det|", found, log_abs_det(whole(*square)), "that of the whole matrix")
    return broken or apart("A is 4×4, D is 2×2: ln|det|", call(A, B, D), log_abs_det(whole(A, B, D)),
                           "that of the whole matrix")


def _one_by_one(call):
    A, B, D = torch.tensor([[-0.25]]).double(), torch.tensor([[7.0]]).double(), torch.tensor([[3.0]]).double()
    return apart("[[−0.25, 0], [7, 3]]: ln|det|", call(A, B, D), torch.tensor(0.75).double().log(), "ln 0.75")


def _without_b(call):
    A, B, D = _blocks(4, 2, 56)
    first, second = call(A, B, D), call(A, 1000 * B + 3, D)
    return apart("with another B, ln|det|", second, first, "with the first B", 1e-12)


def _never_built(call):
    A, B, D = _blocks(5, 3, 59)
    with Watch() as seen:
        call(A, B, D)
    if any(len(shape) >= 2 and shape[-2:] == (8, 8) for shape in seen.shapes):
        return ("a matrix of 8×8 appeared on the way, for A of 5×5 and D of 3×3",
                "the whole matrix was put together: in a coupling layer that is the matrix you want to avoid")
    return None


def _large(call, k=200):
    A = 0.5 * torch.eye(k) + 0.01 * matrix(k, seed=62, dtype=torch.float32).tril(-1)
    B = matrix(k, seed=63, dtype=torch.float32)
    return apart(f"two blocks of {k}×{k} in float32: ln|det|", call(A, B, A), 2 * log_abs_det(A), f"{2 * k} ln 0.5")


def _product(call):
    return _large(call, 100)  # 0.5¹⁰⁰ fits into float32, 0.5²⁰⁰ does not


def _pair(combine, of=log_abs_det):
    return lambda A, B, D: combine(of(A), of(D))


BLOCK = Exercise(
    name="logdet_block", minutes=8,
    returns=(lambda A, B, D: TensorSlot("ln|det|", (), "()", A.dtype),),
    laws=(Law("it is not ln|det| of [[A, 0], [B, D]]", _value),
          Law("it fails for blocks of one number", _one_by_one),
          Law("it fails in float32 when each determinant fits and their product does not", _product),
          Law("it fails for large blocks in float32", _large),
          Law("it depends on B", _without_b),
          Law("the whole matrix was built", _never_built)),
    passes="equals ln|det| of the whole, does not depend on B, and never builds the whole",
    hints=("Every product of the sum over permutations that takes an entry of B must take one of the zero block too. "
           "What is left of B?",
           "det of the whole = det A · det D. What becomes of the product when you take ln| |?",
           "torch.linalg.slogdet(A) returns sign and logabsdet. You need the second, of two blocks."),
    suspects=(
        Suspect("the logarithms were multiplied: ln(det A · det D) is a sum", _pair(lambda a, d: a * d)),
        Suspect("B was included: it is there, but it enters no surviving product",
                lambda A, B, D: log_abs_det(A) + log_abs_det(D) + _square(B)),
        Suspect("B took part, as in ad − bc with blocks for numbers: the upper right block is 0, not B",
                lambda A, B, D: log_abs_det(A @ D - B @ B)),
        Suspect("the determinants were multiplied, and no logarithm was taken",
                _pair(lambda a, d: a * d, torch.linalg.det)),
        Suspect("the determinants were added: they multiply, their logarithms add",
                _pair(lambda a, d: (a + d).abs().log(), torch.linalg.det)),
        Suspect("the logarithm of the product of the determinants: in float32 the product underflows first",
                _pair(lambda a, d: (a * d).abs().log(), torch.linalg.det)),
        Suspect("the logarithm of the product of both determinants, without an absolute value: NaN when the product "
                "is negative", _pair(lambda a, d: (a * d).log(), torch.linalg.det)),
        Suspect("each determinant was computed before its logarithm: it underflows to 0; slogdet never forms it",
                _pair(lambda a, d: a.abs().log() + d.abs().log(), torch.linalg.det)),
        Suspect("D is missing: only the block A was used", lambda A, B, D: log_abs_det(A)),
        Suspect("A is missing: only the block D was used", lambda A, B, D: log_abs_det(D)),
        Suspect("the logs were subtracted: that is ln of det A / det D", _pair(lambda a, d: a - d)),
        Suspect("the logarithm of a negative determinant is NaN, from torch.logdet and from det(…).log() alike: use "
                "slogdet, which keeps the sign apart",
                _pair(lambda a, d: a + d, torch.logdet)),
        Suspect("the diagonals were used: that is enough for triangular blocks only",
                _pair(lambda a, d: a + d, lambda m: m.diagonal().abs().log().sum())),
        Suspect("the signs were returned where the second value of slogdet is meant",
                _pair(lambda a, d: a + d, lambda m: torch.linalg.slogdet(m).sign)),
        Suspect("it is zero: only a map that keeps volumes has ln|det| = 0", _pair(lambda a, d: 0 * (a + d))),
    ),
)


def _square(B):
    return log_abs_det(B) if len(B) == B.shape[1] else torch.zeros((), dtype=B.dtype)
