"""Faults of a texture whose pixels are all usual: a piece from elsewhere, a turned piece, a piece without pattern.

No grey value is new in any of them. What is wrong is the *order* of the pixels: hard for a detector that compares
values place by place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

SHARE = 5  # the piece has a fifth of the picture's side


def _pieces(images: Tensor, seed: int) -> Iterator[tuple[int, slice, slice, tuple[slice, slice]]]:
    """(index, rows, columns, place of the donor) of each picture; donor and piece do not overlap in their rows."""
    generator = torch.Generator().manual_seed(seed)
    side = images.shape[-1]
    piece = side // SHARE
    for index in range(len(images)):
        top, left, other = (int(torch.randint(1, side - piece - 1, (), generator=generator)) for _ in range(3))
        donor = (top + side // 2) % (side - piece)
        if abs(donor - top) < piece:
            donor = 0 if top >= piece else side - piece
        yield (index, slice(top, top + piece), slice(left, left + piece),
               (slice(donor, donor + piece), slice(other, other + piece)))


def _made(images: Tensor, seed: int, change: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    found, masks = images.clone(), torch.zeros(len(images), *images.shape[2:], dtype=torch.bool)
    for index, rows, columns, donor in _pieces(images, seed):
        found[index, :, rows, columns] = change(images[index, :, rows, columns], images[index][:, donor[0], donor[1]])
        masks[index, rows, columns] = True
    return found, masks


def pasted(images: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures ``(N, 3, S, S)`` with a square from elsewhere in the same picture; masks ``(N, S, S)`` bool."""
    return _made(images, seed, lambda here, there: there)


def turned(images: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A square of each picture turned by a quarter in its place."""
    return _made(images, seed, lambda here, there: here.rot90(1, (1, 2)))


def blank(images: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A square of each picture replaced by its own mean colour: the pattern is missing."""
    return _made(images, seed, lambda here, there: here.mean((1, 2), keepdim=True).expand_as(here))


FAULTS = {"pasted from elsewhere": pasted, "turned in place": turned, "pattern missing": blank}
