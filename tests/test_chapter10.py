"""The statements of chapter 10 as laws: contact keeps the inverse, sums not means, gammas that hide, a wrong tap."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib import backbones, flows
from tutorial_lib.data import factory
from tutorial_lib.detectors import CSFlow
from tutorial_lib.experiments.released_inverse import released_inverse
from tutorial_lib.experiments.without_flow import without_flow
from tutorial_lib.flows.cross_scale_coupling import stretch, sum_log_det, unstretch

CLAMP = flows.AtanClamp(2.0)


def maps(channels: int, side: int, batch: int = 2) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(side)
    sides = (side, side // 2, side // 4)
    return tuple(torch.randn(batch, channels, n, n, generator=draw, dtype=torch.float64) for n in sides)


def frozen(module: torch.nn.Module) -> torch.nn.Module:
    return module.double().requires_grad_(False)


def contact(xs, net, step):
    """The third rung of the ladder: first halves pass, s and t of all second halves come from all first halves."""
    first, second = zip(*(x.chunk(2, dim=1) for x in xs), strict=True)
    s, t = zip(*(o.chunk(2, dim=1) for o in net(first)), strict=True)
    s = tuple(CLAMP(a) for a in s)
    return tuple(torch.cat(pair, dim=1) for pair in zip(first, step(second, s, t), strict=True)), sum_log_det(s)


@pytest.fixture
def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return frozen(flows.CrossScaleNet(1, 2, hidden=4, gamma=1.0))


@pytest.fixture(scope="module")
def detector():
    washers = factory.normal("washer", 8, size=32, seed=0)
    return CSFlow.small(size=32, steps=2, blocks=2, hidden=4, progress=False), washers


def jacobian(function, xs):
    layout = flows.Flattened(torch.nn.Identity(), [x.shape[1:] for x in xs])
    return torch.autograd.functional.jacobian(lambda v: layout.join(function(layout.split(v[None]))[0])[0],
                                              layout.join(xs)[0])


# -- the ladder -------------------------------------------------------------------------------------------------------

def test_contact_costs_neither_the_inverse_nor_the_log_det(net):
    xs = maps(2, 4)
    zs, log_det = contact(xs, net, stretch)
    for back, x in zip(contact(zs, net, unstretch)[0], xs, strict=True):
        assert torch.allclose(back, x, rtol=0, atol=1e-12)
    J = jacobian(lambda v: contact(v, net, stretch), tuple(x[:1] for x in xs))
    assert float(torch.linalg.slogdet(J)[1]) == pytest.approx(float(log_det[0]), abs=1e-9)


def test_passing_numbers_first_makes_the_joint_jacobian_triangular_and_far_scales_never_meet(net):
    xs = maps(2, 4, batch=1)
    J = jacobian(lambda v: contact(v, net, stretch), xs)
    assert J[:32, 40:].abs().max() == 0 and J[40:, :32].abs().max() == 0            # scales 0 and 2
    assert J[:32, 32:40].abs().max() > 0 and J[32:40, :32].abs().max() > 0          # neighbours
    passing = torch.cat([torch.arange(2 * n) < n for n in (16, 4, 1)])
    order = torch.cat([passing.nonzero()[:, 0], (~passing).nonzero()[:, 0]])
    assert J[order][:, order].triu(1).abs().max() == 0


def test_three_sizes_cost_31_percent_more():
    assert sum(n * n for n in (24, 12, 6)) / 24**2 == 1.3125


def test_a_mean_over_three_scales_is_a_third_of_the_log_det(net):
    xs = maps(2, 4)
    log_det = contact(xs, net, stretch)[1]
    J = jacobian(lambda v: contact(v, net, stretch), tuple(x[:1] for x in xs))
    assert float(torch.linalg.slogdet(J)[1] / (log_det[0] / 3)) == pytest.approx(3, rel=1e-9)


@pytest.mark.parametrize("w", [1 / 3, 1.0, 16.0])
def test_a_log_det_that_counts_w_times_ends_at_mean_z_squared_w(w):
    y = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(60):                                                            # Newton steps on ½ z² − w · log_det
        slope = (y * log_a.exp()).square().mean() - w
        with torch.no_grad():
            log_a -= slope / (2 * (slope + w))
    assert float((y * log_a.detach().exp()).square().mean()) == pytest.approx(w, rel=1e-6)


# -- break it ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("gamma", "low", "high"), [(0.0, 0.0, 1e-12), (0.01, 1e-3, 1), (0.5, 0.1, 100)])
def test_the_released_inverse_is_right_only_while_the_gammas_are_zero(gamma, low, high):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = frozen(flows.CrossScaleCoupling(4, flows.cross_scale(8, gamma=gamma), flows.Atan0636Clamp(3.0)))
    xs = maps(4, 8)
    zs, log_det = block(xs)
    wrong, wrong_log_det = released_inverse(block, zs)
    error = max(float((a - b).abs().max()) for a, b in zip(wrong, xs, strict=True))
    assert low <= error <= high
    assert max(float((a - b).abs().max()) for a, b in zip(block.inverse(zs)[0], xs, strict=True)) < 1e-12
    assert torch.allclose(block.inverse(zs)[1], -log_det, rtol=0, atol=1e-12)
    if gamma:                                                                      # its log_det is not negated either
        assert (wrong_log_det - block.inverse(zs)[1]).abs().max() > 1e-3


def test_picking_304_of_512_channels_by_number_fails_silently_and_the_library_does_not():
    deeper, permutation = torch.zeros(1, 512, 2, 2), flows.Permutation(304, seed=0)
    assert deeper[:, permutation.index].shape == (1, 304, 2, 2)
    with pytest.raises(ValueError, match="built for 304 channels"):
        permutation(deeper)


@pytest.mark.slow
def test_through_the_gates_of_efficientnet_a_cell_hears_the_whole_picture():
    net = backbones.load("efficientnet_b5", weights="random", taps=("stage1",))
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    changed = picture.clone()
    changed[..., 0, 0] = 1 - changed[..., 0, 0]
    with torch.no_grad():
        moved = (net(changed)[0] - net(picture)[0])[0, :, -1, -1].abs().max()
    assert net.taps["stage1"].receptive_field < 64 and moved > 0


# -- the detector -----------------------------------------------------------------------------------------------------

def test_before_training_the_gammas_alone_get_a_gradient_and_log_det_is_zero():
    flow = CSFlow.small(progress=False, blocks=2, hidden=4).build_flow(((4, 4, 4), (4, 2, 2), (4, 1, 1)))
    z, log_det = flow.transform[1:](tuple(m.float() for m in maps(4, 4)))
    CSFlow.loss(z, log_det).mean().backward()
    assert log_det.abs().max() == 0
    awake = {name.rsplit(".", 1)[1] for name, p in flow.named_parameters() if p.grad is not None and p.grad.any()}
    assert awake == {"gamma"}


def test_with_the_gammas_at_zero_the_detector_is_its_three_gaussians(detector):
    found, washers = detector
    found.fit(washers)
    bare = without_flow(found, washers)
    assert not torch.allclose(found.score(washers), bare.score(washers), rtol=1e-6)
    for module in found.flow.modules():
        if isinstance(module, flows.CrossScaleNet):
            module.gamma.zero_()
    assert torch.allclose(found.score(washers), bare.score(washers), rtol=1e-5)
    assert torch.allclose(found.anomaly_map(washers), bare.anomaly_map(washers), rtol=1e-4)


def test_shares_of_the_score_are_16_to_4_to_1_and_the_map_is_scale_0_alone(detector):
    found = detector[0]
    z = tuple(torch.ones(1, 6, n, n) for n in (8, 4, 2))
    assert (found.scale_scores(z) * 42).tolist() == [pytest.approx([16, 4, 1])]
    assert torch.equal(found.localise(z, 32), found.localise((z[0], 5 * z[1], 7 * z[2]), 32))
