"""Chapter 13's experiment: every method in its small setting on the same images, and what its flow added.

One row is one method on one data set with one seed. The seed decides the images, the initial weights and the order of
training. Times are *processor* seconds of one thread: other programs that run at the same time hardly change them.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from torch import Tensor

from tutorial_lib import detectors, metrics
from tutorial_lib.data import Split, factory
from tutorial_lib.experiments.without_flow import LEFT, without_flow

METHODS = ("pca", "mahalanobis", "gaussian", "patches", "differnet", "cflow", "csflow", "fastflow", "pyramidflow")
FLOWS = METHODS[4:]
SIZE = 64
SPLIT = {"size": SIZE, "n_train": 100, "n_good": 40, "about_defective": 40}


def split_of(category: str, seed: int) -> Split:
    """100 good parts to learn from; 40 other good ones and about 40 defective ones, as many of each kind."""
    kinds = factory.DEFECTS[category]
    return factory.split(category, SIZE, SPLIT["n_train"], SPLIT["n_good"],
                         round(SPLIT["about_defective"] / len(kinds)), seed)


def contaminated(split: Split, category: str, share: float, seed: int) -> Split:
    """The split with a share of its training images replaced by defective ones, all kinds in turn.

    Their seed lies far from that of any test set, so that no defect is both trained on and tested.
    """
    n = round(share * len(split.train))
    kinds = factory.DEFECTS[category]
    train = split.train.clone()
    for i in range(n):
        kind, index = kinds[i % len(kinds)], i // len(kinds)
        train[len(train) - 1 - i] = factory.defective(category, kind, index + 1, split.train.shape[-1],
                                                      seed=7000 + seed)[0][index]
    return replace(split, train=train)


def make(method: str, seed: int, size: int = SIZE) -> detectors.Detector:
    """The method in its small setting at ``size`` pixels; all of them see the same pixels."""
    return detectors.create(method, size=size, seed=seed, progress=False)


def row(detector: detectors.Detector, split: Split, pixels: bool = True) -> dict:
    """Fit ``detector`` and judge it: a row of plain numbers, ready for JSON.

    ``scores`` are those of the test images in their order, ``test`` says how many of each kind stand there, and
    ``without_flow`` is the same for the detector without its coupling blocks (None where there are none).

    Args:
        pixels: also judge the heat maps of the methods that have one.
    """
    start = time.process_time()
    detector.fit(split.train)
    fitted = time.process_time()
    scores = detector.score(split.test)
    scored = time.process_time()
    judged = _judge(scores, _maps(detector, split, pixels), split)
    found = {"method": detector.name, "backbone": detector.backbone_label, "size": detector.settings.size, **judged,
             "per_kind": _per_kind(scores, split), "train_seconds": round(fitted - start, 3),
             "images_per_second": round(len(scores) / (scored - fitted), 1),
             "parameters": detector.parameters_count(), "fingerprint": split.fingerprint(),
             "test": {kind: split.kinds.count(kind) for kind in dict.fromkeys(split.kinds)},
             "scores": _short(scores), "without_flow": None, "scores_without": None}
    if detector.name in LEFT:
        bare = without_flow(detector, split.train)
        scores = bare.score(split.test)
        found["without_flow"] = _judge(scores, _maps(bare, split, pixels), split)
        found["scores_without"] = _short(scores)
    return found


def labels_of(test: dict[str, int]) -> np.ndarray:
    """``(N,)`` bool, True = defective, from the ``test`` entry of a row."""
    return np.repeat([kind != "good" for kind in test], list(test.values()))


def paired(a, b, labels, n: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """AUROC of scores ``a`` minus that of ``b``, both ``(N,)`` for the same images, and its 95 % bootstrap interval.

    In each of the ``n`` draws both methods see the same images; each class keeps its size.
    """
    a, b, labels, rng = np.asarray(a), np.asarray(b), np.asarray(labels), np.random.default_rng(seed)
    good, bad = np.flatnonzero(~labels), np.flatnonzero(labels)
    wins = [(1 + np.sign(s[bad][:, None] - s[good])) / 2 for s in (a, b)]      # (M, N): 1 right, 0 wrong, 1/2 a tie
    gap = wins[0] - wins[1]
    rows = rng.multinomial(len(bad), [1 / len(bad)] * len(bad), n)             # (n, M): how often each is drawn
    columns = rng.multinomial(len(good), [1 / len(good)] * len(good), n)       # (n, N)
    drawn = np.einsum("nm,mk,nk->n", rows, gap, columns, optimize=True) / gap.size
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(gap.mean()), float(low), float(high)


def chosen_on_the_test_set(scores, labels, epochs: int = 20, rounds: int = 200, noise: float = 0.2,
                           seed: int = 0) -> tuple[float, float]:
    """What choosing the best of ``epochs`` on test images adds to its AUROC: on those images, and on others.

    The epochs are equally good: the ranks of ``scores`` (N,) with fresh noise, as a share of their spread. In each
    round half of the test images choose; both numbers are the chosen epoch minus the mean of all epochs.
    """
    ranks, labels, rng, gains = np.argsort(np.argsort(scores)), np.asarray(labels), np.random.default_rng(seed), []
    for _ in range(rounds):
        half = np.zeros(len(ranks), bool)
        for members in (np.flatnonzero(labels), np.flatnonzero(~labels)):
            half[rng.permutation(members)[::2]] = True                         # half of each class
        made = ranks + noise * ranks.std() * rng.standard_normal((epochs, len(ranks)))
        here, there = (np.array([metrics.auroc(s[h], labels[h]) for s in made]) for h in (half, ~half))
        gains.append((here.max() - here.mean(), there[here.argmax()] - there.mean()))
    return tuple(float(v) for v in np.mean(gains, axis=0))


def _maps(detector, split: Split, pixels: bool) -> Tensor | None:
    return detector.anomaly_map(split.test) if pixels and detector.has_map else None


def _judge(scores: Tensor, maps: Tensor | None, split: Split) -> dict:
    low, high = metrics.bootstrap_interval(metrics.auroc, scores, split.labels)
    found = {"image_auroc": metrics.auroc(scores, split.labels), "interval": [round(low, 4), round(high, 4)],
             "pixel_auroc": None, "aupro": None}
    if maps is not None:
        truth = split.labels.clone() & ~split.masks.flatten(1).any(1)    # labelled defective, but the mask is empty
        found["pixel_auroc"] = metrics.pixel_auroc(maps[~truth], split.masks[~truth])
        found["aupro"] = metrics.aupro(maps[~truth], split.masks[~truth])
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def _per_kind(scores: Tensor, split: Split) -> dict[str, float]:
    """Image AUROC of each kind of defect against all good parts."""
    kinds = np.array(split.kinds)
    chosen = {kind: (kinds == kind) | (kinds == "good") for kind in dict.fromkeys(split.kinds) if kind != "good"}
    return {kind: round(metrics.auroc(scores.numpy()[rows], split.labels.numpy()[rows]), 4)
            for kind, rows in chosen.items()}


def _short(scores: Tensor) -> list[float]:
    return [float(f"{score:.6g}") for score in scores.tolist()]
