"""One method on one split: train, score, draw maps, measure. Everything a row of the table says is made here."""

import time
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import detectors, metrics
from tutorial_lib.cli.machine import PeakMemory
from tutorial_lib.cli.pictures import Findings
from tutorial_lib.data import Split


@dataclass
class Outcome:
    """A row of the table (plain numbers, ready for JSON) and the maps for the contact sheet."""

    row: dict
    maps: dict[int, Tensor] = field(default_factory=dict)  # test index -> (H, W)


def evaluate(method: str, split: Split, found: Findings, shown: list[int], settings: dict) -> Outcome:
    """Train ``method`` in its small setting on ``split.train`` and judge it on ``split.test``.

    ``found`` holds the masks that pixel metrics use, ``shown`` are the test indices whose maps are kept. Times are wall
    times and hold everything a user waits for, reading files included; images per second is that of ``score``.
    Raises what the detector raises.
    """
    with PeakMemory() as used:
        detector = detectors.create(method, **settings)
        history, fit_seconds = _timed(lambda: detector.fit(split.train))
        scores, score_seconds = _timed(lambda: detector.score(split.test))
        maps, map_seconds = _timed(lambda: detector.anomaly_map(split.test)) if detector.has_map else (None, None)
    row = {
        "split": split.name,
        "method": method,
        "backbone": detector.backbone_label,
        **_image_metrics(scores.numpy(), split),
        **_pixel_metrics(maps, split, found),
        "train_seconds": fit_seconds,
        "score_seconds": score_seconds,
        "map_seconds": map_seconds,
        "images_per_second": len(split.test) / score_seconds,
        "parameters": detector.parameters_count(),
        "peak_memory_mib": used.peak,
        "memory_before_mib": used.before,
        "device": str(detector.device),
        "settings": asdict(detector.settings),
        "final_loss": float(history["loss"][-1]) if history["loss"] else None,
        "scores": [float(f"{score:.7g}") for score in scores.tolist()],
    }
    return Outcome(row, {} if maps is None else {index: maps[index] for index in shown})


def _timed(work):
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def _image_metrics(scores: np.ndarray, split: Split) -> dict:
    labels, kinds = split.labels.numpy(), np.array(split.kinds)
    low, high = metrics.bootstrap_interval(metrics.auroc, scores, labels)
    per_kind = {}
    for kind in dict.fromkeys(kinds[labels].tolist()):
        chosen = ~labels | (kinds == kind)
        per_kind[kind] = {"image_auroc": metrics.auroc(scores[chosen], labels[chosen]), "n": int((kinds == kind).sum())}
    return {
        "image_auroc": metrics.auroc(scores, labels),
        "image_auroc_interval": [low, high],
        "average_precision": metrics.average_precision(scores, labels),
        "per_kind": per_kind,
    }


def _pixel_metrics(maps, split: Split, found: Findings) -> dict:
    if maps is None or not any(split.labels[i] for i in found.pixel_truth):
        return {"pixel_auroc": None, "aupro": None}
    chosen = [maps[i] for i in found.pixel_truth]
    return {"pixel_auroc": metrics.pixel_auroc(chosen, found.masks), "aupro": metrics.aupro(chosen, found.masks)}
