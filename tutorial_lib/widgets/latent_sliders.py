"""Latent sliders with temperature: when do pictures stop looking like training pictures: below 1, above 1, or both?

``Painter`` is the pure part: a state (start, direction, step, temperature) gives a picture, numbers and a sentence.
"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib import flows
from tutorial_lib.data import glyph_images, glyph_labels
from tutorial_lib.plots import painting
from tutorial_lib.widgets import picture_flows
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

STARTS, SAMPLES, COLUMNS = 8, 24, 8
TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
REACH = 6.0          # of the step, in units of ‖z‖; two digits' mean latents are about 3 apart


class Painter:
    """Everything that the sliders show. The latents behind the sheet of samples stay the same at every temperature."""

    @torch.no_grad()
    def __init__(self, flow: flows.Flow | None = None):
        self.flow = flow or picture_flows.load("one scale")
        x, labels = picture_flows.pictures(1000, seed=1), glyph_labels(1000, seed=1)
        z, _ = self.flow(x)
        self.latents = z[:STARTS]                                               # (8, 16, 2, 2)
        means = torch.stack([z[labels == digit].mean(0) for digit in range(10)]) - z.mean(0)
        self.directions = means / means.flatten(1).norm(dim=1).view(-1, 1, 1, 1)  # (10, 16, 2, 2), length 1
        self.noise = torch.randn(SAMPLES, *self.flow.shape, generator=torch.Generator().manual_seed(0))
        training = glyph_images(2000, levels=picture_flows.LEVELS, seed=0)
        self.training = (training.flatten(1) + 0.5) / picture_flows.LEVELS      # (2000, 64)
        self.picture = _Picture()
        self.canvas = Canvas(self.picture.fig, self.picture.moving)
        self.canvas.keep("sliders")

    @torch.no_grad()
    def moved(self, start: int, digit: int, step: float) -> tuple[Tensor, Tensor]:
        """Latents (2, 16, 2, 2) of the start and of the place reached, and their pictures (2, 1, 8, 8)."""
        z = torch.stack([self.latents[start], self.latents[start] + step * self.directions[digit]])
        return z, self.flow.inverse(z)[0]

    @torch.no_grad()
    def samples(self, temperature: float) -> Tensor:
        """24 pictures (24, 1, 8, 8) from the same latents, scaled by the temperature."""
        return self.flow.inverse(temperature * self.noise)[0]

    def numbers(self, start: int, digit: int, step: float, temperature: float) -> dict[str, float]:
        """``norm_start``, ``norm``: length of the latent before and after the step. Of the samples: ``nearest``, mean
        RMS distance to the nearest of 2000 training pictures; ``spread``, RMS deviation from their mean picture, as a
        share of that of the training pictures; ``outside``, share of pixels darker than 0 or lighter than 1."""
        z, _ = self.moved(start, digit, step)
        x = self.samples(temperature).flatten(1)                                # (24, 64)
        near = torch.cdist(x, self.training).amin(1) / x.shape[1] ** 0.5
        spread = [(v - v.mean(0)).square().mean().sqrt() for v in (x, self.training)]
        norms = z.flatten(1).norm(dim=1).tolist()
        return {"norm_start": norms[0], "norm": norms[1], "nearest": float(near.mean()),
                "spread": float(spread[0] / spread[1]), "outside": float(((x < 0) | (x > 1)).float().mean())}

    def view(self, start: int, digit: int, step: float, temperature: float) -> View:
        """Picture, numbers and sentence of one state."""
        numbers = self.numbers(start, digit, step, temperature)
        self.picture.set(self.moved(start, digit, step)[1], self.samples(temperature), digit, temperature)
        return View(self.canvas.png("sliders"), numbers, sentence(digit, step, temperature, numbers))


def sentence(digit: int, step: float, temperature: float, n: dict[str, float]) -> str:
    """Both halves of the picture in words."""
    return (f"Left: a step of {step:+.1f} towards the mean {digit}; ‖z‖ goes from {n['norm_start']:.1f} to "
            f"{n['norm']:.1f}, √64 = 8. Right: temperature {temperature:.2f}; the samples differ among themselves "
            f"{n['spread']:.0%} as much as training pictures do, lie {n['nearest']:.3f} from the nearest of 2000 of "
            f"them, and {n['outside']:.1%} of their pixels are outside the grey scale.")


class _Picture:
    def __init__(self):
        self.fig = Figure(figsize=(8.2, 2.3), dpi=88, layout="constrained")
        axes = self.fig.subplots(1, 3, width_ratios=(1, 1, 2.9))
        blank = torch.zeros(SAMPLES, 1, 8, 8)
        self.images = [axes[0].imshow(blank[0, 0], **painting.GREYS), axes[1].imshow(blank[0, 0], **painting.GREYS),
                       axes[2].imshow(painting.sheet(blank, COLUMNS), **painting.GREYS)]
        self.titles = [ax.set_title(text) for ax, text in zip(axes, ("start", "", ""), strict=True)]
        for ax in axes:
            ax.set_axis_off()
        self.moving = [*self.images, *self.titles]

    def set(self, pair: Tensor, samples: Tensor, digit: int, temperature: float) -> None:
        self.images[0].set_data(pair[0, 0].numpy())
        self.images[1].set_data(pair[1, 0].numpy())
        self.images[2].set_data(painting.sheet(samples, COLUMNS))
        self.titles[1].set_text(f"towards the {digit}")
        self.titles[2].set_text(f"24 samples at temperature {temperature:.2f}")


def sliders():
    """Start, direction, step and temperature, with picture, numbers and one question."""
    import ipywidgets as w

    painter = Painter()
    start = w.IntSlider(0, 0, STARTS - 1, description="start picture", style=STYLE, layout=WIDTH)
    digit = w.IntSlider(3, 0, 9, description="towards the", style=STYLE, layout=WIDTH)
    step = w.FloatSlider(0.0, min=-REACH, max=REACH, step=0.5, description="step", style=STYLE, layout=WIDTH)
    heat = w.SelectionSlider(options=TEMPERATURES, value=1.0, description="temperature", style=STYLE, layout=WIDTH)
    def state() -> tuple[int, int, float, float]:
        return start.value, digit.value, step.value, heat.value

    return framed("At which temperature do pictures stop looking like training pictures: below 1, above 1, or both?",
                  ["below 1", "above 1", "both"],
                  pictured([start, digit, step, heat], lambda: painter.view(*state())),
                  "Complete: at this temperature … percent of the pixels are outside the grey scale",
                  lambda: 100 * painter.numbers(*state())["outside"], 0.2)


def strip(painter: Painter, temperatures: tuple[float, ...], count: int = 12) -> Figure:
    """The deciding temperatures, one row of samples each, from the same latents."""
    return painting.rows({f"T = {t:g}": painter.samples(t)[:count] for t in temperatures})
