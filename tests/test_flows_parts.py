"""What each part promises beyond the shared laws: formulas, orders, check values, closed forms."""

import copy

import numpy as np
import pytest
import torch
from flow_cases import CASES, points
from torch import nn

from tutorial_lib import flows
from tutorial_lib.flows import AtanClamp, NoClamp, conv, dense
from tutorial_lib.flows.mixing import haar_rotation


def numbers(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Recorder(nn.Module):
    """A subnet that remembers what it read and returns fixed s and t."""

    def __init__(self, c_in, c_out):
        super().__init__()
        self.c_in, self.c_out, self.read = c_in, c_out, []

    def forward(self, x):
        self.read.append(x)
        s = torch.full_like(x[:, :1], 0.5).repeat_interleave(self.c_out // 2, 1)
        return torch.cat([s, 2 * s + 1], 1)                                     # s = 0.5, t = 2


def test_one_sided_coupling_is_its_formula_and_the_first_part_passes_bitwise():
    layer, x = flows.AffineCoupling(5, Recorder, NoClamp()), numbers(3, 5)
    z, log_det = layer(x)
    assert torch.equal(z[:, :3], x[:, :3])                                      # first C - C // 2 of 5 pass
    torch.testing.assert_close(z[:, 3:], x[:, 3:] * np.exp(0.5) + 2)
    torch.testing.assert_close(log_det, torch.full((3,), 1.0, dtype=x.dtype))   # two changed entries, s = 0.5 each
    assert torch.equal(layer.scale_shift.net.read[0], x[:, :3])


def test_swapped_coupling_changes_the_first_part():
    x = numbers(3, 5)
    z, log_det = flows.AffineCoupling(5, Recorder, NoClamp(), swap=True)(x)
    assert torch.equal(z[:, 3:], x[:, 3:])
    torch.testing.assert_close(z[:, :3], x[:, :3] * np.exp(0.5) + 2)
    torch.testing.assert_close(log_det, torch.full((3,), 1.5, dtype=x.dtype))


def test_two_sided_coupling_changes_the_first_part_first():
    layer, x = flows.TwoSidedCoupling(4, Recorder, NoClamp()), numbers(3, 4)
    z, _ = layer(x)
    assert torch.equal(layer.a.net.read[0], x[:, 2:])                           # old second part
    assert torch.equal(layer.b.net.read[0], z[:, :2])                           # new first part


@pytest.mark.parametrize(("layer", "passes"), [
    (flows.AffineCoupling(4, Recorder, NoClamp()), 1), (flows.TwoSidedCoupling(4, Recorder, NoClamp()), 2)])
def test_each_subnet_runs_once_per_direction(layer, passes):
    layer, x = copy.deepcopy(layer), numbers(3, 4)
    layer.inverse(layer(x)[0])
    assert sum(len(m.read) for m in layer.modules() if isinstance(m, Recorder)) == 2 * passes


@pytest.mark.parametrize("maker", [dense(6, zero_last=True), conv(6, zero_last=True)])
def test_zero_last_layer_starts_at_the_identity(maker):
    x = numbers(2, 4, 3, 3, dtype=torch.float32) if "conv" in maker.__qualname__ else numbers(2, 4, dtype=torch.float32)
    z, log_det = flows.TwoSidedCoupling(4, maker, AtanClamp(2.0))(x)
    assert torch.equal(z, x)
    assert not log_det.any()


def test_hidden_width_and_depth_give_the_expected_number_of_weights():
    net = dense(hidden=2048, depth=3)(384, 768)                                 # DifferNet's sub-network
    assert sum(p.numel() for p in net.parameters()) == 10_754_816


@pytest.mark.parametrize(("seed", "head"), [(0, [661, 122, 113, 14, 529, 103, 338, 588]),
                                            (1, [285, 101, 581, 352, 726, 472, 233, 385])])
def test_permutation_is_the_one_of_differnet(seed, head):
    layer = flows.Permutation(768, seed)
    assert layer.index[:8].tolist() == head
    x = torch.arange(768.0)[None]
    assert layer(x)[0][0, :8].tolist() == head                                  # output i = input index[i]


def test_rotations_keep_lengths_and_orientation_and_are_uniform():
    r = haar_rotation(5, seed=3)
    torch.testing.assert_close(r.T @ r, torch.eye(5, dtype=r.dtype), rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.linalg.det(r), torch.tensor(1.0, dtype=r.dtype))
    traces = torch.stack([haar_rotation(5, seed).trace() for seed in range(600)])
    assert abs(traces.mean()) < 5 / 600 ** 0.5                                  # E tr R = 0, E (tr R)^2 = 1 on SO(5)
    assert abs(traces.square().mean() - 1) < 5 * (2 / 600) ** 0.5


def test_rotation_cast_to_float64_is_orthogonal_in_float64():
    r = flows.Rotation(16, 0).double().matrix
    torch.testing.assert_close(r.T @ r, torch.eye(16, dtype=r.dtype), rtol=0, atol=1e-12)


def test_invertible_1x1_starts_as_a_rotation_and_is_p_l_u():
    layer = flows.Invertible1x1(6, seed=2).double()
    torch.testing.assert_close(layer.matrix(), haar_rotation(6, 2), rtol=0, atol=1e-6)
    assert abs(layer(numbers(2, 6, 3, 5))[1]).max() < 1e-5
    layer = CASES["invertible 1x1"].build(6, 0).double()
    x = numbers(2, 6, 3, 5)
    z, log_det = layer(x)
    torch.testing.assert_close(z, torch.einsum("ij,bjhw->bihw", layer.matrix(), x))
    torch.testing.assert_close(log_det[0], 15 * torch.linalg.slogdet(layer.matrix())[1])


def test_squeeze_of_a_ramp_puts_each_2x2_block_into_four_channels():
    ramp = torch.arange(1.0, 17).view(1, 1, 4, 4)
    expected = torch.tensor([[[1., 3], [9, 11]], [[2, 4], [10, 12]], [[5, 7], [13, 15]], [[6, 8], [14, 16]]])
    assert torch.equal(flows.Squeeze()(ramp)[0][0], expected)


@pytest.mark.parametrize("make", [lambda: flows.Permutation(9, 3), lambda: flows.Rotation(4, 3),
                                  lambda: flows.Invertible1x1(4, 3)])
def test_seeded_parts_leave_the_global_random_state_alone_and_repeat(make):
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(2), np.random.rand(2)
    torch.manual_seed(5)
    np.random.seed(5)
    first, second = make(), make()
    assert torch.equal(torch.rand(2), expected[0])
    assert np.array_equal(np.random.rand(2), expected[1])
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_chain_adds_log_dets_step_by_step():
    chain = CASES["chain of six"].build(4, 0).double().eval()
    x = points("vector", 4, 3, 2, 0)
    steps = list(chain.steps(x))
    assert len(steps) == len(chain) + 1
    total = sum(t(before)[1] for t, (before, _) in zip(chain.transforms, steps[:-1], strict=True))
    torch.testing.assert_close(steps[-1][1], total)
    torch.testing.assert_close(chain[2:](chain[:2](x)[0])[0], chain(x)[0])
    torch.testing.assert_close(chain[:2](x)[1] + chain[2:](chain[:2](x)[0])[1], chain(x)[1])


def test_chain_refuses_a_log_det_summed_over_the_batch():
    class Summed(flows.ActNorm):
        def forward(self, x, cond=None):
            z, log_det = super().forward(x)
            return z, log_det.sum()

    with pytest.raises(ValueError, match=r"Summed returned a log_det of shape \(\)"):
        flows.Chain(Summed(2))(numbers(3, 2))
