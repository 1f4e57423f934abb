"""Frozen feature extractors behind one interface.

    backbone = load()                                  # the embedded network, trained weights that came with the course
    backbone = load("embedded", weights="random", seed=0)
    backbone = load("wide_resnet50_2", weights="pretrained", taps=("layer2", "layer3", "layer4"))   # fetched when asked
    backbone = load("resnet18", weights="/your/folder/resnet18.safetensors")                        # or .pth, .pt
    maps = backbone(images)                            # images (B, 3, H, W) in [0, 1] -> one (B, C, h, w) per tap
    backbone.identity()                                # what decides the maps: network, weights, taps, normalisation
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from . import checkpoints, weights_file
from .alexnet import AlexNet
from .base import Backbone, Tap, receptive_field
from .checkpoints import Published, WeightsUnavailable
from .embedded import Embedded
from .published import PublishedBackbone
from .random_weights import randomise
from .torchvision_convnets import EfficientNetB5, MobileNetV3Large, ResNet18, WideResNet50
from .transformers import CaiT, DeiT, MissingPackage, ViT
from .weights_file import WeightsDamaged

CLASSES = {kind.name: kind for kind in (Embedded, AlexNet, ResNet18, WideResNet50, EfficientNetB5, MobileNetV3Large,
                                        ViT, DeiT, CaiT)}
NAMES = tuple(CLASSES)
# By name, the first one is the default: nothing is ever fetched without being asked for.
WEIGHTS = {name: ("embedded", "random") if name == "embedded" else ("random", "pretrained") for name in NAMES}

__all__ = ["CLASSES", "NAMES", "WEIGHTS", "AlexNet", "Backbone", "Embedded", "MissingPackage", "Published",
           "PublishedBackbone", "Tap", "WeightsDamaged", "WeightsUnavailable", "load", "randomise", "receptive_field"]


def load(name: str = "embedded", weights: str | Path | None = None, seed: int = 0,
         taps: Iterable[str] | None = None) -> Backbone:
    """A frozen backbone in evaluation mode.

    Args:
        name: one of ``NAMES``.
        weights: ``"embedded"`` (trained on procedural images, the default of the embedded network), ``"random"``
            (drawn from ``seed``, the default of all others), ``"pretrained"`` (the published ImageNet weights: fetched
            into torch's cache the first time), or the path of a file: what ``pretrain`` wrote for the embedded
            network, a ``.safetensors``, ``.pth`` or ``.pt`` state dict for the others.
        seed: for random weights only.
        taps: names of the maps to return, in this order; None means the backbone's default.

    Raises:
        ValueError: unknown name, weights or tap. WeightsUnavailable: nothing to fetch from. WeightsDamaged: wrong file.
        MissingPackage: the backbone needs timm, and it is not installed.
    """
    if name not in NAMES:
        raise ValueError(f"There is no backbone {name!r}. Choose from {', '.join(NAMES)}.")
    weights = WEIGHTS[name][0] if weights is None else weights
    suffixes = checkpoints.SUFFIXES[:1] if name == "embedded" else checkpoints.SUFFIXES
    from_file = str(weights).endswith(suffixes)
    if weights not in WEIGHTS[name] and not from_file:
        raise ValueError(f"The backbone {name!r} has no weights {str(weights)!r}. Choose from "
                         f"{', '.join(WEIGHTS[name])}, or the path of a {', '.join(suffixes)} file.")
    with torch.inference_mode(False):  # weights made in inference mode could never take part in a gradient map
        backbone = CLASSES[name](taps)
        if weights == "random":
            randomise(backbone, seed)
            backbone.label = f"{name} random seed {seed}"
        elif name == "embedded":
            state, digest = weights_file.read(Path(weights) if from_file else weights_file.EMBEDDED)
            backbone.stages.load_state_dict(state)
            backbone.label = f"{name} {digest[:8]}"
        elif from_file:
            state, digest = checkpoints.read(Path(weights))
            backbone.fill(state, str(weights))
            backbone.label = f"{name} {Path(weights).stem} {digest[:8]}"
        else:
            source = backbone.source()
            state, digest = checkpoints.obtain(name, source)
            backbone.fill(state, str(source.file))
            backbone.label = f"{name} ImageNet {digest[:8]}"
        backbone.settings = {"name": name, "weights": str(weights), "seed": seed, "taps": list(backbone.taps)}
        return backbone.freeze()
