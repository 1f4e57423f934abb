"""Defect lab: lower the severity until you no longer see the defect.

``Lab`` is the pure part: a state (category, kind, severity, seed, mask shown or not) gives a picture, numbers and a
sentence. ``defect_lab`` puts controls on it. Categories and kinds are those of the factory, whatever it has.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage
from torch import Tensor

from tutorial_lib.data import factory
from tutorial_lib.metrics import connected_regions
from tutorial_lib.plots.defect_lab import LabPicture
from tutorial_lib.plots.inspection import framed as framed_pictures
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, live

SIZE, ZOOM, SEEDS = 128, 44, 20  # pixels of a picture, pixels of the close-up, seeds to choose from
SEVERITIES = tuple(round(0.05 * k, 2) for k in range(1, 21))
STRIP = (("washer", "scratch", 3), ("metal", "scratch", 3))  # turned down step by step


class State(NamedTuple):
    """One position of the controls."""

    category: str = "washer"
    kind: str = "scratch"
    severity: float = 0.6
    seed: int = 3
    masked: bool = False


def measure(state: State) -> dict[str, float]:
    """Pixels, share and 8-connected regions of the mask, and the mean difference from the twin inside it (0 to 255)."""
    image, mask, twin = _part(*state[:4])
    difference = float((image - twin).abs().mean(0)[mask].mean()) if mask.any() else 0.0
    return {"severity": state.severity, "pixels": int(mask.sum()), "share": float(mask.float().mean()),
            "regions": connected_regions(mask.numpy())[1], "levels": 255 * difference}


def sentence(state: State, n: dict[str, float]) -> str:
    """What a state shows, in words."""
    return (f"{state.category}, {state.kind}, severity {state.severity:.2f}, seed {state.seed}: the mask covers "
            f"{n['pixels']} pixels, {n['share']:.2%} of the picture, in {n['regions']} "
            f"region{'s' * (n['regions'] != 1)}; inside it the picture differs from its defect-free twin by "
            f"{n['levels']:.0f} of 255 grey levels on average.")


class Lab:
    """Good twin, defective part, close-up; everything but the pixels is drawn once."""

    def __init__(self):
        self.picture = LabPicture(SIZE, ZOOM)
        self.canvas = Canvas(self.picture.fig, self.picture.moving)
        self.canvas.keep("lab")

    def view(self, state: State) -> View:
        """Picture, numbers and sentence of one state."""
        image, mask, twin = _part(*state[:4])
        numbers, shown = measure(state), _pixels(image, mask if state.masked else None)
        top, left = corner(state)
        self.picture.set(_pixels(twin, None), shown, shown[top:top + ZOOM, left:left + ZOOM], (top, left))
        return View(self.canvas.png("lab"), numbers, sentence(state, numbers))


def corner(state: State) -> tuple[int, int]:
    """Row and column where the close-up begins: the defect at full severity lies in its middle, so it never moves."""
    _, mask, _ = _part(state.category, state.kind, 1.0, state.seed)
    rows, columns = np.nonzero(mask.numpy())
    middle = ((rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2) if len(rows) else (SIZE // 2,) * 2
    return tuple(int(np.clip(m - ZOOM // 2, 0, SIZE - ZOOM)) for m in middle)


@lru_cache(maxsize=64)
def _part(category: str, kind: str, severity: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Image ``(3, S, S)``, mask ``(S, S)`` and twin of one part."""
    pair = factory.pairs(category, kind, 1, SIZE, severity, seed)
    return pair.images[0], pair.masks[0], pair.twins[0]


def _pixels(image: Tensor, mask: Tensor | None) -> np.ndarray:
    """``(S, S, 3)`` in [0, 1], with a one-pixel outline around the mask."""
    shown = image.permute(1, 2, 0).clamp(0, 1).numpy().copy()
    if mask is not None:
        around = ndimage.binary_dilation(mask.numpy(), np.ones((3, 3))) & ~mask.numpy()
        shown[around] = (0.835, 0.369, 0.0)  # the orange of the masks
    return shown


def strip(severities: tuple[float, ...] = (1.0, 0.6, 0.3, 0.1)) -> tuple[Figure, str]:
    """One good twin and the same defect turned down, for a washer and for metal; and what the numbers say."""
    rows, said = [], []
    for category, kind, seed in STRIP:
        states = [State(category, kind, severity, seed) for severity in severities]
        row = [(_part(*states[0][:4])[2], False, None, f"{category}: good")]
        row += [(_part(*s[:4])[0], True, None, f"severity {s.severity:g}") for s in states]
        rows.append(row)
        levels = ", ".join(f"{measure(s)['levels']:.0f}" for s in states)
        said.append(f"{category}: {levels} grey levels")
    steps = ", ".join(f"{s:g}" for s in severities)
    return framed_pictures(rows, side=1.55), (f"One scratch at severity {steps}. Mean difference from the good twin "
                                              f"inside the mask, in this order: {'; '.join(said)} of 255.")


def defect_lab():
    """Category, kind, severity, seed and mask, with pictures, numbers and one question."""
    import ipywidgets as w

    lab, start = Lab(), State()
    category = w.Dropdown(options=factory.CATEGORIES, value=start.category, description="category", style=STYLE,
                          layout=WIDTH)
    kind = w.Dropdown(options=factory.DEFECTS[start.category], value=start.kind, description="defect", style=STYLE,
                      layout=WIDTH)
    severity = w.SelectionSlider(options=[(f"{s:.2f}", s) for s in SEVERITIES], value=start.severity,
                                 description="severity", style=STYLE, layout=WIDTH)
    seed = w.IntSlider(start.seed, 0, SEEDS - 1, description="seed", style=STYLE, layout=WIDTH)
    masked = w.Checkbox(start.masked, description="show the true mask", style=STYLE)
    image, text = w.Image(format="png"), w.HTML()

    def state() -> State:
        return State(category.value, kind.value, severity.value, seed.value, masked.value)

    def redraw(_=None) -> None:
        if kind.value in factory.DEFECTS[category.value]:  # not between the two steps of a change of category
            view = lab.view(state())
            image.value, text.value = view.png, live(view.alt)

    def follow(_=None) -> None:
        kinds = factory.DEFECTS[category.value]
        kept = kind.value if kind.value in kinds else kinds[0]
        kind.options, kind.value = kinds, kept
        redraw()

    category.observe(follow, "value")
    for control in (kind, severity, seed, masked):
        control.observe(redraw, "value")
    redraw()
    return framed("Lower the severity until you no longer see the defect. Down to which severity will you see the "
                  "scratch on this washer?", ["1.0 only", "about 0.6", "about 0.3", "about 0.1", "below 0.1"],
                  w.VBox([category, kind, severity, seed, masked, image, text]),
                  "Complete: in this state the true mask covers … pixels.", lambda: measure(state())["pixels"], 0.5)
