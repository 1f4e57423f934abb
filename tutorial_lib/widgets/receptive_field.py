"""Receptive field: which layer's cell covers the scratch but not the whole part?

``FieldLens`` is the pure part: a state (layer, pixel) gives a picture, numbers and a sentence. The box is counted from
kernels, strides and paddings; the gradient of the same cell is measured on the picture.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.backbones import Embedded
from tutorial_lib.plots.receptive_field import FieldPicture, field_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

STEP = 8  # pixels between two positions of the sliders


def counted(backbone: Embedded) -> dict[str, tuple[int, int, int]]:
    """Size, step and first pixel of cell 0, for every tap of the embedded backbone: the recursion of exercise 4."""
    size, step, offset, found = 1, 1, 0, {}
    for name, stage in backbone.stages.items():
        for kernel, stride in (layer for part in stage for layer in part.layers):
            size += (kernel - 1) * step
            offset -= kernel // 2 * step  # every convolution there is padded by half its kernel
            step *= stride
        found[name] = (size, step, offset)
    return found


class FieldLens:
    """One picture seen through one cell of one layer.

    Args:
        backbone: the embedded network with all its taps.
        image: ``(3, S, S)`` in [0, 1]. mask: ``(S, S)`` bool, the defect. part: ``(S, S)`` bool, the whole product.
    """

    def __init__(self, backbone: Embedded, image: Tensor, mask: Tensor, part: Tensor):
        self.backbone, self.image, self.side = backbone, image, image.shape[-1]
        self.mask, self.part, self.fields = mask.numpy(), part.numpy(), counted(backbone)
        self.photo = image.permute(1, 2, 0).clamp(0, 1).numpy()
        self.layers = tuple(backbone.taps)
        self.canvas, self.kept = None, {}

    def gradient(self, layer: str, row: int, column: int) -> np.ndarray:
        """How strongly the cell reacts to each pixel, ``(S, S)``: sums of |∂ cell / ∂ pixel| over colours.

        The cell's channels are joined with fixed random weights, so that no two of them cancel by design.
        """
        if (layer, row, column) not in self.kept:
            x = self.image[None].clone().requires_grad_()
            values = self.backbone(x)[self.layers.index(layer)][0, :, row, column]
            weights = torch.randn(len(values), generator=torch.Generator().manual_seed(0))
            found, = torch.autograd.grad(values @ weights, x)
            self.kept[layer, row, column] = found[0].abs().sum(0).numpy()
        return self.kept[layer, row, column]

    def box(self, layer: str, row: int, column: int) -> tuple[int, int, int]:
        """First column, first row and size of the counted box, in pixels; parts may lie outside the picture."""
        size, stride, offset = self.fields[layer]
        return offset + column * stride, offset + row * stride, size

    def cell(self, layer: str, y: int, x: int) -> tuple[int, int]:
        """Row and column of the cell whose box has its centre next to this pixel."""
        size, stride, offset = self.fields[layer]
        cells = -(-self.side // stride)
        return tuple(min(max(round((p - offset - (size - 1) / 2) / stride), 0), cells - 1) for p in (y, x))

    def numbers(self, layer: str, y: int, x: int) -> dict:
        """The numbers of one state: counted box, extent of the measured gradient, and what the box covers."""
        row, column = self.cell(layer, y, x)
        left, top, size = self.box(layer, row, column)
        gradient = self.gradient(layer, row, column)
        rows, columns = np.nonzero(gradient.any(1))[0], np.nonzero(gradient.any(0))[0]
        inside = np.zeros_like(self.mask)
        inside[max(top, 0):top + size, max(left, 0):left + size] = True
        middle = np.zeros_like(self.mask)
        quarter = size // 4
        middle[max(top + quarter, 0):top + size - quarter, max(left + quarter, 0):left + size - quarter] = True
        return {"layer": layer, "row": row, "column": column, "size": size, "stride": self.fields[layer][1],
                "top": top, "left": left,
                "measured": (int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])) if len(rows) else None,
                "outside": float(gradient[~inside].sum()),
                "middle": float(gradient[middle].sum() / max(gradient.sum(), 1e-12)),
                "scratch": bool(inside[self.mask].all()), "part": bool(inside[self.part].all())}

    def view(self, layer: str, y: int, x: int) -> View:
        """Picture, numbers and sentence of one state."""
        if self.canvas is None:
            self.picture = FieldPicture(self.photo, self.mask)
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("picture")
        n = self.numbers(layer, y, x)
        self.picture.set(self.gradient(layer, n["row"], n["column"]), n["left"], n["top"], n["size"])
        return View(self.canvas.png("picture"), n, sentence(n))


def sentence(n: dict) -> str:
    """What one state shows, in words."""
    scratch = "the whole scratch" if n["scratch"] else "not the whole scratch"
    part = "the whole part" if n["part"] else "not the whole part"
    return (f"Layer {n['layer']}, cell ({n['row']}, {n['column']}): counted box {n['size']} × {n['size']} pixels. It "
            f"covers {scratch} and {part}. Gradient outside the box: {n['outside']:.0f}; its inner half by side "
            f"holds {n['middle']:.0%} of the gradient.")


def receptive_field(lens: FieldLens, answer: str):
    """Layer and position, with box and gradient. ``answer``: the finest layer that does."""
    import ipywidgets as w

    layer = w.ToggleButtons(options=lens.layers, value=lens.layers[0], description="layer", style=STYLE)
    y, x = (w.IntSlider(lens.side // 2, 0, lens.side - 1, STEP, description=name, style=STYLE, layout=WIDTH)
            for name in ("pixel row", "pixel column"))
    return framed("Which layer's cell covers the scratch but not the whole part?", list(lens.layers),
                  pictured([layer, y, x], lambda: lens.view(layer.value, y.value, x.value)),
                  "Complete: the finest such layer's field is … pixels wide.",
                  lambda: float(lens.fields[answer][0]), 0.0)


def strip(lens: FieldLens, y: int, x: int) -> tuple[Figure, str]:
    """Every layer at one place, without sliders, and one sentence for all."""
    states, said = [], []
    for layer in lens.layers:
        n = lens.numbers(layer, y, x)
        gradient = lens.gradient(layer, n["row"], n["column"])
        states.append((f"{layer}: {n['size']} px", gradient, (n["left"], n["top"], n["size"])))
        covered = "scratch and part" if n["part"] else "scratch" if n["scratch"] else "neither"
        said.append(f"{layer} {n['size']} px, {covered}, {n['middle']:.0%}")
    return field_strip(lens.photo, lens.mask, states), (
        "Box, what it covers wholly, and the share of the gradient in its inner half by side: " + "; ".join(said) + ".")
