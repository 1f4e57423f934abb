"""FastFlow's flow against its paper, the public code, plain loops and FrEIA: structure, counts, start, laws."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_lib.checks.laws import law_check
from tutorial_lib.detectors import FastFlow
from tutorial_lib.detectors.fastflow_head import Head
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
