"""Chapter 09's tables: CFlow-AD with and without the position, each scale alone, two normalisations, two rates.

    python benchmarks/cflow_position.py        about eight minutes on one idle core

Writes ``benchmarks/results/09_cflow_position.json``: settings, seeds, versions, and one row per (product, seed, method,
scales, normalisation). Each scale's flow is trained on its own loss, so scales are left out when scoring, not when
training. The baselines read the same taps of the same backbone. The chapter reruns a row.
"""

from __future__ import annotations

from functools import partial

import rows
import torch

from tutorial_lib import detectors, metrics
from tutorial_lib.data import factory
from tutorial_lib.detectors.likelihood_map import largest
from tutorial_lib.experiments import told_positions as study

OUT = "09_cflow_position"
SETTINGS = {"size": 128, "n_train": 100, "n_good": 30, "n_per_object_kind": 6, "n_per_texture_kind": 9,
            "steps": 300, "score": "maximum of the map",
            "moved": {"a": (73, 97), "b": (64, 22), "radius": 9}}  # the board's capacitor and an empty place
PRODUCTS, SEEDS, SLOW = ("board", "washer", "carpet"), (0, 1, 2), 2e-3
WIDE = 8  # hidden units per input: without the code's entries the networks shrink, and this makes up for it


def split_of(product: str, seed: int):
    """The images of one product and seed."""
    per_kind = SETTINGS["n_per_object_kind" if len(factory.DEFECTS[product]) > 4 else "n_per_texture_kind"]
    return factory.split(product, SETTINGS["size"], SETTINGS["n_train"], SETTINGS["n_good"], per_kind, seed)


def moved_auroc(score, product: str, data) -> dict[str, float]:
    """How well ``score`` tells good boards from the same boards whose capacitor and an empty place changed places."""
    if product != "board":
        return {}
    good = data.test[~data.labels]
    both = torch.cat([good, study.exchanged(good, **SETTINGS["moved"])[0]])
    return {"moved": round(metrics.auroc(score(both), torch.arange(len(both)) >= len(good)), 4)}


def row(maps: torch.Tensor, data, **what) -> dict:
    """One row: image AUROC (all kinds, and each); with all scales together also pixel AUROC and AUPRO."""
    scores, kinds = maps.amax((1, 2)), [k for k in dict.fromkeys(data.kinds) if k != "good"]
    judged = study.judged(maps, data) if what["scales"] == "all" else {"image": metrics.auroc(scores, data.labels)}
    found = {name: round(value, 4) for name, value in judged.items()}
    return what | found | {"kinds": {k: round(study.kind_auroc(scores, data, k), 4) for k in kinds},
                           "data": data.fingerprint()}


def make(seed: int, **changed) -> detectors.Detector:
    """The detector of this table: the small setting with half of its steps."""
    known = {name: SETTINGS[name] for name in ("size", "steps")}
    return detectors.create("cflow", progress=False, seed=seed, **known, **changed)


@torch.no_grad()
def cflow_rows(product: str, seed: int, **changed):
    """Rows of one training: all scales together and each alone, with both normalisations."""
    data = split_of(product, seed)
    detector = make(seed, **changed)
    detector.fit(data.train)
    levels = [torch.cat(same) for same in zip(*(detector.likelihoods(detector.vectors(batch))
                                                for batch in data.test.split(16)), strict=True)]
    good = [round(float(level[~data.labels].mean()), 4) for level in levels]
    moved = moved_auroc(detector.score, product, data)
    for name, maxima in (("train", detector.maxima), ("published", largest(levels))):
        doubt = (1 - detector.enlarged(levels, maxima)).float()                              # (N, K, S, S)
        scales = {"all": doubt.sum(1)} | dict(zip(detector.backbone.taps, doubt.unbind(1), strict=True))
        for scale, maps in scales.items():
            more = moved if (name, scale) == ("train", "all") else {}
            yield row(maps, data, product=product, seed=seed, method="cflow", changed=changed, scales=scale,
                      normalise=name, good_nats=good, parameters=sum(p.numel() for p in detector.flows.parameters()),
                      backbone=detector.backbone_label, **more)


def baseline_rows(product: str, seed: int):
    """The per-position Gaussian with a map and the global Mahalanobis distance, on the taps that CFlow reads."""
    data = split_of(product, seed)
    taps = study.from_the_middle(tuple(detectors.create("cflow", progress=False).backbone.taps))
    local = detectors.create("gaussian", progress=False, size=SETTINGS["size"], seed=seed, taps=taps)
    local.fit(data.train)
    yield row(local.anomaly_map(data.test), data, product=product, seed=seed, method="gaussian", changed={},
              scales="all", **moved_auroc(local.score, product, data), parameters=local.parameters_count(),
              backbone=local.backbone_label)
    pooled = detectors.create("mahalanobis", progress=False, size=SETTINGS["size"], seed=seed, taps=taps)
    pooled.fit(data.train)
    scores = pooled.score(data.test)
    kinds = [k for k in dict.fromkeys(data.kinds) if k != "good"]
    yield {"product": product, "seed": seed, "method": "mahalanobis", "changed": {}, "scales": "all",
           "image": round(metrics.auroc(scores, data.labels), 4), **moved_auroc(pooled.score, product, data),
           "kinds": {k: round(study.kind_auroc(scores, data, k), 4) for k in kinds},
           "parameters": pooled.parameters_count(), "backbone": pooled.backbone_label, "data": data.fingerprint()}


def jobs():
    """(kind of rows, product, seed, changed settings) of every cell."""
    for seed in SEEDS:
        for product in PRODUCTS:
            yield "baseline", product, seed, {}
            yield "cflow", product, seed, {}
            yield "cflow", product, seed, {"position": False}
        yield "cflow", "board", seed, {"lr": SLOW}
        for product in ("board", "carpet"):
            yield "cflow", product, seed, {"position": False, "width": WIDE}


def key_of(kind: str, product: str, seed: int, changed: dict) -> dict:
    """What a cell depends on: job, settings, images and backbone."""
    detector = make(seed, **changed)
    return {"script": OUT, "job": [kind, product, seed, changed], "settings": SETTINGS, "detector": repr(detector),
            "backbone": detector.backbone_label,
            "data": factory.split(product, SETTINGS["size"], 1, 1, 1, seed).fingerprint()}


def cell(kind: str, product: str, seed: int, changed: dict) -> dict:
    """The rows of one job."""
    return {"rows": [*(cflow_rows if kind == "cflow" else baseline_rows)(product, seed, **changed)]}


def main() -> None:
    """Run what is not there yet, then write the file. Each finished cell is kept, so Ctrl-C loses one cell at most."""
    torch.set_num_threads(1)
    found, todo = [], list(jobs())
    for n, (kind, product, seed, changed) in enumerate(todo, start=1):
        found += rows.row_of(key_of(kind, product, seed, changed), partial(cell, kind, product, seed, changed))["rows"]
        rows.report(n, len(todo), f"{kind} {product} seed {seed} {changed or ''}")
    rows.write(OUT, __doc__.splitlines()[0], SETTINGS, SEEDS, found)


if __name__ == "__main__":
    main()
