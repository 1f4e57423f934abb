"""Exercise 3: the network that computes s and t."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from tutorial_lib.checks.ch08.probes import drawn
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import ObjectSlot

SMALL = (6, 5, 16)             # d_in, d_out, hidden: three different numbers, so that none can stand for another
PAPER = (384, 384, 2048)
PAPER_COUNT = 10_754_816


def parameter_count(d_in: int, out: int, hidden: int, depth: int = 3, bias: bool = True) -> int:
    """Parameters of ``depth`` hidden layers and an output layer of width ``out``."""
    widths = [d_in, *[hidden] * depth, out]
    return sum(a * b + b * bias for a, b in pairwise(widths))


def _output(net: nn.Module, x: Tensor) -> Tensor:
    """What the learner's network returns for ``x``, or a finding that says why it cannot."""
    try:
        out = net(x)
    except Exception as error:
        raise Stop(Finding("error", f"the network raised {type(error).__name__}: {str(error).splitlines()[0][:120]}",
                           f"given an input of shape {tuple(x.shape)}, (B, d_in)",
                           "the width of one layer's output is not the width that the next layer reads")) from None
    if not isinstance(out, Tensor):
        raise Stop(Finding("type", "the network must return one tensor", f"it returned a {type(out).__name__}",
                           "s and t come as one output of width 2 · d_out; the coupling layer splits it"))
    return out.detach()


def _shape(build):
    d_in, d_out, hidden = SMALL
    found = tuple(_output(build(*SMALL), drawn(7, d_in)).shape)
    if found == (7, 2 * d_out):
        return None
    causes = {(7, d_out): "d_out was not doubled: the network gives s and t, d_out values each",
              (7, hidden): "the last layer is missing: the output is still the hidden layer",
              (7, 2 * hidden): "the last layer is as wide as two hidden layers; it is 2 · d_out wide",
              (7, 2 * d_in): "the last layer is 2 · d_in wide; it is 2 · d_out wide",
              (7, 2): "the last layer is 2 wide: one s and one t for each of the d_out values are due"}
    return (f"d_in 6, d_out 5, hidden 16, a batch of 7: found {found}, expected (7, 10)", causes.get(found, ""))


def _last_layer(build):
    net, order = build(*SMALL), []
    hooks = [m.register_forward_hook(lambda m, *_: order.append(m)) for m in net.modules() if not list(m.children())]
    out = _output(net, 20 * drawn(256, SMALL[0]))
    for hook in hooks:
        hook.remove()
    if bool((out >= 0).all()):
        return "256 inputs: not one output is negative", "a ReLU after the last layer: s could only stretch"
    if float(out.abs().max()) <= 1.0 and float(_output(net, 2000 * drawn(256, SMALL[0])).abs().max()) <= 1.0:
        return "inputs of size 2000, and no output above 1", "a tanh or sigmoid after the last layer: t is bounded"
    if order and isinstance(order[-1], nn.ReLU | nn.LeakyReLU | nn.ELU | nn.GELU | nn.SiLU | nn.Softplus):
        return f"the last thing that happens is {type(order[-1]).__name__}", "an activation after the last layer"
    return None


def _count(build):
    found = sum(p.numel() for p in build(*PAPER).parameters())
    if found == PAPER_COUNT:
        return None
    d_in, d_out, hidden = PAPER
    causes = {parameter_count(d_in, 2 * d_out, hidden, depth): f"{depth} hidden layers; three are due"
              for depth in (0, 1, 2, 4, 5)}
    causes[parameter_count(d_in, 2 * d_out, hidden, bias=False)] = "the layers have no bias"
    causes[0] = "the layers are not registered: a plain list hides them, nn.Sequential or nn.ModuleList does not"
    causes |= {PAPER_COUNT + 2 * width: "a normalisation layer adds parameters; there is none" for width in (384, 2048)}
    return f"384 in, 384 changed, 2048 hidden: {found:,} parameters, expected {PAPER_COUNT:,}", causes.get(found, "")


def _rows(build):
    net, x = build(*SMALL), drawn(8, SMALL[0])
    first, again, pair = _output(net, x), _output(net, x), _output(net, x[2:4])
    if not torch.equal(first, again):
        return "the same input twice gave two outputs", "dropout: with it s and t differ between forward and inverse"
    if not torch.allclose(first[2:4], pair, atol=1e-5):
        return ("rows 2 and 3 by themselves give another output than in a batch of 8",
                "batch normalisation: it mixes the rows of a batch")
    return None


def _coupling(build):
    d_in, d_out, _ = SMALL
    net, x = build(*SMALL).double(), drawn(9, d_in + d_out).double()
    s, t = _output(net, x[:, :d_in]).chunk(2, dim=1)  # (B, d_out) each
    z = torch.cat([x[:, :d_in], x[:, d_in:] * s.exp() + t], dim=1)
    s, t = _output(net, z[:, :d_in]).chunk(2, dim=1)
    error = float((z[:, d_in:] - t).mul((-s).exp()).sub(x[:, d_in:]).abs().max())
    return f"9 vectors, there and back: off by {error:.3g}" if not error < 1e-9 else None


FC_SUBNET = Exercise(
    name="fc_subnet", minutes=8,
    returns=(lambda *_: ObjectSlot("the network", nn.Module),),
    laws=(Law("the output must have shape (B, 2 * d_out)", _shape),
          Law(f"with the paper's sizes it must have {PAPER_COUNT:,} parameters", _count),
          Law("every row must be treated on its own, and always alike", _rows),
          Law("nothing may follow the last layer: s and t take any sign and size", _last_layer),
          Law("a coupling layer with it cannot be undone", _coupling)),
    passes=f"output (B, 2 * d_out), {PAPER_COUNT:,} parameters with the paper's sizes, and a coupling can be undone",
    hints=("Count the layers: three hidden ones, each followed by a ReLU, then one last Linear.",
           "The first hidden layer is there. Two more have hidden inputs and hidden outputs.",
           "The last layer gives s and t, d_out values each, in one output. No ReLU after it."))

