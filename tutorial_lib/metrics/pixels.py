"""Pixel-level and region-level metrics over maps whose sizes may differ.

Both have an exact form (``bins=None``: all pixels in memory, one sort) and a form with equal-count bins (the maps are
read twice, one at a time: memory stays constant). Equal counts, not equal widths: anomaly scores have heavy tails,
and bins of equal width would then put almost every pixel into the first one.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from tutorial_lib.metrics.areas import area, false_positive_shares
from tutorial_lib.metrics.inputs import MetricError, maps_with_masks, one_map

SAMPLE = 2**20  # pixels from which the bin edges are taken


def pixel_auroc(maps: Sequence, masks: Sequence, bins: int | None = None) -> float:
    """The probability that a defective pixel scores higher than a normal one, over all images together.

    ``maps`` and ``masks`` are sequences of ``(H, W)``; ``bins=None`` is exact, ``bins=65536`` saves memory.
    A large defect counts as many times as it has pixels: :func:`aupro` does not have that bias.
    Raises ``MetricError`` on NaN, on sizes that differ, and where no pixel (or every pixel) is defective.
    """
    return _pixel_area(maps, masks, lambda mask: mask.astype(np.float64), 1.0, bins)


def aupro(maps: Sequence, masks: Sequence, limit: float = 0.3, bins: int | None = None) -> float:
    """The area under the per-region overlap, up to a false-positive rate of ``limit``, divided by ``limit``.

    ``PRO(t) = mean over regions of |region ∩ {map ≥ t}| / |region|``, drawn over the share of normal pixels with
    ``map ≥ t``. Regions are 8-connected parts of a mask and weigh the same whatever their size; the curve is
    interpolated linearly at the limit. A map without information gets about ``limit / 2``.

    Arguments and errors as in :func:`pixel_auroc`. Source: Bergmann et al. 2020, arXiv 1911.02357; the
    limit 0.3 is theirs.
    """
    if not 0 < limit <= 1:
        raise MetricError(f"limit is {limit}; expected a false-positive rate above 0 and at most 1, usually 0.3.")
    return _pixel_area(maps, masks, _region_weights, limit, bins)


def connected_regions(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the 8-connected regions of a mask: ``(H, W)`` int, 0 = background, and how many there are."""
    labels, count = ndimage.label(np.asarray(mask, dtype=bool), structure=np.ones((3, 3)))
    return labels, int(count)


def _region_weights(mask: np.ndarray) -> np.ndarray:
    """``(H, W)``: every pixel of a region weighs 1 / area, so that each region weighs 1; background 0."""
    labels, count = connected_regions(mask)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    share = 1.0 / np.maximum(areas, 1)
    share[0] = 0.0
    return share[labels]


def _pixel_area(maps, masks, weigh, limit: float, bins: int | None) -> float:
    if bins is None:
        weights, above, through = _exact(maps, masks, weigh)
    else:
        weights, above, through = _binned(maps, masks, weigh, bins)
    return area(weights / weights.sum(), above, through, limit)


def _exact(maps, masks, weigh):
    defective, weights, normal = [], [], []
    for scores, mask in maps_with_masks(maps, masks):
        defective.append(scores[mask])
        weights.append(weigh(mask)[mask])
        normal.append(scores[~mask])
    _require_both(sum(map(len, defective)), sum(map(len, normal)))
    defective, weights = np.concatenate(defective), np.concatenate(weights)
    order = np.argsort(defective)  # neighbours in order look up neighbours: several times faster on large sets
    return weights[order], *false_positive_shares(defective[order], np.concatenate(normal))


def _binned(maps, masks, weigh, bins: int):
    if bins < 2:
        raise MetricError(f"bins is {bins}; expected at least 2, or None for the exact value. 65536 is a good number.")
    edges = _equal_count_edges(maps, bins)
    normal, weights = np.zeros(len(edges) + 1), np.zeros(len(edges) + 1)
    for scores, mask in maps_with_masks(maps, masks):
        index = np.searchsorted(edges, scores.ravel(), side="right")
        normal += np.bincount(index[~mask.ravel()], minlength=len(normal))
        weights += np.bincount(index, weights=weigh(mask).ravel(), minlength=len(normal))
    _require_both(weights.sum(), normal.sum())
    through = np.cumsum(normal[::-1])[::-1] / normal.sum()  # share of normal pixels in this bin or a higher one
    return weights, np.append(through[1:], 0.0), through


def _equal_count_edges(maps, bins: int) -> np.ndarray:
    """Edges between ``bins`` bins that hold about equally many pixels, from a seeded sample of every map."""
    rng = np.random.default_rng(0)
    per_map = -(-SAMPLE // max(len(maps), 1))
    sample = []
    for index in range(len(maps)):
        pixels = one_map(maps, index).ravel()
        sample.append(pixels if len(pixels) <= per_map else rng.choice(pixels, per_map))
    if not sample:
        _require_both(0, 0)
    ordered = np.sort(np.concatenate(sample))
    places = np.linspace(0, len(ordered) - 1, bins + 1)[1:-1].round().astype(int)
    edges, times = np.unique(ordered[places], return_counts=True)
    tied = edges[times > 1]  # a value that fills more than one bin, like 0 after a ReLU, gets a bin of its own
    return np.union1d(edges, np.nextafter(tied, tied.dtype.type(np.inf)))


def _require_both(defective: float, normal: float) -> None:
    if defective and normal:
        return
    found = "no normal pixel" if defective else "no defective pixel"
    raise MetricError(
        f"there is {found} in the masks; expected at least one of each kind. Check that the masks were found and "
        "that True means defective, or leave the pixel metrics out."
    )
