"""Lazy sequences of pictures and of masks: a file is opened when its element is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tutorial_lib.data.images import DataError, image_size, read_image, read_mask


class ImageFiles(Sequence):
    """Pictures on disk, decoded when asked for: ``files[3]`` is a ``(3, H, W)`` tensor, ``files[:8]`` is lazy again."""

    def __init__(self, paths: Sequence[str | Path]):
        self.paths = [Path(path) for path in paths]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Tensor | ImageFiles:
        if isinstance(index, slice):
            return ImageFiles(self.paths[index])
        return read_image(self.paths[index])

    def __repr__(self) -> str:
        return f"ImageFiles({len(self)} pictures{f', first {self.paths[0].name}' if self.paths else ''})"

    def contents(self) -> Iterator[bytes]:
        """The bytes of each file."""
        for path in self.paths:
            yield _bytes(path)


class MaskFiles(Sequence):
    """Masks on disk, one per picture: ``masks[i]`` is an ``(H, W)`` bool tensor of the picture's size.

    Args:
        paths: the mask file of each picture, or None.
        pictures: the pictures they belong to.
        defective: whether each picture is labelled defective. A normal picture without a mask gets an empty one; a
            defective picture without a mask has no pixel truth: ``known`` is False there, and reading it raises.
    """

    def __init__(self, paths: Sequence[Path | None], pictures: Sequence[Path], defective: Sequence[bool]):
        if not len(paths) == len(pictures) == len(defective):
            raise ValueError(f"{len(paths)} masks, {len(pictures)} pictures and {len(defective)} labels. Expected one "
                             "mask (or None) and one label per picture.")
        self.paths, self.pictures, self.defective = list(paths), list(pictures), list(defective)

    @property
    def known(self) -> Tensor:
        """``(N,)`` bool: pictures whose pixel truth is known."""
        return torch.tensor([path is not None or not bad for path, bad in zip(self.paths, self.defective, strict=True)],
                            dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Tensor | MaskFiles:
        if isinstance(index, slice):
            return MaskFiles(self.paths[index], self.pictures[index], self.defective[index])
        path, picture = self.paths[index], self.pictures[index]
        if path is None and self.defective[index]:
            raise DataError(f"{picture} is defective and has no mask. Leave it out of pixel metrics (Split.has_mask "
                            "says which have one), or draw a mask and put it under ground_truth/.")
        size = image_size(picture)
        if path is None:
            return torch.zeros(size, dtype=torch.bool)
        mask = read_mask(path)
        if tuple(mask.shape) != size:
            raise DataError(f"{path}: the mask is {mask.shape[1]} x {mask.shape[0]} px, its picture {picture.name} is "
                            f"{size[1]} x {size[0]} px. Expected the same size: export the mask again, unscaled.")
        return mask

    def contents(self) -> Iterator[bytes]:
        """The bytes of each mask file, empty where there is none."""
        for path in self.paths:
            yield b"" if path is None else _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Check that it still exists and that you may read "
                        "it.") from error
