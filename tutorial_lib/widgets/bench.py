"""Break-it bench: which missing part leaves half of the input exactly where it was, and what does the loss say?

Four switches choose one of 32 small flows that were trained beforehand on two moons. ``measure`` and ``Bench.view``
are pure: a state gives a picture, numbers and a sentence.
"""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib import flows
from tutorial_lib.data import toys
from tutorial_lib.plots.bench import BenchPicture, bench_strip
from tutorial_lib.widgets.bench_states import DEPTHS, Switches, load
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured

NEAR, FAR = 0.15, 6.0  # a sample this close to a data point counts as good; round trips are tried out to here


def data() -> Tensor:
    """Test points that no state was trained on, (1000, 2)."""
    return toys.two_moons(1000, seed=1)


def draw(flow: flows.Flow, n: int = 400) -> Tensor:
    """Samples (n, 2) from a named seed; without the clamp some are not finite."""
    return flow.sample(n, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def measure(state: Switches) -> dict[str, float]:
    """The numbers of one state.

    ``nll`` is the true -log p(x) on test data, log_det included; ``loss`` what training minimised, at its end;
    ``half_square`` the mean of |z|²/2; ``first_moved`` how far the first coordinate went at most; ``samples_near`` the
    share of samples within 0.15 of a data point; ``far_error`` the largest float32 round-trip error on |x| <= 6.
    """
    flow, losses = load(state)
    x = data()
    z, _ = flow(x)
    axis = torch.linspace(-FAR, FAR, 25)
    far = torch.cartesian_prod(axis, axis)
    error = (flow.inverse(flow(far)[0])[0] - far).abs().max()
    return {"nll": float(flow.nll(x)), "loss": float(losses[-10:].mean()),
            "half_square": float(0.5 * z.square().sum(1).mean()), "first_moved": float((z - x)[:, 0].abs().max()),
            "samples_near": float((torch.cdist(draw(flow), x).amin(1) < NEAR).float().mean()),
            "far_error": float(error.nan_to_num(math.inf))}


def sentence(state: Switches, n: dict[str, float]) -> str:
    """One sentence with the numbers of a state."""
    off = [name for name, on in (("exchange", state.exchange), ("clamp", state.clamp), ("log_det", state.log_det))
           if not on]
    far = "not finite" if math.isinf(n["far_error"]) else f"{n['far_error']:.0e}"
    switches = f"without {' and '.join(off)}" if off else "everything on"
    return (f"{state.depth} layer{'s' * (state.depth > 1)}, {switches}: loss {n['loss']:.2f}, "
            f"true −log p(x) {n['nll']:.2f}, ½‖z‖² {n['half_square']:.2f}; the first coordinate moved by at most "
            f"{n['first_moved']:.2f}; {n['samples_near']:.0%} of the samples lie near the data; round trip far out: "
            f"{far}.")


class Bench:
    """The picture, drawn once; ``view`` redraws what a switch changes."""

    def __init__(self):
        self.picture = BenchPicture(data(), load(Switches())[1], every=5)
        self.canvas = Canvas(self.picture.fig, self.picture.moving)
        self.canvas.keep("bench")
        self.numbers: dict[Switches, dict[str, float]] = {}

    @torch.no_grad()
    def view(self, state: Switches) -> View:
        """Picture, numbers and sentence of one state."""
        flow, losses = load(state)
        if state not in self.numbers:
            self.numbers[state] = measure(state)
        self.picture.set(draw(flow), flow(data())[0], losses)
        return View(self.canvas.png("bench"), self.numbers[state], sentence(state, self.numbers[state]))


def break_it():
    """Four switches with picture, numbers and one question."""
    import ipywidgets as w

    bench = Bench()
    exchange = w.Checkbox(True, description="permutation: exchange the coordinates after each layer", layout=WIDTH)
    clamp = w.Checkbox(True, description="soft clamp on s", layout=WIDTH)
    log_det = w.Checkbox(True, description="log_det in the loss", layout=WIDTH)
    depth = w.SelectionSlider(options=DEPTHS, value=8, description="layers", style=STYLE, layout=WIDTH)
    def state() -> Switches:
        return Switches(exchange.value, clamp.value, depth.value, log_det.value)

    return framed("Which missing part leaves half of the input exactly where it was, and what does the loss say about "
                  "it?", ["exchange (permutation)", "clamp", "log_det", "depth"],
                  pictured([exchange, clamp, log_det, depth], lambda: bench.view(state())),
                  "Complete: in this state the mean of ½‖z‖² is … (a standard normal in two dimensions has 1)",
                  lambda: measure(state())["half_square"], 0.05)


def strip(states: dict[str, Switches]) -> Figure:
    """Named states side by side: samples over the data above, latents below."""
    with torch.no_grad():
        stages = [(name, draw(load(s)[0]), load(s)[0](data())[0]) for name, s in states.items()]
    return bench_strip(stages, data())
