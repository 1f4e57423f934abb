"""Score lab, tab 2: how large must a missed defect be before pixel AUROC notices, and when does AUPRO?

The map is 0 or 1: a square defect is marked fully, of a second, round one a share is marked. ``measure`` is the pure
part and asks ``tutorial_lib.metrics``; ``Missed`` draws it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from tutorial_lib.metrics import aupro, pixel_auroc
from tutorial_lib.plots.score_lab import MissedPicture, missed_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

SIDE, LARGE = 256, (slice(20, 120), slice(20, 120))  # the map, and the large defect of 100 × 100 pixels
RADII = np.arange(2, 41)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@lru_cache(maxsize=256)
def scene(radius: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Map ``(S, S)`` of 0 and 1, and mask ``(S, S)`` bool with both defects."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    disc = (rows - 185) ** 2 + (columns - 185) ** 2 <= radius**2
    mask = disc.copy()
    mask[LARGE] = True
    heat = np.zeros((SIDE, SIDE))
    heat[LARGE] = 1.0
    inside = np.flatnonzero(disc)
    heat.flat[inside[:round(share * len(inside))]] = 1.0  # the upper part of the disc
    return heat, mask


@lru_cache(maxsize=256)
def _metrics(radius: int, share: float) -> tuple[float, float, int]:
    heat, mask = scene(radius, share)
    return pixel_auroc([heat], [mask]), aupro([heat], [mask]), int(mask.sum() - 100 * 100)


def measure(radius: int, share: float) -> dict[str, float]:
    """Pixel AUROC, AUPRO up to 0.3, and the area of the second defect in pixels."""
    auroc, pro, area = _metrics(radius, share)
    return {"radius": radius, "share": share, "area": area, "pixel AUROC": auroc, "AUPRO": pro}


def sentence(n: dict[str, float]) -> str:
    """What a state shows, in words."""
    return (f"The second defect has radius {n['radius']} ({n['area']} pixels, the first one 10000), and "
            f"{n['share']:.0%} of it is marked: pixel AUROC {n['pixel AUROC']:.3f}, AUPRO {n['AUPRO']:.3f}.")


class Missed:
    """The picture of tab 2; the curves of a share are computed once."""

    def __init__(self):
        self.picture = MissedPicture(SIDE, RADII)
        self.canvas = Canvas(self.picture.fig, self.picture.moving)
        self.canvas.keep("missed")
        self.curves = {}
        for share in SHARES:
            found = [measure(int(r), share) for r in RADII]
            self.curves[share] = [np.array([m[name] for m in found]) for name in ("pixel AUROC", "AUPRO")]

    def view(self, radius: int, share: float) -> View:
        """Picture, numbers and sentence of one state."""
        n = measure(radius, share)
        self.picture.set(pixels(radius, share), self.curves[share], radius, (n["pixel AUROC"], n["AUPRO"]))
        return View(self.canvas.png("missed"), n, sentence(n))


def pixels(radius: int, share: float) -> np.ndarray:
    """The map as a picture ``(S, S, 3)``, both true regions outlined."""
    heat, mask = scene(radius, share)
    shown = np.where(heat[..., None] > 0, (0.99, 0.91, 0.14), (0.27, 0.0, 0.33))  # the ends of the map's colours
    shown[ndimage.binary_dilation(mask, np.ones((5, 5))) & ~mask] = (0.835, 0.369, 0.0)
    return shown


def strip(states: tuple[tuple[int, float], ...] = ((6, 0.0), (29, 0.0), (6, 1.0))) -> tuple[Figure, str]:
    """Deciding states side by side: small and missed, large and missed, small and found."""
    found = [measure(*state) for state in states]
    fig = missed_strip([(f"radius {n['radius']}, {n['share']:.0%} marked\npixel AUROC {n['pixel AUROC']:.3f}, AUPRO "
                         f"{n['AUPRO']:.3f}", pixels(*state)) for state, n in zip(states, found, strict=True)])
    return fig, "Yellow: marked by the map; orange outline: true defects. " + " ".join(map(sentence, found))


def missed_tab():
    """Radius and marked share of the second defect, with map, both metrics and one question."""
    import ipywidgets as w

    missed = Missed()
    radius = w.IntSlider(6, int(RADII[0]), int(RADII[-1]), description="radius", style=STYLE, layout=WIDTH)
    share = w.SelectionSlider(options=[(f"{s:.0%}", s) for s in SHARES], value=0.0, description="marked share",
                              style=STYLE, layout=WIDTH)
    return framed("One defect is marked perfectly, a second one is not marked at all. How large must the second one be "
                  "before pixel AUROC falls below 0.9?",
                  ["radius 5", "radius 15", "about radius 28", "it never does"],
                  pictured([radius, share], lambda: missed.view(radius.value, share.value)),
                  "Complete: with nothing of the second defect marked, AUPRO is …, whatever its radius (three digits).",
                  lambda: measure(radius.value, 0.0)["AUPRO"], 0.0015)
