"""PyramidFlow as a detector: its formulas in plain loops, loss, template, map, the way back to pixels, saving."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from tutorial_lib.data import factory
from tutorial_lib.detectors import DetectorError, PyramidFlow, load
from tutorial_lib.flows import LevelCoupling


def small(**overrides) -> PyramidFlow:
    return PyramidFlow.small(progress=False, **{"size": 32, "steps": 3, "stacks": 1} | overrides)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("washer", 6, size=32)


@pytest.fixture(scope="module")
def fitted(normals) -> PyramidFlow:
    detector = small(lr=1e-2, steps=5)
    detector.fit(normals)
    return detector


# -- the formulas, number by number -----------------------------------------------------------------------------------


def convolve(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(C, h, w) by weights (O, C, k, k), zeros outside."""
    pad, out = w.shape[2] // 2, np.zeros((len(w), *x.shape[1:]))
    for o, i, j in np.ndindex(out.shape):
        for c, k, m in np.ndindex(w.shape[1:]):
            if 0 <= i + k - pad < x.shape[1] and 0 <= j + m - pad < x.shape[2]:
                out[o, i, j] += w[o, c, k, m] * x[c, i + k - pad, j + m - pad]
    return out


def smoothed(x: np.ndarray) -> np.ndarray:
    line = np.array([1, 4, 6, 4, 1]) / 16
    return np.concatenate([convolve(c[None], (line[:, None] * line)[None, None]) for c in x])


def doubled(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, 1).repeat(2, 2)


def halved(x: np.ndarray) -> np.ndarray:
    x, out = smoothed(x), np.zeros((len(x), x.shape[1] // 2, x.shape[2] // 2))
    for c, i, j in np.ndindex(out.shape):
        out[c, i, j] = max(x[c, 2 * i + a, 2 * j + b] for a in (0, 1) for b in (0, 1))
    return out


def pyramid_of(x: np.ndarray, levels: int) -> list[np.ndarray]:
    parts = []
    for _ in range(levels - 1):
        parts.append(x - smoothed(doubled(halved(x))))
        x = halved(x)
    return [*parts, x]


def joined(parts: list[np.ndarray]) -> np.ndarray:
    out = parts[-1]
    for part in parts[-2::-1]:
        out = smoothed(doubled(out)) + part
    return out


def to_size(x: np.ndarray, size: int) -> np.ndarray:
    return doubled(x) if x.shape[1] < size else x[:, ::2, ::2] if x.shape[1] > size else x


def coupled(block: LevelCoupling, batch: list[list[np.ndarray]], training: bool, axes: tuple[int, ...]) -> np.ndarray:
    """The batch with one level changed; returns the log-scales that were used, ``(B, C, h, w)``."""
    first, _, last = (getattr(m, "weight", None) for m in block.net)
    k, down = block.level, type(block).__name__ == "DownCoupling"
    size = batch[0][k].shape[1] * (2 if down else 1)
    s, t = [], []
    for x in batch:
        seen = np.concatenate([to_size(x[j], size) for j in block.reads])
        hidden = convolve(seen, first.detach().numpy())
        out = convolve(np.where(hidden > 0, hidden, 0.01 * hidden), last.detach().numpy())
        s.append(2 * 0.636 * np.arctan(out[:len(out) // 2] / 2))
        t.append(out[len(out) // 2:])
    mean = np.mean(s, axis=axes, keepdims=True) if training else block.norm.running_mean.numpy()
    s = np.stack(s) - mean
    if down:
        s, t = s[:, :, ::2, ::2], [v[:, ::2, ::2] for v in t]
    for b, x in enumerate(batch):
        x[k] = np.exp(s[b]) * x[k] + t[b]
    return s


def matrix_of(mixer) -> np.ndarray:
    c, w = mixer.dim, mixer.log_s.detach().numpy()
    lower, upper = np.eye(c), np.diag(mixer.sign.numpy() * np.exp(w - w.mean()))
    for i, j in np.ndindex(c, c):
        if i > j:
            lower[i, j] = float(mixer.lower[i, j].detach())
        if i < j:
            upper[i, j] = float(mixer.upper[i, j].detach())
    order = np.zeros((c, c))
    for i, j in enumerate(mixer.index.tolist()):
        order[i, j] = 1
    return order @ lower @ upper


def moved_model(norm: str):
    """Float64, size 8, two levels of three channels, one stack, away from its start."""
    detector = small(size=8, levels=2, channels=3, norm=norm, map_sigma=0.0)
    model, draw = detector.build_model().double(), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for t in [*model.parameters(), *(b for name, b in model.named_buffers() if "running" in name)]:
            t.add_(0.2 * torch.randn(t.shape, generator=draw, dtype=t.dtype))
    return detector, model


CVN, SVN, slow = ("channel", (0, 1)), ("spatial", (0, 2, 3)), pytest.mark.slow


@pytest.mark.parametrize(("norm", "axes", "training"), [
    (*CVN, True), (*SVN, False), pytest.param(*CVN, False, marks=slow), pytest.param(*SVN, True, marks=slow)])
def test_latents_log_det_loss_and_map_are_those_of_plain_loops(norm, axes, training):
    detector, model = moved_model(norm)
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mean, std = model.stem.mean.flatten().tolist(), model.stem.std.flatten().tolist()
    assert (mean, std) == (pytest.approx([0.485, 0.456, 0.406]), pytest.approx([0.229, 0.224, 0.225]))
    batch, log_det = [], np.zeros(3)
    for image in images.numpy():
        white = np.stack([(image[c] - mean[c]) / std[c] for c in range(3)])
        batch.append(pyramid_of(np.einsum("cd,dhw->chw", model.stem.weight.numpy(), white), 2))
    blocks = list(model.flow.transforms)
    for block, mixer in zip(blocks[::2], blocks[1::2], strict=True):
        log_det += coupled(block, batch, training, axes).sum((1, 2, 3))
        for x in batch:
            x[block.level] = np.einsum("cd,dhw->chw", matrix_of(mixer.transform), x[block.level])
    expected = [np.stack([x[k] for x in batch]) for k in range(2)]
    with torch.no_grad():
        levels = model.train(training).pyramid(detector.features(model, images))
        latents, found = model.flow(levels)
    for z, e in zip(latents, expected, strict=True):
        np.testing.assert_allclose(z, e, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found, log_det, rtol=1e-10, atol=1e-10)

    loss = []
    for i, j in combinations(range(3), 2):
        d = joined([(e[i] - e[j]) ** 2 for e in expected]).mean(0)
        for u, v in np.ndindex(8, 8):
            wave = [[np.exp(-2j * np.pi * (u * a + v * b) / 8) for b in range(8)] for a in range(8)]
            loss.append(abs((d * np.array(wave)).sum()))
    assert float(detector.loss(latents)) == pytest.approx(np.mean(loss), rel=1e-11)

    template = tuple(z.mean(0, keepdim=True) for z in latents)
    maps = detector.level_maps(latents, template).sum(1)
    for b in range(3):
        a = [np.abs(e[b] - e.mean(0)) for e in expected]
        np.testing.assert_allclose(maps[b], joined(a).mean(0), rtol=1e-11, atol=1e-12)


# -- loss, template, map ----------------------------------------------------------------------------------------------


def test_the_loss_is_zero_for_equal_images_and_its_zero_frequency_is_the_squared_distance():
    detector = small()
    z = tuple(torch.randn(1, 3, n, n, generator=torch.Generator().manual_seed(n)) for n in (8, 4))
    same = tuple(part.expand(3, -1, -1, -1) for part in z)
    assert float(detector.loss(same)) == 0
    d = detector.pair_difference(tuple(torch.cat([part, -part, 0 * part]) for part in z))
    assert d.shape == (3, 8, 8)
    assert (d >= 0).all()
    torch.testing.assert_close(d[0], 4 * d[1])  # |2z|^2 and |z|^2
    assert float(detector.fourier(d[:1])) >= float(d[0].sum()) / 64 - 1e-4
    flat = torch.ones(1, 4, 4)
    assert float(detector.fourier(flat)) == pytest.approx(16 / 16)  # one frequency of 16, unnormalised


def test_one_training_step_is_adam_on_the_loss_with_a_shortened_gradient(normals):
    detector = small(steps=1, images_per_step=6, clip=0.5, weight_decay=0.1, lr=1e-2)
    model = detector.build_model().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.5, 0.9), eps=1e-4, weight_decay=0.1)
    loss = detector.loss(model(detector.features(model, normals)))
    loss.backward()
    assert float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)) > 0.5
    optimiser.step()
    assert detector.fit(normals)["loss"] == [pytest.approx(float(loss.detach()), rel=1e-5)]
    for ours, expected in zip(detector.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, expected.detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("norm", ["channel", "spatial", "none"])
def test_a_fit_moves_every_parameter_and_each_running_mean(norm, normals):
    detector = small(norm=norm, steps=3)
    before = detector.build_model().state_dict()
    detector.fit(normals)
    for name, after in detector.model.state_dict().items():
        fixed = name.split(".")[-1] in ("index", "inverse_index", "sign", "weight") and "net" not in name
        assert torch.equal(after, before[name]) is fixed, name


def test_the_template_is_the_mean_latent_and_the_map_is_zero_for_it(fitted, normals):
    latents = fitted.latents(normals)
    assert [tuple(z.shape) for z in latents] == [(6, 3, 32, 32), (6, 3, 16, 16), (6, 3, 8, 8), (6, 3, 4, 4)]
    for z, t, again in zip(latents, fitted.template, fitted.build_template(normals.flip(0)), strict=True):
        torch.testing.assert_close(t, z.mean(0, keepdim=True), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(t, again, rtol=1e-5, atol=1e-6)
    assert not fitted.level_maps(fitted.template, fitted.template).any()
    few = small(lr=1e-2, steps=5, template_images=2, batch=3)
    few.fit(normals)
    for t, z in zip(few.template, few.latents(normals[:2]), strict=True):
        torch.testing.assert_close(t, z.mean(0, keepdim=True), rtol=1e-5, atol=1e-6)


def test_the_score_is_the_maximum_of_the_map_and_its_terms_are_the_levels(fitted, normals):
    found, terms = fitted.anomaly_map(normals), fitted.terms(normals)
    assert found.shape == (6, 32, 32)
    assert (found >= 0).all()
    assert list(terms) == ["level 0", "level 1", "level 2", "level 3"]
    torch.testing.assert_close(sum(terms.values()), found.amax((1, 2)))
    torch.testing.assert_close(fitted.score(normals), found.amax((1, 2)))


def test_a_batch_scores_as_its_images_one_by_one(fitted, normals):
    alone = torch.cat([fitted.score(image[None]) for image in normals])
    torch.testing.assert_close(fitted.score(normals), alone, rtol=1e-5, atol=0)


def test_reversible_training_ends_with_the_same_detector(normals, fitted):
    saving = small(lr=1e-2, steps=5, reversible=True)
    saving.fit(normals)
    torch.testing.assert_close(saving.score(normals), fitted.score(normals), rtol=1e-3, atol=0)


@pytest.mark.parametrize("norm", ["channel", "spatial"])
def test_a_loaded_detector_scores_the_same_to_the_bit(norm, normals, tmp_path):
    detector = small(norm=norm)
    detector.fit(normals)
    loaded = load(detector.save(tmp_path / "d"), progress=False)
    assert torch.equal(loaded.score(normals), detector.score(normals))
    assert torch.equal(loaded.anomaly_map(normals), detector.anomaly_map(normals))
    assert all(torch.equal(a, b) for a, b in zip(loaded.template, detector.template, strict=True))


def test_a_training_that_was_stopped_and_continued_ends_where_an_uninterrupted_one_does(normals, tmp_path):
    def stop(step, loss):
        if step == 2:
            raise KeyboardInterrupt

    whole, parts = small(steps=5, norm="spatial"), small(steps=5, norm="spatial")
    whole.fit(normals)
    with pytest.raises(KeyboardInterrupt):
        parts.fit(normals, callback=stop, resume=tmp_path / "checkpoint")
    assert parts.state is None
    parts.fit(normals, resume=tmp_path / "checkpoint")
    assert torch.equal(parts.score(normals), whole.score(normals))


def test_flips_turn_the_training_images_and_only_them(normals):
    seen = []
    detector = small(flips=True, steps=8)
    features = detector.features
    detector.features = lambda model, batch: seen.append(batch) or features(model, batch)
    detector.fit(normals)
    variants = torch.cat([turn(normals) for quarter in (0, 1) for flip in (0, 1) for turn in [
        lambda x, q=quarter, f=flip: (x.flip(3) if f else x).rot90(q, (2, 3)),
        lambda x, q=quarter, f=flip: (x.flip(3) if f else x).flip(2).rot90(q, (2, 3))]])
    training = torch.cat(seen[:8])
    distance = torch.cdist(training.flatten(1), variants.flatten(1)).argmin(1)
    torch.testing.assert_close(variants[distance], training)
    assert len(set((distance // 6).tolist())) > 4  # of 8 ways to turn
    torch.testing.assert_close(torch.cat(seen[8:]), normals)  # the template sees them as they are


# -- back to pixels ---------------------------------------------------------------------------------------------------


def test_latents_of_images_decode_to_the_images_and_moved_ones_come_back_elsewhere(fitted, normals):
    latents = fitted.latents(normals)
    torch.testing.assert_close(fitted.decode(latents), normals, rtol=0, atol=1e-4)
    generator = torch.Generator().manual_seed(0)
    moved = tuple(z + 0.1 * torch.randn(z.shape, generator=generator) for z in latents)
    picture = fitted.decode(moved).clamp(0, 1)
    assert picture.shape == normals.shape
    norm = lambda a, b: math.sqrt(sum(float((x - y).square().sum()) for x, y in zip(a, b, strict=True)))
    back = fitted.latents(picture)
    assert 0.3 * norm(moved, latents) < norm(back, moved) < 1.5 * norm(moved, latents)  # most of the move is lost
    torch.testing.assert_close(fitted.decode(back), picture, rtol=0, atol=1e-4)  # but what came back is an image's


def test_the_stem_is_undone_on_its_images_and_least_squares_elsewhere():
    stem = small(channels=8).build_model().stem
    torch.testing.assert_close(stem.weight.T @ stem.weight, torch.eye(3), rtol=0, atol=1e-6)
    image = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(stem.back(stem(image)), image, rtol=0, atol=1e-6)
    maps = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    left = maps - stem(stem.back(maps))
    assert (stem.weight.T @ left.flatten(2)).abs().max() < 1e-5  # what is left is orthogonal to every image


# -- bad settings -----------------------------------------------------------------------------------------------------

WRONG = [({"size": 36}, r"size=36 cannot be halved 3 times, as levels=4 needs.* multiple of 8, such as 32"),
         ({"size": 64, "levels": 8}, "multiple of 128"), ({"levels": 1}, "levels=1: expected 2"),
         ({"norm": "batch"}, "norm='batch': expected one of channel, spatial, none"),
         ({"down": "mean"}, "down='mean': expected one of max, nearest"), ({"channels": 2}, "channels=2: expected 3"),
         ({"kernel": 4}, "kernel=4: expected an odd"), ({"images_per_step": 1}, "images_per_step=1: expected 2"),
         ({"stacks": 0}, "stacks=0"), ({"momentum": 0.0}, "momentum=0.0"), ({"clip": 0.0}, "clip=0.0"),
         ({"lr": float("nan")}, "lr=nan"), ({"map_sigma": -1.0}, "map_sigma=-1.0"), ({"steps": 0}, "steps=0"),
         ({"template_images": -1}, "template_images=-1"), ({"blocks": 3}, "no setting 'blocks'")]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG, ids=[str(wrong) for wrong, _ in WRONG])
def test_impossible_settings_name_the_argument_and_what_is_allowed(wrong, sentence):
    with pytest.raises(DetectorError, match=sentence):
        small(**wrong)


def test_what_cannot_be_learned_from_or_decoded_gets_a_sentence(fitted, normals):
    with pytest.raises(DetectorError, match="backbone='vgg': pyramidflow has None, 'resnet18'"):
        PyramidFlow.paper(backbone="vgg")
    with pytest.raises(DetectorError, match="1 training image"):
        small().fit(normals[:1])
    with pytest.raises(DetectorError, match="nothing varies"):
        small().fit(normals[:1].expand(3, -1, -1, -1))
    with pytest.raises(DetectorError, match=r"image 2 holds .* NaN"):
        small().fit(torch.cat([normals[:2], normals[2:3] * float("nan")]))
    with pytest.raises(DetectorError, match=r"got latents of shapes \[\(3, 32, 32\)\]. Expected \[\(3, 32, 32\), "):
        fitted.decode(fitted.latents(normals)[:1])
    with pytest.raises(DetectorError, match="Call fit"):
        small().decode(fitted.latents(normals))


# -- what it is good for ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("category", ["washer", "board"])
def test_the_map_peaks_at_a_planted_defect(category):
    train, images = factory.normal(category, 40, size=64), factory.normal(category, 2, size=64, seed=1)
    detector = PyramidFlow.small(progress=False, steps=40)
    detector.fit(train)
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    for row, column in ((22, 40), (42, 24)):
        distance = ((rows - row) ** 2 + (columns - column) ** 2).sqrt()
        blob = (distance < 4).float()
        spoiled = images * (1 - blob) + torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1) * blob
        assert (detector.score(spoiled) > detector.score(images)).all()
        for found in detector.anomaly_map(spoiled):
            assert distance.flatten()[found.argmax()] < 6


def test_a_blurred_map_is_the_gaussian_of_the_map(normals, fitted):
    from scipy.ndimage import gaussian_filter

    sharp = small(lr=1e-2, steps=5, map_sigma=0.0)
    sharp._become(fitted.state)
    maps = sharp.anomaly_map(normals).numpy()
    expected = np.stack([gaussian_filter(m, 1.0, mode="mirror", truncate=4) for m in maps])
    np.testing.assert_allclose(fitted.anomaly_map(normals), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_with_more_channels_than_colours_the_empty_directions_pay_for_shrinking(normals):
    """Three colours in eight channels: five directions in which all images agree can be stretched for nothing."""

    @torch.no_grad()
    def gain(model, x, mixer) -> float:
        """How much longer the flow makes small noise whose channels are mixed by ``mixer``."""
        draw = torch.Generator().manual_seed(0)
        noise = tuple(1e-2 * torch.einsum("cd,bdhw->bchw", mixer, torch.randn(p.shape, generator=draw)) for p in x)
        apart = [a - b for a, b in zip(model.flow(tuple(a + b for a, b in zip(x, noise, strict=True)))[0],
                                       model.flow(x)[0], strict=True)]
        length = lambda parts: math.sqrt(sum(float(p.square().sum()) for p in parts))
        return length(apart) / length(noise)

    found = {}
    for channels in (3, 8):
        detector = small(channels=channels, stacks=4, steps=40)
        detector.fit(normals)
        model = detector.model
        x, colours = model.pyramid(detector.features(model, normals)), model.stem.weight @ model.stem.weight.T
        found[channels] = gain(model, x, colours), gain(model, x, torch.eye(channels) - colours)
        log_det = model.train().flow(x)[1]
        assert abs(float(log_det.sum())) < 0.05  # nats, of the whole batch: volume is kept in both
    assert found[3][0] > 1        # what all images share is shrunk, so noise must grow
    assert found[8][0] < 1 < 1.5 < found[8][1]  # eight channels: noise shrinks too, and the empty directions pay
