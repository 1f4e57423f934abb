"""Exercises 5 and 6: layers one after another, and samples with a temperature."""

from __future__ import annotations

import torch
from torch import nn

from tutorial_lib.checks.ch05.probes import ALPHA, clamp, differ, network, normal, numeric_log_det
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


class Coupling(nn.Module):
    """A small coupling layer of the check's own, so that it depends on nothing that is being learnt."""

    def __init__(self, seed: int):
        super().__init__()
        self.st = network(2, 4, seed=seed)

    def forward(self, x):
        s, t = self._st(x)
        return torch.cat([x[:, :2], x[:, 2:] * s.exp() + t], 1), s.sum(1)

    def inverse(self, z):
        s, t = self._st(z)
        return torch.cat([z[:, :2], (z[:, 2:] - t) * (-s).exp()], 1), -s.sum(1)

    def _st(self, x):
        s, t = self.st(x[:, :2]).chunk(2, dim=1)
        return clamp(s, ALPHA), t


class Reorder(nn.Module):
    """A fixed permutation of the four axes; its log_det is zero."""

    def __init__(self, order: tuple[int, ...]):
        super().__init__()
        self.order = torch.tensor(order)

    def forward(self, x):
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z):
        return z[:, self.order.argsort()], z.new_zeros(len(z))


def _layers():
    return [Coupling(70), Reorder((2, 0, 3, 1)), Coupling(80), Coupling(85)]


def _x():
    return normal(10, 4, seed=71)


def _forward(layers, x):
    total = x.new_zeros(len(x))
    for layer in layers:
        x, log_det = layer(x)
        total = total + log_det
    return x, total


def _backward(layers, z, order=reversed, total=True):
    summed = z.new_zeros(len(z))
    for layer in order(layers):
        z, log_det = layer.inverse(z)
        summed = summed + log_det if total else log_det
    return z, summed


def _one_layer(compose, _back):
    layer, x = Coupling(70), _x()
    z, log_det = compose([layer], x)
    return differ("z", z, layer(x)[0], 1e-9, "that of the layer alone") or differ(
        "log_det", log_det, layer(x)[1], 1e-9, "that of the layer alone")


def _in_order(compose, _back):
    layers, x = _layers(), _x()
    return differ("z", compose(layers, x)[0], _forward(layers, x)[0], 1e-9, "the last layer's output")


def _sum(compose, _back):
    layers, x = _layers(), _x()
    return differ("log_det", compose(layers, x)[1], numeric_log_det(lambda v: compose(layers, v), x), 1e-6,
                  "ln|det J| by finite differences")


def _undone(compose, back):
    layers, x = _layers(), _x()
    found = back(layers, compose(layers, x)[0])[0]
    where = differ("compose_inverse(compose(x))", found, x, 1e-9, "x")
    if where and differ("", found.sort(dim=1).values, x.sort(dim=1).values, 1e-9, "") is None:
        return where, "the values are right, the axes come back in another order: is one permutation not undone?"
    return where


def _negated(compose, back):
    layers, x = _layers(), _x()
    z, log_det = compose(layers, x)
    return differ("the inverse log_det", back(layers, z)[1], -log_det, 1e-9, "minus the forward one")


def _last_only(layers, x):
    for layer in layers:
        x, log_det = layer(x)
    return x, log_det


def _visits(layers, x):
    """Each layer with the point that it receives."""
    for layer in layers:
        yield layer, x
        x = layer(x)[0]


def _product(log_dets):
    return torch.stack(log_dets).prod(0)


def _returns(name):
    return lambda layers, x: (TensorSlot(name, x.shape, "(B, d)", x.dtype),
                              TensorSlot("log_det", x.shape[:1], "(B,)", x.dtype))


COMPOSE = Exercise(
    name="compose", minutes=8, functions=("compose", "compose_inverse"), returns=(_returns("z"), _returns("x")),
    laws=(Law("one layer alone is not reproduced", _one_layer),
          Law("the layers are not applied one after another", _in_order),
          Law("log_det is not ln|det ∂z/∂x| of the whole chain", _sum),
          Law("the inverse does not undo the chain", _undone),
          Law("the inverse log_det is not minus the forward one", _negated)),
    passes="four layers with a permutation are undone exactly, and the log_dets add",
    hints=("Start with a total of zeros, one per sample: x.new_zeros(len(x)). Each layer returns the next point and "
           "its own log_det.",
           "The determinant of a product is the product of the determinants. What happens to their logarithms?",
           "Socks before shoes; which comes off first? reversed(layers) leaves the list as it is."),
    suspects=(
        Suspect("log_det of the last layer only: each layer's log_det must be added to a total",
                _last_only),
        Suspect("the inverse visits the layers in the same order as forward: the last layer must be undone first",
                lambda layers, z: _backward(layers, z, order=iter), index=1),
        Suspect("the inverse returns the log_det of one layer only: add them all",
                lambda layers, z: _backward(layers, z, total=False), index=1),
        Suspect("the inverse calls layer(x) where layer.inverse(z) is needed",
                lambda layers, z: _forward(list(reversed(layers)), z), index=1),
        Suspect("the inverse repeats the forward pass: nothing is undone",
                _forward, index=1),
        Suspect("the layers all got the first x: hand each layer the output of the one before",
                lambda layers, x: (layers[-1](x)[0], sum(layer(x)[1] for layer in layers))),
        Suspect("the log_dets were multiplied: determinants multiply, so their logarithms add",
                lambda layers, x: (_forward(layers, x)[0], _product([layer(y)[1] for layer, y in _visits(layers, x)]))),
        Suspect("the total is still zero: it was multiplied by each log_det, or never changed; log_dets add",
                lambda layers, x: (_forward(layers, x)[0], 0 * x[:, 0])),
        Suspect("the inverse multiplies the log_dets: they are logarithms, so they add",
                lambda layers, z: (_backward(layers, z)[0], 0 * z[:, 0]), index=1),
        Suspect("the log_dets were averaged: they add",
                lambda layers, x: (_forward(layers, x)[0], _forward(layers, x)[1] / len(layers))),
        Suspect("the inverse changes the sign of log_dets that layer.inverse has already negated",
                lambda layers, z: (_backward(layers, z)[0], -_backward(layers, z)[1]), index=1),
        Suspect("compose applies the layers from last to first",
                lambda layers, x: _forward(list(reversed(layers)), x)),
    ),
)
