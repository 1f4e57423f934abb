"""Published backbones: every tap is what its table says, measured on the real network; only what is needed is there."""

import json
import math
from collections import Counter

import pytest
import torch
from torch import nn
from torchvision.ops.misc import SqueezeExcitation

from tutorial_lib import backbones, detectors
from tutorial_lib.backbones import receptive_field

pytestmark = pytest.mark.slow  # large networks are built many times

CONVOLUTIONAL = ("resnet18", "wide_resnet50_2", "efficientnet_b5", "mobilenet_v3_large")
GATED = ("efficientnet_b5", "mobilenet_v3_large")
TIMM = ("deit_base_distilled_patch16_384", "cait_m48_448")
TRANSFORMERS = ("vit_b_16", *TIMM)
convolutional = pytest.mark.parametrize("name", CONVOLUTIONAL)
transformer = pytest.mark.parametrize("name", TRANSFORMERS)

# What the papers read: (taps, channels, side of the map, side of the image)
PAPERS = {
    "CFlow": ("wide_resnet50_2", ("layer2", "layer3", "layer4"), (512, 1024, 2048), (32, 16, 8), 256),
    "CFlow, small": ("resnet18", ("layer2", "layer3", "layer4"), (128, 256, 512), (32, 16, 8), 256),
    "CFlow, fast": ("mobilenet_v3_large", ("project6", "project12", "project15"), (40, 112, 160), (32, 16, 8), 256),
    "CS-Flow at 768": ("efficientnet_b5", ("stage6",), (304,), (24,), 768),
    "CS-Flow at 384": ("efficientnet_b5", ("stage6",), (304,), (12,), 384),
    "CS-Flow at 192": ("efficientnet_b5", ("stage6",), (304,), (6,), 192),
    "FastFlow, small": ("resnet18", ("layer1", "layer2", "layer3"), (64, 128, 256), (64, 32, 16), 256),
    "FastFlow, wide": ("wide_resnet50_2", ("layer1", "layer2", "layer3"), (256, 512, 1024), (64, 32, 16), 256),
    "FastFlow, DeiT": ("deit_base_distilled_patch16_384", ("block8",), (768,), (24,), 384),
    "FastFlow, CaiT": ("cait_m48_448", ("block41",), (768,), (28,), 448),
    "PyramidFlow": ("resnet18", ("layer1",), (64,), (256,), 1024),
}


def images(n=2, size=96, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def needs(name):
    if name in TIMM:
        pytest.importorskip("timm", reason="timm, an optional extra, is not installed")


def shapes(backbone, *size):
    """Shapes of the maps of the real network, without computing a number or needing its memory."""
    return [tuple(m.shape) for m in backbone.to("meta")(torch.empty(2, 3, *size, device="meta"))]


@pytest.mark.parametrize("paper", PAPERS)
def test_each_paper_finds_its_taps(paper):
    name, taps, channels, sides, size = PAPERS[paper]
    needs(name)
    backbone = backbones.CLASSES[name](taps)
    assert shapes(backbone, size, size) == [(2, c, s, s) for c, s in zip(channels, sides, strict=True)]
    assert tuple(tap.channels for tap in backbone.taps.values()) == channels
    assert tuple(size // tap.stride for tap in backbone.taps.values()) == sides


@pytest.mark.parametrize("name", backbones.NAMES)
def test_every_tap_has_its_channels_and_stride(name):
    needs(name)
    kind = backbones.CLASSES[name]
    backbone = kind(kind.ALL_TAPS)
    for h, w in ((128, 160),) if name in TRANSFORMERS else ((128, 160), (97, 131)):
        for tap, shape in zip(kind.ALL_TAPS.values(), shapes(backbone, h, w), strict=True):
            assert shape[:2] == (2, tap.channels)
            if name != "alexnet":  # whose first convolution pads less than half its kernel
                assert shape[2:] == (math.ceil(h / tap.stride), math.ceil(w / tap.stride))


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b5", "mobilenet_v3_large", "vit_b_16", *[
    pytest.param(name, marks=pytest.mark.slow) for name in ("wide_resnet50_2", *TIMM)]])
def test_maps_of_random_weights_are_alive_and_follow_the_seed(name):
    needs(name)
    before = torch.get_rng_state()
    backbone = backbones.load(name, "random", seed=3)
    assert torch.equal(before, torch.get_rng_state())
    found = backbone(images(2, 64))
    for tap, one in zip(backbone.taps.values(), found, strict=True):
        assert one.shape == (2, tap.channels, math.ceil(64 / tap.stride), math.ceil(64 / tap.stride))
        assert one.isfinite().all() and 1e-3 < one.std() < 1e4 and one.is_contiguous() and not one.is_inference()
        assert (one[0] - one[1]).abs().mean() > 1e-3 * one.std()  # two images, two maps
    identity = backbone.identity()
    del backbone
    again = backbones.load(name, "random", seed=3)
    assert all(torch.equal(a, b) for a, b in zip(found, again(images(2, 64)), strict=True))
    assert again.identity() == identity == json.loads(json.dumps(identity))
    assert backbones.load(name, "random", seed=4).identity() != identity


# --- receptive fields ------------------------------------------------------------------------------------------------

def smooth(module):
    """The same network with positive weights of sum 1, means for maxima and no gates: nothing cancels or is cut."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        elif isinstance(child, SqueezeExcitation):
            setattr(module, name, nn.Identity())
        else:
            smooth(child)
        if isinstance(child, nn.Conv2d):
            child.weight.data.fill_(1 / child.weight[0].numel())
    return module


def rows_seen(backbone, height):
    """For each tap, which rows of the image the middle row of its map depends on, and the next row's first one."""
    backbone.mean.zero_()
    x = torch.ones(1, 3, height, 32, dtype=torch.float64, requires_grad=True)
    for found in backbone.double()(x):
        middle = found.shape[2] // 2
        seen = [torch.autograd.grad(found[0, :, row].sum(), x, retain_graph=True)[0].abs().sum((0, 1, 3)).nonzero()
                for row in (middle, middle + 1)]
        yield [rows.flatten().tolist() for rows in seen]


@convolutional
def test_an_output_sees_exactly_its_receptive_field(name):
    kind = backbones.CLASSES[name]
    names = ("stage1", "stage4", "stage6") if name == "efficientnet_b5" else kind.ALL_TAPS
    backbone = smooth(backbones.load(name, "random", taps=names))
    taps = backbone.taps.values()
    height = max(tap.receptive_field for tap in taps) + 129
    for tap, (rows, next_rows) in zip(taps, rows_seen(backbone, height), strict=True):
        assert len(rows) == rows[-1] - rows[0] + 1 == tap.receptive_field
        assert next_rows[0] - rows[0] == tap.stride


@pytest.mark.parametrize("name", GATED)
def test_through_the_gates_of_squeeze_and_excitation_the_whole_image_is_seen(name):
    backbone = backbones.load(name, "random", taps=list(backbones.CLASSES[name].ALL_TAPS)[:1])
    field = max(tap.receptive_field for tap in backbone.taps.values())
    (rows, _), *_ = rows_seen(backbone, field + 129)
    assert len(rows) == field + 129


def main_path(module):
    """(kernel, stride) of every convolution and pooling on the longest way through."""
    for name, child in module.named_children():
        if name == "downsample" or isinstance(child, SqueezeExcitation):
            continue
        if isinstance(child, nn.Conv2d | nn.MaxPool2d):
            yield tuple(k if isinstance(k, int) else k[0] for k in (child.kernel_size, child.stride))
        else:
            yield from main_path(child)


def first_level(network):
    """The links of the chain: stages of a ResNet, or of ``features``."""
    return network.features if hasattr(network, "features") else network.children()


@convolutional
def test_receptive_fields_follow_from_the_layers_of_the_real_network(name):
    kind = backbones.CLASSES[name]
    layers, ends = [], {}
    for stage in first_level(kind(list(kind.ALL_TAPS)[-1:]).network):
        layers += main_path(nn.Sequential(stage))
        ends[receptive_field(layers)] = stage
    for tap in kind.ALL_TAPS.values():
        assert (tap.receptive_field, tap.stride) in ends
    assert list(ends)[-1] == (tap.receptive_field, tap.stride)


@transformer
def test_every_position_of_a_transformer_sees_the_whole_image(name):
    needs(name)
    kind = backbones.CLASSES[name]
    assert {tap.receptive_field for tap in kind.ALL_TAPS.values()} == {None}
    backbone = backbones.load(name, "random", taps=["block1"])
    x = images(1, 48).requires_grad_()
    seen, = torch.autograd.grad(backbone(x)[0][0, :, 0, 0].square().sum(), x)
    assert (seen.abs().sum((0, 1)) > 0).float().mean() > 0.99


# --- the wrong layer -------------------------------------------------------------------------------------------------

def test_the_tap_of_cs_flow_ends_with_the_36th_of_39_blocks_and_is_signed():
    from torchvision.models.efficientnet import MBConv

    whole, cut = (backbones.CLASSES["efficientnet_b5"]([tap]) for tap in ("stage7", "stage6"))
    blocks = [sum(isinstance(m, MBConv) for m in backbone.modules()) for backbone in (whole, cut)]
    assert blocks == [39, 36]
    last = [m for m in whole.modules() if isinstance(m, MBConv)][35:37]
    assert [block.block[-1].out_channels for block in last] == [304, 512]
    found, = backbones.load("efficientnet_b5", "random")(images(2, 96))
    assert found.shape == (2, 304, 3, 3) and found.min() < 0 < found.max()


@pytest.mark.parametrize(("name", "tap", "wrong", "found"), [
    ("efficientnet_b5", "stage6", "stage7", 512),   # the mistake of CS-Flow's released code
    ("resnet18", "layer2", "layer3", 256),
    ("mobilenet_v3_large", "project12", "project15", 160),
])
def test_a_map_of_the_wrong_layer_is_never_handed_out(monkeypatch, name, tap, wrong, found):
    kind = backbones.CLASSES[name]
    monkeypatch.setattr(kind, "ALL_TAPS", kind.ALL_TAPS | {wrong: kind.ALL_TAPS[tap]})  # the table says so, wrongly
    expected = kind.ALL_TAPS[tap].channels
    with pytest.raises(RuntimeError, match=f"gave {found} channels, expected {expected}: the map comes from another"):
        backbones.load(name, "random", taps=[wrong])(images(1, 64))


def test_the_projection_of_a_mobilenet_block_lies_before_its_normalisation_and_shortcut():
    backbone = backbones.load("mobilenet_v3_large", "random", taps=("project6", "block6"))
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data.fill_(0.5)
    projected, whole = backbone(images(1, 64))
    before, = backbones.load("mobilenet_v3_large", "random", taps=("block6",))(images(1, 64))
    assert not torch.equal(before, whole)
    block, seen = backbone.network.features[6], {}
    block.register_forward_hook(lambda _, given, __: seen.update(given=given[0]))
    block.block[-1][0].register_forward_hook(lambda _, __, out: seen.update(projected=out))
    x = (images(1, 64) - backbone.mean) / backbone.std
    torch.testing.assert_close(backbone.network.features(x), whole)  # torchvision's own way
    torch.testing.assert_close(seen["projected"], projected)
    torch.testing.assert_close(block.block[-1][1](projected) + seen["given"], whole)


# --- only what is needed ---------------------------------------------------------------------------------------------

@convolutional
def test_nothing_behind_the_deepest_tap_is_kept_or_computed(name):
    kind = backbones.CLASSES[name]
    layers = {}
    for tap in ("stage2", "stage6", "stage7") if name == "efficientnet_b5" else kind.ALL_TAPS:
        backbone = kind([tap])
        calls = Counter()
        for layer in backbone.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(lambda *_, calls=calls: calls.update(convolutions=1))
        shapes(backbone, 64, 64)
        layers[tap] = sum(isinstance(layer, nn.Conv2d) for layer in backbone.modules())
        assert calls["convolutions"] == layers[tap]  # each one kept is used, and once
    counts = list(layers.values())
    assert counts == sorted(counts) and counts[-1] > counts[0]
    assert not any(isinstance(layer, nn.Linear) for layer in backbone.modules())


@transformer
def test_a_transformer_ends_behind_the_deepest_block(name):
    needs(name)
    backbone = backbones.CLASSES[name](["block3", "block2"])
    *_, blocks, _ = backbone.parts()
    assert len(blocks) == 3
    linear = [m for m in backbone.modules() if isinstance(m, nn.Linear)]
    inside = [m for m in blocks.modules() if isinstance(m, nn.Linear)]
    assert len(linear) == len(inside)  # no head and no class-attention is left


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large", "efficientnet_b5", "vit_b_16"])
def test_taps_come_in_the_order_asked_for_and_do_not_depend_on_the_others(name):
    kind = backbones.CLASSES[name]
    names = list(kind.ALL_TAPS)[:4]
    everything = dict(zip(names, backbones.load(name, "random", taps=names)(images(1, 64)), strict=True))
    for order in (names[::-1], names[1:2]):
        found = backbones.load(name, "random", taps=order)(images(1, 64))
        assert all(torch.equal(one, everything[tap]) for tap, one in zip(order, found, strict=True))


# --- gradients and precision -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b5", "mobilenet_v3_large", "vit_b_16"])
def test_gradients_reach_the_image_and_only_when_asked_for(name):
    backbone = backbones.load(name, "random")
    x = images(1, 64).requires_grad_()
    with_gradient = backbone(x)
    torch.stack([m.square().mean() for m in with_gradient]).sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0 and all(p.grad is None for p in backbone.parameters())
    with torch.no_grad():
        blind = backbone(x)
    for a, b in zip(with_gradient, blind, strict=True):
        assert a.requires_grad and not b.requires_grad
        torch.testing.assert_close(a.detach(), b, rtol=1e-4, atol=1e-4 * b.std().item())


@pytest.mark.parametrize("name", ["embedded", "alexnet", "resnet18", "vit_b_16"])
def test_maps_may_be_trained_on_whatever_mode_the_caller_is_in(name):
    with torch.inference_mode():
        backbone = backbones.load(name)
        inside = backbone(images(1, 64))
    for maps in (inside, backbone(images(1, 64))):
        for one in maps:
            weight = torch.ones(one.shape[1], requires_grad=True)
            (one * weight.view(-1, 1, 1)).square().sum().backward()  # an inference tensor could not be saved for this
            assert weight.grad.abs().sum() > 0
    assert not any(p.is_inference() for p in backbone.parameters())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large", "vit_b_16"])
def test_a_batch_gives_what_each_image_gives_alone(name):
    backbone, x = backbones.load(name, "random").double(), images(3, 64).double()
    for whole, *alone in zip(backbone(x), *[backbone(row[None]) for row in x], strict=True):
        torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-9, atol=1e-9 * whole.std().item())


# --- transformers ----------------------------------------------------------------------------------------------------

def test_vit_maps_are_the_patch_tokens_of_torchvisions_own_pass():
    backbone = backbones.load("vit_b_16", "random", taps=["block2"])
    x = images(2, 224)
    n, encoder = backbone.network, backbone.network.encoder
    with torch.no_grad():
        tokens = n._process_input((x - backbone.mean) / backbone.std)
        tokens = encoder(torch.cat([n.class_token.expand(2, -1, -1), tokens], 1))[:, 1:]  # (2, 196, 768)
    found, = backbone(x)
    torch.testing.assert_close(found.flatten(2).mT, tokens, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TIMM)
def test_timm_maps_are_the_patch_tokens_of_timms_own_pass(name):
    needs(name)
    backbone = backbones.load(name, "random", taps=["block2"])
    x = images(1, backbone.NATIVE)
    with torch.no_grad():
        x_ = (x - backbone.mean) / backbone.std
        own, = backbone.network.forward_intermediates(x_, indices=1, norm=True, intermediates_only=True)
    torch.testing.assert_close(backbone(x)[0], own, rtol=1e-4, atol=1e-4)


@transformer
def test_a_patch_appears_at_its_own_place_in_the_map(name):
    """Without blocks a map shows each patch where it was: no token is shifted, and rows are not columns."""
    needs(name)
    backbone = backbones.load(name, "random", taps=["block1"])
    *_, blocks, _ = backbone.parts()
    blocks[0] = nn.Identity()
    x = images(1, 96)[..., :64, :]
    changed = x.clone()
    changed[..., 16:32, 48:64] = 0
    moved = (backbone(changed)[0] - backbone(x)[0]).abs().amax((0, 1))
    assert moved.shape == (4, 6) and moved.nonzero().tolist() == [[1, 3]]


@transformer
def test_positions_are_interpolated_off_the_native_size_and_untouched_at_it(name):
    from tutorial_lib.backbones.transformers import _resized

    needs(name)
    backbone = backbones.CLASSES[name](["block1"])
    _, _, positions, _, _ = backbone.parts()
    side = backbone.NATIVE // 16
    extra = positions.shape[1] - side**2
    assert extra == {"vit_b_16": 1, TIMM[0]: 2, TIMM[1]: 0}[name]
    ramp = torch.arange(side).float().repeat_interleave(side).view(1, -1, 1).expand(1, -1, 8)  # its row's number
    code = torch.cat([torch.full((1, extra, 8), -5.0), ramp], 1)
    assert _resized(code, extra, side, side) is code
    wide = _resized(code, extra, side // 2, 2 * side)[0, extra:, 0].view(side // 2, -1)  # as many patches
    torch.testing.assert_close(wide[:, :1].expand_as(wide), wide)
    found = _resized(code, extra, 2 * side, 3 * side)
    assert found.shape == (1, extra + 6 * side**2, 8) and (found[:, :extra] == -5).all()
    rows = found[0, extra:, 0].view(2 * side, 3 * side)
    middle = rows[side - 2:side + 2, side]
    torch.testing.assert_close(middle.diff(), torch.full((3,), 0.5), rtol=0.02, atol=0.02)
    torch.testing.assert_close(rows[:, :1].expand_as(rows), rows)  # nothing changes along a row


def test_an_image_that_is_no_whole_number_of_patches_gets_a_sentence():
    with pytest.raises(ValueError, match=r"100 x 96 pixels.*multiples of 16.*trained at 224 x 224"):
        backbones.load("vit_b_16", taps=["block1"])(torch.rand(1, 3, 100, 96))


@pytest.mark.parametrize("name", TIMM)
def test_without_timm_the_sentence_says_how_to_install_it(name, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(backbones.MissingPackage, match=rf"{name}.*pip install timm.*\.\[timm\]"):
        backbones.load(name, "random")


# --- detectors -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("backbone", "taps"), [("resnet18", ("layer1", "layer2")), ("vit_b_16", ("block1",)),
                                                ("mobilenet_v3_large", ("project6",))])
def test_a_detector_on_a_published_backbone_is_saved_and_comes_back(backbone, taps, tmp_path):
    x = images(6, 64)
    fitted = detectors.Mahalanobis.small(backbone=backbone, taps=taps, size=64, progress=False)
    fitted.fit(x)
    again = detectors.load(fitted.save(tmp_path / "model.safetensors"), progress=False)
    assert again.backbone_label == f"{backbone} random seed 0" and tuple(again.backbone.taps) == taps
    assert torch.equal(again.score(x), fitted.score(x))


def test_differnets_map_needs_gradients_and_gets_them_from_a_resnet():
    x = images(6, 64)
    detector = detectors.DifferNet.small(backbone="resnet18", taps=("layer1",), size=64, steps=2, progress=False)
    detector.fit(x)
    with torch.inference_mode():
        found = detector.anomaly_map(x[:1])
    assert found.shape == (1, 64, 64) and found.max() > 0
