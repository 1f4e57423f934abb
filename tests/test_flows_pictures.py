"""Parts of flows on pictures: a channel half that leaves, Glow's step, grey levels and bits per dimension."""

import math

import pytest
import torch
from torch import nn

from tutorial_lib import flows
from tutorial_lib.checks.laws import law_check

CLAMP = flows.AtanClamp(1.9)


def coarse(channels, seed):
    return flows.Chain(flows.Squeeze(), flows.glow_step(4 * channels, flows.conv(4), CLAMP, seed),
                       flows.Undo(flows.Squeeze()))


MAKERS = {"factor out": lambda c, k: flows.FactorOut(c, coarse(c // 2, k)),
          "factor out of vectors": lambda c, k: flows.FactorOut(c, flows.AffineCoupling(c // 2, flows.dense(8), CLAMP)),
          "undo": lambda c, k: flows.Undo(flows.AffineCoupling(c, flows.conv(4), CLAMP)),
          "glow step": lambda c, k: flows.glow_step(c, flows.conv(4), CLAMP, k)}


def moved(name, channels, seed):
    """The transform with weights away from their start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transform = MAKERS[name](channels, seed)
        with torch.no_grad():
            for p in transform.parameters():
                p.add_(0.3 * torch.randn_like(p))
    return transform.eval()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("channels", [4, 5])
@pytest.mark.parametrize("name", MAKERS)
def test_every_law_holds(name, channels):
    x = normal(3, channels) if "vectors" in name else normal(3, channels, 4, 2)
    report = law_check(moved(name, channels, 1), x, rtol=1e-10)
    assert report.ok and len(report.held) == 7, f"\n{report}"


def test_what_leaves_is_not_touched_and_what_goes_on_is():
    flow, x = moved("factor out", 5, 2).double(), normal(3, 5, 4, 4)
    z, _ = flow(x)
    assert torch.equal(z[:, :3], x[:, :3]) and z.shape == x.shape
    assert not torch.isclose(z[:, 3:], x[:, 3:]).all(1).any()


def test_undo_of_a_transform_is_its_inverse_and_undo_of_undo_is_itself():
    squeeze, x = flows.Squeeze(), normal(2, 3, 4, 2)
    assert torch.equal(flows.Undo(squeeze)(squeeze(x)[0])[0], x)
    assert torch.equal(flows.Undo(flows.Undo(squeeze))(x)[0], squeeze(x)[0])


def test_the_condition_reaches_the_inner_transform():
    inner = flows.AffineCoupling(2, flows.dense(8), CLAMP, cond_dim=1)
    flow, x, c = flows.Undo(flows.FactorOut(4, inner)), torch.randn(3, 4), torch.randn(3, 1)
    assert not torch.allclose(flow(x, c)[0], flow(x, c + 1)[0])
    assert torch.allclose(flow.inverse(flow(x, c)[0], c)[0], x, atol=1e-5)


def test_an_inner_transform_that_changes_the_shape_or_the_log_det_is_named():
    with pytest.raises(ValueError, match=r"Undo\(Squeeze"):
        flows.FactorOut(4, flows.Squeeze())(torch.randn(2, 4, 4, 4))
    with pytest.raises(ValueError, match="at least 2"):
        flows.FactorOut(1, flows.Squeeze())
    with pytest.raises(ValueError, match="built for 4 channels"):
        flows.FactorOut(4, flows.Squeeze())(torch.randn(2, 6, 4, 4))

    class Summed(nn.Module):
        def forward(self, x, cond=None):
            return x, x.sum()

    with pytest.raises(ValueError, match="one number per sample"):
        flows.FactorOut(4, Summed())(torch.randn(2, 4, 4, 4))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_dequantising_and_quantising_give_the_levels_back(levels):
    x = torch.arange(levels).repeat(2000).view(20, -1)
    y = flows.dequantise(x, levels, torch.Generator().manual_seed(0))
    assert y.dtype == torch.float32 and y.min() >= 0 and y.max() < 1
    assert torch.equal(flows.quantise(y, levels), x)
    inside = y * levels - x                                         # uniform in [0, 1)
    assert abs(inside.mean() - 0.5) < 4 / math.sqrt(12 * x.numel()) + 1e-4
    assert abs(inside.var() - 1 / 12) < 0.01


@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
def test_the_smallest_and_the_largest_noise_stay_in_their_level(noise, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, generator: torch.full(shape, noise))
    for levels in (2, 17, 256):
        x = torch.arange(levels)
        assert torch.equal(flows.quantise(flows.dequantise(x, levels), levels), x)


def test_dequantising_refuses_what_is_no_grey_level():
    for x in (torch.tensor([0.5]), torch.tensor([17]), torch.tensor([-1])):
        with pytest.raises(ValueError, match=r"integers 0 \.\.\. 16"):
            flows.dequantise(x, 17)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_an_even_guess_costs_log2_of_the_levels(levels):
    assert flows.bits_per_dim(torch.zeros(3), 12, levels).tolist() == pytest.approx([math.log2(levels)] * 3)


def test_bits_of_a_density_that_knows_the_level_are_those_of_the_level_probabilities():
    p = torch.tensor([0.5, 0.25, 0.125, 0.125])                     # entropy 1.75 bits
    x = torch.multinomial(p, 40_000, replacement=True, generator=torch.Generator().manual_seed(0))
    y = flows.dequantise(x, 4, torch.Generator().manual_seed(1))
    density = 4 * p[(4 * y).long()]                                 # constant inside each level
    assert flows.bits_per_dim(-density.log(), 1, 4).mean() == pytest.approx(1.75, abs=0.02)


def test_bits_do_not_depend_on_the_unit_in_which_the_picture_was_measured():
    x = torch.randint(0, 17, (500, 1), generator=torch.Generator().manual_seed(0))
    y = flows.dequantise(x, 17, torch.Generator().manual_seed(1))
    raw = -torch.distributions.Normal(8.5, 5.0).log_prob(17 * y).mean()                  # density of x + u itself
    scaled = -torch.distributions.Normal(0.5, 5.0 / 17).log_prob(y).mean()
    assert flows.bits_per_dim(scaled, 1, 17) == pytest.approx(float(raw / math.log(2)), abs=1e-5)
