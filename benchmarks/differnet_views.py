"""Chapter 08's table: Gaussian and flow, with and without views, on four products and three seeds.

    python benchmarks/differnet_views.py        about five minutes on one core

Writes ``benchmarks/results/08_differnet_views.json``: settings, seeds, versions, the backbone's label, a hash of the
data, and one row per (product, seed, training set, method, test views). The chapter reruns one of its rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from pathlib import Path

import torch
from tqdm import tqdm

import tutorial_lib
from tutorial_lib import detectors, metrics
from tutorial_lib.data import factory
from tutorial_lib.experiments import views as study

OUT = Path(__file__).with_name("results") / "08_differnet_views.json"
SETTINGS = {"size": 128, "n_train": 100, "n_good": 30, "n_per_object_kind": 6, "n_per_texture_kind": 9, "limit": 10.0,
            "bank": 8, "few": 16, "blocks": study.BLOCKS, "hidden": study.HIDDEN, "depth": study.DEPTH,
            "alpha": study.ALPHA, "steps": study.STEPS, "batch": study.BATCH, "lr": study.LEARNING_RATE,
            "noise": "that of the shrinkage, 16 draws", "score": "mean of z² over views and entries"}
SEEDS = (0, 1, 2)
VIEWS = {"washer": (1, 4, 16, 64), "board": (1, 4, 16), "carpet": (1, 4, 16), "metal": (1, 4, 16)}


def split_of(product: str, seed: int):
    """The images of one product and seed; about as many defective as good ones in the test set."""
    objects = len(factory.DEFECTS[product]) > 4
    per_kind = SETTINGS["n_per_object_kind" if objects else "n_per_texture_kind"]
    return factory.split(product, SETTINGS["size"], SETTINGS["n_train"], SETTINGS["n_good"], per_kind, seed)


def training_sets(bank: torch.Tensor) -> dict[str, torch.Tensor]:
    """Name to training views; ``bank`` (N, 1 + V, D) holds the image as it is first, then V turned views."""
    few = SETTINGS["few"]
    return {"all, views on": bank[:, 1:], "all, views off": bank[:, :1],
            f"{few}, views on": bank[:few, 1:], f"{few}, views off": bank[:few, :1]}


def rows_of(product: str, seed: int, weights: str | None = None, views=None, sets=None):
    """Rows of one product and seed, and the fingerprint of its images."""
    torch.set_num_threads(1)
    data, views = split_of(product, seed), views or VIEWS[product]
    extractor = detectors.create("differnet", weights=weights, progress=False)
    own = study.bank_angles(len(data.train), SETTINGS["limit"], seed, SETTINGS["bank"])
    bank = study.view_features(extractor, data.train, own)
    test = study.view_features(extractor, data.test, study.nested_angles(max(views), SETTINGS["limit"], seed))
    for name, seen in training_sets(bank).items():
        if sets and name not in sets:
            continue
        for method, flow in (("Gaussian", study.gaussian_on(seen)), ("DifferNet", study.flow_on(seen, seed))):
            scores = study.view_scores(flow, test)  # (N, T)
            rho = study.correlation_of_views(scores[~data.labels])
            for T in views:
                auroc = metrics.auroc(scores[:, :T].mean(1), data.labels)
                yield {"product": product, "seed": seed, "train": name, "method": method, "T": T,
                       "auroc": round(auroc, 4), "rho_good": round(rho, 4), "backbone": extractor.backbone_label,
                       "data": data.fingerprint()}


def main() -> None:
    """Run everything and write the file; an older file stays until the new one is whole."""
    started, rows = time.perf_counter(), []
    on = ("all, views on",)  # the switches are tried on the washer alone
    jobs = [(p, s, None, None, None if p == "washer" else on) for s in SEEDS for p in VIEWS]
    jobs += [("washer", s, "random", (1, 4), on) for s in SEEDS]
    for job in tqdm(jobs, unit="cell"):
        rows += rows_of(*job)
    found = {"what": __doc__.splitlines()[0], "settings": SETTINGS, "seeds": SEEDS, "rows": rows,
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0],
                          "project": tutorial_lib.__version__}}
    found["hash"] = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
    OUT.parent.mkdir(exist_ok=True)
    part = OUT.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, OUT)
    print(f"{len(rows)} rows in {time.perf_counter() - started:.0f} s: {OUT.name}")


if __name__ == "__main__":
    main()
