"""How far does a block see? Move one place of a feature map, and look where the latent changes.

``Footprints`` is the pure part: a state (kernels, blocks, place) gives a picture, numbers and a sentence. The reach is
counted from the kernels, the change is measured, in float64, so that "nothing" is exactly 0.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.detectors import FastFlow
from tutorial_lib.flows import Chain
from tutorial_lib.plots.footprint import FootprintPicture, footprint_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

KERNELS = {"3×3": (3,), "3×3 and 1×1": (3, 1), "1×1": (1,)}
BLOCKS, CHANNELS, SIDE = 8, 8, 16
PLACES = {"a corner": (0, 0), "the middle": (SIDE // 2, SIDE // 2)}
GAIN = 2.5  # weights are so many times those that torch draws: an untrained block hardly looks at its neighbours


def footprint(chain: Chain, x: Tensor, place: tuple[int, int]) -> Tensor:
    """How much z moves at every place when x moves at one: ``(h, w)``, the norm over the channels.

    Args:
        chain: of parts that act on maps. x: one map ``(1, C, h, w)``. place: (row, column); all its channels move by 1.
    """
    moved = x.clone()
    moved[:, :, place[0], place[1]] += 1
    with torch.no_grad():
        return (chain(moved)[0] - chain(x)[0]).norm(dim=1)[0]


def reach(kernels: tuple[int, ...], blocks: int) -> int:
    """Cells that one place can reach: each block has two convolutions, and each of them reaches kernel // 2."""
    return sum(2 * (kernels[k % len(kernels)] // 2) for k in range(blocks))


class Footprints:
    """Three flows of eight blocks with random weights, one for each choice of kernels."""

    def __init__(self, seed: int = 0):
        draw = torch.Generator().manual_seed(seed)
        self.x = torch.randn(1, CHANNELS, SIDE, SIDE, generator=draw, dtype=torch.float64)
        self.chains = {name: self._chain(kernels, seed) for name, kernels in KERNELS.items()}
        self.kept: dict[tuple, np.ndarray] = {}
        self.canvas = None

    @staticmethod
    def _chain(kernels: tuple[int, ...], seed: int) -> Chain:
        detector = FastFlow.small(seed=seed, whiten=False, zero_init=False, blocks=BLOCKS, kernels=kernels, ratio=1.0,
                                  progress=False)
        chain = detector.build_heads([(CHANNELS, SIDE, SIDE)])[0].flow.transform.double().requires_grad_(False)
        for part in chain.transforms[::3]:
            for p in part.parameters():
                p.mul_(GAIN)
        return chain

    def footprint(self, kernels: str, blocks: int, place: tuple[int, int]) -> np.ndarray:
        """The measured change after so many blocks, ``(h, w)``."""
        key = (kernels, blocks, place)
        if key not in self.kept:
            self.kept[key] = footprint(self.chains[kernels][:3 * blocks], self.x, place).numpy()
        return self.kept[key]

    def numbers(self, kernels: str, blocks: int, place: tuple[int, int]) -> dict:
        """Counted and measured reach in cells, share of the change near the place, and what the far corner sees."""
        found = self.footprint(kernels, blocks, place)
        rows, columns = np.indices(found.shape)
        distance = np.maximum(abs(rows - place[0]), abs(columns - place[1]))
        profile = np.array([found[distance == d].max() for d in range(distance.max() + 1)]) / found.max()
        return {"reach": reach(KERNELS[kernels], blocks), "measured": int(distance[found > 0].max()),
                "near": float((found[distance <= 2] ** 2).sum() / (found**2).sum()),
                "corner": float(found[-1, -1] / found.max()), "profile": profile}

    def view(self, kernels: str, blocks: int, place: str) -> View:
        """Picture, numbers and sentence of one state."""
        if self.canvas is None:
            self.picture = FootprintPicture(SIDE)
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("picture")
        at = PLACES[place]
        n = self.numbers(kernels, blocks, at)
        self.picture.set(self.footprint(kernels, blocks, at), at, n["reach"], n["profile"])
        return View(self.canvas.png("picture"), n, sentence(kernels, blocks, place, n))


def sentence(kernels: str, blocks: int, place: str, n: dict) -> str:
    """What one state shows, in words."""
    corner = f"feels {n['corner']:.0e} of the largest change" if n["corner"] > 0 else "feels nothing"
    return (f"{blocks} block{'s' * (blocks > 1)} of {kernels}, {place} moved: it can reach {n['reach']} cells "
            f"and reaches {n['measured']} on this map of {SIDE} × {SIDE}; {n['near']:.1%} of the squared change "
            f"lies within two cells; the corner below right {corner}.")


def how_far(prints: Footprints):
    """Kernels, blocks and place, with the footprint and one question."""
    import ipywidgets as w

    kernels = w.Dropdown(options=list(KERNELS), description="kernels", style=STYLE, layout=WIDTH)
    blocks = w.IntSlider(1, 1, BLOCKS, description="blocks", style=STYLE, layout=WIDTH)
    place = w.Dropdown(options=list(PLACES), description="moved place", style=STYLE, layout=WIDTH)
    body = pictured([kernels, blocks, place], lambda: prints.view(kernels.value, blocks.value, place.value))
    return framed("How many blocks until one corner can influence the other, and is that good for localisation?",
                  ["two blocks of 3×3", "four", "eight", "it never can"], body,
                  "Complete: with 3×3 kernels alone, the corner below right first feels the corner above left after … "
                  "blocks.", lambda: first_contact(prints), 0.1)


def first_contact(prints: Footprints) -> int:
    """Blocks of 3 x 3 after which a move of one corner is first felt in the opposite one."""
    return next(b for b in range(1, BLOCKS + 1) if prints.footprint("3×3", b, (0, 0))[-1, -1] > 0)


def strip(prints: Footprints) -> tuple[Figure, str]:
    """The states that settle the question, and one sentence for each."""
    chosen = [("3×3", 1), ("3×3", 4), ("3×3", BLOCKS), ("3×3 and 1×1", BLOCKS), ("1×1", BLOCKS)]
    states = [(f"{b} block{'s' * (b > 1)}\n{k}", prints.footprint(k, b, (0, 0)), (0, 0), reach(KERNELS[k], b))
              for k, b in chosen]
    said = " ".join(sentence(k, b, "a corner", prints.numbers(k, b, (0, 0))) for k, b in chosen)
    return footprint_strip(states), said
