"""Pictures of the break-it bench: samples over the data, latents, and the loss beside that of the whole flow."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from tutorial_lib.plots import style

HALF = 3.2  # half width of the two clouds


class BenchPicture:
    """Three panels; the samples, the latents, the loss curve and the two titles are the parts that move."""

    def __init__(self, data: Tensor, reference: Tensor, every: int):
        self.fig = Figure(figsize=(9.2, 3.4), dpi=88, layout="constrained")
        self.data, self.latent, self.loss = self.fig.subplots(1, 3)
        _cloud(self.data, "x₁", "x₂")
        _cloud(self.latent, "z₁", "z₂")
        self.data.scatter(*data.T, s=5, color=style.PALE)
        self.latent.add_patch(Circle((0, 0), 2, fill=False, color=style.GREY, linestyle="--"))
        steps = every * np.arange(len(reference))
        self.loss.plot(steps, reference, color=style.PALE, linewidth=3, label="everything on")
        self.loss.set(xlabel="step", ylabel="loss, nats per sample", ylim=(0.5, 4))
        self.samples = self.data.plot([], [], ".", markersize=3, color=style.ORANGE)[0]
        self.latents = self.latent.plot([], [], ".", markersize=3, color=style.BLUE)[0]
        self.curve = self.loss.plot(steps, reference, color=style.BLUE, label="this state")[0]
        self.loss.legend(loc="upper right")
        self.data.set_title("data, and 400 samples")
        self.latent.set_title("latents of the data")
        self.loss.set_title("the loss that was minimised")
        self.moving = [self.samples, self.latents, self.curve]

    def set(self, samples: Tensor, latents: Tensor, losses: Tensor) -> None:
        """Samples (n, 2), latents (N, 2) and the loss curve of one state."""
        self.samples.set_data(*samples.T.numpy())
        self.latents.set_data(*latents.T.numpy())
        self.curve.set_ydata(losses.numpy())


def bench_strip(stages: list[tuple[str, Tensor, Tensor]], data: Tensor) -> Figure:
    """Stages ``(title, samples, latents)``: samples over the data above, latents below."""
    fig, axes = plt.subplots(2, len(stages), figsize=(2.0 * len(stages), 4.6), sharex=True, sharey=True)
    for (upper, lower), (title, samples, latents) in zip(axes.T, stages, strict=True):
        _cloud(upper, "", "")
        _cloud(lower, "", "")
        upper.scatter(*data.T, s=2, color=style.PALE)
        upper.plot(*samples.T, ".", markersize=2, color=style.ORANGE)
        lower.plot(*latents.T, ".", markersize=2, color=style.BLUE)
        lower.add_patch(Circle((0, 0), 2, fill=False, color=style.GREY, linestyle="--"))
        upper.set_title(title)
        if not bool((samples.abs() < HALF).all(1).any()):
            upper.text(0, 2.2, "all samples lie\noutside", ha="center", va="center", color=style.ORANGE)
    axes[0, 0].set_ylabel("samples\nx₂")
    axes[1, 0].set_ylabel("latents\nz₂")
    for lower in axes[1]:
        lower.set_xlabel("x₁ (above), z₁ (below)")
    return fig


def _cloud(ax, xlabel: str, ylabel: str) -> None:
    ax.set(xlim=(-HALF, HALF), ylim=(-HALF, HALF), aspect="equal", xlabel=xlabel, ylabel=ylabel)
