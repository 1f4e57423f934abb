"""CFlow-AD: laws of the conditional flow, its formulas in plain loops, map and score, settings that cannot work."""

from __future__ import annotations

import copy
import math
import re
import warnings

import numpy as np
import pytest
import torch

from tutorial_lib.checks.laws import law_check
from tutorial_lib.data import factory
from tutorial_lib.detectors import CFlow, DetectorError, load
from tutorial_lib.detectors.likelihood_map import enlarged, largest
from tutorial_lib.flows import Flow, dense, position_code


def small(**overrides) -> CFlow:
    numbers = {"size": 64, "weights": "random", "steps": 3, "vectors_per_step": 64, "blocks": 2, "position_dim": 8,
               "taps": ("stride4", "stride8")}
    return CFlow.small(progress=False, **numbers | overrides)


def moved(channels: int = 6, seed: int = 0, **overrides) -> Flow:
    """The flow of a tap in float64, with weights away from where they start."""
    flow, draw = small(seed=seed, **overrides).build_flow(channels).double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=draw, dtype=p.dtype))
    return flow


def draws(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("washer", 6, size=64)


@pytest.fixture(scope="module")
def fitted(normals) -> CFlow:
    detector = small(lr=1e-2, steps=10, batch=4)
    detector.fit(normals)
    return detector


# -- the flow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [{}, {"mixing": "permutation"}, {"position": False}])
def test_every_law_holds_at_a_fixed_condition(overrides):
    cond = None if overrides.get("position") is False else draws(4, 8, seed=2)
    report = law_check(moved(**overrides), draws(4, 6), cond, rtol=1e-9)
    assert report.ok, str(report)


def test_the_inverse_under_another_condition_is_another_vector():
    flow, x, c = moved(), draws(4, 6), draws(4, 8, seed=2)
    z = flow(x, c)[0]
    torch.testing.assert_close(flow.inverse(z, c)[0], x)
    assert (flow.inverse(z, c.roll(1, 0))[0] - x).abs().amax(1).min() > 1e-3


def test_gradients_reach_every_parameter():
    flow, detector = moved(), small()
    detector.loss(detector.likelihood(flow, draws(50, 6), draws(50, 8, seed=2))).mean().backward()
    assert all((p.grad.flatten(1) if p.dim() > 1 else p.grad).abs().max() > 0 for p in flow.parameters())


def test_a_block_equals_freias_with_the_same_weights():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modules = pytest.importorskip("FrEIA.modules")
    theirs = modules.AllInOneBlock([(6,)], [(8,)], permute_soft=True, affine_clamping=1.9,
                                   subnet_constructor=lambda i, o: dense(2 * i, depth=1)(i, o)).double()
    ours = moved(blocks=1, alpha=1.9)
    coupling, scale, rotation = ours.transform
    theirs.subnet.load_state_dict(coupling.scale_shift.net.state_dict())
    with torch.no_grad():
        theirs.global_scale.copy_(scale.q[None])
        theirs.global_offset.copy_(scale.b[None])
        theirs.w_perm.copy_(rotation.matrix)
        theirs.w_perm_inv.copy_(rotation.matrix.T)
    x, c = draws(5, 6), draws(5, 8, seed=2)
    for mine, other in ((ours(x, c), theirs([x], [c])), (ours.inverse(x, c), theirs([x], [c], rev=True))):
        torch.testing.assert_close(mine[0], other[0][0], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(mine[1], other[1], rtol=1e-10, atol=1e-12)


def test_likelihoods_map_and_score_are_the_formulas_in_plain_loops(fitted, normals):
    detector = copy.deepcopy(fitted)
    for module in (detector.whitenings, detector.flows):
        module.double()
    state = {k: v.numpy() for k, v in detector.flows.state_dict().items()}
    maps, total = [f.double() for f in detector.maps(normals[:1])], np.zeros((64, 64))
    detector.maps = lambda batch: maps
    for k, f in enumerate(maps):
        white, (_, c, h, w) = detector.whitenings[k], f.shape
        likely = np.zeros((h, w))
        for row, column in np.ndindex(h, w):
            v = np.linalg.solve(white.L.numpy(), f[0, :, row, column].numpy() - white.mean.numpy())
            code = [wave(at / 1e4 ** (j / 2)) for at in (column, row) for j in (0, 1) for wave in (math.sin, math.cos)]
            log_det = 0.0
            for b in range(2):
                net, rest, turn = (f"{k}.transform.transforms.{3 * b + j}." for j in range(3))
                w1, b1, w2, b2 = (state[f"{net}scale_shift.net.{j}.{n}"] for j in (0, 2) for n in ("weight", "bias"))
                a = 0.1 * (w2 @ np.maximum(w1 @ np.concatenate([v[:c // 2], code]) + b1, 0) + b2)
                s = 1.9 * np.tanh(a[:c // 2])
                g = 0.2 * np.log(1 + np.exp(state[f"{rest}q"] / 2))
                v = np.concatenate([v[:c // 2], v[c // 2:] * np.exp(s) + a[c // 2:]]) * g + state[f"{rest}b"]
                v = state[f"{turn}matrix"] @ v
                log_det += s.sum() + np.log(g).sum()
            likely[row, column] = (-c / 2 * math.log(2 * math.pi) - v @ v / 2 + log_det) / c
        np.testing.assert_allclose(detector.likelihoods(detector.vectors(normals[:1]))[k][0], likely, rtol=1e-6)
        p = np.exp(np.minimum(likely - detector.maxima[k].item(), 0))
        y, x = (np.clip((np.arange(64) + 0.5) * side / 64 - 0.5, 0, side - 1) for side in (h, w))
        lines = np.stack([np.interp(y, np.arange(h), p[:, column]) for column in range(w)], axis=1)
        total += np.stack([np.interp(x, np.arange(w), line) for line in lines])
    np.testing.assert_allclose(detector.anomaly_map(normals[:1])[0], 2 - total, rtol=1e-6)
    np.testing.assert_allclose(detector.score(normals[:1]), (2 - total).max(), rtol=1e-6)


# -- map and score ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("align_corners", "row", "column"), [(False, 21.5, 53.5), (True, 21, 54.6)])
def test_an_impulse_lands_at_the_centre_of_its_cell(align_corners, row, column):
    likelihood = torch.zeros(1, 16, 16)
    likelihood[0, 5, 13] = -50.0
    found = 1 - enlarged([likelihood], largest([likelihood]), 64, align_corners)[0, 0]
    grid = torch.arange(64.0, dtype=torch.float64)
    centre = [float((found.sum(axis) * grid).sum() / found.sum()) for axis in (1, 0)]
    assert centre == pytest.approx([row, column], abs=0.2)


def test_two_taps_with_known_likelihoods_give_the_map_of_the_formula():
    coarse, fine = torch.tensor([[[-1.0, -3.0], [-1.0, -2.0]]]), torch.tensor([[[0.0, 2.0], [1.0, -200.0]]])
    p = enlarged([coarse, fine], largest([coarse, fine]), 2, False)
    e = math.exp
    assert (2 - p.sum(1)).flatten().tolist() == pytest.approx([1 - e(-2), 1 - e(-2), 1 - e(-1), 2 - e(-1)])
    assert enlarged([coarse], torch.tensor([-2.0]), 2, False).max() == 1  # likelier than in training is not more than 1


def test_another_image_beside_it_changes_a_map_only_in_the_published_way(fitted, normals, tmp_path):
    other = normals.clone()
    other[1] = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fitted.anomaly_map(normals)[0], fitted.anomaly_map(other)[0])
    published = small(lr=1e-2, steps=10, normalise="published")
    published.fit(normals)
    one, two = published.anomaly_map(normals[:1])[0], published.anomaly_map(normals)[0]
    assert (one - two).abs().max() > 1e-3
    assert one.min().abs() < 1e-12  # alone, its own most likely place is normal by definition
    likelihoods = published.likelihoods(published.vectors(normals))
    sums = enlarged(likelihoods, largest(likelihoods), 64, False).sum(1)
    torch.testing.assert_close(published.anomaly_map(normals), sums.max() - sums)
    torch.testing.assert_close(published.score(normals), (sums.max() - sums).amax((1, 2)))


def test_a_batch_one_by_one_and_the_file_give_the_same_scores(fitted, normals, tmp_path):
    alone = torch.cat([fitted.score(image[None]) for image in normals])
    torch.testing.assert_close(fitted.score(normals), alone, rtol=1e-4, atol=1e-5)
    assert torch.equal(load(fitted.save(tmp_path / "c.safetensors")).score(normals), fitted.score(normals))
    torch.testing.assert_close(fitted.score(normals), fitted.anomaly_map(normals).amax((1, 2)))


def test_the_stored_maxima_are_those_of_the_training_images(fitted, normals):
    found = largest(fitted.likelihoods(fitted.vectors(normals)))
    torch.testing.assert_close(fitted.maxima, found, rtol=1e-4, atol=1e-5)
    assert torch.equal(fitted.maxima, fitted.state["maxima"])


def test_latents_lead_back_to_the_vectors_at_their_places(fitted, normals):
    latents, vectors = fitted.latents(normals), fitted.vectors(normals)
    assert [tuple(z.shape) for z in latents] == [(6, 48, 16, 16), (6, 96, 8, 8)]
    for flow, z, v in zip(fitted.flows, latents, vectors, strict=True):
        for row, column in ((0, 5), (6, 2)):
            code = fitted.code(*z.shape[2:])[row * z.shape[3] + column].expand(6, -1)
            torch.testing.assert_close(flow.inverse(z[:, :, row, column], code)[0], v[:, :, row, column],
                                       rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("category", ["washer", "board"])
@pytest.mark.slow
def test_the_map_peaks_inside_a_planted_defect(category):
    images = factory.normal(category, 36, size=64)
    detector = CFlow.small(progress=False, size=64, steps=60, vectors_per_step=256)
    detector.fit(images[:32])
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disc = ((rows - 40) ** 2 + (columns - 24) ** 2 < 100).float()  # 10 px of noise, left below the centre
    noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    peaks = detector.anomaly_map(images[32:] * (1 - disc) + noise * disc).flatten(1).argmax(1)
    assert disc.flatten()[peaks].all()


@pytest.mark.parametrize("loops", [{"steps": 9}, {"steps": 0, "meta_epochs": 1, "sub_epochs": 1}])
def test_every_vector_that_is_trained_on_or_scored_comes_with_the_code_of_its_place(normals, monkeypatch, loops):
    detector, seen = small(taps=("stride4",), whiten=False, **loops), []
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    marked = torch.stack([rows, columns, *torch.rand(46, 16, 16)])  # the first two channels say where they stand
    monkeypatch.setattr(detector, "maps", lambda batch: (marked.expand(len(batch), -1, -1, -1),))
    plain = detector.likelihood
    monkeypatch.setattr(detector, "likelihood", lambda *given: seen.append(given[1:]) or plain(*given))
    detector.fit(normals)
    detector.score(normals)
    for vectors, code in seen:
        row, column = vectors[:, 0].long(), vectors[:, 1].long()
        assert torch.equal(code, position_code(8, 16, 16)[:, row, column].T)
    assert len(seen) > 9


def test_without_position_a_vector_means_the_same_everywhere(normals):
    for position in (True, False):
        detector = small(position=position, lr=1e-2)
        detector.fit(normals)
        found = detector.likelihoods([torch.ones(1, 48, 16, 16), torch.ones(1, 96, 8, 8)])
        assert [bool((m.amax() - m.amin()) > 1e-4) for m in found] == [position] * 2


# -- bad settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "words"), [
    ({"position_dim": 30}, "position_dim=30. Expected a multiple of 4"),
    ({"normalise": "test"}, "train, published"),
    ({"mixing": "none"}, "rotation, permutation"), ({"loss": "mse"}, "log-sigmoid, nll"), ({"blocks": 0}, "1 or more"),
    ({"rotation": 5.0}, "steps=0 and whiten=False"), ({"steps": -1}, "steps=-1"), ({"lr": 0.0}, "lr=0"),
    ({"taps": ("stride3",)}, "no tap 'stride3'. Choose from stride2")])
def test_impossible_settings_name_the_argument_and_what_is_allowed(wrong, words, normals):
    with pytest.raises(ValueError, match=re.escape(words)):
        small(**wrong).fit(normals)


def test_impossible_training_sets_and_features_get_a_sentence(normals, monkeypatch):
    with pytest.raises(DetectorError, match=r"7 channels cannot be halved\. Expected an even number"):
        small().build_flow(7)
    with pytest.raises(ValueError, match=r"dim=6\. Expected a multiple of 4"):
        position_code(6, 2, 2)
    with pytest.raises(DetectorError, match="vectors_per_step=999"):
        small(steps=0, vectors_per_step=999).fit(normals)
    for value, words in ((math.nan, "'stride4' of the backbone gave NaN"), (1.0, "'stride4' are the same everywhere")):
        detector = small()
        monkeypatch.setattr(detector, "maps", lambda b, v=value: (torch.full((len(b), 48, 16, 16), v),
                                                                  torch.full((len(b), 96, 8, 8), v)))
        with pytest.raises(DetectorError, match=words):
            detector.fit(normals)
