"""The statements of chapter 07 as laws: the paradox and its size, equal features, maps, weights, frozen networks."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib import backbones, flows
from tutorial_lib.backbones.embedded import normed_conv, stages
from tutorial_lib.data import factory
from tutorial_lib.experiments import equal_features
from tutorial_lib.experiments import pixel_flows as pixels
from tutorial_lib.experiments import position_gaussian as positions


@pytest.fixture(scope="module")
def models():
    sets = {name: draw(1500, 0) for name, draw in pixels.SOURCES.items()}
    return {name: (x, *pixels.fitted(x, seed=0, steps=40)) for name, x in sets.items()}


@pytest.fixture(scope="module")
def washers():
    return factory.split("washer", size=64, n_train=100, n_good=30, n_per_kind=2, seed=0)


@pytest.mark.parametrize("name", ["carpet", "metal"])
@pytest.mark.slow
def test_a_flow_on_a_texture_prefers_the_card_to_its_own_training_pictures(models, name):
    x, *both = models[name]
    for flow in both:
        assert pixels.bits(flow, pixels.flat(x)).max() < pixels.bits(flow, x).quantile(0.1)


def test_a_flow_on_digits_does_not(models):
    x, *both = models["digits"]
    for flow in both:
        assert pixels.bits(flow, pixels.flat(x)).min() > pixels.bits(flow, x).max()


@pytest.mark.parametrize("name", pixels.SOURCES)
def test_the_mean_picture_saves_half_a_nat_per_dimension(models, name):
    x, affine, _ = models[name]
    saved = pixels.bits(affine, x).mean() - pixels.bits(affine, pixels.mean_picture(x)).mean()
    assert float(saved) == pytest.approx(0.5 / math.log(2), abs=0.05)


def test_fading_ends_at_the_mean_picture_and_begins_at_the_picture(models):
    x, *_ = models["digits"]
    assert torch.equal(pixels.faded(x, 1.0), x)
    assert torch.equal(pixels.faded(x, 0.0), pixels.mean_picture(x, len(x)))


def test_the_last_latent_moves_the_last_pixel_alone(models):
    _, affine, _ = models["carpet"]
    z = torch.zeros(2, pixels.D)
    z[1, -1] = 8.0
    moved = (affine.inverse(z)[0][1] - affine.inverse(z)[0][0]).abs()
    assert moved[-1] > 0.05 and moved[:-1].max() == 0


def test_a_change_of_units_changes_the_density_by_its_log_det(models):
    x, affine, _ = models["carpet"]
    y = pixels.vectors(x[:5]).double()
    J = torch.autograd.functional.jacobian(torch.exp, y[0])
    assert float(torch.linalg.slogdet(J).logabsdet) == pytest.approx(float(y[0].sum()), abs=1e-9)
    assert affine.log_prob(y[:1].float()).isfinite().all()


def test_equalised_greys_take_the_lead_of_the_card_away(models):
    x, affine, _ = models["carpet"]
    y, card = pixels.vectors(x), pixels.vectors(pixels.flat(x))
    one = torch.distributions.Normal(y.mean(), y.std())
    lead = affine.log_prob(card).median() - affine.log_prob(y).median()
    equalised = [affine.log_prob(v) - one.log_prob(v).sum(1) for v in (card, y)]       # slope of h: one pixel's density
    assert lead > 20 and equalised[0].median() - equalised[1].median() < 5


@pytest.mark.slow
def test_the_walk_keeps_the_features_and_most_of_the_defect():
    pair = factory.pairs("washer", "spot", 1, size=64, seed=0)
    backbone = backbones.load("embedded", weights="random", taps=("stride4", "stride8"))

    def pooled(images):
        return torch.cat([m.mean((2, 3)) for m in backbone(images)], dim=1)

    good, spotted = pair.twins[0], pair.images[0]
    hidden = equal_features.walk(pooled, good, spotted, steps=3)
    f_good, f_spotted, f_hidden = pooled(torch.stack([good, spotted, hidden]))
    assert (f_hidden - f_good).norm() < 0.05 * (f_spotted - f_good).norm()
    assert ((hidden - good) * (spotted - good)).sum() > 0.5 * (spotted - good).square().sum()


def test_the_map_is_the_librarys_and_each_position_is_a_whitening(washers):
    detector = positions.small("random")
    f = positions.features(detector, washers.train)
    mean, L = positions.fit(f)
    found = positions.distance_map(f[:4], mean, L)
    detector.fit(washers.train)
    assert torch.allclose(found, detector.latents(washers.train[:4])[0].square().mean(1), rtol=1e-2)
    layer = flows.Whitening(f.shape[1])
    layer.mean.copy_(mean[:, 3, 5])
    layer.L.copy_(L[3, 5])
    assert torch.allclose(layer(f[:4, :, 3, 5])[0].square().mean(1), found[:, 3, 5], rtol=1e-3)


@pytest.mark.slow
def test_a_repeated_flaw_in_the_training_set_is_learnt_as_normal(washers):
    spots = factory.pairs("washer", "spot", 3, size=64, seed=0)
    detector = positions.small("random")
    found = [positions.repeated_flaw(detector, washers, flaw, (0.0, 0.1)) for flaw in spots.images - spots.twins]
    assert sum(f[0.1] for f in found) < sum(f[0.0] for f in found) - 0.05


def test_random_weights_differ_by_seed_and_are_above_guessing(washers):
    values = [positions.image_auroc(*positions.with_weights(washers, "random", seed), washers.labels)
              for seed in (0, 1)]
    assert values[0] != values[1] and min(values) > 0.55


def test_train_mode_lets_neighbours_into_the_score_and_eval_does_not(washers):
    torch.manual_seed(0)
    net = stages(normed_conv)["stride2"].requires_grad_(False)
    alone, batch = washers.test[:1], washers.test[:16]
    net.train()
    assert (net(alone)[0] - net(batch)[0]).abs().max() > 0.1
    net.eval()
    assert (net(alone)[0] - net(batch)[0]).abs().max() < 1e-4
    assert not backbones.load("embedded", weights="random").train().training
