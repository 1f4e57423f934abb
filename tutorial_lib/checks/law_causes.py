"""Likely causes, found by matching numbers: a wrong log_det is nearly always a known function of the right one."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.flows.base import standard_normal_log_prob


def cause_of_log_det(found: Tensor, truth: Tensor, x: Tensor, z: Tensor, jacobian: Tensor | None,
                     rtol: float) -> str | None:
    """None if ``found`` equals ``truth`` (B,), else the causes that reproduce ``found``, joined by "or"."""
    if found.shape == truth.shape and _near(found, truth, rtol):
        return None
    if found.shape != truth.shape:
        return _cause_of_shape(found, truth, rtol)
    candidates = {
        "the sign is flipped": -truth,
        "log_det is missing (it is 0)": torch.zeros_like(truth),
        "summed over the batch as well, then repeated": truth.sum().expand_as(truth),
        "averaged over the batch, then repeated": truth.mean().expand_as(truth),
        "computed from the first row alone and used for all": truth[0].expand_as(truth),
        "the determinant itself, its logarithm was not taken": truth.exp(),
        "the log-density of z was added: that is log_prob, not log_det": truth + standard_normal_log_prob(z),
        **_scaled(truth, x, z), **_halves(truth, x, jacobian)}
    matches = [cause for cause, value in candidates.items() if _near(found, value, max(rtol, 1e-7))]
    if matches:
        return ", or ".join(matches)
    offset = found - truth
    if _near(offset, offset.mean().expand_as(offset), max(rtol, 1e-7)):
        return (f"off by the same {float(offset.mean()):.4g} in every row: a term that does not depend on x is missing "
                "or too much, such as a fixed scaling")
    return ("some part of the map changes volume and is not counted, or is counted with other values than it uses "
            "(s before the clamp, one layer of several)")


def _cause_of_shape(found: Tensor, truth: Tensor, rtol: float) -> str:
    shape = f"shape {tuple(found.shape)} instead of ({len(truth)},): "
    near = max(rtol, 1e-7)
    if found.numel() == 1:
        for cause, value in (("summed over the batch as well", truth.sum()), ("averaged over the batch", truth.mean())):
            if _near(found.reshape(()), value, near):
                return shape + cause + "; give one number per row"
        return shape + "one number for the whole batch; give one number per row"
    if found.dim() > 1 and len(found) == len(truth):
        summed = found.flatten(1).sum(1)
        how = "the numbers are right" if _near(summed, truth, near) else "the numbers differ too"
        return shape + f"not summed over every axis but the first ({how} once summed): use .flatten(1).sum(1)"
    return shape + "summed over the wrong axis? Only the first axis, the batch, stays"


def _scaled(truth: Tensor, x: Tensor, z: Tensor) -> dict[str, Tensor]:
    entries, size = x[0].numel(), math.prod(x.shape[2:])
    changed = int((z.flatten(1) != x.flatten(1)).any(0).sum()) if z.shape == x.shape else entries
    factors = {f"a mean over all {entries} entries where a sum is due": 1 / entries,
               f"a mean over the {changed} changed entries where a sum is due": 1 / max(changed, 1),
               f"a mean over the channels, or a sum divided by their number, {x.shape[1]}": 1 / x.shape[1],
               f"the factor H·W = {size} is missing: the channels are changed at every position": 1 / max(size, 1),
               f"the factor H·W = {size} is counted twice": size,
               "divided by the batch size": 1 / len(x), "counted twice": 2, "only half of it": 0.5,
               "in bits: log2 where the natural logarithm is due": 1 / math.log(2),
               "log10 where the natural logarithm is due": 1 / math.log(10)}
    return {cause: truth * factor for cause, factor in factors.items() if factor != 1}


def _halves(truth: Tensor, x: Tensor, jacobian: Tensor | None) -> dict[str, Tensor]:
    """A two-sided coupling: the upper left block of dz/dx holds the scales of the first part alone."""
    if jacobian is None or x.shape[1] < 2:
        return {}
    first = (x.shape[1] - x.shape[1] // 2) * math.prod(x.shape[2:])
    part = torch.linalg.slogdet(jacobian[:, :first, :first])[1]
    if float(part.abs().max()) < 1e-9 or _near(part, truth, 1e-9):
        return {}                                  # one-sided: there is only one half to count
    return {"only the first half is counted, both change": part,
            "only the second half is counted, both change": truth - part}


def cause_of_round_trip(back: Tensor, x: Tensor, z: Tensor, forward: Callable, inverse_parts: list[nn.Module],
                        cond: Tensor | None, rtol: float) -> str:
    """Why ``back`` = inverse(z) is not x, by trying the usual mistakes."""
    near = max(rtol, 1e-7)
    if z.shape == x.shape and _near(back, z, near):
        return "the inverse returns its input unchanged"
    if _near(back, _tried(lambda: forward(z) if cond is None else forward(z, cond)), near):
        return "the inverse applies forward a second time"
    if len(inverse_parts) > 1 and _near(back, _tried(lambda: _undone_in_order(inverse_parts, z, cond)), near):
        return "the layers are undone in the same order; the last one done must be the first one undone"
    if x.dim() > 1 and _near(back.sort(1).values, x.sort(1).values, near):
        return "the right values in the wrong order of channels: the inverse of the permutation (argsort of the index)"
    if _near(back, x, 1e-5):
        return ("nearly right: digits are lost even in float64, because some scale is very large or small. Clamp the "
                "log-scale, or solve instead of inverting a matrix")
    wrong = _wrong_channels(back, x, near)
    if len(wrong) < x.shape[1]:
        return ("the other channels come back, these do not: order of subtracting and dividing, sign of s, a clamp "
                "left out, or s and t computed from a part that has changed")
    return ("the inverse does not undo forward: layers undone in the wrong order, a missing step, or other "
            "parameters than forward uses")


def channels_that_differ(back: Tensor, x: Tensor, rtol: float) -> str:
    wrong = _wrong_channels(back, x, rtol)
    shown = ", ".join(str(c) for c in wrong[:8]) + (", …" if len(wrong) > 8 else "")
    return f"channels {shown} of 0 to {x.shape[1] - 1}" if len(wrong) < x.shape[1] else "all channels"


def _wrong_channels(back: Tensor, x: Tensor, rtol: float) -> list[int]:
    gap = (back - x).abs().transpose(0, 1).flatten(1).amax(1)                # (C,)
    return (gap > rtol * max(1.0, float(x.abs().max()))).nonzero().flatten().tolist()


def _undone_in_order(parts: list[nn.Module], z: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor | None]:
    for part in parts:
        z = part.inverse(z, cond)[0]
    return z, None


def _tried(attempt: Callable) -> Tensor:
    """The first value of ``attempt()``, or an empty tensor when it cannot run: then it is not the cause."""
    try:
        return attempt()[0].detach()
    except Exception:
        return torch.empty(0)


def _near(a: Tensor, b: Tensor, rtol: float) -> bool:
    return a.shape == b.shape and bool(((a - b).abs() <= rtol * max(1.0, float(b.abs().max()))).all())
