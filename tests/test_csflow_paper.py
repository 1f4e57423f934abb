"""CS-Flow's numbers: settings, parameters, shapes, permutations, start, loss and score of the paper and its code."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tutorial_lib.backbones import EfficientNetB5
from tutorial_lib.detectors import CSFlow, DetectorError
from tutorial_lib.flows import CrossScaleCoupling, CrossScaleNet, EachScale, Permutation

SHAPES = ((304, 4, 4), (304, 2, 2), (304, 1, 1))  # the paper's channels on small maps


def paper(**overrides) -> CSFlow:
    return CSFlow.paper(progress=False, **{"weights": "random"} | overrides)


def features(seed: int = 0) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, *shape, generator=draw) for shape in SHAPES)


@pytest.fixture(scope="module")
def meta() -> nn.Module:
    """The flow of the paper at its full size, without memory."""
    with torch.device("meta"):
        return paper().build_flow()


def test_the_paper_setting_holds_the_published_numbers():
    expected = {"backbone": "efficientnet_b5", "weights": "pretrained", "taps": ("stage6",), "size": 768, "scales": 3,
                "shrink": "nearest", "whiten": False, "blocks": 4, "kernel": 3, "last_kernel": 5, "hidden": 1024,
                "exchange": True, "gamma": 0.0, "gammas": "scale", "clamp": "Atan0636Clamp", "alpha": 3.0,
                "images_per_step": 16, "epochs": 240, "steps": 0, "lr": 2e-4, "eps": 1e-4, "weight_decay": 1e-5,
                "clip": 1.0, "map": "finest", "channels": "mean"}
    settings = CSFlow.paper().settings
    assert {name: getattr(settings, name) for name in expected} == expected


def test_parameters_are_counted_as_published(meta):
    assert paper().parameters_count() == 275_227_288
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in meta.named_modules()
             if isinstance(part, CrossScaleNet)}
    assert list(count.values()) == 6 * [23_819_347] + 2 * [66_155_603]
    gammas = [p for name, p in meta.named_parameters() if name.endswith("gamma")]
    assert [tuple(g.shape) for g in gammas] == 8 * [(3,)]  # 24 in all
    one = paper(gammas="network")  # the paper's formula: one for each network
    assert one.parameters_count() == 275_227_288 - 16
    assert paper(last_kernel=1).parameters_count() == 6 * 23_819_347 + 2 * (
        3 * (152 * 1024 + 1024) + 7 * (1024 * 304 + 304) + 3)


def test_maps_have_the_published_shapes_and_229824_numbers():
    assert paper().shapes == ((304, 24, 24), (304, 12, 12), (304, 6, 6))
    sizes = [math.prod(shape) for shape in paper().shapes]
    assert sizes == [175_104, 43_776, 10_944]
    assert sum(sizes) == 229_824
    assert paper().tap.channels == 304
    for size in (760, 100, 64):  # sides must be multiples of 128
        with pytest.raises(DetectorError, match=f"size={size}. Expected a multiple of 128"):
            paper(size=size).parameters_count()


def test_a_block_is_a_permutation_of_each_scale_and_then_a_coupling(meta):
    parts = list(meta.transform)
    assert [type(part) for part in parts] == 4 * [EachScale, CrossScaleCoupling]
    nets = [net for part in parts[1::2] for net in (part.a, part.b)]
    convs = [[m for m in net.modules() if isinstance(m, nn.Conv2d)] for net in nets]
    assert [len(layers) for layers in convs] == 8 * [10]
    assert [{m.kernel_size for m in layers} for layers in convs] == 6 * [{(3, 3)}] + 2 * [{(5, 5)}]
    assert all(m.padding == (m.kernel_size[0] // 2,) * 2 and m.bias is not None for layers in convs for m in layers)
    for net in nets:
        assert [(m.in_channels, m.out_channels, m.stride[0]) for m in net.own] == 3 * [(152, 1024, 1)]
        assert [(m.in_channels, m.out_channels, m.stride[0]) for m in net.same] == 3 * [(1024, 304, 1)]
        assert [(m.in_channels, m.out_channels, m.stride[0]) for m in net.down] == 2 * [(1024, 304, 2)]
        assert [(m.in_channels, m.out_channels, m.stride[0]) for m in net.up] == 2 * [(1024, 304, 1)]


def test_permutations_are_those_of_the_released_code():
    orders = [[Permutation(304, seed=k, draw=i).index.tolist() for i in range(3)] for k in range(4)]
    assert [order[:6] for order in orders[0]] == [[66, 156, 247, 267, 145, 135], [222, 196, 64, 232, 186, 40],
                                                  [14, 158, 98, 275, 225, 261]]
    assert [order[:3] for order in orders[1]] == [[222, 159, 220], [116, 134, 111], [191, 79, 111]]
    built = [part for part in paper(hidden=1).build_flow(SHAPES).transform if isinstance(part, EachScale)]
    assert [[p.index.tolist() for p in part.transforms] for part in built] == orders


def test_it_starts_as_a_pure_permutation_with_log_det_zero():
    flow, y = paper(hidden=2).build_flow(SHAPES), features()
    z, log_det = flow(y)
    assert torch.equal(log_det, torch.zeros(2))
    assert all(torch.equal(a.sort(1).values, b.sort(1).values) for a, b in zip(z, y, strict=True))
    loss = CSFlow.loss(z, log_det).mean()
    mean_square = torch.cat([part.flatten() for part in y]).square().mean()
    assert loss.item() == pytest.approx(0.5 * mean_square.item(), rel=1e-5)
    loss.backward()  # at the first step only the gammas learn
    assert {name.rsplit(".", 1)[-1] for name, p in flow.named_parameters() if p.grad.any()} == {"gamma"}


def test_other_weights_start_as_torch_draws_them():
    net = paper(hidden=8).build_flow(SHAPES).transform[1].a
    assert not net.gamma.any()
    for layer in (net.own[0], net.same[1], net.down[0], net.up[1]):
        bound = 1 / math.sqrt(9 * layer.in_channels)
        assert 0.9 * bound < layer.weight.abs().max() <= bound
        assert 0.2 * bound < layer.bias.abs().max() <= bound


def test_the_clamp_is_that_of_the_code_and_the_papers_is_a_choice():
    clamp = paper(hidden=1, blocks=1).build_flow(SHAPES).transform[1].clamp
    assert clamp.bound == pytest.approx(2.99708, abs=1e-5)
    assert clamp(torch.tensor(3.0)).item() == pytest.approx(3 * 0.636 * math.pi / 4)
    published = paper(hidden=1, blocks=1, clamp="AtanClamp").build_flow(SHAPES).transform[1].clamp
    assert published(torch.tensor(3.0)).item() == pytest.approx(1.5)


def test_the_network_is_leaky_between_its_two_layers_and_gamma_scales_s_and_t_alike():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = CrossScaleNet(2, 4, 3, gamma=1.0)
    x = tuple(torch.randn(1, 2, side, side) for side in (4, 2, 1))
    h = net.read(x)
    raw = [conv(part) for conv, part in zip(net.own, x, strict=True)]
    assert all(torch.equal(a, torch.where(b > 0, b, 0.1 * b)) for a, b in zip(h, raw, strict=True))
    out = net(x)
    assert all(torch.equal(a, b) for a, b in zip(out, net.meet(h), strict=True))
    with torch.no_grad():
        net.gamma.copy_(torch.tensor([2.0, 3.0, 4.0]))
    for a, b, g in zip(net(x), out, (2, 3, 4), strict=True):
        torch.testing.assert_close(a, g * b)


def test_loss_and_score_have_the_sheets_values():
    ones = tuple(torch.ones(2, *shape) for shape in paper().shapes)
    scores = paper().scale_scores(ones)
    torch.testing.assert_close(scores.sum(1), torch.full((2,), 0.5))
    assert [round(200 * v, 1) for v in scores[0].tolist()] == [76.2, 19.0, 4.8]  # 16 : 4 : 1, per cent
    log_det = torch.tensor([229_824.0, 0.0])
    torch.testing.assert_close(CSFlow.loss(ones, log_det), torch.tensor([-0.5, 0.5]))
    heat = paper().localise(tuple(2 * z for z in ones), 24)
    torch.testing.assert_close(heat, torch.full((2, 24, 24), 4.0))  # mean of z^2, without the half
    torch.testing.assert_close(paper(channels="sum").localise(ones, 24), torch.full((2, 24, 24), 304.0))


def test_the_smaller_images_are_every_second_and_fourth_pixel():
    batch = torch.arange(768.0 * 768).view(1, 1, 768, 768)
    first, second, third = paper().sizes(batch)
    assert torch.equal(first, batch)
    assert torch.equal(second, torch.nn.functional.interpolate(batch, size=384, mode="nearest"))
    assert torch.equal(third, torch.nn.functional.interpolate(batch, size=192, mode="nearest"))


def test_a_backbone_that_gives_another_block_is_refused(monkeypatch):
    detector = paper(size=128, hidden=2)
    wrong = [torch.rand(2, 512, side, side) for side in (4, 2, 1)] * 2
    monkeypatch.setattr(detector, "maps", lambda batch: [wrong.pop(0)])
    monkeypatch.setattr(CSFlow, "backbone_label", "efficientnet_b5 random seed 0")
    with pytest.raises(DetectorError, match=r"at 128 px the backbone gave maps \(512, 4, 4\). Expected \(304, 4, 4\)"):
        detector.fit(torch.rand(2, 3, 128, 128))
    assert EfficientNetB5.ALL_TAPS["stage7"].channels == 512


@pytest.mark.slow
def test_the_published_backbone_gives_304_channels_and_one_step_runs():
    detector = paper(size=128, hidden=4, steps=1)
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    y = detector.features(images)
    assert [tuple(part.shape) for part in y] == [(2, *shape) for shape in SHAPES]
    assert all((part < 0).any() for part in y)  # signed: no activation follows
    mean_square = torch.cat([part.flatten(1) for part in y], 1).square().mean()
    assert detector.fit(images)["loss"] == [pytest.approx(0.5 * mean_square.item(), rel=1e-4)]
    assert detector.anomaly_map(images).shape == (2, 128, 128)
