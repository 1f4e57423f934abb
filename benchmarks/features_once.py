"""What features computed once are worth: one pass of a frozen backbone, and every epoch after the first.

    python benchmarks/features_once.py        half a minute on one core, alone on the machine

Three ways through the same 32 images with the same weights, five rounds, the ways in turn, the median of the ratios:
  as released   the published codes' loop: evaluation mode, no_grad, the usual order of numbers, every epoch anew
  backbone      this library's: inference mode, channels_last
  cache         this library's, second epoch: maps from memory, or from disk by a process that has just started
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable

import torch

import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
from tutorial_lib import backbones
from tutorial_lib.backbones.cache import FeatureCache

ROUNDS, IMAGES, BATCH = 5, 32, 8
SETTINGS = (("resnet18", "random", 256), ("embedded", "embedded", 128))


def seconds(epoch: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    epoch()
    return time.perf_counter() - start


def ratios(name: str, weights: str, size: int) -> dict[str, list[float]]:
    """Seconds of the released loop over seconds of each other way, one number per round."""
    images = torch.rand(IMAGES, 3, size, size, generator=torch.Generator().manual_seed(0))
    batches = images.split(BATCH)
    backbone = backbones.load(name, weights)
    plain = backbones.load(name, weights).to(memory_format=torch.contiguous_format)
    last = max(plain.taps, key=list(plain.ALL_TAPS).index)

    @torch.no_grad()
    def released():
        return [plain.maps((batch - plain.mean) / plain.std, last) for batch in batches]

    with tempfile.TemporaryDirectory() as folder:
        near = FeatureCache(folder).of(backbone)
        ways = {"backbone": lambda: [backbone(batch) for batch in batches],
                "cache in memory": lambda: [near(batch) for batch in batches],
                "cache on disk": lambda: [FeatureCache(folder).of(backbone)(batch) for batch in batches]}
        for way in (released, *ways.values()):  # the first epoch: compilers, caches, the files themselves
            way()
        found = {way: [] for way in ways}
        for _ in range(ROUNDS):
            slow = seconds(released)
            for way, epoch in ways.items():
                found[way].append(slow / seconds(epoch))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    for setting in SETTINGS:
        for way, found in ratios(*setting).items():
            print(f"{setting[0]:9s} {setting[2]} px  {way:16s} {statistics.median(found):6.1f} times faster "
                  f"(from {min(found):.1f} to {max(found):.1f})")
