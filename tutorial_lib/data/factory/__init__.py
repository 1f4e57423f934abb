"""The defect factory: eight products, normal and defective, with exact masks, from a seed and without a download.

Four textures (``carpet``, ``metal``, ``leather``, ``wood``) and four objects (``washer``, ``board``, ``capsule``,
``nut``). Every image is its own scene: pose, light
and sensor noise differ. A defective image has a *twin*: the same scene, light and noise without the defect. The mask is
where the two differ.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.data.factory import board, capsule, leather, nut, textures, washer, wood
from tutorial_lib.data.factory.defects import SURFACE
from tutorial_lib.data.factory.faults import Fault
from tutorial_lib.data.factory.layout import REMOVABLE
from tutorial_lib.data.factory.scene import Camera
from tutorial_lib.data.splits import Split

CATEGORIES = ("carpet", "metal", "washer", "board", "leather", "wood", "capsule", "nut")
DEFECTS = {
    "carpet": ("scratch", "crack", "spot", "contamination"),
    "metal": ("scratch", "crack", "spot", "contamination"),
    "washer": ("scratch", "crack", "spot", "contamination", "missing", "misplaced"),
    "board": ("scratch", "crack", "spot", "contamination", "missing", "misplaced"),
    "leather": ("scratch", "crack", "spot", "contamination", "dent"),
    "wood": ("scratch", "crack", "spot", "contamination", "dent"),
    "capsule": ("scratch", "crack", "spot", "contamination", "missing", "misplaced", "dent", "turned"),
    "nut": ("scratch", "crack", "spot", "contamination", "missing", "misplaced", "dent", "turned"),
}
SEVERITY = 0.6
VISIBLE = 1e-3    # smallest difference that counts, of a range of 1: a quarter of one grey level of an 8-bit picture

_SCENES = {"carpet": textures.carpet, "metal": textures.metal, "washer": washer.draw, "board": board.draw,
           "leather": leather.draw, "wood": wood.draw, "capsule": capsule.draw, "nut": nut.draw}
_PARTS = {"board": REMOVABLE}


class Pairs(NamedTuple):
    """Defective images ``(n, 3, S, S)``, their masks ``(n, S, S)`` bool, and their defect-free twins."""

    images: Tensor
    masks: Tensor
    twins: Tensor


def normal(category: str, n: int, size: int = 128, seed: int = 0) -> Tensor:
    """``n`` defect-free images, ``(n, 3, size, size)`` float32 in [0, 1]. Image i does not depend on n."""
    return _normal(category, n, size, seed, "train")


def defective(category: str, kind: str, n: int, size: int = 128, severity: float = SEVERITY,
              seed: int = 0) -> tuple[Tensor, Tensor]:
    """``n`` images with one defect each and their masks ``(n, size, size)`` bool.

    Severity runs from 0 (nothing) to 1 (obvious): opacity of a surface defect, extent of a missing or misplaced
    part, angle of a turned one.
    Scene, place and shape depend on ``seed`` alone, so that severity turns one defect up and down.
    """
    return pairs(category, kind, n, size, severity, seed)[:2]


def pairs(category: str, kind: str, n: int, size: int = 128, severity: float = SEVERITY, seed: int = 0) -> Pairs:
    """``defective`` with the twins: the same pictures without the defect.

    A mask is True exactly where an image and its twin differ by more than ``VISIBLE`` in some channel.
    """
    _check(category, n, size, seed)
    if kind not in DEFECTS[category]:
        raise ValueError(f"{category!r} has no defect {kind!r}. Expected one of {', '.join(DEFECTS[category])}.")
    if not 0 < severity <= 1:
        raise ValueError(f"severity is {severity}. Expected a number above 0 (nothing to see) and up to 1 (obvious).")
    images, twins = np.empty((2, n, 3, size, size), np.float32)
    for index in range(n):
        images[index], twins[index] = _pair(category, kind, size, severity, (seed, category, kind, index))
    masks = np.abs(images - twins).max(1) > VISIBLE
    return Pairs(torch.from_numpy(images), torch.from_numpy(masks), torch.from_numpy(twins))


def split(category: str, size: int = 128, n_train: int = 100, n_good: int = 30, n_per_kind: int = 10, seed: int = 0,
          severity: float = SEVERITY) -> Split:
    """Normal images to learn from; as test set other normal images and ``n_per_kind`` of each kind of defect."""
    train = normal(category, n_train, size, seed)
    good = _normal(category, n_good, size, seed, "test")
    found = [pairs(category, kind, n_per_kind, size, severity, seed) for kind in DEFECTS[category]]
    kinds = ["good"] * n_good + [kind for kind in DEFECTS[category] for _ in range(n_per_kind)]
    return Split(name=f"{category} {size} px", train=train, test=torch.cat([good, *(pair.images for pair in found)]),
                 labels=torch.tensor([kind != "good" for kind in kinds], dtype=torch.bool), kinds=kinds,
                 masks=torch.cat([torch.zeros(n_good, size, size, dtype=torch.bool), *(pair.masks for pair in found)]))


def _normal(category: str, n: int, size: int, seed: int, role: str) -> Tensor:
    _check(category, n, size, seed)
    images = np.empty((n, 3, size, size), np.float32)
    for index in range(n):
        key = (seed, category, role, index)
        scene = _SCENES[category](_rng(*key, "scene"), size)
        images[index] = Camera(_rng(*key, "camera"), size).photograph(scene.image)
    return torch.from_numpy(images)


def _pair(category: str, kind: str, size: int, severity: float, key: tuple) -> tuple[np.ndarray, np.ndarray]:
    draw, camera = _SCENES[category], Camera(_rng(*key, "camera"), size)
    scene = draw(_rng(*key, "scene"), size)
    twin = camera.photograph(scene.image)
    if kind in SURFACE:
        clean = scene.image.copy()
        SURFACE[kind](scene, _rng(*key, "defect"))
        scene.image = clean + np.float32(np.sin(np.pi / 2 * severity)) * (scene.image - clean)   # 0.6: opacity 0.81
    else:
        fault = Fault(_rng(*key, "defect"), kind, severity, _PARTS.get(category, ("",)))
        scene = draw(_rng(*key, "scene"), size, fault)
    return camera.photograph(scene.image), twin


def _rng(*key: str | int) -> np.random.Generator:
    """An independent stream per key: what one image draws never shifts another."""
    return np.random.default_rng([zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key])


def _check(category: str, n: int, size: int, seed: int) -> None:
    if category not in CATEGORIES:
        raise ValueError(f"Unknown category {category!r}. Expected one of {', '.join(CATEGORIES)}.")
    if n < 0 or size < 16 or seed < 0:
        raise ValueError(f"n = {n}, size = {size}, seed = {seed}. Expected n ≥ 0, size ≥ 16 px and seed ≥ 0.")
