"""What learners write in the exercises of chapter 09: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

# ---- right answers ---------------------------------------------------------------------------------------------


def map_to_vectors(f):
    return f.permute(0, 2, 3, 1).reshape(-1, f.shape[1])


def vectors_to_map(v, B, h, w):
    return v.reshape(B, h, w, -1).permute(0, 3, 1, 2)


def vectors_by_loop(f):
    return torch.stack([f[b, :, y, x] for b in range(len(f)) for y in range(f.shape[2]) for x in range(f.shape[3])])


def map_by_loop(v, B, h, w):
    f = v.new_zeros(B, v.shape[1], h, w)
    for row, vector in enumerate(v):
        b, rest = divmod(row, h * w)
        f[b, :, rest // w, rest % w] = vector
    return f


def positions_2d(P, h, w):
    half = P // 2
    i = torch.arange(half // 2)
    omega = 10_000 ** (-2 * i / half)

    def wave(n):
        angle = torch.arange(n)[:, None] * omega
        return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).T

    columns = wave(w)[:, None, :].expand(half, h, w)
    rows = wave(h)[:, :, None].expand(half, h, w)
    return torch.cat([columns, rows])


def positions_by_loop(P, h, w):
    code, half = torch.zeros(P, h, w), P // 2
    for i in range(half // 2):
        omega = math.exp(-2 * i * math.log(1e4) / half)
        for y in range(h):
            for x in range(w):
                code[2 * i, y, x], code[2 * i + 1, y, x] = math.sin(x * omega), math.cos(x * omega)
                code[half + 2 * i, y, x], code[half + 2 * i + 1, y, x] = math.sin(y * omega), math.cos(y * omega)
    return code


def positions_by_slices(P, h, w):
    half = P // 2
    omega = torch.exp(torch.arange(0, half, 2).double() * (-math.log(1e4) / half))
    y, x = torch.meshgrid(torch.arange(h).double(), torch.arange(w).double(), indexing="ij")
    code = torch.empty(P, h, w, dtype=torch.float64)
    code[0:half:2], code[1:half:2] = torch.sin(omega[:, None, None] * x), torch.cos(omega[:, None, None] * x)
    code[half::2], code[half + 1::2] = torch.sin(omega[:, None, None] * y), torch.cos(omega[:, None, None] * y)
    return code


def conditional_coupling(x, cond, st):
    x1, x2 = x.chunk(2, dim=1)
    s, t = st(torch.cat([x1, cond], dim=1)).chunk(2, dim=1)
    return torch.cat([x1, x2 * s.exp() + t], dim=1), s.sum(dim=1)


def coupling_by_index(x, cond, st):
    half = x.shape[1] // 2
    out, z = st(torch.hstack((x[:, :half], cond))), x.clone()
    scale = torch.exp(out[:, :half])
    z[:, half:] = z[:, half:] * scale + out[:, half:]
    return z, scale.log().sum(-1)


def logsigmoid_loss(log_p, C):
    return -F.logsigmoid(log_p / C).mean()


def loss_by_softplus(log_p, C):
    return F.softplus(-log_p / C).sum() / len(log_p)


def loss_by_logaddexp(log_p, C):
    return torch.logaddexp(torch.zeros_like(log_p), -log_p / C).mean()


def aggregate(log_p, ref_max, size):
    total = 0
    for likely, top in zip(log_p, ref_max, strict=True):
        p = (likely - top).clamp(max=0).exp()
        total = total + F.interpolate(p[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    return len(log_p) - total


def aggregate_by_losses(log_p, ref_max, size):
    maps = []
    for k in range(len(log_p)):
        p = torch.exp(log_p[k].double() - ref_max[k]).clip(0, 1)
        maps.append(1 - F.interpolate(p.unsqueeze(1), (size, size), mode="bilinear").squeeze(1))
    return torch.stack(maps).sum(0)


def position_swap(detector, f, a, b):
    c, h, w = f.shape
    g = f.clone()
    g[:, a[0], a[1]], g[:, b[0], b[1]] = f[:, b[0], b[1]], f[:, a[0], a[1]]
    code = detector.code(h, w)

    def total(m):
        v = m.permute(1, 2, 0).reshape(-1, c)
        return detector.with_code(v, code).sum(), detector.without_code(v).sum()

    (told, untold), (told_after, untold_after) = total(f), total(g)
    return float(told_after - told), float(untold_after - untold)


def swap_two_rows(detector, f, a, b):
    w = f.shape[2]
    i, j = a[0] * w + a[1], b[0] * w + b[1]
    v, code = f.flatten(1).T, detector.code(*f.shape[1:])
    pair, turned, places = v[[i, j]], v[[j, i]], code[[i, j]]
    told = detector.with_code(turned, places).sum() - detector.with_code(pair, places).sum()
    return told, detector.without_code(turned).sum() - detector.without_code(pair).sum()


RIGHT = [
    ("map_to_vectors", map_to_vectors, vectors_to_map), ("map_to_vectors", vectors_by_loop, map_by_loop),
    ("map_to_vectors", lambda f: f.flatten(2).transpose(1, 2).flatten(0, 1),
     lambda v, B, h, w: v.view(B, h * w, -1).transpose(1, 2).unflatten(2, (h, w))),
    ("positions_2d", positions_2d), ("positions_2d", positions_by_loop), ("positions_2d", positions_by_slices),
    ("conditional_coupling", conditional_coupling), ("conditional_coupling", coupling_by_index),
    ("logsigmoid_loss", logsigmoid_loss), ("logsigmoid_loss", loss_by_softplus), ("logsigmoid_loss", loss_by_logaddexp),
    ("aggregate", aggregate), ("aggregate", aggregate_by_losses),
    ("position_swap", position_swap), ("position_swap", swap_two_rows),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _code(P, h, w, omega=lambda i, half: 1e4 ** (-2 * i / half), swap=False, first=0, unit=False, order="pairs"):
    half = P // 2
    freq = omega(torch.arange(half // 2).double(), half)

    def wave(n):
        place = (torch.arange(n).double() + first) / (n if unit else 1)
        a = place[:, None] * freq
        if order == "blocks":
            return torch.cat([a.sin(), a.cos()], 1).T
        pair = [a.cos(), a.sin()] if order == "cosine first" else [a.sin(), a.cos()]
        return torch.stack(pair, 2).flatten(1).T

    columns, rows = wave(w)[:, None].expand(half, h, w), wave(h)[..., None].expand(half, h, w)
    return torch.cat((rows, columns) if swap else (columns, rows))


def _own_frequencies(P, h, w):
    half = P // 2
    j = torch.arange(half)[:, None]

    def wave(n):
        a = torch.arange(n) * 1e4 ** (-j / half)
        return torch.where(j % 2 == 0, a.sin(), a.cos())

    return torch.cat([wave(w)[:, None].expand(half, h, w), wave(h)[..., None].expand(half, h, w)])


def _coupling(read=lambda x1, x2, c: (x1, c), second=lambda x2, s, t: x2 * s.exp() + t,
              total=lambda s, t, c: s.sum(1)):
    def answer(x, cond, st):
        x1, x2 = x.chunk(2, dim=1)
        s, t = st(torch.cat(read(x1, x2, cond), dim=1)).chunk(2, dim=1)
        return torch.cat([x1, second(x2, s, t)], dim=1), total(s, t, cond)
    return answer


def _cond_transformed(x, cond, st):
    z, log_det = conditional_coupling(x, cond, st)
    return torch.cat([z, cond * 2], dim=1), log_det


def _joined_then_halved(x, cond, st):
    return conditional_coupling(torch.cat([x, cond], dim=1), cond, st)


def _first_half_moved(x, cond, st):
    z, log_det = conditional_coupling(x, cond, st)
    return torch.cat([z[:, :3] + cond[:, :3], z[:, 3:]], dim=1), log_det


def _aggregate(relative=lambda v, m: (v - m).clamp(max=0).exp(), up=None, last=lambda p: len(p) - sum(p)):
    up = up or (lambda p, size: F.interpolate(p[:, None], size=(size, size), mode="bilinear")[:, 0])
    return lambda log_p, ref_max, size: last([up(relative(v, m), size) for v, m in zip(log_p, ref_max, strict=True)])


def _late(log_p, ref_max, size):
    up = [F.interpolate((v - m).clamp(max=0)[:, None], size=(size, size), mode="bilinear")[:, 0]
          for v, m in zip(log_p, ref_max, strict=True)]
    return len(up) - torch.stack(up).exp().sum(0)


def _swapped(f, a, b):
    g = f.clone()
    g[:, a[0], a[1]], g[:, b[0], b[1]] = f[:, b[0], b[1]], f[:, a[0], a[1]]
    return g


def _values(detector, f, g, join, code=None):
    c = detector.code(*f.shape[1:])
    d = c if code is None else code(c)
    return (join(detector.with_code(g.flatten(1).T, d), detector.with_code(f.flatten(1).T, c)),
            join(detector.without_code(g.flatten(1).T), detector.without_code(f.flatten(1).T)))


def _swap(join=lambda after, before: float(after.sum() - before.sum()), move=_swapped):
    return lambda detector, f, a, b: _values(detector, f, move(f, a, b), join)


def _codes_too(detector, f, a, b):
    def exchanged(c):
        d, i, j = c.clone(), a[0] * f.shape[2] + a[1], b[0] * f.shape[2] + b[1]
        d[[i, j]] = c[[j, i]]
        return d
    return _values(detector, f, _swapped(f, a, b), lambda after, before: float(after.sum() - before.sum()), exchanged)


def _lost(f, a, b):
    g = f.clone()
    g[:, a[0], a[1]] = g[:, b[0], b[1]]
    g[:, b[0], b[1]] = g[:, a[0], a[1]]
    return g


def _through_views(f, a, b):
    g = f.clone()
    g[:, b[0], b[1]], g[:, a[0], a[1]] = g[:, a[0], a[1]], g[:, b[0], b[1]]
    return g


def _wide(f, a, b):
    g, h = f.flatten(1).clone(), f.shape[1]
    i, j = a[0] * h + a[1], b[0] * h + b[1]
    g[:, [i, j]] = g[:, [j, i]]
    return g.view(f.shape)


def _reshaped(detector, f, a, b):
    g, c = _swapped(f, a, b), detector.code(*f.shape[1:])
    after, before = g.reshape(-1, len(f)), f.reshape(-1, len(f))
    return (detector.with_code(after, c).sum() - detector.with_code(before, c).sum(),
            detector.without_code(after).sum() - detector.without_code(before).sum())


def _zero_written_down(detector, f, a, b):
    c, g = detector.code(*f.shape[1:]), _swapped(f, a, b)
    return detector.with_code(g.flatten(1).T, c).sum() - detector.with_code(f.flatten(1).T, c).sum(), 0.0


def _one_place(detector, f, a, b):
    i = b[0] * f.shape[2] + b[1]
    return _values(detector, f, _swapped(f, a, b), lambda after, before: float(after[i] - before[i]))


def _in_place(detector, f, a, b):
    before = float(detector.with_code(f.flatten(1).T, detector.code(*f.shape[1:])).sum())
    f[:, a[0], a[1]], f[:, b[0], b[1]] = f[:, b[0], b[1]].clone(), f[:, a[0], a[1]].clone()
    return float(detector.with_code(f.flatten(1).T, detector.code(*f.shape[1:])).sum()) - before, 0.0


def _xy(detector, f, a, b):
    return _values(detector, f, _swapped(f, a[::-1], b[::-1]), lambda after, before: float(after.sum() - before.sum()))


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("map_to_vectors", "plain reshape", "C neighbours of one channel", lambda f: f.reshape(-1, f.shape[1]),
     vectors_to_map),
    ("map_to_vectors", "columns first", "columns run before rows",
     lambda f: f.permute(0, 3, 2, 1).reshape(-1, f.shape[1]), vectors_to_map),
    ("map_to_vectors", "images fast", "images are the fast index",
     lambda f: f.permute(2, 3, 0, 1).reshape(-1, f.shape[1]), vectors_to_map),
    ("map_to_vectors", "images kept apart", "expected (B·h·w, C)", lambda f: f.flatten(2).transpose(1, 2),
     vectors_to_map),
    ("map_to_vectors", "back by reshape", "way back is a plain reshape", map_to_vectors,
     lambda v, B, h, w: v.reshape(B, -1, h, w)),
    ("map_to_vectors", "back by columns", "column by column", map_to_vectors,
     lambda v, B, h, w: v.reshape(B, w, h, -1).permute(0, 3, 2, 1)),
    ("map_to_vectors", "back with images fast", "takes the image as the fast index", map_to_vectors,
     lambda v, B, h, w: v.reshape(h, w, B, -1).permute(2, 3, 0, 1)),
    ("map_to_vectors", "back leaves the channels last", "expected (B, C, h, w)", map_to_vectors,
     lambda v, B, h, w: v.reshape(B, h, w, -1)),
    ("map_to_vectors", "to float", "number type", lambda f: map_to_vectors(f).float(),
     lambda v, B, h, w: vectors_to_map(v, B, h, w).float()),
    ("positions_2d", "x and y", "x and y are swapped", lambda P, h, w: _code(P, h, w, swap=True)),
    ("positions_2d", "frequencies up", "run the wrong way",
     lambda P, h, w: _code(P, h, w, lambda i, half: 1e4 ** (2 * i / half))),
    ("positions_2d", "P in the exponent", "divided by P",
     lambda P, h, w: _code(P, h, w, lambda i, half: 1e4 ** (-2 * i / (2 * half)))),
    ("positions_2d", "from 1", "counted from 1", lambda P, h, w: _code(P, h, w, first=1)),
    ("positions_2d", "unit places", "divided by the size", lambda P, h, w: _code(P, h, w, unit=True)),
    ("positions_2d", "blocks", "all sines first", lambda P, h, w: _code(P, h, w, order="blocks")),
    ("positions_2d", "cosine first", "changed places: the even", lambda P, h, w: _code(P, h, w, order="cosine first")),
    ("positions_2d", "own frequencies", "share one", _own_frequencies),
    ("positions_2d", "channels last", "found (3, 5, 8)", lambda P, h, w: positions_2d(P, h, w).permute(1, 2, 0)),
    ("positions_2d", "half the channels", "found (4, 3, 5)", lambda P, h, w: positions_2d(P, h, w)[:P // 2]),
    ("positions_2d", "columns only", "this half depends on the row",
     lambda P, h, w: positions_2d(P, h, w)[:P // 2].repeat(2, 1, 1)),
    ("positions_2d", "sum of both", "larger than a sine", lambda P, h, w: positions_2d(2 * P, h, w)[:P]
     + positions_2d(2 * P, h, w)[P:]),
    ("conditional_coupling", "joined to x2", "joined to the changed half", _coupling(lambda x1, x2, c: (x2, c))),
    ("conditional_coupling", "cond first", "read the condition before x1", _coupling(lambda x1, x2, c: (c, x1))),
    ("conditional_coupling", "zeros", "left out", _coupling(lambda x1, x2, c: (x1, 0 * c))),
    ("conditional_coupling", "one condition for all", "first row was used for all",
     _coupling(lambda x1, x2, c: (x1, c[:1].expand(len(c), -1)))),
    ("conditional_coupling", "no cond", "it was given (5, 3)", _coupling(lambda x1, x2, c: (x1,))),
    ("conditional_coupling", "cond transformed too", "expected (N, C)", _cond_transformed),
    ("conditional_coupling", "joined, then halved", "it was given (5, 9)", _joined_then_halved),
    ("conditional_coupling", "first half moved", "first half must pass", _first_half_moved),
    ("conditional_coupling", "s and t", "in z, though not in log_det",
     _coupling(second=lambda x2, s, t: x2 * t.exp() + s)),
    ("conditional_coupling", "s and t throughout", "changed places: the first half of the network",
     _coupling(second=lambda x2, s, t: x2 * t.exp() + s, total=lambda s, t, c: t.sum(1))),
    ("conditional_coupling", "added first", "added before", _coupling(second=lambda x2, s, t: (x2 + t) * s.exp())),
    ("conditional_coupling", "no exp", "exp is missing", _coupling(second=lambda x2, s, t: x2 * s + t)),
    ("conditional_coupling", "inverse", "this is the way back",
     _coupling(second=lambda x2, s, t: (x2 - t) / s.exp(), total=lambda s, t, c: -s.sum(1))),
    ("conditional_coupling", "sign", "wrong sign", _coupling(total=lambda s, t, c: -s.sum(1))),
    ("conditional_coupling", "batch", "one number per vector", _coupling(total=lambda s, t, c: s.sum())),
    ("conditional_coupling", "mean", "mean over the columns", _coupling(total=lambda s, t, c: s.mean(1))),
    ("conditional_coupling", "t too", "shift t slipped", _coupling(total=lambda s, t, c: (s + t).sum(1))),
    ("conditional_coupling", "sum of exp", "exp(s) was summed", _coupling(total=lambda s, t, c: s.exp().sum(1))),
    ("conditional_coupling", "zero", "log_det is zero", _coupling(total=lambda s, t, c: torch.zeros_like(s[:, 0]))),
    ("conditional_coupling", "ln P", "ln P was added",
     _coupling(total=lambda s, t, c: s.sum(1) + math.log(c.shape[1]))),
    ("conditional_coupling", "a term of the condition", "term of the condition",
     _coupling(total=lambda s, t, c: s.sum(1) - c.square().sum(1) / 2)),
    ("logsigmoid_loss", "log of sigmoid", "whichever of the two", lambda v, C: -torch.log(torch.sigmoid(v / C)).mean()),
    ("logsigmoid_loss", "no minus", "minus sign is missing", lambda v, C: F.logsigmoid(v / C).mean()),
    ("logsigmoid_loss", "sign inside", "sign inside is turned", lambda v, C: F.softplus(v / C).mean()),
    ("logsigmoid_loss", "no C", "C is forgotten", lambda v, C: -F.logsigmoid(v).mean()),
    ("logsigmoid_loss", "C outside", "divided by C after", lambda v, C: -F.logsigmoid(v).mean() / C),
    ("logsigmoid_loss", "times C", "multiplied by C", lambda v, C: -F.logsigmoid(v * C).mean()),
    ("logsigmoid_loss", "sum", "a sum over the vectors", lambda v, C: -F.logsigmoid(v / C).sum()),
    ("logsigmoid_loss", "nll", "plain negative log-likelihood", lambda v, C: -v.mean() / C),
    ("logsigmoid_loss", "no log", "logarithm is missing", lambda v, C: 1 - torch.sigmoid(v / C).mean()),
    ("logsigmoid_loss", "mean first", "mean was taken before", lambda v, C: -F.logsigmoid(v.mean() / C)),
    ("logsigmoid_loss", "base 10", "base 10", lambda v, C: -F.logsigmoid(v / C).mean() / math.log(10)),
    ("logsigmoid_loss", "no mean", "the mean over the batch is missing", lambda v, C: -F.logsigmoid(v / C)),
    ("logsigmoid_loss", "a small number", "above 1e-12", lambda v, C: -torch.log(torch.sigmoid(v / C) + 1e-12).mean()),
    ("logsigmoid_loss", "clamped", "above 1e-09", lambda v, C: -torch.sigmoid(v / C).clamp(min=1e-9).log().mean()),
    ("logsigmoid_loss", "item", "torch tensor", lambda v, C: -F.logsigmoid(v / C).mean().item()),
    ("aggregate", "test batch", "normalised by the test batch", _aggregate(lambda v, m: (v - v.max()).exp())),
    ("aggregate", "each image", "each image's own maximum",
     _aggregate(lambda v, m: (v - v.amax((1, 2), keepdim=True)).exp())),
    ("aggregate", "nearest", "each cell becomes a block",
     _aggregate(up=lambda p, size: F.interpolate(p[:, None], size=(size, size), mode="nearest")[:, 0])),
    ("aggregate", "bicubic", "by bicubic interpolation",
     _aggregate(up=lambda p, size: F.interpolate(p[:, None], size=(size, size), mode="bicubic")[:, 0])),
    ("aggregate", "align corners", "pulled to the outer pixels",
     _aggregate(up=lambda p, s: F.interpolate(p[:, None], (s, s), mode="bilinear", align_corners=True)[:, 0])),
    ("aggregate", "sign", "high where the place is likely", _aggregate(last=sum)),
    ("aggregate", "no K", "K is missing", _aggregate(last=lambda p: -sum(p))),
    ("aggregate", "1 - sum", "with K scales the sum reaches K", _aggregate(last=lambda p: 1 - sum(p))),
    ("aggregate", "mean", "mean over the scales", _aggregate(last=lambda p: 1 - sum(p) / len(p))),
    ("aggregate", "product", "scales were multiplied",
     _aggregate(last=lambda p: len(p) * (1 - torch.stack(p).prod(0)))),
    ("aggregate", "late exp", "enlarged before exp", _late),
    ("aggregate", "no exp", "no floor, and one scale", _aggregate(lambda v, m: (v - m).clamp(max=0))),
    ("aggregate", "no exp, sum", "0 at best and without", _aggregate(lambda v, m: (v - m).clamp(max=0),
                                                                   last=lambda p: -sum(p))),
    ("aggregate", "no reference", "another height at every scale", _aggregate(lambda v, m: v.exp())),
    ("aggregate", "added", "reference was added", _aggregate(lambda v, m: (v + m).clamp(max=0).exp())),
    ("aggregate", "no cap", "the cap is missing", _aggregate(lambda v, m: (v - m).exp())),
    ("aggregate", "cells", "expected (B, size, size)", lambda v, m, s: aggregate(v, m, 8)),
    ("position_swap", "codes too", "exchanged together", _codes_too),
    ("position_swap", "one lost", "that of (0, 1) nowhere", _swap(move=_lost)),
    ("position_swap", "exchanged through views", "that of (3, 2) nowhere", _swap(move=_through_views)),
    ("position_swap", "before minus after", "before minus after",
     _swap(lambda after, before: float((before - after).sum()))),
    ("position_swap", "mean, as tensors", "mean over the positions",
     _swap(lambda after, before: (after - before).mean())),
    ("position_swap", "after alone", "not its change", _swap(lambda after, before: float(after.sum()))),
    ("position_swap", "one place", "place b alone was counted", _one_place),
    ("position_swap", "absolute", "absolute values", _swap(lambda after, before: float((after - before).abs().sum()))),
    ("position_swap", "results exchanged", "two results changed places",
     lambda d, f, a, b: position_swap(d, f, a, b)[::-1]),
    ("position_swap", "row and column", "row and column changed", _xy),
    ("position_swap", "rows for columns", "counted with h", _swap(move=_wide)),
    ("position_swap", "plain reshape", "cuts each channel's plane", _reshaped),
    ("position_swap", "zero written down", "was never called", _zero_written_down),
    ("position_swap", "in place", "changed in place", _in_place),
    ("position_swap", "one result", "it must return with, without", lambda d, f, a, b: position_swap(d, f, a, b)[0]),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), (".mean(", ".sum("),
           ("dim=1)", "dim=0)"), ("sin", "cos"), ("cos", "sin"), ("-2 *", "2 *"), ("half // 2", "half"),
           ("P // 2", "P"), ("2 * i", "i"), ("[columns, rows]", "[rows, columns]"), ("(w)", "(h)"), ("(h)", "(w)"),
           ("x1, cond", "cond, x1"), ("x1, x2", "x2, x1"), ("s, t", "t, s"), (".exp()", ".cos()"),
           ("torch.exp(", "torch.sin("), ("logsigmoid", "sigmoid"), ("softplus", "relu"), ("-log_p", "log_p"),
           (" / C", ""), ("max=0", "max=9"), ("clip(0, 1)", "clip(0, 9)"), ("bilinear", "nearest"),
           ("=False", "=True"), ("len(log_p) -", "1 -"), ("1 - F", "2 - F"), ("0, 2, 3, 1", "0, 3, 2, 1"),
           ("0, 3, 1, 2", "0, 3, 2, 1"), ("h, w, -1", "w, h, -1"), ("[j, i]", "[i, j]"), ("a[0]", "a[1]"),
           ("b[0]", "a[0]"), ("f[:, b", "g[:, b"), ("1, 2, 0", "2, 1, 0"), ("% w", "% h"), ("// w", "// h")]
