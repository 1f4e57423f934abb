"""The patch memory: nothing is farther than its nearest normal patch, and what is in the memory is at distance 0."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from tutorial_lib.data import factory
from tutorial_lib.detectors import DetectorError, Patches, load
from tutorial_lib.detectors.patches import nearest_distance


def fitted(normals: torch.Tensor, **overrides) -> Patches:
    detector = Patches.small(progress=False, **{"weights": "random", "size": 32} | overrides)
    detector.fit(normals)
    return detector


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("board", 5, size=32)


@pytest.fixture(scope="module")
def others() -> torch.Tensor:
    return factory.normal("board", 3, size=32, seed=9)


def test_training_patches_are_at_distance_zero_of_the_full_memory(normals):
    detector = fitted(normals, memory=10**6)
    assert detector.history["kept"] == detector.history["patches"] == 5 * 8 * 8
    assert not detector.anomaly_map(normals).any()
    assert not detector.score(normals).any()


def test_every_distance_grows_as_the_memory_shrinks(normals, others):
    distances = [fitted(normals, memory=m)._distances(others) for m in (320, 100, 20, 3)]
    for more, fewer in pairwise(distances):
        assert (fewer >= more * (1 - 1e-6)).all()
        assert (fewer > more).any()


def test_distances_are_those_of_a_loop_over_all_pairs():
    draw = torch.Generator().manual_seed(0)
    memory = torch.randn(20, 3, generator=draw) + 1000.0  # far from the origin: |a|^2 - 2ab + |b|^2 loses digits
    patches = torch.cat([memory[5:6], memory[7:8] + 1e-3, torch.randn(4, 3, generator=draw) + 1000.0])
    expected = [min(math.dist(p, m) for m in memory.tolist()) for p in patches.tolist()]
    found = nearest_distance(patches, memory)
    assert found[0] == 0
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=0)


def test_positions_that_change_places_take_their_distances_along(normals, others):
    detector = fitted(normals, memory=50)
    rows = detector.features(others[:1]).flatten(2).mT[0]  # (P, C)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(2))
    before, after = (nearest_distance(r, detector.state["memory"]) for r in (rows, rows[order]))
    torch.testing.assert_close(after, before[order])


def test_a_batch_scores_as_its_images_one_by_one_and_a_loaded_memory_to_the_bit(normals, others, tmp_path):
    detector = fitted(normals, memory=50)
    alone = torch.cat([detector.score(image[None]) for image in others])
    torch.testing.assert_close(detector.score(others), alone, rtol=1e-5, atol=0)
    loaded = load(detector.save(tmp_path / "d"), progress=False)
    assert torch.equal(loaded.score(others), detector.score(others))
    assert torch.equal(loaded.anomaly_map(others), detector.anomaly_map(others))
    assert loaded.parameters_count() == 50 * 144


def test_the_seed_decides_what_is_kept(normals):
    first, again, other = (fitted(normals, memory=50, seed=seed).state["memory"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_features_are_means_of_neighbours_with_the_coarser_tap_enlarged(normals):
    detector = fitted(normals, memory=10)
    fine, coarse = detector.maps(normals[:1])
    f = detector.features(normals[:1])
    assert f.shape == (1, 48 + 96, 8, 8)
    torch.testing.assert_close(f[0, :48, 3, 5], fine[0, :, 2:5, 4:7].mean((1, 2)))
    torch.testing.assert_close(f[0, :48, 0, 0], fine[0, :, :2, :2].mean((1, 2)))  # no zeros from outside
    torch.testing.assert_close(f[0, 48:, 0, 0], coarse[0, :, :2, :2].mean((1, 2)))


@pytest.mark.parametrize(("wrong", "sentence"), [({"memory": 0}, "memory=0: expected 1"),
                                                 ({"neighbourhood": 2}, "neighbourhood=2: .* odd")])
def test_impossible_settings_name_the_argument(wrong, sentence):
    with pytest.raises(DetectorError, match=sentence):
        Patches.small(**wrong)


def test_damaged_features_get_a_sentence(normals):
    detector = Patches.small(progress=False, weights="random", size=32)
    detector.maps = lambda batch: [f * float("nan") for f in Patches.maps(detector, batch)]
    with pytest.raises(DetectorError, match="image 0 has NaN"):
        detector.fit(normals)
