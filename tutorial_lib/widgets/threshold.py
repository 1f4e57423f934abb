"""Where would you draw the line? One slider over a histogram of good and damaged scores."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.plots import style

STEPS = 41  # positions of the slider: few enough to draw them all beforehand, so that a move only swaps a picture
COST_OF_A_MISS = 3


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
        return (f"Line at {self.line:.2f}: {self.false_alarms} of {self.goods} good parts are thrown away, "
                f"{self.missed} of {self.bads} damaged parts pass; cost {self.cost}.")


def counts(good: Tensor, bad: Tensor, line: float) -> Counts:
    """Count the errors of the rule "throw away what scores above ``line``"; scores of shape (N,) and (M,)."""
    return Counts(line, int((good > line).sum()), int((bad <= line).sum()), len(good), len(bad))


def positions(good: Tensor, bad: Tensor) -> Tensor:
    """The slider's thresholds (STEPS,): even on a logarithm for positive scores, whose tails are long."""
    both = torch.cat([good, bad])
    low, high = float(both.min()), float(both.max())
    if low > 0:
        return torch.logspace(np.log10(low * 0.98), np.log10(high * 1.02), STEPS)
    return torch.linspace(low, high, STEPS)


def _histogram(ax, good: Tensor, bad: Tensor, line: float) -> None:
    edges = positions(good, bad)[::4].numpy()
    ax.hist([good.numpy(), bad.numpy()], edges, color=[style.BLUE, style.ORANGE], label=["good", "damaged"])
    ax.axvline(line, color="black", lw=2)
    if edges[0] > 0:
        ax.set_xscale("log")
        ticks = np.geomspace(edges[0], edges[-1], 3)
        ax.set_xticks(ticks, [f"{t:.2g}" for t in ticks])
        ax.minorticks_off()
    ax.set(xlabel="score (higher = less like the good ones)", ylabel="images")


def figure(good: Tensor, bad: Tensor, line: float) -> Figure:
    """Histogram of both groups with the line."""
    fig, ax = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
    _histogram(ax, good, bad, line)
    fig.legend(loc="outside right upper")
    return fig


def strip(good: Tensor, bad: Tensor) -> tuple[Figure, str]:
    """Three deciding lines: no damaged part passes, lowest cost, no good part is thrown away."""
    lines = positions(good, bad)
    costs = torch.tensor([counts(good, bad, float(t)).cost for t in lines])
    chosen = {"no damaged part passes": float(bad.min()) - 1e-6 * abs(float(bad.min())),
              "lowest cost": float(lines[costs.argmin()]), "no good part is lost": float(good.max())}
    fig, axes = plt.subplots(1, 3, figsize=(8.4, 3), sharey=True, layout="constrained")
    for ax, (title, line) in zip(axes, chosen.items(), strict=True):
        _histogram(ax, good, bad, line)
        ax.set(title=title, xlabel="score")
    for ax in axes[1:]:
        ax.set_ylabel("")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return fig, "Three lines. " + " ".join(counts(good, bad, line).sentence() for line in chosen.values())


def widget(good: Tensor, bad: Tensor):
    """The slider: every position is drawn beforehand, so a move only swaps a picture (works by arrow keys too)."""
    import ipywidgets as w

    from tutorial_lib.plots import png

    lines = [float(t) for t in positions(good, bad)]
    slides = [w.VBox([w.Image(value=png(figure(good, bad, t)), format="png", layout={"max_width": "640px"}),
                      w.Label(counts(good, bad, t).sentence())]) for t in lines]
    stack = w.Stack(slides, selected_index=STEPS // 2)
    slider = w.IntSlider(STEPS // 2, 0, STEPS - 1, description="line", readout=False, layout={"width": "640px"})
    w.jslink((slider, "value"), (stack, "selected_index"))
    question = w.HTML("<b>Where would you draw the line, if a missed part costs as much as "
                      f"{COST_OF_A_MISS} good ones? Find the lowest cost.</b>")
    return w.VBox([question, slider, stack])
