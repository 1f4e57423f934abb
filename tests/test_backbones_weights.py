"""Weights by name and from files: fetched only when asked for, verified, never unpickled, refused with a sentence."""

import hashlib
import io
import json
import re
from pathlib import Path

import pytest
import torch
from loopback import serving
from safetensors.torch import save_file

from tutorial_lib import backbones, detectors
from tutorial_lib.backbones import Published, WeightsDamaged, WeightsUnavailable, download
from tutorial_lib.cli import doctor_machine

pytestmark = pytest.mark.slow  # large networks are built many times

PUBLISHED = [name for name in backbones.NAMES if name != "embedded"]
TAPS = {"resnet18": ["layer1"], "mobilenet_v3_large": ["project6"], "vit_b_16": ["block1"], "alexnet": ["last"],
        "deit_base_distilled_patch16_384": ["block1"]}
fetched = pytest.mark.parametrize("name", TAPS)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """No test sees the weights of this machine, and none of them leaves it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSES", ())
    return tmp_path / "torch" / "hub" / "checkpoints"


def needs(name):
    if backbones.CLASSES[name].__mro__[1].__name__ == "_Timm":
        pytest.importorskip("timm", reason="timm, an optional extra, is not installed")


def images(n=2, size=64, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def checkpoint(name, seed=9):
    """A network of its own and its state dict, named as in a published file."""
    needs(name)
    backbone = backbones.load(name, "random", seed=seed, taps=TAPS[name])
    return backbone, {backbone.PREFIX + key: t for key, t in backbone.network.state_dict().items()}


def bytes_of(state):
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def publish(monkeypatch, name, url, content):
    """Let the published weights of ``name`` be ``content``, at ``url``; returns the beginning of their hash."""
    prefix = hashlib.sha256(content).hexdigest()[:8]
    source = Published("This network", f"{url}{name}-{prefix}.pth", 1, prefix)
    monkeypatch.setattr(backbones.CLASSES[name], "source", staticmethod(lambda: source))
    return prefix


def same(a, b):
    return all(torch.equal(one, other) for one, other in zip(a(images()), b(images()), strict=True))


# --- by name ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_file_has_a_safe_address_and_a_hash_in_its_name(name):
    source = backbones.CLASSES[name].source()
    assert source.url.startswith("https://") and source.file.parent.name == "checkpoints" and source.megabytes > 10
    if name == "cait_m48_448":
        assert source.prefix is None
    else:
        assert re.fullmatch(r"[0-9a-f]{8}", source.prefix) and f"-{source.prefix}.pth" in source.url


@fetched
def test_pretrained_weights_are_fetched_once_verified_and_named(name, monkeypatch, own_cache):
    other, state = checkpoint(name)
    content = bytes_of(state)
    with serving(content, {"cut": len(content) // 2}) as server:
        prefix = publish(monkeypatch, name, server.url, content)
        backbones.load(name, "random", taps=TAPS[name])
        assert server.ranges == []  # nothing is fetched without being asked for
        first, again = (backbones.load(name, "pretrained", taps=TAPS[name]) for _ in range(2))
        assert server.ranges == [None, f"bytes={len(content) // 2}-"]
    assert first.label == again.label == f"{name} ImageNet {prefix}"
    assert (own_cache / f"{name}-{prefix}.pth").read_bytes() == content
    assert same(first, other) and same(again, other)
    assert first.identity() == again.identity() == other.identity()  # the same weights, wherever they came from


@pytest.mark.parametrize("name", PUBLISHED)
def test_without_a_network_the_sentence_says_which_file_goes_where_and_what_runs_instead(name, monkeypatch, own_cache):
    needs(name)

    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(download, "urlopen", no_network)
    source = backbones.CLASSES[name].source()
    with pytest.raises(WeightsUnavailable) as caught:
        backbones.load(name, "pretrained")
    for part in (source.url, source.url.rsplit("/", 1)[-1], "by hand", "load('embedded')",
                 f"load('{name}', weights='random')"):
        assert part in str(caught.value)
    if source.prefix is None:
        assert "names no hash" in str(caught.value) and f"load('{name}', weights='/" in str(caught.value)
    else:
        assert f"into the folder {own_cache}" in str(caught.value) and "TORCH_HOME" in str(caught.value)
        assert "no route to host" in str(caught.value)


@pytest.mark.parametrize("how", [{"status": 404}, {"status": 500}, {"body": b"<html>log in</html>"}, {"cut": 0}])
def test_a_server_that_fails_is_named_and_nothing_is_loaded(how, monkeypatch, own_cache):
    content = bytes_of(checkpoint("resnet18")[1])
    with serving(content, *[how] * 9) as server:
        publish(monkeypatch, "resnet18", server.url, content)
        with pytest.raises(WeightsUnavailable, match=rf"are not loaded: {server.url}.*by hand"):
            backbones.load("resnet18", "pretrained", taps=["layer1"])
    assert not list(own_cache.glob("*.pth"))


def test_a_wrong_file_in_the_cache_is_refused_and_kept_for_its_owner(own_cache):
    file = backbones.CLASSES["resnet18"].source().file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"<html>please log in</html>")
    with pytest.raises(WeightsUnavailable, match=r"cannot be read .*SHA-256 begins with.*in place of the one there"):
        backbones.load("resnet18", "pretrained")
    assert file.read_bytes() == b"<html>please log in</html>"


def test_a_file_brought_by_hand_is_used_without_a_network(monkeypatch, own_cache):
    other, state = checkpoint("alexnet")
    content = bytes_of(state | {"classifier.1.bias": torch.zeros(4096)})
    prefix = publish(monkeypatch, "alexnet", "http://127.0.0.1:9/", content)
    own_cache.mkdir(parents=True)
    (own_cache / f"alexnet-{prefix}.pth").write_bytes(content)
    assert same(backbones.load("alexnet", "pretrained"), other)


class Touch:
    """Something that runs code when it is unpickled: it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_hidden_in_a_published_file_is_not_run(monkeypatch, tmp_path):
    content = bytes_of({"features.0.bias": Touch(tmp_path / "it ran")})
    with serving(content) as server:
        publish(monkeypatch, "alexnet", server.url, content)
        with pytest.raises(WeightsUnavailable, match="damaged or holds more than tensors"):
            backbones.load("alexnet", "pretrained")
    assert not (tmp_path / "it ran").exists()


# --- from a file -----------------------------------------------------------------------------------------------------

def store(state, file):
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)
    return file


FORMS = {  # how people store one and the same network
    "plain.pth": lambda state: state,
    "plain.pt": lambda state: state,
    "plain.safetensors": lambda state: {k: t.contiguous() for k, t in state.items()},
    "wrapped.pth": lambda state: {"model": state, "epoch": 3},
    "lightning.pt": lambda state: {"state_dict": state},
    "parallel.pth": lambda state: {f"module.{k}": t for k, t in state.items()},
    "with a head.pth": lambda state: state | {"fc.weight": torch.zeros(10, 512)},
    "old.pth": lambda state: {k: t for k, t in state.items() if "num_batches_tracked" not in k},
    "double.pth": lambda state: {k: t.double() for k, t in state.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_from_a_file_are_those_that_were_stored(form, tmp_path):
    other, state = checkpoint("resnet18")
    file = store(FORMS[form](state), tmp_path / form)
    backbone = backbones.load("resnet18", file, taps=["layer1"])
    assert same(backbone, other) and backbone.identity() == other.identity()
    assert backbone.label == f"resnet18 {file.stem} {hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"
    again = backbones.load(**json.loads(json.dumps(backbone.settings)))
    assert same(again, other) and again.label == backbone.label


def test_half_precision_files_are_computed_in_single_precision(tmp_path):
    _, state = checkpoint("resnet18")
    file = store({k: t.half().contiguous() for k, t in state.items()}, tmp_path / "half.safetensors")
    maps, = backbones.load("resnet18", file, taps=["layer1"])(images())
    assert maps.dtype == torch.float32 and maps.isfinite().all()


def test_names_of_the_older_torchvision_file_of_the_vit_are_understood(tmp_path):
    other, state = checkpoint("vit_b_16")
    old = {k.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): t for k, t in state.items()}
    assert old.keys() != state.keys()
    assert same(backbones.load("vit_b_16", store(old, tmp_path / "old.pth"), taps=["block1"]), other)


REFUSED = {  # what is in the file -> words of the sentence
    "missing.pth": (lambda state: {k: t for k, t in state.items() if k != "conv1.weight"},
                    "1 of .* tensors are missing, such as 'conv1.weight'"),
    "shape.pth": (lambda state: state | {"conv1.weight": torch.zeros(64, 3, 3, 3)},
                  r"'conv1.weight' has shape \(64, 3, 3, 3\), expected \(64, 3, 7, 7\)"),
    "strange.pth": (lambda state: state | {"layer9.weight": torch.zeros(1)},
                    "1 belong to another network, such as 'layer9.weight'"),
    "other network.pth": (lambda state: checkpoint("mobilenet_v3_large")[1], "missing.*belong to another network"),
    "list.pth": (lambda state: list(state.values()), "no dictionary from names to tensors"),
    "empty.pth": (lambda state: {}, "no dictionary from names to tensors"),
    "numbers.pt": (lambda state: {"conv1.weight": 3}, "no dictionary from names to tensors"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_does_not_fit_is_refused_with_a_sentence(case, tmp_path):
    change, words = REFUSED[case]
    file = store(change(checkpoint("resnet18")[1]), tmp_path / case)
    with pytest.raises(WeightsDamaged, match=words) as caught:
        backbones.load("resnet18", file, taps=["layer1"])
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["page.pth", "page.pt", "page.safetensors", "cut.pth", "cut.safetensors", "none.pth",
                                  "nothing.pth", "nothing.safetensors"])
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(name, tmp_path):
    file = tmp_path / name
    if name.startswith("cut"):
        store({k: t.contiguous() for k, t in checkpoint("resnet18")[1].items()}, file)
        file.write_bytes(file.read_bytes()[:5000])
    elif not name.startswith("none"):
        file.write_bytes(b"<html>404</html>" if name.startswith("page") else b"")
    with pytest.raises(WeightsDamaged, match=r"there is no file|damaged or holds more|cannot be read as") as caught:
        backbones.load("resnet18", file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_code_hidden_in_a_file_is_not_run(suffix, tmp_path):
    file = store({"conv1.weight": Touch(tmp_path / "it ran")}, tmp_path / f"evil{suffix}")
    with pytest.raises(WeightsDamaged, match="damaged or holds more than tensors"):
        backbones.load("resnet18", file)
    assert not (tmp_path / "it ran").exists()


def test_a_detector_on_weights_from_a_file_comes_back_and_notices_another_file(tmp_path):
    file = store(checkpoint("resnet18")[1], tmp_path / "mine.pth")
    fitted = detectors.Mahalanobis.small(backbone="resnet18", weights=str(file), taps=("layer1",), size=64,
                                         progress=False)
    fitted.fit(images(6))
    path = fitted.save(tmp_path / "model.safetensors")
    again = detectors.load(path, progress=False)
    assert again.backbone_label.startswith("resnet18 mine ")
    assert torch.equal(again.score(images()), fitted.score(images()))
    store(checkpoint("resnet18", seed=10)[1], file)
    with pytest.raises(detectors.DetectorError, match="was fitted with the backbone 'resnet18 mine "):
        detectors.load(path, progress=False)


# --- identity --------------------------------------------------------------------------------------------------------

def test_identity_holds_everything_that_decides_the_maps_and_nothing_else():
    make = lambda name="resnet18", seed=0, taps=("layer1", "layer2"): backbones.load(name, "random", seed, taps)
    different = [make(), make(seed=1), make(taps=("layer2", "layer1")), make(taps=("layer2",)), make(taps=("layer1",)),
                 make("wide_resnet50_2", taps=("layer1",)), make().double(), backbones.load(),
                 make("embedded", 0, None)]
    texts = [json.dumps(backbone.identity()) for backbone in different]
    assert len(set(texts)) == len(texts)
    backbone = make()
    assert json.dumps(backbone.identity()) == texts[0]
    backbone(images())
    assert json.dumps(backbone.identity()) == texts[0]  # using it changes nothing
    assert json.dumps(backbone.double().identity()) == texts[6]  # and a conversion is noticed
    assert {"backbone", "revision", "mean", "std", "taps", "dtype", "weights"} == backbone.identity().keys()


# --- the doctor ------------------------------------------------------------------------------------------------------

def test_the_doctor_tells_which_published_weights_are_there(own_cache):
    _, absent = doctor_machine.weights()
    assert absent.status == "note" and all(name in absent.text for name in PUBLISHED[:-1])
    file = backbones.CLASSES["resnet18"].source().file
    file.parent.mkdir(parents=True)
    file.touch()
    _, there, absent = doctor_machine.weights()
    assert there.status == "ok" and there.text.endswith("on the disk for resnet18.") and "resnet18" not in absent.text
