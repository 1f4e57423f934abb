"""What learners write in the exercises of chapter 04: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import math

import torch
from torch.distributions import Chi2, LogNormal, MultivariateNormal, Normal

# ---- right answers ---------------------------------------------------------------------------------------------

def lognormal_density(x):
    z = x.log()
    pi = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    return pi / x


def lognormal_by_logs(x):
    return torch.exp(-0.5 * x.log() ** 2 - 0.5 * math.log(2 * math.pi) - x.log())


def lognormal_by_library(x):
    return LogNormal(x.new_zeros(()), x.new_ones(())).log_prob(x).exp()


def density_after(pi, g_inv, dg_inv, x):
    z = g_inv(x)
    return pi(z) * dg_inv(x).abs()


def density_by_root(pi, g_inv, dg_inv, x):
    return dg_inv(x).square().sqrt() * pi(g_inv(x))


def affine_logpdf(x, A, b):
    z = torch.linalg.solve(A, (x - b).T).T
    log_pi = -0.5 * z.square().sum(dim=1) - 0.5 * len(b) * math.log(2 * math.pi)
    return log_pi - torch.linalg.slogdet(A).logabsdet


def affine_by_inverse(x, A, b):
    z = (x - b) @ torch.linalg.inv(A).T
    return Normal(x.new_zeros(()), x.new_ones(())).log_prob(z).sum(1) - A.det().abs().log()


def affine_by_library(x, A, b):
    return MultivariateNormal(b, A @ A.T).log_prob(x)


def box_muller_logdet(u):
    return math.log(2 * math.pi) - u[:, 0].log()


def box_muller_in_two_steps(u):
    r = (-2 * u[:, 0].log()).sqrt()
    first = torch.log(2 * math.pi / (r * u[:, 0]))
    return first + r.log()


def two_branch_density(y):
    root = y.sqrt()
    pi = torch.exp(-0.5 * root.square()) / math.sqrt(2 * math.pi)
    return 2 * pi / (2 * root)


def two_branches_summed(y):
    total = torch.zeros_like(y)
    for x in (y.sqrt(), -y.sqrt()):
        total = total + torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi) / (2 * x).abs()
    return total


def two_branches_by_library(y):
    return Chi2(y.new_ones(())).log_prob(y).exp()


def modes(logpdf_z, g, g_inv, grid):
    x = grid.clone().requires_grad_()
    z = g_inv(x)
    slope, = torch.autograd.grad(z.sum(), x)
    log_pi = logpdf_z(z.detach())
    log_p = log_pi + slope.abs().log()
    return g(z.detach()[log_pi.argmax()]), grid[log_p.argmax()]


def modes_by_differences(logpdf_z, g, g_inv, grid):
    z = g_inv(grid)
    slope = torch.gradient(z, spacing=(grid,))[0]
    density = logpdf_z(z).exp() * slope.abs()
    return grid[logpdf_z(z).argmax()], grid[density.argmax()]


RIGHT = [
    ("lognormal_density", lognormal_density), ("lognormal_density", lognormal_by_logs),
    ("lognormal_density", lognormal_by_library),
    ("density_after", density_after), ("density_after", density_by_root),
    ("affine_logpdf", affine_logpdf), ("affine_logpdf", affine_by_inverse), ("affine_logpdf", affine_by_library),
    ("box_muller_logdet", box_muller_logdet), ("box_muller_logdet", box_muller_in_two_steps),
    ("two_branch_density", two_branch_density), ("two_branch_density", two_branches_summed),
    ("two_branch_density", two_branches_by_library),
    ("modes", modes), ("modes", modes_by_differences),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _pi(z):
    return torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)


def _affine(back, log_det):
    def answer(x, A, b):
        z = back(x, A, b)
        return -0.5 * z.square().sum(1) - 0.5 * len(b) * math.log(2 * math.pi) - log_det(x, A)
    return answer


def _solve(x, A, b):
    return (x - b) @ A.inverse().T


def _ln(x, A):
    return A.det().abs().log()


def _modes(first=lambda image, mode, g_inv: image, second=lambda image, mode, g_inv: mode, search=None):
    def answer(logpdf_z, g, g_inv, grid):
        image, mode = modes(logpdf_z, g, g_inv, grid)
        if search is not None:
            z, slope = g_inv(grid), torch.gradient(g_inv(grid), spacing=(grid,))[0]
            mode = grid[search(logpdf_z, z, slope, grid).argmax()]
        return first(image, mode, g_inv), second(image, mode, g_inv)
    return answer


def _grid_as_z(logpdf_z, g, g_inv, grid):
    x = g(grid)
    log_p = logpdf_z(grid) - torch.gradient(x, spacing=(grid,))[0].abs().log()
    return g(grid[logpdf_z(grid).argmax()]), x[log_p.argmax()]


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("lognormal_density", "no 1/x", "factor 1/x is missing", lambda x: _pi(x.log())),
    ("lognormal_density", "log returned", "logarithm of the density", lambda x: lognormal_density(x).log()),
    ("lognormal_density", "times x", "multiplied by x", lambda x: _pi(x.log()) * x),
    ("lognormal_density", "over ln x", "divided by z", lambda x: _pi(x.log()) / x.log().abs()),
    ("lognormal_density", "exp at x", "taken at x, as exp(x)", lambda x: _pi(x.log()) / x.exp()),
    ("lognormal_density", "twice", "divided by x twice", lambda x: _pi(x.log()) / x**2),
    ("lognormal_density", "normal at x", "x > 0 is 0.500", lambda x: _pi(x)),
    ("lognormal_density", "half-normal", "of 20000 samples", lambda x: 2 * _pi(x)),
    ("lognormal_density", "one number", "whole batch", lambda x: lognormal_density(x).mean()),
    ("density_after", "no abs", "absolute value is missing", lambda pi, gi, dgi, x: pi(gi(x)) * dgi(x)),
    ("density_after", "minus", "sign was turned", lambda pi, gi, dgi, x: -pi(gi(x)) * dgi(x)),
    ("density_after", "derivative at z", "taken at z", lambda pi, gi, dgi, x: pi(gi(x)) * dgi(gi(x)).abs()),
    ("density_after", "divides", "divided by the derivative", lambda pi, gi, dgi, x: pi(gi(x)) / dgi(x).abs()),
    ("density_after", "pi at x", "base density was taken at x", lambda pi, gi, dgi, x: pi(x) * dgi(x).abs()),
    ("density_after", "no derivative", "derivative is missing", lambda pi, gi, dgi, x: pi(gi(x))),
    ("density_after", "pi of derivative", "put into π", lambda pi, gi, dgi, x: pi(dgi(x))),
    ("density_after", "normalised by force", "the base puts", lambda pi, gi, dgi, x:
     pi(gi(x)) / torch.trapezoid(pi(gi(x)), x)),
    ("affine_logpdf", "plus", "was added", _affine(_solve, lambda x, A: -_ln(x, A))),
    ("affine_logpdf", "A for its inverse", "instead of A⁻¹", _affine(lambda x, A, b: (x - b) @ A.T, _ln)),
    ("affine_logpdf", "forwards", "computed once more", _affine(lambda x, A, b: x @ A.T + b, _ln)),
    ("affine_logpdf", "no constant", "normal density is missing",
     lambda x, A, b: affine_logpdf(x, A, b) + 0.5 * len(b) * math.log(2 * math.pi)),
    ("affine_logpdf", "constant of one", "that of one dimension",
     lambda x, A, b: -0.5 * _solve(x, A, b).square().sum(1) - 0.5 * math.log(2 * math.pi) - _ln(x, A)),
    ("affine_logpdf", "no transpose", "wrong side", _affine(lambda x, A, b: (x - b) @ A.inverse(), _ln)),
    ("affine_logpdf", "no log_det", "is missing: this is", _affine(_solve, lambda x, A: 0.0)),
    ("affine_logpdf", "no b", "b was not", _affine(lambda x, A, b: x @ A.inverse().T, _ln)),
    ("affine_logpdf", "b last", "after A⁻¹", _affine(lambda x, A, b: x @ A.inverse().T - b, _ln)),
    ("affine_logpdf", "once per batch", "shared out", _affine(_solve, lambda x, A: _ln(x, A) / len(x))),
    ("affine_logpdf", "covariance", "of the covariance", _affine(_solve, lambda x, A: torch.logdet(A @ A.T))),
    ("affine_logpdf", "det", "itself was subtracted", _affine(_solve, lambda x, A: A.det().abs())),
    ("affine_logpdf", "logdet", "when det A < 0", _affine(_solve, lambda x, A: torch.logdet(A))),
    ("affine_logpdf", "diagonal", "only the diagonal", _affine(_solve, lambda x, A: A.diag().abs().log().sum())),
    ("affine_logpdf", "density", "not its logarithm", lambda x, A, b: affine_logpdf(x, A, b).exp()),
    ("affine_logpdf", "batch sum", "one number for the whole", lambda x, A, b: affine_logpdf(x, A, b).sum()),
    ("box_muller_logdet", "sign", "sign is turned", lambda u: -box_muller_logdet(u)),
    ("box_muller_logdet", "at the output", "fed with x", lambda u: math.log(2 * math.pi) - torch.log(
        (-2 * u[:, 0].log()).sqrt() * torch.cos(2 * math.pi * u[:, 1]))),
    ("box_muller_logdet", "no 2 pi", "factor 2π", lambda u: -u[:, 0].log()),
    ("box_muller_logdet", "u2", "u₂ stands", lambda u: math.log(2 * math.pi) - u[:, 1].log()),
    ("box_muller_logdet", "polar only", "only the step from polar", lambda u: (-2 * u[:, 0].log()).sqrt().log()),
    ("box_muller_logdet", "first step only", "only the step from u",
     lambda u: box_muller_logdet(u) - (-2 * u[:, 0].log()).sqrt().log()),
    ("box_muller_logdet", "circle", "length of a circle",
     lambda u: torch.log(2 * math.pi * (-2 * u[:, 0].log()).sqrt())),
    ("box_muller_logdet", "det", "itself was returned", lambda u: box_muller_logdet(u).exp()),
    ("box_muller_logdet", "batch", "then repeated", lambda u: box_muller_logdet(u).sum().repeat(len(u))),
    ("box_muller_logdet", "not reduced", "last axis", lambda u: -u.log()),
    ("two_branch_density", "one branch", "half of the mass", lambda y: two_branch_density(y) / 2),
    ("two_branch_density", "derivative at y", "belongs to x", lambda y: _pi(y.sqrt()) / y),
    ("two_branch_density", "one branch, at y", "one branch only, and", lambda y: _pi(y.sqrt()) / (2 * y)),
    ("two_branch_density", "they cancel", "two cancel", lambda y: _pi(y.sqrt()) / (2 * y.sqrt())
     + _pi(-y.sqrt()) / (-2 * y.sqrt())),
    ("two_branch_density", "no derivative", "added as they are", lambda y: _pi(y.sqrt()) + _pi(-y.sqrt())),
    ("two_branch_density", "times", "multiplied by the derivative", lambda y: 4 * _pi(y.sqrt()) * y.sqrt()),
    ("two_branch_density", "no 2", "the 2 of the derivative", lambda y: 2 * two_branch_density(y)),
    ("two_branch_density", "pi at y", "taken at y: the points", lambda y: _pi(y) / y.sqrt()),
    ("two_branch_density", "log", "logarithm of the density", lambda y: two_branch_density(y).log()),
    ("modes", "uncorrected", "uncorrected density", _modes(search=lambda lp, z, s, x: lp(z))),
    ("modes", "swapped", "changed places", lambda *a: modes(*a)[::-1]),
    ("modes", "sign", "correction has the wrong sign", _modes(search=lambda lp, z, s, x: lp(z) - s.abs().log())),
    ("modes", "pi at x", "base density was taken at x", _modes(search=lambda lp, z, s, x: lp(x))),
    ("modes", "mode of z", "still has to go through g", _modes(first=lambda i, m, gi: gi(i))),
    ("modes", "z of the mode", "second answer is a z", _modes(second=lambda i, m, gi: gi(m))),
    ("modes", "no abs", "negative slope", _modes(search=lambda lp, z, s, x: lp(z) + s.log())),
    ("modes", "slope for its log", "slope itself", _modes(search=lambda lp, z, s, x: lp(z) + s.abs())),
    ("modes", "times the slope", "multiplied by the slope", _modes(search=lambda lp, z, s, x: lp(z) * s.abs())),
    ("modes", "grid as z", "grid was taken as z", _grid_as_z),
    ("modes", "z on the grid of x", "was searched on the grid of x: its",
     lambda lp, g, gi, x: (g(x[lp(x).argmax()]), modes(lp, g, gi, x)[1])),
    ("modes", "z on the grid of x, no g", "the points z are g⁻¹(grid)",
     lambda lp, g, gi, x: (x[lp(x).argmax()], modes(lp, g, gi, x)[1])),
    ("modes", "mode of x twice", "both answers", _modes(first=lambda i, m, gi: m)),
    ("modes", "indices", "wrong shape", lambda lp, g, gi, x: (modes(lp, g, gi, x)[0].view(1), x[:1])),
    ("modes", "items", ".item()", lambda *a: tuple(v.item() for v in modes(*a))),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), ("dim=1)", "dim=0)"),
           (".exp(", ".cos("), ("0.5 *", "1.0 *"), ("math.pi", "3.0"), (".log()", ".log2()"), (".abs()", ""),
           ("return ", "return -"), (".T", ""), (".square()", ".abs()"), ("2 *", "3 *"), (".sqrt()", ""),
           ("argmax", "argmin"), ("u[:, 0]", "u[:, 1]"), ("x.log()", "x"), ("A @ A.T", "A.T @ A"),
           ("(x - b)", "x"), ("-y.sqrt()", "y.sqrt()"), ("logabsdet", "sign"), ("log_p.", "log_pi."),
           ("g_inv(x)", "dg_inv(x)"), ("density.", "slope."), (".exp() *", " *"), ("(2 * root)", "root")]
