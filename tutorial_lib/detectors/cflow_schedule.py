"""Which vectors CFlow-AD's training sees at which step, and how fast it learns there: the released code's loops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .errors import DetectorError
from .views import stream

WEIGHTS, ORDER, CHOICE, ANGLES = range(4)  # uses of the seed

FLOOR = 1e-3  # the cosine ends at this share of the learning rate
COLD = 0.1    # the warm-up begins at this share of it


def cosine(lr: float, progress: float) -> float:
    """Learning rate between ``lr`` (progress 0) and ``lr`` / 1000 (progress 1), along half a cosine."""
    low = FLOOR * lr
    return low + (lr - low) * (1 + math.cos(math.pi * progress)) / 2


class Draw(NamedTuple):
    """What one step sees: some images (None: all of them), and rows of each tap's vectors of these images."""

    images: tuple[int, ...] | None
    rows: dict[int, Tensor]  # tap -> indices into the (images * positions) vectors, image by image
    batch: tuple[int, int] | None = None  # pass and batch of images; one key, the same images


@dataclass(frozen=True)
class Random:
    """A fixed number of steps. Each draws vectors of every tap from all images, and the rate follows one cosine.

    Args:
        images: training images. cells: positions of each tap's map. vectors: of each tap at each step.
    """

    images: int
    cells: tuple[int, ...]
    vectors: int
    steps: int
    lr: float
    seed: int

    def draw(self, step: int) -> Draw:
        """With replacement: one vector may be drawn twice."""
        generator = stream(self.seed, CHOICE, step)
        return Draw(None, {k: torch.randint(self.images * n, (self.vectors,), generator=generator)
                           for k, n in enumerate(self.cells)})

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return cosine(self.lr, step / self.steps)


@dataclass(frozen=True)
class Passes:
    """Nested loops: passes over the images, batches of them, taps, chunks of the shuffled vectors of a batch.

    What does not fill a batch or a chunk is left out, as in the released code. There a set smaller than one batch
    would train on nothing; here it is one batch.

    Args:
        images, cells, vectors: as in ``Random``; ``vectors`` make a chunk, and each chunk is a step of one tap.
        at_once: images of a batch. meta, sub: 25 epochs of 8 passes in the paper; the rate changes from epoch to epoch.
        warm: epochs in which it rises, from batch to batch.
    """

    images: int
    cells: tuple[int, ...]
    vectors: int
    at_once: int
    meta: int
    sub: int
    warm: int
    lr: float
    seed: int

    def __post_init__(self) -> None:
        if not all(self.chunks):
            least = min(self.cells) * self.batch_size
            raise DetectorError(f"cflow got vectors_per_step={self.vectors}, but a batch of {self.batch_size} images "
                                f"has only {least} vectors at the coarsest tap. Expected {least} or fewer, more images "
                                "or a larger size.")

    @property
    def batch_size(self) -> int:
        """Images of a batch."""
        return min(self.at_once, self.images)

    @property
    def batches(self) -> int:
        """Batches of a pass."""
        return self.images // self.batch_size

    @property
    def chunks(self) -> tuple[int, ...]:
        """Steps that each tap takes on one batch of images."""
        return tuple(self.batch_size * n // self.vectors for n in self.cells)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.meta * self.sub * self.batches * sum(self.chunks)

    def place(self, step: int) -> tuple[int, int, int, int]:
        """Pass, batch of images, tap and chunk of a step, all counted from 0."""
        before, chunk = divmod(step, sum(self.chunks))
        tap = 0
        while chunk >= self.chunks[tap]:
            chunk, tap = chunk - self.chunks[tap], tap + 1
        return *divmod(before, self.batches), tap, chunk

    def draw(self, step: int) -> Draw:
        """Vectors are shuffled within their batch of images; each is seen at most once in a pass."""
        epoch, batch, tap, chunk = self.place(step)
        order = torch.randperm(self.images, generator=stream(self.seed, ORDER, epoch))
        chosen = order[batch * self.batch_size:][:self.batch_size].tolist()
        rows = torch.randperm(self.batch_size * self.cells[tap],
                              generator=stream(self.seed, CHOICE, epoch, batch, tap))
        return Draw(tuple(chosen), {tap: rows[chunk * self.vectors:][:self.vectors]}, (epoch, batch))

    def rate(self, step: int) -> float:
        """Cosine over the epochs; in the first ``warm`` of them a line from ``lr`` / 10 up to where the cosine is."""
        epoch, batch, _, _ = self.place(step)
        if (meta := epoch // self.sub) >= self.warm:
            return cosine(self.lr, meta / self.meta)
        share = (epoch * self.batches + batch) / (self.warm * self.sub * self.batches)
        return COLD * self.lr + share * (cosine(self.lr, self.warm / self.meta) - COLD * self.lr)
