"""Template builder: how many normals until a good part's map is dark, and how many repair a shift of 4 px?

``Builder`` is the pure part: a state (number of normals, shift) gives a picture, numbers and a sentence. The latents of
the normals and of every shift are computed beforehand; a state takes one mean, one difference and one composition.
"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import pad

from tutorial_lib.detectors.pyramidflow import PyramidFlow
from tutorial_lib.plots.template_builder import BuilderPicture, builder_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

SHIFTS = 9  # 0, 1, … 8 pixels to the right
QUANTILE = 0.9


def shifted(image: Tensor, pixels: int) -> Tensor:
    """The picture ``(3, S, S)`` moved to the right; what comes in at the left repeats the edge."""
    return pad(image[None], (pixels, 0, 0, 0), mode="replicate")[0, :, :, :image.shape[-1]]


class Builder:
    """One good part against templates of 1, 2, … normals.

    Args:
        detector: a fitted PyramidFlow; its own template is not used.
        normals: good parts ``(N, 3, S, S)`` for the template, in the order in which they are added.
        part: ``(3, S, S)``, another good part.
        others: good parts ``(M, 3, S, S)`` that say what "dark" is: nine in ten of them have a lower maximum with all
            N normals.
    """

    def __init__(self, detector: PyramidFlow, normals: Tensor, part: Tensor, others: Tensor):
        self.normals = len(normals)
        counts = torch.arange(1, self.normals + 1).view(-1, 1, 1, 1)
        self.templates = tuple(z.cumsum(0) / counts for z in detector.latents(normals))     # (N, C, h, w) per level
        self.parts = torch.stack([shifted(part, k) for k in range(SHIFTS)])                 # (9, 3, S, S)
        self.latents = detector.latents(self.parts)
        self.level_maps = detector.level_maps
        last = tuple(t[-1:] for t in self.templates)
        self.line = float(self._maps(detector.latents(others), last).amax((1, 2)).quantile(QUANTILE))
        self.curves = torch.stack([self._maps(tuple(z[k:k + 1] for z in self.latents), self.templates).amax((1, 2))
                                   for k in range(SHIFTS)])                                 # (9, N)
        self.canvas = None

    def _maps(self, latents: tuple[Tensor, ...], template: tuple[Tensor, ...]) -> Tensor:
        return self.level_maps(latents, template).sum(1)

    def map(self, normals: int, shift: int) -> Tensor:
        """The map ``(S, S)`` of the shifted part against the mean of the first ``normals`` normals."""
        return self._maps(tuple(z[shift:shift + 1] for z in self.latents),
                          tuple(t[normals - 1:normals] for t in self.templates))[0]

    def needed(self, shift: int) -> int | None:
        """The number of normals from which on the map stays dark; None if it never does."""
        bright = (self.curves[shift] > self.line).nonzero()
        first = 1 if len(bright) == 0 else int(bright[-1]) + 2
        return first if first <= self.normals else None

    def numbers(self, normals: int, shift: int) -> dict:
        """Maximum of the map, what counts as dark, and how often the maximum is that of the unshifted part."""
        peak = float(self.curves[shift, normals - 1])
        return {"normals": normals, "shift": shift, "peak": peak, "line": self.line, "needed": self.needed(shift),
                "ratio": peak / float(self.curves[0, normals - 1])}

    def view(self, normals: int, shift: int) -> View:
        """Picture, numbers and sentence of one state."""
        if self.canvas is None:
            top = 1.05 * float(self.curves.max())
            self.picture = BuilderPicture(self.parts.shape[-1], self.normals, top, self.line)
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("picture")
        self.picture.set(self.parts[shift], self.map(normals, shift), self.curves[shift].tolist(), normals)
        n = self.numbers(normals, shift)
        return View(self.canvas.png("picture"), n, sentence(n))


def sentence(n: dict) -> str:
    """What one state shows, in words."""
    dark = "dark" if n["peak"] <= n["line"] else "not dark"
    needed = "no number of normals here is enough" if n["needed"] is None else f"it stays dark from {n['needed']} on"
    return (f"{n['normals']} normal{'s' * (n['normals'] > 1)} in the template, part shifted by {n['shift']} px: the "
            f"map reaches {n['peak']:.2f}, {dark} (the line is {n['line']:.2f}), {n['ratio']:.1f} times the unshifted "
            f"part's. For this shift {needed}.")


def template_builder(builder: Builder):
    """Number of normals and shift, with part, map and curve."""
    import ipywidgets as w

    normals = w.IntSlider(1, 1, builder.normals, description="normals", style=STYLE, layout=WIDTH)
    shift = w.IntSlider(0, 0, SHIFTS - 1, description="shift (px)", style=STYLE, layout=WIDTH)
    return framed("How many normals until a good part's map is dark, and how many repair a shift of 4 px?",
                  ["one is enough, and the shift does not matter", "a few, and more of them repair the shift",
                   "a few, and no number repairs the shift"],
                  pictured([normals, shift], lambda: builder.view(normals.value, shift.value)),
                  f"Complete: with {builder.normals} normals and a shift of 4 px the maximum is … times that of the "
                  "unshifted part.", lambda: builder.numbers(builder.normals, 4)["ratio"], 0.06)


def strip(builder: Builder) -> tuple[Figure, str]:
    """The deciding states without sliders, and one sentence for all."""
    last = builder.normals
    states = [(title, builder.parts[shift], builder.map(n, shift)) for title, n, shift in
              (("1 normal", 1, 0), (f"{last} normals", last, 0), (f"{last}, shift 4 px", last, 4))]
    curves = {f"shift {k} px": builder.curves[k].tolist() for k in (0, 1, 2, 4)}
    said = "; ".join(f"shift {k} px: " + ("never" if builder.needed(k) is None else f"from {builder.needed(k)} on")
                     + f", maximum {builder.curves[k, -1]:.2f} with all {last}" for k in (0, 1, 2, 4))
    return builder_strip(states, curves, builder.line), (
        f"A good part against templates of 1 to {last} normals. Dark: below {builder.line:.2f}, as nine in ten "
        f"other good parts are. {said}.")
