"""Fit the stored detectors again and write their card.

    python -m tutorial_lib.stored                 all of them
    python -m tutorial_lib.stored pca cflow       these methods only; the others stay as they are
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from dataclasses import asdict

import torch

from tutorial_lib import __version__, detectors, metrics, stored
from tutorial_lib.stored.settings import SEED, SETTINGS, SPLIT

LIMIT = 1_000_000  # bytes of one file


def main(argv: list[str]) -> int:
    """Fit, save, measure, and update the card; returns the exit code."""
    torch.set_num_threads(1)  # the same bytes on every machine of one kind
    wanted = [name for name in SETTINGS if name in (argv or SETTINGS)]
    unknown = sorted(set(argv) - set(SETTINGS) | {name for name in wanted if name not in detectors.NAMES})
    if unknown:
        print(f"There is no method {unknown[0]!r} to store. Choose from {', '.join(SETTINGS)}.", file=sys.stderr)
        return 2
    files = stored.card()["files"] if stored.CARD.is_file() else {}
    for method in wanted:
        for category in stored.CATEGORIES:
            files[f"{method}_{category}"] = entry = fit(method, category)
            print(f"{method:12s} {category:7s} {entry['bytes'] / 1e6:.2f} MB   AUROC {entry['auroc']:.3f}", flush=True)
            card = {"split": SPLIT, "seed": SEED, "torch": torch.__version__.split("+")[0],
                    "python": platform.python_version(), "version": __version__,
                    "data": {c: stored.split(c).fingerprint() for c in stored.CATEGORIES},
                    "files": {key: files[key] for key in sorted(files)}}
            part = stored.CARD.with_suffix(".part")
            part.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
            os.replace(part, stored.CARD)
    return 0


def fit(method: str, category: str) -> dict:
    """Fit one detector from its seed, write its file, and return its entry of the card."""
    split = stored.split(category)
    detector = detectors.create(method, progress=False, device="cpu", size=SPLIT["size"], seed=SEED, **SETTINGS[method])
    detector.fit(split.train)
    detector.history.pop("seconds", None)  # a clock in the file would change its hash from run to run
    path = detector.save(stored.file_of(method, category))
    content = path.read_bytes()
    if len(content) > LIMIT:
        raise SystemExit(f"{path.name} has {len(content):,} bytes; at most {LIMIT:,} may travel. Choose smaller "
                         "settings in tutorial_lib/stored/settings.py.")
    scores = detector.score(split.test)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "backbone": detector.backbone_label,
             "parameters": detector.parameters_count(), "auroc": round(metrics.auroc(scores, split.labels), 4),
             "settings": asdict(detector.settings)}
    if detector.has_map:
        entry["pixel_auroc"] = round(metrics.pixel_auroc(detector.anomaly_map(split.test), split.masks), 4)
    return entry


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
