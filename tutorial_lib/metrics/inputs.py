"""Turns what callers hand in into numpy arrays, and says in a sentence what cannot be judged."""

from collections.abc import Iterator, Sequence

import numpy as np


class MetricError(ValueError):
    """The input cannot be judged; the message says what was found, what was expected and what to do next."""


def to_array(values) -> np.ndarray:
    """A numpy array from an array, a list, or a tensor on any device, with or without a gradient history."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.dtype.is_floating_point and values.dtype.itemsize < 4:  # numpy has no bfloat16
            values = values.float()
        return values.numpy()
    return np.asarray(values)


def scores_and_labels(scores, labels) -> tuple[np.ndarray, np.ndarray]:
    """Check scores ``(N,)`` and labels ``(N,)`` (True = defective, both classes present) and return them as arrays."""
    scores, labels = to_array(scores), to_array(labels)
    if scores.ndim != 1 or labels.shape != scores.shape:
        raise MetricError(
            f"scores have shape {scores.shape} and labels have shape {labels.shape}; expected one score and one "
            "label per image, both of shape (N,). Flatten them, or check that both come from the same split."
        )
    scores = scores.astype(np.float64)
    missing = int(np.isnan(scores).sum())
    if missing:
        raise MetricError(
            f"{missing} of {len(scores)} scores are NaN (the first at index {int(np.isnan(scores).argmax())}); a NaN "
            "has no rank. Find the image that produced it: 'torch.isnan(scores).nonzero()'."
        )
    if labels.dtype != bool:
        if not np.isin(labels, (0, 1)).all():
            raise MetricError(
                f"labels hold the values {np.unique(labels)[:5].tolist()}; expected False/True or 0/1, where True "
                "means defective. Convert kinds to labels first: 'labels = kinds != \"good\"'."
            )
        labels = labels.astype(bool)
    n_defective = int(labels.sum())
    if n_defective in (0, len(labels)):
        only = "defective" if n_defective else "normal"
        raise MetricError(
            f"all {len(labels)} images are {only}; ranking needs at least one normal and one defective image. "
            "Check the labels, or add the missing class to the test set."
        )
    return scores, labels


def maps_with_masks(maps: Sequence, masks: Sequence) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each map ``(H, W)`` with its mask ``(H, W)`` bool, checked; sizes may differ from pair to pair."""
    if len(maps) != len(masks):
        raise MetricError(f"{len(maps)} maps but {len(masks)} masks; expected one mask (all False if normal) per map.")
    for index in range(len(maps)):
        scores, mask = one_map(maps, index), to_array(masks[index])
        if mask.shape != scores.shape:
            raise MetricError(
                f"map {index} is {_size(scores)} but its mask is {_size(mask)}; expected the same height and width. "
                "Resize the map to the photograph it belongs to, never the mask."
            )
        yield scores, mask.astype(bool)


def one_map(maps: Sequence, index: int) -> np.ndarray:
    """Map ``index`` as an ``(H, W)`` array without NaN."""
    scores = to_array(maps[index])
    if scores.ndim != 2:
        raise MetricError(f"map {index} has shape {scores.shape}; expected (H, W). Drop the batch or channel axis.")
    if np.isnan(scores).any():
        raise MetricError(
            f"map {index} holds {int(np.isnan(scores).sum())} NaN pixels; a NaN has no rank. "
            "Look at that image and at the features it produces."
        )
    return scores if np.issubdtype(scores.dtype, np.floating) else scores.astype(np.float64)


def _size(array: np.ndarray) -> str:
    return "×".join(map(str, array.shape))
