"""What learners write in the exercises of chapter 06: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

# ---- right answers ---------------------------------------------------------------------------------------------


def squeeze(x):
    b, c, h, w = x.shape
    blocks = x.reshape(b, c, h // 2, 2, w // 2, 2)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(b, 4 * c, h // 2, w // 2)


def unsqueeze(z):
    b, c, h, w = z.shape
    blocks = z.reshape(b, c // 4, 2, 2, h, w)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(b, c // 4, 2 * h, 2 * w)


def squeeze_by_slices(x):
    b, c, h, w = x.shape
    parts = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return torch.stack(parts, dim=2).reshape(b, 4 * c, h // 2, w // 2)


def unsqueeze_by_slices(z):
    b, c, h, w = z.shape
    x = z.new_zeros(b, c // 4, 2 * h, 2 * w)
    for i in (0, 1):
        for j in (0, 1):
            x[:, :, i::2, j::2] = z[:, 2 * i + j::4]
    return x


def conv_coupling(x, st):
    x1, x2 = x.chunk(2, dim=1)
    s, t = st(x1).chunk(2, dim=1)
    return torch.cat([x1, x2 * s.exp() + t], dim=1), s.sum(dim=(1, 2, 3))


def conv_coupling_in_place(x, st):
    half = x.shape[1] // 2
    out, z = st(x[:, :half]), x.clone()
    scale = torch.exp(out[:, :half])
    z[:, half:] = x[:, half:] * scale + out[:, half:]
    return z, torch.log(scale).flatten(1).sum(1)


def actnorm_init(x):
    std, mean = x.std(dim=(0, 2, 3)), x.mean(dim=(0, 2, 3))
    return -std.log(), -mean / std


def actnorm_forward(x, log_s, b):
    z = x * log_s.exp().view(1, -1, 1, 1) + b.view(1, -1, 1, 1)
    return z, (x.shape[2] * x.shape[3] * log_s.sum()).expand(len(x))


def actnorm_by_rows(x):
    rows = x.permute(1, 0, 2, 3).reshape(x.shape[1], -1)
    log_s = torch.log(1 / rows.std(1, correction=0))
    return log_s, -rows.mean(1) * log_s.exp()


def actnorm_by_columns(x, log_s, b):
    z = (x.movedim(1, -1) * log_s.exp() + b).movedim(-1, 1)
    return z, torch.full((len(x),), float(log_s.sum()) * x[0, 0].numel(), dtype=x.dtype)


def conv1x1_logdet(M, H, W):
    return H * W * torch.linalg.slogdet(M)[1]


def logdet_by_singular_values(M, H, W):
    return torch.linalg.svdvals(M).log().sum() * (H * W)


def bits_per_dim(nll, d, levels=256):
    return nll / (d * math.log(2)) + math.log2(levels)


def bits_by_steps(nll, d, levels=256):
    nats = nll / d + math.log(levels)
    return nats * math.log2(math.e)


def shell_path(z0, z1, n):
    t = torch.linspace(0, 1, n, dtype=z0.dtype)[:, None]
    line = (1 - t) * z0 / z0.norm() + t * z1 / z1.norm()
    length = (1 - t) * z0.norm() + t * z1.norm()
    return length * line / line.norm(dim=1, keepdim=True)


def path_by_turning(z0, z1, n):
    a, b = z0.norm(), z1.norm()
    cosine = (z0 @ z1 / (a * b)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    side = z1 / b - cosine * z0 / a
    side = side / side.norm().clamp(min=1e-9)
    points = []
    for k in range(n):
        t = k / (n - 1)
        points.append((a + t * (b - a)) * (torch.cos(t * angle) * z0 / a + torch.sin(t * angle) * side))
    return torch.stack(points)


def slerp_with_care(z0, z1, n):
    t = torch.linspace(0, 1, n, dtype=z0.dtype)[:, None]
    angle = torch.arccos((z0 @ z1 / (z0.norm() * z1.norm())).clamp(-1, 1))
    if torch.sin(angle) < 1e-6:
        return (1 - t) * z0 + t * z1
    return (torch.sin((1 - t) * angle) * z0 + torch.sin(t * angle) * z1) / torch.sin(angle)


RIGHT = [
    ("squeeze", squeeze, unsqueeze), ("squeeze", squeeze_by_slices, unsqueeze_by_slices),
    ("squeeze", lambda x: pixel_unshuffle(x, 2), lambda z: pixel_shuffle(z, 2)),
    ("conv_coupling", conv_coupling), ("conv_coupling", conv_coupling_in_place),
    ("actnorm_init", actnorm_init, actnorm_forward), ("actnorm_init", actnorm_by_rows, actnorm_by_columns),
    ("conv1x1_logdet", conv1x1_logdet), ("conv1x1_logdet", logdet_by_singular_values),
    ("bits_per_dim", bits_per_dim), ("bits_per_dim", bits_by_steps),
    ("shell_path", shell_path), ("shell_path", path_by_turning), ("shell_path", slerp_with_care),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _cut(x, *axes):
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 2, 2, w // 2, 2).permute(*axes).reshape(b, 4 * c, h // 2, w // 2)


def _quarters(x):
    h, w = x.shape[2] // 2, x.shape[3] // 2
    parts = [x[:, :, i * h:(i + 1) * h, j * w:(j + 1) * w] for i in (0, 1) for j in (0, 1)]
    return torch.stack(parts, 2).flatten(1, 2)


def _paste(z, sizes, axes):
    b, c, h, w = z.shape
    return z.reshape(b, *sizes(c // 4), h, w).permute(*axes).reshape(b, c // 4, 2 * h, 2 * w)


def _coupling(log_det, dim=1):
    def answer(x, st):
        x1, x2 = x.chunk(2, dim=dim)
        s, t = st(x1).chunk(2, dim=1)
        return torch.cat([x1, x2 * s.exp() + t], dim=dim), log_det(s)
    return answer


def _coupling_z(second, total=lambda s, t: s.sum((1, 2, 3))):
    def answer(x, st):
        x1, x2 = x.chunk(2, dim=1)
        s, t = st(x1).chunk(2, dim=1)
        return torch.cat([x1, second(x2, s, t)], dim=1), total(s, t)
    return answer


def _fed_x2(x, st):
    x1, x2 = x.chunk(2, dim=1)
    s, t = st(x2).chunk(2, dim=1)
    return torch.cat([x1, x2 * s.exp() + t], dim=1), s.sum((1, 2, 3))


def _along_height(x, st):
    x1, x2 = x[:, :, :1], x[:, :, 1:]
    s, t = st(x1).chunk(2, dim=1)
    return torch.cat([x1, x2 * s.exp() + t], dim=2), s.sum((1, 2, 3))


def _loud(x, st):
    x[:, x.shape[1] // 2:] *= 2
    return conv_coupling(x, st)


def _init(log_s, b):
    def answer(x):
        mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3), correction=0)
        return log_s(mean, std), b(mean, std)
    return answer


def _total(value):
    return lambda x, log_s, b: (actnorm_forward(x, log_s, b)[0], value(x, log_s))


def _unit(z):
    return z / z.norm(dim=-1, keepdim=True)


def _t(n):
    return torch.linspace(0, 1, n, dtype=torch.float64)[:, None]


def _straight(z0, z1, n):
    return (1 - _t(n)) * z0 + _t(n) * z1


def _slerp(z0, z1, n, t=None):
    t, angle = _t(n) if t is None else t, torch.arccos(_unit(z0) @ _unit(z1))
    return (torch.sin((1 - t) * angle) * z0 + torch.sin(t * angle) * z1) / torch.sin(angle)


def _turned(z0, z1, n, more=0.0):
    """Lengths in even steps, the direction turned by the angle less ``more``."""
    a, b = z0.norm(), z1.norm()
    angle = torch.arccos((z0 @ z1 / (a * b)).clamp(-1, 1))
    side = _unit(z1 / b - torch.cos(angle) * z0 / a) if angle > 1e-6 else torch.zeros_like(z0)
    turn = _t(n) * (angle - more)
    return (a + _t(n) * (b - a)) * (torch.cos(turn) * z0 / a + torch.sin(turn) * side)


def _detour(z0, z1, n):
    path = _turned(z0, z1, n)
    aside = torch.zeros_like(z0)
    aside[2] = z0.norm()
    bent = path + _t(n) * (1 - _t(n)) * aside
    return bent * (path.norm(dim=1) / bent.norm(dim=1))[:, None]


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("squeeze", "plain reshape", "tears neighbours apart",
     lambda x: x.reshape(len(x), -1, x.shape[2] // 2, x.shape[3] // 2), unsqueeze),
    ("squeeze", "i and j exchanged", "i and j changed places", lambda x: _cut(x, 0, 1, 5, 3, 2, 4), unsqueeze),
    ("squeeze", "quarters", "four quarters", _quarters, unsqueeze),
    ("squeeze", "place before channel", "must lie side by side", lambda x: _cut(x, 0, 3, 5, 1, 2, 4), unsqueeze),
    ("squeeze", "forgets to reshape", "(B, 4C, H/2, W/2)", lambda x: x.reshape(len(x), -1), unsqueeze),
    ("squeeze", "back by reshape", "way back is a plain reshape", squeeze,
     lambda z: z.reshape(len(z), -1, 2 * z.shape[2], 2 * z.shape[3])),
    ("squeeze", "back exchanges i and j", "come back as columns", squeeze,
     lambda z: _paste(z, lambda c: (c, 2, 2), (0, 1, 4, 3, 5, 2))),
    ("squeeze", "back with place first", "c is the slow one", squeeze,
     lambda z: _paste(z, lambda c: (2, 2, c), (0, 3, 4, 1, 5, 2))),
    ("squeeze", "back is squeeze", "expected (B, C, H, W)", squeeze, squeeze),
    ("squeeze", "to float", "number type", lambda x: squeeze(x).float(), lambda z: unsqueeze(z).float()),
    ("conv_coupling", "no spatial sum", "over the channels only", _coupling(lambda s: s.sum(1))),
    ("conv_coupling", "no channel sum", "over the pixels only", _coupling(lambda s: s.sum((2, 3)))),
    ("conv_coupling", "spatial mean", "mean over the pixels", _coupling(lambda s: s.mean((2, 3)).sum(1))),
    ("conv_coupling", "mean", "mean over all entries", _coupling(lambda s: s.mean((1, 2, 3)))),
    ("conv_coupling", "batch sum", "one number per map", _coupling(lambda s: s.sum())),
    ("conv_coupling", "batch sum repeated", "then repeated", _coupling(lambda s: s.sum().repeat(len(s)))),
    ("conv_coupling", "sign", "wrong sign", _coupling(lambda s: -s.sum((1, 2, 3)))),
    ("conv_coupling", "sum of exp", "exp(s) was summed", _coupling(lambda s: s.exp().sum((1, 2, 3)))),
    ("conv_coupling", "zero", "log_det is zero", _coupling(lambda s: 0 * s.sum((1, 2, 3)))),
    ("conv_coupling", "first pixel", "first pixel", _coupling(lambda s: s[..., 0, 0].sum(1))),
    ("conv_coupling", "split along H", "your code raised", _coupling(lambda s: s.sum((1, 2, 3)), dim=2)),
    ("conv_coupling", "added first", "added before", _coupling_z(lambda x2, s, t: (x2 + t) * s.exp())),
    ("conv_coupling", "s and t exchanged", "changed places: the first half of the network",
     _coupling_z(lambda x2, s, t: x2 * t.exp() + s, lambda s, t: t.sum((1, 2, 3)))),
    ("conv_coupling", "no exp", "exp is missing", _coupling_z(lambda x2, s, t: x2 * s + t)),
    ("conv_coupling", "tanh as in the chapter", "clamped a second time",
     _coupling_z(lambda x2, s, t: x2 * torch.tanh(s).exp() + t, lambda s, t: torch.tanh(s).sum((1, 2, 3)))),
    ("conv_coupling", "st of x2", "was fed x2", _fed_x2),
    ("conv_coupling", "not stretched", "was not stretched", _coupling_z(lambda x2, s, t: x2 + t)),
    ("conv_coupling", "minus t", "t was subtracted", _coupling_z(lambda x2, s, t: x2 * s.exp() - t)),
    ("conv_coupling", "divided", "x2 was divided", _coupling_z(lambda x2, s, t: x2 / s.exp() + t)),
    ("conv_coupling", "halves exchanged", "x1 comes first",
     lambda x, st: (conv_coupling(x, st)[0].roll(x.shape[1] // 2, 1), conv_coupling(x, st)[1])),
    ("conv_coupling", "in place", "changed in place", _loud),
    ("actnorm_init", "sign of log_s", "log_s has the wrong sign",
     _init(lambda m, s: s.log(), lambda m, s: -m / s), actnorm_forward),
    ("actnorm_init", "b not divided", "b is −mean", _init(lambda m, s: -s.log(), lambda m, s: -m), actnorm_forward),
    ("actnorm_init", "b positive", "b is +mean", _init(lambda m, s: -s.log(), lambda m, s: m / s), actnorm_forward),
    ("actnorm_init", "sign and b", "+ln std where −ln std",
     _init(lambda m, s: s.log(), lambda m, s: -m), actnorm_forward),
    ("actnorm_init", "sign and its shift", "a shift that fits it",
     _init(lambda m, s: s.log(), lambda m, s: -m * s), actnorm_forward),
    ("actnorm_init", "scale and b", "1 / std where its logarithm",
     _init(lambda m, s: 1 / s, lambda m, s: -m), actnorm_forward),
    ("actnorm_init", "variance", "divided by the variance",
     _init(lambda m, s: -(s**2).log(), lambda m, s: -m / s**2), actnorm_forward),
    ("actnorm_init", "log variance", "half of it is due",
     _init(lambda m, s: -(s**2).log(), lambda m, s: -m / s), actnorm_forward),
    ("actnorm_init", "scale for log_s", "holds the scale itself",
     _init(lambda m, s: 1 / s, lambda m, s: -m / s), actnorm_forward),
    ("actnorm_init", "all channels", "for all channels together",
     lambda x: ((-x.std(correction=0).log()).expand(x.shape[1]), (-x.mean() / x.std(correction=0)).expand(x.shape[1])),
     actnorm_forward),
    ("actnorm_init", "first map", "first map alone", lambda x: actnorm_by_rows(x[:1]), actnorm_forward),
    ("actnorm_init", "per sample", "statistics per sample",
     lambda x: (-x.std((2, 3), correction=0).log(), -x.mean((2, 3)) / x.std((2, 3), correction=0)), actnorm_forward),
    ("actnorm_init", "per pixel", "statistics per pixel",
     lambda x: (-x.std(0, correction=0).log(), -x.mean(0) / x.std(0, correction=0)), actnorm_forward),
    ("actnorm_init", "no H W", "H · W is missing", actnorm_init, _total(lambda x, s: s.sum().expand(len(x)))),
    ("actnorm_init", "batch counted", "batch was counted", actnorm_init,
     _total(lambda x, s: (s.sum() * x[:, 0].numel()).expand(len(x)))),
    ("actnorm_init", "sign of log_det", "wrong sign of log_det", actnorm_init,
     _total(lambda x, s: -(s.sum() * x[0, 0].numel()).expand(len(x)))),
    ("actnorm_init", "mean over channels", "mean over the channels", actnorm_init,
     _total(lambda x, s: (s.mean() * x[0, 0].numel()).expand(len(x)))),
    ("actnorm_init", "scalar", "single number for the whole batch", actnorm_init,
     _total(lambda x, s: s.sum() * x[0, 0].numel())),
    ("actnorm_init", "H + W", "H + W", actnorm_init, _total(lambda x, s: (s.sum() * sum(x.shape[2:])).expand(len(x)))),
    ("actnorm_init", "no exp", "used as the scale", actnorm_init,
     lambda x, log_s, b: (x * log_s.view(1, -1, 1, 1) + b.view(1, -1, 1, 1), actnorm_forward(x, log_s, b)[1])),
    ("conv1x1_logdet", "no H W", "H · W is missing", lambda m, h, w: torch.linalg.slogdet(m).logabsdet),
    ("conv1x1_logdet", "logdet", "the absolute value is missing", lambda m, h, w: h * w * torch.logdet(m)),
    ("conv1x1_logdet", "det underflows", "underflows", lambda m, h, w: h * w * torch.det(m).abs().log()),
    ("conv1x1_logdet", "sign", "wrong sign", lambda m, h, w: -h * w * torch.linalg.slogdet(m)[1]),
    ("conv1x1_logdet", "H + W", "H + W", lambda m, h, w: (h + w) * torch.linalg.slogdet(m)[1]),
    ("conv1x1_logdet", "diagonal", "diagonal alone", lambda m, h, w: h * w * m.diagonal().abs().log().sum()),
    ("conv1x1_logdet", "sign value", "is the sign", lambda m, h, w: h * w * torch.linalg.slogdet(m)[0]),
    ("conv1x1_logdet", "det", "determinant itself", lambda m, h, w: h * w * torch.det(m).abs()),
    ("conv1x1_logdet", "power", "power H · W", lambda m, h, w: torch.linalg.slogdet(m)[1] ** (h * w)),
    ("conv1x1_logdet", "C too", "C is counted", lambda m, h, w: len(m) * h * w * torch.linalg.slogdet(m)[1]),
    ("conv1x1_logdet", "item", "torch tensor", lambda m, h, w: h * w * torch.linalg.slogdet(m)[1].item()),
    ("bits_per_dim", "ln", "natural logarithms", lambda v, d, k=256: v / d + math.log(k)),
    ("bits_per_dim", "nats kept", "were not turned into bits", lambda v, d, k=256: v / d + math.log2(k)),
    ("bits_per_dim", "ln K", "ln K was added", lambda v, d, k=256: v / (d * math.log(2)) + math.log(k)),
    ("bits_per_dim", "log10", "log₁₀", lambda v, d, k=256: v / (d * math.log(10)) + math.log10(k)),
    ("bits_per_dim", "ln 10", "uses ln 10", lambda v, d, k=256: v / (d * math.log(10)) + math.log2(k)),
    ("bits_per_dim", "no levels", "term of the grey levels is missing", lambda v, d, k=256: v / (d * math.log(2))),
    ("bits_per_dim", "minus levels", "grey levels has the wrong sign",
     lambda v, d, k=256: v / (d * math.log(2)) - math.log2(k)),
    ("bits_per_dim", "always 8", "always 8", lambda v, d, k=256: v / (d * math.log(2)) + 8),
    ("bits_per_dim", "per picture", "bits per picture", lambda v, d, k=256: v / math.log(2) + d * math.log2(k)),
    ("bits_per_dim", "nll not divided", "nll was not divided", lambda v, d, k=256: v / math.log(2) + math.log2(k)),
    ("bits_per_dim", "levels divided", "was divided by d", lambda v, d, k=256: (v / math.log(2) + math.log2(k)) / d),
    ("bits_per_dim", "times ln 2", "multiplied by ln 2", lambda v, d, k=256: v * math.log(2) / d + math.log2(k)),
    ("bits_per_dim", "minus nll", "another minus", lambda v, d, k=256: -v / (d * math.log(2)) + math.log2(k)),
    ("bits_per_dim", "mean", "averaged over the batch", lambda v, d, k=256: bits_per_dim(v, d, k).mean()),
    ("bits_per_dim", "255", "K − 1", lambda v, d, k=256: v / (d * math.log(2)) + math.log2(k - 1)),
    ("bits_per_dim", "no default", "keep the signature", lambda v, d, k: bits_per_dim(v, d, k)),
    ("bits_per_dim", "default 17", "does not take 256", lambda v, d, k=17: bits_per_dim(v, d, k)),
    ("shell_path", "straight", "a straight line", _straight),
    ("shell_path", "unit", "has norm 1", lambda a, b, n: _unit(_straight(a, b, n))),
    ("shell_path", "norm of z0", "norm of z0: the last",
     lambda a, b, n: a.norm() * _unit(_straight(_unit(a), _unit(b), n))),
    ("shell_path", "mean norm", "mean of both norms",
     lambda a, b, n: (a.norm() + b.norm()) / 2 * _unit(_straight(_unit(a), _unit(b), n))),
    ("shell_path", "root d", "√d", lambda a, b, n: math.sqrt(len(a)) * _unit(_straight(_unit(a), _unit(b), n))),
    ("shell_path", "no end", "last step is missing",
     lambda a, b, n: _slerp(a, b, n, torch.arange(n, dtype=a.dtype)[:, None] / n)),
    ("shell_path", "backwards", "runs backwards", lambda a, b, n: shell_path(b, a, n)),
    ("shell_path", "root weights", "right angle only",
     lambda a, b, n: (1 - _t(n)).sqrt() * a + _t(n).sqrt() * b),
    ("shell_path", "quarter turn", "a quarter turn",
     lambda a, b, n: torch.cos(math.pi / 2 * _t(n)) * a + torch.sin(math.pi / 2 * _t(n)) * b),
    ("shell_path", "parallel ends", "and so is its sine", _slerp),
    ("shell_path", "the long way", "the long way round", lambda a, b, n: _turned(a, b, n, 2 * math.pi)),
    ("shell_path", "a detour", "leaves the plane", _detour),
    ("shell_path", "parallel unit ends", "kept apart as they should be",
     lambda a, b, n: ((1 - _t(n)) * a.norm() + _t(n) * b.norm()) * _slerp(_unit(a), _unit(b), n)),
    ("shell_path", "stands still", "then jumps",
     lambda a, b, n: torch.cat([a.expand(n - 1, -1), b[None]])),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), (".mean(", ".sum("),
           ("dim=1)", "dim=0)"), ("-std", "std"), (".exp()", ".cos()"), ("2, 4)", "4, 2)"), ("3, 5,", "5, 3,"),
           ("4, 2, 5, 3", "4, 3, 5, 2"), ("i::2, j::2", "j::2, i::2"), ("math.log(2)", "math.log(3)"),
           ("math.log2(", "math.log("), ("-mean", "mean"), (".norm()", ".abs().sum()"), ("torch.sin(", "torch.cos("),
           ("x2 *", "x1 *"), ("st(x1)", "st(x2)"), ("s.exp()", "t.exp()"), ("[x1,", "[x2,"),
           ("linspace(0, 1", "linspace(0, 2"),
           ("(1, 2, 3)", "(1, 3)"), ("(0, 2, 3)", "(2, 3)"), ("[1]", "[0]"), ("H * W", "H"), ("shape[2]", "shape[1]"),
           ("arccos", "arcsin"), ("2 * i + j", "i + 2 * j")]
