"""Exercise 5: does a network give an image the same numbers alone and in a batch?"""

from __future__ import annotations

import copy

import torch
from torch import nn

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot


def probe(sign: int = 1) -> nn.Module:
    """A small network with batch normalisation, its running statistics away from their start; in train mode.

    ``sign`` = -1 turns all its outputs round, so that the worst difference has the other sign.
    """
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).double()
    for k, p in enumerate(net.parameters()):
        p.data = 0.6 * normal(*p.shape, seed=90 + k)
    net[3].weight.data *= sign
    net[1].running_mean += 0.3
    return net


def images(n: int = 5):
    """Images of unequal brightness, the outlier neither first nor last."""
    return normal(n, 3, 6, 6, seed=99) * torch.tensor([1.0, 0.5, 4.0, 1.5, 0.8])[:n, None, None, None].double()


@torch.no_grad()
def gaps(net, x, other=0):
    """Signed difference of every output number, alone minus in the batch; on a copy."""
    net = copy.deepcopy(net)
    together = net(x)
    alone = torch.cat([net(one[None]) for one in x])
    return alone - together.roll(other, 0)


def _number(call, net) -> float:
    result = call(net, images())
    return float(result.detach() if isinstance(result, torch.Tensor) else result)


def _eval(call):
    found = _number(call, probe().eval())
    return None if abs(found) < 1e-9 else f"a network in eval() gives {found:.4f}, alone and in a batch must agree"


def _train(call):
    for sign in (1, -1):
        found, expected = _number(call, probe(sign)), float(gaps(probe(sign), images()).abs().max())
        if abs(found - expected) > 1e-7:
            return f"in train mode found {found:.4f}, the worst difference is {expected:.4f}"
    return None


def _part(call):
    net = probe().eval()
    net[1].train()  # the network says eval, its batch norm does not
    expected, found = float(gaps(net, images()).abs().max()), _number(call, net)
    if abs(found - expected) > 1e-7:
        return (f"a network in eval() whose batch norm is in train mode: found {found:.4f}, the worst difference is "
                f"{expected:.4f}", "the answer was read from net.training: measure it")
    return None


def _modes(call):
    for net in (probe(), probe().eval()):
        net[0].eval()  # a part may be in another mode than the whole
        before, state = [m.training for m in net.modules()], copy.deepcopy(net.state_dict())
        call(net, images())
        if [m.training for m in net.modules()] != before:
            return ("the mode of the network is another one after the call",
                    "eval() or train() was called on the learner's network and not undone: work on copy.deepcopy(net)")
        if any(not torch.equal(state[k], v) for k, v in net.state_dict().items()):
            return ("the running mean of the batch norm is another one after the call",
                    "in train mode every forward pass updates the running statistics: work on copy.deepcopy(net)")
    return None


FROZEN = Exercise(
    name="frozen_check", minutes=8, returns=(lambda net, x: NumberSlot("the worst difference"),),
    laws=(Law("it reports a difference for a frozen network", _eval),
          Law("it is not the worst difference between alone and in a batch", _train),
          Law("it misses a batch norm that is in train mode inside a network in eval()", _part),
          Law("it does not leave the network as it was", _modes)),
    passes="0 in eval, the worst difference in train mode, and the network is as it was",
    hints=("Two passes: net(images), and net(image[None]) for each image. Compare like with like: row i of the batch "
           "with image i alone.",
           "The worst difference is the largest absolute value over all images and all outputs: (a − b).abs().max().",
           "In train mode even a forward pass changes the network: batch norm updates its running statistics. Measure "
           "on copy.deepcopy(net), in the mode in which you got it."),
    suspects=(
        Suspect("eval() was called before measuring, so the answer is always 0: measure in the mode of the network",
                lambda net, x: 0.0),
        Suspect("outputs of two different images were compared: row i of the batch belongs to image i",
                lambda net, x: float(gaps(net, x, 1).abs().max())),
        Suspect("the first image only: the worst difference may be at another one",
                lambda net, x: float(gaps(net, x)[0].abs().max())),
        Suspect("the last image only: the loop overwrites its result",
                lambda net, x: float(gaps(net, x)[-1].abs().max())),
        Suspect("a mean where the worst is asked for", lambda net, x: float(gaps(net, x).abs().mean())),
        Suspect("no absolute value: differences of both signs count", lambda net, x: float(gaps(net, x).max())),
        Suspect("no absolute value, and batch minus alone: differences of both signs count",
                lambda net, x: float(-gaps(net, x).min())),
        Suspect("a length over all outputs: the largest single difference is asked for",
                lambda net, x: float(gaps(net, x).norm())),
    ),
)
