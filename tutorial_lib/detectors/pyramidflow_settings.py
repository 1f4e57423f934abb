"""Every number of PyramidFlow: the small setting as defaults, the paper's beside it. See ``pyramidflow``."""

from __future__ import annotations

from dataclasses import dataclass

from tutorial_lib.flows.pyramid import max_down, nearest_down

from . import base
from .errors import DetectorError

DOWNS = {"max": max_down, "nearest": nearest_down}
NORMS = ("channel", "spatial", "none")


@dataclass(frozen=True, kw_only=True)
class PyramidFlowSettings(base.Settings):
    """The defaults are the ``small`` setting.

    Attributes:
        levels: of the pyramid; ``size`` must be a multiple of 2^(levels - 1).
        channels: of every level, drawn from the three colours by the stem; at least 3 (more leave empty directions, see
            ``pyramidflow``). A backbone brings its own.
        stacks: couplings over all levels, one after the other. kernel: sides of the windows of their networks.
        down: ``"max"`` (released code) or ``"nearest"`` (paper). Both blur first.
        norm: mean of the log-scales over the channels of a position (``"channel"``), over the positions of a channel
            (``"spatial"``), always over the batch too, or ``"none"``: nothing forbids shrinking then.
        momentum: share of the newest batch in the running means that evaluation subtracts.
        images_per_step: an optimiser step sees so many, and compares every pair of them.
        epochs: passes over the images; ``steps`` overrides it with a number of optimiser steps.
        lr, betas, eps, weight_decay: of Adam. clip: longest gradient.
        flips: turn each training image left-right, upside down and by a quarter, each with probability 1/2.
        template_images: so many training images make the template; 0 means all.
        map_sigma: blur of the map before its maximum is taken, in pixels; 0 for none.
        reversible: keep no activations while training: less memory, more time, the same gradients up to rounding.
    """

    size: int = 64
    backbone: str | None = None
    levels: int = 4
    channels: int = 3
    stacks: int = 4
    kernel: int = 3
    down: str = "max"
    norm: str = "channel"
    momentum: float = 0.1
    images_per_step: int = 4
    epochs: int = 0
    steps: int = 200
    lr: float = 1e-2
    betas: tuple[float, float] = (0.5, 0.9)
    eps: float = 1e-4
    weight_decay: float = 1e-5
    clip: float = 1.0
    flips: bool = False
    template_images: int = 0
    map_sigma: float = 1.0
    reversible: bool = False

    def __post_init__(self) -> None:
        for name, allowed in {"down": tuple(DOWNS), "norm": NORMS}.items():
            if getattr(self, name) not in allowed:
                raise DetectorError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}.")
        least_of = {"levels": 2, "channels": 3, "stacks": 1, "images_per_step": 2, "template_images": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise DetectorError(f"{name}={getattr(self, name)}: expected {least} or more.")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise DetectorError(f"kernel={self.kernel}: expected an odd number, such as 3 or 7.")
        if not 0 < self.momentum <= 1:
            raise DetectorError(f"momentum={self.momentum}: expected a share above 0 and up to 1.")
        for name in ("lr", "clip", "eps"):
            if not getattr(self, name) > 0:  # NaN too
                raise DetectorError(f"{name}={getattr(self, name)}: expected a number above 0.")
        if not 0 <= self.map_sigma < float("inf"):
            raise DetectorError(f"map_sigma={self.map_sigma}: expected 0 or a number of pixels above it.")
        if self.steps <= 0 and self.epochs <= 0:
            raise DetectorError(f"steps={self.steps} and epochs={self.epochs}: expected one of them above 0.")
        if self.backbone is None:
            check_side("size", self.size, self.levels)


def check_side(name: str, side: int, levels: int) -> None:
    """Raise unless ``side`` can be halved ``levels - 1`` times."""
    step = 2 ** (levels - 1)
    if side % step or side < step:
        near = max(1, round(side / step)) * step
        raise DetectorError(f"{name}={side} cannot be halved {levels - 1} times, as levels={levels} needs. Expected a "
                            f"multiple of {step}, such as {near}, or fewer levels.")


PAPER = {
    "size": 256, "levels": 4, "channels": 16, "stacks": 4, "kernel": 7, "down": "max", "norm": "channel",
    "momentum": 0.1, "images_per_step": 2, "epochs": 15, "steps": 0, "lr": 2e-4, "betas": (0.5, 0.9), "eps": 1e-4,
    "weight_decay": 1e-5, "clip": 1.0, "flips": False, "template_images": 0, "map_sigma": 0.0, "batch": 1,
}
ENCODERS = {None: {}, "resnet18": {"size": 1024, "taps": ("layer1",)}}  # the released code's default is resnet18
SPATIAL = ("carpet", "grid", "bottle", "transistor")
LEVELS = {"metal_nut": 8, "carpet": 8, "transistor": 8, "screw": 2}
TEXTURES = ("carpet", "leather", "tile", "wood", "grid")


def of_category(category: str | None) -> dict:
    """What the released code changes for single categories of MVTec AD; nothing for any other name."""
    return {"norm": "spatial" if category in SPATIAL else "channel", "levels": LEVELS.get(category, 4),
            "flips": category in TEXTURES}
