"""Chapter 10's experiment: CS-Flow with 1 to 4 blocks, its scales talking or not, on the same features and images.

Without exchange a network has about half of its weights. So one more row gives them back: ``"apart, wider"`` has so
many hidden channels that it trains as many numbers as the row with exchange.
"""

from __future__ import annotations

from torch import Tensor

from tutorial_lib import metrics
from tutorial_lib.data import Split, factory
from tutorial_lib.detectors import CSFlow
from tutorial_lib.experiments.without_flow import without_flow

ROWS: dict[str, dict] = {"exchange": {"exchange": True}, "apart": {"exchange": False},
                         "apart, wider": {"exchange": False}}


def split_of(product: str, seed: int, n_train: int = 150, n_good: int = 60, n_per_kind: int = 14) -> Split:
    """The images of one product and seed, 64 px."""
    return factory.split(product, 64, n_train, n_good, n_per_kind, seed)


def make(row: str, blocks: int, seed: int, **changed) -> CSFlow:
    """An untrained detector of one row of ``ROWS``; ``changed`` are settings of ``CSFlow.small``."""
    numbers = ROWS[row] | {"blocks": blocks, "progress": False, "seed": seed} | changed
    if row == "apart, wider":
        target = make("exchange", blocks, seed, **changed).parameters_count()
        one, two = (CSFlow.small(**numbers | {"hidden": n}).parameters_count() for n in (1, 2))
        numbers["hidden"] = 1 + round((target - one) / (two - one))  # the count is a straight line in hidden
    return CSFlow.small(**numbers)


def judged(detector: CSFlow, data: Split) -> dict:
    """Image AUROC of the score, pixel AUROC and AUPRO of the map."""
    heat: Tensor = detector.anomaly_map(data.test)
    found = {"auroc": metrics.auroc(detector.score(data.test), data.labels),
             "pixel_auroc": metrics.pixel_auroc(heat, data.masks), "aupro": metrics.aupro(heat, data.masks)}
    return {name: round(float(value), 4) for name, value in found.items()}


def row_of(data: Split, row: str, blocks: int, seed: int, **changed) -> list[dict]:
    """Train one row and judge it; beside the row with one block the same features without any block."""
    detector = make(row, blocks, seed, **changed)
    loss = detector.fit(data.train)["loss"]
    same = {"backbone": detector.backbone_label, "data": data.fingerprint()}
    found = [{"row": row, "blocks": blocks} | judged(detector, data) | {
        "loss": round(sum(loss[-10:]) / len(loss[-10:]), 4), "parameters": detector.parameters_count()} | same]
    if (row, blocks) == ("exchange", 1):
        bare = without_flow(detector, data.train)
        found.append({"row": "no flow", "blocks": 0} | judged(bare, data) | {
            "loss": round(loss[0], 4), "parameters": 0} | same)
    return found
