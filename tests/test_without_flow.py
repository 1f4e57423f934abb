"""A detector without its coupling blocks: what is left is what step 0 of its training would have been."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib import detectors, metrics
from tutorial_lib.data import factory
from tutorial_lib.experiments.without_flow import LEFT, without_flow

pytestmark = pytest.mark.slow  # a fit of each method
TINY = {"differnet": {"scales": 1, "bank": 2, "test_views": 2, "hidden": 8}, "cflow": {"vectors_per_step": 64},
        "csflow": {"scales": 2, "hidden": 8, "taps": ("stride4",)}, "fastflow": {"taps": ("stride4", "stride8")},
        "pyramidflow": {"levels": 2}}


def fitted(name, images, **changed):
    made = detectors.create(name, size=32, progress=False, **({"weights": "random"} | TINY[name] | {"steps": 3}
                                                              | changed))
    made.fit(images)
    return made


@pytest.fixture(scope="module")
def images():
    return factory.normal("washer", 12, 32, seed=0), factory.defective("washer", "missing", 4, 32, seed=0)[0]


@pytest.mark.parametrize("name", ["differnet", "csflow", "fastflow"])
def test_a_flow_that_has_not_moved_from_the_identity_scores_as_without_it(images, name):
    train, test = images
    still = fitted(name, train, steps=1, lr=1e-12)
    moved = fitted(name, train, lr=1e-2)
    left = without_flow(moved, train)
    assert torch.allclose(left.score(test), still.score(test), rtol=1e-3)
    assert torch.allclose(left.anomaly_map(test), still.anomaly_map(test), rtol=1e-2, atol=1e-5)
    assert not torch.allclose(moved.score(test), still.score(test), rtol=1e-3)


def test_differnet_without_its_flow_ranks_as_mahalanobis_on_the_same_views(images):
    train, test = images
    flow = fitted("differnet", train)
    plain = detectors.create("mahalanobis", progress=False, **flow.view_settings)
    plain.fit(train)
    ratio = plain.score(test) / without_flow(flow, train).score(test)
    assert torch.allclose(ratio, ratio.mean().expand(4), rtol=1e-4)


def test_cflow_without_its_flow_ranks_places_by_their_squared_norm(images):
    train, test = images
    left = without_flow(fitted("cflow", train, taps=("stride4",)), train)
    (white,) = left.vectors(test)
    (found,) = left.likelihoods([white])
    distance = white.square().mean(1)                                          # (B, h, w)
    assert torch.allclose(found.flatten() - found.mean(), -0.5 * (distance.flatten() - distance.mean()), atol=1e-4)
    assert left.score(train).min() >= 0 and left.anomaly_map(train[:2]).shape == (2, 32, 32)


def test_pyramidflow_without_its_flow_measures_the_distance_to_the_mean_picture(images):
    train, _ = images
    moved = fitted("pyramidflow", train, lr=1e-2)
    left = without_flow(moved, train)
    pyramids = left.latents(train)
    assert all(torch.allclose(p.mean(0), t[0], atol=1e-5) for p, t in zip(pyramids, left.template, strict=True))
    masks = torch.zeros(1, 32, 32, dtype=torch.bool)
    masks[0, 8:12, 8:12] = True
    painted = train[:1].clone()
    painted[0, :, 8:12, 8:12] = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    assert metrics.pixel_auroc(left.anomaly_map(painted), masks) > 0.95


def test_the_original_keeps_its_flow_and_baselines_have_none(images):
    train, test = images
    for name in LEFT:
        flow = fitted(name, train)
        before = flow.score(test)
        without_flow(flow, train)
        assert torch.equal(flow.score(test), before), name
    with pytest.raises(ValueError, match="has no flow"):
        without_flow(detectors.create("pca", progress=False), train)
    with pytest.raises(ValueError, match="whiten=False"):
        without_flow(fitted("fastflow", train, whiten=False), train)
