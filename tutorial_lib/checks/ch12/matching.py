"""Exercise 6: the template of normal parts, and the map of what differs from it."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.ch12.probes import LevelsSlot, join, nearest
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

C, SIZES = 3, ((8, 4), (4, 2), (2, 1))


def _latents(n, seed):
    return [tuple(normal(C, *size, seed=seed + 10 * k + level) for level, size in enumerate(SIZES)) for k in range(n)]


def _template(latents):
    slots = tuple(TensorSlot(f"level {k}", z.shape, "(C, h, w)", z.dtype) for k, z in enumerate(latents[0]))
    return (LevelsSlot("the template", slots),)


def _one(latents):
    return _template(latents)[0]


def _map(latent, template, up):
    return TensorSlot("the map", latent[0].shape[1:], "(H, W) of level 0", latent[0].dtype)


def _mean(template, defect_map):
    latents = _latents(3, seed=100)
    cases = {"3 latents": latents, "the same in another order": latents[::-1], "1 latent": latents[:1]}
    for name, given in cases.items():
        for k, level in enumerate(template(given)):
            due = torch.stack([z[k] for z in given]).mean(0)
            found = differ(f"level {k}", level, due, 1e-9, "the mean of that level")
            if found:
                return f"{name}, {found.replace('sample', 'channel')}"
    return None


def _dark(template, defect_map):
    latent, = _latents(1, seed=300)
    found = defect_map(latent, latent, nearest)
    worst = float(found.abs().max())
    return None if worst < 1e-9 else f"for a part that equals the template, the map reaches {worst:.3f}"


def _in_place(template, defect_map):
    same, other = _latents(2, seed=400)
    defect_map(other, same, nearest)  # for the diagnosis: some mistakes look alike where all but one level agree
    for level, (h, w) in enumerate(SIZES):
        for sign in (1.0, -1.0):
            changed = [z.clone() for z in same]
            changed[level][1:, h - 1, w - 1] += sign * torch.tensor([4.0, 2.0])
            heat = defect_map(tuple(changed), same, nearest)
            due = torch.zeros(SIZES[0], dtype=torch.float64)
            block = 2**level
            due[-block:, -block:] = 6 / C
            if not torch.allclose(heat.double(), due, atol=1e-6):
                return (f"level {level}, channels 1 and 2 moved by {4 * sign:+.0f} and {2 * sign:+.0f} at their last "
                        f"position: the map must be {6 / C:.0f} in the last {block} × {block} pixels and 0 elsewhere; "
                        f"found between {float(heat.min()):.3f} and {float(heat.max()):.3f}")
    return None


def _no_cancelling(template, defect_map):
    latent, same = _latents(2, seed=500)
    found = differ("the map", defect_map(latent, same, nearest), _right(latent, same, nearest), 1e-9,
                   "the mean over channels of join(|z − T|)")
    return found and found.replace("sample", "row")


def _differences(latent, template, change=torch.abs):
    return [change(z - t) for z, t in zip(latent, template, strict=True)]


def _right(latent, template, up):
    return join(_differences(latent, template), up).mean(0)


def _levelwise(reduce):
    def wrong(latents):
        return tuple(reduce(torch.stack(level)) for level in zip(*latents, strict=True))
    return wrong


TEMPLATE = Exercise(
    name="template", minutes=12, functions=("template", "defect_map"), returns=(_one, _map),
    laws=(Law("the template must be the mean of each level", _mean),
          Law("a part that equals the template must have a dark map", _dark),
          Law("a planted difference must show in its place, whatever its sign", _in_place),
          Law("differences of opposite sign must not cancel", _no_cancelling)),
    passes="the mean of every level in any order, dark for the template, planted differences of either sign in place",
    hints=("Latents come one tuple per part. zip(*latents) turns them round: one tuple per level.",
           "Three steps for the map: difference at every level, absolute value, then compose from coarse to fine as in "
           "laplacian_join.",
           "The composed picture still has C channels: their mean is the map."),
    suspects=(
        Suspect("a sum over the parts where a mean is due: the template would grow with their number",
                _levelwise(lambda z: z.sum(0))),
        Suspect("the first part alone is the template: take the mean of all",
                lambda latents: latents[0]),
        Suspect("the median of the parts: robust, but the template here is the mean",
                _levelwise(lambda z: z.median(0).values)),
        Suspect("one number per channel: the positions stay, or nothing can be compared in place",
                _levelwise(lambda z: z.mean((0, 2, 3), keepdim=True)[0].expand_as(z[0]))),
        Suspect("the absolute value came after the composition: differences of opposite sign at two levels have "
                "cancelled by then",
                lambda z, t, up: join(_differences(z, t, lambda d: d), up).abs().mean(0), index=1),
        Suspect("the absolute value came after the mean over the channels: channels of opposite sign have cancelled by "
                "then",
                lambda z, t, up: join([d.mean(0) for d in _differences(z, t, lambda d: d)], up).abs(), index=1),
        Suspect("no absolute value: what lies below the template counts as much as what lies above",
                lambda z, t, up: join(_differences(z, t, lambda d: d), up).mean(0), index=1),
        Suspect("the levels were averaged: composing adds them",
                lambda z, t, up: _right(z, t, up) / len(z), index=1),
        Suspect("squared: that belongs to the training loss, the map takes absolute values",
                lambda z, t, up: join(_differences(z, t, torch.square), up).mean(0), index=1),
        Suspect("the channels were added: take their mean",
                lambda z, t, up: C * _right(z, t, up), index=1),
        Suspect("the largest channel was taken: take their mean",
                lambda z, t, up: join(_differences(z, t), up).amax(0), index=1),
        Suspect("the finest level alone: compose all of them",
                lambda z, t, up: (z[0] - t[0]).abs().mean(0), index=1),
        Suspect("the finest level is missing: compose all of them",
                lambda z, t, up: _right((0 * z[0], *z[1:]), (0 * t[0], *t[1:]), up), index=1),
        Suspect("the coarsest level is missing: compose all of them",
                lambda z, t, up: _right((*z[:-1], 0 * z[-1]), (*t[:-1], 0 * t[-1]), up), index=1),
        Suspect("the levels were multiplied: composing adds them",
                lambda z, t, up: _product(z, t, up), index=1),
    ),
)


def _product(z, t, up):
    found = None
    for d in _differences(z, t)[::-1]:
        found = d if found is None else up(found) * d
    return found.mean(0)
