"""DifferNet against its paper and released code: check values, laws of the flow, views, and the gradient map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from PIL import Image
from scipy.ndimage import gaussian_filter

from tutorial_lib import detectors
from tutorial_lib.checks.laws import law_check
from tutorial_lib.data import factory
from tutorial_lib.detectors import DetectorError, DifferNet
from tutorial_lib.detectors.differnet import make_clamp
from tutorial_lib.detectors.gradient_map import channel_sum, gradient_map, input_gradient
from tutorial_lib.detectors.pooled import pool_concat
from tutorial_lib.detectors.views import even_angles, random_angles, rotate, turned
from tutorial_lib.flows import Chain, Flow, Permutation, Whitening


def small(**overrides) -> DifferNet:
    numbers = {"size": 64, "weights": "random", "steps": 3, "hidden": 16, "blocks": 2, "bank": 2, "test_views": 2,
               "scales": 1}  # 672 entries
    return DifferNet.small(progress=False, **numbers | overrides)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("washer", 6, size=64)


@pytest.fixture(scope="module")
def paper() -> DifferNet:
    return DifferNet.paper(weights="random", progress=False)


# -- every number of the paper ----------------------------------------------------------------------------------------


def test_the_paper_setting_holds_the_published_numbers(paper):
    expected = {
        "size": 448, "scales": 3, "pooling": ("mean",), "backbone": "alexnet", "rotation": 180.0, "fill": "black",
        "train_views": 4, "test_views": 64, "bank": 0, "whiten": False, "blocks": 8, "hidden": 2048, "depth": 3,
        "alpha": 3.0, "clamp": "Atan0636Clamp", "images_per_step": 24, "epochs": 192, "steps": 0, "lr": 2e-4,
        "betas": (0.8, 0.8), "eps": 1e-4, "weight_decay": 1e-5, "map_sigma": 3.0,
    }
    assert {name: getattr(paper.settings, name) for name in expected} == expected
    assert DifferNet.paper().settings.weights == "pretrained"


def test_the_paper_flow_has_172_million_parameters_without_taking_their_memory(paper):
    assert paper.feature_dim == 768
    assert paper.parameters_count() == 172_077_056


def test_one_block_is_a_permutation_and_two_networks_of_three_hidden_layers():
    permutation, coupling = DifferNet.paper(weights="random", blocks=1).build_flow(768).transform
    assert isinstance(permutation, Permutation)
    assert sum(p.numel() for p in coupling.parameters()) == 21_509_632
    nets = [coupling.a.net, coupling.b.net]
    for net in nets:
        assert sum(p.numel() for p in net.parameters()) == 10_754_816
        shapes = [(layer.in_features, layer.out_features) for layer in net if hasattr(layer, "in_features")]
        assert shapes == [(384, 2048), (2048, 2048), (2048, 2048), (2048, 768)]
        assert hasattr(net[-1], "in_features")  # no activation at the end
    assert len(DifferNet.paper(weights="random", hidden=4).build_flow(768).transform) == 16


def test_permutations_are_those_of_the_released_code():
    flow = DifferNet.paper(weights="random", hidden=4, blocks=2).build_flow(768)
    ramp = torch.arange(768.0)[None]
    heads = [flow.transform[k](ramp)[0][0, :8].int().tolist() for k in (0, 2)]
    assert heads == [[661, 122, 113, 14, 529, 103, 338, 588], [285, 101, 581, 352, 726, 472, 233, 385]]


def test_features_are_13_6_and_2_positions_wide_and_pooled_to_768(paper):
    view = factory.normal("metal", 1, size=448)
    sides = [paper.maps(view[:, :, ::2**k, ::2**k])[0].shape for k in range(3)]
    assert sides == [(1, 256, 13, 13), (1, 256, 6, 6), (1, 256, 2, 2)]
    features = paper.features(view)
    assert features.shape == (1, 768)
    for k in range(3):  # largest scale first; a smaller scale takes every 2nd or 4th pixel
        expected = paper.maps(view[:, :, ::2**k, ::2**k])[0].mean((2, 3))
        torch.testing.assert_close(features[:, 256 * k:256 * (k + 1)], expected)


@pytest.mark.parametrize(("s", "expected"), [(0.5, 0.315104), (1, 0.613900), (3, 1.498540), (10, 2.440980)])
def test_the_clamp_is_that_of_the_released_code(s, expected):
    clamp = DifferNet.paper(weights="random", hidden=4, blocks=1).build_flow(8).transform[1].a.clamp
    assert float(clamp(torch.tensor(float(s), dtype=torch.float64))) == pytest.approx(expected, abs=6e-7)
    assert float(clamp(torch.tensor(1e9))) == pytest.approx(2.99708, abs=1e-5)


def test_an_unknown_clamp_gets_a_sentence():
    with pytest.raises(DetectorError, match=r"Expected one of Atan0636Clamp"):
        make_clamp("Tanh", 3.0)


def test_loss_of_a_latent_and_a_log_det_made_by_hand():
    z, log_det = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), torch.tensor([1.0, -2.0])
    assert DifferNet.loss(z, log_det).tolist() == pytest.approx([(14 / 2 - 1) / 3, 2 / 3])


# -- the flow ---------------------------------------------------------------------------------------------------------


def test_the_trained_flow_keeps_every_law(normals):
    detector = small(taps=("stride4",), pooling=("mean",), lr=1e-2, steps=20)  # 48 entries: slogdet is quick
    detector.fit(normals)
    x = detector.bank_features(normals)[:3, 0]
    report = law_check(detector.flow, x)
    assert report.ok, str(report)


def test_the_small_setting_begins_as_mahalanobis_on_the_same_features_and_views(normals):
    differnet = small(steps=1, lr=0.0, weight_decay=0.0)
    gaussian = detectors.create("mahalanobis", progress=False, **differnet.view_settings)
    differnet.fit(normals)
    gaussian.fit(normals)
    expected = gaussian.score(normals) / differnet.feature_dim
    torch.testing.assert_close(differnet.score(normals), expected, rtol=1e-3, atol=0)


def test_noise_keeps_the_loss_of_unseen_normals_from_running_away():
    images = factory.normal("washer", 30, size=64)
    loss = {}
    for noise in (True, False):
        detector = small(steps=60, hidden=32, noise=noise)
        learned = detector.fit(images[:24])["loss"][-1]
        whitening_part = float(detector.flow.transform[0](images.new_zeros(1, detector.feature_dim))[1])
        loss[noise] = learned, float(detector.view_loss(images[24:]).mean()) + whitening_part / detector.feature_dim
    assert abs(loss[True][1] - loss[True][0]) < 5  # measured 1.4
    assert loss[False][0] < 0 < 50 < loss[False][1]  # learned by heart: measured -1.3 on its own, 326 on others


def test_training_lowers_the_loss_and_reports_every_step(normals):
    seen = []
    history = small(steps=30, noise=False).fit(normals, callback=lambda step, loss: seen.append((step, loss)))
    assert seen == list(enumerate(history["loss"]))
    assert len(seen) == 30
    assert np.mean(history["loss"][-5:]) < np.mean(history["loss"][:5]) - 0.05


def test_fresh_views_keep_the_last_small_batch_and_run_the_epochs(normals):
    sizes = []
    detector = small(bank=0, whiten=False, noise=False, steps=0, epochs=2, images_per_step=4, train_views=3)
    vectors = detector._vectors
    detector._vectors = lambda batch, angles: sizes.append(tuple(angles.shape)) or vectors(batch, angles)
    assert detector.fit(normals)["steps"] == 4
    assert sizes == [(4, 3), (2, 3), (4, 3), (2, 3)]


# -- score ------------------------------------------------------------------------------------------------------------


class OneFlow(torch.nn.Module):
    """A flow whose latent is 1 everywhere."""

    def forward(self, x):
        return torch.ones_like(x), torch.zeros(len(x))


def test_the_score_of_a_latent_of_ones_is_one(normals):
    detector = small()
    detector.fit(normals)
    detector.flow = OneFlow()
    torch.testing.assert_close(detector.score(normals), torch.ones(6))


def test_the_score_is_the_mean_square_over_views_and_entries(normals):
    detector = small(test_views=3, rotation=40.0)
    detector.fit(normals)
    (z,) = detector.latents(normals)
    assert z.shape == (6, 3, detector.feature_dim)
    torch.testing.assert_close(detector.score(normals), z.square().mean((1, 2)))
    by_hand = detector.flow(detector.features(turned(normals[:1], even_angles(3, 40.0), "reflect")))[0]
    torch.testing.assert_close(z[0], by_hand, rtol=1e-3, atol=1e-3)


def test_one_even_view_is_the_image_itself_and_repeated_views_change_nothing(normals):
    detector = small(test_views=1, rotation=30.0)
    detector.fit(normals)
    plain = detector.flow(detector.features(normals))[0].square().mean(1)
    torch.testing.assert_close(detector.score(normals), plain, rtol=1e-3, atol=0)
    detector.test_angles = lambda: torch.zeros(5)
    torch.testing.assert_close(detector.score(normals), plain, rtol=1e-3, atol=0)


def test_a_flow_that_overflows_still_gives_a_finite_score(normals):
    detector = small()
    detector.fit(normals)
    detector.flow = Flow(Chain(Whitening(detector.feature_dim)), (detector.feature_dim,))
    detector.flow.transform[0].L.mul_(1e-30)
    assert detector.score(normals).isfinite().all()


def test_shuffled_positions_leave_the_pooled_vector_as_it_was():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 256, side, side, generator=generator) for side in (13, 6, 2)]
    shuffled = [m.flatten(2)[:, :, torch.randperm(m[0, 0].numel(), generator=generator)].view_as(m) for m in maps]
    for pooling in (("mean",), ("mean", "max")):
        assert pool_concat(maps, pooling).shape == (2, 768 * len(pooling))
        torch.testing.assert_close(pool_concat(maps, pooling), pool_concat(shuffled, pooling))
    torch.testing.assert_close(pool_concat(maps)[1, 300], maps[1][1, 44].mean())


# -- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("side", [32, 33])
def test_rotation_is_torchvisions_for_each_image_by_its_own_angle(mode, side):
    images = torch.rand(5, 3, side, side, generator=torch.Generator().manual_seed(0))
    angles = torch.tensor([0.0, 17.0, -90.0, 180.0, 33.3])
    ours = rotate(images, angles, mode)
    for image, angle, found in zip(images, angles, ours, strict=True):
        expected = TF.rotate(image, float(angle), TF.InterpolationMode(mode))  # outside: 0
        assert ((found - expected).abs() > 1e-4).float().mean() < 0.01  # nearest: ties may fall either way


def test_rotation_turns_counter_clockwise_as_pillow_does_and_fills_with_black():
    picture = np.zeros((65, 65), np.uint8)
    picture[8:14, 29:36] = 200
    theirs = np.asarray(Image.fromarray(picture).rotate(30)) / 255.0
    ours = rotate(torch.from_numpy(picture / 255.0).float().expand(1, 3, -1, -1), torch.tensor([30.0]))[0, 0].numpy()
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95
    assert rotate(torch.ones(1, 3, 64, 64), torch.tensor([45.0]))[0, :, 0, 0].tolist() == [0, 0, 0]


def test_reflected_corners_hold_the_image_mirrored_at_its_edge():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    reflected = rotate(image, torch.tensor([45.0]), fill="reflect")
    assert (reflected > 0).float().mean() > 0.99  # no black corner
    inside = rotate(image, torch.tensor([45.0])) > 0
    assert torch.equal(reflected[inside], rotate(image, torch.tensor([45.0]))[inside])
    assert torch.equal(rotate(image, torch.tensor([90.0]), fill="reflect"), rotate(image, torch.tensor([90.0])))


def test_angle_zero_is_no_rotation():
    image = torch.rand(1, 3, 31, 31, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rotate(image, torch.zeros(1)), image)


def test_even_angles_begin_with_the_image_as_it_is():
    assert even_angles(4, 180.0).tolist() == [0, 90, 180, 270]
    assert even_angles(64, 180.0)[1] == 5.625
    assert even_angles(1, 10.0).tolist() == [0]
    assert sorted(even_angles(5, 10.0).tolist()) == [-10, -5, 0, 5, 10]
    assert even_angles(4, 12.0).abs().max() <= 12


def test_random_angles_fill_the_range_and_depend_on_the_key_alone():
    angles = random_angles(1000, 180.0, 0, 1)
    assert angles.abs().max() <= 180
    assert abs(angles.mean()) < 4 * 180 / (3 * 1000) ** 0.5  # four standard errors
    assert angles.abs().mean() == pytest.approx(90, abs=8)
    assert torch.equal(angles[:10], random_angles(10, 180.0, 0, 1))
    assert not torch.equal(angles[:10], random_angles(10, 180.0, 0, 2))


def test_test_views_are_drawn_once_and_an_image_keeps_its_training_views(normals):
    detector = small(test_angles="random", rotation=180.0, bank=3)
    assert torch.equal(detector.test_angles(), detector.test_angles())
    assert not torch.equal(detector.test_angles(), small(test_angles="random", rotation=180.0, seed=1).test_angles())
    torch.testing.assert_close(detector.bank_features(normals)[:2], detector.bank_features(normals[:2]))


@pytest.mark.parametrize("wrong", [{"pooling": ("median",)}, {"test_angles": "odd"}, {"fill": "grey"}, {"steps": 0},
                                   {"test_views": 0}, {"scales": 0}, {"whiten": False}])
def test_impossible_settings_get_a_sentence(wrong):
    with pytest.raises(DetectorError, match=r"expected|needs whiten=True"):
        small(**wrong)


def test_an_image_too_small_for_the_backbone_gets_a_sentence(normals):
    with pytest.raises(DetectorError, match="would see 31 pixels a side and needs 63"):
        small(backbone="alexnet", size=126, scales=3).fit(normals)


# -- the gradient map -------------------------------------------------------------------------------------------------


def test_the_map_is_the_formula_in_a_loop():
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(2, 3, 40, 40, generator=generator)
    expected = np.zeros((2, 40, 40))
    for i in range(2):
        for c in range(3):
            expected[i] += np.abs(gaussian_filter(gradient[i, c].double().numpy(), 3, mode="mirror", truncate=4))
    np.testing.assert_allclose(channel_sum(gradient, 3.0).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_blur_comes_before_the_absolute_value_and_that_before_the_channel_sum():
    checkers = (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))
    speckle = checkers.expand(1, 3, 32, 32)
    assert channel_sum(speckle, 3.0).max() < 1e-3  # abs first would give 3
    opposed = torch.stack([torch.ones(32, 32), -torch.ones(32, 32), torch.zeros(32, 32)])[None]
    torch.testing.assert_close(channel_sum(opposed, 3.0), torch.full((1, 32, 32), 2.0))  # sum first would give 0


def test_every_views_gradient_is_turned_back_onto_the_image():
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, 18:22, 40:44] = 1.0
    energy = lambda views: 0.5 * views.square().sum((1, 2, 3))  # its gradient is the view itself
    for angle in (-70.0, -30.0, 30.0, 110.0):
        found = gradient_map(energy, image, torch.tensor([angle]), sigma=2.0)[0]
        row, column = divmod(int(found.argmax()), 64)
        assert abs(row - 19.5) <= 1.5
        assert abs(column - 41.5) <= 1.5
    both = gradient_map(energy, image, torch.tensor([-30.0, 30.0]), sigma=2.0, at_once=1)
    single = [gradient_map(energy, image, torch.tensor([a]), sigma=2.0) for a in (-30.0, 30.0)]
    torch.testing.assert_close(both, (single[0] + single[1]) / 2)


def test_the_gradient_of_a_view_does_not_depend_on_the_others():
    views = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    loss = lambda v: v.pow(3).sum((1, 2, 3))
    torch.testing.assert_close(input_gradient(loss, views)[:1], input_gradient(loss, views[:1]))
    torch.testing.assert_close(input_gradient(loss, views), 3 * views.square())


def test_the_detectors_map_is_the_gradient_of_the_loss_with_its_log_det(normals):
    detector = small(test_views=1, rotation=0.0, map_sigma=2.0)
    detector.fit(normals)
    x = normals[:1].clone().requires_grad_()
    z, log_det = detector.flow(detector.features(x))
    ((0.5 * z.square().sum() - log_det.sum()) / z.shape[1]).backward()
    torch.testing.assert_close(detector.anomaly_map(normals[:1]), channel_sum(x.grad, 2.0), rtol=1e-3, atol=1e-5)


def test_the_released_codes_map_is_the_square_of_the_papers(normals):
    paper_map, code_map = small(), small(map_power=2)
    paper_map.fit(normals)
    code_map.fit(normals)
    torch.testing.assert_close(code_map.anomaly_map(normals[:1]), paper_map.anomaly_map(normals[:1]) ** 2)


def test_maps_do_not_leave_gradients_behind_on_the_weights(normals):
    detector = small()
    detector.fit(normals)
    detector.anomaly_map(normals[:1])
    assert all(p.grad is None for p in [*detector.flow.parameters(), *detector.backbone.parameters()])


@pytest.mark.slow
def test_the_paper_setting_trains_and_scores_on_a_few_images_of_full_size():
    images = factory.normal("washer", 4, size=448)
    detector = detectors.DifferNet.paper(weights="random", progress=False, steps=1, images_per_step=2, train_views=1,
                                         test_views=2, blocks=1)
    detector.fit(images)
    assert detector.score(images[:2]).isfinite().all()
    assert detector.anomaly_map(images[:1]).shape == (1, 448, 448)
