"""Settings of CFlow-AD: those of ``small`` as defaults, and every number of the paper."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import DetectorError
from .settings import Settings

CHOICES = {"normalise": ("train", "published"), "loss": ("log-sigmoid", "nll"), "mixing": ("rotation", "permutation")}


@dataclass(frozen=True, kw_only=True)
class CFlowSettings(Settings):
    """The defaults are the ``small`` setting.

    Attributes:
        blocks, width, alpha: blocks per tap; hidden units of an s/t network per input; bound of its log-scale.
        mixing: "rotation" (the paper's) or "permutation" of the channels after each block.
        position, position_dim: whether the flow is told the position; entries of its code, a multiple of 4.
        whiten, ridge: make the vectors of each tap uncorrelated first; share of the mean variance added for that.
        loss: "log-sigmoid" or "nll". normalise: "train" or "published". align_corners: of the enlarged maps.
        vectors_per_step: of each tap that takes part in an optimiser step.
        steps: number of steps, on vectors of all images; 0 selects the paper's loops, which the next line describes.
        images_per_step, meta_epochs, sub_epochs, warm_epochs: see ``cflow_schedule.Passes``.
        rotation: training images are turned anew by up to so many degrees, and their features computed anew, for every
            batch of the loops. At 0 features are computed once and kept in memory.
        lr: of Adam, at its highest. Networks whose output is multiplied by 0.1 learn slowly: at 2e-3 the steps of
            ``small`` end before the flow has learned its places (benchmarks/cflow_position.py measures both).
    """

    blocks: int = 4
    width: int = 2
    alpha: float = 1.9
    mixing: str = "rotation"
    position: bool = True
    position_dim: int = 64
    whiten: bool = True
    ridge: float = 1e-3
    loss: str = "log-sigmoid"
    normalise: str = "train"
    align_corners: bool = False
    vectors_per_step: int = 512
    steps: int = 600
    images_per_step: int = 32
    meta_epochs: int = 25
    sub_epochs: int = 8
    warm_epochs: int = 2
    rotation: float = 0.0
    lr: float = 1.5e-2

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise DetectorError(f"cflow got {name}={getattr(self, name)!r}. Expected one of {', '.join(allowed)}.")
        if self.position and (self.position_dim < 4 or self.position_dim % 4):
            raise DetectorError(f"cflow got position_dim={self.position_dim}. Expected a multiple of 4 (4, 8, ... "
                                "128), or position=False for a flow that is not told the position.")
        for name in ("blocks", "width", "vectors_per_step", "images_per_step", "meta_epochs", "sub_epochs"):
            if getattr(self, name) < 1:
                raise DetectorError(f"cflow got {name}={getattr(self, name)}. Expected 1 or more.")
        for name in ("steps", "rotation", "warm_epochs"):
            if getattr(self, name) < 0:
                raise DetectorError(f"cflow got {name}={getattr(self, name)}. Expected 0 or more.")
        if not self.lr > 0:
            raise DetectorError(f"cflow got lr={self.lr:g}. Expected a learning rate above 0, such as 0.002.")
        if self.rotation and (self.steps or self.whiten):
            raise DetectorError(f"cflow got rotation={self.rotation:g}, which needs steps=0 and whiten=False: with "
                                "steps or whitening, features are computed once. Expected rotation=0 for that.")


PAPER = {
    "size": 256, "batch": 32, "blocks": 8, "width": 2, "alpha": 1.9, "mixing": "rotation", "position": True,
    "position_dim": 128, "whiten": False, "loss": "log-sigmoid", "normalise": "train", "align_corners": True,
    "vectors_per_step": 256, "steps": 0, "images_per_step": 32, "meta_epochs": 25, "sub_epochs": 8, "warm_epochs": 2,
    "rotation": 5.0, "lr": 2e-4,
}
PAPER_TAPS = dict.fromkeys(("wide_resnet50_2", "resnet18"), ("layer2", "layer3", "layer4"))
