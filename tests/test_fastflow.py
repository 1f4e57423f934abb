"""FastFlow against its paper, the public code and FrEIA: check values, laws of the flow, score, map and settings."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_lib.checks.laws import law_check
from tutorial_lib.data import factory
from tutorial_lib.detectors import DetectorError, FastFlow, load
from tutorial_lib.detectors.fastflow import Head
from tutorial_lib.flows import AffineCoupling, Permutation, SoftplusScale, TanhClamp

RESNET18 = [(64, 64, 64), (128, 32, 32), (256, 16, 16)]
WIDE = [(256, 64, 64), (512, 32, 32), (1024, 16, 16)]
TRANSFORMERS = {"deit_base_distilled_patch16_384": (768, 24, 24), "cait_m48_448": (768, 28, 28)}


def small(**overrides) -> FastFlow:
    return FastFlow.small(progress=False, **{"weights": "random", "steps": 3, "blocks": 2} | overrides)


def paper(**overrides) -> FastFlow:
    return FastFlow.paper(**{"weights": "random", "backbone": "resnet18", "progress": False} | overrides)


def count(detector: FastFlow, shapes) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in detector.build_heads(shapes).parameters())


def moved(shape=(6, 7, 9), seed: int = 0, **overrides) -> Head:
    """One head in float64 with weights away from where they start."""
    head = small(**{"whiten": False, "blocks": 3, "seed": seed} | overrides).build_heads([shape])[0].double()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in head.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=draw, dtype=p.dtype))
    return head


def maps(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def normals() -> torch.Tensor:
    return factory.normal("washer", 6, size=64)


@pytest.fixture(scope="module")
def fitted(normals) -> FastFlow:
    detector = small(lr=1e-2, steps=5)
    detector.fit(normals)
    return detector


# -- every number of the paper ----------------------------------------------------------------------------------------


def test_the_paper_setting_holds_the_published_numbers():
    expected = {"norm": "none", "whiten": False, "coupling": "one-sided", "alpha": 2.0, "clamp_gain": 1.0,
                "zero_init": False, "images_per_step": 32, "drop_last": True, "epochs": 500, "steps": 0, "lr": 1e-3,
                "weight_decay": 1e-5}
    table = {"resnet18": (256, 8, 1.0, (3,), None), "wide_resnet50_2": (256, 8, 1.0, (3, 1), None),
             "deit_base_distilled_patch16_384": (384, 20, 0.16, (3, 1), None),
             "cait_m48_448": (448, 20, 0.16, (3, 1), None)}
    for backbone, row in table.items():
        s = FastFlow.paper(backbone=backbone).settings
        assert {name: getattr(s, name) for name in expected} == expected
        assert (s.size, s.blocks, s.ratio, s.kernels, s.taps) == row
        assert s.weights == "pretrained"
    assert FastFlow.paper().settings.backbone == "wide_resnet50_2"


def test_parameter_counts_are_those_of_the_sheet_one_flow_at_a_time():
    assert [count(paper(), [shape]) for shape in RESNET18] == [222_976, 888_320, 3_546_112]
    assert count(paper(kernels=(3, 1)), RESNET18) == 2_593_024
    assert count(paper(kernels=(3, 1), norm="learned"), RESNET18) == 3_510_528
    wide = paper(backbone="wide_resnet50_2")
    assert [count(wide, [shape]) for shape in WIDE] == [1_973_248, 7_878_656, 31_485_952]
    assert count(paper(backbone="wide_resnet50_2", norm="learned"), WIDE) == 45_007_872
    assert count(paper(backbone="wide_resnet50_2", kernels=(3,)), WIDE) == 74_368_000
    for backbone, shape in TRANSFORMERS.items():
        assert count(paper(backbone=backbone), [shape]) == 7_074_500
        assert count(paper(backbone=backbone, kernels=(3,)), [shape]) == 12_696_260


def test_whole_detectors_have_the_published_parameters_and_maps():
    assert paper().parameters_count() == 4_657_408
    assert paper(norm="learned").parameters_count() == 5_574_912
    assert paper(backbone="wide_resnet50_2").parameters_count() == 41_337_856
    detector = paper()
    assert [tuple(f.shape[1:]) for f in detector.maps(torch.rand(1, 3, 256, 256))] == RESNET18


def test_a_block_is_a_coupling_then_a_channel_scale_then_a_permutation_and_kernels_alternate():
    chain = paper(kernels=(3, 1)).build_heads([(64, 2, 2)])[0].flow.transform
    assert [type(part) for part in chain] == 8 * [AffineCoupling, SoftplusScale, Permutation]
    nets = [[m for m in part.modules() if not list(m.children())] for part in chain if hasattr(part, "split")]
    assert all([type(m) for m in net] == [nn.Conv2d, nn.ReLU, nn.Conv2d] for net in nets)
    assert [net[0].kernel_size[0] for net in nets] == [net[2].kernel_size[0] for net in nets] == 4 * [3, 1]
    assert [(m.in_channels, m.out_channels) for m in nets[0][::2]] == [(32, 32), (32, 64)]
    x, net = torch.randn(2, 32, 2, 2), chain[0].scale_shift.net
    torch.testing.assert_close(net(x), 0.1 * nn.Sequential(*net)(x))
    orders = [tuple(part.index.tolist()) for part in chain if isinstance(part, Permutation)]
    assert len(set(orders)) == 8
    deit = paper(backbone="deit_base_distilled_patch16_384").build_heads([(768, 1, 1)])[0].flow.transform
    assert len(deit) == 60
    assert deit[0].scale_shift.net[0].out_channels == 61


def test_the_start_scale_is_one_the_weights_are_torchs_and_the_clamp_is_that_of_the_pinned_freia():
    coupling, scale, _ = paper(blocks=1).build_heads([(64, 2, 2)])[0].flow.transform
    torch.testing.assert_close(scale.q, torch.full((64,), 9.98648), rtol=1e-6, atol=0)
    torch.testing.assert_close(scale.scale(), torch.ones(64))
    assert not scale.b.any()
    first, _, last = coupling.scale_shift.net
    for conv in (first, last):  # both uniform up to 1 / sqrt(inputs), the last one not zero
        bound = 1 / math.sqrt(9 * conv.in_channels)
        assert 0.95 * bound < conv.weight.abs().max() <= bound
        assert 0.5 * bound < conv.bias.abs().max() <= bound
    assert coupling.scale_shift.clamp == TanhClamp(2.0, gain=1.0)
    a = torch.tensor([0.05, 1.0, 100.0], dtype=torch.float64)
    torch.testing.assert_close(coupling.scale_shift.clamp(a), torch.tensor([0.0999167, 1.5231883, 2.0]).double(),
                               rtol=1e-6, atol=0)
    later = paper(blocks=1, clamp_gain=0.5).build_heads([(64, 2, 2)])[0].flow.transform[0].scale_shift.clamp
    assert float(later(a[1])) == pytest.approx(2 * math.tanh(0.5))  # FrEIA since 2023


def test_two_sided_blocks_change_every_channel_and_have_two_subnets():
    one, two = (moved(blocks=1, coupling=kind).flow.transform[0] for kind in ("one-sided", "two-sided"))
    x = maps(2, 6, 7, 9)
    assert [(part(x)[0] != x).any((0, 2, 3)).sum() for part in (one, two)] == [3, 6]
    assert sum(p.numel() for p in two.parameters()) == 2 * sum(p.numel() for p in one.parameters())


# -- the flow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [{"kernels": (3, 1)}, {"kernels": (1,)}, {"coupling": "two-sided"},
                                       {"ratio": 2.0, "clamp_gain": 0.5}])
def test_the_flow_keeps_every_law_away_from_its_start(overrides):
    report = law_check(moved((4, 7, 9), **overrides).flow, maps(2, 4, 7, 9).float())
    assert report.ok, str(report)


def test_the_log_det_is_that_of_the_autograd_jacobian_with_the_whitening_in_front():
    head = moved((4, 3, 4), whiten=True)
    head.prepare(maps(20, 4, 3, 4, seed=5) * torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1).double() + 1)
    x = maps(3, 4, 3, 4)
    z, log_det = head(x)
    assert log_det.shape == (3,)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda v: head(v[None])[0][0], x[i]).view(48, 48)
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(jacobian)[1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(head.flow.inverse(z)[0], x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm", ["none", "learned"])
def test_gradients_reach_every_parameter(norm):
    head = moved(norm=norm)
    FastFlow.loss(*head.learned(maps(2, 6, 7, 9))).mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in head.parameters())


def test_only_one_by_one_kernels_treat_every_position_alike():
    order = torch.randperm(63, generator=torch.Generator().manual_seed(2))
    shuffled = lambda x: x.flatten(2)[:, :, order].view_as(x)
    x = maps(2, 6, 7, 9)
    for kernels, alike in {(1,): True, (3, 1): False}.items():
        head = moved(kernels=kernels)
        (z, log_det), (zs, log_det_s) = head(x), head(shuffled(x))
        assert torch.allclose(shuffled(z), zs) is torch.allclose(log_det, log_det_s) is alike


def by_hand(head: Head, x: np.ndarray) -> tuple[np.ndarray, float]:
    """One map ``(C, h, w)`` through the formulas of the sheet, number by number."""
    def conv(layer, v):
        w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        pad, out = w.shape[2] // 2, np.zeros((len(w), *v.shape[1:]))
        for o, i, j in np.ndindex(out.shape):
            out[o, i, j] = b[o]
            for c, k, m in np.ndindex(w.shape[1:]):
                if 0 <= i + k - pad < v.shape[1] and 0 <= j + m - pad < v.shape[2]:
                    out[o, i, j] += w[o, c, k, m] * v[c, i + k - pad, j + m - pad]
        return out

    log_det, half = 0.0, len(x) // 2
    parts = list(head.flow.transform)
    for coupling, scale, permutation in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        first, _, last = coupling.scale_shift.net
        a = 0.1 * conv(last, np.maximum(conv(first, x[:half]), 0))
        s = 2 * np.tanh(a[:half])
        y = np.concatenate([x[:half], x[half:] * np.exp(s) + a[half:]])
        q, b = scale.q.detach().numpy(), scale.b.detach().numpy()
        g = 0.2 * np.log1p(np.exp(0.5 * q))
        log_det += s.sum() + x[0].size * np.log(g).sum()
        x = np.stack([g[c] * y[c] + b[c] for c in permutation.index.tolist()])
    return x, log_det


def test_latent_log_det_loss_and_map_are_those_of_plain_loops():
    head, x = moved((4, 3, 5), kernels=(3, 1), blocks=2), maps(2, 4, 3, 5)
    with torch.no_grad():
        z, log_det = head(x)
    loss, at_centre = [], []
    for i in range(2):
        expected, expected_log_det = by_hand(head, x[i].numpy())
        np.testing.assert_allclose(z[i], expected, rtol=1e-12, atol=1e-12)
        assert float(log_det[i]) == pytest.approx(expected_log_det, rel=1e-12)
        loss.append(sum(v * v for v in expected.flat) / 2 - expected_log_det)
        at_centre.append(-math.exp(-sum(v * v for v in expected[:, 1, 2]) / 4 / 2))
    np.testing.assert_allclose(FastFlow.loss(z, log_det), loss, rtol=1e-12)
    found = FastFlow.tap_map(z, 15)[:, 7, 7]  # the middle of 15 x 15 is the middle of 3 x 5
    np.testing.assert_allclose(found, at_centre, rtol=1e-12)


def test_the_flow_is_a_stack_of_freias_all_in_one_blocks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # its docstrings hold "\m" outside raw strings
        framework, modules = pytest.importorskip("FrEIA.framework"), pytest.importorskip("FrEIA.modules")
    head = moved((6, 7, 9), kernels=(3, 1))
    theirs = framework.SequenceINN(6, 7, 9)
    for k in range(3):
        side = (3, 1)[k % 2]
        theirs.append(modules.AllInOneBlock, affine_clamping=2.0, global_affine_type="SOFTPLUS", permute_soft=False,
                      subnet_constructor=lambda i, o, side=side: nn.Sequential(
                          nn.Conv2d(i, i // 2, side, padding="same"), nn.ReLU(),
                          nn.Conv2d(i // 2, o, side, padding="same")))
    parts = list(head.flow.transform)
    theirs = theirs.double()
    for block, coupling, scale, mixer in zip(theirs, parts[::3], parts[1::3], parts[2::3], strict=True):
        block.subnet.load_state_dict(coupling.scale_shift.net.state_dict())
        block.global_scale.data.copy_(scale.q.detach().view(1, -1, 1, 1))
        block.global_offset.data.copy_(scale.b.detach().view(1, -1, 1, 1))
        mixer.index = block.w_perm.view(6, 6).argmax(1)
    x = maps(2, 6, 7, 9)
    for ours, expected in zip(head(x), theirs(x), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


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
    for drop_last, images_per_step, steps in ((True, 4, 2), (False, 4, 4), (True, 32, 2)):
        numbers = {"steps": 0, "epochs": 2, "drop_last": drop_last, "images_per_step": images_per_step}
        assert small(**numbers).fit(normals)["steps"] == steps


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
    damaged.maps = lambda batch: [f * float("nan") for f in FastFlow.maps(damaged, batch)]
    with pytest.raises(DetectorError, match=r"image 0 has NaN .* tap 'stride4'"):
        damaged.fit(normals)
