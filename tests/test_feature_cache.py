"""The feature cache: nothing is computed twice, nothing wrong is ever returned, and the folder stays small."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from tutorial_lib import backbones, detectors
from tutorial_lib.backbones.cache import CachedBackbone, FeatureCache

TAPS = ("stride4", "stride8")


def pictures(n=3, size=32, seed=0):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path)


def counted(backbone, monkeypatch):
    """Count the images that the network really sees."""
    seen, maps = [], backbone.maps
    monkeypatch.setattr(backbone, "maps", lambda x, last: seen.extend(range(len(x))) or maps(x, last))
    return seen


def stored(cache):
    return [f for f in cache.folder.rglob("*") if f.is_file()]


@pytest.mark.parametrize("memory", [0, 1 << 28], ids=["from disk", "from memory"])
def test_the_second_time_nothing_is_computed_and_the_maps_are_the_same_to_the_bit(tmp_path, monkeypatch, memory):
    backbone = backbones.load(taps=TAPS)
    seen = counted(backbone, monkeypatch)
    cached = FeatureCache(tmp_path, memory=memory).of(backbone)
    first, again = cached(pictures()), cached(pictures())
    assert len(seen) == 3
    assert all(torch.equal(a, b) and torch.equal(a, c)
               for a, b, c in zip(first, again, backbone(pictures()), strict=True))
    cached(torch.cat([pictures(), pictures(2, seed=1)]))
    assert len(seen) == 3 + 3 + 2  # the third line asked the bare network; then only the two new images
    FeatureCache(tmp_path).of(backbone)(pictures())
    assert len(seen) == 8  # a new process, so to speak


@pytest.mark.parametrize("other", [
    lambda: backbones.load("embedded", "random", seed=0), lambda: backbones.load("embedded", "random", seed=1),
    lambda: backbones.load().double()], ids=["other weights", "another seed", "another number type"])
def test_what_changes_the_maps_changes_the_name(cache, other):
    cache.of(backbones.load())(pictures())
    found = cache.of(backbone := other())
    images = pictures().to(backbone.mean.dtype)
    assert all(torch.equal(a, b) for a, b in zip(found(images), backbone(images), strict=True))
    assert cache.hits == 0


def test_another_image_size_and_content_are_computed(cache):
    cached = cache.of(backbones.load())
    cached(pictures())
    for images in (pictures(seed=1), pictures(size=48), pictures() + 1e-3):
        cached(images)
    assert cache.hits == 0 and cache.misses == 12


def test_each_tap_is_stored_by_itself_and_keeps_its_place(cache):
    cache.of(backbones.load(taps=("stride4", "stride8", "stride16")))(pictures())
    fine, coarse = cache.of(backbones.load(taps=("stride4", "stride16")))(pictures())
    swapped = cache.of(backbones.load(taps=("stride16", "stride4")))(pictures())
    assert cache.hits == 6
    assert torch.equal(fine, swapped[1]) and torch.equal(coarse, swapped[0])


def test_maps_can_be_trained_on_and_images_keep_their_gradients(cache):
    backbone = backbones.load(taps=TAPS)
    cached = cache.of(backbone)
    for _ in range(2):
        weight = torch.ones(48, 1, 1, requires_grad=True)
        (weight * cached(pictures())[0]).sum().backward()
        assert weight.grad.abs().sum() > 0
    gradients = []
    for network in (cached, backbone):
        image = pictures(1).requires_grad_()
        network(image)[1].square().sum().backward()
        gradients.append(image.grad)
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0


def test_forward_and_backward_differentiation_agree_through_a_frozen_backbone(cache):
    bare = backbones.load(taps=TAPS)
    image, direction = pictures(1), pictures(1, seed=1)
    for network in (bare, cache.of(bare), cache.of(bare)):
        _, forward = torch.func.jvp(lambda x, n=network: n(x)[1].square().sum(), (image,), (direction,))
        backward, = torch.func.vjp(lambda x, n=network: n(x)[1].square().sum(), image)[1](torch.tensor(1.0))
        assert forward.abs() > 0
        assert torch.allclose(forward, (backward * direction).sum(), rtol=1e-4)
    assert cache.hits == cache.misses == 0  # nothing that is differentiated comes from the shelf


def test_half_precision_takes_half_the_room_and_returns_the_same_maps_every_time(tmp_path):
    backbone = backbones.load(taps=TAPS)
    full, half = FeatureCache(tmp_path / "full", memory=0), FeatureCache(tmp_path / "half", memory=0, half=True)
    exact, first, again = full.of(backbone)(pictures()), half.of(backbone)(pictures()), half.of(backbone)(pictures())
    size = [sum(f.stat().st_size for f in stored(c)) for c in (half, full)]
    assert size[0] < 0.6 * size[1]
    for a, b, c in zip(exact, first, again, strict=True):
        assert torch.equal(b, c) and b.dtype == torch.float32
        assert torch.allclose(a, b, rtol=2**-10, atol=1e-6)  # float16 keeps 11 bits


def test_the_folder_stays_below_its_limit_and_what_was_used_last_stays(tmp_path):
    backbone = backbones.load(taps=("stride8",))
    one = FeatureCache(tmp_path / "one")
    one.of(backbone)(pictures(1))
    size = stored(one)[0].stat().st_size
    cache = FeatureCache(tmp_path, limit=10 * size, memory=0)
    cached, favourite = cache.of(backbone), pictures(1, seed=99)
    cached(favourite)
    for seed in range(30):
        for file in stored(cache):  # as if each image came a minute after the one before
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 60))
        cached(pictures(1, seed=seed))
        cached(favourite)
        assert sum(f.stat().st_size for f in stored(cache)) <= 10 * size
    assert (cache.hits, cache.misses) == (30, 31)


@pytest.mark.parametrize("damage", [b"", b"not a map", None], ids=["empty", "other bytes", "cut off"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    cache = FeatureCache(tmp_path, memory=0)
    cached = cache.of(backbones.load(taps=("stride8",)))
    right = cached(pictures(1))[0]
    file, = stored(cache)
    file.write_bytes(file.read_bytes()[:-7] if damage is None else damage)
    assert torch.equal(cached(pictures(1))[0], right)
    assert cache.misses == 2
    assert torch.equal(cached(pictures(1))[0], right) and cache.hits == 1


def test_what_a_killed_process_left_is_neither_read_nor_kept_for_ever(tmp_path):
    cache = FeatureCache(tmp_path, memory=0)
    cached = cache.of(backbones.load(taps=("stride8",)))
    cached(pictures(1))
    file, = stored(cache)
    left = [file.with_name(f"{file.name}.{k}.part") for k in "ab"]
    for part in left:
        part.write_bytes(file.read_bytes()[:50])
    os.utime(left[0], (time.time() - 7200,) * 2)
    file.unlink()
    cached(pictures(1))
    assert cache.misses == 2
    FeatureCache(tmp_path).of(cached.backbone)(pictures(1, seed=1))  # counts what is there
    assert not left[0].exists() and left[1].exists()


def test_a_full_disk_is_said_once_and_the_maps_still_come(cache, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    cached = cache.of(backbones.load(taps=TAPS))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="No space left.*choose another folder") as said:
        maps = cached(pictures())
    assert len(said) == 1 and stored(cache) == []
    assert all(torch.equal(a, b) for a, b in zip(maps, cached.backbone(pictures()), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no second warning
        assert cached(pictures(seed=1))[0].shape[0] == 3


WORKER = """
import sys, torch, tutorial_lib
from tutorial_lib import backbones
from tutorial_lib.backbones.cache import FeatureCache
torch.set_num_threads(1)
backbone = backbones.load(taps=("stride8",))
cache = FeatureCache(sys.argv[1], limit=200_000, memory=0)
images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
for k in range(3):
    for i in range(40):
        one = images[i:i + 1]
        assert torch.equal(cache.of(backbone)(one)[0], backbone(one)[0]), i
print(cache.hits, cache.misses)
"""


@pytest.mark.slow
def test_two_processes_share_a_folder_that_is_too_small_for_both(tmp_path):
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        out, err = worker.communicate(timeout=120)
        assert worker.returncode == 0, err
        assert sum(map(int, out.split())) == 120
    assert not list(FeatureCache(tmp_path).folder.rglob("*.part"))


def test_a_detector_scores_the_same_with_a_cached_backbone(cache):
    plain, cached = (detectors.create("gaussian", backbone=b, size=32, progress=False)
                     for b in (backbones.load(taps=TAPS), cache.of(backbones.load(taps=TAPS))))
    images = pictures(12)
    plain.fit(images)
    for _ in range(2):
        cached.fit(images)
        assert torch.equal(plain.score(images), cached.score(images))
    assert isinstance(cached.backbone, CachedBackbone) and cache.hits > 0


def test_limits_below_zero_get_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"limit is -1.*Expected bytes"):
        FeatureCache(tmp_path, limit=-1)


def test_clear_removes_every_map(cache):
    cache.of(backbones.load())(pictures())
    cache.clear()
    assert stored(cache) == []
