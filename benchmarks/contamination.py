"""Chapter 13: what 0, 2, 5 and 10 % defective pictures among the training images do to each method, on the washer.

    python benchmarks/contamination.py                              about twenty minutes on one core
    python benchmarks/contamination.py --methods gaussian,patches   these methods only; other rows that exist are kept

Writes ``benchmarks/results/13_contamination.json``. Rows without contamination are those of ``side_by_side.py``. The
defective pictures replace good ones, so the number of training images stays 100; kinds are those of the test set, their
seed is not.
"""

from __future__ import annotations

import argparse
import json

import rows
import side_by_side
import torch

from tutorial_lib.experiments import side_by_side as study

NAME, CATEGORY, SHARES, SEEDS = "13_contamination", "washer", (0.0, 0.02, 0.05, 0.1), (0, 1, 2)
METHODS = ("gaussian", "patches", *study.FLOWS)
KEPT = ("data", "seed", "share", "method", "backbone", "image_auroc", "interval", "pixel_auroc", "aupro",
        "without_flow", "fingerprint", "cell")


def row(seed: int, share: float, method: str) -> dict:
    """One row of the table."""
    split = study.contaminated(study.split_of(CATEGORY, seed), CATEGORY, share, seed)
    return {"data": CATEGORY, "seed": seed, **study.row(study.make(method, seed), split)}


def main() -> None:
    """Make what is not there yet; the file is written after each row."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="these only; other rows are kept")
    parser.add_argument("--methods", default=",".join(METHODS), help="likewise")
    options = parser.parse_args()
    rows.restore(rows.read(side_by_side.NAME))
    rows.restore(row for row in rows.read(NAME) if row["share"])
    wanted = options.methods.split(",")
    todo = [(seed, share, method) for seed in options.seeds for share in (0.0, 0.1, 0.05, 0.02) for method in wanted]
    for done, (seed, share, method) in enumerate(todo, 1):
        rows.row_of(side_by_side.key_of(CATEGORY, seed, method, share),
                    lambda m=method, s=seed, part=share: row(s, part, m))
        rows.report(done, len(todo), f"seed {seed}, {share:.0%}, {method}: {write()} rows")


def write() -> int:
    """Collect every row that exists; the number of rows."""
    found = []
    for seed in SEEDS:
        for share in SHARES:
            for method in METHODS:
                cell = rows.cell_of(side_by_side.key_of(CATEGORY, seed, method, share))
                if cell.exists():
                    full = json.loads(cell.read_text(encoding="utf-8")) | {"share": share}
                    found.append({name: full[name] for name in KEPT})
    rows.write(NAME, __doc__.splitlines()[0], {"factory": study.SPLIT, "size": study.SIZE}, SEEDS, found)
    return len(found)


if __name__ == "__main__":
    main()
