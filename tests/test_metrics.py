"""Laws of the metrics: against slow plain versions, against scikit-learn, and against what they must not depend on."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tutorial_lib import metrics

# ---------------------------------------------------------------- slow plain versions, written as the definitions read


def slow_auroc(scores, labels):
    pairs = [(d, n) for d in scores[labels] for n in scores[~labels]]
    return sum(1.0 if d > n else 0.5 if d == n else 0.0 for d, n in pairs) / len(pairs)


def slow_average_precision(scores, labels):
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        alarm = scores >= threshold
        new_recall = (alarm & labels).sum() / labels.sum()
        total += (new_recall - recall) * (alarm & labels).sum() / alarm.sum()
        recall = new_recall
    return total


def slow_regions(mask):
    """Flood fill with eight neighbours."""
    regions, left = [], {(int(y), int(x)) for y, x in np.argwhere(mask)}
    while left:
        frontier, region = [left.pop()], []
        while frontier:
            y, x = frontier.pop()
            region.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            frontier += near
        regions.append(region)
    return regions


def slow_aupro(maps, masks, limit):
    regions = [(m, r) for m, mask in zip(maps, masks, strict=True) for r in slow_regions(mask)]
    normal = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)])
    fprs, pros = [0.0], [0.0]
    for threshold in np.unique(np.concatenate([m.ravel() for m in maps]))[::-1]:
        fprs.append((normal >= threshold).mean())
        pros.append(np.mean([np.mean([m[p] >= threshold for p in r]) for m, r in regions]))
    pros_at_limit = np.interp(limit, fprs, pros)
    inside = [(f, p) for f, p in zip(fprs, pros, strict=True) if f <= limit] + [(limit, pros_at_limit)]
    return sum((f1 - f0) * (p0 + p1) / 2 for (f0, p0), (f1, p1) in pairwise(inside)) / limit


# ---------------------------------------------------------------------------------------------------------- test cases


def image_case(seed, n=60, levels=None):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) < n // 3)
    scores = rng.normal(size=n) + labels
    return (scores if levels is None else np.round(scores * levels) / levels), labels


IMAGE_CASES = {
    "no ties": image_case(0),
    "some ties": image_case(1, levels=4),
    "mostly ties": image_case(2, levels=1),
    "all tied": (np.zeros(8), np.arange(8) < 3),
    "perfect": (np.arange(8.0), np.arange(8) >= 5),
    "reversed": (-np.arange(8.0), np.arange(8) >= 5),
    "one of each": (np.array([1.0, 2.0]), np.array([False, True])),
}
each_image_case = pytest.mark.parametrize("scores, labels", IMAGE_CASES.values(), ids=IMAGE_CASES)


def map_case(seed, sizes, levels=None):
    """Maps of several sizes, each with up to three blocks (diagonal neighbours included) as its mask; one is normal."""
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for index, (h, w) in enumerate(sizes):
        mask = np.zeros((h, w), bool)
        for _ in range(3 if index else 0):
            y, x = rng.integers(0, h - 4), rng.integers(0, w - 4)
            mask[y : y + rng.integers(1, 5), x : x + rng.integers(1, 5)] = True
        scores = rng.normal(size=(h, w)) + 1.5 * mask
        maps.append(scores if levels is None else np.round(scores * levels) / levels)
        masks.append(mask)
    masks[-1][:2, :2] = [[True, False], [False, True]]  # a diagonal pair: one region, not two
    return maps, masks


MAP_CASES = {
    "no ties": map_case(0, [(12, 9), (11, 14), (13, 8)]),
    "ties across the limit": map_case(1, [(12, 9), (11, 14), (9, 9)], levels=1),
    "one map": ([np.arange(36.0).reshape(6, 6)], [np.arange(36).reshape(6, 6) % 7 == 0]),
    "constant map": ([np.ones((6, 6))], [np.eye(6, dtype=bool)]),
}
each_map_case = pytest.mark.parametrize("maps, masks", MAP_CASES.values(), ids=MAP_CASES)

MONOTONE = {"exp": np.exp, "cube": lambda s: s**3, "shift and scale": lambda s: 3 * s - 5}
each_monotone = pytest.mark.parametrize("change", MONOTONE.values(), ids=MONOTONE)

# --------------------------------------------------------------------------------------------------------- image level


@each_image_case
def test_auroc_equals_pair_counting_and_scikit_learn(scores, labels):
    assert metrics.auroc(scores, labels) == pytest.approx(slow_auroc(scores, labels), abs=1e-12)
    assert metrics.auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@each_image_case
def test_average_precision_equals_its_sum_and_scikit_learn(scores, labels):
    assert metrics.average_precision(scores, labels) == pytest.approx(slow_average_precision(scores, labels), abs=1e-12)
    assert metrics.average_precision(scores, labels) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


def test_perfect_scores_give_exactly_1_and_never_more():
    for defective in range(1, 120):  # 1/9 added nine times is 1.0000000000000002
        labels = np.arange(defective + 7) >= 7
        assert metrics.auroc(np.arange(defective + 7.0), labels) <= 1
        assert metrics.average_precision(np.arange(defective + 7.0), labels) <= 1
        truth = labels[None]
        assert metrics.pixel_auroc([truth * 1.0], [truth]) <= 1 and metrics.aupro([truth * 1.0], [truth]) <= 1


@each_image_case
def test_auroc_of_the_negated_score_is_one_minus_auroc(scores, labels):
    assert metrics.auroc(-scores, labels) == pytest.approx(1 - metrics.auroc(scores, labels), abs=1e-12)


@each_monotone
@each_image_case
def test_image_metrics_depend_on_the_order_only(scores, labels, change):
    assert metrics.auroc(change(scores), labels) == pytest.approx(metrics.auroc(scores, labels), abs=1e-12)
    assert metrics.average_precision(change(scores), labels) == pytest.approx(
        metrics.average_precision(scores, labels), abs=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0, np.inf]), st.booleans()), min_size=2, max_size=30)
)
def test_auroc_equals_pair_counting_on_any_ties(items):
    scores, labels = np.array([s for s, _ in items]), np.array([d for _, d in items])
    if labels.all() or not labels.any():
        with pytest.raises(metrics.MetricError):
            metrics.auroc(scores, labels)
    else:
        assert metrics.auroc(scores, labels) == pytest.approx(slow_auroc(scores, labels), abs=1e-12)
        assert metrics.average_precision(scores, labels) == pytest.approx(
            slow_average_precision(scores, labels), abs=1e-12
        )


def test_tensors_lists_and_integer_labels_give_the_same_numbers():
    scores, labels = IMAGE_CASES["some ties"]
    expected = metrics.auroc(scores, labels)
    assert metrics.auroc(torch.tensor(scores, requires_grad=True), torch.tensor(labels)) == expected
    assert metrics.auroc(scores.tolist(), labels.astype(int).tolist()) == expected
    unsigned = np.array([3, 0, 2], np.uint8)  # negated as they are, 0 would come first
    assert metrics.average_precision(unsigned, [1, 0, 0]) == 1.0


# ---------------------------------------------------------------------------------------------- pixel and region level


@each_map_case
def test_pixel_auroc_equals_the_auroc_of_all_pixels(maps, masks):
    scores, labels = (np.concatenate([a.ravel() for a in x]) for x in (maps, masks))
    assert metrics.pixel_auroc(maps, masks) == pytest.approx(slow_auroc(scores, labels), abs=1e-12)


@pytest.mark.parametrize("limit", [0.01, 0.3, 1.0])
@each_map_case
def test_aupro_equals_the_loop_over_thresholds_and_regions(maps, masks, limit):
    assert metrics.aupro(maps, masks, limit=limit) == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-12)


@each_map_case
def test_regions_are_eight_connected(maps, masks):
    for mask in masks:
        labels, count = metrics.connected_regions(mask)
        assert count == len(slow_regions(mask)) == metrics.connected_regions(mask[:, ::-1])[1]
        assert ((labels > 0) == mask).all()


@each_monotone
@each_map_case
@pytest.mark.parametrize("metric", [metrics.pixel_auroc, metrics.aupro])
def test_pixel_metrics_depend_on_the_order_only(metric, maps, masks, change):
    assert metric([change(m) for m in maps], masks) == pytest.approx(metric(maps, masks), abs=1e-12)


def test_one_region_and_no_limit_make_aupro_the_pixel_auroc():
    maps, masks = MAP_CASES["no ties"]
    one_region = [np.zeros_like(m) for m in masks]
    one_region[1][2:6, 3:5] = True
    assert metrics.aupro(maps, one_region, limit=1.0) == pytest.approx(metrics.pixel_auroc(maps, one_region), abs=1e-12)


def test_a_missed_small_defect_hides_from_pixel_auroc_and_not_from_aupro():
    """One defect of 100×100 marked perfectly, one of 10×10 left at background level."""
    rng = np.random.default_rng(0)
    scores, mask = rng.random((256, 256)), np.zeros((256, 256), bool)
    mask[20:120, 20:120] = mask[200:210, 200:210] = True
    scores[20:120, 20:120] += 2
    assert metrics.pixel_auroc([scores], [mask]) == pytest.approx(0.995, abs=0.001)
    assert metrics.aupro([scores], [mask]) == pytest.approx(0.58, abs=0.02)


HEAVY_TAILS = {
    "normal": lambda z: z,
    "exp of 6 z": lambda z: np.exp(6 * z),
    "cauchy": lambda z: np.tan(np.clip(z, -5, 5) / 5.01 * np.pi / 2),
    "far from zero": lambda z: 1e4 + z,
    "mostly zero": lambda z: np.maximum(z - 1, 0),
}


@pytest.mark.parametrize("shape", HEAVY_TAILS.values(), ids=HEAVY_TAILS)
@pytest.mark.parametrize("metric, close", [(metrics.pixel_auroc, 1e-7), (metrics.aupro, 1e-6)])
def test_equal_count_bins_agree_with_the_exact_value_on_heavy_tails(metric, close, shape):
    """The worst case would be half a bin, 1/(2 · 65536 · limit); errors of many pixels cancel to far less."""
    rng = np.random.default_rng(3)
    masks = [np.zeros((150, 170), bool) for _ in range(12)]
    for mask in masks[::2]:
        y, x, side = *rng.integers(0, 90, 2), rng.integers(4, 60)
        mask[y : y + side, x : x + side] = True
    maps = [shape(rng.normal(size=mask.shape) + mask) for mask in masks]
    assert metric(maps, masks, bins=65536) == pytest.approx(metric(maps, masks), abs=close)


# ----------------------------------------------------------------------------------------------------------- intervals


def test_bootstrap_interval_is_repeatable_and_leaves_the_global_generator_alone():
    scores, labels = IMAGE_CASES["no ties"]
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    first = metrics.bootstrap_interval(metrics.auroc, scores, labels, n=200)
    assert (np.random.get_state()[1] == before).all()
    assert first == metrics.bootstrap_interval(metrics.auroc, scores, labels, n=200)
    assert first != metrics.bootstrap_interval(metrics.auroc, scores, labels, n=200, seed=1)
    assert first[0] < metrics.auroc(scores, labels) < first[1]


def test_bootstrap_interval_is_as_wide_as_the_formula_of_hanley_and_mcneil():
    scores, labels = image_case(7, n=600)
    a, n_defective, n_normal = metrics.auroc(scores, labels), 200, 400
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (n_defective - 1) * (q1 - a * a) + (n_normal - 1) * (q2 - a * a)) / (
        n_defective * n_normal
    )
    low, high = metrics.bootstrap_interval(metrics.auroc, scores, labels, n=600)
    assert high - low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.15)


def test_bootstrap_draws_keep_both_class_sizes():
    """With one defective image an unstratified draw would often have none and fail."""
    sizes = []
    metrics.bootstrap_interval(lambda s, y: sizes.append((len(y), y.sum())) or 0.0, np.arange(9.0), np.arange(9) == 4)
    assert set(sizes) == {(9, 1)}


# -------------------------------------------------------------------------------------------------------------- errors

SQUARE = np.zeros((4, 4))
ERRORS = {
    "only normal": (lambda: metrics.auroc([1.0, 2.0], [0, 0]), "all 2 images are normal"),
    "only defective": (lambda: metrics.average_precision([1.0, 2.0], [1, 1]), "all 2 images are defective"),
    "no image": (lambda: metrics.auroc([], []), "at least one"),
    "NaN score": (lambda: metrics.auroc([1.0, np.nan, 2.0], [0, 1, 0]), "first at index 1"),
    "shapes": (lambda: metrics.auroc([1.0, 2.0], [0]), "one score and one label"),
    "labels are kinds": (lambda: metrics.auroc([1.0, 2.0], ["good", "crack"]), "True means defective"),
    "count of masks": (lambda: metrics.aupro([SQUARE], []), "1 maps but 0 masks"),
    "mask size": (lambda: metrics.pixel_auroc([SQUARE], [np.ones((4, 5))]), "map 0 is 4×4 but its mask is 4×5"),
    "no defective pixel": (lambda: metrics.aupro([SQUARE], [SQUARE]), "no defective pixel"),
    "no defective pixel, bins": (lambda: metrics.aupro([SQUARE], [SQUARE], bins=8), "no defective pixel"),
    "no normal pixel": (lambda: metrics.pixel_auroc([SQUARE], [SQUARE + 1]), "no normal pixel"),
    "no map": (lambda: metrics.pixel_auroc([], [], bins=8), "no defective pixel"),
    "NaN pixel": (lambda: metrics.pixel_auroc([SQUARE * np.nan], [np.eye(4)]), "map 0 holds 16 NaN"),
    "batch axis": (lambda: metrics.pixel_auroc([SQUARE[None]], [np.eye(4)]), "Drop the batch"),
    "limit": (lambda: metrics.aupro([SQUARE], [np.eye(4)], limit=0.0), "usually 0.3"),
    "bins": (lambda: metrics.aupro([SQUARE], [np.eye(4)], bins=1), "at least 2"),
    "level": (lambda: metrics.bootstrap_interval(metrics.auroc, [1, 2], [0, 1], level=95), "between 0 and 1"),
}


@pytest.mark.parametrize("call, sentence", ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_judged_is_said_in_a_sentence(call, sentence):
    with pytest.raises(metrics.MetricError, match=sentence):
        call()
