"""What trained features are worth: the embedded weights against lesser ones, three detectors, eight products.

    python -m tutorial_lib pretrain --steps 1200 --locating 0 --energies 0 --out build/minimal.safetensors
                                                         five minutes: class names alone
    python benchmarks/backbone_weights.py --minimal build/minimal.safetensors         about an hour on one core
    ... --data PATH                                      the magnetic tiles as well, split by tile and as published
    ... --methods gaussian --taps stride4,stride8        other taps than the small setting's; printed, not written

128 pixels, 80 good parts to learn from, 40 good ones and eight of each kind of defect to be judged. A seed decides the
images, what the detector draws, and, for random weights, the weights. Writes
``benchmarks/results/backbone_weights.json``: the image AUROC of every run.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path

import pandas as pd
import rows
import torch

from tutorial_lib import detectors, metrics
from tutorial_lib.data import Split, factory, folder

NAME, SIZE, SEEDS = "backbone_weights", 128, (0, 1, 2)
METHODS = ("gaussian", "mahalanobis", "differnet")
TILES = {"tiles, published split": None, "tiles, split by tile": "train_by_tile.txt"}


@lru_cache(maxsize=1)
def split_of(data: str, seed: int, path: Path | None) -> Split:
    """The images of one row."""
    if data in TILES:
        return folder.read(path, train_list=TILES[data] and path / TILES[data])
    return factory.split(data, SIZE, n_train=80, n_good=40, n_per_kind=8, seed=seed)


def made(method: str, weights: str, seed: int, **changed) -> detectors.Detector:
    """The detector in its small setting on these weights: ``embedded``, ``random`` or a file."""
    return detectors.create(method, size=SIZE, seed=seed, weights=weights, progress=False,
                            backbone_seed=seed if weights == "random" else 0, **changed)


@cache
def described(method: str, weights: str, seed: int, **changed) -> dict:
    """What decides a row beside its images: the settings, and the hash of the weights."""
    detector = made(method, weights, seed, **changed)
    return {"settings": asdict(detector.settings), "backbone": detector.backbone_label}


def row(data: str, seed: int, name: str, weights: str, method: str, path: Path | None, **changed) -> dict:
    """One run."""
    split, detector = split_of(data, seed, path), made(method, weights, seed, **changed)
    detector.fit(split.train)
    return {"data": data, "seed": seed, "weights": name, "method": method, "backbone": detector.backbone_label,
            "image_auroc": round(metrics.auroc(detector.score(split.test), split.labels), 4)}


def main() -> None:
    """Make what is not there yet, print the table."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the magnetic tiles")
    parser.add_argument("--minimal", type=Path, help="weights of a lesser training, a third column")
    parser.add_argument("--methods", default=",".join(METHODS), help="these only; other rows that exist are kept")
    parser.add_argument("--taps", help="such as stride4,stride8; nothing is written")
    options = parser.parse_args()
    changed = {"taps": tuple(options.taps.split(","))} if options.taps else {}
    weights = {"embedded": "embedded", "random": "random"}
    weights |= {"minimal": str(options.minimal)} if options.minimal else {}
    data = [*factory.CATEGORIES, *(TILES if options.data else ())]
    jobs = [(d, s, w, m) for d in data for s in SEEDS for w in weights for m in options.methods.split(",")]
    rows.restore(rows.read(NAME))
    found = []
    for done, (d, seed, name, method) in enumerate(jobs, 1):
        key = {NAME: 2, "data": d, "seed": seed, "size": SIZE, "weights": name,
               **described(method, weights[name], seed, **changed)}
        found.append(rows.row_of(key, lambda d=d, s=seed, w=name, m=method: row(d, s, w, weights[w], m, options.data,
                                                                                **changed)))
        if done % 12 == 0 or done == len(jobs):
            rows.report(done, len(jobs), f"{d}, seed {seed}")
    settings = {"size": SIZE, "n_train": 80, "n_good": 40, "n_per_kind": 8}
    if not changed:
        place = lambda r: tuple(r[name] for name in ("method", "data", "weights", "seed"))
        merged = {place(r): r for r in [*rows.read(NAME), *found]}  # a partial run replaces its own rows only
        rows.write(NAME, __doc__.splitlines()[0], settings, SEEDS, [merged[at] for at in sorted(merged)])
    table = pd.DataFrame(found)
    print(table.pivot_table("image_auroc", ["method", "weights"], "data",
                            lambda g: f"{g.mean():.3f} ± {g.std():.3f}").to_string())
    factory_rows = table[table.data.isin(factory.CATEGORIES)]
    print(factory_rows.groupby(["method", "weights"]).image_auroc.mean().round(3).to_string())


if __name__ == "__main__":
    main()
