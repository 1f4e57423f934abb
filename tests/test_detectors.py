"""What every detector promises, whatever its method; and that the baselines are exactly what they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.covariance import LedoitWolf, ShrunkCovariance
from sklearn.decomposition import PCA as SklearnPCA

from tutorial_lib import backbones, detectors
from tutorial_lib.data import ImageFiles, factory
from tutorial_lib.detectors import DetectorError
from tutorial_lib.detectors.covariance import per_position_cholesky, shrunk_whitening
from tutorial_lib.detectors.images import to_own_size
from tutorial_lib.detectors.thresholds import quantile_threshold

QUICK = {"pca": {"components": 4}, "mahalanobis": {"scales": 1}, "gaussian": {"channels": 20},
         "patches": {"memory": 300},
         "differnet": {"steps": 4, "hidden": 16, "blocks": 2, "bank": 2, "test_views": 2, "scales": 1},
         "cflow": {"steps": 4, "blocks": 2, "position_dim": 8, "vectors_per_step": 64},
         "csflow": {"steps": 4, "blocks": 2, "hidden": 8},
         "fastflow": {"steps": 4, "blocks": 2}, "pyramidflow": {"steps": 4, "stacks": 1}}
every = pytest.mark.parametrize("name", detectors.NAMES)


def make(name: str, **overrides) -> detectors.Detector:
    numbers = {"size": 64, "weights": "random"} | QUICK[name] | overrides
    return detectors.create(name, progress=False, **numbers)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("metal", 10, size=64)


@pytest.fixture(scope="module")
def fitted(normals) -> dict[str, detectors.Detector]:
    made = {name: make(name) for name in detectors.NAMES}
    for detector in made.values():
        detector.fit(normals)
    return made


@every
def test_a_batch_scores_as_its_images_do_one_by_one(name, fitted, normals):
    together = fitted[name].score(normals)
    alone = torch.cat([fitted[name].score(image[None]) for image in normals])
    assert together.shape == (10,)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=0)  # float32 sums in another order; z^2 amplifies


@every
def test_the_order_of_images_does_not_matter(name, fitted, normals):
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    expected = fitted[name].score(normals)[order]
    torch.testing.assert_close(fitted[name].score(normals[order]), expected, rtol=1e-3, atol=0)


@every
def test_terms_add_up_to_the_score(name, fitted, normals):
    terms = fitted[name].terms(normals[:3])
    assert all(term.shape == (3,) for term in terms.values())
    torch.testing.assert_close(sum(terms.values()), fitted[name].score(normals[:3]))


@every
def test_a_ruined_image_scores_above_every_normal_one(name, fitted, normals):
    checkers = (torch.arange(64) // 8 % 2).float()
    ruined = (checkers[:, None] - checkers).abs().expand(1, 3, 64, 64)
    assert fitted[name].score(ruined) > fitted[name].score(normals).max()


@every
def test_maps_have_the_size_of_their_images_or_say_that_there_are_none(name, fitted, normals):
    mixed = [normals[0], normals[1][:, :40, :50], normals[2][:, :, 10:]]
    if not fitted[name].has_map:
        with pytest.raises(detectors.NoMapError, match="no heat map"):
            fitted[name].anomaly_map(mixed)
        return
    assert [tuple(m.shape) for m in fitted[name].anomaly_map(mixed)] == [(64, 64), (40, 50), (64, 54)]
    maps = fitted[name].anomaly_map(normals[:2])
    assert maps.shape == (2, 64, 64)
    assert (maps >= (-1 if name == "fastflow" else 0)).all()  # FastFlow's lie between -1 and 0


@pytest.mark.parametrize("name", ["pca", "gaussian", "patches"])  # a gradient map shows sensitivity: see test_differnet
def test_a_map_peaks_where_a_blob_was_painted(name, fitted, normals):
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    blob = ((rows - 44) ** 2 + (columns - 20) ** 2 < 36).float()  # left, below the centre
    image = normals[:1] * (1 - blob) + torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1) * blob
    found = fitted[name].anomaly_map(image)[0]
    row, column = divmod(int(found.argmax()), 64)
    assert abs(row - 44) <= 10
    assert abs(column - 20) <= 10


@every
def test_latents_have_the_images_in_front(name, fitted, normals):
    latents = fitted[name].latents(normals[:3])
    assert isinstance(latents, tuple)
    assert all(len(z) == 3 and z.isfinite().all() for z in latents)


@every
def test_lazy_files_score_as_the_same_images_in_a_tensor(name, fitted, normals, tmp_path):
    paths = []
    for i, image in enumerate(normals[:3]):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).save(paths[-1])
    rounded = (normals[:3] * 255).round() / 255
    torch.testing.assert_close(fitted[name].score(ImageFiles(paths)), fitted[name].score(rounded), rtol=1e-3, atol=0)


@every
def test_the_same_seed_gives_the_same_detector_and_leaves_the_global_stream_alone(name, fitted, normals):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    again = make(name)
    again.fit(normals)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(again.score(normals), fitted[name].score(normals), rtol=1e-4, atol=0)


@every
def test_it_works_whatever_gradient_mode_the_caller_is_in(name, fitted, normals):
    expected = fitted[name].score(normals[:2])
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode():
            detector = make(name)
            detector.fit(normals)
            torch.testing.assert_close(detector.score(normals[:2]), expected, rtol=1e-4, atol=0)
            if detector.has_map:
                assert not detector.anomaly_map(normals[:1]).requires_grad


@every
def test_progress_false_prints_nothing(name, normals, capfd):
    make(name).fit(normals)
    assert capfd.readouterr() == ("", "")


BAD = {
    "no images": (lambda x: [], "no images"),
    "one image without batch axis": (lambda x: x[0], "images\\[None\\]"),
    "a number": (lambda x: 3, "Expected a tensor"),
    "grey": (lambda x: x[:, :1], "Expected a tensor \\(3, H, W\\)"),
    "0 to 255": (lambda x: x * 255, "divide by 255"),
    "bytes": (lambda x: (x * 255).byte(), "image.float\\(\\) / 255"),
    "normalised": (lambda x: (x - 0.5) / 0.25 * 0.4, "undo a normalisation"),
    "NaN": (lambda x: torch.cat([x[:2], x[2:3] * float("nan")]), "image 2 holds 12288 values that are NaN"),
    "infinite": (lambda x: torch.cat([x[:2], x[2:3] / 0]), "image 2 holds"),
    "tiny": (lambda x: x[:, :, :5], "at least 8"),
    "text": (lambda x: ["a.png", "b.png"], "image 0 is str"),
}


@every
@pytest.mark.parametrize("case", BAD)
def test_bad_images_get_a_sentence_in_fit_and_in_score(name, case, fitted, normals):
    spoil, sentence = BAD[case]
    before = fitted[name].state
    for call in (fitted[name].fit, fitted[name].score, make(name).fit):
        with pytest.raises(DetectorError, match=sentence):
            call(spoil(normals))
    assert fitted[name].state is before  # a refused fit leaves the detector as it was


@every
def test_one_training_image_and_equal_training_images_get_a_sentence(name, normals):
    with pytest.raises(DetectorError, match="1 training image"):
        make(name).fit(normals[:1])
    if name != "pca":  # its residual of equal images is simply 0
        with pytest.raises(DetectorError, match=r"nothing can be unusual|differ"):
            make(name, **({"rotation": 0.0} if name == "differnet" else {})).fit(normals[:1].expand(3, -1, -1, -1))


@every
def test_all_black_images_score_finitely(name, fitted):
    assert fitted[name].score(torch.zeros(2, 3, 64, 64)).isfinite().all()


@every
def test_scoring_before_fitting_gets_a_sentence(name, normals, tmp_path):
    fresh = make(name)
    for call in (fresh.score, fresh.latents, fresh.terms, lambda _: fresh.save(tmp_path / "d")):
        with pytest.raises(DetectorError, match="Call fit"):
            call(normals)


def test_unknown_names_and_settings_get_a_sentence():
    with pytest.raises(DetectorError, match="Choose from pca, mahalanobis, gaussian, patches, differnet"):
        detectors.create("diffnet")
    with pytest.raises(DetectorError, match=r"no setting 'step'. It has: .*steps"):
        detectors.create("differnet", step=3)
    with pytest.raises(DetectorError, match="without a paper setting"):
        detectors.PCA.paper()
    with pytest.raises(DetectorError, match="cannot be used here"):
        detectors.create("pca", device="abacus")


@every
def test_a_backbone_may_be_given_as_the_network_itself(name, normals, fitted):
    network = backbones.load("embedded", weights="random", taps=fitted[name].settings.taps)
    detector = make(name, backbone=network)
    detector.fit(normals)
    torch.testing.assert_close(detector.score(normals), fitted[name].score(normals), rtol=1e-4, atol=0)
    assert detector.backbone_label == ("pixels" if name in ("pca", "pyramidflow") else "embedded random seed 0")


# -- thresholds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 30, 100, 101])
@pytest.mark.parametrize("fpr", [0.01, 0.1, 0.5])
def test_a_threshold_lets_at_most_the_wanted_share_of_normals_through(n, fpr):
    scores = torch.randn(n, generator=torch.Generator().manual_seed(n))
    found = quantile_threshold(scores, fpr)
    above = (scores > found["threshold"]).sum()
    assert above <= fpr * n + 1e-6
    assert above + 1 > fpr * n - 1e-6  # and one step lower would let too many through
    assert bool(found["note"]) == (fpr * n < 1 - 1e-6)


def test_calibration_is_kept_and_refuses_what_is_no_share(fitted, normals):
    assert fitted["pca"].calibrate(normals, fpr=0.2) == fitted["pca"].thresholds
    with pytest.raises(DetectorError, match="between 0 and 1"):
        fitted["pca"].calibrate(normals, fpr=5)


# -- the baselines against other people's code ------------------------------------------------------------------------


@pytest.mark.parametrize("shrinkage", [0.1, 0.7])
@pytest.mark.parametrize("rows", [15, 200])
def test_the_squared_latent_is_scikit_learns_mahalanobis_distance(shrinkage, rows):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 20)) @ rng.normal(size=(20, 20)), rng.normal(size=(9, 20))
    whitening = shrunk_whitening(torch.from_numpy(x), shrinkage, standardise=False).whitening
    z = whitening(torch.from_numpy(y))[0]
    expected = ShrunkCovariance(shrinkage=shrinkage).fit(x).mahalanobis(y)
    np.testing.assert_allclose(z.square().sum(1), expected, rtol=1e-9)


def test_the_default_shrinkage_is_that_of_ledoit_and_wolf_on_standardised_columns():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 12)) @ rng.normal(size=(12, 12)) * np.arange(1, 13), rng.normal(size=(5, 12))
    whitening, shrinkage, _ = shrunk_whitening(torch.from_numpy(x))
    reference = LedoitWolf().fit(x / x.std(0))
    assert 0.01 < shrinkage < 0.9  # neither end: both parts of the formula count
    assert shrinkage == pytest.approx(reference.shrinkage_, rel=1e-9)
    np.testing.assert_allclose(whitening(torch.from_numpy(y))[0].square().sum(1), reference.mahalanobis(y / x.std(0)),
                               rtol=1e-9)


def test_the_noise_that_shrinkage_stands_for_makes_its_covariance_true():
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(40, 6)) @ np.diag([1.0, 2, 3, 4, 5, 60]))
    whitening, a, noise = shrunk_whitening(x, shrinkage=0.4)
    s = torch.cov(x.T, correction=0)
    torch.testing.assert_close((1 - a) * s + noise.square().diag(), whitening.L @ whitening.L.T)


def test_views_of_one_image_are_not_counted_as_independent_rows():
    draw = np.random.default_rng(3)
    images = torch.from_numpy(draw.normal(size=(12, 30)) + 2 * draw.normal(size=(12, 1)))  # correlated: a below 1
    views = images.repeat_interleave(8, 0)
    counted = shrunk_whitening(views).shrinkage
    honest = shrunk_whitening(views, independent=images).shrinkage
    assert honest == pytest.approx(LedoitWolf().fit(images / images.std(0, correction=0)).shrinkage_, rel=1e-9)
    assert counted < honest / 2


def test_mahalanobis_scores_are_the_distance_of_its_features(normals):
    detector = make("mahalanobis", shrinkage=0.3, standardise=False)
    detector.fit(normals)
    f = detector.view_features(normals)[:, 0].double().numpy()  # (N, D)
    expected = ShrunkCovariance(shrinkage=0.3).fit(f).mahalanobis(f)
    np.testing.assert_allclose(detector.score(normals), expected, rtol=2e-3)  # float32 features, D = 1344


def test_pca_scores_are_scikit_learns_reconstruction_error(normals):
    detector = make("pca", components=3, size=32)
    small = torch.nn.functional.interpolate(normals, size=(32, 32), mode="bilinear", antialias=True)
    detector.fit(small[:7])
    x = small.flatten(1).double().numpy()
    model = SklearnPCA(3, svd_solver="full").fit(x[:7])
    expected = ((x - model.inverse_transform(model.transform(x))) ** 2).mean(1)
    np.testing.assert_allclose(detector.score(small)[7:], expected[7:], rtol=1e-3)


def test_more_components_than_images_are_cut_to_what_the_images_span(normals):
    detector = make("pca", components=50)
    assert detector.fit(normals[:4])["components"] == 3
    assert detector.score(normals[:4]).max() < 1e-9  # three directions explain four images completely


def test_position_gaussians_follow_any_linear_change_of_the_features():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 40, 5, generator=generator, dtype=torch.float64)  # (positions, samples, channels)
    a = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    new = torch.randn(6, 5, generator=generator, dtype=torch.float64)

    def distance(samples: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
        mean = samples.mean(1, keepdim=True)
        moments = (samples - mean).mT @ (samples - mean) / samples.shape[1]
        lower = per_position_cholesky(moments, shrinkage=0.5, ridge=0.0)
        z = torch.linalg.solve_triangular(lower, (point - mean[:, 0])[:, :, None], upper=False)
        return z.square().sum((1, 2))

    torch.testing.assert_close(distance(x @ a.T + 3, new @ a.T + 3), distance(x, new), rtol=1e-8, atol=0)


def test_gaussian_map_is_the_loop_over_positions(normals):
    detector = make("gaussian", sigma=0.0, channels=6)
    detector.fit(normals)
    f = detector.features(normals).double()  # (N, C, h, w)
    samples = f.flatten(2).permute(2, 0, 1)
    centred = samples - samples.mean(1, keepdim=True)
    moments = centred.mT @ centred / len(normals)
    pooled, s = moments.mean(0), detector.settings
    eye = torch.eye(6, dtype=torch.float64) * pooled.diagonal().mean() * s.ridge
    z2 = torch.empty(f.shape[2:], dtype=torch.float64)
    for p in range(z2.numel()):
        covariance = (1 - s.shrinkage) * moments[p] + s.shrinkage * pooled + eye
        z2.view(-1)[p] = centred[p, 0] @ torch.linalg.inv(covariance) @ centred[p, 0] / 6
    expected = to_own_size(z2[None].float(), [(64, 64)])[0]
    torch.testing.assert_close(detector.anomaly_map(normals[:1])[0], expected, rtol=1e-3, atol=1e-4)


def test_a_fair_comparison_uses_the_same_features_and_views(normals):
    differnet = make("differnet", rotation=30.0)
    gaussian = detectors.create("mahalanobis", progress=False, **differnet.view_settings)
    torch.testing.assert_close(differnet.view_features(normals), gaussian.view_features(normals))
    torch.testing.assert_close(differnet.bank_features(normals), gaussian.bank_features(normals))
    assert set(differnet.view_settings) <= {field.name for field in dataclasses.fields(gaussian.settings)}
