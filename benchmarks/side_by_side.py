"""Chapter 13's table: nine methods on the eight products of the factory, three seeds; magnetic tiles where present.

    python benchmarks/side_by_side.py                        about fifty minutes on one core
    python benchmarks/side_by_side.py --data PATH            the magnetic tiles as well (``data/folder.py``'s layout)
    python benchmarks/side_by_side.py --methods pca,patches  these methods only; other rows that exist are kept
    python benchmarks/side_by_side.py --only washer 0        one product and seed only; likewise

Writes ``benchmarks/results/13_side_by_side.json``: settings, seeds, versions, and one row per (data, seed, method) with
the scores of all test images and a hash of the data; of the tiles nothing but numbers. A partial run is useful: the
washer and the board come first, the file is written after each data set.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path

import rows
import torch
from torch.nn.functional import adaptive_max_pool2d
from torchvision.transforms.functional import resize

from tutorial_lib.cli.machine import PeakMemory
from tutorial_lib.data import Split, factory, folder
from tutorial_lib.experiments import side_by_side as study

NAME = "13_side_by_side"
SEEDS = (0, 1, 2)
TILES = {"tiles, published split": None, "tiles, split by tile": "train_by_tile.txt"}
TILE_SIZE = 128  # a blowhole covers 0.14 % of a tile: at 64 pixels, five pixels
FIRST = ("washer", "board")


def jobs(tiles: bool):
    """(data, seed), the telling ones first."""
    others = [c for c in factory.CATEGORIES if c not in FIRST]
    yield from ((c, 0) for c in FIRST)
    yield from ((c, 0) for c in others)
    yield from ((c, seed) for seed in SEEDS[1:] for c in FIRST)
    yield from ((c, seed) for seed in SEEDS[1:] for c in others)
    yield from ((t, seed) for seed in SEEDS for t in TILES if tiles)


@lru_cache(maxsize=1)
def split_of(data: str, seed: int, path: Path | None) -> Split:
    """The images of one job; tiles are shrunk to squares, and so are their masks."""
    if data not in TILES:
        return study.split_of(data, seed)
    found = folder.read(path, train_list=TILES[data] and path / TILES[data])
    size = [TILE_SIZE, TILE_SIZE]
    masks = torch.stack([adaptive_max_pool2d(m[None].float(), size)[0] > 0 for m in found.masks])  # no hole is lost
    train, test = (torch.stack([resize(x, size, antialias=True) for x in files]) for files in (found.train, found.test))
    return Split(data, train, test, found.labels, found.kinds, masks)


@cache
def described(method: str, size: int) -> dict:
    """The settings of a method and the hash of its backbone's weights."""
    detector = study.make(method, 0, size)
    return {"settings": asdict(detector.settings), "backbone": detector.backbone_label}


def key_of(data: str, seed: int, method: str, share: float = 0.0) -> dict:
    """What makes a row what it is."""
    size = TILE_SIZE if data in TILES else study.SIZE
    return {"data": data, "seed": seed, "method": method, "share": share, "split": study.SPLIT,
            **described(method, size)}


def row(data: str, seed: int, method: str, path: Path | None) -> dict:
    """One row; differnet's maps of 583 tiles would take as long as all other methods, so they are left out."""
    split = split_of(data, seed, path)
    detector = study.make(method, seed, split.train.shape[-1])
    return {"data": data, "seed": seed,
            **study.row(detector, split, pixels=not (data in TILES and method == "differnet"))}


def in_its_own_process(method: str) -> dict:
    """The washer's first row from a fresh process, with the memory that it took above Python and libraries."""
    command = [sys.executable, __file__, "--memory-of", method]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{method} failed in a process of its own:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def memory_of(method: str) -> dict:
    """The washer's first row and ``peak_memory_mib``."""
    split_of(FIRST[0], 0, None)
    study.make(method, 0).backbone_label  # noqa: B018  loads the weights: they are not what fitting takes
    with PeakMemory() as used:
        found = row(FIRST[0], 0, method, None)
    return {**found, "peak_memory_mib": round(used.peak - used.before, 1)}


def main() -> None:
    """Make what is not there yet."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the magnetic tiles")
    parser.add_argument("--methods", default=",".join(study.METHODS))
    parser.add_argument("--only", nargs=2, metavar=("DATA", "SEED"), help="one product and seed, such as: washer 0")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        print(json.dumps(memory_of(options.memory_of)))
        return
    rows.restore(rows.read(NAME))
    wanted, todo = options.methods.split(","), [*jobs(options.data is not None)]
    if options.only:
        todo = [job for job in todo if job == (options.only[0], int(options.only[1]))]
    for done, (data, seed) in enumerate(todo, 1):
        for method in wanted:
            own = (data, seed) == (FIRST[0], 0)
            rows.row_of(key_of(data, seed, method), lambda m=method, d=data, s=seed, own=own:
                        in_its_own_process(m) if own else row(d, s, m, options.data))
        count = write()
        rows.report(done, len(todo), f"{data}, seed {seed}: {count} rows")


def write() -> int:
    """Collect every row that exists for the present settings and weights; the number of rows."""
    found = [json.loads(rows.cell_of(key).read_text(encoding="utf-8")) for data, seed in jobs(tiles=True)
             for method in study.METHODS for key in [key_of(data, seed, method)] if rows.cell_of(key).exists()]
    settings = {"factory": study.SPLIT, "tiles": {"size": TILE_SIZE},
                "methods": {m: described(m, study.SIZE)["settings"] for m in study.METHODS}}
    rows.write(NAME, __doc__.splitlines()[0], settings, SEEDS, found)
    return len(found)


if __name__ == "__main__":
    main()
