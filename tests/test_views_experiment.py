"""The experiment behind chapter 08: views are nested, features are shared, the correlation formula is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tutorial_lib import backbones, detectors
from tutorial_lib.detectors.pooled import pool_concat
from tutorial_lib.experiments import views as study
from tutorial_lib.flows import Chain, Flow

STORED = Path(__file__).parents[1] / "benchmarks" / "results" / "08_differnet_views.json"


def vectors(n=60, d=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) @ torch.randn(d, d, generator=generator)


def test_fewer_views_are_the_first_of_more():
    many = study.nested_angles(64, 10.0, seed=3)
    assert float(many[0]) == 0 and float(many.abs().max()) <= 10
    for n in (1, 2, 4, 16):
        assert torch.equal(study.nested_angles(n, 10.0, seed=3), many[:n])


def test_training_angles_of_an_image_do_not_depend_on_how_many_images_there_are():
    assert torch.equal(study.bank_angles(3, 10.0, 0), study.bank_angles(7, 10.0, 0)[:3])


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_correlation_of_views_is_recovered(rho):
    generator = torch.Generator().manual_seed(1)
    shared, own = torch.randn(4000, 1, generator=generator), torch.randn(4000, 8, generator=generator)
    logs = rho**0.5 * shared + (1 - rho) ** 0.5 * own + 3 * torch.arange(8)  # each angle adds something for everybody
    found = study.correlation_of_views(logs.exp())
    assert found == pytest.approx(rho, abs=0.03)
    expected = rho + (1 - rho) / 8                                           # Var of the mean over 8 views
    assert float(logs.mean(1).var()) == pytest.approx(expected, rel=0.1)


def test_the_blocks_begin_as_the_identity_up_to_the_order_of_the_entries():
    features = vectors().view(15, 4, 12)
    gaussian = study.gaussian_on(features)
    untrained = Flow(Chain(gaussian.transform, *study.coupling_blocks(12, seed=0, hidden=8)), (12,))
    rows = features.flatten(0, 1)
    assert torch.allclose(untrained.log_prob(rows), gaussian.log_prob(rows), rtol=1e-4)
    assert torch.allclose(untrained(rows)[0].sort(1).values, gaussian(rows)[0].sort(1).values, atol=1e-5)


def test_noisy_rows_have_the_covariance_that_the_shrunk_gaussian_assumes():
    features = vectors(n=40).view(10, 4, 12)
    whitening, share, _ = study.shrunk(features)
    assert share > 0.01  # or the noise would be too small to be seen here
    rows = study.with_noise(features, copies=3000).double()
    assert rows.shape == (3000 * 40, 12)
    expected = whitening.L @ whitening.L.T
    assert torch.allclose(torch.cov(rows.T), expected, atol=0.02 * float(expected.abs().max()))
    plain = torch.cov(features.flatten(0, 1).double().T)
    assert not torch.allclose(plain, expected, atol=0.02 * float(expected.abs().max()))


def test_without_noise_unseen_vectors_lose_likelihood_and_with_noise_they_do_not():
    every = vectors(n=50, d=40)
    seen, unseen = every[:14].view(14, 1, 40), every[14:]  # 14 vectors in 40 dimensions, and 36 others
    gap = {}
    for noise in (True, False):
        flow = study.flow_on(seen, steps=60, hidden=16, blocks=2, noise=noise)
        gap[noise] = float((flow.log_prob(seen[:, 0]).median() - flow.log_prob(unseen).median()) / 40)
    assert gap[False] > gap[True] + 0.5


def test_training_lowers_the_nll_and_leaves_the_random_state_alone():
    features = vectors().view(15, 4, 12)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    flow = study.flow_on(features, steps=60, hidden=16, blocks=2, noise=False)
    assert torch.equal(before, torch.get_rng_state())
    rows = features.flatten(0, 1)
    assert float(flow.nll(rows)) < float(study.gaussian_on(features).nll(rows)) - 0.3


def test_scores_of_views_are_the_mean_square_of_each_views_latent():
    flow = study.gaussian_on(vectors().view(15, 4, 12))
    features = vectors(n=24, seed=2).view(6, 4, 12)
    scores = study.view_scores(flow, features)
    for i in range(6):
        for t in range(4):
            assert float(scores[i, t]) == pytest.approx(float(flow(features[i, t][None])[0].square().mean()), rel=1e-5)


def test_features_of_views_are_those_of_the_turned_pictures_and_of_the_first_view_those_of_the_picture():
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    detector = detectors.create("differnet", weights="random", size=64, progress=False)
    angles = study.nested_angles(3, 20.0)
    found = study.view_features(detector, images, angles, at_once=4)
    assert found.shape == (3, 3, detector.feature_dim)
    with torch.no_grad():
        sizes = (images, images[:, :, ::2, ::2])
        plain = torch.cat([pool_concat(detector.backbone(x), ("mean", "max")) for x in sizes], dim=1)
    assert torch.allclose(found[:, 0], plain, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(found[:, 1], plain, rtol=1e-2)


def test_the_stored_table_is_whole():
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    rows = stored["rows"]
    cell = ("product", "seed", "train", "T", "corners", "backbone", "data")
    assert len({(r["method"], *(r[k] for k in cell)) for r in rows}) == len(rows)
    assert {r["seed"] for r in rows} == set(stored["seeds"]) and len(stored["seeds"]) >= 3
    assert all(0 <= r["auroc"] <= 1 for r in rows)
    for row in rows:  # every row of one method has its partner: same product, seed, training set, views
        partner = {"Gaussian": "DifferNet", "DifferNet": "Gaussian"}[row["method"]]
        assert any(r["method"] == partner and all(r[k] == row[k] for k in cell) for r in rows)
    trained = {r["backbone"] for r in rows} - {"embedded random seed 0"}
    assert trained == {backbones.load("embedded").label}, "stale: run python benchmarks/differnet_views.py"
