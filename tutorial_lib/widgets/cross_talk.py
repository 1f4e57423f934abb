"""Cross-talk: after how many blocks does the smallest scale know about a speck on the largest?

``CrossTalk`` is the pure part: a state (pushed scale and place, exchange, depth) gives a picture, numbers, a sentence.
The flow has the paper's map sizes, few channels and random weights: it shows who *can* hear whom. How much they tell
each other is a matter of training.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.flows import Atan0636Clamp, Chain, CrossScaleCoupling, EachScale, Permutation, cross_scale
from tutorial_lib.plots.cross_talk import CrossTalkPicture, cross_talk_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

CELLS = (24, 12, 6)               # CS-Flow: 768, 384 and 192 pixels at stride 32
DEPTHS = (0.5, 1.0, 2.0, 3.0, 4.0)  # blocks; half a block is its first network alone
CHANNELS, HIDDEN, PUSH, BLOCKS = 4, 8, 1.0, 4
Maps = tuple[Tensor, ...]


def build_flow(exchange: bool, seed: int = 0) -> Chain:
    """Four blocks (permutation, coupling) on three scales; gammas at 1, everything else as PyTorch draws it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        maker = cross_scale(HIDDEN, 3, exchange=exchange, gamma=1.0)
        parts = []
        for k in range(BLOCKS):
            parts += [EachScale(*(Permutation(CHANNELS, k, draw) for draw in range(len(CELLS)))),
                      CrossScaleCoupling(CHANNELS, maker, Atan0636Clamp(3.0))]
    return Chain(*parts).double().requires_grad_(False)  # in float32 far and faint changes are lost


def up_to(flow: Chain, depth: float, x: Maps) -> Maps:
    """The latents after ``depth`` blocks; with half a block the second halves of the last one stay as they are."""
    whole = int(depth)
    z = flow[:2 * whole](x)[0]
    if depth > whole:
        mixed, coupling = flow[2 * whole](z)[0], flow[2 * whole + 1]
        half = coupling.split[0]
        z = tuple(torch.cat([y[:, :half], m[:, half:]], 1) for y, m in zip(coupling(mixed)[0], mixed, strict=True))
    return z


class CrossTalk:
    """One random image's feature maps, and what a push at one place does to the latents of all scales."""

    def __init__(self, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.x = tuple(torch.randn(1, CHANNELS, n, n, generator=generator).double() for n in CELLS)
        self.flows = {exchange: build_flow(exchange, seed) for exchange in (True, False)}
        self.resting = {(e, d): up_to(flow, d, self.x) for e, flow in self.flows.items() for d in DEPTHS}
        self.canvas, self.kept = None, {}

    def changes(self, scale: int, row: int, column: int, exchange: bool, depth: float) -> list[np.ndarray]:
        """|z' - z| at every position of every scale, ``(h, w)`` each; the push adds ``PUSH`` to every channel there."""
        state = scale, row, column, exchange, depth
        if state not in self.kept:
            pushed = tuple(m.clone() for m in self.x)
            pushed[scale][0, :, row, column] += PUSH
            moved = up_to(self.flows[exchange], depth, pushed)
            self.kept[state] = [(a - b)[0].norm(dim=0).numpy()
                                for a, b in zip(moved, self.resting[exchange, depth], strict=True)]
        return self.kept[state]

    def numbers(self, scale: int, row: int, column: int, exchange: bool, depth: float) -> dict[str, float]:
        """How many positions of each scale have moved, of how many, and the largest move there."""
        found = self.changes(scale, row, column, exchange, depth)
        return {"scale": scale, "exchange": exchange, "depth": depth} | {
            f"{what} {k}": value for k, c in enumerate(found)
            for what, value in (("moved", int((c > 0).sum())), ("of", c.size), ("largest", float(c.max())))}

    def first(self, scale: int, listener: int, exchange: bool = True) -> float | None:
        """The smallest depth at which a push in the middle of ``scale`` moves ``listener``; None: it never does."""
        middle = CELLS[scale] // 2
        heard = (d for d in DEPTHS if self.numbers(scale, middle, middle, exchange, d)[f"moved {listener}"])
        return next(heard, None)

    def view(self, scale: int, row: int, column: int, exchange: bool, depth: float) -> View:
        """Picture, numbers and sentence of one state."""
        if self.canvas is None:
            self.picture = CrossTalkPicture(CELLS)
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("axes")
        n = self.numbers(scale, row, column, exchange, depth)
        self.picture.set(self.changes(scale, row, column, exchange, depth), scale, row, column)
        return View(self.canvas.png("axes"), n, sentence(n))


def blocks(depth: float) -> str:
    """A depth in words."""
    return "half a block" if depth == 0.5 else "1 block" if depth == 1 else f"{depth:.0f} blocks"


def sentence(n: dict[str, float]) -> str:
    """What one state shows, in words."""
    return (f"Scale {n['scale']} pushed, exchange {'on' if n['exchange'] else 'off'}, {blocks(n['depth'])}. Moved: "
            + ", ".join(f"{n[f'moved {k}']} of {n[f'of {k}']} positions of scale {k}" for k in range(len(CELLS))) + ".")


def cross_talk(table: CrossTalk):
    """Pushed scale and place, exchange and depth, with the three maps and one question."""
    import ipywidgets as w

    scale = w.ToggleButtons(options=[(f"scale {k}", k) for k in range(len(CELLS))], description="push", style=STYLE)
    y, x = (w.IntSlider(50, 0, 99, description=name, style=STYLE, layout=WIDTH)
            for name in ("down, %", "across, %"))
    exchange = w.ToggleButtons(options=[("on", True), ("off", False)], description="exchange", style=STYLE)
    depth = w.SelectionSlider(options=[(blocks(d), d) for d in DEPTHS], description="depth", style=STYLE, layout=WIDTH)

    def state() -> tuple:
        n = CELLS[scale.value]
        return scale.value, y.value * n // 100, x.value * n // 100, exchange.value, depth.value

    return framed("After how many blocks does the smallest scale know about a speck on the largest?",
                  ["half a block", "one block", "two blocks", "never: only neighbours talk"],
                  pictured([scale, y, x, exchange, depth], lambda: table.view(*state())),
                  "Complete: in the state shown, … of the 36 positions of scale 2 have moved.",
                  lambda: float(table.numbers(*state())["moved 2"]), 0.0)


def strip(table: CrossTalk, scale: int = 0) -> tuple[Figure, str]:
    """The deciding states without sliders, and one sentence for all: a push in the middle of ``scale``."""
    middle = CELLS[scale] // 2
    shown = [("exchange off\n4 blocks", False, 4.0), ("exchange on\nhalf a block", True, 0.5),
             ("exchange on\n1 block", True, 1.0), ("exchange on\n2 blocks", True, 2.0)]
    states = [(title, table.changes(scale, middle, middle, e, d)) for title, e, d in shown]
    said = " ".join(sentence(table.numbers(scale, middle, middle, e, d)) for _, e, d in shown)
    return cross_talk_strip(states, scale, middle, middle), said
