"""FastFlow as a detector: one training step, its score and its map, saving, and what bad settings are told."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.data import factory
from tutorial_lib.detectors import DetectorError, FastFlow, load


def small(**overrides) -> FastFlow:
    return FastFlow.small(progress=False, **{"weights": "random", "steps": 3, "blocks": 2} | overrides)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("washer", 6, size=64)


@pytest.fixture(scope="module")
def fitted(normals) -> FastFlow:
    detector = small(lr=1e-2, steps=5)
    detector.fit(normals)
    return detector


# -- fit, score, map --------------------------------------------------------------------------------------------------


def test_one_training_step_is_adam_on_the_summed_losses_of_the_taps(normals):
    detector = small(whiten=False, zero_init=False, steps=1, images_per_step=6, lr=1e-2, weight_decay=0.1)
    features = detector.maps(normals)
    heads = detector.build_heads(f.shape[1:] for f in features)
    optimiser = torch.optim.Adam(heads.parameters(), lr=1e-2, weight_decay=0.1)
    latents = [head(f) for head, f in zip(heads, features, strict=True)]
    loss = sum(0.5 * z.square().sum() / 6 - log_det.mean() for z, log_det in latents)
    loss.backward()
    optimiser.step()
    assert detector.fit(normals)["loss"] == [pytest.approx(float(loss.detach()), rel=1e-5)]
    for ours, expected in zip(detector.heads.parameters(), heads.parameters(), strict=True):
        torch.testing.assert_close(ours, expected.detach(), rtol=1e-3, atol=1e-4)


def test_epochs_drop_the_last_batch_only_where_the_setting_says_so_and_never_all(normals):
    for drop_last, images_per_step, sizes in ((True, 4, [4, 4]), (False, 4, [4, 2, 4, 2]), (True, 32, [6, 6])):
        detector = small(steps=0, epochs=2, drop_last=drop_last, images_per_step=images_per_step, taps=("stride16",),
                         lr=0.0)
        seen = []
        detector.loss = lambda z, log_det, seen=seen: seen.append(z.detach()[:, 0, 0, 0]) or FastFlow.loss(z, log_det)
        assert detector.fit(normals)["steps"] == len(sizes)
        assert [len(z) for z in seen] == sizes
        epoch = torch.cat(seen[:len(seen) // 2])
        assert len(epoch.unique()) == len(epoch)  # no image twice


@pytest.mark.parametrize("overrides", [{}, {"norm": "learned", "whiten": False}])
def test_a_fit_moves_every_parameter(overrides, normals):
    detector = small(**overrides)
    before = detector.build_heads(f.shape[1:] for f in detector.maps(normals)).state_dict()
    detector.fit(normals)
    for name, after in detector.heads.named_parameters():
        assert (after != before[name]).any(), name


def test_the_backbone_sees_each_training_image_once(normals):
    detector, seen = small(steps=7), []
    maps = detector.maps
    detector.maps = lambda batch: seen.append(len(batch)) or maps(batch)
    detector.fit(normals)
    assert sum(seen) == 6


def test_the_small_setting_begins_as_the_mahalanobis_distance_at_each_position(normals):
    detector = small(steps=1, lr=0.0)
    detector.fit(normals)
    for f, z in zip(detector.maps(normals), detector.latents(normals), strict=True):
        rows = f.movedim(1, -1).flatten(0, 2).double()
        covariance = torch.cov(rows.T, correction=0)
        covariance += 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance))
        centred = rows - rows.mean(0)
        distance = (centred @ torch.linalg.inv(covariance) * centred).sum(1)
        torch.testing.assert_close(z.square().sum(1).flatten(), distance.float(), rtol=2e-3, atol=1e-3)


def test_the_map_is_the_mean_over_taps_and_lies_between_minus_one_and_zero(fitted, normals):
    found, latents = fitted.anomaly_map(normals), fitted.latents(normals)
    assert [tuple(z.shape) for z in latents] == [(6, 48, 16, 16), (6, 96, 8, 8), (6, 192, 4, 4)]
    torch.testing.assert_close(found, sum(FastFlow.tap_map(z, 64) for z in latents) / 3)
    assert -1 <= found.min() < found.max() <= 0
    assert torch.equal(FastFlow.tap_map(torch.zeros(1, 4, 3, 3), 9), torch.full((1, 9, 9), -1.0))
    terms = fitted.terms(normals)
    assert list(terms) == ["stride4", "stride8", "stride16"]
    torch.testing.assert_close(sum(terms.values()), found.amax((1, 2)))
    torch.testing.assert_close(fitted.score(normals), found.amax((1, 2)))


def test_a_cell_of_the_map_stands_at_the_centre_of_its_pixels():
    z = torch.zeros(1, 2, 4, 4)
    z[0, :, 1, 2] = 3.0
    m = FastFlow.tap_map(z, 64)[0] + 1
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    assert float((m * rows).sum() / m.sum()) == pytest.approx(23.5, abs=1e-3)  # pixels 16 to 31
    assert float((m * columns).sum() / m.sum()) == pytest.approx(39.5, abs=1e-3)


def test_a_batch_scores_as_its_images_one_by_one(fitted, normals):
    alone = torch.cat([fitted.score(image[None]) for image in normals])
    torch.testing.assert_close(fitted.score(normals), alone, rtol=1e-4, atol=0)


@pytest.mark.parametrize("category", ["washer", "board"])
def test_the_map_peaks_at_a_planted_defect(category):
    train, images = factory.normal(category, 24, size=64), factory.normal(category, 2, size=64, seed=1)
    detector = FastFlow.small(progress=False, steps=15, blocks=2)
    detector.fit(train)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    for row, column in ((22, 40), (42, 24)):
        distance = ((rows - row) ** 2 + (columns - column) ** 2).sqrt()
        blob = (distance < 5).float()
        spoiled = images * (1 - blob) + torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1) * blob
        assert (detector.score(spoiled) > detector.score(images)).all()
        for found in detector.anomaly_map(spoiled):  # exp flattens the inside of a strong defect, so the peak may lie
            assert distance.flatten()[found.argmax()] < 5 + 4  # at its rim: one cell of the finest map is 4 px


@pytest.mark.parametrize("overrides", [{}, {"norm": "learned", "whiten": False}])
def test_a_loaded_detector_scores_the_same_to_the_bit(overrides, normals, tmp_path):
    detector = small(**overrides)
    detector.fit(normals)
    detector.calibrate(normals, fpr=0.2)
    loaded = load(detector.save(tmp_path / "d"), progress=False)
    assert torch.equal(loaded.score(normals), detector.score(normals))
    assert torch.equal(loaded.anomaly_map(normals), detector.anomaly_map(normals))
    assert (loaded.thresholds, loaded.parameters_count()) == (detector.thresholds, detector.parameters_count())


# -- bad settings -----------------------------------------------------------------------------------------------------

WRONG = [({"norm": "batch"}, r"norm='batch': expected one of none, plain, learned"),
         ({"coupling": "three"}, r"coupling='three': expected one of one-sided, two-sided"),
         ({"kernels": (2,)}, "kernels=.*odd"), ({"kernels": ()}, "kernels="), ({"blocks": 0}, "blocks=0: expected 1"),
         ({"images_per_step": 0}, "images_per_step=0"), ({"ratio": 0}, "ratio=0: .* above 0"),
         ({"steps": 0}, "steps=0"),
         ({"alpha": -1.0}, "alpha"), ({"norm": "learned"}, "whiten=False"), ({"step": 3}, "no setting 'step'")]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG, ids=[str(wrong) for wrong, _ in WRONG])
def test_impossible_settings_name_the_argument_and_what_is_allowed(wrong, sentence):
    with pytest.raises(DetectorError, match=sentence):
        small(**wrong)


def test_what_cannot_be_built_or_learned_from_gets_a_sentence(normals):
    with pytest.raises(DetectorError, match=r"taps: .* has 5 channels.*even"):
        small().build_heads([(5, 4, 4)])
    with pytest.raises(DetectorError, match=r"ratio=0.1 leaves no hidden channel of 2: expected 0.5 or more"):
        small(ratio=0.1).build_heads([(4, 4, 4)])
    with pytest.raises(DetectorError, match=r"backbone='alexnet': the paper"):
        FastFlow.paper(backbone="alexnet")
    with pytest.raises(ValueError, match=r"no tap 'stride3'. Choose from stride2"):
        small(taps=("stride3",)).fit(normals)
    with pytest.raises(DetectorError, match="1 training image"):
        small().fit(normals[:1])
    with pytest.raises(DetectorError, match="nothing varies"):
        small().fit(normals[:1].expand(3, -1, -1, -1))
    damaged = small()
    for spoil, sentence in ((float("nan"), r"image 0 has NaN .* tap 'stride4'"), (0.0, r"tap 'stride4' .* everywhere")):
        damaged.maps = lambda batch, spoil=spoil: [f * spoil for f in FastFlow.maps(damaged, batch)]
        with pytest.raises(DetectorError, match=sentence):
            damaged.fit(normals)
