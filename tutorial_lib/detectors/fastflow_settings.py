"""Every number of FastFlow: the small setting as defaults, the paper's beside it. What they mean: ``fastflow.py``."""

from __future__ import annotations

from dataclasses import dataclass

from . import base
from .errors import DetectorError

COUPLINGS = ("one-sided", "two-sided")
NORMS = ("none", "plain", "learned")


@dataclass(frozen=True, kw_only=True)
class FastFlowSettings(base.Settings):
    """The defaults are the ``small`` setting.

    Attributes:
        norm: LayerNorm over (C, h, w) in front of each flow: ``"none"``, ``"plain"`` or ``"learned"``.
        whiten: put the affine flow of each tap in front; its part of the log_det is a constant.
        ridge: of the whitening, as a share of the mean variance.
        blocks: coupling blocks of each flow. coupling: ``"one-sided"`` or ``"two-sided"``.
        kernels: sides of the subnets' windows, used in turn from block to block.
        ratio: hidden channels of a subnet, as a share of those it reads.
        alpha, clamp_gain: the log-scale is alpha tanh(clamp_gain a).
        zero_init: begin as the identity.
        images_per_step: an optimiser step sees so many. drop_last: leave out the last, smaller batch of an epoch.
        epochs: passes over the images; ``steps`` overrides it with a number of optimiser steps.
        lr, weight_decay: of Adam.
    """

    size: int = 64
    norm: str = "none"
    whiten: bool = True
    ridge: float = 1e-3
    blocks: int = 4
    coupling: str = "one-sided"
    kernels: tuple[int, ...] = (3,)
    ratio: float = 0.5
    alpha: float = 2.0
    clamp_gain: float = 1.0
    zero_init: bool = True
    images_per_step: int = 16
    drop_last: bool = False
    epochs: int = 0
    steps: int = 325
    lr: float = 3e-3
    weight_decay: float = 1e-5

    def __post_init__(self) -> None:
        for name, allowed in {"norm": NORMS, "coupling": COUPLINGS}.items():
            if getattr(self, name) not in allowed:
                raise DetectorError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}.")
        if not self.kernels or any(k < 1 or k % 2 == 0 for k in self.kernels):
            raise DetectorError(f"kernels={self.kernels!r}: expected odd numbers as a tuple, such as (3,) or (3, 1).")
        for name in ("blocks", "images_per_step"):
            if getattr(self, name) < 1:
                raise DetectorError(f"{name}={getattr(self, name)}: expected 1 or more.")
        for name in ("ratio", "alpha", "clamp_gain", "ridge"):
            if not 0 < getattr(self, name) < float("inf"):
                raise DetectorError(f"{name}={getattr(self, name)}: expected a number above 0.")
        if self.steps <= 0 and self.epochs <= 0:
            raise DetectorError(f"steps={self.steps} and epochs={self.epochs}: expected one of them above 0.")
        if self.whiten and self.norm == "learned":
            raise DetectorError("norm='learned' moves what whiten=True is fitted to. Use norm='plain' or whiten=False.")


CNN = {"size": 256, "blocks": 8, "ratio": 1.0}
TRANSFORMER = {"blocks": 20, "ratio": 0.16, "kernels": (3, 1)}
BACKBONES = {
    "resnet18": CNN | {"kernels": (3,)},
    "wide_resnet50_2": CNN | {"kernels": (3, 1)},
    "deit_base_distilled_patch16_384": TRANSFORMER | {"size": 384},
    "cait_m48_448": TRANSFORMER | {"size": 448},
}
PAPER = {
    "norm": "none", "whiten": False, "coupling": "one-sided", "alpha": 2.0, "clamp_gain": 1.0, "zero_init": False,
    "images_per_step": 32, "drop_last": True, "epochs": 500, "steps": 0, "lr": 1e-3, "weight_decay": 1e-5,
}
