"""What there is to explore: stored detectors on the factory, a file on a folder of photographs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib import stored
from tutorial_lib.data import Split

from .study import Study


def studied(detector, split: Split) -> tuple[Study, Tensor]:
    """The study of a split, and the true defects ``(N, S, S)`` bool: nothing marked in training images."""
    study = Study.of(detector, split)
    side = study.images.shape[-1]
    masks = torch.zeros(len(study.names), side, side, dtype=torch.bool)
    known = split.has_mask.tolist()
    for i in range(len(split.test)):
        if known[i]:
            mask = torch.as_tensor(split.masks[i])[None, None].float()
            masks[len(split.train) + i] = torch.nn.functional.interpolate(mask, size=(side, side))[0, 0] > 0.5
    return study, masks


def stored_models(names=None) -> dict[str, Callable[[], tuple[Study, Tensor]]]:
    """Label such as ``"fastflow · washer"`` to a function that loads the stored detector and its images."""
    def maker(method: str, category: str):
        return lambda: studied(stored.load(method, category), stored.split(category))

    return {f"{m} · {c}": maker(m, c) for m, c in (names or stored.names())}
