"""The explorer's pure functions as laws: distributions, projections, likelihood, blame, gradients, places, walks."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from tutorial_lib import detectors
from tutorial_lib.data import factory
from tutorial_lib.detectors import DetectorError
from tutorial_lib.detectors.gradient_map import input_gradient
from tutorial_lib.explorer import Study, blame, distribution, gradient_map, likelihood_parts, places, projection, walks
from tutorial_lib.explorer.blame import sentence
from tutorial_lib.explorer.gradients import ranking_of

TAPS = ("stride4", "stride8")
SMALL = {"pca": {}, "mahalanobis": {"scales": 1, "pooling": ("mean",), "taps": TAPS}, "gaussian": {"channels": 6},
         "differnet": {"scales": 1, "pooling": ("mean",), "taps": TAPS, "hidden": 8, "steps": 4, "test_views": 2},
         "cflow": {"taps": TAPS, "width": 1, "steps": 4}, "fastflow": {"taps": TAPS, "steps": 3, "blocks": 2},
         "csflow": {"taps": ("stride4",), "blocks": 1, "hidden": 6, "steps": 3},
         "pyramidflow": {"steps": 3, "stacks": 1}}


@pytest.fixture(scope="module")
def split():
    return factory.split("washer", size=32, n_train=8, n_good=6, n_per_kind=1, seed=0)


@pytest.fixture(scope="module")
def studies(split):
    made = {}

    def study(name: str) -> Study:
        if name not in made:
            detector = detectors.create(name, size=32, progress=False, device="cpu", **SMALL[name])
            detector.fit(split.train)
            made[name] = Study.of(detector, split)
        return made[name]

    return study


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- distributions -------------------------------------------------------------------------------------------------


def test_standard_normal_latents_pass_every_look():
    z = noise(200, 8, 5, 5)
    theory, found = distribution.qq_normal(z)
    assert (theory - found).abs().max() < 0.2
    m = distribution.moments(z)
    assert abs(m["mean"]) < 0.02 and abs(m["std"] - 1) < 0.02 and abs(m["kurtosis"]) < 0.1
    assert m["beyond 3"] == pytest.approx(0.0027, abs=0.001)
    assert distribution.chi2_distance(z) < 0.03
    assert distribution.leftover(z)["mean |r|"] < distribution.leftover(z)["chance"]
    assert abs(distribution.neighbours(z)) < 0.03


def test_each_look_sees_the_fault_it_is_for():
    z = noise(200, 8, 5, 5)
    wide = z.clone()
    wide[:, 0] *= 5  # the marginals of seven channels stay as they were
    assert distribution.chi2_distance(wide) > 0.3
    mixed = z.clone()
    mixed[:, 1] = 0.8 * z[:, 0] + 0.6 * z[:, 1]  # every marginal is still N(0, 1)
    assert distribution.moments(mixed)["std"] == pytest.approx(1, abs=0.02)
    assert distribution.leftover(mixed)["largest |r|"] == pytest.approx(0.8, abs=0.03)
    smooth = (z + z.roll(1, 3)) / math.sqrt(2)
    assert distribution.neighbours(smooth) == pytest.approx(0.5 * 4 / 4, abs=0.05)


def test_rows_are_vectors_of_one_position():
    z = torch.arange(2 * 3 * 2 * 2).view(2, 3, 2, 2)
    assert torch.equal(distribution.rows_of(z)[5], z[1, :, 0, 1])
    norms, dim = distribution.squared_norms(z)
    assert dim == 3 and float(norms[5]) == float(z[1, :, 0, 1].square().sum())


def test_a_constant_entry_correlates_with_nothing():
    z = noise(50, 4)
    z[:, 2] = 1.5
    r = distribution.correlation(z)
    assert torch.equal(r[2], torch.eye(4, dtype=torch.float64)[2])


# ---- projections ---------------------------------------------------------------------------------------------------


def test_principal_plane_is_the_librarys_up_to_sign():
    v = noise(30, 50) @ noise(50, 50, seed=1)
    points, _, share = projection.principal_plane(v)
    model = PCA(2).fit(v.double().numpy())
    theirs = torch.from_numpy(model.transform(v.numpy())).float()
    assert torch.allclose(points.abs(), theirs.abs(), rtol=1e-3, atol=1e-3)
    assert share == pytest.approx(model.explained_variance_ratio_.sum(), rel=1e-6)


def test_principal_plane_of_some_rows_does_not_move_when_others_do():
    v, fit = noise(20, 6), torch.arange(20) < 12
    moved = v.clone()
    moved[15] += 100
    a, b = (projection.principal_plane(x, fit).points for x in (v, moved))
    assert torch.allclose(a[:15], b[:15]) and not torch.allclose(a[15], b[15])


def test_radius_of_standard_normal_vectors_is_one_and_rank_follows_the_score():
    v, scores = noise(50, 4000), noise(50, seed=3)
    points = projection.radius_plane(v, scores).points
    assert (points[:, 1] - 1).abs().max() < 0.05
    assert points[scores.argmax(), 0] == 1 and points[scores.argmin(), 0] == 50  # 1 is the worst, as on the card


def test_nearest_is_the_nearest_of_the_allowed_and_never_itself():
    v = noise(12, 5)
    among = torch.arange(12) % 2 == 0
    found = projection.nearest(v, 4, among)
    d = torch.from_numpy(cdist(v.double(), v.double()))[4]
    allowed = [i for i in range(0, 12, 2) if i != 4]
    assert found.index == min(allowed, key=lambda i: float(d[i]))
    assert found.distance == pytest.approx(float(d[found.index])) and found.median > found.distance
    with pytest.raises(ValueError, match="at least two normal images"):
        projection.nearest(v, 4, torch.arange(12) == 4)


def test_distances_are_symmetric_and_the_librarys():
    v = noise(9, 30)
    d = projection.distances(v)
    assert torch.equal(d, d.T) and d.diagonal().abs().max() == 0
    assert torch.allclose(d, torch.from_numpy(cdist(v.double(), v.double())), atol=1e-6)


# ---- studies, blame, gradients, places ------------------------------------------------------------------------------


def test_a_study_needs_one_group_per_image_and_a_normal_one(split):
    detector = detectors.create("pca", size=32)
    with pytest.raises(ValueError, match="one group and one name"):
        Study(detector, split.test[:3], ("good",))
    with pytest.raises(ValueError, match="needs normal images"):
        Study(detector, split.test[:2], ("crack", "crack"))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.slow
def test_the_blamed_parts_add_up_and_the_place_is_the_maps_maximum(studies, name):
    study = studies(name)
    assert len(study.scales) == len(study.latents)
    for index in (0, 9, 15):
        found = blame(study, index)
        assert sum(found.terms.values()) == pytest.approx(found.score, rel=1e-5, abs=1e-6)
        assert found.term == max(found.terms, key=lambda t: found.terms[t] - found.usual[t])
        assert found.channels[found.channel] == found.channels.max()
        if not found.by_gradient:
            heat = study.maps[index]
            assert heat[found.place] == heat.max()
        said = sentence(study, index, found)
        assert study.names[index] in said and f"row {found.place[0]}, column {found.place[1]}" in said


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.slow
def test_the_gradient_map_belongs_to_a_function_that_ranks_as_the_score(studies, name):
    study = studies(name)
    with torch.no_grad():
        ranking = ranking_of(study.detector)(study.images).double()
    order = torch.stack([study.scores.argsort().argsort().double(), ranking.argsort().argsort().double()])
    assert float(torch.corrcoef(order)[0, 1]) > (0.95 if name in ("cflow", "fastflow") else 0.999)
    both, one = gradient_map(study.detector, study.images[-3:]), gradient_map(study.detector, study.images[-2:-1])
    assert torch.allclose(both[1:2], one, rtol=1e-3, atol=1e-4 * float(one.max()))
    assert both.min() >= 0 and (both.flatten(1).amax(1) > 0).all()


@pytest.mark.parametrize("name", ["fastflow", "cflow"])
@pytest.mark.slow
def test_a_saturated_score_still_has_a_gradient(studies, name):
    detector, x = copy.deepcopy(studies(name).detector), studies(name).images[-1:]
    for whitening in ([head.whitening for head in detector.heads] if name == "fastflow" else detector.whitenings):
        whitening.L.mul_(0.02)  # latents fifty times as long: exp(-|z|^2 / 2) is 0 in float32
    flat = input_gradient(lambda batch: sum(detector._terms(batch).values()), x)
    assert flat.abs().max() == 0
    assert gradient_map(detector, x).max() > 1


def test_a_cell_covers_its_own_pixel():
    for cells in ((4, 4), (3, 5)):
        for cell in ((0, 0), (2, 3), (cells[0] - 1, cells[1] - 1)):
            assert places.cell_at(*places.pixel_of(cell, (64, 48), cells), (64, 48), cells) == cell


def test_a_place_compares_with_the_same_cell_of_normal_images(studies):
    study = studies("gaussian")
    found = places.look_at(study, 15, 0, (2, 3))
    z = study.latents[0][:, :, 2, 3].double()
    assert found.energy == pytest.approx(float(z[15].square().mean()))
    assert found.above == pytest.approx(float((z[study.good].square().mean(1) > found.energy).double().mean()))
    assert len(found.normals) == 14


def test_a_method_without_positions_says_so(studies):
    with pytest.raises(DetectorError, match="keeps no positions"):
        places.look_at(studies("mahalanobis"), 0, 0, (0, 0))


# ---- likelihood and walks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["differnet", "cflow", "fastflow", "csflow"])
@pytest.mark.slow
def test_the_two_parts_add_up_to_the_likelihood(studies, name):
    study = studies(name)
    d, x = study.detector, study.images[:3]
    parts = likelihood_parts(d, x)
    with torch.no_grad():
        if name == "differnet":
            total = d.flow.log_prob(d._vectors(x, d.test_angles()).flatten(0, 1)).view(3, -1).mean(1)
        elif name == "cflow":
            total = sum((per_channel * v.shape[1]).flatten(1).sum(1)
                        for per_channel, v in zip(d.likelihoods(d.vectors(x)), d.vectors(x), strict=True))
        elif name == "fastflow":
            total = sum(head.flow.log_prob(f) for head, f in zip(d.heads, d.maps(x), strict=True))
        else:
            total = d.flow.log_prob(d.features(x))
    assert torch.allclose(sum(parts.values()), -total.double(), rtol=1e-4)


@pytest.mark.parametrize("name", ["pca", "mahalanobis", "gaussian", "pyramidflow"])
def test_where_there_is_no_log_det_to_look_at_a_sentence_says_why(studies, name, split):
    detector = detectors.create(name, size=32, **SMALL[name])
    with pytest.raises(DetectorError, match=f"{name} has no log_det"):
        likelihood_parts(detector, split.test[:1])


def test_on_digits_the_walk_comes_back_and_its_ends_are_the_pictures():
    from tutorial_lib.widgets import picture_flows

    x, coder = picture_flows.pictures(4, seed=1), walks.digits_coder()
    a, b = coder.encode(x[:1]), coder.encode(x[1:2])
    length = float(walks.distance(a, b))
    found = walks.walk(coder, a, b, torch.tensor([0.0, length]))
    assert torch.allclose(found.pictures, x[:2], atol=1e-3)
    assert found.back.max() < 1e-2 * length and found.left.max() == 0
    beyond = walks.walk(coder, a, b, torch.tensor([-0.5, 0.5, 1.5]) * length)  # before the cut every latent comes back
    assert beyond.uncut.max() < 1e-3 and beyond.left.max() > 0 and beyond.back.max() > 100 * beyond.uncut.max()
    assert torch.equal(found.moved, torch.tensor([0.0, length]).double())
    with pytest.raises(DetectorError, match="no direction"):
        walks.walk(coder, a, a, torch.tensor([1.0]))


def test_methods_on_features_say_at_once_that_they_cannot_decode(studies):
    for name in ("mahalanobis", "gaussian", "pca"):
        with pytest.raises(DetectorError, match="Walk with pyramidflow"):
            walks.coder_of(detectors.create(name, size=32, **SMALL[name]))


@pytest.mark.slow
def test_a_moved_pyramid_is_the_pyramid_of_no_image(studies):
    study = studies("pyramidflow")
    coder = walks.coder_of(study.detector)
    a, b = coder.encode(study.images[:1]), coder.encode(study.images[1:2])
    length = float(walks.distance(a, b))
    found = walks.walk(coder, a, b, torch.tensor([0.0, 0.5, 1.0]).double() * length)
    assert found.back[0] < 0.01 * length and found.back[2] < 0.01 * length  # the ends are images
    assert found.back[1] > 10 * found.back[0]                               # what lies between is none
    beyond = walks.walk(coder, a, b, torch.tensor([0.0, 3.0]).double() * length)  # with pixels that leave [0, 1]
    assert beyond.left[1] > 0 and beyond.uncut[0] < 1e-3 < 0.1 * beyond.uncut[1]  # and the cut is not the reason
