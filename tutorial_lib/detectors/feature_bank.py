"""The features of all training images, computed once and kept; and what they must not be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .errors import DetectorError

SAME = 1e-5  # images whose features differ by less, as a share of the largest, count as copies


def feature_bank(batches: Iterable[Sequence[Tensor]], names: Sequence[str], who: str, label: str) -> list[Tensor]:
    """The maps of all batches, one tensor ``(N, C, h, w)`` for each name, checked.

    Args:
        batches: for each batch of images one map ``(B, C, h, w)`` per name.
        names: in words, such as ``"the tap 'stride4'"``. who: the detector. label: of the backbone.

    Raises:
        DetectorError: a value that is not finite, a map that is the same number everywhere, or images that are equal.
    """
    bank = [torch.cat(same) for same in zip(*batches, strict=True)]
    for name, f in zip(names, bank, strict=True):
        if not f.isfinite().all():
            bad = int((~f.isfinite().flatten(1).all(1)).nonzero()[0])
            raise DetectorError(f"{who}.fit: image {bad} has NaN or infinite features at {name}. The weights of the "
                                f"backbone ({label}) are damaged: load others.")
        if f.min() == f.max():
            raise DetectorError(f"{who}.fit: {name} gives the same number everywhere: no spread, nothing to learn. "
                                f"Choose other taps, or load other weights than those of {label}.")
    if all((f - f[:1]).abs().max() <= SAME * f.abs().max() for f in bank):
        raise DetectorError(f"All {len(bank[0])} training images have the same features: nothing varies, so nothing "
                            "can be unusual. Give images that differ (are they copies of one file, or all black?).")
    return bank
