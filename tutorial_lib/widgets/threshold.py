"""Where would you draw the line? One slider over the scores of good and damaged parts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import png, style

STEPS = 41  # positions of the slider: few enough to draw them all beforehand, so that a move only swaps a picture
COST_OF_A_MISS = 3  # in good parts thrown away


@dataclass(frozen=True)
class Counts:
    """What a threshold does: good parts thrown away, damaged parts let through."""

    line: float
    false_alarms: int
    missed: int
    goods: int
    bads: int

    @property
    def cost(self) -> int:
        """A good part thrown away costs 1, a damaged part that passes costs ``COST_OF_A_MISS``."""
        return self.false_alarms + COST_OF_A_MISS * self.missed

    def sentence(self) -> str:
        return (f"Line at {self.line:.3g}: {self.false_alarms} of {self.goods} good parts are thrown away, "
                f"{self.missed} of {self.bads} damaged parts pass; "
                f"cost {self.false_alarms} + {COST_OF_A_MISS} × {self.missed} = {self.cost}.")


def counts(good: Tensor, bad: Tensor, line: float) -> Counts:
    """Count the errors of the rule "throw away what scores above ``line``"; scores of shape (N,) and (M,)."""
    return Counts(line, int((good > line).sum()), int((bad <= line).sum()), len(good), len(bad))


def positions(good: Tensor, bad: Tensor) -> list[float]:
    """The slider's lines, three digits each: even on a logarithm for positive scores, whose tails are long."""
    low, high = float(min(good.min(), bad.min())), float(max(good.max(), bad.max()))
    if low > 0:
        lines = np.geomspace(low * 0.98, high * 1.02, STEPS)
    else:
        margin = 0.02 * (high - low)
        lines = np.linspace(low - margin, high + margin, STEPS)
    return [_three_digits(line) for line in lines]


def deciding(good: Tensor, bad: Tensor) -> dict[str, Counts]:
    """The highest line that lets no damaged part pass, the line of lowest cost, the lowest that loses no good part."""
    scores = torch.cat([good, bad]).unique().tolist()  # in order
    ends = [positions(good, bad)[0], positions(good, bad)[-1]]
    between = [(a + b) / 2 for a, b in pairwise(scores)]
    lines = sorted({_three_digits(x) for x in scores + between} | set(ends))
    found = [counts(good, bad, line) for line in lines]
    return {"no damaged part passes": [c for c in found if c.missed == 0][-1],
            "lowest cost": min(found, key=lambda c: c.cost),
            "no good part is lost": next(c for c in found if c.false_alarms == 0)}


def _draw(ax, good: Tensor, bad: Tensor, line: float) -> None:
    for row, (scores, colour) in enumerate(((bad, style.ORANGE), (good, style.BLUE))):
        lift = 0.28 * np.cos(2.4 * np.arange(len(scores)))  # so that equal scores do not hide each other
        ax.plot(scores.numpy(), row + lift, "o", ms=5, color=colour, alpha=0.7, mec="none")
    ax.axvline(line, color="black", lw=2)
    ax.set_yticks([0, 1], ["damaged", "good"])
    ax.set(ylim=(-0.5, 1.5), xlabel="score, higher = less like the good ones")
    low, high = positions(good, bad)[0], positions(good, bad)[-1]
    if low > 0:
        ax.set_xscale("log")
        steps = (1, 2, 5)
        ticks = [s * 10.0**k for k in range(-6, 9) for s in steps if low <= s * 10.0**k <= high]
        ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()


def figure(good: Tensor, bad: Tensor, line: float) -> Figure:
    """One dot per part, and the line: what lies right of it is thrown away."""
    fig, ax = plt.subplots(figsize=(6.4, 2.4), layout="constrained")
    _draw(ax, good, bad, line)
    return fig


def strip(good: Tensor, bad: Tensor) -> tuple[Figure, str]:
    """The three deciding lines side by side, and what each of them does in words."""
    chosen = deciding(good, bad)
    fig, axes = plt.subplots(1, 3, figsize=(8.4, 2.6), sharey=True, layout="constrained")
    for ax, (title, found) in zip(axes, chosen.items(), strict=True):
        _draw(ax, good, bad, found.line)
        ax.set(title=title, xlabel="score")
    said = " ".join(f"{title.capitalize()}: {found.sentence()}" for title, found in chosen.items())
    return fig, f"One dot per part; what lies right of the line is thrown away. {said}"


def widget(good: Tensor, bad: Tensor):
    """The slider: every position is drawn beforehand, so a move only swaps a picture (works by arrow keys too)."""
    import ipywidgets as w

    slides = [w.VBox([w.Image(value=png(figure(good, bad, line)), format="png", layout={"max_width": "640px"}),
                      w.Label(counts(good, bad, line).sentence())]) for line in positions(good, bad)]
    stack = w.Stack(slides, selected_index=STEPS // 2)
    slider = w.IntSlider(STEPS // 2, 0, STEPS - 1, description="line", readout=False, layout={"width": "640px"})
    w.jslink((slider, "value"), (stack, "selected_index"))
    question = w.HTML("<b>Where would you draw the line, if a damaged part that passes costs as much as "
                      f"{COST_OF_A_MISS} good ones thrown away? Find the lowest cost.</b>")
    return w.VBox([question, slider, stack])


def _three_digits(x: float) -> float:
    return float(f"{x:.3g}")  # the line that is used is the line that is printed
