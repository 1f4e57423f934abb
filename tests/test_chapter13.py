"""The statements of chapter 13 as laws: paired draws, contamination, choosing on the test set, the leak."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tutorial_lib import metrics
from tutorial_lib.data import factory
from tutorial_lib.experiments import side_by_side as study
from tutorial_lib.experiments import tiles

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


@pytest.fixture(scope="module")
def leak():
    return json.loads((RESULTS / "13_tiles_leak.json").read_text(encoding="utf-8"))


def part(leak, split):
    found = [row for row in leak["rows"] if row["split"] == split]
    return found, np.array([row["kind"] != "good" for row in found])


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    labels = np.arange(80) >= 40
    a = rng.standard_normal(80) + 1.2 * labels
    return a, a + 0.4 * rng.standard_normal(80), labels


def test_a_method_does_not_differ_from_itself_nor_from_its_exponential(scores):
    a, b, labels = scores
    assert study.paired(a, np.exp(a), labels) == (0.0, 0.0, 0.0)
    assert study.paired(a, b, labels) == study.paired(np.exp(3 * a), b, labels)


def test_the_paired_difference_is_that_of_the_areas_and_turns_its_sign(scores):
    a, b, labels = scores
    difference, low, high = study.paired(a, b, labels)
    assert difference == pytest.approx(metrics.auroc(a, labels) - metrics.auroc(b, labels), abs=1e-12)
    assert low < difference < high
    assert study.paired(b, a, labels) == pytest.approx((-difference, -high, -low), abs=1e-12)


def test_pairing_narrows_the_interval_of_methods_that_agree(scores):
    a, b, labels = scores
    _, low, high = study.paired(a, b, labels)
    single = np.diff(metrics.bootstrap_interval(metrics.auroc, a, labels, n=300))[0]
    assert high - low < 0.8 * single


def test_the_interval_against_a_coin_is_that_of_the_plain_bootstrap(scores):
    a, _, labels = scores
    _, low, high = study.paired(a, np.zeros(80), labels, n=2000)
    plain = metrics.bootstrap_interval(metrics.auroc, a, labels, n=2000)
    assert (low + 0.5, high + 0.5) == pytest.approx(plain, abs=0.015)


def test_choosing_among_equal_epochs_gains_on_the_images_that_choose_and_nowhere_else(scores):
    a, _, labels = scores
    here, there = study.chosen_on_the_test_set(a, labels, rounds=60)
    assert here > 0.01 and abs(there) < here / 4
    one, _ = study.chosen_on_the_test_set(a, labels, epochs=1, rounds=5)
    assert one == pytest.approx(0, abs=1e-12)


def test_contamination_replaces_the_share_and_leaves_the_test_set_alone():
    split = factory.split("washer", 32, n_train=20, n_good=2, n_per_kind=1, seed=0)
    dirty = study.contaminated(split, "washer", 0.1, seed=0)
    assert (dirty.train != split.train).flatten(1).any(1).nonzero()[:, 0].tolist() == [18, 19]
    assert torch.equal(study.contaminated(split, "washer", 0.0, seed=0).train, split.train)
    assert torch.equal(dirty.test, split.test)
    assert not any(torch.equal(a, b) for a in dirty.train[18:] for b in split.test)


def test_exposures_that_count_up_are_one_series_and_a_break_or_a_repeat_ends_it():
    names = ["exp1_num_10.jpg", "exp3_num_60.jpg", "exp2_num_30.jpg", "exp2_num_300.jpg", "exp3_num_310.jpg",
             "exp3_num_320.jpg"]
    assert tiles.series(names) == [0, 0, 0, 1, 1, 2]
    with pytest.raises(ValueError, match="not a name"):
        tiles.series(["IMG_0042.jpg"])


def test_groups_are_drawn_whole():
    groups = [0, 0, 1, 1, 1, 2, 3, 3]
    chosen = tiles.draw_groups(groups, 0.5, seed=3)
    assert all(len({bool(c) for c, g in zip(chosen, groups, strict=True) if g == k}) == 1 for k in set(groups))
    assert 0.5 <= float(chosen.float().mean()) < 1


def test_brightness_and_contrast_do_not_change_a_correlation():
    pictures = torch.rand(5, 8, 8, generator=torch.Generator().manual_seed(0))
    other = 3 * pictures + 0.2
    value, which = tiles.nearest(tiles.unit_vectors(other), tiles.unit_vectors(pictures))
    assert which.tolist() == list(range(5)) and torch.allclose(value, torch.ones(5, dtype=torch.float64))
    assert len(set(tiles.components(tiles.unit_vectors(torch.cat([pictures, other])), 0.9))) == 5


def test_without_learning_the_published_split_of_the_tiles_is_easy_and_the_split_by_tile_is_not(leak):
    for split, low, high in (("published", 0.94, 0.96), ("by tile", 0.42, 0.5)):
        found, labels = part(leak, split)
        auroc = metrics.auroc([1 - row["correlation"] for row in found], labels)
        assert low < auroc < high
        assert auroc == pytest.approx(leak["splits"][split]["auroc"], abs=1e-3)


def test_most_series_of_exposures_lie_on_both_sides_of_the_published_split(leak):
    found, labels = part(leak, "published")
    train = leak["splits"]["published"]["train"]
    test = [row["name"] for row, bad in zip(found, labels, strict=True) if not bad]
    group = tiles.series(train + test)
    shared = set(group[:len(train)]) & set(group[len(train):])
    assert len(set(group)) == 178 and len(shared) > 100
    nearest = [row["nearest"] for row, bad in zip(found, labels, strict=True) if not bad]
    of = dict(zip(train + test, group, strict=True))
    assert sum(of[a] == of[b] for a, b in zip(test, nearest, strict=True)) == 177
    assert sum(row["correlation"] > 0.98 for row, bad in zip(found, labels, strict=True) if bad) == 5


def test_a_row_says_what_it_was_measured_on():
    split = factory.split("washer", 32, n_train=12, n_good=4, n_per_kind=1, seed=0)
    row = study.row(study.make("pca", 0, 32), split)
    assert row["test"] == {"good": 4} | dict.fromkeys(factory.DEFECTS["washer"], 1)
    assert study.labels_of(row["test"]).tolist() == split.labels.tolist()
    assert row["image_auroc"] == pytest.approx(metrics.auroc(row["scores"], split.labels), abs=1e-4)
    assert row["interval"][0] <= row["image_auroc"] <= row["interval"][1] and row["without_flow"] is None
    json.dumps(row)


def test_finer_taps_help_both_and_on_equal_taps_the_flow_is_ahead():
    def image_auroc(name, method, taps=None):
        rows = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
        return np.array([r["image_auroc"] for r in sorted(rows, key=lambda r: (r["data"], r["seed"]))
                         if r["method"] == method and not r["data"].startswith("tiles")
                         and (taps is None or sorted(r["taps"]) == sorted(f"stride{n}" for n in taps))])

    fast, gaussian = image_auroc("13_finer_taps", "fastflow", (2, 4, 8)), image_auroc("13_side_by_side", "gaussian")
    gains = (fast - image_auroc("13_side_by_side", "fastflow"),
             gaussian - image_auroc("13_finer_taps", "gaussian", (4, 8)),
             fast - image_auroc("13_finer_taps", "gaussian", (2, 4, 8)), fast - gaussian)
    assert [len(gain) for gain in gains] == [24] * 4
    assert all(gain.mean() > 0.02 and (gain > 0).sum() >= 18 for gain in gains[:3])
    assert gains[3].mean() > 0.01 and (gains[3] > 0).sum() > 12  # a little ahead of the Gaussian's best taps
