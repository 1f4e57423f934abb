"""Backbones: taps tell the truth; weights are frozen, verified, reproducible; other random streams stay untouched."""

import ast
import hashlib
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tutorial_lib
from tutorial_lib import backbones
from tutorial_lib.backbones import alexnet, alteration, embedded, energies, pretraining, procedural, weights_file
from tutorial_lib.backbones.base import receptive_field

ALL = [("embedded", "embedded", ("stride2", "stride4", "stride8", "stride16")), ("alexnet", "random", ("last",))]
each = pytest.mark.parametrize(("name", "weights", "taps"), ALL, ids=[row[0] for row in ALL])


def images(n=2, size=96, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


@each
def test_maps_have_the_channels_and_the_stride_of_their_taps(name, weights, taps):
    backbone = backbones.load(name, weights, taps=taps)
    for size in (128, 161):
        for tap, found in zip(backbone.taps.values(), backbone(images(2, size)), strict=True):
            assert found.shape[:2] == (2, tap.channels) and found.isfinite().all()
            if name == "embedded":
                assert found.shape[2:] == (math.ceil(size / tap.stride),) * 2


def test_alexnet_map_sizes_and_parameters_are_those_of_differnets_features():
    backbone = backbones.load("alexnet")
    assert [backbone(images(1, size))[0].shape[1:] for size in (448, 224, 112)] == [(256, s, s) for s in (13, 6, 2)]
    assert sum(p.numel() for p in backbone.parameters()) == 2_469_696
    layers = [layer for layer in backbone.network if not isinstance(layer, nn.ReLU)]
    assert [nn.MaxPool2d if isinstance(layer, nn.MaxPool2d) else nn.Conv2d for layer in layers] == [
        nn.Conv2d, nn.MaxPool2d, nn.Conv2d, nn.MaxPool2d, nn.Conv2d, nn.Conv2d, nn.Conv2d, nn.MaxPool2d]
    side = lambda number: number if isinstance(number, int) else number[0]
    assert [(side(layer.kernel_size), side(layer.stride)) for layer in layers] == alexnet.LAYERS


def test_embedded_has_about_nine_hundred_thousand_parameters_and_a_small_file():
    assert sum(p.numel() for p in backbones.load().parameters()) == 897_120
    assert weights_file.EMBEDDED.stat().st_size <= 4e6


@each
def test_an_output_sees_exactly_its_receptive_field(name, weights, taps):
    backbone = backbones.load(name, weights, taps=taps)
    for parameter in backbone.parameters():  # positive everywhere, so that no path is cancelled or cut by a ReLU
        parameter.data = parameter.data.abs() + 1e-3
    if name == "alexnet":  # a maximum passes on the gradient of one pixel only; the mean sees the same square
        backbone.network = nn.Sequential(*[nn.AvgPool2d(3, 2) if isinstance(layer, nn.MaxPool2d) else layer
                                           for layer in backbone.network])
    backbone.mean.zero_()
    x = torch.ones(1, 3, 449, 449, requires_grad=True)
    for tap, found in zip(backbone.taps.values(), backbone(x), strict=True):
        middle = found.shape[-1] // 2
        seen, = torch.autograd.grad(found[0, :, middle, middle].sum(), x, retain_graph=True)
        rows = seen.abs().sum((0, 1, 3)).nonzero().flatten()
        assert rows[-1] - rows[0] + 1 == tap.receptive_field == len(rows)
        seen_next, = torch.autograd.grad(found[0, :, middle + 1, middle].sum(), x, retain_graph=True)
        assert seen_next.abs().sum((0, 1, 3)).nonzero().min() - rows[0] == tap.stride


def test_receptive_field_recursion_on_a_case_done_by_hand():
    assert receptive_field([(3, 2), (3, 1)]) == (7, 2)  # 3, then + 2 steps of 2 pixels
    assert receptive_field([]) == (1, 1)


@each
def test_backbone_stays_frozen_and_in_evaluation_whatever_is_asked(name, weights, taps):
    backbone = backbones.load(name, weights)
    nn.Sequential(backbone).train()
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    x = images(1, 64).requires_grad_()
    backbone(x)[-1].sum().backward()
    assert x.grad.abs().sum() > 0 and all(p.grad is None for p in backbone.parameters())


@each
def test_a_batch_gives_what_each_image_gives_alone(name, weights, taps):
    backbone, x = backbones.load(name, weights), images(3).double()
    for whole, *alone in zip(backbone.double()(x), *[backbone(row[None]) for row in x], strict=True):
        torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-10, atol=1e-10)


@each
def test_random_weights_follow_the_seed_and_leave_the_global_stream_alone(name, weights, taps):
    before = torch.get_rng_state()
    first, again, other = (backbones.load(name, "random", seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    pairs = list(zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert pairs and all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first(images())[0], other(images())[0])
    assert first.label == f"{name} random seed 3" and first.label != other.label


@each
def test_settings_build_the_same_backbone_again(name, weights, taps):
    backbone = backbones.load(name, weights, seed=2, taps=taps[-1:])
    again = backbones.load(**json.loads(json.dumps(backbone.settings)))
    assert again.label == backbone.label and again.taps == backbone.taps
    assert torch.equal(again(images())[0], backbone(images())[0])


def test_taps_come_in_the_order_asked_for_and_do_not_depend_on_the_others():
    everything = dict(zip(ALL[0][2], backbones.load(taps=ALL[0][2])(images()), strict=True))
    deep, shallow = backbones.load(taps=("stride16", "stride2"))(images())
    assert torch.equal(deep, everything["stride16"]) and torch.equal(shallow, everything["stride2"])


def test_folding_batch_normalisation_changes_no_output():
    network = embedded.stages(embedded.normed_conv).double()
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    whole, x = nn.Sequential(*network.eval().values()), images(1, 48).double()
    expected = whole(x)
    folded = embedded.fold(network)
    torch.testing.assert_close(nn.Sequential(*folded.values())(x), expected, rtol=1e-10, atol=1e-10)
    shapes = lambda stages: {name: tensor.shape for name, tensor in stages.state_dict().items()}
    assert shapes(folded) == shapes(backbones.load().stages)


# --- weights on disk -------------------------------------------------------------------------------------------------

def test_the_card_describes_the_weights_that_came_with_the_course():
    card = json.loads(weights_file.EMBEDDED.with_suffix(".json").read_text())
    assert backbones.load().label == f"embedded {card['sha256'][:8]}"
    assert card["bytes"] == weights_file.EMBEDDED.stat().st_size
    assert f"{len(procedural.CLASSES)} formula classes" in card["trained_on"]
    assert card["settings"]["steps"] >= 800 and card["cpu_minutes"] > 0
    assert card["held_out_accuracy"] > 50 / len(procedural.CLASSES)  # fifty times what guessing would give


def damage_bytes(file, card):
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "one bit": (damage_bytes, "is not the file that"),
    "cut off": (lambda file, card: file.write_bytes(file.read_bytes()[:1000]), "is not the file that"),
    "no file": (lambda file, card: file.unlink(), "is missing"),
    "no card": (lambda file, card: card.unlink(), "is missing"),
    "card is no JSON": (lambda file, card: card.write_text("<html>404</html>"), "holds no 'sha256' entry"),
    "card of another file": (lambda file, card: card.write_text('{"sha256": "00ff"}'), "is not the file that"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_weights_are_refused_with_a_sentence_that_says_what_to_do(case, tmp_path):
    file, card = tmp_path / "copy.safetensors", tmp_path / "copy.json"
    shutil.copy(weights_file.EMBEDDED, file)
    shutil.copy(weights_file.EMBEDDED.with_suffix(".json"), card)
    assert backbones.load(weights=file).label == backbones.load().label
    damage, words = DAMAGE[case]
    damage(file, card)
    with pytest.raises(backbones.WeightsDamaged, match=words) as caught:
        backbones.load(weights=file)
    assert "copy" in str(caught.value) and "pretrain" in str(caught.value)


def test_a_text_file_with_the_right_hash_is_still_refused(tmp_path):
    file = tmp_path / "page.safetensors"
    weights_file.write(file, {"a": torch.zeros(1)}, {})
    content = b"<html>not found</html>"
    file.write_bytes(content)
    file.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(content).hexdigest()}))
    with pytest.raises(backbones.WeightsDamaged, match="no safetensors file"):
        backbones.load(weights=file)


# --- wrong use -------------------------------------------------------------------------------------------------------

WRONG = {
    "name": (lambda: backbones.load("resnet1000"), "no backbone 'resnet1000'.*embedded, alexnet"),
    "weights": (lambda: backbones.load("embedded", "pretrained"), "no weights 'pretrained'.*embedded, random"),
    "kind of file": (lambda: backbones.load("alexnet", "mine.zip"), "no weights 'mine.zip'.*safetensors, .pth, .pt"),
    "file for embedded": (lambda: backbones.load("embedded", "mine.pth"), "no weights 'mine.pth'.*safetensors file"),
    "tap": (lambda: backbones.load(taps=["stride5"]), "no tap 'stride5'.*stride16"),
    "no tap": (lambda: backbones.load(taps=[]), "no tap at all"),
    "grey": (lambda: backbones.load()(images()[:, :1]), r"shape \(2, 1, 96, 96\).*three equal channels"),
    "one image": (lambda: backbones.load()(images()[0]), r"images\[None\]"),
    "bytes": (lambda: backbones.load()(images().byte()), r"uint8.*images.float\(\) / 255"),
    "too small": (lambda: backbones.load("alexnet")(images(1, 62)), "62 x 62 pixels.*at least 63"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_gets_a_sentence(case):
    act, words = WRONG[case]
    with pytest.raises(ValueError, match=words):
        act()


# --- pictures and training -------------------------------------------------------------------------------------------

def imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def functions(files):
    return {node.name for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef)}


def test_the_backbone_has_never_seen_the_factory():
    """Neither side imports the other, and no function that draws has a namesake on the other side."""
    root = Path(tutorial_lib.__file__).parent
    ours, factory = sorted(root.glob("backbones/*.py")), sorted(root.glob("data/factory/*.py"))
    assert len(ours) > 5 and len(factory) > 5
    assert not [name for file in ours for name in imports(file) if {"factory", "data"} & set(name.split("."))]
    assert not [name for file in factory for name in imports(file) if "backbones" in name or "procedural" in name]
    assert not functions(root.glob("backbones/procedural*.py")) & functions(factory)
    shown = " ".join(procedural.NAMES)
    assert not [word for word in ("carpet", "metal", "washer", "board", "scratch", "crack") if word in shown]


def test_procedural_pictures_are_determined_by_the_seed_and_differ_within_and_between_classes():
    first, labels = procedural.pictures(2, size=32, seed=5)
    again, _ = procedural.pictures(2, size=32, seed=5)
    other, _ = procedural.pictures(2, size=32, seed=6)
    n = len(procedural.CLASSES)
    assert first.shape == (2 * n, 3, 32, 32) and first.dtype == "uint8" and labels.tolist() == sorted([*range(n)] * 2)
    assert (first == again).all() and len(set(procedural.NAMES)) == n > 100
    assert len({image.tobytes() for image in [*first, *other]}) == 4 * n
    assert (first.reshape(2 * n, -1).std(1) > 2).mean() > 0.97  # something is to be seen


def test_augmented_pictures_stay_pictures_and_each_gets_its_own_draw():
    x = images(1, 64).expand(6, 3, 64, 64)
    found = pretraining.augment(x, torch.Generator().manual_seed(0))
    assert found.shape == x.shape and found.min() >= 0 and found.max() <= 1
    assert (found[0] - found[1]).abs().mean() > 0.02


def test_a_foreign_region_is_exactly_where_the_picture_changed():
    x, generator = images(64, 48), torch.Generator().manual_seed(1)
    found, shape = alteration.alter(x, generator)
    changed = (found - x).abs().amax(1, keepdim=True)
    assert changed[shape == 0].max() == 0 and (changed[shape == 1] > 0.02).float().mean() > 0.95
    touched = shape.amax((1, 2, 3)) > 0.5
    assert 0.5 < touched.float().mean() < 0.95 and shape.mean((1, 2, 3)).max() < 0.5
    assert found.min() >= 0 and found.max() <= 1


def test_locating_loss_is_lowest_where_the_logits_say_what_is_true():
    _, shape = alteration.alter(images(8, 48), torch.Generator().manual_seed(1))
    right = 20 * F.adaptive_avg_pool2d(shape, 12) - 10
    assert alteration.locating_loss(right, shape) < alteration.locating_loss(torch.zeros(8, 1, 12, 12), shape)
    assert alteration.locating_loss(torch.zeros(8, 1, 12, 12), shape) < alteration.locating_loss(-right, shape)


@pytest.mark.parametrize("octave", [0, 1, 2])
def test_an_energy_names_the_length_and_direction_of_a_wave_wherever_its_crests_are(octave):
    y, x = torch.meshgrid(*[torch.arange(64.0)] * 2, indexing="ij")
    for j, length in enumerate(energies.LENGTHS):
        for k in range(energies.DIRECTIONS):
            angle = torch.tensor(torch.pi * k / energies.DIRECTIONS)
            wave = 2 * torch.pi * (x * angle.cos() + y * angle.sin()) / (length * 2 ** octave)
            pictures = torch.stack([0.5 + 0.4 * (wave + moved).sin() for moved in (0, 0.5, 1, 2)])  # (4, 64, 64), grey
            found = energies.energies(pictures[:, None].expand(-1, 3, -1, -1), octave + 1)[octave]
            middle = found[..., found.shape[-1] // 2, found.shape[-1] // 2]
            last = middle[:, 3 + energies.PER_OCTAVE * octave:]  # this octave's energies
            assert (last.argmax(1) == j * energies.DIRECTIONS + k).all()  # the first colour is brightness
            strongest = last.amax(1)
            assert (strongest.max() - strongest.min()) / strongest.mean() < 0.12
            assert last[:, energies.PER_OCTAVE // 3:].max() < 0.01  # grey: the other two colours have none


def test_energies_of_a_plain_picture_are_its_colours_and_nothing_else():
    plain = torch.tensor([0.9, 0.2, 0.4]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    for k, found in enumerate(energies.energies(plain, 3)):
        assert found.shape == (1, 3 + energies.PER_OCTAVE * (k + 1), 64 // 2 ** (k + 1), 64 // 2 ** (k + 1))
        assert torch.allclose(found[0, :3, 8 // 2 ** k, 0], torch.tensor([0.5, 0.49, 0.12]), atol=1e-5)
        assert found[:, 3:].max() < 2e-3


def test_the_next_octave_reads_means_and_not_every_second_pixel():
    y, x = torch.meshgrid(*[torch.arange(64)] * 2, indexing="ij")
    chequered = ((x + y) % 2).float().expand(1, 3, 64, 64)
    for found in energies.energies(chequered, 2):
        assert torch.allclose(found[:, 0], torch.tensor(0.5))  # brightness
    assert found[:, 3 + energies.PER_OCTAVE:].max() < 2e-3  # nothing is left of the pattern at half the size


def test_a_reader_that_tells_nothing_has_loss_one_for_each_tap():
    reader = energies.EnergyReader(embedded.Embedded.ALL_TAPS.values())
    pictures = images(16, 64)
    reader.measure(pictures)
    for parameter in reader.parameters():
        torch.nn.init.zeros_(parameter)
    maps = [torch.randn(16, tap.channels, 64 // tap.stride, 64 // tap.stride)
            for tap in embedded.Embedded.ALL_TAPS.values()]
    assert reader.loss(maps, pictures).item() == pytest.approx(4, rel=0.01)


def test_pretrain_writes_weights_that_load_and_leaves_the_global_stream_alone(tmp_path, capsys, monkeypatch):
    from tutorial_lib.cli import pretrain

    monkeypatch.setattr(procedural, "CLASSES", procedural.CLASSES[:3])
    monkeypatch.setattr(pretraining.Settings.__init__, "__defaults__", (0, 4, 2, 32, 1200, 8, 3e-3, 0.02, 3.0, 3.0))
    before, digests = torch.get_rng_state(), []
    for k in range(2):
        file = tmp_path / f"try{k}.safetensors"
        assert pretrain.run(["--steps", "2", "--out", str(file)]) == 0
        digests.append(backbones.load(weights=file).label)
    assert torch.equal(before, torch.get_rng_state())
    assert digests[0] == digests[1] != backbones.load().label and "Held-out accuracy" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.part"))
    for task in ("locating", "energies"):
        other = tmp_path / f"no_{task}.safetensors"
        assert pretrain.run(["--steps", "2", f"--{task}", "0", "--out", str(other)]) == 0
        digests.append(backbones.load(weights=other).label)
    assert len(set(digests)) == 3
    for wrong in (["--out", "weights.pt"], ["--locating", "-1", "--out", str(other)],
                  ["--energies", "nan", "--out", str(other)]):
        with pytest.raises(SystemExit):
            pretrain.run(wrong)
