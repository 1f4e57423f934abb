"""Exercises 1 and 4: the affine flow, and the negative log-likelihood."""

from __future__ import annotations

import math

import torch
from torch.distributions import MultivariateNormal

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

LN_2PI = math.log(2 * math.pi)


def _cloud(dtype=torch.float64):
    lower = torch.tensor([[2.0, 0.0, 0.0], [-0.7, 0.4, 0.0], [1.1, 0.3, 3.0]], dtype=dtype)
    mean = torch.tensor([0.5, -2.0, 4.0], dtype=dtype)
    return mean + normal(40, 3, seed=51, dtype=dtype) @ lower.T, mean, lower


def _z_solves(call):
    x, mean, lower = _cloud()
    z, _ = call(x, mean, lower)
    return differ("mean + L z", mean + z @ lower.T, x, 1e-9, "x")


def _density(call):
    x, mean, lower = _cloud()
    z, log_det = call(x, mean, lower)
    found = -0.5 * (z.square().sum(1) + 3 * LN_2PI) + log_det
    return differ("log p(x)", found, MultivariateNormal(mean, scale_tril=lower).log_prob(x), 1e-8, "the library's")


def _round(call):
    x = _cloud()[0]
    mean, cov = x.mean(0), torch.cov(x.T, correction=0)
    z, _ = call(x, mean, torch.linalg.cholesky(cov))
    gap = float((torch.cov(z.T, correction=0) - torch.eye(3, dtype=z.dtype)).abs().max())
    return None if gap < 1e-8 else f"cov(z) differs from the identity by {gap:.3g}"


def _float32(call):
    call(*_cloud(torch.float32))


AFFINE = Exercise(
    name="affine_flow", minutes=8,
    returns=(lambda x, mean, lower: (TensorSlot("z", x.shape, "(B, d)", x.dtype),
                                     TensorSlot("log_det", x.shape[:1], "(B,)", x.dtype)),),
    laws=(Law("z is not the point that x = mean + L z asks for", _z_solves),
          Law("log p(z) + log_det is not the log density of the Gaussian", _density),
          Law("the whitened cloud is not round", _round),
          Law("it does not work in float32", _float32)),
    passes="log p(z) + log_det equals the library's Gaussian, cov(z) = I",
    hints=("Start from x = mean + L z and solve for z. L is triangular: torch.linalg.solve_triangular does it without "
           "an inverse. It wants columns, and your samples are rows.",
           "The determinant of a triangular matrix is the product of its diagonal. z = L⁻¹(x − mean): is its "
           "determinant that of L, or one over it?",
           "log_det is the same number for every sample, and still needs the shape (B,): .expand(len(x))."),
    suspects=(
        Suspect("log_det has the wrong sign: z = L⁻¹(x − mean) shrinks by det L, so log_det = −ln det L",
                lambda x, m, lo: (_solve(x, m, lo), lo.diag().log().sum().expand(len(x)))),
        Suspect("L was applied instead of solved: you computed L (x − mean), the way back is L⁻¹ (x − mean)",
                lambda x, m, lo: ((x - m) @ lo.T, -lo.diag().log().sum().expand(len(x)))),
        Suspect("L was applied instead of solved: L and its transpose, (x − mean) @ L, is not L⁻¹ (x − mean)",
                lambda x, m, lo: ((x - m) @ lo, -lo.diag().log().sum().expand(len(x)))),
        Suspect("log_det is a scalar: the same number for all, but every sample needs its own entry",
                lambda x, m, lo: (_solve(x, m, lo), -lo.diag().log().sum())),
        Suspect("the inverse of L stands on the wrong side: rows are samples, so (x − mean) @ L⁻¹ needs a transpose",
                lambda x, m, lo: ((x - m) @ torch.linalg.inv(lo), -lo.diag().log().sum().expand(len(x)))),
        Suspect("the mean was not subtracted before solving",
                lambda x, m, lo: (_solve(x, 0 * m, lo), -lo.diag().log().sum().expand(len(x)))),
        Suspect("log_det was left out: it is zero here, but L⁻¹ changes volume",
                lambda x, m, lo: (_solve(x, m, lo), torch.zeros_like(x[:, 0]))),
        Suspect("the diagonal was multiplied or averaged instead of summing its logarithms",
                lambda x, m, lo: (_solve(x, m, lo), -lo.diag().prod().expand(len(x)))),
        Suspect("every entry of L went into log_det: only the diagonal of a triangular matrix counts",
                lambda x, m, lo: (_solve(x, m, lo), -lo.sum().expand(len(x)))),
        Suspect("the determinant of the covariance was used: ln det Σ is twice ln det L",
                lambda x, m, lo: (_solve(x, m, lo), -2 * lo.diag().log().sum().expand(len(x)))),
    ),
)


def _solve(x, mean, lower):
    return torch.linalg.solve_triangular(lower, (x - mean).T, upper=False).T


def _latent():
    return 1.3 * normal(24, 3, seed=54), normal(24, seed=55)


def _minus_log_prob(call):
    z, log_det = _latent()
    found = call(z, log_det)
    expected = float(-(MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double()).log_prob(z) + log_det).mean())
    return None if abs(float(found) - expected) < 1e-9 else f"found {float(found):.4f} nats, expected {expected:.4f}"


def _scaling(call):
    z, log_det = _latent()
    shift = float(call(z, log_det - 3 * math.log(10.0)) - call(z, log_det))
    return None if abs(shift - 3 * math.log(10.0)) < 1e-9 else (
        f"data times 10 in 3 dimensions must cost 3 ln 10 = 6.9078 nats more, found {shift:.4f}")


def _gradient(call):
    z, log_det = (t.requires_grad_() for t in _latent())
    found = call(z, log_det)
    if not found.requires_grad:
        return "no gradient reaches z", "a .detach(), a no_grad block or a new torch.tensor(...) cut it off"
    return None


NLL = Exercise(
    name="nll", minutes=6,
    returns=(lambda z, log_det: TensorSlot("the loss", (), "()", z.dtype),),
    laws=(Law("it is not the mean of −log p(x)", _minus_log_prob),
          Law("it does not shift by d ln c when the data are scaled by c", _scaling),
          Law("it cannot be trained", _gradient)),
    passes="equals −mean log p(x) of the library, shifts by d·ln c under scaling, and has a gradient",
    hints=("log p(x) = log p(z) + log_det, one number per sample. Write log p(z) first: three terms, one of them a sum "
           "over the last axis.",
           "In d dimensions the constant is (d/2) ln 2π. Sum over the d axes of z, then average over the batch.",
           "The loss is *minus* the mean of log p(x): the log_det enters with a minus sign."),
    suspects=(
        Suspect("a mean over the d axes where a sum is due: ‖z‖² is a sum of squares",
                lambda z, ld: (0.5 * z.square().mean(1) + 1.5 * LN_2PI - ld).mean()),
        Suspect("log_det enters with the wrong sign: −log p(x) = −log p(z) − log_det",
                lambda z, ld: (0.5 * z.square().sum(1) + 1.5 * LN_2PI + ld).mean()),
        Suspect("the constant (d/2) ln 2π is missing: training would not notice, comparing with other models would",
                lambda z, ld: (0.5 * z.square().sum(1) - ld).mean()),
        Suspect("this is the log-likelihood itself: the loss is its negative",
                lambda z, ld: -(0.5 * z.square().sum(1) + 1.5 * LN_2PI - ld).mean()),
        Suspect("the constant counts one dimension only: (d/2) ln 2π, not ½ ln 2π",
                lambda z, ld: (0.5 * (z.square().sum(1) + LN_2PI) - ld).mean()),
        Suspect("the constant is ln 2π, as for the moons: right for d = 2 only; in general it is (d/2) ln 2π",
                lambda z, ld: (0.5 * z.square().sum(1) + LN_2PI - ld).mean()),
        Suspect("the length ‖z‖ stands where its square is due: ½‖z‖² is half the sum of squares, without a root",
                lambda z, ld: (0.5 * z.norm(dim=1) + 1.5 * LN_2PI - ld).mean()),
        Suspect("the total over the batch: nats per sample is the mean over the batch",
                lambda z, ld: (0.5 * (z.square().sum(1) + 3 * LN_2PI) - ld).sum()),
        Suspect("the log_det is missing: without it shrinking costs nothing",
                lambda z, ld: (0.5 * (z.square().sum(1) + 3 * LN_2PI)).mean()),
        Suspect("the factor ½ of ½‖z‖² is missing",
                lambda z, ld: (z.square().sum(1) + 1.5 * LN_2PI - ld).mean()),
        Suspect("a mean over the d axes of everything: nats per dimension, not per sample",
                lambda z, ld: (0.5 * (z.square() + LN_2PI)).mean() - ld.mean()),
    ),
)
