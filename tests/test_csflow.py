"""CS-Flow as a detector: its formulas in plain loops, one training step, score and map, saving, impossible settings."""

from __future__ import annotations

import copy
import math
import re

import numpy as np
import pytest
import torch

from tutorial_lib.checks.laws import law_check
from tutorial_lib.data import factory
from tutorial_lib.detectors import CSFlow, DetectorError, load
from tutorial_lib.flows import CrossScaleCoupling, EachScale, Flattened, Flow, Whitening

SHAPES = ((2, 4, 4), (2, 2, 2), (2, 1, 1))


def small(**overrides) -> CSFlow:
    numbers = {"size": 32, "weights": "random", "taps": ("stride4",), "steps": 3, "blocks": 2, "hidden": 6}
    return CSFlow.small(progress=False, **numbers | overrides)


def moved(flow: Flow, seed: int = 0, by: float = 0.5) -> Flow:
    """The flow in float64 with weights away from where they start, whitenings included."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in flow.double().parameters():
            p.add_(by * torch.randn(p.shape, generator=draw, dtype=p.dtype))
    for part in flow.modules():
        if isinstance(part, Whitening):
            part.fit(torch.randn(60, part.dim, generator=draw) @ torch.randn(part.dim, part.dim, generator=draw) + 1)
    return flow


def maps(shapes=SHAPES, batch: int = 2, seed: int = 1) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, *shape, generator=draw, dtype=torch.float64) for shape in shapes)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("washer", 6, size=32)


@pytest.fixture(scope="module")
def fitted(normals) -> CSFlow:
    detector = small(lr=1e-2, gamma=0.5, steps=5)
    detector.fit(normals)
    return detector


# -- the flow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", [True, False])
def test_every_law_holds_away_from_the_start(exchange):
    flow = moved(small(exchange=exchange, hidden=3, last_kernel=5).build_flow(SHAPES), by=0.2)
    report = law_check(Flattened(flow, SHAPES), Flattened.join(maps()))
    assert report.ok, str(report)


def test_the_order_is_whitenings_then_permutations_and_couplings_in_turn():
    chain = small().build_flow().transform
    assert [type(part) for part in chain] == [EachScale] + 2 * [EachScale, CrossScaleCoupling]
    assert [type(part) for part in small(whiten=False).build_flow().transform] == 2 * [EachScale, CrossScaleCoupling]


def test_gradients_reach_every_parameter_once_the_gammas_have_moved():
    flow = moved(small().build_flow(SHAPES))
    CSFlow.loss(*flow(maps())).mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in flow.parameters())


def conv(layer, x: np.ndarray, stride: int = 1) -> np.ndarray:
    """One map ``(C, h, w)``, number by number."""
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    pad, (height, width) = w.shape[2] // 2, x.shape[1:]
    out = np.zeros((len(w), -(-height // stride), -(-width // stride)))
    for o, i, j in np.ndindex(out.shape):
        out[o, i, j] = b[o]
        for c, k, m in np.ndindex(w.shape[1:]):
            row, column = i * stride + k - pad, j * stride + m - pad
            if 0 <= row < height and 0 <= column < width:
                out[o, i, j] += w[o, c, k, m] * x[c, row, column]
    return out


def enlarged(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, a value at the centre of its cell, nothing beyond the outermost centres: ``(h, w)``."""
    rows, columns = ((np.arange(n) + 0.5) * side / n - 0.5 for n, side in zip((height, width), x.shape, strict=True))
    down = np.stack([np.interp(rows, np.arange(len(x)), column) for column in x.T], axis=1)
    return np.stack([np.interp(columns, np.arange(x.shape[1]), row) for row in down])


def network(net, x: list[np.ndarray]) -> list[np.ndarray]:
    h = [conv(layer, part) for layer, part in zip(net.own, x, strict=True)]
    h = [np.where(part > 0, part, 0.1 * part) for part in h]
    twice = [np.stack([enlarged(c, 2 * part.shape[1], 2 * part.shape[2]) for c in part]) for part in h]
    g = net.gamma.detach().numpy()
    return [g[0] * (conv(net.same[0], h[0]) + conv(net.up[0], twice[1])),
            g[1] * (conv(net.same[1], h[1]) + conv(net.down[0], h[0], 2) + conv(net.up[1], twice[2])),
            g[2] * (conv(net.same[2], h[2]) + conv(net.down[1], h[1], 2))]


def by_hand(flow: Flow, x: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """One image through the formulas of the paper and its code, from the features to (z, log_det)."""
    whitenings, *blocks = flow.transform
    log_det, half = 0.0, len(x[0]) // 2
    for k, part in enumerate(whitenings.transforms):
        for i, j in np.ndindex(x[k].shape[1:]):
            x[k][:, i, j] = np.linalg.solve(part.L.numpy(), x[k][:, i, j] - part.mean.numpy())
            log_det -= np.log(np.diag(part.L.numpy())).sum()
    for b in range(0, len(blocks), 2):
        x = [part[p.index.numpy()] for part, p in zip(x, blocks[b].transforms, strict=True)]
        first, second = [part[:half] for part in x], [part[half:] for part in x]
        for net in (blocks[b + 1].a, blocks[b + 1].b):
            st = network(net, second)
            s = [0.636 * 3 * np.arctan(part[:half] / 3) for part in st]
            first = [u * np.exp(a) + part[half:] for u, a, part in zip(first, s, st, strict=True)]
            log_det += sum(a.sum() for a in s)
            first, second = second, first  # the half that was changed is read next
        x = [np.concatenate(pair) for pair in zip(first, second, strict=True)]
    return x, log_det


def test_latents_log_det_loss_score_and_map_are_those_of_plain_loops():
    detector = small(hidden=3)
    shapes = ((4, 4, 8), (4, 2, 4), (4, 1, 2))
    flow, x = moved(detector.build_flow(shapes)), maps(shapes)
    with torch.no_grad():
        z, log_det = flow(x)
    found_map, found_scores = detector.localise(z, 32), detector.scale_scores(z)
    for i in range(2):
        expected, expected_log_det = by_hand(flow, [part[i].numpy().copy() for part in x])
        for ours, theirs in zip(z, expected, strict=True):
            np.testing.assert_allclose(ours[i], theirs, rtol=1e-9, atol=1e-10)
        assert float(log_det[i]) == pytest.approx(expected_log_det, rel=1e-10)
        sums = [sum(v * v for v in part.flat) for part in expected]
        assert float(CSFlow.loss(z, log_det)[i]) == pytest.approx((sum(sums) / 2 - expected_log_det) / 168, rel=1e-9)
        np.testing.assert_allclose(found_scores[i], [total / 2 / 168 for total in sums], rtol=1e-9)
        heat = enlarged((expected[0] ** 2).mean(0), 32, 32)
        np.testing.assert_allclose(found_map[i], heat, rtol=1e-9, atol=1e-9)


# -- fit --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_one_training_step_is_adam_on_the_mean_loss_with_its_gradient_cut(normals, clip):
    detector = small(whiten=False, gamma=0.5, steps=1, images_per_step=6, lr=1e-2, weight_decay=0.1, eps=1e-4,
                     clip=clip)
    flow = detector.build_flow()
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-2, weight_decay=0.1, eps=1e-4)
    z, log_det = flow(detector.features(normals))
    d = 48 * (64 + 16 + 4)
    loss = (sum(0.5 * part.square().sum() for part in z) - log_det.sum()) / d / 6
    loss.backward()
    norm = sum(p.grad.square().sum() for p in flow.parameters()).sqrt()
    assert norm > 0.2
    if clip:
        for p in flow.parameters():
            p.grad.mul_(clip / norm)
    optimiser.step()
    assert detector.fit(normals)["loss"] == [pytest.approx(float(loss.detach()), rel=1e-5)]
    for ours, expected in zip(detector.flow.parameters(), flow.parameters(), strict=True):
        torch.testing.assert_close(ours, expected.detach(), rtol=1e-3, atol=1e-4)


def test_an_epoch_shows_every_image_once_and_keeps_the_last_smaller_batch(normals):
    detector, seen = small(steps=0, epochs=2, images_per_step=4, lr=1e-9), []
    detector.loss = lambda z, log_det: seen.append(z[0].detach()[:, 0, 0, 0]) or CSFlow.loss(z, log_det)
    assert detector.fit(normals)["steps"] == 4
    assert [len(z) for z in seen] == [4, 2, 4, 2]
    for epoch in (torch.cat(seen[:2]), torch.cat(seen[2:])):
        assert len(epoch.unique()) == 6


def test_the_backbone_sees_each_training_image_once_at_each_size(normals):
    detector, seen = small(steps=7), []
    plain = detector.maps
    detector.maps = lambda batch: seen.append(tuple(batch.shape)) or plain(batch)
    detector.fit(normals)
    assert seen == [(6, 3, 32, 32), (6, 3, 16, 16), (6, 3, 8, 8)]


def test_the_small_setting_begins_as_the_mahalanobis_distance_at_each_position(normals):
    detector = small(steps=1, lr=1e-12)
    detector.fit(normals)
    for y, z in zip(detector.features(normals), detector.latents(normals), strict=True):
        rows = y.movedim(1, -1).flatten(0, 2).double()
        covariance = torch.cov(rows.T, correction=0)
        covariance += 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance))
        centred = rows - rows.mean(0)
        distance = (centred @ torch.linalg.inv(covariance) * centred).sum(1)
        torch.testing.assert_close(z.square().sum(1).flatten(), distance.float(), rtol=2e-3, atol=1e-3)


# -- score and map ----------------------------------------------------------------------------------------------------


def test_the_images_are_made_smaller_and_not_their_features(normals):
    near, smooth = small(shrink="nearest").sizes(normals), small().sizes(normals)
    assert [tuple(x.shape[1:]) for x in near] == [tuple(x.shape[1:]) for x in smooth] == [
        (3, 32, 32), (3, 16, 16), (3, 8, 8)]
    assert torch.equal(near[2], normals[:, :, ::4, ::4])
    stripes = (torch.arange(32) % 2).float().expand(1, 3, 32, 32)
    assert torch.equal(small(shrink="nearest").sizes(stripes)[1], torch.zeros(1, 3, 16, 16))  # aliasing
    assert small().sizes(stripes)[1][..., 2:-2].sub(0.5).abs().max() < 1e-6
    detector = small()
    for x, y in zip(detector.sizes(normals), detector.features(normals), strict=True):
        torch.testing.assert_close(detector.backbone(x)[0], y)


def test_terms_name_the_sizes_and_add_up_to_half_the_mean_square(fitted, normals):
    latents, terms = fitted.latents(normals), fitted.terms(normals)
    assert list(terms) == ["32 px", "16 px", "8 px"]
    assert [tuple(z.shape) for z in latents] == [(6, 48, 8, 8), (6, 48, 4, 4), (6, 48, 2, 2)]
    everything = torch.cat([z.flatten(1) for z in latents], 1)
    torch.testing.assert_close(fitted.score(normals), everything.square().mean(1) / 2)


def test_the_map_before_resizing_adds_up_to_the_square_of_the_finest_latent(fitted, normals):
    (z, *_), plain = fitted.latents(normals), small(channels="sum")
    cells = plain.localise((z,), 8)  # at the size of the map nothing is resized
    torch.testing.assert_close(cells.sum((1, 2)), z.square().sum((1, 2, 3)))
    torch.testing.assert_close(fitted.anomaly_map(normals), plain.localise((z,), 32) / 48)


def test_the_other_maps_use_all_scales(fitted, normals):
    latents = fitted.latents(normals)
    one = [small().localise((z,), 32) for z in latents]
    torch.testing.assert_close(small(map="mean").localise(latents, 32), sum(one) / 3)
    torch.testing.assert_close(small(map="product").localise(latents, 32), one[0] * one[1] * one[2])


def test_an_impulse_lands_at_the_centre_of_its_cell():
    z = torch.zeros(1, 2, 8, 8)
    z[0, :, 2, 5] = 3.0
    heat = small().localise((z,), 32)[0]
    grid = torch.arange(32.0)
    assert float((heat.sum(1) * grid).sum() / heat.sum()) == pytest.approx(9.5, abs=1e-3)  # pixels 8 to 11
    assert float((heat.sum(0) * grid).sum() / heat.sum()) == pytest.approx(21.5, abs=1e-3)


def test_a_batch_one_by_one_and_the_file_give_the_same_scores(fitted, normals, tmp_path):
    alone = torch.cat([fitted.score(image[None]) for image in normals])
    torch.testing.assert_close(fitted.score(normals), alone, rtol=1e-4, atol=0)
    loaded = load(fitted.save(tmp_path / "d"), progress=False)
    assert torch.equal(loaded.score(normals), fitted.score(normals))
    assert torch.equal(loaded.anomaly_map(normals), fitted.anomaly_map(normals))
    assert loaded.parameters_count() == fitted.parameters_count()


def test_latents_lead_back_to_the_features(fitted, normals):
    y = fitted.features(normals)
    for found, expected in zip(fitted.flow.inverse(fitted.latents(normals))[0], y, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("category", ["washer", "board"])
def test_the_map_peaks_at_a_planted_defect(category):
    train, images = factory.normal(category, 24, size=64), factory.normal(category, 2, size=64, seed=1)
    detector = CSFlow.small(progress=False, steps=20, blocks=2)
    detector.fit(train)
    cell = 64 // detector.shapes[0][1]
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    for row, column in ((22, 40), (42, 24)):
        distance = ((rows - row) ** 2 + (columns - column) ** 2).sqrt()
        blob = (distance < 5).float()
        spoiled = images * (1 - blob) + torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1) * blob
        assert (detector.score(spoiled) > detector.score(images)).all()
        for heat in detector.anomaly_map(spoiled):
            assert distance.flatten()[heat.argmax()] < 5 + cell


# -- what cannot work -------------------------------------------------------------------------------------------------

WRONG = [({"shrink": "cubic"}, "shrink='cubic'. Expected one of nearest, antialias"),
         ({"map": "max"}, "map='max'. Expected one of finest, mean, product"),
         ({"clamp": "TanhClamp"}, "clamp='TanhClamp'. Expected one of Atan0636Clamp, AtanClamp"),
         ({"gammas": "block"}, "Expected one of scale, network"), ({"channels": "max"}, "Expected one of mean, sum"),
         ({"kernel": 2}, "kernel=2. Expected an odd number"), ({"last_kernel": 0}, "last_kernel=0"),
         ({"blocks": 0}, "blocks=0. Expected 1 or more"), ({"scales": 0}, "scales=0"), ({"hidden": 0}, "hidden=0"),
         ({"alpha": 0.0}, "alpha=0.0. Expected a number above 0"), ({"clip": -1.0}, "clip=-1.0. Expected 0 or more"),
         ({"lr": math.nan}, "lr=nan"), ({"steps": 0}, "steps=0 and epochs=0"),
         ({"taps": ("stride4", "stride8")}, "taps=('stride4', 'stride8'). Expected one tap"),
         ({"step": 3}, "no setting 'step'")]


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=[str(wrong) for wrong, _ in WRONG])
def test_impossible_settings_name_the_argument_and_what_is_allowed(wrong, words):
    with pytest.raises(DetectorError, match=re.escape(words)):
        small(**wrong)


@pytest.mark.parametrize(("wrong", "words"), [
    ({"size": 40}, "size=40. Expected a multiple of 16 (stride 4 of the tap times 4 for 3 scales), such as 32"),
    ({"size": 8}, "size=8. Expected a multiple of 16"), ({"size": 0}, "size=0. Expected a multiple of 16"),
    ({"taps": ("stride3",)}, "taps=('stride3',). Expected one tap of 'embedded': stride2, stride4, stride8, stride16"),
    ({"taps": None}, "taps=('stride4', 'stride8', 'stride16'). Expected one tap")])
def test_maps_that_do_not_halve_and_taps_that_are_not_there_get_a_sentence(wrong, words, normals):
    for call in (lambda d: d.parameters_count(), lambda d: d.fit(normals)):
        with pytest.raises(DetectorError, match=re.escape(words)):
            call(small(**wrong))


def test_impossible_training_sets_and_features_get_a_sentence(normals):
    with pytest.raises(DetectorError, match=r"tap has 5 channels.*even number"):
        small().build_flow(((5, 4, 4),))
    with pytest.raises(DetectorError, match="1 training image"):
        small().fit(normals[:1])
    with pytest.raises(DetectorError, match="nothing varies"):
        small().fit(normals[:1].expand(3, -1, -1, -1))
    damaged = copy.deepcopy(small())
    for spoil, words in ((lambda y: y * math.nan, "image 0 has NaN or infinite features at 32 px"),
                         (lambda y: y * 0, "32 px gives the same number everywhere"),
                         (lambda y: torch.cat([y, y], 1), r"\(96, 8, 8\). Expected \(48, 8, 8\)")):
        damaged.maps = lambda batch, spoil=spoil: [spoil(y) for y in CSFlow.maps(damaged, batch)]
        with pytest.raises(DetectorError, match=words):
            damaged.fit(normals)
