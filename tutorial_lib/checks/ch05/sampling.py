"""Exercise 6: samples with a temperature. The draw is the learner's own, so the laws look at its statistics."""

from __future__ import annotations

import torch
from torch import nn

from tutorial_lib.checks.ch05.compose import Coupling, Reorder
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import TensorSlot

N = 4000


class Samples(TensorSlot):
    """n samples; the pair that ``flow.inverse`` returns is named."""

    def examine(self, value):
        if isinstance(value, tuple):
            raise Stop(Finding("type", "the samples must be one tensor", f"it returned a tuple of {len(value)}",
                               "flow.inverse returns (x, log_det): return only x"))
        super().examine(value)


class Probe(nn.Module):
    """A flow on 4 numbers whose image of zero is not zero. ``shape`` is that of one latent."""

    shape = (4,)

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Coupling(90), Reorder((2, 3, 0, 1)), Coupling(95)]).float()

    def forward(self, x):
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return x + 1.5, total

    def inverse(self, z):
        z, total = z - 1.5, z.new_zeros(len(z))
        for layer in reversed(self.layers):
            z, log_det = layer.inverse(z)
            total = total + log_det
        return z, total


def _like_normal(z, sd, mean=0.0):
    """Whether every axis of z (n, d) has this standard deviation and mean, within the error of n draws."""
    return bool(((z.std(0) / sd - 1).abs() < 0.06).all() and ((z.mean(0) - mean).abs() < 0.08 * sd).all())


def _drawn(call):
    """Laws of the draw itself, at temperature 1: many points, unrelated axes, normal."""
    z = Probe()(call(Probe(), N, 1.0).detach())[0]
    if float((z - z[:1]).abs().max()) < 1e-3:
        return f"all {N} samples are the same point", "one draw repeated n times: draw n latents"
    off = float((torch.corrcoef(z.T) - torch.eye(4)).abs().max())
    if off > 0.9:
        return (f"two axes of the latents have correlation {off:.2f}",
                "the same random number on every axis: draw (n, d)")
    if _like_normal(z, 12**-0.5, mean=0.5):
        return "the latents have mean 0.5 and are all positive", "torch.rand draws uniform numbers: use torch.randn"
    return None


def _temperature(call):
    flow, t = Probe(), 0.5
    x = call(flow, N, t).detach()
    z = flow(x)[0]
    if _like_normal(z, t):
        return None
    guesses = (
        (_like_normal(flow(x / t)[0], 1.0), "the temperature was applied to x: it must scale the latent z, before "
                                            "flow.inverse"),
        (_like_normal(flow.inverse(x)[0], t), "flow(z) was called where flow.inverse(z) is needed: samples are data"),
        (_like_normal(x, t), "the latent itself was returned: it still has to go through flow.inverse"),
        (_like_normal(z, 1.0), "the temperature is not used at all"),
        (_like_normal(z, t * t), "the temperature was used twice: it is the standard deviation of z"),
        (_like_normal(z, t**0.5), "the temperature was used as a variance: it is the standard deviation of z"),
        (_like_normal(z, 1 / t), "z was divided by the temperature: multiply"))
    cause = next((text for matches, text in guesses if matches), "")
    return f"at temperature {t} the latents of your samples have standard deviation {float(z.std()):.3f}", cause


def _gaussian(call):
    z = Probe()(call(Probe(), N, 1.0).detach())[0]
    fourth = float(((z - z.mean(0)) / z.std(0)).pow(4).mean())
    return None if 2.6 < fourth < 3.4 else (
        f"the fourth moment of the latents is {fourth:.2f}, a Gaussian has 3", "the base is not standard normal")


def _zero(call):
    flow = Probe()
    x, point = call(flow, 5, 0.0).detach(), flow.inverse(torch.zeros(1, 4))[0]
    gap = float((x - point).abs().max())
    return None if gap < 1e-5 else (f"off by {gap:.3g} from flow.inverse(0)",
                                    "the temperature is added to z, or applied after flow.inverse")


def _fresh(call):
    first, second = call(Probe(), 3, 1.0), call(Probe(), 6, 1.0)
    return None if len(first) == 3 and len(second) == 6 else "n is not the number of samples"


SAMPLE = Exercise(
    name="sample", minutes=6,
    returns=(lambda flow, n, temperature: Samples("the samples", (n, *flow.shape), "(n, d)"),),
    laws=(Law("the number of samples is not n", _fresh),
          Law("the samples do not come from independent draws of a standard normal", _drawn),
          Law("the latents of the samples do not have the temperature as their spread", _temperature),
          Law("the latents of the samples are not standard normal at temperature 1", _gaussian),
          Law("temperature 0 must give one point, the image of z = 0", _zero)),
    passes="latents of the samples are normal with spread T, and T = 0 gives one point",
    hints=("A sample begins in the latent space. How is z distributed there, and what shape do n of them have?",
           "Temperature is the standard deviation of z. Which quantity do you multiply, and before or after the flow?",
           "flow.inverse(z) returns two things; only the first is a sample."),
)
