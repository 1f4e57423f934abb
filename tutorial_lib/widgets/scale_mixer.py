"""Scale mixer: which scale finds the scratch, which the missing part, and is any single scale good at both?

``Mixer`` is the pure part: a state (one weight per scale) gives a picture, numbers and a sentence. The maps of each
scale are computed beforehand; a move adds them up and ranks the images anew.
"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.data.splits import Split
from tutorial_lib.experiments.told_positions import kind_auroc, mixed
from tutorial_lib.plots.scale_mixer import MixPicture, mix_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

STEP = 0.25  # of a weight


class Mixer:
    """The test images of two kinds of defect, with one map per scale.

    Args:
        parts: ``(N, K, S, S)``: 1 - p of every scale, of every image of ``data.test``.
        data: labels, kinds and masks of these images.
        scales: names of the K scales, finest first.
        shown: kind to the number of the image that is drawn.
    """

    def __init__(self, parts: Tensor, data: Split, scales: tuple[str, ...], shown: dict[str, int]):
        kept = torch.tensor([kind in ("good", *shown) for kind in data.kinds])
        self.parts, self.scales, self.shown = parts[kept], scales, shown
        self.kinds = [kind for kind, k in zip(data.kinds, kept.tolist(), strict=True) if k]
        place = kept.cumsum(0) - 1
        self.rows = {kind: int(place[i]) for kind, i in shown.items()}
        images, masks = data.test[kept], data.masks[kept]
        self.data = Split(data.name, images[:0], images, data.labels[kept], self.kinds, masks)
        self.photos = {kind: (images[i].permute(1, 2, 0).clamp(0, 1).numpy(), masks[i].numpy())
                       for kind, i in self.rows.items()}
        self.canvas = None

    def maps(self, weights: tuple[float, ...]) -> Tensor:
        """Mixed maps of all images, ``(N, S, S)``."""
        return mixed(self.parts, weights)

    def numbers(self, weights: tuple[float, ...]) -> dict[str, float]:
        """Image AUROC of each kind against the good images, by the maximum of the mixed map."""
        scores = self.maps(weights).amax((1, 2))
        return {kind: kind_auroc(scores, self.data, kind) for kind in self.shown}

    def view(self, weights: tuple[float, ...]) -> View:
        """Picture, numbers and sentence of one state."""
        if self.canvas is None:
            self.picture = MixPicture(self.photos)
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("both")
        n = self.numbers(weights)
        drawn = mixed(self.parts[list(self.rows.values())], weights).numpy()
        self.picture.set(list(drawn), list(n.values()))
        return View(self.canvas.png("both"), n, sentence(dict(zip(self.scales, weights, strict=True)), n))


def sentence(weights: dict[str, float], n: dict[str, float]) -> str:
    """What one state shows, in words."""
    if not any(weights.values()):
        return "All weights are 0: the map is 0 everywhere, and every image scores alike."
    used = ", ".join(f"{name} × {value:g}" for name, value in weights.items() if value)
    return f"{used}: image AUROC " + ", ".join(f"{kind} {value:.2f}" for kind, value in n.items()) + "."


def scale_mixer(mixer: Mixer):
    """A weight per scale, two defects with the mixed map, two AUROCs and one question."""
    import ipywidgets as w

    sliders = [w.FloatSlider(1.0, min=0, max=1, step=STEP, description=name, style=STYLE, layout=WIDTH)
               for name in mixer.scales]

    def weights() -> tuple[float, ...]:
        return tuple(s.value for s in sliders)

    first, second = mixer.shown
    return framed(f"Which scale finds the {first}, which the {second} part, and is any single scale good at both?",
                  [f"the finest finds the {first}, the coarsest the {second} part", "the finest finds both",
                   "the coarsest is good at both", "only the sum is good at both"],
                  pictured(sliders, lambda: mixer.view(weights())),
                  f"Complete: with all weights at 1, the image AUROC for {second} parts is …",
                  lambda: mixer.numbers((1.0,) * len(mixer.scales))[second], 0.01)


def strip(mixer: Mixer) -> tuple[Figure, str]:
    """Each scale alone, then the sum, without sliders, and one sentence."""
    single = [tuple(float(i == k) for i in range(len(mixer.scales))) for k in range(len(mixer.scales))]
    states, said = [], []
    for title, weights in zip((*mixer.scales, "sum"), (*single, (1.0,) * len(mixer.scales)), strict=True):
        n = mixer.numbers(weights)
        drawn = mixed(mixer.parts[list(mixer.rows.values())], weights).numpy()
        states.append((title, dict(zip(mixer.rows, drawn, strict=True)), n))
        said.append(f"{title}: " + ", ".join(f"{kind} {value:.2f}" for kind, value in n.items()))
    return mix_strip(mixer.photos, states), "Image AUROC by the maximum of the map. " + "; ".join(said) + "."
