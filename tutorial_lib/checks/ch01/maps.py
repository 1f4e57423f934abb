"""Exercise 4: one score from a map."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot
from tutorial_lib.metrics import auroc

HOWS = ("max", "mean", "topk")
K = 5


def _maps(b: int = 4, h: int = 6, w: int = 9) -> Tensor:
    return torch.randn(b, h, w, generator=torch.Generator().manual_seed(21), dtype=torch.float64)


def _right(maps: Tensor, how: str, k: int = 1) -> Tensor:
    flat = maps.flatten(1)
    if how == "mean":
        return flat.mean(1)
    return flat.topk(1 if how == "max" else k, dim=1).values.mean(1)


def _each(call):
    for how in HOWS:
        found, expected = call(_maps(), how, K), _right(_maps(), how, K)
        gap = (found - expected).abs()
        if float(gap.max()) > 1e-6:
            i = int(gap.argmax())
            return f"how = {how!r}, k = {K}: map {i} gives {float(found[i]):.4f}, expected {float(expected[i]):.4f}"
    return None


def _order(call):
    top, some, mean = (call(_maps(), how, K) for how in ("max", "topk", "mean"))
    if bool(((top < some - 1e-9) | (some < mean - 1e-9)).any()):
        return f"map 0: max {float(top[0]):.3f}, topk {float(some[0]):.3f}, mean {float(mean[0]):.3f}"
    return None


def _shuffled(call):
    maps = _maps()
    mixed = maps.flatten(1)[:, torch.randperm(54, generator=torch.Generator().manual_seed(2))].view_as(maps)
    for how in HOWS:
        gap = float((call(maps, how, K) - call(mixed, how, K)).abs().max())
        if gap > 1e-6:
            return f"how = {how!r}: shuffling the pixels of a map changes its score by {gap:.3g}"
    return None


def _ends(call):
    one, every = call(_maps(), "topk", 1), call(_maps(), "topk", 54)
    gaps = float((one - call(_maps(), "max", 1)).abs().max()), float((every - call(_maps(), "mean", 1)).abs().max())
    if gaps[0] > 1e-6:
        return f"topk with k = 1 differs from max by {gaps[0]:.3g}"
    return f"topk with all 54 pixels differs from mean by {gaps[1]:.3g}" if gaps[1] > 1e-6 else None


def _planted(call):
    draw = torch.Generator().manual_seed(22)
    maps = torch.randn(160, 32, 32, generator=draw)
    maps[80:, 12:15, 12:15] += 6
    labels = torch.arange(160) >= 80
    by_max, by_mean = (auroc(call(maps, how, 1), labels) for how in ("max", "mean"))
    return None if by_max > 0.98 and by_mean < 0.95 else (
        f"3 × 3 defects in noise maps: AUROC {by_max:.2f} by max and {by_mean:.2f} by mean")


IMAGE_SCORE = Exercise(
    name="image_score", minutes=8,
    returns=(lambda maps, how, k: TensorSlot("the scores", maps.shape[:1], "(B,)"),),
    laws=(Law("a map's score must not depend on where its pixels lie", _shuffled),
          Law("max ≥ topk ≥ mean does not hold", _order),
          Law("topk must run from max (k = 1) to mean (k = all pixels)", _ends),
          Law("the scores are not those of the map's own pixels", _each),
          Law("small planted defects must be found by max and mostly lost by mean", _planted)),
    passes="max ≥ topk ≥ mean, topk runs from max to mean, the order of the pixels does not matter",
    hints=("maps.flatten(1) has shape (B, H·W): one row per map. Which axis must disappear, and which one stay?",
           "tensor.topk(k, dim=1) returns the k largest of each row as .values, shape (B, k).",
           "The score is the *mean* of those k values: with k = 1 it is the maximum, with all pixels the mean."),
    suspects=(
        Suspect("the k-th largest value: topk is the mean of the k largest",
                lambda m, how, k: _right(m, how) if how != "topk" else m.flatten(1).topk(k).values[:, -1]),
        Suspect("the sum of the k largest: divide by k, or the score grows with k",
                lambda m, how, k: _right(m, how) if how != "topk" else m.flatten(1).topk(k).values.sum(1)),
        Suspect("the k smallest: largest=False takes the wrong end",
                lambda m, how, k: -_right(-m, how, k) if how == "topk" else _right(m, how)),
        Suspect("the reduction ran over the batch axis, so all maps share one score",
                lambda m, how, k: _right(m.flatten()[None], how, k).expand(len(m))),
        Suspect("k is not used: topk returns the maximum", lambda m, how, k: _right(m, how, 1)),
        Suspect("the mean of each row's maximum: rows of pixels are no unit; flatten the map first",
                lambda m, how, k: m.amax(2).mean(1) if how == "max" else _right(m, how, k)),
        Suspect("the sum of all pixels stands where the mean is due",
                lambda m, how, k: m.flatten(1).sum(1) if how == "mean" else _right(m, how, k)),
        Suspect("the largest absolute value: a strongly negative pixel is not anomalous",
                lambda m, how, k: m.abs().flatten(1).amax(1) if how == "max" else _right(m, how, k)),
        Suspect("`how` is not used: all three are the maximum", lambda m, how, k: _right(m, "max")),
        Suspect("`how` is not used: all three are the mean", lambda m, how, k: _right(m, "mean")),
        Suspect("max and mean changed places", lambda m, how, k: _right(m, {"max": "mean", "mean": "max"}.get(how, how),
                                                                        k)),
        Suspect("the median stands where the mean is due",
                lambda m, how, k: m.flatten(1).median(1).values if how == "mean" else _right(m, how, k))),
)
