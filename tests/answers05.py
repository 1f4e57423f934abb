"""What learners write in the exercises of chapter 05: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import math

import torch
from torch.distributions import MultivariateNormal

# ---- right answers ---------------------------------------------------------------------------------------------

def affine_flow(x, mean, L):
    z = torch.linalg.solve_triangular(L, (x - mean).T, upper=False).T
    return z, -L.diagonal().log().sum().expand(len(x))


def affine_by_inverse(x, mean, L):
    return (x - mean) @ torch.linalg.inv(L).T, x.new_full((x.shape[0],), -float(torch.logdet(L)))


def affine_by_loop(x, mean, L):
    rows, inverse = [], L.inverse()
    for row in x:
        rows.append(inverse @ (row - mean))
    return torch.stack(rows), torch.stack([-torch.slogdet(L).logabsdet for _ in x])


def soft_clamp(s, alpha):
    return 2 * alpha / math.pi * torch.atan(s / alpha)


def coupling_forward(x, st, alpha):
    x1, x2 = x.chunk(2, dim=1)
    s, t = st(x1).chunk(2, dim=1)
    s = soft_clamp(s, alpha)
    return torch.cat([x1, x2 * s.exp() + t], dim=1), s.sum(dim=1)


def forward_by_columns(x, st, alpha):
    half = x.shape[1] // 2
    out, z = st(x[:, :half]), x.clone()
    scale = torch.exp(soft_clamp(out[:, :half], alpha))
    z[:, half:] = x[:, half:] * scale + out[:, half:]
    return z, torch.log(scale.prod(dim=1))


def coupling_inverse(z, st, alpha):
    z1, z2 = z.chunk(2, dim=1)
    s, t = st(z1).chunk(2, dim=1)
    s = soft_clamp(s, alpha)
    return torch.cat([z1, (z2 - t) * (-s).exp()], dim=1), -s.sum(dim=1)


def inverse_by_division(z, st, alpha):
    half = z.shape[1] // 2
    out = st(z[:, :half])
    s = soft_clamp(out[:, :half], alpha)
    return torch.hstack([z[:, :half], (z[:, half:] - out[:, half:]) / torch.exp(s)]), torch.sum(-s, 1)


def nll(z, log_det):
    log_p_z = -0.5 * z.square().sum(dim=1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
    return -(log_p_z + log_det).mean()


def nll_by_library(z, log_det):
    d = z.shape[1]
    base = MultivariateNormal(z.new_zeros(d), torch.eye(d, dtype=z.dtype))
    return -torch.mean(base.log_prob(z) + log_det)


def compose(layers, x):
    total = x.new_zeros(len(x))
    for layer in layers:
        x, log_det = layer(x)
        total = total + log_det
    return x, total


def compose_inverse(layers, z):
    total = z.new_zeros(len(z))
    for layer in reversed(layers):
        z, log_det = layer.inverse(z)
        total = total + log_det
    return z, total


def compose_by_recursion(layers, x):
    if not layers:
        return x, torch.zeros(len(x), dtype=x.dtype)
    y, first = layers[0](x)
    z, rest = compose_by_recursion(layers[1:], y)
    return z, first + rest


def inverse_by_index(layers, z):
    parts = []
    for k in range(len(layers) - 1, -1, -1):
        z, part = layers[k].inverse(z)
        parts.append(part)
    return z, torch.stack(parts).sum(0)


def sample(flow, n, temperature):
    return flow.inverse(temperature * torch.randn(n, *flow.shape))[0]


def sample_by_normal(flow, n, temperature):
    with torch.no_grad():
        z = torch.stack([torch.normal(torch.zeros(flow.shape), 1.0) for _ in range(n)])
        x, _ = flow.inverse(z * temperature)
    return x


RIGHT = [
    ("affine_flow", affine_flow), ("affine_flow", affine_by_inverse), ("affine_flow", affine_by_loop),
    ("coupling_forward", coupling_forward), ("coupling_forward", forward_by_columns),
    ("coupling_inverse", coupling_inverse), ("coupling_inverse", inverse_by_division),
    ("nll", nll), ("nll", nll_by_library),
    ("compose", compose, compose_inverse), ("compose", compose_by_recursion, inverse_by_index),
    ("sample", sample), ("sample", sample_by_normal),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _log_diag(L):
    return L.diagonal().log().sum()


def _forward(use=lambda s, raw, t, x: s.sum(1), clamp=soft_clamp):
    def answer(x, st, alpha):
        x1, x2 = x.chunk(2, dim=1)
        raw, t = st(x1).chunk(2, dim=1)
        s = clamp(raw, alpha)
        return torch.cat([x1, x2 * s.exp() + t], 1), use(s, raw, t, x)
    return answer


def _inverse(x2=lambda z2, s, raw, t: (z2 - t) / s.exp(), see=0, log_det=lambda s, raw: -s.sum(1)):
    def answer(z, st, alpha):
        halves = z.chunk(2, dim=1)
        raw, t = st(halves[see]).chunk(2, dim=1)
        s = soft_clamp(raw, alpha)
        return torch.cat([halves[0], x2(halves[1], s, raw, t)], 1), log_det(s, raw)
    return answer


def _nll(formula):
    return lambda z, log_det: formula(0.5 * z.square().sum(1), 0.5 * z.shape[1] * math.log(2 * math.pi), log_det, z)


def _last_log_det(layers, x):
    for layer in layers:
        x, log_det = layer(x)
    return x, log_det


def _same_order(layers, z):
    total = 0
    for layer in layers:
        z, log_det = layer.inverse(z)
        total = total + log_det
    return z, total


def _inverse_last_only(layers, z):
    for layer in layers[::-1]:
        z, log_det = layer.inverse(z)
    return z, log_det


def _added_in_place(layers, x, order=iter, sign=1):
    total = torch.zeros(len(x))  # float32, and += keeps it so
    for layer in order(layers):
        x, log_det = layer(x)
        total += sign * log_det
    return x, total


def _undone_in_place(layers, z, order=reversed, sign=1):
    total = torch.zeros(len(z))
    for layer in order(layers):
        z, log_det = layer.inverse(z)
        total += sign * log_det
    return z, total


def _multiplied(layers, x, start=torch.ones):
    total = start(len(x))
    for layer in layers:
        x, log_det = layer(x)
        total = total * log_det
    return x, total


def _inverse_multiplied(layers, z):
    total = torch.ones(len(z))
    for layer in reversed(layers):
        z, log_det = layer.inverse(z)
        total = total * log_det
    return z, total


def _consuming(layers, z):
    layers.reverse()
    return _same_order(layers, z)


def _loudly_changing(x, mean, L):
    x -= mean
    return affine_flow(x, 0 * mean, L)


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("affine_flow", "+ log det L", "wrong sign",
     lambda x, m, L: (affine_flow(x, m, L)[0], _log_diag(L).expand(len(x)))),
    ("affine_flow", "L applied", "you computed L (x",
     lambda x, m, L: ((L @ (x - m).T).T, -_log_diag(L).expand(len(x)))),
    ("affine_flow", "scalar log_det", "a scalar", lambda x, m, L: (affine_flow(x, m, L)[0], -_log_diag(L))),
    ("affine_flow", "no transpose", "wrong side",
     lambda x, m, L: ((x - m) @ L.inverse(), -_log_diag(L).expand(len(x)))),
    ("affine_flow", "no mean", "mean was not", lambda x, m, L: affine_flow(x, 0 * m, L)),
    ("affine_flow", "no log_det", "left out", lambda x, m, L: (affine_flow(x, m, L)[0], torch.zeros(len(x)).to(x))),
    ("affine_flow", "of covariance", "covariance was used",
     lambda x, m, L: (affine_flow(x, m, L)[0], -torch.logdet(L @ L.T).expand(len(x)))),
    ("affine_flow", "in place", "changed in place", _loudly_changing),
    ("affine_flow", "rows into solve_triangular", "one column per sample",
     lambda x, m, L: (torch.linalg.solve_triangular(L, x - m, upper=False), _log_diag(L).expand(len(x)))),
    ("affine_flow", "float32 inside", "new tensor is float32",
     lambda x, m, L: ((x - m) @ (torch.eye(3) @ L.inverse().T), -_log_diag(L).expand(len(x)))),
    ("affine_flow", "to float32", "number type", lambda x, m, L: tuple(v.float() for v in affine_flow(x, m, L))),
    ("affine_flow", "forgets L'", "L and its transpose", lambda x, m, L: ((x - m) @ L, -_log_diag(L).expand(len(x)))),
    ("coupling_forward", "sum over batch", "over the batch as well", _forward(lambda s, raw, t, x: s.sum())),
    ("coupling_forward", "batch sum repeated", "then repeated", _forward(lambda s, raw, t, x: s.sum().repeat(len(x)))),
    ("coupling_forward", "s before clamp", "before the clamp", _forward(lambda s, raw, t, x: raw.sum(1))),
    ("coupling_forward", "no clamp", "missing altogether", _forward(clamp=lambda s, alpha: s)),
    ("coupling_forward", "sign", "wrong sign", _forward(lambda s, raw, t, x: -s.sum(1))),
    ("coupling_forward", "mean", "mean over the features", _forward(lambda s, raw, t, x: s.mean(1))),
    ("coupling_forward", "sum of exp", "exp(s) was summed", _forward(lambda s, raw, t, x: s.exp().sum(1))),
    ("coupling_forward", "with t", "shift t slipped", _forward(lambda s, raw, t, x: (s + t).sum(1))),
    ("coupling_forward", "wrong axis", "dim=0", _forward(lambda s, raw, t, x: s.sum(0))),
    ("coupling_forward", "hard clamp", "slope 0 outside", _forward(clamp=lambda s, alpha: s.clamp(-alpha, alpha))),
    ("coupling_forward", "not reduced", "last axis was not", _forward(lambda s, raw, t, x: s)),
    ("coupling_inverse", "no clamp in x", "way back, in x", _inverse(lambda z2, s, raw, t: (z2 - t) / raw.exp())),
    ("coupling_inverse", "no clamp at all", "way back: s must",
     _inverse(lambda z2, s, raw, t: (z2 - t) / raw.exp(), log_det=lambda s, raw: -raw.sum(1))),
    ("coupling_inverse", "st of changed half", "changed half", _inverse(see=1)),
    ("coupling_inverse", "divide first", "subtract t first", _inverse(lambda z2, s, raw, t: z2 / s.exp() - t)),
    ("coupling_inverse", "adds t", "t was added", _inverse(lambda z2, s, raw, t: (z2 + t) / s.exp())),
    ("coupling_inverse", "multiplies", "division is due", _inverse(lambda z2, s, raw, t: (z2 - t) * s.exp())),
    ("coupling_inverse", "forward again", "whole forward layer", coupling_forward),
    ("coupling_inverse", "log_det not negated", "changes sign", _inverse(log_det=lambda s, raw: s.sum(1))),
    ("coupling_inverse", "log_det of raw s", "s of the return line", _inverse(log_det=lambda s, raw: -raw.sum(1))),
    ("coupling_inverse", "batch sum", "over the batch", _inverse(log_det=lambda s, raw: -s.sum())),
    ("nll", "mean over d", "where a sum is due", lambda z, ld: nll(z / math.sqrt(z.shape[1]), ld)),
    ("nll", "sign of log_det", "enters with the wrong sign", lambda z, ld: nll(z, -ld)),
    ("nll", "no constant", "constant (d/2) ln 2π is missing", _nll(lambda half, c, ld, z: (half - ld).mean())),
    ("nll", "log-likelihood", "the log-likelihood itself", lambda z, ld: -nll(z, ld)),
    ("nll", "one dimension", "one dimension only", _nll(lambda half, c, ld, z: (half + c / z.shape[1] - ld).mean())),
    ("nll", "constant of d = 2", "for d = 2 only", lambda z, ld: (0.5 * z.square().sum(1) + math.log(2 * math.pi)
                                                                  - ld).mean()),
    ("nll", "length not squared", "without a root", _nll(lambda half, c, ld, z: (0.5 * z.norm(dim=1) + c - ld).mean())),
    ("nll", "batch sum", "total over the batch", _nll(lambda half, c, ld, z: (half + c - ld).sum())),
    ("nll", "no log_det", "log_det is missing", _nll(lambda half, c, ld, z: (half + c).mean())),
    ("nll", "no half", "factor ½", _nll(lambda half, c, ld, z: (2 * half + c - ld).mean())),
    ("nll", "not averaged", "still one number per sample", _nll(lambda half, c, ld, z: half + c - ld)),
    ("nll", "item", "cuts the gradient", lambda z, ld: nll(z, ld).item()),
    ("nll", "detached", "cut it off", lambda z, ld: nll(z, ld).detach()),
    ("compose", "last log_det", "last layer only", _last_log_det, compose_inverse),
    ("compose", "multiplied", "so their logarithms add", _multiplied, compose_inverse),
    ("compose", "multiplied from zero", "total is still zero",
     lambda layers, x: _multiplied(layers, x, torch.zeros), compose_inverse),
    ("compose", "inverse multiplied", "inverse multiplies", compose, _inverse_multiplied),
    ("compose", "float32 total", "x.new_zeros", _added_in_place, _undone_in_place),
    ("compose", "inverse in same order", "same order as forward", compose, _same_order),
    ("compose", "inverse log_det of one", "of one layer only", compose, _inverse_last_only),
    ("compose", "inverse calls forward", "nothing is undone", compose, compose),
    ("compose", "list reversed in place", "changed in place", compose, _consuming),
    ("compose", "first x for all", "all got the first x",
     lambda layers, x: (layers[-1](x)[0], sum(layer(x)[1] for layer in layers)), compose_inverse),
    ("compose", "double negation", "already negated", compose,
     lambda layers, z: (compose_inverse(layers, z)[0], -compose_inverse(layers, z)[1])),
    ("compose", "axes mixed up on the way back", "axes come back in another order", compose,
     lambda layers, z: (compose_inverse(layers, z)[0].flip(1), compose_inverse(layers, z)[1])),
    ("sample", "never quite zero", "temperature 0 must give one point",
     lambda f, n, T: f.inverse(max(T, 0.01) * torch.randn(n, *f.shape))[0]),
    ("sample", "temperature on x", "applied to x", lambda f, n, T: T * f.inverse(torch.randn(n, *f.shape))[0]),
    ("sample", "temperature ignored", "not used at all", lambda f, n, T: f.inverse(torch.randn(n, *f.shape))[0]),
    ("sample", "as variance", "used as a variance", lambda f, n, T: f.inverse(T**0.5 * torch.randn(n, *f.shape))[0]),
    ("sample", "squared", "used twice", lambda f, n, T: f.inverse(T**2 * torch.randn(n, *f.shape))[0]),
    ("sample", "forward", "where flow.inverse(z) is needed", lambda f, n, T: f(T * torch.randn(n, *f.shape))[0]),
    ("sample", "latent returned", "latent itself", lambda f, n, T: T * torch.randn(n, *f.shape)),
    ("sample", "uniform", "uniform numbers", lambda f, n, T: f.inverse(T * torch.rand(n, *f.shape))[0]),
    ("sample", "one draw", "repeated n times", lambda f, n, T: f.inverse(T * torch.randn(*f.shape).expand(n, -1))[0]),
    ("sample", "same on every axis", "every axis", lambda f, n, T: f.inverse(T * torch.randn(n, 1).expand(-1, 4))[0]),
    ("sample", "the pair", "return only x", lambda f, n, T: f.inverse(T * torch.randn(n, *f.shape))),
    ("sample", "one too few", "wrong shape", lambda f, n, T: f.inverse(T * torch.randn(n - 1, *f.shape))[0]),
]

# ---- two mistakes at once: a float32 total must not hide the other one ---------------------------------------------

FLOAT32_AND = [  # (what else is wrong, words of its diagnosis, answers)
    ("same order", "same order as forward", _added_in_place, lambda layers, z: _undone_in_place(layers, z, iter)),
    ("double minus", "already negated", _added_in_place, lambda layers, z: _undone_in_place(layers, z, sign=-1)),
    ("reversed in place", "changed in place", _added_in_place, _consuming),
    ("forward from the back", "from last to first", lambda layers, x: _added_in_place(layers, x, reversed),
     _undone_in_place),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), (".mean(", ".sum("),
           ("dim=1)", "dim=0)"), ("-s", "s"), (".exp()", ".cos()"), ("0.5 *", "1.0 *"), ("math.pi", "3.0"),
           ("reversed(layers)", "layers"), (".inverse(", "("), (".log()", ".log2()"), ("randn", "rand"),
           ("return -", "return "), ("-L", "L"), (", upper=False", ", upper=True"), ("x2 *", "x1 *"),
           ("st(x1)", "st(x2)"),
           ("st(z1)", "st(z2)"), ("s.exp()", "t.exp()"), ("[x1,", "[x2,"), ("[z1,", "[z2,"), ("square()", "abs()"),
           ("2 * alpha", "alpha"), (".atan(", ".tanh("), ("(s / alpha)", "(s)"), ("temperature *", "1.0 *"), (".T", "")]
