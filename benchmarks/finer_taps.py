"""Chapter 13: the same method on other taps of the same backbone; products, seeds and images of ``side_by_side.py``.

    python benchmarks/finer_taps.py        about twenty minutes on one core

Writes ``benchmarks/results/13_finer_taps.json``. The rows of the small settings are those of ``side_by_side.py``.
"""

from __future__ import annotations

from dataclasses import asdict

import rows
import side_by_side
import torch

from tutorial_lib import detectors
from tutorial_lib.data import factory
from tutorial_lib.experiments import side_by_side as study

NAME = "13_finer_taps"
TAPS = {"gaussian": [("stride4", "stride8"), ("stride4", "stride2", "stride8")],
        "fastflow": [("stride2", "stride4", "stride8")]}
KEPT = ("data", "seed", "method", "backbone", "image_auroc", "pixel_auroc", "aupro", "without_flow", "train_seconds",
        "fingerprint", "cell")


def row(method: str, taps: tuple[str, ...], category: str, seed: int) -> dict:
    """One run."""
    kept = {"channels": 200} if method == "gaussian" else {}  # all of them: a draw would change more than the taps
    detector = detectors.create(method, size=study.SIZE, seed=seed, taps=taps, progress=False, **kept)
    key = {NAME: 1, "data": category, "seed": seed, "method": method, "settings": asdict(detector.settings),
           "backbone": detector.backbone_label}
    full = rows.row_of(key, lambda: {"data": category, "seed": seed,
                                     **study.row(detector, study.split_of(category, seed))})
    return {name: full[name] for name in KEPT} | {"taps": taps}


def main() -> None:
    """Make what is not there yet; the file is written after each method."""
    torch.set_num_threads(1)
    found = []
    for method, variants in TAPS.items():
        for taps in variants:
            for seed in side_by_side.SEEDS:
                found += [row(method, taps, category, seed) for category in factory.CATEGORIES]
                rows.write(NAME, __doc__.splitlines()[0], {"factory": study.SPLIT, "size": study.SIZE},
                           side_by_side.SEEDS, found)
                rows.report(len(found), 24 * sum(map(len, TAPS.values())), f"{method}, {', '.join(taps)}, seed {seed}")


if __name__ == "__main__":
    main()
