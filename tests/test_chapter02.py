"""What chapter 02 breaks on purpose leaves the signature that it tells the reader to look for."""

import math

import pytest
import torch
from torch.func import grad, jacrev, jvp, vjp

from tutorial_lib import backbones
from tutorial_lib.data import factory
from tutorial_lib.widgets import grid_warp


@pytest.fixture(scope="module")
def network():
    return backbones.load().double()


@pytest.fixture(scope="module")
def washer():
    return factory.normal("washer", 1, size=128, seed=0)[0].double()


def layers(network, image, last):
    return network.maps((image[None] - network.mean) / network.std, last)


def test_a_float32_step_that_is_too_small_returns_exactly_zero():
    one = torch.ones((), dtype=torch.float32)

    def slope(h):
        return float(((one + h).sin() - (one - h).sin()) / (2 * h))

    assert slope(1e-8) == 0.0
    assert abs(slope(5e-3) - math.cos(1)) < 1e-4 < abs(slope(1e-7) - math.cos(1))


def test_accumulated_gradients_are_running_sums_of_the_rows():
    def plate(sides):
        a, b = sides
        return torch.stack([a * b, 2 * (a + b), (a * a + b * b).sqrt()])

    at = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    found = []
    for value in plate(at):
        value.backward(retain_graph=True)
        found.append(at.grad.clone())
    wrong, right = torch.stack(found), jacrev(plate)(at.detach())
    assert torch.allclose(wrong, right.cumsum(0))
    assert torch.allclose(wrong[0], right[0]) and not torch.allclose(wrong[1:], right[1:])
    assert torch.allclose(right, torch.tensor([[4, 3], [2, 2], [0.6, 0.8]], dtype=torch.float64))


def test_a_crease_halves_the_gap_and_autograd_stays_silent():
    crease, beside = (0.0, 0.25), (0.75, 0.25)
    gaps = [grid_warp.measure("fold", crease, h)["gap"] for h in (0.5, 0.25, 0.125)]
    assert gaps[0] / gaps[1] == pytest.approx(2) and gaps[1] / gaps[2] == pytest.approx(2)
    assert grid_warp.jacobian("fold", crease)[0].abs().max() == 0
    assert grid_warp.measure("fold", beside, 0.5)["gap"] < 1e-12


def test_a_wrong_entry_shrinks_the_gap_like_the_step_only():
    point, u = torch.tensor([0.5, 0.25], dtype=torch.float64), grid_warp.edge()
    J = grid_warp.jacobian("swirl", (0.5, 0.25))
    off = J + torch.tensor([[0.05, 0], [0, 0]])

    def gap(matrix, h):
        moved = grid_warp.swirl(point + h * u) - grid_warp.swirl(point)
        return float((moved - h * u @ matrix.T).norm(dim=1).max())

    assert gap(J, 1e-3) / gap(J, 5e-4) == pytest.approx(4, abs=0.05)
    assert gap(off, 1e-3) / gap(off, 5e-4) == pytest.approx(2, abs=0.1)


def test_forward_and_backward_agree_on_the_network(network, washer):
    def f(image):
        return torch.cat([layers(network, image, "stride16")[name].mean((2, 3))[0] for name in network.taps])

    draw = torch.Generator().manual_seed(0)
    v, u = torch.randn(washer.shape, generator=draw).double(), torch.randn(336, generator=draw).double()
    forward, backward = u @ jvp(f, (washer,), (v,))[1], (vjp(f, washer)[1](u)[0] * v).sum()
    assert float(forward) != 0 and float(forward) == pytest.approx(float(backward), rel=1e-9)


def test_the_gradient_is_exactly_zero_outside_the_receptive_field(network, washer):
    side, stride = network.taps["stride4"].receptive_field, network.taps["stride4"].stride
    for row, column in ((15, 17), (9, 22)):
        g = grad(lambda image, r=row, c=column: layers(network, image, "stride4")["stride4"][0, :, r, c].sum())(washer)
        where = (g != 0).any(0).nonzero()
        low, high = where.amin(0), where.amax(0)
        assert (high - low + 1).tolist() == [side, side]  # all of it is used, and nothing else
        assert (low + side // 2).tolist() == [stride * row, stride * column]


def test_a_zero_entry_here_may_be_something_else_in_another_image(network, washer):
    def f(image):
        return torch.cat([layers(network, image, "stride16")[name].mean((2, 3))[0] for name in network.taps])

    one_level = torch.zeros_like(washer)
    one_level[:, 40, 64] = 1 / 255
    here, white = (jvp(f, (at,), (one_level,))[1] for at in (washer, torch.ones_like(washer)))
    assert 0 < int((white[here == 0] != 0).sum()) < int((here == 0).sum())
