"""Chapter 08's table: Gaussian and flow, with and without views, on four products and three seeds.

    python benchmarks/differnet_views.py        about eight minutes on one core

Writes ``benchmarks/results/08_differnet_views.json``: settings, seeds, versions, and one row per (product, seed,
training set, method, test views) with the backbone's label and a hash of the images. The chapter reruns some rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path

import torch
from tqdm import tqdm

import tutorial_lib
from tutorial_lib import detectors, metrics
from tutorial_lib.data import factory
from tutorial_lib.experiments import views as study

OUT = Path(__file__).with_name("results") / "08_differnet_views.json"
CELLS = Path(__file__).parents[1] / "build" / "08_cells"  # not kept in the repository
SETTINGS = {"size": 128, "n_train": 100, "n_good": 30, "n_per_object_kind": 6, "n_per_texture_kind": 9, "limit": 10.0,
            "bank": 8, "few": 16, "blocks": study.BLOCKS, "hidden": study.HIDDEN, "depth": study.DEPTH,
            "alpha": study.ALPHA, "steps": study.STEPS, "batch": study.BATCH, "lr": study.LEARNING_RATE,
            "noise": "that of the shrinkage, 16 draws",
            "score": "mean of z² over entries, then mean (or median) over views"}
SEEDS = (0, 1, 2)


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


def rows_of(product: str, seed: int, train: tuple[str, ...], views: tuple[int, ...], **changed):
    """Rows of one product and seed; ``changed`` are settings of the detector whose features are used."""
    data = split_of(product, seed)
    extractor = detectors.create("differnet", progress=False, **changed)
    own = study.bank_angles(len(data.train), SETTINGS["limit"], seed, SETTINGS["bank"])
    bank = study.view_features(extractor, data.train, own)
    test = study.view_features(extractor, data.test, study.nested_angles(max(views), SETTINGS["limit"], seed))
    for name, seen in training_sets(bank).items():
        if name not in train:
            continue
        for method, flow in (("Gaussian", study.gaussian_on(seen)), ("DifferNet", study.flow_on(seen, seed))):
            scores = study.view_scores(flow, test)  # (N, T)
            rho = study.correlation_of_views(scores[~data.labels])
            for T in views:
                auroc = metrics.auroc(scores[:, :T].mean(1), data.labels)
                median = metrics.auroc(scores[:, :T].quantile(0.5, dim=1), data.labels)
                yield {"product": product, "seed": seed, "train": name, "method": method, "T": T,
                       "corners": extractor.settings.fill, "backbone": extractor.backbone_label,
                       "auroc": round(auroc, 4), "auroc_median": round(median, 4), "rho_good": round(rho, 4),
                       "data": data.fingerprint()}


def jobs():
    """(product, seed, training sets, test views, changed settings) of every cell."""
    on = ("all, views on",)
    every = (*on, "all, views off", f"{SETTINGS['few']}, views on", f"{SETTINGS['few']}, views off")
    for seed in SEEDS:
        yield "washer", seed, every, (1, 4, 16, 64), {}
        for product in ("board", "carpet", "metal"):
            yield product, seed, on, (1, 4, 16), {}
        yield "carpet", seed, on, (1, 4, 16), {"fill": "black"}
        yield "washer", seed, on, (1, 4), {"weights": "random"}


def key_of(job) -> str:
    """A name of one cell that changes with its settings, its images and its backbone."""
    product, seed, _, _, changed = job
    label = detectors.create("differnet", progress=False, **changed).backbone_label
    first = factory.split(product, SETTINGS["size"], 1, 1, 1, seed).fingerprint()
    return hashlib.sha256(json.dumps([job, SETTINGS, label, first]).encode()).hexdigest()[:12]


def main() -> None:
    """Run what is not there yet, then write the file. Each finished cell is kept, so Ctrl-C loses one cell at most."""
    torch.set_num_threads(1)
    CELLS.mkdir(parents=True, exist_ok=True)
    rows, todo = [], list(jobs())
    for job in tqdm(todo, unit="cell"):
        cell = CELLS / f"{key_of(job)}.json"
        if not cell.exists():
            found = [*rows_of(*job[:4], **job[4])]
            part = cell.with_suffix(".part")
            part.write_text(json.dumps(found), encoding="utf-8")
            os.replace(part, cell)
        rows += json.loads(cell.read_text(encoding="utf-8"))
    found = {"what": __doc__.splitlines()[0], "settings": SETTINGS, "seeds": SEEDS,
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0],
                          "project": tutorial_lib.__version__},
             "hash": hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]}
    head = json.dumps(found, indent=1, ensure_ascii=False)[:-2]
    body = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)  # one line per row
    part = OUT.with_suffix(".part")
    part.write_text(f'{head},\n "rows": [\n  {body}\n ]\n}}\n', encoding="utf-8")
    os.replace(part, OUT)
    print(f"{len(rows)} rows: {OUT.name}")


if __name__ == "__main__":
    main()
