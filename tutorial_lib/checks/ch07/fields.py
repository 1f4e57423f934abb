"""Exercise 4: which pixels one number of a feature map can see, counted."""

from __future__ import annotations

import torch
from torch import nn

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot

CHAINS = ([(3, 1, 1)], [(3, 2, 1), (3, 1, 1)], [(5, 2, 2), (3, 2, 1), (3, 1, 1)], [(3, 2, 0), (2, 2, 0), (3, 1, 1)],
          [(7, 2, 3), (3, 2, 1), (3, 1, 1), (3, 2, 1), (1, 1, 0)])
SIDE = 160


def recursion(layers):
    """size, step and first pixel of cell 0."""
    size, step, start = 1, 1, 0
    for kernel, stride, pad in layers:
        size, start, step = size + (kernel - 1) * step, start - pad * step, step * stride
    return size, step, start


def seen(layers, cell: int) -> tuple[int, int]:
    """First and last pixel that this cell of a chain of averaging filters sees, measured by its gradient."""
    net = nn.Sequential(*[nn.Conv1d(1, 1, k, s, p, bias=False) for k, s, p in layers]).double()
    for layer in net:
        nn.init.ones_(layer.weight)
    line = torch.zeros(1, 1, SIDE, dtype=torch.float64, requires_grad=True)
    gradient, = torch.autograd.grad(net(line)[0, 0, cell], line)
    where = gradient[0, 0].nonzero()[:, 0]
    return int(where[0]), int(where[-1])


def _measured(call, index):
    for layers in CHAINS:
        cells = [c for c in (6, 7) if c >= 0]
        boxes = [seen(layers, c) for c in cells]
        true = (boxes[0][1] - boxes[0][0] + 1, boxes[1][0] - boxes[0][0], None)
        true = (*true[:2], boxes[0][0] - cells[0] * true[1])
        found = float(call(layers)[index])
        if found != true[index]:
            what = ("size", "step", "offset")[index]
            return f"layers {layers}: {what} {found:g}, the gradient says {true[index]}"
    return None


def _by(change):
    def wrong(layers):
        size, step, start = 1, 1, 0
        for kernel, stride, pad in layers:
            size, step, start = change(size, step, start, kernel, stride, pad)
        return size, step, start
    return wrong


FIELD = Exercise(
    name="receptive_field", minutes=12,
    returns=(lambda layers: (NumberSlot("size"), NumberSlot("step"), NumberSlot("offset")),),
    laws=(Law("the step is not the distance of two neighbouring boxes", lambda call: _measured(call, 1)),
          Law("the size is not the width of the non-zero gradient", lambda call: _measured(call, 0)),
          Law("the offset is not the first pixel of cell 0's box", lambda call: _measured(call, 2))),
    passes="box = non-zero gradient for five chains, padding included",
    hints=("Carry three numbers through the layers: size and step start at 1, the offset at 0. step is the distance, "
           "in pixels, of two cells of the map that a layer reads.",
           "A kernel of k cells adds k − 1 steps of the map it reads: size grows by (k − 1) · step, with the step "
           "*before* this layer's stride.",
           "Padding p moves the first cell p steps of that map to the left: offset −= p · step. The step is multiplied "
           "by the stride last."),
    suspects=(
        Suspect("the stride is not compounded: each layer's kernel was counted in pixels; one step of a deeper map is "
                "several pixels",
                _by(lambda s, j, o, k, st, p: (s + k - 1, j * st, o - p * j))),
        Suspect("the step was updated first: the kernel steps on the map that the layer reads, before its own stride",
                _by(lambda s, j, o, k, st, p: (s + (k - 1) * j * st, j * st, o - p * j))),
        Suspect("the step was updated first, for padding too: both count in steps of the map that the layer reads",
                _by(lambda s, j, o, k, st, p: (s + (k - 1) * j * st, j * st, o - p * j * st))),
        Suspect("the strides were added: they multiply",
                _by(lambda s, j, o, k, st, p: (s + (k - 1) * j, j + st, o - p * j))),
        Suspect("the strides were added, from 0: they multiply", lambda ls: (recursion(ls)[0], sum(x[1] for x in ls),
                                                                          recursion(ls)[2])),
        Suspect("only the last layer's stride: the strides of all layers multiply",
                lambda layers: (recursion(layers)[0], layers[-1][1], recursion(layers)[2])),
        Suspect("k · step instead of (k − 1) · step: a kernel of 1 must add nothing",
                _by(lambda s, j, o, k, st, p: (s + k * j, j * st, o - p * j))),
        Suspect("the padding is ignored: each padded layer moves the box to the left",
                lambda layers: (*recursion(layers)[:2], 0)),
        Suspect("the padding was counted in pixels: p cells of a deeper map are p · step pixels",
                _by(lambda s, j, o, k, st, p: (s + (k - 1) * j, j * st, o - p))),
        Suspect("the sign of the offset: padding moves the box of cell 0 to the left, so it begins at −p · step",
                lambda layers: (*recursion(layers)[:2], -recursion(layers)[2])),
        Suspect("this offset is the centre of the box: the first pixel is asked for",
                lambda ls: (*recursion(ls)[:2], recursion(ls)[2] + (recursion(ls)[0] - 1) / 2)),
        Suspect("the padding was subtracted from the size: it moves the box and does not shrink it",
                lambda ls: (recursion(ls)[0] + 2 * recursion(ls)[2], *recursion(ls)[1:])),
    ),
)
