"""What learners write in the exercises of chapter 11: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import math

import torch

# ---- right answers ---------------------------------------------------------------------------------------------


def tokens_to_map(t, grid, prefix):
    h, w = grid
    places = t[:, prefix:]
    return places.transpose(1, 2).reshape(t.shape[0], t.shape[2], h, w)


def tokens_by_loop(t, grid, prefix):
    h, w = grid
    out = t.new_zeros(len(t), t.shape[2], h, w)
    for i in range(h):
        for j in range(w):
            out[:, :, i, j] = t[:, prefix + i * w + j]
    return out


def flow_parameters(C, ratio, kernels):
    h, total = int(C // 2 * ratio), 0
    for k in kernels:
        first = C // 2 * h * k * k + h
        second = h * C * k * k + C
        total += first + second + 2 * C
    return total


def parameters_by_building(C, ratio, kernels):
    h = int(C // 2 * ratio)
    layers = [torch.nn.Conv2d(a, b, k) for k in kernels for a, b in ((C // 2, h), (h, C))]
    return sum(p.numel() for layer in layers for p in layer.parameters()) + len(kernels) * 2 * C


def fastflow_step(x, perm, st):
    x1, x2 = x.chunk(2, dim=1)
    s, t = st(x1).chunk(2, dim=1)
    z = torch.cat([x1, x2 * s.exp() + t], dim=1)
    return z[:, perm], s.sum(dim=(1, 2, 3))


def step_by_channels(x, perm, st):
    half = x.shape[1] // 2
    out = st(x[:, :half])
    y = x.clone()
    y[:, half:] = x[:, half:] * torch.exp(out[:, :half]) + out[:, half:]
    return torch.stack([y[:, int(p)] for p in perm], dim=1), out[:, :half].flatten(1).sum(1)


def likelihood_map(z):
    return -0.5 * z.square().sum(dim=1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


def likelihood_by_normal(z):
    return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)


def position_blind(flow, x, perm):
    z, _ = flow(x)
    zs, _ = flow(x.flatten(2)[:, :, perm].view_as(x))
    return torch.allclose(z.flatten(2)[:, :, perm].view_as(z), zs, atol=1e-5)


def blind_by_undoing(flow, x, perm):
    shuffled = flow(x.flatten(2)[..., perm].reshape(x.shape))[0].flatten(2)
    back = shuffled[..., perm.argsort()]
    return bool((back - flow(x)[0].flatten(2)).abs().max() < 1e-6)


def blind_map_by_map(flow, x, perm):
    def shuffled(m):
        return m.flatten(2)[:, :, perm].view_as(m)
    return all(torch.allclose(flow(shuffled(m[None]))[0], shuffled(flow(m[None])[0]), atol=1e-6) for m in x)


def patch_memory_map(bank, f):
    B, C, h, w = f.shape
    rows = f.permute(0, 2, 3, 1).reshape(-1, C)
    nearest = torch.cdist(rows, bank).min(dim=1).values
    return nearest.view(B, h, w)


def memory_with_care(bank, f):
    rows = f.movedim(1, -1).flatten(0, 2)
    squares = rows.square().sum(1)[:, None] - 2 * rows @ bank.T + bank.square().sum(1)
    return squares.clamp(min=0).amin(1).sqrt().view(len(f), *f.shape[2:])


def memory_by_loop(bank, f):
    best = torch.full((len(f), *f.shape[2:]), math.inf, dtype=f.dtype)
    for patch in bank:
        best = torch.minimum(best, (f - patch.view(1, -1, 1, 1)).norm(dim=1))
    return best


RIGHT = [
    ("tokens_to_map", tokens_to_map), ("tokens_to_map", tokens_by_loop),
    ("flow_parameters", flow_parameters), ("flow_parameters", parameters_by_building),
    ("fastflow_step", fastflow_step), ("fastflow_step", step_by_channels),
    ("likelihood_map", likelihood_map), ("likelihood_map", likelihood_by_normal),
    ("position_blind", position_blind), ("position_blind", blind_by_undoing),
    ("position_blind", blind_map_by_map),
    ("patch_memory_map", patch_memory_map), ("patch_memory_map", memory_with_care),
    ("patch_memory_map", memory_by_loop),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

LN2PI = math.log(2 * math.pi)


def _parameters(h=lambda C, r: int(C // 2 * r), reads=lambda C: C // 2, writes=lambda C: C, bias=1, scale=1,
                area=lambda k: k * k):
    return lambda C, r, ks: sum(area(k) * h(C, r) * (reads(C) + writes(C)) + bias * (h(C, r) + writes(C))
                                + scale * 2 * C for k in ks)


def _step(order=lambda y, perm: y[:, perm], second=lambda x2, s, t: x2 * s.exp() + t,
          total=lambda s: s.sum((1, 2, 3)), read=0, swap=False):
    def answer(x, perm, st):
        x1, x2 = x.chunk(2, dim=1)
        s, t = st((x1, x2)[read]).chunk(2, dim=1)
        if swap:
            s, t = t, s
        return order(torch.cat([x1, second(x2, s, t)], dim=1), perm), total(s)
    return answer


def _loud(x, perm, st):
    x[:, x.shape[1] // 2:] *= 2
    return fastflow_step(x, perm, st)


def _shuffled(x, perm):
    return x.flatten(2)[:, :, perm].view_as(x)


def _blind(compare):
    return lambda flow, x, perm: compare(flow(x), flow(_shuffled(x, perm)), perm)


def _mixed(flow, x, perm):
    def shuffled(m):
        return m.reshape(len(m), -1, m.shape[1])[:, perm].reshape(m.shape)
    return torch.allclose(shuffled(flow(x)[0]), flow(shuffled(x))[0], atol=1e-5)


def _own_order(flow, x, perm):
    return position_blind(flow, x, torch.randperm(len(perm)))


def _log_prob(z, log_det):
    return -0.5 * z.square().flatten(1).sum(1) + log_det


def _gaps(reduce):
    return lambda bank, f: reduce(f.movedim(1, -1)[..., None, :] - bank)


def _naive_root(bank, f):
    rows = f.movedim(1, -1).flatten(0, 2)
    squares = rows.square().sum(1)[:, None] - 2 * rows @ bank.T + bank.square().sum(1)
    return squares.amin(1).sqrt().view(len(f), *f.shape[2:])


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("tokens_to_map", "class token kept", "as many at the end were cut off",
     lambda t, grid, prefix: tokens_to_map(t[:, :grid[0] * grid[1]], grid, 0)),
    ("tokens_to_map", "h and w", "h and w changed places",
     lambda t, grid, prefix: t[:, prefix:].reshape(len(t), grid[1], grid[0], -1).permute(0, 3, 2, 1)),
    ("tokens_to_map", "no permute", "a plain reshape",
     lambda t, grid, prefix: t[:, prefix:].reshape(len(t), -1, *grid)),
    ("tokens_to_map", "prefix ignored", "your code raised",
     lambda t, grid, prefix: t.mT.reshape(len(t), t.shape[2], *grid)),
    ("tokens_to_map", "w, h", "(B, C, w, h)", lambda t, grid, prefix: tokens_to_map(t, grid, prefix).mT),
    ("tokens_to_map", "channels last", "(B, h, w, C)",
     lambda t, grid, prefix: t[:, prefix:].reshape(len(t), *grid, -1)),
    ("tokens_to_map", "upside down", "from bottom to top",
     lambda t, grid, prefix: tokens_to_map(t, grid, prefix).flip(2)),
    ("flow_parameters", "no bias", "the biases are missing", _parameters(bias=0)),
    ("flow_parameters", "no scale", "the scale and the shift", _parameters(scale=0)),
    ("flow_parameters", "weights alone", "the weights alone", _parameters(bias=0, scale=0)),
    ("flow_parameters", "only s", "gives s and t", _parameters(writes=lambda C: C // 2)),
    ("flow_parameters", "reads all", "reads half of the channels", _parameters(reads=lambda C: C)),
    ("flow_parameters", "width of C", "of the channels that are read", _parameters(h=lambda C, r: int(C * r))),
    ("flow_parameters", "rounded", "cut off, not rounded", _parameters(h=lambda C, r: round(C // 2 * r))),
    ("flow_parameters", "not whole", "not a whole number", _parameters(h=lambda C, r: C // 2 * r)),
    ("flow_parameters", "k", "k · k weights", _parameters(area=lambda k: k)),
    ("flow_parameters", "first kernel", "with the first kernel",
     lambda C, r, ks: flow_parameters(C, r, [ks[0]] * len(ks))),
    ("flow_parameters", "one block", "one block only", lambda C, r, ks: flow_parameters(C, r, ks[:1])),
    ("flow_parameters", "permutation", "permutation was counted",
     lambda C, r, ks: flow_parameters(C, r, ks) + C**2 * len(ks)),
    ("flow_parameters", "permutation as numbers", "C too many in every block",
     lambda C, r, ks: flow_parameters(C, r, ks) + C * len(ks)),
    ("flow_parameters", "second is 1x1", "its own kernel of side k",
     lambda C, r, ks: sum((C // 2) * int(C // 2 * r) * k * k + int(C // 2 * r) * C + int(C // 2 * r) + 3 * C
                          for k in ks)),
    ("flow_parameters", "a list", "must be one number", lambda C, r, ks: [flow_parameters(C, r, [k]) for k in ks]),
    ("fastflow_step", "rows", "applied to the rows", _step(order=lambda y, perm: y[:, :, perm])),
    ("fastflow_step", "columns", "applied to the columns", _step(order=lambda y, perm: y[..., perm])),
    ("fastflow_step", "no permutation", "the permutation is missing", _step(order=lambda y, perm: y)),
    ("fastflow_step", "inverse", "the inverse permutation", _step(order=lambda y, perm: y[:, perm.argsort()])),
    ("fastflow_step", "before", "reordered before the coupling",
     lambda x, perm, st: _step(order=lambda y, p: y)(x[:, perm], perm, st)),
    ("fastflow_step", "fed x2", "from the half that changes", _step(read=1)),
    ("fastflow_step", "added first", "t was added before", _step(second=lambda x2, s, t: (x2 + t) * s.exp())),
    ("fastflow_step", "no exp", "exp is missing", _step(second=lambda x2, s, t: x2 * s + t)),
    ("fastflow_step", "not stretched", "was not stretched", _step(second=lambda x2, s, t: x2 + t)),
    ("fastflow_step", "way back", "this is the way back", _step(second=lambda x2, s, t: (x2 - t) / s.exp())),
    ("fastflow_step", "s and t", "s and t changed places", _step(swap=True)),
    ("fastflow_step", "one place", "of one place only", _step(total=lambda s: s[:, :, 0, 0].sum(1))),
    ("fastflow_step", "channels only", "over the channels only", _step(total=lambda s: s.sum(1))),
    ("fastflow_step", "places only", "over the places only", _step(total=lambda s: s.sum((2, 3)))),
    ("fastflow_step", "mean over places", "mean over the places", _step(total=lambda s: s.mean((2, 3)).sum(1))),
    ("fastflow_step", "mean", "mean over all entries", _step(total=lambda s: s.mean((1, 2, 3)))),
    ("fastflow_step", "batch", "over the batch as well", _step(total=lambda s: s.sum())),
    ("fastflow_step", "sign", "wrong sign", _step(total=lambda s: -s.sum((1, 2, 3)))),
    ("fastflow_step", "zero", "log_det is zero", _step(total=lambda s: 0 * s.sum((1, 2, 3)))),
    ("fastflow_step", "sum of exp", "exp(s) was summed", _step(total=lambda s: s.exp().sum((1, 2, 3)))),
    ("fastflow_step", "in place", "changed in place", _loud),
    ("likelihood_map", "no constant", "the constant is missing: each", lambda z: -0.5 * z.square().sum(1)),
    ("likelihood_map", "one constant", "once per place", lambda z: -0.5 * z.square().sum(1) - 0.5 * LN2PI),
    ("likelihood_map", "all constants", "constant of the whole map",
     lambda z: -0.5 * z.square().sum(1) - 0.5 * LN2PI * z[0].numel()),
    ("likelihood_map", "constant not halved", "lacks its half",
     lambda z: -0.5 * z.square().sum(1) - z.shape[1] * LN2PI),
    ("likelihood_map", "sign of the constant", "constant has the wrong sign",
     lambda z: -0.5 * z.square().sum(1) + 0.5 * z.shape[1] * LN2PI),
    ("likelihood_map", "mean", "sum is due: log-densities add", lambda z: -0.5 * z.square().mean(1) - 0.5 * LN2PI),
    ("likelihood_map", "mean alone", "and the constant is missing", lambda z: -0.5 * z.square().mean(1)),
    ("likelihood_map", "mean, constants", "the constant was summed",
     lambda z: -0.5 * z.square().mean(1) - 0.5 * z.shape[1] * LN2PI),
    ("likelihood_map", "sign", "negative log-likelihood", lambda z: -likelihood_map(z)),
    ("likelihood_map", "no half", "half of z²", lambda z: -z.square().sum(1) - 0.5 * z.shape[1] * LN2PI),
    ("likelihood_map", "proxy", "a proxy", lambda z: -torch.exp(-0.5 * z.square().mean(1))),
    ("likelihood_map", "density", "not its logarithm", lambda z: likelihood_map(z).exp()),
    ("likelihood_map", "square of the sum", "the sum was squared",
     lambda z: -0.5 * z.sum(1) ** 2 - 0.5 * z.shape[1] * LN2PI),
    ("likelihood_map", "total", "one number per map", lambda z: likelihood_map(z).sum((1, 2))),
    ("likelihood_map", "over the places", "was summed over the places (axes 2 and 3)",
     lambda z: -0.5 * z.square().sum((2, 3)) - 0.5 * z[0, 0].numel() * LN2PI),
    ("likelihood_map", "channels kept", "were not summed", lambda z: -0.5 * z.square() - 0.5 * LN2PI),
    ("likelihood_map", "spread evenly", "that place of z alone",
     lambda z: likelihood_map(z).mean((1, 2), keepdim=True).expand(-1, *z.shape[2:])),
    ("position_blind", "totals", "totals were compared", _blind(lambda a, b, p: torch.allclose(_log_prob(*a),
                                                                                              _log_prob(*b)))),
    ("position_blind", "log_det", "only log_det", _blind(lambda a, b, p: torch.allclose(a[1], b[1]))),
    ("position_blind", "not shuffled", "as it was", _blind(lambda a, b, p: torch.allclose(a[0], b[0]))),
    ("position_blind", "twice", "shuffled twice", _blind(lambda a, b, p: torch.allclose(a[0], _shuffled(b[0], p)))),
    ("position_blind", "exact", "exact equality", _blind(lambda a, b, p: torch.equal(_shuffled(a[0], p), b[0]))),
    ("position_blind", "wide", "tolerance is so wide",
     _blind(lambda a, b, p: torch.allclose(_shuffled(a[0], p), b[0], atol=0.02))),
    ("position_blind", "first channel", "only the first channel",
     _blind(lambda a, b, p: torch.allclose(_shuffled(a[0], p)[:, 0], b[0][:, 0]))),
    ("position_blind", "sorted", "sorted values",
     _blind(lambda a, b, p: torch.allclose(a[0].flatten(2).sort()[0], b[0].flatten(2).sort()[0], atol=1e-6))),
    ("position_blind", "turned", "the other way round",
     _blind(lambda a, b, p: not torch.allclose(_shuffled(a[0], p), b[0], atol=1e-5))),
    ("position_blind", "channels mixed in", "channels and places were mixed", _mixed),
    ("position_blind", "first map", "only the first map",
     _blind(lambda a, b, p: torch.allclose(_shuffled(a[0], p)[0], b[0][0], atol=1e-5))),
    ("position_blind", "last map", "only the last map",
     _blind(lambda a, b, p: torch.allclose(_shuffled(a[0], p)[-1], b[0][-1], atol=1e-5))),
    ("position_blind", "own order", "perm was not used", _own_order),
    ("position_blind", "a tensor of answers", "of torch.bool",
     _blind(lambda a, b, p: torch.isclose(_shuffled(a[0], p), b[0]))),
    ("position_blind", "a distance", "found a tensor ()",
     _blind(lambda a, b, p: (_shuffled(a[0], p) - b[0]).abs().max())),
    ("position_blind", "yes", "True came back", lambda flow, x, perm: True),
    ("position_blind", "no", "False came back", lambda flow, x, perm: False),
    ("patch_memory_map", "root of a negative", "root of a negative", _naive_root),
    ("patch_memory_map", "mean patch", "distance to the mean",
     lambda bank, f: (f - bank.mean(0)[:, None, None]).norm(dim=1)),
    ("patch_memory_map", "mean distance", "mean distance to all", _gaps(lambda g: g.norm(dim=-1).mean(-1))),
    ("patch_memory_map", "farthest", "the farthest patch", _gaps(lambda g: g.norm(dim=-1).amax(-1))),
    ("patch_memory_map", "squared", "squared distances", _gaps(lambda g: g.square().sum(-1).amin(-1))),
    ("patch_memory_map", "each channel", "each channel by itself",
     _gaps(lambda g: g.square().amin(-2).sum(-1).sqrt())),
    ("patch_memory_map", "absolute", "absolute differences", _gaps(lambda g: g.abs().sum(-1).amin(-1))),
    ("patch_memory_map", "mean of squares", "mean over the channels",
     _gaps(lambda g: g.square().mean(-1).sqrt().amin(-1))),
    ("patch_memory_map", "second nearest", "second nearest", _gaps(lambda g: g.norm(dim=-1).sort(-1).values[..., 1])),
    ("patch_memory_map", "reshape", "without moving the channels",
     lambda bank, f: torch.cdist(f.reshape(-1, f.shape[1]), bank).amin(1).view(len(f), *f.shape[2:])),
    ("patch_memory_map", "columns first", "column by column",
     lambda bank, f: torch.cdist(f.permute(0, 3, 2, 1).flatten(0, 2), bank).amin(1).view(len(f), *f.shape[2:])),
    ("patch_memory_map", "h and w", "h and w changed places at the end",
     lambda bank, f: patch_memory_map(bank, f).reshape(len(f), f.shape[3], f.shape[2])),
    ("patch_memory_map", "w, h", "is (B, w, h)", lambda bank, f: patch_memory_map(bank, f).mT),
    ("patch_memory_map", "minus", "the sign is turned", lambda bank, f: -patch_memory_map(bank, f)),
    ("patch_memory_map", "one image", "share the smallest",
     lambda bank, f: patch_memory_map(bank, f).amin(0, keepdim=True).repeat(len(f), 1, 1)),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " + "), (".sum(", ".mean("), ("dim=1)", "dim=0)"), ("-0.5", "-1.0"),
           ("0.5 * z.shape[1]", "0.5"), (".exp()", ".cos()"), ("prefix:", "1:"), ("transpose(1, 2).", ""),
           ("h, w)", "w, h)"), ("i * w + j", "j * h + i"), ("// 2", "// 1"), ("2 * C", "C"), ("k * k", "k"),
           ("[:, perm]", ""), ("x1, x2 *", "x2, x1 *"), ("st(x1)", "st(x2)"), ("(1, 2, 3)", "(1, 3)"),
           ("perm]", "perm.flip(0)]"),
           ("allclose", "equal"), (".argsort()", ""), (".min(", ".max("), (".amin(", ".amax("), (".clamp(min=0)", ""),
           (".sqrt()", ""), ("minimum", "maximum"), ("0, 2, 3, 1", "0, 3, 2, 1"), ("math.pi", "math.e"),
           ("norm(dim=1)", "norm(dim=1, p=1)")]
