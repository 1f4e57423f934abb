"""Detectors of image defects: one paper, one file, and the baselines that a flow must beat. The contract: ``base.py``.

    detector = create("differnet", seed=0)     # the setting for two CPU cores
    detector.fit(split.train)
    scores = detector.score(split.test)
"""

from __future__ import annotations

from pathlib import Path

from . import files
from .base import Detector, Settings
from .cflow import CFlow
from .csflow import CSFlow
from .differnet import DifferNet
from .errors import DetectorError, NoMapError
from .fastflow import FastFlow
from .gaussian import Gaussian
from .mahalanobis import Mahalanobis
from .patches import Patches
from .pca import PCA
from .pyramidflow import PyramidFlow

_CLASSES = {cls.name: cls for cls in (PCA, Mahalanobis, Gaussian, Patches, DifferNet, CFlow, CSFlow, FastFlow,
                                      PyramidFlow)}
NAMES = tuple(_CLASSES)

__all__ = ["NAMES", "PCA", "CFlow", "CSFlow", "Detector", "DetectorError", "DifferNet", "FastFlow", "Gaussian",
           "Mahalanobis", "NoMapError", "Patches", "PyramidFlow", "Settings", "create", "load"]


def create(name: str, **settings) -> Detector:
    """The detector ``name`` in its small setting; ``settings`` are the keyword arguments of its ``small``.

    Raises:
        DetectorError: unknown name or setting.
    """
    if name not in _CLASSES:
        raise DetectorError(f"There is no detector {name!r}. Choose from {', '.join(NAMES)}.")
    return _CLASSES[name].small(**settings)


def load(path: str | Path, device: str = "auto", progress: bool = True) -> Detector:
    """A detector as ``save`` left it: its scores are the same bit for bit on the same machine.

    Raises:
        DetectorError: not a file of this package, or its backbone has other weights than when it was fitted.
    """
    state, card = files.read(path, "detector")
    if card["name"] not in _CLASSES:
        raise DetectorError(f"{path} holds a detector {card['name']!r}, which this version does not know. "
                            f"It knows {', '.join(NAMES)}: update the package.")
    numbers = dict(card["settings"])
    detector = _CLASSES[card["name"]]._make(numbers.pop("backbone"), numbers.pop("seed"), device, progress, numbers)
    if detector.backbone_label != card["backbone"]:
        raise DetectorError(f"{path} was fitted with the backbone '{card['backbone']}', found "
                            f"'{detector.backbone_label}'. Its scores would mean nothing: fit it again, or restore the "
                            "weights file.")
    detector._become(state)
    detector.history, detector.thresholds = card["history"], card["thresholds"]
    return detector
