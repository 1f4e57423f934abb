"""What learners write in the exercises of chapter 10: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tutorial_lib.checks.ch10 import halves, joined, total

# ---- right answers ---------------------------------------------------------------------------------------------


def three_sizes(x, extract):
    maps = []
    for step in (1, 2, 4):
        maps.append(extract(x[:, :, ::step, ::step])["block 35"])
    return tuple(maps)


def sizes_by_interpolation(x, extract):
    h, w = x.shape[2:]
    smaller = [F.interpolate(x, size=(h // k, w // k), mode="nearest") for k in (1, 2, 4)]
    return [extract(s)["block 35"] for s in smaller]


def sum_log_det(s):
    return sum(m.sum(dim=(1, 2, 3)) for m in s)


def log_det_in_one_row(s):
    return torch.cat([m.flatten(1) for m in s], dim=1).sum(1)


def exchange(h, up, down):
    large, middle, small = h
    return large + up(middle), middle + down(large) + up(small), small + down(middle)


def exchange_by_loop(h, up, down):
    out = []
    for k in range(len(h)):
        here = h[k]
        if k > 0:
            here = here + down(h[k - 1])
        if k + 1 < len(h):
            here = here + up(h[k + 1])
        out.append(here)
    return tuple(out)


def cross_coupling(xs, st):
    first, second = halves(xs)
    outs = st(first)
    changed, log_det = [], 0
    for x2, out in zip(second, outs, strict=True):
        s, t = out.chunk(2, dim=1)
        changed.append(x2 * s.exp() + t)
        log_det = log_det + s.sum(dim=(1, 2, 3))
    return joined(first, tuple(changed)), log_det


def coupling_by_slices(xs, st):
    half = [x.shape[1] // 2 for x in xs]
    outs = st(tuple(x[:, :c] for x, c in zip(xs, half, strict=True)))
    zs = [x.clone() for x in xs]
    for z, out, c in zip(zs, outs, half, strict=True):
        z[:, c:] = z[:, c:] * torch.exp(out[:, :c]) + out[:, c:]
    return zs, total(tuple(out[:, :c] for out, c in zip(outs, half, strict=True)))


def fixed_inverse(block, zs):
    z1, z2 = halves(zs)
    s_b, t_b = block.b(z1)
    x2 = tuple((y - t) * (-s).exp() for y, s, t in zip(z2, s_b, t_b, strict=True))
    s_a, t_a = block.a(x2)
    x1 = tuple((y - t) * (-s).exp() for y, s, t in zip(z1, s_a, t_a, strict=True))
    return joined(x1, x2), -total(s_a, s_b)


def inverse_in_two_steps(block, zs):
    def undo(changed, passed, network):
        s, t = network(passed)
        return [(changed[k] - t[k]) / torch.exp(s[k]) for k in range(len(changed))], sum(m.sum((1, 2, 3)) for m in s)

    first, second = halves(zs)
    second, b = undo(second, first, block.b)
    first, a = undo(first, tuple(second), block.a)
    return joined(first, second), -a - b


def localise(zs, size):
    squares = zs[0].square().mean(dim=1)
    return F.interpolate(squares[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def image_score(zs, log_det):
    return torch.cat([z.flatten(1) for z in zs], dim=1).square().mean(1) / 2


def localise_by_einsum(zs, size):
    squares = torch.einsum("bchw,bchw->bhw", zs[0], zs[0]).unsqueeze(1) / zs[0].shape[1]
    return torch.nn.Upsample(size=tuple(size), mode="bilinear")(squares).squeeze(1)


def score_by_counting(zs, log_det):
    entries = sum(z[0].numel() for z in zs)
    return sum((z ** 2).sum((1, 2, 3)) for z in zs) / (2 * entries)


RIGHT = [
    ("three_sizes", three_sizes), ("three_sizes", sizes_by_interpolation),
    ("sum_log_det", sum_log_det), ("sum_log_det", log_det_in_one_row), ("sum_log_det", lambda s: total(s)),
    ("exchange", exchange), ("exchange", exchange_by_loop),
    ("cross_coupling", cross_coupling), ("cross_coupling", coupling_by_slices),
    ("fixed_inverse", fixed_inverse), ("fixed_inverse", inverse_in_two_steps),
    ("localise", localise, image_score), ("localise", localise_by_einsum, score_by_counting),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _sizes(one):
    return lambda x, extract: tuple(one(x, extract, k) for k in (1, 2, 4))


def _bilinear(x, k):
    return F.interpolate(x, scale_factor=1 / k, mode="bilinear", antialias=True)


def _in_place_exchange(h, up, down):
    h = list(h)
    h[0] = h[0] + up(h[1])
    h[1] = h[1] + down(h[0]) + up(h[2])
    h[2] = h[2] + down(h[1])
    return tuple(h)


def _upwards(h, up, down):
    h = list(h)
    h[2] = h[2] + down(h[1])
    h[1] = h[1] + down(h[0]) + up(h[2])
    h[0] = h[0] + up(h[1])
    return tuple(h)


def _really_in_place(h, up, down):
    h[0].add_(up(h[1]))
    return h[0], h[1] + down(h[0]) + up(h[2]), h[2] + down(h[1])


def _by_hand(h, up, down):
    def to(m, like):
        return F.interpolate(m, size=like.shape[2:], mode="bilinear")

    return h[0] + to(h[1], h[0]), h[1] + to(h[0], h[1]) + to(h[2], h[1]), h[2] + to(h[1], h[2])


def _coupling(change=lambda x2, s, t: x2 * s.exp() + t, log_det=lambda s, t: total(s), feed=lambda x1, x2: x1,
              join=joined):
    def answer(xs, st):
        x1, x2 = halves(xs)
        pairs = [out.chunk(2, dim=1) for out in st(feed(x1, x2))]
        s, t = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
        return join(x1, tuple(map(change, x2, s, t))), log_det(s, t)
    return answer


def _per_scale(s):
    return [m.flatten(1).sum(1) for m in s]


def _mixed_split(xs, st):
    def swapped(maps):
        return tuple(m.roll(m.shape[1] // 2, 1) if k == 1 else m for k, m in enumerate(maps))

    zs, log_det = coupling_by_slices(swapped(xs), st)
    return swapped(zs), log_det


def _lonely(xs, st):
    x1, x2 = halves(xs)
    z, log_det = [], 0
    for k in range(3):
        alone = tuple(x if j == k else torch.zeros_like(x) for j, x in enumerate(x1))
        s, t = st(alone)[k].chunk(2, dim=1)
        z.append(x2[k] * s.exp() + t)
        log_det = log_det + s.flatten(1).sum(1)
    return joined(x1, tuple(z)), log_det


def _one_for_all(xs, st):
    x1, x2 = halves(xs)
    outs = [st(x1)[0][:, :, ::k, ::k].chunk(2, dim=1) for k in (1, 2, 4)]
    return joined(x1, tuple(x * s.exp() + t for x, (s, t) in zip(x2, outs, strict=True))), total([s for s, _ in outs])


def _inverse(undo=lambda y, s, t: (y - t) * (-s).exp(), log_det=lambda a, b: -total(a, b), shift="a", order="back",
             seen="x2"):
    def answer(block, zs):
        z1, z2 = halves(zs)
        if order == "forward":
            s_a, t_a = block.a(z2)
            x1 = tuple(map(undo, z1, s_a, t_a))
            s_b, t_b = block.b(x1)
            return joined(x1, tuple(map(undo, z2, s_b, t_b))), log_det(s_a, s_b)
        first, second = (block.a, block.b) if order == "exchanged" else (block.b, block.a)
        s_b, t_b = first(z2 if seen == "z2 twice" else z1)
        x2 = tuple(map(undo, z2, s_b, t_b))
        s_a, t_a = second(z2 if seen == "z2" else x2)
        return joined(tuple(map(undo, z1, s_a, t_a if shift == "a" else t_b)), x2), log_det(s_a, s_b)
    return answer


def _map(image, enlarge=lambda m, size: F.interpolate(m[:, None], size=size, mode="bilinear")[:, 0]):
    return lambda zs, size: enlarge(image(zs), size)


def _sum_of_maps(zs, size):
    return sum(localise((z,), size) for z in zs)


def _rows(zs):
    return torch.cat([z.flatten(1) for z in zs], dim=1)


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("three_sizes", "features strided", "features were made smaller",
     _sizes(lambda x, e, k: e(x)["block 35"][:, :, ::k, ::k])),
    ("three_sizes", "features pooled", "features were averaged down",
     _sizes(lambda x, e, k: F.avg_pool2d(e(x)["block 35"], k))),
    ("three_sizes", "features resized", "features were resized by interpolation",
     _sizes(lambda x, e, k: F.interpolate(e(x)["block 35"], scale_factor=1 / k, mode="bilinear"))),
    ("three_sizes", "wrong tap", "one block too deep", _sizes(lambda x, e, k: e(x[..., ::k, ::k])["block 36"])),
    ("three_sizes", "the released tap", "the wrong tap, hidden",
     _sizes(lambda x, e, k: e(x[..., ::k, ::k])["block 36"][:, :6])),
    ("three_sizes", "average pooling", "mean over blocks of pixels",
     _sizes(lambda x, e, k: e(F.avg_pool2d(x, k))["block 35"])),
    ("three_sizes", "bilinear", "bilinear interpolation of the image:",
     _sizes(lambda x, e, k: e(_bilinear(x, k))["block 35"])),
    ("three_sizes", "bilinear, not antialiased", "without antialias",
     _sizes(lambda x, e, k: e(F.interpolate(x, scale_factor=1 / k, mode="bilinear"))["block 35"])),
    ("three_sizes", "bicubic", "bicubic interpolation of the image",
     _sizes(lambda x, e, k: e(F.interpolate(x, scale_factor=1 / k, mode="bicubic") if k > 1 else x)["block 35"])),
    ("three_sizes", "cropped", "was cropped",
     _sizes(lambda x, e, k: e(x[:, :, :x.shape[2] // k, :x.shape[3] // k])["block 35"])),
    ("three_sizes", "reversed", "order is reversed", lambda x, e: three_sizes(x, e)[::-1]),
    ("three_sizes", "thirds", "½ and ⅓", lambda x, e: tuple(e(x[..., ::k, ::k])["block 35"] for k in (1, 2, 3))),
    ("three_sizes", "never smaller", "three times the same size", _sizes(lambda x, e, k: e(x)["block 35"])),
    ("three_sizes", "two scales", "found 2 of 3", lambda x, e: three_sizes(x, e)[:2]),
    ("three_sizes", "whole dictionary", "takes one map out", _sizes(lambda x, e, k: e(x[..., ::k, ::k]))),
    ("three_sizes", "one map", "found one Tensor", lambda x, e: e(x)["block 35"]),
    ("three_sizes", "features again", "images (B, 3, H, W); it was given",
     lambda x, e: (e(x)["block 35"], e(e(x)["block 35"][:, :, ::2, ::2]))),
    ("sum_log_det", "mean over scales", "mean over the scales", lambda s: sum(_per_scale(s)) / 3),
    ("sum_log_det", "batch summed", "batch was summed as well", lambda s: sum(m.sum() for m in s)),
    ("sum_log_det", "batch repeated", "sum repeated", lambda s: sum(m.sum() for m in s).expand(len(s[0]))),
    ("sum_log_det", "scale 0", "scale 0 alone", lambda s: s[0].sum((1, 2, 3))),
    ("sum_log_det", "last scale", "last scale alone", lambda s: s[2].sum((1, 2, 3))),
    ("sum_log_det", "means", "of each scale", lambda s: sum(m.mean((1, 2, 3)) for m in s)),
    ("sum_log_det", "mean of all", "mean over all entries", lambda s: _rows(s).mean(1)),
    ("sum_log_det", "rows", "one row per scale", lambda s: torch.stack(_per_scale(s))),
    ("sum_log_det", "columns", "one column per scale", lambda s: torch.stack(_per_scale(s), 1)),
    ("sum_log_det", "sign", "wrong sign", lambda s: -sum_log_det(s)),
    ("sum_log_det", "exp", "exp(s) was summed", lambda s: sum_log_det([m.exp() for m in s])),
    ("sum_log_det", "positions averaged", "mean over the positions", lambda s: sum(m.sum(1).mean((1, 2)) for m in s)),
    ("sum_log_det", "H W twice", "multiplied by H · W",
     lambda s: sum(m.sum((1, 2, 3)) * m.shape[2] * m.shape[3] for m in s)),
    ("sum_log_det", "absolute", "absolute values", lambda s: sum_log_det([m.abs() for m in s])),
    ("sum_log_det", "a number", "torch tensor", lambda s: float(sum_log_det(s)[0])),
    ("exchange", "new values, downwards", "scale 1 sees the new scale 0", _in_place_exchange),
    ("exchange", "new values, upwards", "scale 1 sees the new scale 2", _upwards),
    ("exchange", "in place", "changed in place", _really_in_place),
    ("exchange", "no down", "nothing is sent down", lambda h, up, down: (h[0] + up(h[1]), h[1] + up(h[2]), h[2])),
    ("exchange", "no up", "nothing is sent up", lambda h, up, down: (h[0], h[1] + down(h[0]), h[2] + down(h[1]))),
    ("exchange", "middle without large", "down(h[0]) is missing",
     lambda h, up, down: (h[0] + up(h[1]), h[1] + up(h[2]), h[2] + down(h[1]))),
    ("exchange", "middle without small", "up(h[2]) is missing",
     lambda h, up, down: (h[0] + up(h[1]), h[1] + down(h[0]), h[2] + down(h[1]))),
    ("exchange", "own map lost", "own map is missing",
     lambda h, up, down: (up(h[1]), down(h[0]) + up(h[2]), down(h[1]))),
    ("exchange", "averaged", "mean of two or three maps",
     lambda h, up, down: ((h[0] + up(h[1])) / 2, (h[1] + down(h[0]) + up(h[2])) / 3, (h[2] + down(h[1])) / 2)),
    ("exchange", "0 to 2 instead", "through two steps down",
     lambda h, up, down: (*exchange(h, up, down)[:2], h[2] + down(down(h[0])))),
    ("exchange", "0 to 2 as well", "hears both others",
     lambda h, up, down: (*exchange(h, up, down)[:2], h[2] + down(h[1]) + down(down(h[0])))),
    ("exchange", "2 to 0 instead", "through two steps up",
     lambda h, up, down: (h[0] + up(up(h[2])), *exchange(h, up, down)[1:])),
    ("exchange", "all to all", "all scales hear all",
     lambda h, up, down: (h[0] + up(h[1]) + up(up(h[2])), exchange(h, up, down)[1],
                          h[2] + down(h[1]) + down(down(h[0])))),
    ("exchange", "by hand", "resized by hand", _by_hand),
    ("exchange", "unchanged", "nothing was exchanged", lambda h, up, down: h),
    ("exchange", "subtracted", "is subtracted",
     lambda h, up, down: (h[0] - up(h[1]), h[1] - down(h[0]) - up(h[2]), h[2] - down(h[1]))),
    ("exchange", "concatenated", "concatenated instead",
     lambda h, up, down: (torch.cat([h[0], up(h[1])], 1), torch.cat([h[1], down(h[0]), up(h[2])], 1),
                          torch.cat([h[2], down(h[1])], 1))),
    ("exchange", "up of the large map", "your code raised",
     lambda h, up, down: (h[0] + up(h[0]), h[1] + up(h[1]), h[2])),
    ("cross_coupling", "scale 0", "counts scale 0 only", _coupling(log_det=lambda s, t: total(s[:1]))),
    ("cross_coupling", "last scale", "counts the last scale only", _coupling(log_det=lambda s, t: total(s[2:]))),
    ("cross_coupling", "mean over scales", "mean over the scales", _coupling(log_det=lambda s, t: total(s) / 3)),
    ("cross_coupling", "batch summed", "over the batch as well", _coupling(log_det=lambda s, t: total(s).sum())),
    ("cross_coupling", "batch repeated", "then repeated",
     _coupling(log_det=lambda s, t: total(s).sum().expand(len(s[0])))),
    ("cross_coupling", "rows", "one row per scale", _coupling(log_det=lambda s, t: torch.stack(_per_scale(s)))),
    ("cross_coupling", "sign", "wrong sign", _coupling(log_det=lambda s, t: -total(s))),
    ("cross_coupling", "zero", "log_det is zero", _coupling(log_det=lambda s, t: 0 * total(s))),
    ("cross_coupling", "exp", "sums exp(s)", _coupling(log_det=lambda s, t: total([m.exp() for m in s]))),
    ("cross_coupling", "mean", "mean over the entries",
     _coupling(log_det=lambda s, t: sum(m.mean((1, 2, 3)) for m in s))),
    ("cross_coupling", "t in log_det", "t was counted in log_det", _coupling(log_det=lambda s, t: total(s, t))),
    ("cross_coupling", "mean over positions", "mean over the positions of each scale",
     _coupling(log_det=lambda s, t: sum(m.sum(1).mean((1, 2)) for m in s))),
    ("cross_coupling", "split differs", "split differs between the scales", _mixed_split),
    ("cross_coupling", "fed x2", "halves that change", _coupling(feed=lambda x1, x2: x2)),
    ("cross_coupling", "no contact", "others set to zero", _lonely),
    ("cross_coupling", "scale 0 for all", "the s and t of scale 0", _one_for_all),
    ("cross_coupling", "added first", "t was added before", _coupling(lambda x2, s, t: (x2 + t) * s.exp())),
    ("cross_coupling", "no t", "t was left out", _coupling(lambda x2, s, t: x2 * s.exp())),
    ("cross_coupling", "no exp", "exp is missing", _coupling(lambda x2, s, t: x2 * s + t)),
    ("cross_coupling", "not stretched", "was not stretched", _coupling(lambda x2, s, t: x2 + t)),
    ("cross_coupling", "minus t", "t was subtracted", _coupling(lambda x2, s, t: x2 * s.exp() - t)),
    ("cross_coupling", "divided", "x2 was divided", _coupling(lambda x2, s, t: x2 / s.exp() + t)),
    ("cross_coupling", "s and t", "s and t changed places",
     _coupling(lambda x2, s, t: x2 * t.exp() + s, lambda s, t: total(t))),
    ("cross_coupling", "halves of z", "halves of z changed places", _coupling(join=lambda a, b: joined(b, a))),
    ("cross_coupling", "one tensor", "must return zs, log_det", lambda xs, st: cross_coupling(xs, st)[0]),
    ("fixed_inverse", "released", "this is the released inverse", _inverse(shift="b", log_det=total)),
    ("fixed_inverse", "t of b", "must come from a", _inverse(shift="b")),
    ("fixed_inverse", "not negated", "change its sign", _inverse(log_det=total)),
    ("fixed_inverse", "forward order", "in forward order", _inverse(order="forward")),
    ("fixed_inverse", "a sees z2", "a was fed z2", _inverse(seen="z2")),
    ("fixed_inverse", "b sees z2", "b was fed z2", _inverse(seen="z2 twice")),
    ("fixed_inverse", "a and b", "a and b changed places", _inverse(order="exchanged")),
    ("fixed_inverse", "forward again", "this is the block itself", lambda block, zs: block(zs)),
    ("fixed_inverse", "divided first", "divided before subtracting", _inverse(lambda y, s, t: y * (-s).exp() - t)),
    ("fixed_inverse", "multiplied", "multiplied by exp(s)", _inverse(lambda y, s, t: (y - t) * s.exp())),
    ("fixed_inverse", "added", "t was added", _inverse(lambda y, s, t: (y + t) / s.exp())),
    ("fixed_inverse", "no shift", "shift was not undone", _inverse(lambda y, s, t: y / s.exp())),
    ("fixed_inverse", "no stretch", "stretching was not undone", _inverse(lambda y, s, t: y - t)),
    ("fixed_inverse", "a alone", "counts a alone", _inverse(log_det=lambda a, b: -total(a))),
    ("fixed_inverse", "b alone", "counts b alone", _inverse(log_det=lambda a, b: -total(b))),
    ("fixed_inverse", "scale 0", "counts scale 0 only", _inverse(log_det=lambda a, b: -total(a[:1], b[:1]))),
    ("fixed_inverse", "zero", "log_det is zero", _inverse(log_det=lambda a, b: 0 * total(a))),
    ("fixed_inverse", "batch", "over the batch", _inverse(log_det=lambda a, b: -total(a, b).sum())),
    ("fixed_inverse", "halves exchanged", "halves came back exchanged",
     lambda block, zs: (joined(*halves(fixed_inverse(block, zs)[0])[::-1]), fixed_inverse(block, zs)[1])),
    ("fixed_inverse", "nothing", "zs came back unchanged", lambda block, zs: (zs, torch.zeros_like(zs[0][:, 0, 0, 0]))),
    ("localise", "channel total", "a sum over the channels", _map(lambda zs: zs[0].square().sum(1)), image_score),
    ("localise", "half", "half the square", _map(lambda zs: zs[0].square().mean(1) / 2), image_score),
    ("localise", "absolute", "absolute values", _map(lambda zs: zs[0].abs().mean(1)), image_score),
    ("localise", "mean first", "averaged over the channels, then squared", _map(lambda zs: zs[0].mean(1).square()),
     image_score),
    ("localise", "bicubic", "by bicubic interpolation",
     _map(lambda zs: zs[0].square().mean(1), lambda m, size: F.interpolate(
         m[:, None], size=size, mode="bicubic")[:, 0]), image_score),
    ("localise", "sum first", "was added up over the channels", _map(lambda zs: zs[0].sum(1).square()), image_score),
    ("localise", "root", "root was taken", _map(lambda zs: zs[0].square().mean(1).sqrt()), image_score),
    ("localise", "length", "length of the vector", _map(lambda zs: zs[0].norm(dim=1)), image_score),
    ("localise", "largest channel", "largest channel", _map(lambda zs: zs[0].square().amax(1)), image_score),
    ("localise", "batch mean", "mean over the batch",
     _map(lambda zs: zs[0].square().mean(1).mean(0, keepdim=True).expand(len(zs[0]), -1, -1)), image_score),
    ("localise", "scales added", "enlarged and added", _sum_of_maps, image_score),
    ("localise", "scales averaged", "enlarged and averaged", lambda zs, size: _sum_of_maps(zs, size) / 3, image_score),
    ("localise", "product", "enlarged and multiplied",
     lambda zs, size: localise(zs, size) * localise(zs[1:], size) * localise(zs[2:], size), image_score),
    ("localise", "coarsest", "coarsest scale", lambda zs, size: localise(zs[2:], size), image_score),
    ("localise", "nearest", "nearest neighbour",
     _map(lambda zs: zs[0].square().mean(1), lambda m, size: F.interpolate(m[:, None], size=size)[:, 0]), image_score),
    ("localise", "corners", "align_corners=True",
     _map(lambda zs: zs[0].square().mean(1), lambda m, size: F.interpolate(
         m[:, None], size=size, mode="bilinear", align_corners=True)[:, 0]), image_score),
    ("localise", "z enlarged", "z was enlarged before",
     lambda zs, size: F.interpolate(zs[0], size=size, mode="bilinear").square().mean(1), image_score),
    ("localise", "not enlarged", "wrong shape of the map", lambda zs, size: zs[0].square().mean(1), image_score),
    ("localise", "a volume of its own", "log_det = 0 and 1.7382", localise,
     lambda zs, log_det: image_score(zs, log_det) + (log_det != 0)),
    ("localise", "log_det subtracted", "log_det was subtracted", localise,
     lambda zs, log_det: image_score(zs, log_det) - log_det / _rows(zs).shape[1]),
    ("localise", "nll", "negative log-likelihood", localise,
     lambda zs, log_det: _rows(zs).square().sum(1) / 2 - log_det),
    ("localise", "log_det added", "log_det was added", localise,
     lambda zs, log_det: image_score(zs, log_det) + log_det / _rows(zs).shape[1]),
    ("localise", "mean of means", "mean of the three means", localise,
     lambda zs, log_det: sum(z.square().mean((1, 2, 3)) / 2 for z in zs) / 3),
    ("localise", "sum of means", "three means were added", localise,
     lambda zs, log_det: sum(z.square().mean((1, 2, 3)) / 2 for z in zs)),
    ("localise", "no half", "½ is missing", localise, lambda zs, log_det: _rows(zs).square().mean(1)),
    ("localise", "sum", "sum where a mean", localise, lambda zs, log_det: _rows(zs).square().sum(1) / 2),
    ("localise", "finest alone", "the map uses it alone, the score uses", localise,
     lambda zs, log_det: image_score(zs[:1], log_det)),
    ("localise", "maximum", "largest value of the map", localise,
     lambda zs, log_det: zs[0].square().mean(1).amax((1, 2))),
    ("localise", "one number", "one number for the whole batch", localise,
     lambda zs, log_det: _rows(zs).square().mean() / 2),
    ("localise", "averaged first", "averaged before", localise, lambda zs, log_det: _rows(zs).mean(1).square() / 2),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), (".mean(", ".sum("),
           ("dim=1)", "dim=0)"), ("(1, 2, 4)", "(1, 2, 3)"), ("(1, 2, 4)", "(4, 2, 1)"),
           ("::step, ::step", "::step"), ('"block 35"', '"block 36"'), ("up(", "down("), ("down(", "up("),
           ("up(middle)", "up(small)"), ("down(large)", "down(small)"), ("h[k - 1]", "h[k]"), ("k > 0", "k > 1"),
           ("k + 1 <", "k + 2 <"), (".exp()", ".cos()"), ("s.exp()", "t.exp()"), ("(-s)", "(s)"),
           ("st(first)", "st(second)"), ("x2 *", "x2 +"), ("(1, 2, 3)", "(1, 3)"), ("block.a", "block.b"),
           ("block.b(", "block.a("), ("z2, s_b", "z2, s_a"), ("s_a, t_a, strict", "s_a, t_b, strict"),
           ("zs[0]", "zs[1]"), (".square()", ".abs()"), ("bilinear", "nearest"),
           ("align_corners=False", "align_corners=True"), ("/ 2", "/ 3"), ("/ torch.exp", "* torch.exp"),
           ("-total", "total"), ("-a - b", "-a"), ("[:, c:]", "[:, :c]"), ("[:, :c]", "[:, c:]"), ("** 2", "** 3")]
