"""Frozen feature extractors behind one interface.

    backbone = load()                                  # the embedded network, trained weights that came with the course
    backbone = load("embedded", weights="random", seed=0)
    backbone = load("alexnet", weights="pretrained")   # the published backbone of DifferNet; fetched when asked for
    maps = backbone(images)                            # images (B, 3, H, W) in [0, 1] -> one (B, C, h, w) per tap
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import weights_file
from .alexnet import AlexNet, WeightsUnavailable
from .base import Backbone, Tap, randomise, receptive_field
from .embedded import Embedded
from .weights_file import WeightsDamaged

NAMES = ("embedded", "alexnet")
WEIGHTS = {"embedded": ("embedded", "random"), "alexnet": ("random", "pretrained")}  # the first one is the default

__all__ = ["NAMES", "WEIGHTS", "AlexNet", "Backbone", "Embedded", "Tap", "WeightsDamaged", "WeightsUnavailable", "load",
           "randomise", "receptive_field"]


def load(name: str = "embedded", weights: str | Path | None = None, seed: int = 0,
         taps: Iterable[str] | None = None) -> Backbone:
    """A frozen backbone in evaluation mode.

    Args:
        name: ``"embedded"`` or ``"alexnet"``.
        weights: ``"embedded"`` (trained on procedural images, the default of the embedded network), ``"random"``
            (drawn from ``seed``, the default of AlexNet), ``"pretrained"`` (AlexNet on ImageNet: fetched into torch's
            cache the first time), or the path of an ``embedded`` weights file that ``pretrain`` wrote.
        seed: for random weights only.
        taps: names of the maps to return, in this order; None means the backbone's default.

    Raises:
        ValueError: unknown name, weights or tap. WeightsUnavailable: nothing to fetch from. WeightsDamaged: wrong file.
    """
    if name not in NAMES:
        raise ValueError(f"There is no backbone {name!r}. Choose from {', '.join(NAMES)}.")
    weights = WEIGHTS[name][0] if weights is None else weights
    from_file = name == "embedded" and str(weights).endswith(".safetensors")
    if weights not in WEIGHTS[name] and not from_file:
        also = ", or the path of a .safetensors file" if name == "embedded" else ""
        raise ValueError(f"The backbone {name!r} has no weights {str(weights)!r}. Choose from "
                         f"{', '.join(WEIGHTS[name])}{also}.")
    backbone = Embedded(taps) if name == "embedded" else AlexNet(taps)
    if weights == "random":
        randomise(backbone, seed)
        backbone.label = f"{name} random seed {seed}"
    elif weights == "pretrained":
        backbone.label = f"{name} ImageNet {backbone.load_pretrained()}"
    else:
        state, digest = weights_file.read(Path(weights) if from_file else weights_file.EMBEDDED)
        backbone.stages.load_state_dict(state)
        backbone.label = f"{name} {digest[:8]}"
    backbone.settings = {"name": name, "weights": str(weights), "seed": seed, "taps": list(backbone.taps)}
    return backbone.freeze()
