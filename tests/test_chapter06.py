"""The numeric signatures of chapter 06: what its break-it cells and figures say, computed another way."""

import math

import pytest
import torch

from tutorial_lib import flows
from tutorial_lib.checks.laws import law_check
from tutorial_lib.data import glyph_images, glyph_labels
from tutorial_lib.widgets import picture_flows

LEVELS = picture_flows.LEVELS


@pytest.fixture(scope="module")
def held_out():
    return picture_flows.pictures(300, seed=1)


@pytest.mark.parametrize("name", picture_flows.MAKERS)
def test_a_stored_flow_obeys_the_laws_and_beats_an_even_guess_by_far(name, held_out):
    flow = picture_flows.load(name)
    report = law_check(flow, held_out[:2], rtol=1e-9, rtol32=1e-3)           # 16 couplings in float32
    assert report.ok, f"\n{report}"
    with torch.no_grad():
        assert flows.bits_per_dim(flow.nll(held_out), 64, LEVELS) < 1.5 < math.log2(LEVELS)


@pytest.mark.slow
def test_a_stored_flow_can_be_trained_again(held_out):
    before = torch.get_rng_state()
    flow = picture_flows.train("one scale", schedule=((30, 3e-3),))
    assert torch.equal(before, torch.get_rng_state())
    with torch.no_grad():
        assert flows.bits_per_dim(flow.nll(held_out), 64, LEVELS) < 3


def test_without_h_times_w_every_picture_is_off_by_the_same_known_amount(held_out):
    flow = picture_flows.load("one scale")
    linear = [m for m in flow.modules() if isinstance(m, flows.ActNorm | flows.Invertible1x1)]
    once = sum(float(m.log_s.sum()) for m in linear)
    for m in linear:
        m.__dict__["_log_det"] = lambda x, m=m: m.log_s.sum().expand(len(x))  # forgets H · W
    try:
        wrong = flow(held_out[:5])[1]
    finally:
        for m in linear:
            del m.__dict__["_log_det"]
    assert torch.allclose(wrong - flow(held_out[:5])[1], torch.tensor(-3 * once), atol=1e-3)
    assert -3 * once < -50                                                   # a reward was forgotten: too unlikely


@pytest.mark.slow
def test_without_noise_the_bits_are_too_good_and_in_black_and_white_negative():
    y = flows.dequantise(glyph_images(2000, levels=LEVELS), LEVELS, torch.Generator().manual_seed(0))
    runs = {"noise": (y, LEVELS), "none": (glyph_images(2000, levels=LEVELS) / LEVELS, LEVELS),
            "two levels": (glyph_images(2000, levels=2) / 2, 2)}
    bits = {}
    for name, (x, levels) in runs.items():
        torch.manual_seed(0)
        chain = [flows.glow_step(16, flows.conv(32, zero_last=True), flows.AtanClamp(2.0), k) for k in range(4)]
        flow = flows.Flow(flows.Chain(flows.Squeeze(), flows.Squeeze(), *chain), (16, 2, 2))
        history = flows.maximum_likelihood(flow, x, steps=80, batch=64, lr=5e-3)
        bits[name] = float(flows.bits_per_dim(torch.tensor(history[-10:]).mean(), 64, levels))
    assert bits["noise"] > bits["none"] + 0.1
    assert bits["two levels"] < -0.3 and bits["noise"] > 0


def test_a_spike_half_as_wide_saves_one_bit_for_ever():
    pixel, bits = torch.tensor([0.0, 1.0], dtype=torch.float64), []
    for width in (0.1, 0.05, 0.025, 1e-6, 5e-7):
        base = torch.distributions.Normal(0.0, width)
        density = 0.5 * base.log_prob(pixel).exp() + 0.5 * base.log_prob(pixel - 1).exp()
        bits.append(float(-density.log2().mean()))
    assert [bits[0] - bits[1], bits[1] - bits[2], bits[3] - bits[4]] == pytest.approx([1.0] * 3, abs=1e-6)


def test_log_det_of_a_convolutional_coupling_counts_positions():
    torch.manual_seed(0)
    layer = flows.AffineCoupling(4, flows.conv(8), flows.TanhClamp(1.0)).double().requires_grad_(False)
    small, large = (layer(torch.full((1, 4, s, s), 0.5).double())[1] for s in (32, 64))
    assert float(large / small) == pytest.approx(4, rel=0.05)                # the border is the rest
    inner = [layer(torch.full((1, 4, s, s), 0.5).double())[1] for s in (32, 33, 34)]
    second = inner[2] - 2 * inner[1] + inner[0]                              # border terms cancel: 2 s of the inside
    third = layer(torch.full((1, 4, 35, 35), 0.5).double())[1] - 3 * inner[2] + 3 * inner[1] - inner[0]
    assert abs(float(third)) < 1e-9 < abs(float(second))


def test_what_left_early_is_detail_and_what_went_on_is_the_digit(held_out):
    flow = picture_flows.load("two scales")
    z, noise = flow(held_out)[0], torch.randn(300, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    early, late = z.clone(), z.clone()
    early[:, :2], late[:, 2:] = noise[:, :2], noise[:, 2:]
    train, labels = glyph_images(4000).flatten(1) / LEVELS, glyph_labels(4000)

    def digit(x):
        return labels[torch.cdist(x.flatten(1), train).argmin(1)]

    kept = [(digit(flow.inverse(v)[0]) == digit(held_out)).double().mean() for v in (early, late)]
    assert kept[0] > 0.97 and kept[1] < 0.25


def test_half_way_on_the_straight_line_is_short_pale_and_likely(held_out):
    flow = picture_flows.load("one scale")
    z = flow(held_out)[0]
    a, b = z[:150], z[150:]
    straight, shell = flow.inverse((a + b) / 2)[0], flow.inverse((a + b) / math.sqrt(2))[0]
    contrast = [float(x.flatten(1).std(1).mean()) for x in (straight, shell, held_out)]
    assert contrast[0] < contrast[1] - 0.01 < contrast[2] - 0.02
    assert flow.log_prob(straight).mean() > flow.log_prob(shell).mean()
    draws = torch.randn(10_000, 2, 64, generator=torch.Generator().manual_seed(0))
    assert float(draws.norm(dim=2).mean()) == pytest.approx(8, abs=0.05)
    assert float(draws.mean(1).norm(dim=1).mean()) == pytest.approx(math.sqrt(32), abs=0.05)
