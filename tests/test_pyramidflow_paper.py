"""Every number of the PyramidFlow publication and its released code: parameters, shapes, start, order, settings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tutorial_lib import flows
from tutorial_lib.detectors import PyramidFlow


def test_the_paper_setting_holds_the_published_numbers():
    s = PyramidFlow.paper().settings
    expected = {"size": 256, "levels": 4, "channels": 16, "stacks": 4, "kernel": 7, "down": "max", "norm": "channel",
                "momentum": 0.1, "images_per_step": 2, "epochs": 15, "steps": 0, "lr": 2e-4, "betas": (0.5, 0.9),
                "eps": 1e-4, "weight_decay": 1e-5, "clip": 1.0, "flips": False, "template_images": 0, "map_sigma": 0.0,
                "backbone": None}
    assert {name: getattr(s, name) for name in expected} == expected
    s = PyramidFlow.paper(backbone="resnet18").settings
    assert (s.backbone, s.size, s.taps, s.weights) == ("resnet18", 1024, ("layer1",), "pretrained")


def test_single_categories_follow_the_released_rules():
    table = {"carpet": ("spatial", 8, True), "grid": ("spatial", 4, True), "bottle": ("spatial", 4, False),
             "transistor": ("spatial", 8, False), "metal_nut": ("channel", 8, False), "screw": ("channel", 2, False),
             "leather": ("channel", 4, True), "tile": ("channel", 4, True), "wood": ("channel", 4, True),
             "cable": ("channel", 4, False)}
    for category, expected in table.items():
        s = PyramidFlow.paper(category=category).settings
        assert (s.norm, s.levels, s.flips) == expected


def parameters(levels: int, channels: int) -> int:
    """The sheet's formula, block by block: 294 C^2 (up, down) or 392 C^2 (dual), and 2 C^2 + C for each matrix."""
    blocks = [294 if len(reads) == 1 else 392 for _, reads in flows.stack_order(levels)]
    return 4 * sum(n * channels**2 + 2 * channels**2 + channels for n in blocks)


def test_parameter_counts_are_those_of_the_sheet():
    assert PyramidFlow.paper().parameters_count() == parameters(4, 16) == 1_413_376
    model = PyramidFlow.paper().build_model()
    assert model.stem.weight.numel() == 48
    assert not [name for name, _ in model.named_parameters() if name.startswith("stem")]  # fixed
    table = {(2, 16): 606_336, (3, 16): 1_009_856, (8, 16): 3_027_456, (4, 24): 3_179_904, (8, 24): 6_811_392,
             (2, 64): 9_699_840, (4, 64): 22_610_944, (8, 64): 48_433_152}
    assert {key: parameters(*key) for key in table} == table
    assert PyramidFlow.paper(levels=2, size=32).parameters_count() == table[2, 16]
    nets = [sum(p.numel() for p in part.net.parameters()) for part in model.flow.transforms[:8:2]]
    assert nets == [100_352, 75_264, 75_264, 100_352]  # dual, down, up, dual


@pytest.mark.slow
def test_behind_resnet18_the_pyramid_stands_on_its_first_layer_and_has_the_published_parameters():
    detector = PyramidFlow.paper(backbone="resnet18", weights="random", size=64)
    model = detector.build_model()
    assert model.stem is None
    assert sum(p.numel() for p in model.parameters()) == 22_610_944
    maps = detector.features(model, torch.rand(1, 3, 64, 64))
    assert [tuple(p.shape[1:]) for p in model.pyramid(maps)] == [(64, 16 >> k, 16 >> k) for k in range(4)]
    assert not detector.backbone.training
    model.train()
    assert not detector.backbone.training  # the released code's batch normalisation would adapt here


def test_shapes_at_the_published_size():
    model = PyramidFlow.paper().build_model()
    with torch.no_grad():
        levels = model.pyramid(model.stem(torch.rand(1, 3, 256, 256)))
    assert [tuple(p.shape[1:]) for p in levels] == [(16, 256, 256), (16, 128, 128), (16, 64, 64), (16, 32, 32)]
    means = {tuple(b.shape) for name, b in model.named_buffers() if "running_mean" in name}
    assert means == {(1, 1, 256, 256), (1, 1, 128, 128), (1, 1, 64, 64)}  # the down block's at the finer size
    spatial = PyramidFlow.paper(norm="spatial", levels=2, size=32).build_model()
    assert {tuple(b.shape) for name, b in spatial.named_buffers() if "running_mean" in name} == {(1, 16, 1, 1)}


def test_blocks_begin_as_the_identity_with_the_published_layers_and_order():
    model = PyramidFlow.paper(size=32).build_model()
    parts = list(model.flow.transforms)
    order = [(part.level, part.reads) for part in parts[::2]]
    assert order == 4 * [(1, (0, 2)), (3, (2,)), (0, (1,)), (2, (1, 3))]
    for coupling, mixer in zip(parts[::2], parts[1::2], strict=True):
        assert mixer.level == coupling.level
        first, middle, last = coupling.net
        assert (type(first), type(middle), type(last)) == (nn.Conv2d, nn.LeakyReLU, nn.Conv2d)
        assert (first.kernel_size, first.padding, first.bias, last.bias) == ((7, 7), (3, 3), None, None)
        assert (first.in_channels, first.out_channels) == (16 * len(coupling.reads), 32)
        assert (last.in_channels, last.out_channels, middle.negative_slope) == (32, 32, 0.01)
        assert not last.weight.any()
        assert first.weight.any()
        w = mixer.transform.matrix()
        torch.testing.assert_close(w @ w.T, torch.eye(16), rtol=0, atol=1e-5)
        assert not coupling.norm.running_mean.any()
    assert len({tuple(part.transform.matrix()[0].tolist()) for part in parts[1::2]}) == 16  # every matrix is its own


def test_the_log_scales_are_bounded_by_the_published_arc_tangent():
    clamp = flows.Atan0636Clamp(2.0)
    a = torch.tensor([0.0, 2.0, 1e9], dtype=torch.float64)
    torch.testing.assert_close(clamp(a), torch.tensor([0.0, 2 * 0.636 * 0.7853981634, 1.998053], dtype=torch.float64),
                               rtol=1e-6, atol=0)


def test_the_round_trip_in_evaluation_is_exact_to_five_digits_in_float32():
    detector = PyramidFlow.small(size=32, channels=16, progress=False)
    model, draw = detector.build_model().eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=draw))
        x = model.stem(torch.rand(2, 3, 32, 32, generator=draw))
        assert (model.back(model(x)) - x).abs().max() < 1e-5
        levels = model.pyramid(x)
        back = model.flow.inverse(model.flow(levels)[0])[0]
    assert max(float((a - b).abs().max()) for a, b in zip(levels, back, strict=True)) < 1e-5
