"""Exercise 6: a map and a score from three latents."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.ch10.probes import flat, pyramid
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SIZE = (32, 32)


def _map(zs, size):
    return TensorSlot("the map", (len(zs[0]), *size), "(B, H, W)", zs[0].dtype)


def _score(zs, log_det):
    return TensorSlot("the score", (len(zs[0]),), "(B,)", zs[0].dtype)


def _large(m, size, **mode):
    mode = {"mode": "bilinear", "align_corners": False} | mode
    return F.interpolate(m[:, None], size=tuple(size), **mode)[:, 0]


def _right(zs, size):
    return _large(zs[0].square().mean(1), size)


def _squares(localise, image_score):
    zs = pyramid(3, 8, seed=62)
    return differ("the map in the size of scale 0, averaged over its positions,",
                  localise(zs, zs[0].shape[2:]).flatten(1).mean(1), zs[0].square().flatten(1).mean(1), 1e-9,
                  "the mean of all z₀²")


def _finest(localise, image_score):
    zs = pyramid(3, 8, seed=63)
    other = (zs[0], zs[1] + 1, zs[2] - 2)
    return differ("with scales 1 and 2 moved, the map", localise(other, SIZE), localise(zs, SIZE), 0.0,
                  "the map before: scale 0 alone makes it")


def _place(localise, image_score):
    for size in (SIZE, (24, 40)):
        zs = pyramid(3, 8, seed=64)
        found = differ(f"the map at {size[0]} × {size[1]}", localise(zs, size), _right(zs, size), 1e-9,
                       "the mean of z² of scale 0, enlarged bilinearly with every cell's value at the cell's centre")
        if found:
            return found
    return None


def _ones(localise, image_score):
    zs = tuple(torch.ones_like(m) for m in pyramid(2, 8, seed=0))
    found = float(image_score(zs, torch.zeros(2, dtype=torch.float64))[0])
    return None if abs(found - 0.5) < 1e-9 else f"z = 1 everywhere must score 0.5; found {found:.4g}"


def _volume(localise, image_score):
    zs = pyramid(3, 8, seed=65)
    a, b = (image_score(zs, v) for v in (torch.zeros(2, dtype=torch.float64), 50 * normal(2, seed=66)))
    row = int((a - b).abs().argmax())
    if float((a - b).abs().max()) <= 1e-9:
        return None
    return (f"image {row}: the same z scores {float(a[row]):.4f} with log_det = 0 and {float(b[row]):.4f} with another "
            "log_det")


def _weights(localise, image_score):
    zs = pyramid(3, 8, seed=67)
    return differ("the score", image_score(zs, normal(2, seed=68)), flat(zs).square().mean(1) / 2, 1e-9,
                  "half the mean of z² over all numbers of all scales")


def _rows(localise, image_score):
    zs, log_det = pyramid(3, 8, seed=69), normal(2, seed=70)
    one = tuple(z[1:] for z in zs)
    where = differ("image 1 alone: its map", localise(one, SIZE), localise(zs, SIZE)[1:], 1e-9, "that in the batch")
    where = where or differ("image 1 alone: its score", image_score(one, log_det[1:]), image_score(zs, log_det)[1:],
                            1e-9, "that in the batch")
    return where and (where, "something was reduced over the batch axis")


LOCALISE = Exercise(
    name="localise", minutes=7, functions=("localise", "image_score"), returns=(_map, _score),
    laws=(Law("before it is enlarged, the map must average to the mean of z₀²", _squares),
          Law("the finest scale alone makes the map", _finest),
          Law("the map must lie where the cells lie", _place),
          Law("log_det must not enter the score", _volume),
          Law("z = 1 everywhere must score 0.5", _ones),
          Law("every number of every scale must weigh the same", _weights),
          Law("the images of a batch depend on each other", _rows)),
    passes="the map averages to the mean of z₀² and lies in place, the score is the mean of z²/2 over all scales",
    hints=("The map: squares, averaged over the channels of the finest scale, (B, h, w). The score: one mean over all "
           "numbers of all scales.",
           "F.interpolate wants a channel axis: m[:, None] makes (B, 1, h, w), [:, 0] takes it away again.",
           "A mean of three means weighs the scales alike. Lay all numbers of a sample in one row first: flatten(1), "
           "torch.cat."),
    suspects=(
        Suspect("a sum over the channels where their mean is due: same picture, C times the numbers",
                lambda zs, size: _large(zs[0].square().sum(1), size)),
        Suspect("half the square: the map is the mean of z², without ½",
                lambda zs, size: _large(zs[0].square().mean(1) / 2, size)),
        Suspect("the absolute values were averaged: squares are due",
                lambda zs, size: _large(zs[0].abs().mean(1), size)),
        Suspect("z was averaged over the channels, then squared: square each channel first, or signs cancel",
                lambda zs, size: _large(zs[0].mean(1).square(), size)),
        Suspect("z was added up over the channels, then squared: square each channel first, or signs cancel",
                lambda zs, size: _large(zs[0].sum(1).square(), size)),
        Suspect("the root was taken: the map is the mean of z² itself",
                lambda zs, size: _large(zs[0].square().mean(1).sqrt(), size)),
        Suspect("the length of the vector was taken: the map is the mean of z²",
                lambda zs, size: _large(zs[0].norm(dim=1), size)),
        Suspect("the largest channel instead of the mean over all",
                lambda zs, size: _large(zs[0].square().amax(1), size)),
        Suspect("a mean over the batch slipped in: every image has its own map",
                lambda zs, size: _right(tuple(z.square().mean(0, keepdim=True).sqrt().expand_as(z) for z in zs), size)),
        Suspect("all three scales were enlarged and added: CS-Flow's map uses the finest alone",
                lambda zs, size: sum(_large(z.square().mean(1), size) for z in zs)),
        Suspect("all three scales were enlarged and averaged: CS-Flow's map uses the finest alone",
                lambda zs, size: sum(_large(z.square().mean(1), size) for z in zs) / 3),
        Suspect("all three scales were enlarged and multiplied: anomalib does that; the paper takes the finest alone",
                lambda zs, size: _product(zs, size)),
        Suspect("the coarsest scale was taken: scale 0 is the finest",
                lambda zs, size: _large(zs[-1].square().mean(1), size)),
        Suspect("nearest neighbour: enlarge bilinearly",
                lambda zs, size: F.interpolate(zs[0].square().mean(1)[:, None], size=tuple(size))[:, 0]),
        Suspect("align_corners=True puts the outer cells on the rim: half a cell off; leave it False",
                lambda zs, size: _large(zs[0].square().mean(1), size, align_corners=True)),
        Suspect("z was enlarged before the squares were taken: enlarge the map",
                lambda zs, size: F.interpolate(zs[0], size=tuple(size), mode="bilinear").square().mean(1)),
        Suspect("enlarged by bicubic interpolation: it goes beyond the cells' own values; the law asks for bilinear",
                lambda zs, size: _large(zs[0].square().mean(1), size, mode="bicubic")),
        Suspect("log_det was subtracted: that is the likelihood; the published score is z² alone",
                lambda zs, log_det: flat(zs).square().mean(1) / 2 - log_det / flat(zs).shape[1], index=1),
        Suspect("this is the negative log-likelihood per image: the published score is z² alone, averaged",
                lambda zs, log_det: flat(zs).square().sum(1) / 2 - log_det, index=1),
        Suspect("log_det was added: the published score is z² alone",
                lambda zs, log_det: flat(zs).square().mean(1) / 2 + log_det / flat(zs).shape[1], index=1),
        Suspect("a mean of the three means: a number of the small map then weighs 16 times as much as one of the large",
                lambda zs, log_det: sum(z.square().flatten(1).mean(1) for z in zs) / 6, index=1),
        Suspect("the three means were added, not averaged",
                lambda zs, log_det: sum(z.square().flatten(1).mean(1) for z in zs) / 2, index=1),
        Suspect("½ is missing: the score of z = 1 is 0.5",
                lambda zs, log_det: flat(zs).square().mean(1), index=1),
        Suspect("a sum where a mean is due: divide by the number of entries",
                lambda zs, log_det: flat(zs).square().sum(1) / 2, index=1),
        Suspect("scale 0 alone: the map uses it alone, the score uses all three",
                lambda zs, log_det: zs[0].square().flatten(1).mean(1) / 2, index=1),
        Suspect("the largest value of the map: CS-Flow takes the mean",
                lambda zs, log_det: zs[0].square().mean(1).flatten(1).amax(1), index=1),
        Suspect("one number for the whole batch: every image has its own score",
                lambda zs, log_det: flat(zs).square().mean() / 2, index=1),
        Suspect("z was averaged before it was squared: signs cancel",
                lambda zs, log_det: flat(zs).mean(1).square() / 2, index=1),
    ),
)


def _product(zs, size):
    maps = [_large(z.square().mean(1), size) for z in zs]
    return maps[0] * maps[1] * maps[2]
