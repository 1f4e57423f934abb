"""Chapter 10's table: CS-Flow with 1 to 4 blocks, with and without exchange between the scales, over three seeds.

    python benchmarks/csflow_blocks.py              about half an hour on one core
    python benchmarks/csflow_blocks.py --first 4    the first four settings only (1 and 4 blocks)

Writes ``benchmarks/results/10_csflow_blocks.json``: one row per (product, seed, row, blocks) with the
backbone's label and a hash of the images. The chapter reruns one of them.
"""

from __future__ import annotations

import argparse
import dataclasses

import rows
import torch

from tutorial_lib import backbones
from tutorial_lib.detectors import CSFlow
from tutorial_lib.experiments import exchange as study

NAME = "10_csflow_blocks"
PRODUCTS, SEEDS = ("washer", "board"), (0, 1, 2)


def settings() -> dict:
    """Everything that all rows share."""
    fixed = {k: v for k, v in dataclasses.asdict(CSFlow.small().settings).items()
             if k not in ("seed", "blocks", "exchange", "batch")}
    return {"n_train": 150, "n_good": 60, "n_per_kind": 14, "score": "mean of z²/2 over all scales"} | fixed


ORDER = (("exchange", 4), ("apart", 4), ("exchange", 1), ("apart", 1), ("apart, wider", 4),  # what the text compares
         ("exchange", 2), ("apart", 2), ("exchange", 3), ("apart", 3))


def jobs(first: int):
    """(product, seed, row, blocks) of every training of the first settings."""
    for row, blocks in ORDER[:first]:
        yield from ((product, seed, row, blocks) for seed in SEEDS for product in PRODUCTS)


def main() -> None:
    """Run what is not there yet, then write the file."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=len(ORDER), help="how many settings (default: %(default)s)")
    found, todo, shared, label = [], list(jobs(parser.parse_args().first)), settings(), backbones.load().label
    for done, (product, seed, row, blocks) in enumerate(todo):
        rows.report(done, len(todo), f"{product} {seed} {row} {blocks}")
        name = {"product": product, "seed": seed}
        key = name | {"of": NAME, "row": row, "blocks": blocks, "embedded": label, "settings": shared}
        cell = rows.row_of(key, lambda: {"rows": study.row_of(study.split_of(product, seed), row, blocks, seed)})  # noqa: B023  called at once
        found += [name | each for each in cell["rows"]]
        if (done + 1) % (len(PRODUCTS) * len(SEEDS)) == 0:  # a setting is complete
            found.sort(key=lambda r: (PRODUCTS.index(r["product"]), r["seed"], r["row"], r["blocks"]))
            rows.write(NAME, __doc__.splitlines()[0], shared, SEEDS, found)


if __name__ == "__main__":
    main()
