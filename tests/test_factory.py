"""The defect factory: a mask is where defect and twin differ, an image depends on its own key alone, and a simple
pixel baseline finds some of the defects but not most."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from tutorial_lib.data import factory
from tutorial_lib.data.factory import board, canvas, capsule, nut, scene, shapes, washer
from tutorial_lib.data.factory.defects import SURFACE as PAINTED
from tutorial_lib.data.factory.faults import Fault

CASES = [(category, kind) for category in factory.CATEGORIES for kind in factory.DEFECTS[category]]
OBJECTS = ("washer", "board", "capsule", "nut")
SURFACE = [case for case in CASES if case[1] in PAINTED]
IDS = ["-".join(case) for case in CASES]
# where a large part moves, with all its shading and its shadow
MOVING = {("capsule", "turned"): 0.40, ("nut", "turned"): 0.20,
          ("capsule", "misplaced"): 0.12, ("nut", "misplaced"): 0.10}
SHADOWED = [("capsule", "misplaced"), ("capsule", "turned"), ("nut", "turned")]


@pytest.fixture(scope="module")
def pairs():
    """Three pairs of each case at 96 px, drawn once."""
    return {case: factory.pairs(*case, 3, size=96, seed=5) for case in CASES}


def difference(found: factory.Pairs) -> torch.Tensor:
    return (found.images - found.twins).abs().amax(1)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_mask_is_exactly_where_image_and_twin_differ(case, pairs):
    found = pairs[case]
    assert found.masks.dtype == torch.bool and found.masks.shape == (3, 96, 96)
    assert (difference(found)[~found.masks] <= factory.VISIBLE).all(), "a pixel outside the mask differs"
    assert (difference(found)[found.masks] > factory.VISIBLE).all(), "a pixel inside the mask does not differ"


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_default_severity_shows(case, pairs):
    found = pairs[case]
    for masks, gap in zip(found.masks, difference(found), strict=True):
        most = MOVING.get(case, 0.08)
        assert 0.001 < masks.float().mean() < most, "share of the picture that the mask covers"
        assert gap.max() > 0.1, "the strongest pixel stands clear of noise with deviation below 0.02"


def test_mask_covers_half_a_percent_to_two_in_the_median(pairs):
    for category in factory.CATEGORIES:
        shares = torch.cat([found.masks.float().mean((1, 2)) for case, found in pairs.items() if case[0] == category])
        assert 0.005 < shares.median() < 0.02, category


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_severity_runs_from_below_the_noise_to_obvious(case):
    sizes = []
    for severity in (0.02, 0.2, 0.4, 0.6, 0.8, 1.0):
        found = factory.pairs(*case, 2, size=64, severity=severity, seed=1)
        sizes.append((found.images - found.twins).abs().sum((1, 2, 3)))
    if case == ("capsule", "turned"):     # beyond 90 degrees the outlines overlap again: what grows is the angle
        assert all((sizes[0] < 0.25 * size).all() for size in sizes[1:])
        sizes = sizes[:3]
    else:
        assert (sizes[0] < 0.15 * sizes[-1]).all()
    assert all((low < high).all() for low, high in itertools.pairwise(sizes)), [s.tolist() for s in sizes]


@pytest.mark.parametrize("case", SURFACE, ids=["-".join(case) for case in SURFACE])
def test_a_surface_defect_keeps_its_shape_and_grows_at_every_pixel(case):
    faint, strong = (factory.pairs(*case, 2, size=64, severity=severity, seed=1) for severity in (0.3, 0.9))
    assert torch.equal(faint.twins, strong.twins)
    assert (difference(strong) >= difference(faint) - 1e-6).all()
    assert not (faint.masks & ~strong.masks).any()


@pytest.mark.parametrize("category", factory.CATEGORIES)
def test_an_invisible_severity_is_below_the_noise(category):
    found = factory.pairs(category, "scratch", 4, size=64, severity=0.02, seed=2)
    noise = scene.Camera.sigma(found.twins.numpy().mean(1))
    assert (difference(found).numpy() < 1.5 * noise).all() and found.masks.flatten(1).any(1).all()


@pytest.mark.parametrize("case", [case for case in CASES if case[0] in OBJECTS],
                         ids=lambda case: "-".join(case))
def test_a_defect_sits_on_the_object(case, pairs):
    draw = factory._SCENES[case[0]]
    for index, mask in enumerate(pairs[case].masks):
        scenes = [draw(factory._rng(5, *case, index, "scene"), 96)]
        if case not in SURFACE:     # a misplaced hole leaves metal where the twin has none
            parts = factory._PARTS.get(case[0], ("",))
            fault = Fault(factory._rng(5, *case, index, "defect"), case[1], factory.SEVERITY, parts)
            scenes.append(draw(factory._rng(5, *case, index, "scene"), 96, fault))
        on_object = torch.from_numpy(np.max([found.cover for found in scenes], 0) > 0)
        if case in SHADOWED:        # the shadow moves with the part
            on_object = torch.nn.functional.max_pool2d(on_object[None].float(), 17, 1, 8)[0] > 0
        assert not (mask & ~on_object).any() and on_object.float().mean() < 0.75


@pytest.mark.parametrize("category", factory.CATEGORIES)
def test_an_image_depends_on_its_key_alone(category):
    few, many = factory.normal(category, 2, 48, seed=7), factory.normal(category, 4, 48, seed=7)
    assert torch.equal(few, many[:2]) and not torch.equal(many[0], many[1])
    assert not torch.equal(few, factory.normal(category, 2, 48, seed=8))
    kind = factory.DEFECTS[category][-1]
    one, two = factory.pairs(category, kind, 1, 48, seed=7), factory.pairs(category, kind, 3, 48, seed=7)
    assert all(torch.equal(a, b[:1]) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("category", factory.CATEGORIES)
def test_images_are_finite_and_use_the_range_without_clipping(category):
    images = factory.normal(category, 6, 64)
    assert images.shape == (6, 3, 64, 64) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.05
    assert ((images == 0) | (images == 1)).float().mean() < 0.01


@pytest.mark.parametrize("category", factory.CATEGORIES)
def test_a_scene_is_the_same_at_two_sizes(category):
    small, large = (factory.normal(category, 2, size, seed=3) for size in (64, 128))
    halved = torch.nn.functional.avg_pool2d(large, 2)
    coarse = torch.nn.functional.avg_pool2d(torch.stack([small.flatten(0, 1), halved.flatten(0, 1)]), 4)
    for a, b in zip(*coarse.flatten(2), strict=True):
        assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.9


def test_the_callers_generators_are_left_alone():
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    factory.split("washer", size=32, n_train=1, n_good=1, n_per_kind=1)
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()


@pytest.mark.parametrize("category", factory.CATEGORIES)
def test_split_has_every_kind_and_no_image_on_both_sides(category):
    split = factory.split(category, size=32, n_train=5, n_good=3, n_per_kind=2, seed=2)
    kinds = factory.DEFECTS[category]
    assert split.train.shape == (5, 3, 32, 32) and len(split.test) == 3 + 2 * len(kinds)
    assert split.kinds == ["good"] * 3 + [kind for kind in kinds for _ in range(2)]
    assert split.labels.tolist() == [kind != "good" for kind in split.kinds]
    assert torch.equal(split.masks.flatten(1).any(1), split.labels) and split.has_mask.all() and split.paths is None
    assert torch.equal(split.train, factory.normal(category, 5, 32, seed=2))
    assert torch.cdist(split.train.flatten(1), split.test.flatten(1)).min() > 0.1


def test_fingerprint_follows_content():
    args = {"size": 32, "n_train": 2, "n_good": 1, "n_per_kind": 1}
    base = factory.split("metal", **args)
    prints = {base.fingerprint(), factory.split("metal", seed=1, **args).fingerprint(),
              factory.split("metal", severity=0.7, **args).fingerprint(), factory.split("carpet", **args).fingerprint()}
    assert len(prints) == 4 and all(len(mark) == 16 for mark in prints)
    assert base.fingerprint() == factory.split("metal", **args).fingerprint()
    one_pixel, one_mask = base.train.clone(), base.masks.clone()
    one_pixel[0, 0, 0, 0] += 0.3
    one_mask[0, 0, 0] ^= True
    others = [(one_pixel, base.test, base.labels, base.masks), (base.train.flip(3), base.test, base.labels, base.masks),
              (base.train.flip(0), base.test, base.labels, base.masks),
              (base.train, base.test, ~base.labels, base.masks),
              (base.train, base.test, base.labels, one_mask)]
    made = [type(base)(base.name, train, test, labels, base.kinds, masks).fingerprint()
            for train, test, labels, masks in others]
    assert len({base.fingerprint(), *made}) == 1 + len(others)


@pytest.mark.parametrize("category", factory.CATEGORIES)
def test_fingerprint_does_not_follow_rounding(category):
    base = factory.split(category, size=64, n_train=20, n_good=5, n_per_kind=1)
    noise = 2e-7 * (2 * torch.rand(base.train.shape, generator=torch.Generator().manual_seed(0)) - 1)
    near = type(base)(base.name, base.train + noise, base.test, base.labels, base.kinds, base.masks)
    assert near.fingerprint() == base.fingerprint()


@pytest.mark.parametrize(("arguments", "words"), [
    (("cloth", "scratch", 1), "metal, washer, board, leather"), (("metal", "missing", 1), "scratch, crack, spot"),
    (("metal", "scratch", -1), "n ≥ 0"), (("metal", "scratch", 1, 8), "size ≥ 16"),
    (("metal", "scratch", 1, 32, 0.0), "above 0"), (("metal", "scratch", 1, 32, 1.1), "up to 1"),
    (("metal", "scratch", 1, 32, float("nan")), "severity is nan"), (("metal", "scratch", 1, 32, 0.5, -1), "seed ≥ 0"),
])
def test_bad_arguments_get_a_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        factory.pairs(*arguments)


def test_no_images_is_an_empty_tensor():
    assert factory.normal("board", 0, 32).shape == (0, 3, 32, 32)
    assert factory.defective("board", "missing", 0, 32)[1].shape == (0, 32, 32)


def test_shapes_measure_distance():
    u, v = np.meshgrid(np.linspace(-1, 1, 41, dtype=np.float32), np.linspace(-1, 1, 41, dtype=np.float32))
    exact = {"disc": (shapes.disc(0.4), np.hypot(u, v) - 0.4),
             "annulus": (shapes.annulus(0.3, 0.5), np.maximum(np.hypot(u, v) - 0.5, 0.3 - np.hypot(u, v))),
             "box on its axis": (lambda a, b: shapes.box(0.3, 0.2)(a, 0 * b), np.abs(u) - 0.3),
             "stroke": (shapes.stroke(np.float32([[-2, 0], [2, 0]]), np.float32([0.1, 0.1])), np.abs(v) - 0.1)}
    for name, (shape, distance) in exact.items():
        near = np.abs(distance) < 0.15     # the edge is all that painting uses; deep inside a box the corner decides
        assert np.allclose(shape(u, v)[near], distance[near], atol=1e-5), name


def test_a_painted_disc_has_its_area_at_any_place_and_size():
    rng = np.random.default_rng(0)
    for size in (32, 96):
        pose = canvas.Pose(*rng.uniform(-0.2, 0.2, 2), angle=1.0, scale=0.9)
        image = np.zeros((size, size, 3), np.float32)
        canvas.Canvas(image, pose).paint(shapes.disc(0.5), (0.5, 0.5), (1, 1, 1))
        assert image.mean() * 4 == pytest.approx(np.pi * 0.45**2, rel=0.01)


def test_noise_has_unit_deviation_and_repeats_across_sizes():
    fields = [canvas.noise(np.random.default_rng(0), size, 24) for size in (128, 256)]
    assert np.std(fields[1]) == pytest.approx(1, abs=0.15)
    assert np.corrcoef(fields[0].ravel(), fields[1].reshape(128, 2, 128, 2).mean((1, 3)).ravel())[0, 1] > 0.999


def test_places_are_on_the_object():
    rng = np.random.default_rng(0)
    ring = np.hypot(*np.array([washer.on_ring(rng) for _ in range(500)]).T)
    assert ring.min() > washer.INNER and ring.max() < washer.OUTER
    assert np.abs([board.on_board(rng) for _ in range(500)]).max() < board.HALF
    u, v = np.array([capsule.on_shell(rng) for _ in range(500)]).T
    assert shapes.box(capsule.LONG, capsule.WIDE, capsule.WIDE)(u, v).max() < 0
    u, v = np.array([nut.on_face(rng) for _ in range(500)]).T
    assert np.hypot(u, v).min() > nut.SINK and shapes.hexagon(nut.FLAT)(u, v).max() < 0


@pytest.mark.slow
@pytest.mark.parametrize("category", OBJECTS)
def test_a_pixel_baseline_finds_some_defects_and_misses_most(category):
    """Residual of a PCA with 15 components on 32 x 32 px: objects whose pose did not vary would be solved by it."""
    print()
    for seed in (0, 1, 2):
        split = factory.split(category, 128, n_train=100, n_good=40, n_per_kind=15, seed=seed)
        train, test = (torch.nn.functional.interpolate(x, (32, 32), mode="area").flatten(1).numpy()
                       for x in (split.train, split.test))
        pca = PCA(15, svd_solver="full").fit(train)
        residual = np.linalg.norm(test - pca.inverse_transform(pca.transform(test)), axis=1)
        area = roc_auc_score(split.labels, residual)
        print(f"{category}, seed {seed}: image AUROC of the PCA residual {area:.3f}")
        assert 0.6 < area < 0.8
