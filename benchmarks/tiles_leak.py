"""The leak in the published split of the magnetic tiles: how far recognising a tile goes, without any learning.

    python benchmarks/tiles_leak.py --data PATH        seconds; PATH as in ``data/folder.py``

Score of a picture: 1 - its highest correlation with any training picture, at 32 x 32 pixels. Writes
``benchmarks/results/13_tiles_leak.json``: names, labels and correlations, and no picture. ``train_by_tile.txt``, where
it lies in the folder, names the normal pictures of a split that shares no tile; two other groupings are drawn here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rows
import torch
from PIL import Image
from torch import Tensor

from tutorial_lib import metrics
from tutorial_lib.data import folder
from tutorial_lib.experiments import tiles

SIDE, DRAWS, THRESHOLD = 32, 10, 0.9
SOURCE = "Magnetic tile defects: Huang, Qiu, Yuan (2018); split of the paper DifferNet (arXiv 2008.12577)"


def vectors(files) -> Tensor:
    """Grey pictures of 32 x 32 pixels, each the mean of the pixels under it, as unit vectors."""
    pictures = [Image.open(path).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX) for path in files.paths]
    return tiles.unit_vectors(torch.tensor(np.stack([np.asarray(p) for p in pictures])))


def judged(split: str, train: list[str], test: list[str], kinds: list[str], near: tuple[Tensor, Tensor]) -> list[dict]:
    """One row per test picture."""
    return [{"split": split, "name": Path(name).name, "kind": kind, "correlation": round(float(c), 4),
             "nearest": train[i]} for name, kind, c, i in zip(test, kinds, *near, strict=True)]


def score(near: tuple[Tensor, Tensor], labels) -> float:
    """AUROC of 1 - correlation."""
    return metrics.auroc(1 - near[0], labels)


def main() -> None:
    """Compute both splits and the drawn ones, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    found, summary = [], {}
    for name, listing in (("published", None), ("by tile", "train_by_tile.txt")):
        if listing and not (options.data / listing).is_file():
            print(f"No {listing}: the split by tile is left out.")
            continue
        split = folder.read(options.data, train_list=listing and options.data / listing)
        train = [path.name for path in split.train.paths]
        near = tiles.nearest(vectors(split.test), vectors(split.train))
        found += judged(name, train, split.paths, split.kinds, near)
        summary[name] = {"train": train, "auroc": round(score(near, split.labels), 4)}
    split = folder.read(options.data)
    bad = split.labels.nonzero()[:, 0].tolist()
    normal = [path.name for path in split.train.paths] + [Path(split.paths[i]).name for i in range(len(split.test))
                                                          if i not in set(bad)]
    test = vectors(split.test)
    good, defective = torch.cat([vectors(split.train), test[~split.labels]]), test[split.labels]
    share, drawn = len(split.train) / len(normal), {}
    for name, groups in (("series of file names", tiles.series(normal)),
                         (f"components at {THRESHOLD}", tiles.components(good, THRESHOLD))):
        values = []
        for seed in range(DRAWS):
            chosen = tiles.draw_groups(groups, share, seed)
            near = tiles.nearest(torch.cat([good[~chosen], defective]), good[chosen])
            values.append(round(score(near, torch.arange(len(near[0])) >= int((~chosen).sum())), 4))
        drawn[name] = {"groups": len(set(groups)), "auroc": values}
    rows.write("13_tiles_leak", __doc__.splitlines()[0], {"side": SIDE, "source": SOURCE}, range(DRAWS), found,
               splits=summary, drawn=drawn)
    print({name: part["auroc"] for name, part in (summary | drawn).items()})


if __name__ == "__main__":
    main()
