"""One missing piece seen by every method: the strip that grows from chapter 08 to chapter 13.

A scratch was tried first: at 64 pixels most maps show little of it, so there was nothing to compare. It is kept, as
``kind="scratch"``. Both washers were chosen by their pictures, before any map was looked at.

Each map comes from the stored small detector of its method. Their units differ (a likelihood, a gradient, a distance),
so a map is shown as *rarity*: how seldom good washers reach a value as high. Rarity does not change when a method's map
is stretched by any increasing function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tutorial_lib import detectors
from tutorial_lib.data import factory
from tutorial_lib.metrics import pixel_auroc

CATEGORY, SEED = "washer", 100
INDEX = {"missing": 3, "scratch": 6}                             # which of the defective washers of that seed
GOOD = 20                                                       # good washers, not trained on, that give the scale
PLACES = {
    "gaussian": "kept: each has a Gaussian of its own",
    "differnet": "averaged away; the map is a gradient, pulled back to the pixels",
    "cflow": "taken one by one; the flow is told where each lies",
    "csflow": "kept in three maps of one image, which talk inside the couplings",
    "fastflow": "kept in a map; convolutions let neighbours talk",
    "pyramidflow": "kept down to the pixel; a template remembers each place",
}
ORDER = tuple(PLACES)


@dataclass(frozen=True)
class Seen:
    """What one method makes of the defect: ``rarity`` (S, S), the image (3, S, S) and mask (S, S), and two numbers."""

    method: str
    places: str             # where the spatial positions go, in a few words
    kind: str               # of the defect
    image: Tensor
    mask: Tensor
    rarity: Tensor
    pixel_auroc: float      # of this one map: how well its order tells the defect from the washer
    peak: tuple[int, int]   # row and column of the highest value
    on_defect: bool         # whether that lies on the mask or touches it


def defect(size: int = 64, kind: str = "missing") -> factory.Pairs:
    """The defective washer ``(1, 3, S, S)``, its mask ``(1, S, S)`` and its twin without the defect."""
    several = factory.pairs(CATEGORY, kind, INDEX[kind] + 1, size, seed=SEED)
    return factory.Pairs(*(part[INDEX[kind]:] for part in several))


def good(size: int = 64) -> Tensor:
    """Good washers ``(20, 3, S, S)`` that no stored detector was trained on."""
    return factory.normal(CATEGORY, GOOD, size, seed=SEED)


def rarity(found: Tensor, among: Tensor) -> Tensor:
    """-log10 of the share of good pixels that lie at least as high; a tie counts as "at least".

    ``found`` (S, S) is a map, ``among`` (N, S, S) are maps of good parts. 3 means: one good pixel in a thousand. The
    highest possible value is log10(N S S + 1), for a value above all of them.
    """
    ordered = among.flatten().sort().values
    above = len(ordered) - torch.searchsorted(ordered, found.contiguous())    # (S, S): good pixels >= the value
    return -torch.log10((above + 1) / (len(ordered) + 1))


def seen_by(method: str, detector: detectors.Detector, kind: str = "missing") -> Seen:
    """What a fitted detector makes of the defect, at its own size in pixels."""
    size = detector.settings.size
    pair = defect(size, kind)
    found = detector.anomaly_map(pair.images)[0].float()
    rare = rarity(found, detector.anomaly_map(good(size)).float())
    row, column = divmod(int(found.argmax()), size)
    touched = pair.masks[0, max(row - 1, 0):row + 2, max(column - 1, 0):column + 2].any()
    return Seen(method, PLACES[method], kind, pair.images[0], pair.masks[0], rare,
                pixel_auroc(found[None], pair.masks), (row, column), bool(touched))


def strip(up_to: str = ORDER[-1], load: Callable[[str, str], detectors.Detector] | None = None,
          kind: str = "missing") -> list[Seen]:
    """The defect through the methods from ``gaussian`` to ``up_to``, in the order of the chapters.

    Args:
        up_to: the last method, one of ``ORDER``.
        load: ``(method, category)`` to a fitted detector; by default ``tutorial_lib.stored.load``.
        kind: ``"missing"`` or ``"scratch"``.

    Raises:
        ValueError: a method that is not in ``ORDER``.
    """
    if up_to not in ORDER:
        raise ValueError(f"The strip has no method {up_to!r}. Expected one of {', '.join(ORDER)}.")
    if load is None:
        from tutorial_lib.stored import load
    return [seen_by(method, load(method, CATEGORY), kind) for method in ORDER[:ORDER.index(up_to) + 1]]
