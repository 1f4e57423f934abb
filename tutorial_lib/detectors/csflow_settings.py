"""Every number of CS-Flow: the small setting as defaults, the paper's beside it. What they mean: ``csflow.py``."""

from __future__ import annotations

from dataclasses import dataclass

from . import base
from .errors import DetectorError

CHOICES = {"shrink": ("nearest", "antialias"), "clamp": ("Atan0636Clamp", "AtanClamp"), "gammas": ("scale", "network"),
           "map": ("finest", "mean", "product"), "channels": ("mean", "sum")}


@dataclass(frozen=True, kw_only=True)
class CSFlowSettings(base.Settings):
    """The defaults are the ``small`` setting.

    Attributes:
        scales: the image is seen at size, size / 2, size / 4, ...: so many scales.
        shrink: how it is made smaller: ``"nearest"`` (every 2nd, 4th pixel) or ``"antialias"`` (averaging).
        whiten: put an affine flow in front of each scale; its part of the log_det is a constant.
        ridge: of the whitening, as a share of the mean variance.
        blocks: permutation and two-sided coupling, so often.
        kernel, last_kernel: side of the windows in all blocks but the last, and in the last.
        hidden: channels between the two layers of an s/t network.
        exchange: whether neighbouring scales meet inside the s/t networks.
        gamma, gammas: start of the learned factors of s and t; one per ``"scale"`` or per ``"network"``.
        clamp, alpha: class in ``flows.clamps`` and its bound.
        images_per_step: an optimiser step sees so many; the last batch of an epoch may be smaller.
        epochs: passes over the images; ``steps`` overrides it with a number of optimiser steps.
        lr, eps, weight_decay: of Adam. clip: longest gradient, over all weights together; 0 for no limit.
        map: ``"finest"`` scale, or ``"mean"`` or ``"product"`` of all. channels: ``"mean"`` or ``"sum"`` over them.
    """

    size: int = 64
    scales: int = 3
    shrink: str = "antialias"
    whiten: bool = True
    ridge: float = 1e-3
    blocks: int = 4
    kernel: int = 3
    last_kernel: int = 3
    hidden: int = 32
    exchange: bool = True
    gamma: float = 0.0
    gammas: str = "scale"
    clamp: str = "Atan0636Clamp"
    alpha: float = 3.0
    images_per_step: int = 8
    epochs: int = 0
    steps: int = 180
    lr: float = 3e-3
    eps: float = 1e-8
    weight_decay: float = 1e-5
    clip: float = 1.0
    map: str = "finest"
    channels: str = "mean"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise DetectorError(f"csflow got {name}={getattr(self, name)!r}. Expected one of {', '.join(allowed)}.")
        for name in ("kernel", "last_kernel"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 == 0:
                raise DetectorError(f"csflow got {name}={getattr(self, name)}. Expected an odd number: 1, 3, 5.")
        for name in ("scales", "blocks", "hidden", "images_per_step"):
            if getattr(self, name) < 1:
                raise DetectorError(f"csflow got {name}={getattr(self, name)}. Expected 1 or more.")
        for name in ("alpha", "ridge", "lr", "eps"):
            if not 0 < getattr(self, name) < float("inf"):
                raise DetectorError(f"csflow got {name}={getattr(self, name)}. Expected a number above 0.")
        for name in ("weight_decay", "clip"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise DetectorError(f"csflow got {name}={getattr(self, name)}. Expected 0 or more.")
        if self.steps <= 0 and self.epochs <= 0:
            raise DetectorError(f"csflow got steps={self.steps} and epochs={self.epochs}. Expected one above 0.")
        if self.taps is not None and len(self.taps) != 1:
            raise DetectorError(f"csflow got taps={self.taps!r}. Expected one tap, such as ('stride8',): its maps of "
                                "the image at several sizes are the scales.")

    def kernel_of(self, block: int) -> int:
        """Side of the windows in block 0, 1, ..."""
        return self.last_kernel if block == self.blocks - 1 else self.kernel


PAPER = {
    "size": 768, "batch": 4, "scales": 3, "shrink": "nearest", "whiten": False, "blocks": 4, "kernel": 3,
    "last_kernel": 5, "hidden": 1024, "exchange": True, "gamma": 0.0, "gammas": "scale", "clamp": "Atan0636Clamp",
    "alpha": 3.0, "images_per_step": 16, "epochs": 240, "steps": 0, "lr": 2e-4, "eps": 1e-4, "weight_decay": 1e-5,
    "clip": 1.0, "map": "finest", "channels": "mean",
}
PAPER_TAP = ("stage6",)  # 304 channels; the next block has 512 at the same stride
