"""What learners write in the exercises of chapter 03: right answers in several styles, and known wrong ones."""

from __future__ import annotations

from itertools import combinations, permutations

import torch

# ---- right answers ---------------------------------------------------------------------------------------------

def logdet_triangular(L):
    return L.diagonal().abs().log().sum()


def triangular_by_loop(L):
    total = L.new_zeros(())
    for k in range(L.shape[0]):
        total = total + torch.log(torch.abs(L[k, k]))
    return total


def permutation_sign(p):
    pairs = [(int(p[i]), int(p[j])) for i in range(len(p)) for j in range(i + 1, len(p))]
    return (-1) ** sum(left > right for left, right in pairs)


def sign_by_tensors(p):
    p = torch.as_tensor(p)
    wrong = (p[:, None] > p[None, :]).triu(1)
    return 1 - 2 * (wrong.sum() % 2)


def sign_by_exchanges(p):
    p, sign = [int(v) for v in p], 1
    for k in range(len(p)):
        while p[k] != k:
            other = p[k]
            p[k], p[other] = p[other], p[k]
            sign = -sign
    return sign


def leibniz(M):
    n, total = len(M), M.new_zeros(())
    for p in permutations(range(n)):
        total = total + permutation_sign(p) * M[range(n), p].prod()
    return total


def leibniz_by_products(M):
    terms = []
    for p in permutations(range(M.shape[0])):
        term = M.new_ones(()) * permutation_sign(p)
        for i, j in enumerate(p):
            term = term * M[i, j]
        terms.append(term)
    return torch.stack(terms).sum()


def logdet_block(A, B, D):
    return torch.linalg.slogdet(A).logabsdet + torch.linalg.slogdet(D).logabsdet


def block_by_lu(A, B, D):
    parts = [torch.linalg.lu(block)[2].diagonal().abs().log().sum() for block in (A, D)]
    return sum(parts)


def slogdet_lu(M):
    P, _, U = torch.linalg.lu(M)
    sign = permutation_sign(P.argmax(dim=0)) * U.diagonal().sign().prod()
    return sign, U.diagonal().abs().log().sum()


def lu_by_pivots(M):
    LU, pivots = torch.linalg.lu_factor(M)
    exchanges = (pivots != torch.arange(1, len(M) + 1)).sum()
    sign = LU.diagonal().sign().prod() * (-1) ** int(exchanges)
    return sign, LU.diagonal().abs().log().sum()


def lu_by_det_of_p(M):
    P, _, U = torch.linalg.lu(M)
    return torch.linalg.det(P).round() * torch.sign(U.diag()).prod(), torch.log(torch.abs(U.diag())).sum()


def area_by_counting(J, n):
    corners = torch.stack([torch.zeros_like(J[:, 0]), J[:, 0], J[:, 1], J.sum(dim=1)])
    low, side = corners.amin(0), corners.amax(0) - corners.amin(0)
    x = low + side * torch.rand(n, 2, dtype=J.dtype)
    u = torch.linalg.solve(J, x.T).T
    p = ((u >= 0) & (u <= 1)).all(dim=1).double().mean()
    return side.prod() * p, side.prod() * (p * (1 - p) / n).sqrt()


def area_in_a_wide_box(J, n):
    half = float(J.abs().sum())
    x = (2 * torch.rand(n, 2) - 1).to(J) * half
    u = x @ torch.linalg.inv(J).T
    inside = ((u - 0.5).abs() <= 0.5).all(1)
    hits = inside.double() * (2 * half) ** 2
    return float(hits.mean()), float(hits.std() / n**0.5)


RIGHT = [
    ("logdet_triangular", logdet_triangular), ("logdet_triangular", triangular_by_loop),
    ("permutation_sign", permutation_sign), ("permutation_sign", sign_by_tensors),
    ("permutation_sign", sign_by_exchanges),
    ("leibniz", leibniz), ("leibniz", leibniz_by_products),
    ("logdet_block", logdet_block), ("logdet_block", block_by_lu),
    ("slogdet_lu", slogdet_lu), ("slogdet_lu", lu_by_pivots), ("slogdet_lu", lu_by_det_of_p),
    ("area_by_counting", area_by_counting), ("area_by_counting", area_in_a_wide_box),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _whole(A, B, D):
    return torch.cat([torch.cat([A, torch.zeros(len(A), len(D)).to(A)], 1), torch.cat([B, D], 1)])


def _leibniz(weight=permutation_sign, entries=lambda M, p: M[range(len(p)), p], reduce=torch.prod):
    return lambda M: sum(weight(p) * reduce(entries(M, p)) for p in permutations(range(len(M)))) + M.new_zeros(())


def _sarrus(M):
    n = len(M)
    if n < 3:
        return leibniz(M)
    down = sum(torch.stack([M[i, (i + k) % n] for i in range(n)]).prod() for k in range(n))
    up = sum(torch.stack([M[i, (k - i) % n] for i in range(n)]).prod() for k in range(n))
    return down - up


def _last(M):
    for p in permutations(range(len(M))):
        total = permutation_sign(p) * M[range(len(M)), p].prod()
    return total


def _lu(sign=lambda P, L, U: slogdet_lu(P @ L @ U)[0], log=lambda P, L, U: logdet_triangular(U)):
    def answer(M):
        P, L, U = torch.linalg.lu(M)
        return sign(P, L, U) * M.new_ones(()), log(P, L, U)
    return answer


def _signs(U):
    return U.diagonal().sign().prod()


def _count(corners=lambda a, b: (0 * a, a, b, a + b), inside=lambda u: ((u >= 0) & (u <= 1)).all(1),
           area=lambda box, p: box * p, error=lambda box, p, n: box * (p * (1 - p) / n).sqrt(),
           back=lambda J, x: torch.linalg.solve(J, x.T).T, warp=lambda u: u):
    def answer(J, n):
        c = torch.stack(corners(J[:, 0], J[:, 1]))
        low, side = c.amin(0), c.amax(0) - c.amin(0)
        p = inside(back(J, low + side * warp(torch.rand(n, 2).to(J)))).double().mean()
        return area(side.prod(), p), error(side.prod(), p, n)
    return answer


def _lattice(u):
    k = torch.arange(len(u)).to(u)[:, None]
    return (0.5 + k * torch.tensor([0.7548776662, 0.5698402910]).to(u)) % 1


def _scaled_box(scale):
    def answer(J, n):
        c = torch.stack((0 * J[:, 0], J[:, 0], J[:, 1], J.sum(1)))
        middle, side = (c.amin(0) + c.amax(0)) / 2, scale * (c.amax(0) - c.amin(0))
        u = torch.linalg.solve(J, (middle + side * (torch.rand(n, 2).to(J) - 0.5)).T).T
        p = ((u >= 0) & (u <= 1)).all(1).double().mean()
        return side.prod() * p, side.prod() * (p * (1 - p) / n).sqrt()
    return answer


def _noisy_formula(J, n):
    area = torch.linalg.det(J).abs()
    return area * (1 + torch.randn(()) / n**0.5), area / n**0.5


def _signed_count(J, n):
    area, error = area_by_counting(J, n)
    return area * torch.linalg.det(J).sign(), error


def _unit_box(J, n):
    u = torch.linalg.solve(J, torch.rand(n, 2).to(J).T).T
    p = ((u >= 0) & (u <= 1)).all(1).double().mean()
    return p, (p * (1 - p) / n).sqrt()


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("logdet_triangular", "log of negative", "take .abs() of the entries", lambda L: L.diag().log().sum()),
    ("logdet_triangular", "abs too late", "taken after the logarithm", lambda L: L.diag().log().abs().sum()),
    ("logdet_triangular", "log of product", "underflows to 0 first", lambda L: L.diag().abs().prod().log()),
    ("logdet_triangular", "log of product, no abs", "without an absolute value", lambda L: L.diag().prod().log()),
    ("logdet_triangular", "det", "L itself", lambda L: L.diag().prod()),
    ("logdet_triangular", "trace", "trace", lambda L: L.trace()),
    ("logdet_triangular", "log of sum", "logarithm of the sum", lambda L: L.trace().abs().log()),
    ("logdet_triangular", "mean", "a mean over", lambda L: L.diag().abs().log().mean()),
    ("logdet_triangular", "bits", "these are bits", lambda L: L.diag().abs().log2().sum()),
    ("logdet_triangular", "whole matrix", "every entry of L", lambda L: L.abs().log().sum()),
    ("logdet_triangular", "product of logs", "were multiplied", lambda L: L.diag().abs().log().prod()),
    ("logdet_triangular", "minus", "of the inverse", lambda L: -L.diag().abs().log().sum()),
    ("logdet_triangular", "not summed", "wrong shape", lambda L: L.diag().abs().log()),
    ("logdet_triangular", "item", "must be a torch tensor", lambda L: L.diag().abs().log().sum().item()),
    ("logdet_triangular", "in place", "changed in place", lambda L: L.abs_().diag().log().sum()),
    ("permutation_sign", "tau", "τ itself", lambda p: sum(a > b for a, b in combinations(p, 2))),
    ("permutation_sign", "moved", "moved elements", lambda p: (-1) ** int((p != torch.arange(len(p))).sum())),
    ("permutation_sign", "fixed", "fixed points", lambda p: (-1) ** int((p == torch.arange(len(p))).sum())),
    ("permutation_sign", "right order", "right order were",
     lambda p: (-1) ** sum(a < b for a, b in combinations(p, 2))),
    ("permutation_sign", "neighbours", "neighbours only", lambda p: (-1) ** int((p[:-1] > p[1:]).sum())),
    ("permutation_sign", "precedence", "always −1", lambda p: -1 ** int(sum(a > b for a, b in combinations(p, 2)))),
    ("permutation_sign", "both ways", "always +1", lambda p: (-1) ** int((p[:, None] != p).sum())),
    ("permutation_sign", "turned round", "turned round", lambda p: -permutation_sign(p)),
    ("leibniz", "permanent", "permanent", _leibniz(lambda p: 1)),
    ("leibniz", "columns twice", "the signs cancel", _leibniz(entries=lambda M, p: M[p, p])),
    ("leibniz", "tau as sign", "τ was used", _leibniz(lambda p: sum(a > b for a, b in combinations(p, 2)))),
    ("leibniz", "moved", "moved elements",
     _leibniz(lambda p: (-1) ** sum(i != j for i, j in enumerate(p)))),
    ("leibniz", "sum of entries", "they must be multiplied", _leibniz(reduce=torch.sum)),
    ("leibniz", "even only", "only the permutations with", _leibniz(lambda p: max(permutation_sign(p), 0))),
    ("leibniz", "Sarrus", "Sarrus", _sarrus),
    ("leibniz", "overwritten", "overwritten", _last),
    ("leibniz", "zero", "stays 0", _leibniz(lambda p: 0)),
    ("leibniz", "abs", "has a sign", lambda M: leibniz(M).abs()),
    ("leibniz", "turned round", "in every term", lambda M: -leibniz(M)),
    ("leibniz", "library", "torch's det was", lambda M: torch.linalg.det(M)),
    ("leibniz", "slogdet", "torch's slogdet was", lambda M: M.slogdet()[0] * M.slogdet()[1].exp()),
    ("leibniz", "item", "must be a torch tensor", lambda M: leibniz(M).item()),
    ("leibniz", "float32", "number type", lambda M: leibniz(M.float())),
    ("logdet_block", "product of logs", "logarithms were multiplied",
     lambda A, B, D: logdet_block(A, B, A) / 2 * logdet_block(D, B, D) / 2),
    ("logdet_block", "B included", "enters no surviving",
     lambda A, B, D: logdet_block(A, B, D) + (torch.linalg.slogdet(B)[1] if len(A) == len(D) else 0)),
    ("logdet_block", "ad - bc", "ad − bc", lambda A, B, D: torch.linalg.slogdet(A @ D - B @ B)[1]),
    ("logdet_block", "B always", "with another B", lambda A, B, D: logdet_block(A, B, D) + 1e-12 * B.square().sum()),
    ("logdet_block", "dets", "no logarithm was taken", lambda A, B, D: A.det() * D.det()),
    ("logdet_block", "sum of dets", "determinants were added", lambda A, B, D: (A.det() + D.det()).abs().log()),
    ("logdet_block", "log of product", "product of the determinants", lambda A, B, D: (A.det() * D.det()).abs().log()),
    ("logdet_block", "log of product, no abs", "product of both determinants",
     lambda A, B, D: (A.det() * D.det()).log()),
    ("logdet_block", "dets first", "before its logarithm", lambda A, B, D: A.det().abs().log() + D.det().abs().log()),
    ("logdet_block", "A only", "D is missing", lambda A, B, D: torch.linalg.slogdet(A)[1]),
    ("logdet_block", "D only", "A is missing", lambda A, B, D: torch.linalg.slogdet(D)[1]),
    ("logdet_block", "difference", "were subtracted",
     lambda A, B, D: torch.linalg.slogdet(A)[1] - torch.linalg.slogdet(D)[1]),
    ("logdet_block", "logdet", "torch.logdet and from", lambda A, B, D: A.logdet() + D.logdet()),
    ("logdet_block", "diagonals", "diagonals were used", lambda A, B, D: logdet_triangular(A) + logdet_triangular(D)),
    ("logdet_block", "whole built", "was put together", lambda A, B, D: torch.linalg.slogdet(_whole(A, B, D))[1]),
    ("logdet_block", "first of slogdet", "second value of slogdet",
     lambda A, B, D: torch.linalg.slogdet(A)[0] + torch.linalg.slogdet(D)[0]),
    ("slogdet_lu", "no pivoting", "pivoting is missing", _lu(lambda P, L, U: _signs(U))),
    ("slogdet_lu", "only pivoting", "signs on the diagonal of U", _lu(lambda P, L, U: torch.linalg.det(P).round())),
    ("slogdet_lu", "diagonal of L", "diagonal of L was used",
     _lu(lambda P, L, U: torch.linalg.det(P).round() * _signs(L), lambda P, L, U: logdet_triangular(L))),
    ("slogdet_lu", "log from L", "both belong to U", _lu(log=lambda P, L, U: logdet_triangular(L))),
    ("slogdet_lu", "diagonal of M", "diagonal of M", lambda M: (_signs(M), logdet_triangular(M))),
    ("slogdet_lu", "log of negative", "of a negative number", _lu(log=lambda P, L, U: U.diag().log().sum())),
    ("slogdet_lu", "product first", "before the logarithm", _lu(log=lambda P, L, U: U.diag().prod().abs().log())),
    ("slogdet_lu", "product first, no abs", "product of U's diagonal", _lu(log=lambda P, L, U: U.diag().prod().log())),
    ("slogdet_lu", "product of logs", "were multiplied", _lu(log=lambda P, L, U: U.diag().abs().log().prod())),
    ("slogdet_lu", "no log", "not its logarithm", _lu(log=lambda P, L, U: U.diag().abs().prod())),
    ("slogdet_lu", "moved rows", "rows that P moves",
     _lu(lambda P, L, U: (-1) ** int((P.argmax(0) != torch.arange(len(P))).sum()) * _signs(U))),
    ("slogdet_lu", "turned round", "turned round", _lu(lambda P, L, U: -slogdet_lu(P @ L @ U)[0])),
    ("slogdet_lu", "pivots from 0", "count from 1", lambda M: (
        (-1) ** int((torch.linalg.lu_factor(M)[1] != torch.arange(len(M))).sum())
        * torch.linalg.lu_factor(M)[0].diag().sign().prod(), slogdet_lu(M)[1])),
    ("slogdet_lu", "library", "answers the exercise", lambda M: tuple(torch.linalg.slogdet(M))),
    ("slogdet_lu", "one value", "must return sign, logabs", lambda M: slogdet_lu(M)[1]),
    ("area_by_counting", "two corners", "box is too small", _count(lambda a, b: (0 * a, a, b))),
    ("area_by_counting", "share", "share of the points was", _count(area=lambda box, p: p)),
    ("area_by_counting", "signed", "never negative", _signed_count),
    ("area_by_counting", "triangle", "half the area", _count(inside=lambda u: (u >= 0).all(1) & (u.sum(1) <= 1))),
    ("area_by_counting", "box", "the box itself", _count(area=lambda box, p: box)),
    ("area_by_counting", "outside", "points outside", _count(area=lambda box, p: box * (1 - p))),
    ("area_by_counting", "no root n", "√n is missing", _count(error=lambda box, p, n: box * (p * (1 - p)).sqrt())),
    ("area_by_counting", "variance", "or a variance", _count(error=lambda box, p, n: box * p * (1 - p) / n)),
    ("area_by_counting", "error of share", "this is the error of the share",
     _count(error=lambda box, p, n: (p * (1 - p) / n).sqrt())),
    ("area_by_counting", "zero", "a count has an error", _count(error=lambda box, p, n: 0.0)),
    ("area_by_counting", "too small", "0.20 times what it must be, too small",
     _count(error=lambda box, p, n: 0.2 * box * (p * (1 - p) / n).sqrt())),
    ("area_by_counting", "too large", "9.00 times what it must be, too large",
     _count(error=lambda box, p, n: 9 * box * (p * (1 - p) / n).sqrt())),
    ("area_by_counting", "half the error", "0.50 times what it must be, too small",
     _count(error=lambda box, p, n: box * (p * (1 - p) / n).sqrt() / 2)),
    ("area_by_counting", "no 1 - p", "the factor 1 − p", _count(error=lambda box, p, n: box * (p / n).sqrt())),
    ("area_by_counting", "no p", "the factor p is", _count(error=lambda box, p, n: box * ((1 - p) / n).sqrt())),
    ("area_by_counting", "p = 1/2", "for p = ½", _count(error=lambda box, p, n: box * 0.5 / n**0.5)),
    ("area_by_counting", "variance of one", "p (1 − p) stands outside",
     _count(error=lambda box, p, n: box * p * (1 - p) / n**0.5)),
    ("area_by_counting", "p over root n", "the share itself", _count(error=lambda box, p, n: box * p / n**0.5)),
    ("area_by_counting", "p outside", "one p stands outside",
     _count(error=lambda box, p, n: box * p * ((1 - p) / n).sqrt())),
    ("area_by_counting", "area for box", "by the area that was found",
     _count(error=lambda box, p, n: box * p * (p * (1 - p) / n).sqrt())),
    ("area_by_counting", "formula", "is |det J| itself",
     lambda J, n: (J.det().abs(), area_by_counting(J, n)[1])),
    ("area_by_counting", "formula and noise", "p of the same n points", _noisy_formula),
    ("area_by_counting", "no transpose", "way back is transposed", _count(back=lambda J, x: x @ J.inverse())),
    ("area_by_counting", "tight box", "smaller than the parallelogram", _scaled_box(0.97)),
    ("area_by_counting", "uneven", "points are not even", _count(warp=lambda u: u**1.25)),
    ("area_by_counting", "too even", "more even than random", _count(warp=_lattice)),
]

# (not * to /: a sign is its own inverse; not dim=0 to dim=1 in P.argmax: p and its inverse have one sign)
CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " + "), (".abs()", ".neg()"), (".log()", ".log2()"),
           (".sum(", ".mean("), (".prod()", ".sum()"), (" > ", " < "), (".sign()", ".abs()"), ("-1) **", "1) **"),
           ("(A)", "(D)"), ("(D)", "(A)"), ("triu(1)", "tril(-1)"), ("% 2", "% 3"), ("<= 1", "<= 2"), (">= 0", ">= -1"),
           ("(1 - p)", "(2 - p)"), (" / n", " / 1"), ("amin", "amax"), ("M[i, j]", "M[j, j]"), ("[2]", "[1]"),
           ("-sign", "sign"), ("new_zeros", "new_ones"), ("permutation_sign(p)", "1"), ("1, len(M) + 1", "len(M)"),
           ("L[k, k]", "L[k, 0]"), ("n**0.5", "n"), ("0.5).abs", "0.4).abs"), ("(2 * half)", "(1 * half)"),
           ("range(n), p", "p, p")]
