"""Flow microscope: which layer unrolls the moons, and which one pays for it in log_det (squeezes)?

``Lens`` is the pure part: a state (layer, probe point) gives a picture, the numbers behind it and a sentence.
``microscope`` puts sliders on it. Works on any ``Flow`` over two numbers whose transform is a ``Chain``.
"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib import flows
from tutorial_lib.plots.layers import LayerPicture
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import PICTURE, STYLE, WIDTH, framed, live

QUESTION = "Which layer unrolls the moons, and which one pays for it in log_det?"
WINDOW, PIXELS = 3.2, 72  # half width of every map, and its resolution


class Lens:
    """Everything that the microscope shows, computed once per layer.

    Args:
        flow: a flow on two numbers; ``flow.transform`` is a ``Chain`` of K layers.
        x: data (N, 2); at most 500 points are drawn.
    """

    def __init__(self, flow: flows.Flow, x: Tensor):
        self.flow, self.layers = flow.eval(), len(flow.transform)
        self.picture = LayerPicture(WINDOW, self.layers)
        self.canvas = Canvas(self.picture.fig, self.picture.moving, self.picture.staged)
        with torch.no_grad():
            square = grid(WINDOW, PIXELS)  # (P², 2)
            points = [z for z, _ in flow.transform.steps(x[:500])]
            maps = [total.view(PIXELS, PIXELS) for _, total in flow.transform.steps(square)]
            lines = [z for z, _ in flow.transform.steps(net(x))]
            for k in range(self.layers + 1):
                self.picture.background(k, points[k], x[:500, 0], lines[k], self._density(k, square), maps[k])
                self.canvas.keep(k)

    def _density(self, k: int, y: Tensor) -> Tensor:
        """Density of the data after k layers: p_k(y) = p(z) |det| of the layers that are still to come."""
        log_det = y.new_zeros(len(y))
        for layer in list(self.flow.transform)[k:]:
            y, more = layer(y)
            log_det = log_det + more
        return (flows.standard_normal_log_prob(y) + log_det).exp().view(PIXELS, PIXELS)

    @torch.no_grad()
    def numbers(self, layer: int, x: float, y: float) -> dict[str, float]:
        """The probe's journey: log_det of each layer, their sum up to ``layer``, log p(x), and the round-trip error."""
        probe = torch.tensor([[x, y]], dtype=torch.float32)
        steps = list(self.flow.transform.steps(probe))  # (point, sum of log_dets) after 0 … K layers
        totals = [float(total) for _, total in steps]
        z = steps[-1][0]
        back = self.flow.inverse(z)[0]
        here = steps[layer][0][0]
        return {"layer": layer, "x": x, "y": y, "here_1": float(here[0]), "here_2": float(here[1]),
                **{f"log_det_{k + 1}": totals[k + 1] - totals[k] for k in range(self.layers)},
                "log_det_so_far": totals[layer], "log_det": totals[-1],
                "log_p_z": float(flows.standard_normal_log_prob(z)), "log_p_x": float(self.flow.log_prob(probe)),
                "round_trip": float((back - probe).abs().max())}

    def view(self, layer: int, x: float, y: float) -> View:
        """Picture, numbers and sentence of one state."""
        numbers = self.numbers(layer, x, y)
        parts = [numbers[f"log_det_{k}"] for k in range(1, self.layers + 1)]
        self.picture.probe((x, y), (numbers["here_1"], numbers["here_2"]), parts, layer)
        return View(self.canvas.png(layer), numbers, sentence(numbers, parts))

    def dearest(self, x: float, y: float) -> int:
        """The layer with the largest |log_det| at a point."""
        numbers = self.numbers(0, x, y)
        return max(range(1, self.layers + 1), key=lambda k: abs(numbers[f"log_det_{k}"]))


def sentence(numbers: dict[str, float], parts: list[float]) -> str:
    """The running sum, spelled out."""
    k = int(numbers["layer"])
    shown = " ".join(f"{v:+.2f}" for v in parts[:k]) or "0"
    return (f"After layer {k} of {len(parts)} the probe ({numbers['x']:.2f}, {numbers['y']:.2f}) is at "
            f"({numbers['here_1']:.2f}, {numbers['here_2']:.2f}). log_det so far = {shown} = "
            f"{numbers['log_det_so_far']:.2f}. All layers: log p(x) = log p(z) + log_det = {numbers['log_p_z']:.2f} "
            f"{numbers['log_det']:+.2f} = {numbers['log_p_x']:.2f}. Round-trip error {numbers['round_trip']:.0e}.")


def grid(half: float, n: int) -> Tensor:
    """Cell centres of an n × n grid over [-half, half]², row by row from below, (n², 2)."""
    axis = (torch.arange(n) + 0.5) * (2 * half / n) - half
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)


def net(x: Tensor, lines: int = 13, along: int = 60) -> Tensor:
    """Horizontal and vertical lines over the data's bounding box, (2 · lines, along, 2) flattened to (·, 2)."""
    low, high = x.amin(0) - 0.2, x.amax(0) + 0.2
    fine, coarse = torch.linspace(0, 1, along), torch.linspace(0, 1, lines)
    across = torch.stack(torch.meshgrid(coarse, fine, indexing="ij"), -1)  # (lines, along, 2)
    both = torch.cat([across, across.flip(-1)])
    return (low + both * (high - low)).reshape(-1, 2)


def microscope(flow: flows.Flow, x: Tensor, question: str = QUESTION):
    """Sliders for the layer and for the probe point, with picture, running sum and one question."""
    import ipywidgets as w

    lens = Lens(flow, x)
    layer = w.IntSlider(lens.layers, 0, lens.layers, description="layer", style=STYLE, layout=WIDTH)
    right = w.FloatSlider(0.5, min=-2, max=2, step=0.05, description="probe x₁", style=STYLE, layout=WIDTH)
    up = w.FloatSlider(-0.7, min=-1.6, max=1.6, step=0.05, description="probe x₂", style=STYLE, layout=WIDTH)
    image, text = w.Image(format="png", layout=PICTURE), w.HTML()

    def redraw(_=None) -> None:
        view = lens.view(layer.value, right.value, up.value)
        image.value, text.value = view.png, live(view.alt)

    for control in (layer, right, up):
        control.observe(redraw, "value")
    redraw()
    return framed(f"{question} Move the layer from 0 to {lens.layers}.",
                  [f"layer {k}" for k in range(1, lens.layers + 1)], w.VBox([layer, right, up, image, text]),
                  "Stretching earns log_det, squeezing pays. Complete: at this probe point, the layer with the "
                  "largest |log_det|, earned or paid, has number …",
                  lambda: lens.dearest(right.value, up.value), 0.1)


def strip(flow: flows.Flow, x: Tensor, layers: tuple[int, ...]) -> Figure:
    """The deciding layers side by side: points on the warped grid, in a frame that holds 99 % of them."""
    from tutorial_lib.plots.layers import layer_strip

    with torch.no_grad():
        lens_points = [z for z, _ in flow.transform.steps(x[:500])]
        lens_lines = [z for z, _ in flow.transform.steps(net(x))]
    return layer_strip([(k, lens_points[k], lens_lines[k]) for k in layers], x[:500, 0],
                       1.1 * max(float(lens_points[k].abs().amax(1).quantile(0.99)) for k in layers))


