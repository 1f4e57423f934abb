"""What every data source of this package hands over: normal images to learn from, and a labelled test set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tutorial_lib.data.files import ImageFiles, MaskFiles

Images = Tensor | ImageFiles
Masks = Tensor | MaskFiles | Sequence[Tensor]


@dataclass(frozen=True)
class Split:
    """Normal training images and a labelled test set.

    Args:
        name: what to call it in a table.
        train: normal images only: a ``(N, 3, H, W)`` float32 tensor in [0, 1] or ``ImageFiles``.
        test: images of the same kind, normal and defective.
        labels: ``(N,)`` bool tensor, one per test image; True = defective. From the folder, never from the mask.
        kinds: ``"good"`` or the kind of defect, one per test image.
        masks: one ``(H, W)`` bool tensor per test image, True on the defect.
        paths: one file name per test image, relative to the data folder; None where there are no files.

    Raises:
        ValueError: when the parts do not have one entry per test image.
    """

    name: str
    train: Images
    test: Images
    labels: Tensor
    kinds: list[str]
    masks: Masks
    paths: list[str] | None = None

    def __post_init__(self) -> None:
        sizes = {"labels": len(self.labels), "kinds": len(self.kinds), "masks": len(self.masks)}
        if self.paths is not None:
            sizes["paths"] = len(self.paths)
        wrong = {part: size for part, size in sizes.items() if size != len(self.test)}
        if wrong:
            raise ValueError(f"Split {self.name!r} has {len(self.test)} test images but {wrong}. Expected one entry "
                             "per test image in each.")

    @property
    def has_mask(self) -> Tensor:
        """``(N,)`` bool: where the pixels' truth is known. Leave the other images out of pixel AUROC and AUPRO."""
        if isinstance(self.masks, MaskFiles):
            return self.masks.known
        return torch.ones(len(self.masks), dtype=torch.bool)

    def fingerprint(self) -> str:
        """First 16 hex digits of a sha256 over image and mask contents, labels and kinds; file names do not count.

        Two processors draw the same picture up to rounding. So of a picture that is no file, only rounded sums count.
        """
        digest = hashlib.sha256()
        for part in (self.train, self.test, self.masks):
            for block in _blocks(part):
                digest.update(len(block).to_bytes(8, "little"))
                digest.update(block)
            digest.update(b"end of part")
        digest.update(bytes(self.labels.to(torch.uint8).tolist()))
        digest.update("\0".join(self.kinds).encode())
        return digest.hexdigest()[:16]


def _blocks(part: Images | Masks):
    """Yield one ``bytes`` per image: a file as it lies on disk (no decoding), or a tensor's dtype, shape and values."""
    if isinstance(part, (ImageFiles, MaskFiles)):
        yield from part.contents()
        return
    for tensor in part:
        values = _rounded_sums(tensor) if tensor.is_floating_point() else tensor.detach().cpu()
        yield f"{tensor.dtype}{tuple(tensor.shape)}".encode() + values.contiguous().numpy().tobytes()


def _rounded_sums(image: Tensor) -> Tensor:
    """Whole numbers that tell one picture ``(..., H, W)`` from another, and not one rounding from another.

    10,000 times the mean of x, of x², and of x weighted by row and by column, for each channel.
    """
    x = image.detach().cpu().double()
    rows, columns = (torch.linspace(0, 1, n, dtype=torch.float64) for n in x.shape[-2:])
    parts = torch.stack([x, x.square(), x * rows[:, None], x * columns])
    return (parts.mean((-2, -1)) * 10_000).round().long()
