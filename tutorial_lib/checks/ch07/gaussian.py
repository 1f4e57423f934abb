"""Exercises 2 and 3: the Gaussian on features as an affine flow, and one such flow per position."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

EPS = 0.1


def _rows(n=30, d=4, seed=71):
    mix = torch.tensor([[3.0, 0.0, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0], [0.0, -2.0, 1.5, 0.0], [0.4, 0.0, 1.0, 2.0]])
    rows = normal(n, 4, seed=seed) @ mix.double().T + torch.tensor([1.0, -5.0, 2.0, 0.5]).double()
    return rows if d == 4 else rows @ normal(4, d, seed=seed + 1) + 0.3 * normal(n, d, seed=seed + 2)


def shrunk(f, eps, correction=0):
    """Mean, covariance of the rows, and the ridge of the exercise."""
    cov = torch.cov(f.T, correction=correction)
    return f.mean(0), cov, eps * cov.diagonal().mean() * torch.eye(f.shape[1]).to(cov)


def _ridged(cov, eps):
    return cov + eps * cov.diagonal().mean() * torch.eye(len(cov)).to(cov)


def _wrong(factor, mean=lambda f: f.mean(0)):
    return lambda f, eps: (mean(f), factor(f, *shrunk(f, eps)[1:]))


def _row(name, found, expected, atol, of):
    """``differ`` for a matrix: its rows are rows, no samples."""
    said = differ(name, found, expected, atol, of)
    return said and said.replace("sample", "row", 1)


def _mean(call):
    f = _rows()
    return _row("the mean", call(f, EPS)[0][None], f.mean(0)[None], 1e-9, "the mean of the rows")


def _triangle(call):
    L = call(_rows(), EPS)[1]
    if float(L.triu(1).abs().max()) > 1e-9:
        return "there are numbers above the diagonal of L"
    return None if bool((L.diagonal() > 0).all()) else "the diagonal of L holds a number that is not positive"


def _covariance(call):
    f = _rows()
    _, cov, ridge = shrunk(f, EPS)
    L = call(f, EPS)[1]
    return _row("L Lᵀ", L @ L.T, cov + ridge, 1e-8, "covariance + eps · mean variance · I")


def _few(call):
    f = _rows(6, 9)
    mean, L = call(f, 0.01)
    z = torch.linalg.solve_triangular(L, (f - mean).T, upper=False)
    return None if bool(z.isfinite().all()) else "6 samples of 9 numbers: the latents are not finite"


def _units(call):
    f = _rows()
    return _row("L of data in other units", call(1000 * f, EPS)[1] / 1000, call(f, EPS)[1], 1e-8,
                "the L of before, in those units")


FIT = Exercise(
    name="fit_gaussian_flow", minutes=10,
    returns=(lambda f, eps: (TensorSlot("mean", f.shape[1:], "(d,)", f.dtype),
                             TensorSlot("L", (f.shape[1],) * 2, "(d, d)", f.dtype)),),
    laws=(Law("the mean is not that of the samples", _mean),
          Law("L is not lower triangular with a positive diagonal", _triangle),
          Law("L Lᵀ is not the covariance with its ridge", _covariance),
          Law("it fails with fewer samples than dimensions", _few),
          Law("the ridge depends on the units of the data", _units)),
    passes="L Lᵀ is the ridged covariance, also for 6 samples of 9 numbers, in any units",
    hints=("Four lines: the mean over samples, the centred samples, their covariance, its Cholesky factor.",
           "torch.cov wants variables in rows: hand it f.T, with correction=0 to divide by N.",
           "The ridge is eps · (mean of the diagonal of the covariance) · I, added before the Cholesky factor is "
           "taken."),
    suspects=(
        Suspect("no ridge: with fewer samples than dimensions the covariance has no Cholesky factor",
                _wrong(lambda f, c, r: torch.linalg.cholesky(c))),
        Suspect("the ridge is eps · I without the mean variance: millimetres and metres would give different flows",
                lambda f, eps: (f.mean(0), torch.linalg.cholesky(
                    shrunk(f, 0)[1] + eps * torch.eye(f.shape[1]).to(f)))),
        Suspect("the covariance of the transpose, (N, N): samples were taken for variables; hand torch.cov f.T",
                lambda f, eps: (f.mean(0), torch.linalg.cholesky(torch.cov(f) + eps * torch.eye(len(f)).to(f)))),
        Suspect("divided by N − 1: maximum likelihood divides by N (correction=0)",
                lambda f, eps: (f.mean(0), torch.linalg.cholesky(sum(shrunk(f, eps, 1)[1:])))),
        Suspect("the covariance itself was returned: L is its Cholesky factor", _wrong(lambda f, c, r: c + r)),
        Suspect("the upper factor: L is the lower one, L Lᵀ = covariance",
                _wrong(lambda f, c, r: torch.linalg.cholesky(c + r).T)),
        Suspect("the inverse of L: exercise 05 #1 solves with L, so return L itself",
                _wrong(lambda f, c, r: torch.linalg.inv(torch.linalg.cholesky(c + r)))),
        Suspect("the ridge was added to L: it belongs to the covariance, before the Cholesky factor",
                _wrong(lambda f, c, r: torch.linalg.cholesky(c) + r)),
        Suspect("the samples were not centred: this is the second moment, not the covariance",
                _wrong(lambda f, c, r: torch.linalg.cholesky(f.T @ f / len(f) + r))),
        Suspect("the mean was not taken away before f.T @ f / N: this is the second moment, in the ridge as well",
                lambda f, eps: (f.mean(0), torch.linalg.cholesky(_ridged(f.T @ f / len(f), eps)))),
        Suspect("the ridge uses the trace: the mean of the diagonal is the trace over d",
                _wrong(lambda f, c, r: torch.linalg.cholesky(c + len(c) * r))),
        Suspect("only the diagonal of L: the covariances of two features were lost",
                _wrong(lambda f, c, r: torch.linalg.cholesky(c + r).diagonal().diag())),
        Suspect("only the variances: the covariances of two features were lost",
                _wrong(lambda f, c, r: (c + r).diagonal().sqrt().diag())),
        Suspect("the scatter was not divided by N", _wrong(lambda f, c, r: torch.linalg.cholesky(len(f) * c + r))),
    ),
)


def _maps(h=3, w=5, c=4, b=6):
    f = normal(b, c, h, w, seed=75) * 2 + 1
    mean = normal(c, h, w, seed=76)
    tri = normal(h, w, c, c, seed=77).tril(-1) * 0.7
    return f, mean, tri + torch.diag_embed(0.5 + normal(h, w, c, seed=78).abs())


def distance(f, mean, L, solve=lambda L, x: torch.linalg.solve_triangular(L, x, upper=False)):
    """The map of the exercise; ``solve`` may be exchanged for a wrong one."""
    x = (f - mean).permute(2, 3, 1, 0)                       # (h, w, C, B)
    return solve(L, x).square().mean(2).permute(2, 0, 1)     # (B, h, w)


def _value(call):
    f, mean, L = _maps()
    expected = torch.stack([torch.stack([torch.stack([
        (x := f[b, :, i, j] - mean[:, i, j]) @ torch.linalg.solve(L[i, j] @ L[i, j].T, x) / f.shape[1]
        for j in range(f.shape[3])]) for i in range(f.shape[2])]) for b in range(len(f))])
    return differ("the map", call(f, mean, L), expected, 1e-7, "(f − μ)ᵀ Σ⁻¹ (f − μ) / C")


def _affine(call):
    f, mean, L = _maps()
    A, b = normal(4, 4, seed=79) + 3 * torch.eye(4).double(), normal(4, 1, 1, seed=80)
    mixed = [torch.einsum("ij,...jhw->...ihw", A, v) + b for v in (f, mean)]
    L2 = torch.linalg.cholesky(A @ L @ L.mT @ A.T)
    return differ("the map of A f + b", call(*mixed, L2), call(f, mean, L), 1e-6, "the map of f")


MAP = Exercise(
    name="position_gaussian_map", minutes=12,
    returns=(lambda f, mean, L: TensorSlot("the map", (len(f), *f.shape[2:]), "(B, h, w)", f.dtype),),
    laws=(Law("it is not the squared Mahalanobis distance over C at each position", _value),
          Law("it changes when features and fit go through f ↦ A f + b", _affine)),
    passes="equals (f − μ)ᵀ Σ⁻¹ (f − μ) / C at every position, unchanged by f ↦ A f + b",
    hints=("At each position you have a mean (C,), a triangle L (C, C) and B vectors (C,). That is the affine flow of "
           "05, h · w times.",
           "solve_triangular works on batches: L is (h, w, C, C), so bring the centred features to (h, w, C, B).",
           "z has shape (h, w, C, B). Square, mean over C, and put B in front: .permute(2, 0, 1)."),
    suspects=(
        Suspect("L was applied instead of solved: z = L⁻¹ (f − μ), so solve L z = f − μ",
                lambda f, m, L: distance(f, m, L, lambda L, x: L @ x)),
        Suspect("solved with Lᵀ: another distance, for Σ = Lᵀ L",
                lambda f, m, L: distance(f, m, L, lambda L, x: torch.linalg.solve(L.mT, x))),
        Suspect("only the diagonal of L was used: upper=True reads nothing below it, and L is lower triangular",
                lambda f, m, L: distance(f, m, L, lambda L, x: x / L.diagonal(dim1=-2, dim2=-1)[..., None])),
        Suspect("the mean was not subtracted", lambda f, m, L: distance(f, 0 * m, L)),
        Suspect("the sum over C instead of the mean: divide by C, so that normal features give about 1",
                lambda f, m, L: distance(f, m, L) * f.shape[1]),
        Suspect("the root of the mean square: the score is the squared distance",
                lambda f, m, L: distance(f, m, L).sqrt()),
        Suspect("the length ‖z‖ divided by C: square it", lambda f, m, L: (distance(f, m, L) * f.shape[1]).sqrt()
                / f.shape[1]),
        Suspect("summed over positions as well: the map must keep h and w",
                lambda f, m, L: distance(f, m, L).sum((1, 2))),
        Suspect("L solves twice: Σ⁻¹ (f − μ) was squared; z is L⁻¹ (f − μ)",
                lambda f, m, L: distance(f, m, L, lambda L, x: torch.linalg.solve(L @ L.mT, x))),
        Suspect("no L at all: this is the plain distance to the mean",
                lambda f, m, L: distance(f, m, L, lambda L, x: x)),
        Suspect("one L for all positions: every position has its own",
                lambda f, m, L: distance(f, m, L[:1, :1].expand_as(L))),
    ),
)
