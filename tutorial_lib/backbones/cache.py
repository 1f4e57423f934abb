"""Feature maps computed once: a frozen network gives the same maps for the same image in every epoch.

    backbone = FeatureCache().of(load("resnet18"))
    maps = backbone(images)                  # the second time, nothing is computed

Each map of each image is one safetensors file, named by a hash of everything that decides it: the image's content and
size, the network, its weights, its normalisation, the tap. Another image or other weights have another name, so nothing
has to be declared invalid. A file takes its name only when it is complete; a damaged one is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor, nn

from .base import Backbone, differentiated

GIGABYTE = 1 << 30
ABANDONED_S = 3600.0  # an unfinished file of this age belongs to a process that was killed
KEPT_SHARE = 0.8      # how much of the limit is kept when the oldest files are removed


def default_folder() -> Path:
    """``FLOW_COURSE_CACHE``, or else a folder of the user's cache."""
    named = os.environ.get("FLOW_COURSE_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flow-course"


class FeatureCache:
    """Maps on disk, and the latest of them in memory. Several processes may share a folder.

    Args:
        folder: where the files go; None means ``default_folder()``.
        limit: bytes on disk; beyond it the files that were not used for longest are removed.
        memory: bytes kept in memory as well.
        half: store float16, half the size. Maps come back in their own type, rounded to about three digits.
    """

    def __init__(self, folder: str | Path | None = None, limit: int = 2 * GIGABYTE, memory: int = GIGABYTE // 4,
                 half: bool = False):
        if limit < 0 or memory < 0:
            raise ValueError(f"FeatureCache: limit is {limit} and memory is {memory}. Expected bytes, 0 or more.")
        self.folder = (default_folder() if folder is None else Path(folder)) / "features"
        self.limit, self.memory, self.half = limit, memory, half
        self.hits = self.misses = 0
        self._near: OrderedDict[str, Tensor] = OrderedDict()
        self._near_bytes = 0
        self._on_disk: int | None = None  # unknown until something is written

    def of(self, backbone: Backbone) -> CachedBackbone:
        """The same backbone, looking here before it computes."""
        return CachedBackbone(backbone, self)

    def get(self, key: str) -> Tensor | None:
        """The map stored under ``key`` as it was stored, or None. A file that cannot be read is removed."""
        if key in self._near:
            self._near.move_to_end(key)
            return self._near[key]
        file = self._file(key)
        try:
            found = load_bytes(file.read_bytes())["map"]
            os.utime(file)  # used now: among the last to be removed
        except (OSError, SafetensorError, KeyError) as error:
            if not isinstance(error, FileNotFoundError):
                _remove(file)
            return None
        self._remember(key, found)
        return found

    def put(self, key: str, found: Tensor) -> Tensor:
        """Store a map and return it as ``get`` will.

        Where the disk refuses, a warning says so once and the map stays in memory only.
        """
        found = found.detach().to("cpu", torch.float16 if self.half else found.dtype).contiguous().clone()
        self._remember(key, found)
        if self.limit == 0:
            return found
        file, content = self._file(key), save_bytes({"map": found})
        part = file.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            os.replace(part, file)
        except OSError as error:
            _remove(part)
            warnings.warn(f"Features cannot be stored in {self.folder} ({error.strerror or error}). They are computed "
                          "again next time. Free some space or choose another folder: FeatureCache(folder).",
                          stacklevel=2)
            self.limit = 0
            return found
        if self._on_disk is None:
            self._on_disk = sum(size for _, size, _ in self._files())
        else:
            self._on_disk += len(content)
        if self._on_disk > self.limit:
            self._shrink()
        return found

    def clear(self) -> None:
        """Remove every stored map."""
        self._near.clear()
        self._near_bytes = 0
        for _, _, file in self._files():
            _remove(file)
        self._on_disk = 0

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _remember(self, key: str, found: Tensor) -> None:
        if key in self._near:
            self._near_bytes -= self._near.pop(key).nbytes
        self._near[key] = found
        self._near_bytes += found.nbytes
        while self._near and self._near_bytes > self.memory:
            self._near_bytes -= self._near.popitem(last=False)[1].nbytes

    def _files(self) -> list[tuple[float, int, Path]]:
        """Time of last use, bytes and path of every stored map; what a killed process left is removed on the way."""
        found = []
        for file in self.folder.glob("*/*"):
            try:
                stat = file.stat()
            except OSError:  # another process removed it
                continue
            if file.suffix == ".safetensors":
                found.append((stat.st_mtime, stat.st_size, file))
            elif file.suffix == ".part" and time.time() - stat.st_mtime > ABANDONED_S:
                _remove(file)
        return found

    def _shrink(self) -> None:
        files = sorted(self._files())
        self._on_disk = sum(size for _, size, _ in files)
        if self._on_disk <= self.limit:  # another process has made room
            return
        for _, size, file in files:
            if self._on_disk <= KEPT_SHARE * self.limit:
                break
            _remove(file)
            self._on_disk -= size


class CachedBackbone(Backbone):
    """A backbone whose maps come from ``cache`` where it has them. Derivatives by the images are always computed.

    Maps that were computed alone and in a batch may differ in their last digits; a stored map stays what it is.
    """

    def __init__(self, backbone: Backbone, cache: FeatureCache):
        nn.Module.__init__(self)
        self.backbone, self.cache = backbone, cache
        self.name, self.label, self.settings = backbone.name, backbone.label, backbone.settings
        self.taps, self.ALL_TAPS, self.MIN_SIZE = backbone.taps, backbone.ALL_TAPS, backbone.MIN_SIZE

    def identity(self) -> dict:
        """That of the backbone inside."""
        return self.backbone.identity()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """As ``Backbone.forward``; the maps leave on the device of ``images`` as ordinary tensors."""
        if not len(images) or differentiated(images):
            return self.backbone(images)
        identity = self.identity()
        del identity["taps"]  # each tap is stored by itself, so that detectors with other taps share it
        who = json.dumps(identity | {"half": self.cache.half}, sort_keys=True)
        keys = [[_key(who, tap, image) for tap in self.taps] for image in images]
        found = [[self.cache.get(key) for key in row] for row in keys]
        missing = [i for i, row in enumerate(found) if any(one is None for one in row)]
        self.cache.hits += len(images) - len(missing)
        self.cache.misses += len(missing)
        if missing:
            fresh = self.backbone(images[missing])
            for i, *maps in zip(missing, *fresh, strict=True):
                found[i] = [self.cache.put(key, one) for key, one in zip(keys[i], maps, strict=True)]
        return tuple(torch.stack([one.to(images.device, images.dtype) for one in maps])
                     for maps in zip(*found, strict=True))


def _key(who: str, tap: str, image: Tensor) -> str:
    digest = hashlib.sha256(f"{who} {tap} {image.dtype} {tuple(image.shape)}".encode())
    digest.update(image.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):  # someone is reading it (Windows): it is removed another time
        file.unlink(missing_ok=True)
