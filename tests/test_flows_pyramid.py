"""The Laplacian pyramid and the couplings between its levels: exact ways back, log-dets, and whose volume is kept."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tutorial_lib import flows
from tutorial_lib.checks.laws import law_check
from tutorial_lib.flows import ChannelVolumeNorm, DownCoupling, LevelCoupling, OnLevel, SpatialVolumeNorm, UnitVolume1x1
from tutorial_lib.flows.pyramid import level_sizes


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def levels_of(batch: int, channels: int, side: int, levels: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    return tuple(drawn(batch, channels, side >> k, side >> k, seed=seed + k) for k in range(levels))


def moved(transform: nn.Module, size: float = 0.3) -> nn.Module:
    """Float64, every parameter and running mean away from where it starts."""
    transform, draw = transform.double(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in transform.parameters():
            p.add_(size * torch.randn(p.shape, generator=draw, dtype=p.dtype))
        for name, b in transform.named_buffers():
            if "running_mean" in name:
                b.add_(size * torch.randn(b.shape, generator=draw, dtype=b.dtype))
    return transform


def norm_of(kind: str, channels: int, side: int):
    """Level to its volume normalisation."""
    if kind == "channel":
        return lambda level: ChannelVolumeNorm((side >> level, side >> level))
    return lambda level: SpatialVolumeNorm(channels)


def stacks_of(kind: str, levels: int = 2, channels: int = 2, side: int = 4, stacks: int = 1) -> flows.Chain:
    torch.manual_seed(1)
    return moved(flows.pyramid_stacks(levels, channels, norm_of(kind, channels, side), stacks, kernel=3, seed=5))


def sizes_of(levels: int, channels: int, side: int) -> list[tuple[int, int, int]]:
    return [(channels, *size) for size in level_sizes(side, side, levels)]


# -- pyramid ----------------------------------------------------------------------------------------------------------


def zeros_up(x):
    return torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)


def random_down(x):
    return F.conv2d(x, drawn(x.shape[1], x.shape[1], 2, 2, seed=9), stride=2).sin()


PAIRS = {"code": (flows.max_down, flows.smooth_up), "paper": (flows.nearest_down, flows.smooth_up),
         "random and zeros": (random_down, zeros_up),
         "corner and sine": (lambda x: x[..., 1::2, 1::2] ** 3, lambda x: flows.smooth_up(x).sin())}


@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("pair", PAIRS)
def test_joining_undoes_splitting_whatever_the_filters(pair, levels):
    down, up = PAIRS[pair]
    x = drawn(2, 3, 16, 24)
    pyramid = flows.laplacian_split(x, levels, down, up)
    assert [tuple(p.shape) for p in pyramid] == [(2, 3, 16 >> k, 24 >> k) for k in range(levels)]
    torch.testing.assert_close(flows.laplacian_join(pyramid, up), x, rtol=0, atol=1e-14)


def test_a_moved_pyramid_is_the_pyramid_of_no_image():
    x = drawn(1, 1, 64, 64)
    pyramid = flows.laplacian_split(x, 4)
    assert sum(p.numel() for p in pyramid) == 5440  # of 4096 pixels
    shifted = (*pyramid[:2], pyramid[2] + drawn(1, 1, 16, 16, seed=7), pyramid[3])
    image = flows.laplacian_join(shifted)
    again = flows.laplacian_split(image, 4)
    torch.testing.assert_close(flows.laplacian_join(again), image, rtol=0, atol=1e-14)
    assert (again[2] - shifted[2]).norm() > 0.3 * (shifted[2] - pyramid[2]).norm()


def test_the_blur_is_the_binomial_kernel_with_zeros_outside():
    spike = torch.zeros(1, 2, 7, 7, dtype=torch.float64)
    spike[0, :, 3, 3] = 1
    line = torch.tensor([1, 4, 6, 4, 1], dtype=torch.float64)
    found = flows.blur(spike)
    assert torch.equal(found[0, 1, 1:6, 1:6], line[:, None] * line / 256)
    assert float(found[0, 0].sum()) == 1
    fine, _ = flows.laplacian_split(torch.ones(1, 1, 16, 16), 2)  # a constant image
    assert float(fine[0, 0, 8, 8]) == pytest.approx(0, abs=1e-6)
    assert float(fine[0, 0, 0, 0]) == pytest.approx(0.58, abs=0.005)  # where zeros stand outside


def test_joining_is_linear_and_splitting_only_without_the_maximum():
    a, b = drawn(1, 2, 16, 16), drawn(1, 2, 16, 16, seed=5)
    for down, linear in ((flows.nearest_down, True), (flows.max_down, False)):
        both, *each = (flows.laplacian_split(x, 3, down) for x in (2 * a + b, a, b))
        same = [torch.allclose(p, 2 * q + r, atol=1e-12) for p, q, r in zip(both, *each, strict=True)]
        assert all(same) is linear
    pyramid = flows.laplacian_split(a, 3)
    parts = flows.level_contributions(pyramid)
    assert parts.shape == (1, 3, 2, 16, 16)
    torch.testing.assert_close(parts.sum(1), a, rtol=0, atol=1e-14)
    alone = tuple(p * (k == 1) for k, p in enumerate(pyramid))
    torch.testing.assert_close(parts[:, 1], flows.laplacian_join(alone), rtol=0, atol=1e-14)


def test_sides_that_cannot_be_halved_get_a_sentence():
    with pytest.raises(ValueError, match=r"4 levels .*\(1, 1, 16, 20\).* multiples of 8"):
        flows.laplacian_split(torch.zeros(1, 1, 16, 20), 4)
    with pytest.raises(ValueError, match="levels=0"):
        flows.laplacian_split(torch.zeros(1, 1, 16, 16), 0)


# -- volume -----------------------------------------------------------------------------------------------------------

NORMS = {"channel": (ChannelVolumeNorm((4, 6)), (0, 1), (1, 1, 4, 6)),
         "spatial": (SpatialVolumeNorm(3), (0, 2, 3), (1, 3, 1, 1))}


@pytest.mark.parametrize("kind", NORMS)
def test_normalised_log_scales_sum_to_zero_over_the_batch_and_not_over_a_sample(kind):
    norm, axes, shape = NORMS[kind]
    s = drawn(5, 3, 4, 6).float()
    out = norm.train()(s)
    assert out.mean(axes).abs().max() < 1e-6
    assert (out.sum((1, 2, 3)).abs() > 0.1).all()
    assert norm.running_mean.shape == shape
    torch.testing.assert_close(out.std(), (s - s.mean(axes, keepdim=True)).std())  # a mean is taken away, no variance


@pytest.mark.parametrize("kind", NORMS)
def test_running_means_move_by_track_alone_without_gradient_and_are_loadable(kind):
    first, axes, _ = NORMS[kind]
    fresh = type(first)((4, 6) if kind == "channel" else 3, momentum=0.1)
    a, b = drawn(5, 3, 4, 6, seed=1).float().requires_grad_(), drawn(5, 3, 4, 6, seed=2).float()
    fresh.train()(a), fresh.eval()(a)
    assert not fresh.running_mean.any()
    fresh.track(a)
    fresh.track(b)
    expected = 0.9 * 0.1 * a.mean(axes, keepdim=True) + 0.1 * b.mean(axes, keepdim=True)
    torch.testing.assert_close(fresh.running_mean, expected.detach())
    assert not fresh.running_mean.requires_grad
    torch.testing.assert_close(fresh.eval()(b), b - expected.detach())
    other = type(first)((4, 6) if kind == "channel" else 3)
    other.load_state_dict(fresh.state_dict())  # the shape is there before the first batch
    assert torch.equal(other.running_mean, fresh.running_mean)


def test_the_gradient_passes_through_the_mean_of_the_batch():
    norm, s = SpatialVolumeNorm(3), drawn(5, 3, 4, 6).float().requires_grad_()
    (norm(s) * drawn(5, 3, 4, 6, seed=4).float()).sum().backward()
    assert s.grad.sum((0, 2, 3)).abs().max() < 1e-4  # moving all log-scales of a channel together changes nothing


def test_the_matrix_keeps_volume_after_gradient_steps_and_rotates_no_longer():
    mixer, x = UnitVolume1x1(8, seed=0), drawn(4, 8, 5, 5).float()
    eye = torch.eye(8)
    assert (mixer.matrix() @ mixer.matrix().T - eye).abs().max() < 1e-5
    optimiser = torch.optim.Adam(mixer.parameters(), lr=0.05)
    for _ in range(10):
        optimiser.zero_grad()
        mixer(x)[0].square().sum().backward()  # shrink, if you can
        optimiser.step()
        assert abs(float(torch.linalg.slogdet(mixer.matrix().detach().double())[1])) < 1e-5
    assert (mixer.matrix() @ mixer.matrix().T - eye).norm() > 0.5
    assert not mixer(x)[1].any()


# -- couplings --------------------------------------------------------------------------------------------------------

COUPLINGS = {"up": lambda n: LevelCoupling(0, (1,), 2, n(0), 3), "dual": lambda n: LevelCoupling(1, (0, 2), 2, n(1), 3),
             "down": lambda n: DownCoupling(2, 2, n(1), 3), "matrix": lambda n: OnLevel(1, UnitVolume1x1(2, seed=0))}


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("name", COUPLINGS)
def test_couplings_keep_every_law_away_from_their_start_and_change_one_level(name, kind):
    coupling = moved(COUPLINGS[name](norm_of(kind, 2, 4)))
    x = levels_of(2, 2, 4, 3)
    report = law_check(flows.Flattened(coupling, sizes_of(3, 2, 4)), flows.Flattened.join(x).float())
    assert report.ok, str(report)
    z, log_det = coupling.eval()(x)
    assert [k for k in range(3) if not torch.equal(z[k], x[k])] == [coupling.level]
    assert log_det.any() == (name != "matrix")


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("levels", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_stacks_keep_every_law_away_from_their_start(levels, kind):
    chain = stacks_of(kind, levels, stacks=2)
    report = law_check(flows.Flattened(chain, sizes_of(levels, 2, 4)), flows.Flattened.join(levels_of(2, 2, 4, levels)))
    assert report.ok, str(report)


def test_the_order_is_odd_levels_then_even_ones_each_once():
    assert flows.stack_order(2) == [(1, (0,)), (0, (1,))]
    assert flows.stack_order(3) == [(1, (0, 2)), (0, (1,)), (2, (1,))]
    assert flows.stack_order(4) == [(1, (0, 2)), (3, (2,)), (0, (1,)), (2, (1, 3))]
    assert [k for k, _ in flows.stack_order(8)] == [1, 3, 5, 7, 0, 2, 4, 6]
    chain = flows.pyramid_stacks(4, 2, norm_of("spatial", 2, 16), stacks=2)
    assert len(chain) == 2 * 4 * 2
    assert [type(part) for part in chain[:4].transforms] == [LevelCoupling, OnLevel, DownCoupling, OnLevel]


def test_an_untrained_stack_turns_each_level_and_nothing_else():
    chain = flows.pyramid_stacks(3, 4, norm_of("channel", 4, 8), stacks=1).double()
    x = levels_of(2, 4, 8, 3)
    z, log_det = chain(x)
    assert not log_det.any()
    for a, b in zip(x, z, strict=True):
        torch.testing.assert_close(a.norm(dim=1), b.norm(dim=1), rtol=1e-5, atol=0)


def joint_log_det(chain, x) -> float:
    """ln|det| of the map of the whole batch, all samples and levels as one vector."""
    whole = flows.Flattened(chain, [p.shape[1:] for p in x])
    flat = whole.join(x)
    jacobian = torch.autograd.functional.jacobian(lambda v: whole(v.view_as(flat))[0].flatten(), flat.flatten())
    return float(torch.linalg.slogdet(jacobian)[1])


def test_a_training_batch_keeps_its_volume_and_in_which_sense():
    x = levels_of(2, 2, 4, 2)
    for kind, zero in (("channel", True), ("spatial", False)):
        chain = stacks_of(kind).train()
        log_det = chain(x)[1].detach()
        joint = joint_log_det(chain, x)  # running means have moved; in training they do not enter
        assert joint == pytest.approx(float(log_det.sum()), abs=1e-9)
        assert (abs(joint) < 1e-9) is zero       # spatial: what the thinned log-scales of the coarsest level leave
        assert (log_det.abs() > 0.05).all()      # a single sample of the batch grows or shrinks
        chain.eval()
        log_det = chain(x)[1].detach()
        assert joint_log_det(chain, x) == pytest.approx(float(log_det.sum()), abs=1e-9)
        assert abs(float(log_det.sum())) > 0.05  # in evaluation nothing is zero
    chain = stacks_of("spatial").train()[2:]     # without the coupling of the coarsest level
    assert isinstance(chain[0], LevelCoupling)
    assert not isinstance(chain[0], DownCoupling)
    assert abs(float(chain(x)[1].detach().sum())) < 1e-12


def test_wrong_levels_get_a_sentence():
    norm = SpatialVolumeNorm(2)
    with pytest.raises(ValueError, match="never by itself"):
        LevelCoupling(1, (0, 1), 2, norm)
    with pytest.raises(ValueError, match="kernel=4"):
        LevelCoupling(1, (0,), 2, norm, kernel=4)
    with pytest.raises(ValueError, match="levels=1: expected 2"):
        flows.stack_order(1)
    with pytest.raises(ValueError, match=r"received one Tensor. Expected a tuple"):
        LevelCoupling(1, (0,), 2, norm)(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match=r"\(B, 2, h, w\)"):
        LevelCoupling(1, (0,), 2, norm)(levels_of(1, 3, 4, 2))
    with pytest.raises(ValueError, match=r"ChannelVolumeNorm received .*\(1, 2, 2, 2\).*\(1, 1, 4, 4\)"):
        LevelCoupling(1, (0,), 2, ChannelVolumeNorm((4, 4)))(tuple(x.float() for x in levels_of(1, 2, 4, 2)))


# -- reversible training ----------------------------------------------------------------------------------------------


def gradients(run, chain, x) -> list[torch.Tensor]:
    x = tuple(part.clone().requires_grad_() for part in x)
    sum(part.pow(3).sum() for part in run(chain, x)).backward()
    found = [t.grad for t in (*x, *chain.parameters())]
    chain.zero_grad()
    return found


@pytest.mark.parametrize("kind", NORMS)
def test_reversible_training_has_the_same_gradients_and_moves_running_means_once(kind):
    x = levels_of(2, 2, 8, 3)
    plain, saving = (stacks_of(kind, 3, side=8, stacks=2).train() for _ in range(2))
    expected = gradients(lambda chain, x: chain(x)[0], plain, x)
    for a, b in zip(gradients(flows.reversible, saving, x), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8 * float(b.abs().max()))
    assert all(g.any() for g in expected)  # every parameter is reached
    for a, b in zip(saving.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_reversible_training_keeps_one_latent_however_many_stacks():
    x = levels_of(2, 2, 8, 2)

    def kept(run, stacks: int) -> int:
        chain, storages = stacks_of("channel", 2, side=8, stacks=stacks).train(), {}
        note = lambda t: storages.update({t.untyped_storage().data_ptr(): t.numel()}) or t
        inputs = tuple(part.clone().requires_grad_() for part in x)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            z = run(chain, inputs)
        assert len(z) == 2
        return sum(storages.values())

    values = sum(part.numel() for part in x)
    assert kept(flows.reversible, 1) == kept(flows.reversible, 3) == values
    assert kept(lambda chain, x: chain(x)[0], 3) > 10 * values
