"""What learners write in the exercises of chapter 12: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tutorial_lib.checks.ch12 import nearest

# ---- right answers ---------------------------------------------------------------------------------------------


def laplacian_split(x, levels, down, up):
    times = 2 ** (levels - 1)
    if x.shape[2] % times or x.shape[3] % times:
        raise ValueError(f"sides {x.shape[2]} x {x.shape[3]} cannot be halved {levels - 1} times")
    pyramid = []
    for _ in range(levels - 1):
        smaller = down(x)
        pyramid.append(x - up(smaller))
        x = smaller
    return [*pyramid, x]


def laplacian_join(pyramid, up):
    x = pyramid[-1]
    for missed in reversed(pyramid[:-1]):
        x = up(x) + missed
    return x


def split_by_recursion(x, levels, down, up):
    if x.shape[2] % 2 ** (levels - 1) or x.shape[3] % 2 ** (levels - 1):
        raise ValueError(f"expected sides divisible by {2 ** (levels - 1)}, found {tuple(x.shape[2:])}")
    if levels == 1:
        return (x,)
    small = down(x)
    return (x - up(small), *split_by_recursion(small, levels - 1, down, up))


def join_by_recursion(pyramid, up):
    if len(pyramid) == 1:
        return pyramid[0]
    return pyramid[0] + up(join_by_recursion(pyramid[1:], up))


def join_fully_enlarged(pyramid, up):
    total = pyramid[0]
    for k in range(1, len(pyramid)):
        big = pyramid[k]
        for _ in range(k):
            big = up(big)
        total = total + big
    return total


def fourier_gap(a, b, power):
    spectrum = torch.fft.fft2(a - b, norm="ortho")
    return (spectrum.abs() ** power).mean()


def gap_of_spectra(a, b, power):
    pixels = a.shape[2] * a.shape[3]
    f = (torch.fft.fft2(a) - torch.fft.fft2(b)) / math.sqrt(pixels)
    return ((f.real.square() + f.imag.square()) ** (power / 2)).mean().item()


def unit_volume(P, lower, upper, sign, w):
    eye = torch.eye(len(P), dtype=P.dtype)
    L = torch.tril(lower, -1) + eye
    U = torch.triu(upper, 1) + torch.diag(sign * torch.exp(w - w.mean()))
    return P @ L @ U


def volume_by_masks(P, lower, upper, sign, w):
    ones = torch.ones_like(P)
    below, above, eye = ones.tril(-1), ones.triu(1), torch.eye(len(w)).to(P)
    scale = sign * w.exp() / w.exp().log().mean().exp()
    return P.matmul((lower * below + eye).matmul(upper * above + scale.diag()))


def volume_norm(s, dims, running, training):
    if not training:
        return s - running, running
    mean = s.mean(dims, keepdim=True)
    return s - mean, 0.9 * running + 0.1 * mean.detach()


def norm_by_steps(s, dims, running, training):
    mean = running
    if training:
        mean = s
        for d in dims:
            mean = mean.mean(dim=d, keepdim=True)
        with torch.no_grad():
            running = running + 0.1 * (mean - running)
    return s - mean, running


def level_coupling(fine, coarse, st):
    s, t = st(nearest(coarse)).chunk(2, dim=1)
    return (fine * s.exp() + t, coarse), s.sum(dim=(1, 2, 3))


def coupling_by_interpolation(fine, coarse, st):
    out = st(F.interpolate(coarse, size=fine.shape[2:], mode="nearest"))
    scale = torch.exp(out[:, :fine.shape[1]])
    z = fine * scale + out[:, fine.shape[1]:]
    return [z, coarse], torch.log(scale).flatten(1).sum(1)


def template(latents):
    return tuple(torch.stack(level).mean(dim=0) for level in zip(*latents, strict=True))


def defect_map(latent, template, up):
    differences = [(z - t).abs() for z, t in zip(latent, template, strict=True)]
    x = differences[-1]
    for missed in reversed(differences[:-1]):
        x = up(x) + missed
    return x.mean(dim=0)


def template_by_loops(latents):
    sums = [torch.zeros_like(level) for level in latents[0]]
    for latent in latents:
        sums = [a + b for a, b in zip(sums, latent, strict=True)]
    return [a / len(latents) for a in sums]


def map_by_channels(latent, template, up):
    total = None
    for z, t in zip(reversed(latent), reversed(template), strict=True):
        part = torch.abs(z - t).mean(0, keepdim=True)
        total = part if total is None else up(total) + part
    return total[0]


RIGHT = [
    ("laplacian_split", laplacian_split, laplacian_join), ("laplacian_split", split_by_recursion, join_by_recursion),
    ("laplacian_split", laplacian_split, join_fully_enlarged),
    ("fourier_gap", fourier_gap), ("fourier_gap", gap_of_spectra),
    ("unit_volume", unit_volume), ("unit_volume", volume_by_masks),
    ("volume_norm", volume_norm), ("volume_norm", norm_by_steps),
    ("level_coupling", level_coupling), ("level_coupling", coupling_by_interpolation),
    ("template", template, defect_map), ("template", template_by_loops, map_by_channels),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _sides(x, levels):
    times = 2 ** (levels - 1)
    if x.shape[2] % times or x.shape[3] % times:
        raise ValueError(f"sides {tuple(x.shape[2:])}, levels {levels}")


def _split(level, go_on=lambda x, smaller, kept: smaller):
    def answer(x, levels, down, up):
        _sides(x, levels)
        pyramid = []
        for _ in range(levels - 1):
            smaller = down(x)
            pyramid.append(level(x, smaller, up))
            x = go_on(x, smaller, pyramid[-1])
            if x.shape != smaller.shape:
                x = down(x)
        return [*pyramid, x]
    return answer


def _no_down(x, levels, down, up):
    return laplacian_split(x, levels, lambda v: v[..., ::2, ::2], up)


def _no_test(x, levels, down, up):
    pyramid = []
    for _ in range(levels - 1):
        pyramid.append(x - up(down(x)))
        x = down(x)
    return [*pyramid, x]


def _join(start=lambda p: p[-1], step=lambda big, level: big + level):
    def answer(pyramid, up):
        x = start(pyramid)
        for level in pyramid[-2::-1]:
            x = step(up(x), level)
        return x
    return answer


def _fine_first(pyramid, up):
    x = pyramid[0]
    for level in pyramid[1:]:
        x = up(x) + level
    return x


def _finest_only(pyramid, up):
    x = pyramid[-1]
    for _ in pyramid[:-1]:
        x = up(x)
    return x + pyramid[0]


def _gap(of, fft=lambda d: torch.fft.fft2(d, norm="ortho")):
    return lambda a, b, power: (of(fft(a - b)) ** power).mean()


def _lengths(x):
    return torch.fft.fft2(x, norm="ortho").abs()


def _volume(L=lambda l: l.tril(-1) + torch.eye(len(l)), U=lambda u: u.triu(1),  # noqa: E741
            scale=lambda w: torch.exp(w - w.mean()), order=lambda P, L, U: P @ L @ U, signed=True):
    def answer(P, lower, upper, sign, w):
        diagonal = (sign if signed else 1) * scale(w)
        return order(P, L(lower), U(upper) + torch.diag(diagonal))
    return answer


def _orthogonal_again(P, lower, upper, sign, w):
    left, _, right = torch.linalg.svd(unit_volume(P, lower, upper, sign, w))
    return left @ right


def _norm(train, evaluate=lambda s, dims, running: (s - running, running)):
    return lambda s, dims, running, training: train(s, dims, running) if training else evaluate(s, dims, running)


def _m(s, dims):
    return s.mean(dims, keepdim=True)


def _kept(s, dims, running):
    return 0.9 * running + 0.1 * _m(s, dims).detach()


def _levels(log_det):
    def answer(fine, coarse, st):
        s, t = st(nearest(coarse)).chunk(2, dim=1)
        return (fine * s.exp() + t, coarse), log_det(s)
    return answer


def _levels_z(z, total=lambda s, t: s.sum((1, 2, 3)), look=lambda fine, coarse: nearest(coarse)):
    def answer(fine, coarse, st):
        s, t = st(look(fine, coarse)).chunk(2, dim=1)
        return (z(fine, s, t), coarse), total(s, t)
    return answer


def _resized(fine, coarse, st):
    s, t = st(coarse).chunk(2, dim=1)
    return (nearest(F.avg_pool2d(fine, 2) * s.exp() + t), coarse), s.sum((1, 2, 3)) * 4


def _coarse_changed(fine, coarse, st):
    s, t = st(F.avg_pool2d(fine, 2)).chunk(2, dim=1)
    return (fine, coarse * s.exp() + t), s.sum((1, 2, 3))


def _coarse_log_det(fine, coarse, st):
    s, t = st(coarse).chunk(2, dim=1)
    return (fine * nearest(s).exp() + nearest(t), coarse), s.sum((1, 2, 3))


def _late(fine, coarse, st):
    s, t = (nearest(v) for v in st(coarse).chunk(2, dim=1))
    return (fine * s.exp() + t, coarse), s.sum((1, 2, 3))


def _fed_fine(fine, coarse, st):
    s, t = st(fine).chunk(2, dim=1)
    return (fine * s.exp() + t, coarse), s.sum((1, 2, 3))


def _swapped_pair(fine, coarse, st):
    (z, coarse), log_det = level_coupling(fine, coarse, st)
    return (coarse, z), log_det


def _loud(fine, coarse, st):
    s, t = st(nearest(coarse)).chunk(2, dim=1)
    fine *= s.exp()
    fine += t
    return (fine, coarse), s.sum((1, 2, 3))


def _template(reduce):
    return lambda latents: tuple(reduce(torch.stack(level)) for level in zip(*latents, strict=True))


def _heat(change=torch.abs, step=lambda big, d: big + d, end=lambda x, n: x.mean(0)):
    def answer(latent, template, up):
        x = None
        for z, t in zip(reversed(latent), reversed(template), strict=True):
            x = change(z - t) if x is None else step(up(x), change(z - t))
        return end(x, len(latent))
    return answer


def _one_level(keep):
    def answer(latent, template, up):
        return defect_map([z if keep(k, len(latent)) else torch.zeros_like(z) for k, z in enumerate(latent)],
                          [t if keep(k, len(latent)) else torch.zeros_like(t) for k, t in enumerate(template)], up)
    return answer


PAIR = laplacian_split, laplacian_join
WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("laplacian_split", "unblurred prediction", "unblurred level",
     _split(lambda x, small, up: x - up(x[..., ::2, ::2])), laplacian_join),
    ("laplacian_split", "gaussian", "shrunk pictures themselves", _split(lambda x, small, up: x), laplacian_join),
    ("laplacian_split", "sign", "difference has the wrong sign", _split(lambda x, small, up: up(small) - x),
     laplacian_join),
    ("laplacian_split", "plus", "prediction was added", _split(lambda x, small, up: x + up(small)), laplacian_join),
    ("laplacian_split", "goes on with the difference", "made from the difference",
     _split(lambda x, small, up: x - up(small), lambda x, small, kept: kept), laplacian_join),
    ("laplacian_split", "no down", "taken without it", _no_down, laplacian_join),
    ("laplacian_split", "no smallest", "one level too few", lambda *a: laplacian_split(*a)[:-1], laplacian_join),
    ("laplacian_split", "coarse first", "wrong shape of level 0", lambda *a: laplacian_split(*a)[::-1],
     laplacian_join),
    ("laplacian_split", "smaller not enlarged", "x - small), laplacian_join),",
     _split(lambda x, small, up: x - small), laplacian_join),
    ("laplacian_split", "no test of the sides", "does not name the side", _no_test, laplacian_join),
    ("laplacian_split", "join minus", "difference was taken in laplacian_join", laplacian_split,
     _join(step=lambda big, level: big - level)),
    ("laplacian_split", "join from fine", ": x = up(x) + level", laplacian_split, _fine_first),
    ("laplacian_split", "join without smallest", "smallest picture was forgotten", laplacian_split,
     _join(start=lambda p: torch.zeros_like(p[-1]))),
    ("laplacian_split", "join finest only", "only the finest level was added", laplacian_split, _finest_only),
    ("laplacian_split", "join not enlarged", "wrong shape of x", laplacian_split, lambda p, up: p[-1]),
    ("fourier_gap", "not normalised", "is not normalised", _gap(torch.abs, torch.fft.fft2)),
    ("fourier_gap", "forward", "instead of its root", _gap(torch.abs, lambda d: torch.fft.fft2(d, norm="forward"))),
    ("fourier_gap", "real", "real part was kept", _gap(lambda f: f.real.abs())),
    ("fourier_gap", "imaginary", "imaginary part was kept", _gap(lambda f: f.imag.abs())),
    ("fourier_gap", "always squared", "always squared", lambda a, b, p: fourier_gap(a, b, 2)),
    ("fourier_gap", "never squared", "never squared", lambda a, b, p: fourier_gap(a, b, 1)),
    ("fourier_gap", "pixels", "no transform at all", _gap(torch.abs, lambda d: d)),
    ("fourier_gap", "rows", "along one axis", _gap(torch.abs, lambda d: torch.fft.fft(d, norm="ortho"))),
    ("fourier_gap", "all axes", "all axes were transformed",
     _gap(torch.abs, lambda d: torch.fft.fftn(d, norm="ortho"))),
    ("fourier_gap", "half", "half of the frequencies", _gap(torch.abs, lambda d: torch.fft.rfft2(d, norm="ortho"))),
    ("fourier_gap", "sum", "a sum over the frequencies",
     lambda a, b, p: (torch.fft.fft2(a - b, norm="ortho").abs() ** p).sum()),
    ("fourier_gap", "lengths compared", "their angles lost",
     lambda a, b, p: ((_lengths(a) - _lengths(b)).abs() ** p).mean()),
    ("fourier_gap", "power last", "mean was taken before the power",
     lambda a, b, p: torch.fft.fft2(a - b, norm="ortho").abs().mean() ** p),
    ("fourier_gap", "root", "root of the sum", lambda a, b, p: fourier_gap(a, b, p) ** (1 / p)),
    ("fourier_gap", "squared first", "has squares there",
     _gap(torch.abs, lambda d: torch.fft.fft2(d**2, norm="ortho"))),
    ("fourier_gap", "squared, not normalised", "which lacks its norm",
     _gap(torch.abs, lambda d: torch.fft.fft2(d**2))),
    ("fourier_gap", "power first", "|F| are raised, after it",
     lambda a, b, p: torch.fft.fft2((a - b)**p, norm="ortho").abs().mean()),
    ("fourier_gap", "complex", "length of a complex number is",
     lambda a, b, p: torch.fft.fft2(a - b, norm="ortho").mean()),
    ("fourier_gap", "per image", "axes have not been reduced",
     lambda a, b, p: (torch.fft.fft2(a - b, norm="ortho").abs() ** p).mean((1, 2, 3))),
    ("unit_volume", "no mean", "mean of w was not taken away", _volume(scale=torch.exp)),
    ("unit_volume", "mean of exp", "taken after exp", _volume(scale=lambda w: w.exp() / w.exp().mean())),
    ("unit_volume", "sum", "gives up its share", _volume(scale=lambda w: (w - w.sum()).exp())),
    ("unit_volume", "no exp", "its exponential is due", _volume(scale=lambda w: w - w.mean())),
    ("unit_volume", "spread", "spread was divided out", _volume(scale=lambda w: ((w - w.mean()) / w.std()).exp())),
    ("unit_volume", "no sign", "sign was forgotten", _volume(signed=False)),
    ("unit_volume", "sign in exp", "sign stands inside exp",
     lambda P, lo, up, sg, w: _volume(scale=lambda v: (sg * (v - v.mean())).exp(), signed=False)(P, lo, up, sg, w)),
    ("unit_volume", "detached", "none reaches lower, upper, w", lambda *parts: unit_volume(*parts).detach()),
    ("unit_volume", "w detached", "none reaches w",
     lambda P, lo, up, sg, w: unit_volume(P, lo, up, sg, w.detach())),
    ("unit_volume", "diagonal of lower", "diagonal of lower was counted",
     _volume(L=lambda l: l.tril() + torch.eye(len(l)))),  # noqa: E741
    ("unit_volume", "whole lower", "whole of lower", _volume(L=lambda l: l + torch.eye(len(l)))),  # noqa: E741
    ("unit_volume", "diagonal of upper", "diagonal of upper was counted", _volume(U=lambda u: u.triu())),
    ("unit_volume", "whole upper", "whole of upper", _volume(U=lambda u: u)),
    ("unit_volume", "no ones", "ones on the diagonal", _volume(L=lambda l: l.tril(-1))),  # noqa: E741
    ("unit_volume", "P last", "on the wrong side", _volume(order=lambda P, L, U: L @ U @ P)),
    ("unit_volume", "P transposed", "turned over", _volume(order=lambda P, L, U: P.T @ L @ U)),
    ("unit_volume", "no P", "P was forgotten", _volume(order=lambda P, L, U: L @ U)),
    ("unit_volume", "U before L", "U came before L", _volume(order=lambda P, L, U: P @ U @ L)),
    ("unit_volume", "no U", "strictly upper part was forgotten", _volume(U=torch.zeros_like)),
    ("unit_volume", "product divided", "root of its determinant",
     lambda P, lo, up, sg, w: _volume(scale=torch.exp)(P, lo, up, sg, w) / w.mean().exp()),
    ("unit_volume", "orthogonal again", "orthogonal again", _orthogonal_again),
    ("volume_norm", "per sample", "mean per sample",
     _norm(lambda s, d, r: (s - s.mean([k for k in d if k], keepdim=True), _kept(s, d, r)))),
    ("volume_norm", "spread", "divided by the spread as well:",
     _norm(lambda s, d, r: ((s - _m(s, d)) / s.std(d, keepdim=True), _kept(s, d, r)))),
    ("volume_norm", "spread of all", "without n − 1",
     _norm(lambda s, d, r: ((s - _m(s, d)) / s.std(d, keepdim=True, correction=0), _kept(s, d, r)))),
    ("volume_norm", "running in training", "was taken away in training too",
     _norm(lambda s, d, r: (s - r, _kept(s, d, r)))),
    ("volume_norm", "new running in training", "new running mean was taken away",
     _norm(lambda s, d, r: (s - _kept(s, d, r), _kept(s, d, r)))),
    ("volume_norm", "one mean", "one mean over everything", _norm(lambda s, d, r: (s - s.mean(), _kept(s, d, r)))),
    ("volume_norm", "other axes", "mean over the other axes",
     _norm(lambda s, d, r: (s - s.mean([k for k in range(4) if k not in d], keepdim=True), _kept(s, d, r)))),
    ("volume_norm", "added", "the mean was added", _norm(lambda s, d, r: (s + _m(s, d), _kept(s, d, r)))),
    ("volume_norm", "nothing", "nothing was taken away", _norm(lambda s, d, r: (s, _kept(s, d, r)))),
    ("volume_norm", "momentum", "weights changed places",
     _norm(lambda s, d, r: (s - _m(s, d), 0.1 * r + 0.9 * _m(s, d).detach()))),
    ("volume_norm", "replaced", "mean was replaced", _norm(lambda s, d, r: (s - _m(s, d), _m(s, d).detach()))),
    ("volume_norm", "stands still", "stood still in training", _norm(lambda s, d, r: (s - _m(s, d), r))),
    ("volume_norm", "graph", "gradient runs through the running mean",
     _norm(lambda s, d, r: (s - _m(s, d), 0.9 * r + 0.1 * _m(s, d)))),
    ("volume_norm", "detached", "the network can still push",
     _norm(lambda s, d, r: (s - _m(s, d).detach(), _kept(s, d, r)))),
    ("volume_norm", "all detached", "has lost its gradient",
     _norm(lambda s, d, r: ((s - _m(s, d)).detach(), _kept(s, d, r)))),
    ("volume_norm", "batch mean in evaluation", "judged by its neighbours",
     _norm(lambda s, d, r: (s - _m(s, d), _kept(s, d, r)), lambda s, d, r: (s - _m(s, d), r))),
    ("volume_norm", "moves in evaluation", "must not teach",
     _norm(lambda s, d, r: (s - _m(s, d), _kept(s, d, r)), lambda s, d, r: (s - r, _kept(s, d, r)))),
    ("volume_norm", "exchanged", "two cases changed places",
     _norm(lambda s, d, r: (s - r, r), lambda s, d, r: (s - _m(s, d), _kept(s, d, r)))),
    ("volume_norm", "mean not kept", "wrong shape of the running mean",
     _norm(lambda s, d, r: (s - _m(s, d), _kept(s, d, r).squeeze()))),
    ("volume_norm", "one result", "it must return s', the running mean", lambda s, d, r, t: s - _m(s, d)),
    ("level_coupling", "resized", "transformed level was resized", _resized),
    ("level_coupling", "coarse changed", "wrong level was transformed", _coarse_changed),
    ("level_coupling", "coarse log_det", "log_det of the coarse size", _coarse_log_det),
    ("level_coupling", "enlarged late", "before the enlarging", _late),
    ("level_coupling", "bilinear", "bilinear interpolation",
     _levels_z(lambda f, s, t: f * s.exp() + t,
               look=lambda f, c: F.interpolate(c, scale_factor=2, mode="bilinear"))),
    ("level_coupling", "one in four", "one number in four", _levels(lambda s: s[..., ::2, ::2].sum((1, 2, 3)))),
    ("level_coupling", "mean over positions", "averaged over the positions", _levels(lambda s: s.mean((2, 3)).sum(1))),
    ("level_coupling", "mean", "a mean over all entries", _levels(lambda s: s.mean((1, 2, 3)))),
    ("level_coupling", "batch sum", "one number per pyramid", _levels(lambda s: s.sum())),
    ("level_coupling", "sign", "log_det has the wrong sign", _levels(lambda s: -s.sum((1, 2, 3)))),
    ("level_coupling", "sum of exp", "exp(s) was summed", _levels(lambda s: s.exp().sum((1, 2, 3)))),
    ("level_coupling", "zero", "log_det is zero", _levels(lambda s: 0 * s.sum((1, 2, 3)))),
    ("level_coupling", "four thirds", "counts 4/3", _levels(lambda s: 4 / 3 * s.sum((1, 2, 3)))),
    ("level_coupling", "s and t", "s and t changed places",
     _levels_z(lambda f, s, t: f * t.exp() + s, lambda s, t: t.sum((1, 2, 3)))),
    ("level_coupling", "no exp", "exp is missing", _levels_z(lambda f, s, t: f * s + t)),
    ("level_coupling", "added first", "added before", _levels_z(lambda f, s, t: (f + t) * s.exp())),
    ("level_coupling", "minus t", "t was subtracted", _levels_z(lambda f, s, t: f * s.exp() - t)),
    ("level_coupling", "not stretched", "was not stretched: the factor", _levels_z(lambda f, s, t: f + t)),
    ("level_coupling", "fed fine", "looked at `fine`", _fed_fine),
    ("level_coupling", "swapped", "wrong shape of fine'", _swapped_pair),
    ("level_coupling", "flat", "end with `return (fine', coarse), log_det`",
     lambda *a: (*level_coupling(*a)[0], level_coupling(*a)[1])),
    ("level_coupling", "in place", "changed in place", _loud),
    ("template", "sum", "would grow with their number", _template(lambda z: z.sum(0)), defect_map),
    ("template", "first", "first part alone", lambda latents: latents[0], defect_map),
    ("template", "median", "median of the parts", _template(lambda z: z.median(0).values), defect_map),
    ("template", "pooled", "one number per channel",
     _template(lambda z: z.mean((0, 2, 3), keepdim=True)[0].expand_as(z[0])), defect_map),
    ("template", "all kept", "wrong shape of level 0", _template(lambda z: z), defect_map),
    ("template", "abs last", "after the composition", template, _heat(lambda d: d, end=lambda x, n: x.abs().mean(0))),
    ("template", "abs after channels", "after the mean over the channels", template,
     _heat(lambda d: d, end=lambda x, n: x.mean(0).abs())),
    ("template", "no abs", "no absolute value", template, _heat(lambda d: d)),
    ("template", "mean over levels", "levels were averaged", template, _heat(end=lambda x, n: x.mean(0) / n)),
    ("template", "squared", "belongs to the training loss", template, _heat(torch.square)),
    ("template", "channel sum", "channels were added", template, _heat(end=lambda x, n: x.sum(0))),
    ("template", "channel max", "largest channel", template, _heat(end=lambda x, n: x.amax(0))),
    ("template", "finest", "finest level alone", template, _one_level(lambda k, n: k == 0)),
    ("template", "not finest", "finest level is missing", template, _one_level(lambda k, n: k > 0)),
    ("template", "not coarsest", "coarsest level is missing", template, _one_level(lambda k, n: k < n - 1)),
    ("template", "product", "levels were multiplied", template, _heat(step=lambda big, d: big * d)),
    ("template", "channels kept", "wrong shape of the map", template, _heat(end=lambda x, n: x)),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), (".mean(", ".sum("),
           ("dim=1)", "dim=0)"), (".exp()", ".cos()"), ("torch.exp(", "torch.tanh("), ("-1)", "1)"),
           ("upper, 1)", "upper)"), ("lower, -1)", "lower)"), ("P @ L @ U", "P @ U @ L"),
           ("sign * ", ""), ("0.9", "0.8"), ("0.1", "0.2"),
           (".detach()", ""), ("not training", "training"), ("nearest(coarse)", "nearest(0 * coarse)"),
           ("(1, 2, 3)", "(1, 3)"), ("power", "2"), ("\"ortho\"", "\"forward\""), ("fft2(", "fft("), (".abs()", ""),
           ("pyramid[-1]", "pyramid[0]"), ("differences[-1]", "0 * differences[-1]"), ("up(smaller)", "up(down(x))"),
           ("shape[2]", "shape[3]"), ("x = smaller", "x = x[..., ::2, ::2]"), (" % ", " // "), ("f.imag", "f.real"),
           ("below", "ones"), ("above", "ones")]
