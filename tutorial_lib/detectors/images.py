"""From any collection of images to checked square batches, and from square maps back to the images' own sizes.

A collection is a tensor ``(N, 3, H, W)`` or a sequence whose items are ``(3, H, W)`` tensors, read one at a time.
Values lie in [0, 1]. Sizes may differ: every image is resized to a square first (bilinear, antialiased, aspect ratio
not kept, as DifferNet does), and its map is resized back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import DetectorError

Images = Tensor | Sequence[Tensor]
Size = tuple[int, int]
SMALLEST = 8  # pixels; a side below this holds nothing that a backbone could see
ROUNDING = 1e-3  # how far beyond [0, 1] resizing may carry a value


def count(images: Images, who: str) -> int:
    """Number of images; raises a sentence for what is no collection, or an empty one."""
    if isinstance(images, Tensor) and images.ndim == 3:
        raise DetectorError(f"{who} got one image of shape {tuple(images.shape)}. Expected a batch (N, 3, H, W): "
                            "add the batch axis with images[None].")
    if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise DetectorError(f"{who} got a {type(images).__name__}. Expected a tensor (N, 3, H, W) or a sequence of "
                            "(3, H, W) tensors such as split.train.")
    if len(images) == 0:
        raise DetectorError(f"{who} got no images at all. Check the folder with 'python -m tutorial_lib doctor PATH'.")
    return len(images)


def checked(image: Tensor, index: int, images: Images, who: str) -> Tensor:
    """``image`` itself if it is ``(3, H, W)``, float, finite, in [0, 1] and large enough; else a sentence."""
    paths = getattr(images, "paths", None)
    name = f"image {index} ({paths[index]})" if paths else f"image {index}"
    found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] != 3:
        raise DetectorError(f"{who}: {name} is {found}. Expected a tensor (3, H, W); "
                            "repeat the channel of a grey image three times.")
    if not image.is_floating_point():
        raise DetectorError(f"{who}: {name} holds {image.dtype}. Expected floats in [0, 1]: use image.float() / 255.")
    if min(image.shape[1:]) < SMALLEST:
        raise DetectorError(f"{who}: {name} has {image.shape[1]} x {image.shape[2]} pixels. Expected at least "
                            f"{SMALLEST} on each side.")
    low, high = (float(v) for v in image.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~image.isfinite()).sum())
        raise DetectorError(f"{who}: {name} holds {bad} values that are NaN or infinite. Leave the image out, or "
                            "repair it with torch.nan_to_num.")
    if low < -ROUNDING or high > 1 + ROUNDING:
        cure = "divide by 255" if high > 2 else "undo a normalisation by mean and standard deviation"
        raise DetectorError(f"{who}: {name} holds values from {low:.3g} to {high:.3g}. Expected [0, 1]: {cure}.")
    return image


def resize(images: Tensor, size: Size) -> Tensor:
    """``(B, C, H, W)`` to ``(B, C, *size)``: bilinear, antialiased where it shrinks."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, size=tuple(size), mode="bilinear", antialias=True)


def square(images: Images, indices: Sequence[int], size: int, who: str) -> tuple[Tensor, list[Size]]:
    """The chosen images as one batch ``(B, 3, size, size)``, and their own sizes (height, width)."""
    found = [checked(images[i], i, images, who) for i in indices]
    batch = torch.cat([resize(image[None].float(), (size, size)) for image in found])
    return batch.clamp(0, 1), [tuple(image.shape[1:]) for image in found]


def batches(images: Images, size: int, batch: int, who: str) -> Iterator[tuple[Tensor, list[Size]]]:
    """All images in order, as ``square`` batches of at most ``batch``; only one batch is in memory at a time."""
    n = count(images, who)
    for start in range(0, n, batch):
        yield square(images, range(start, min(start + batch, n)), size, who)


def to_own_size(maps: Tensor, sizes: Sequence[Size]) -> list[Tensor]:
    """Square maps ``(B, h, w)`` enlarged to their images' sizes, bilinear: one ``(H, W)`` each.

    Corners are not aligned: the value of a cell stands at the centre of the pixels that the cell covers.
    """
    return [F.interpolate(m[None, None], size=s, mode="bilinear", align_corners=False)[0, 0]
            for m, s in zip(maps, sizes, strict=True)]
