"""Files into tensors: one image, one mask, and lazy sequences of both. Every complaint names its file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 64_000_000   # 8000 x 8000: 0.8 GB as float32 RGB; larger pictures want tiles, or are not what they say


class DataError(ValueError):
    """Something is wrong with the data. The message names the file, what was expected, and what to do next."""


def read_image(path: str | Path) -> Tensor:
    """Read one picture as a ``(3, H, W)`` float32 tensor in [0, 1].

    Grey is repeated over the three channels, 16-bit is divided by 65535, palettes and CMYK become RGB, transparency
    is dropped, the camera's EXIF orientation is applied, of several frames the first is taken.

    Raises:
        DataError: the file is missing, empty, corrupt, not a picture, too large, or of an unclear number range.
    """
    return torch.from_numpy(_rgb(_decode(Path(path)), Path(path)))


def read_mask(path: str | Path) -> Tensor:
    """Read one mask as an ``(H, W)`` bool tensor: True where any channel is above half of its range.

    A file that holds only the values 0 and 1 is read as such (labels, not grey levels).

    Raises:
        DataError: as ``read_image``.
    """
    levels = _rgb(_decode(Path(path)), Path(path)).max(0)   # (H, W)
    top = levels.max()
    return torch.from_numpy(levels > (0.5 if top > 1 / 255 else 0))


def image_size(path: str | Path) -> tuple[int, int]:
    """``(H, W)`` of a picture as ``read_image`` would return it; reads the header only."""
    with _open(Path(path)) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)   # EXIF tag Orientation: rotated by a quarter turn
    return (width, height) if turned else (height, width)


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


def _open(path: Path) -> Image.Image:
    """Open lazily (header only), or say what is wrong."""
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes). Copy the picture again, or remove the file.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)   # refused below, with a sentence
            image = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(path, str(error))) from error
    except OSError as error:   # UnidentifiedImageError is one
        reason = error.strerror or "its content is not a picture this package reads"
        raise DataError(f"{path} cannot be opened: {reason}. Expected one of {', '.join(FORMATS)}; open it in an image "
                        "viewer, then export it again or remove it.") from error
    except (SyntaxError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(_corrupt(path, error)) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise DataError(_too_large(path, f"{image.width} x {image.height} px"))
    return image


def _decode(path: Path) -> Image.Image:
    with _open(path) as image:
        try:
            image.load()
            return ImageOps.exif_transpose(image)
        except Exception as error:   # decoders raise many types on damaged bytes: OSError, SyntaxError, struct.error …
            raise DataError(_corrupt(path, error)) from error


def _rgb(image: Image.Image, path: Path) -> np.ndarray:
    """``(3, H, W)`` float32 in [0, 1] from any mode that PIL decodes."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.float32)
        top = 1.0 if image.mode == "F" else 65535.0
        if not np.isfinite(levels).all() or levels.min() < 0 or levels.max() > top:
            raise DataError(f"{path} holds values from {levels.min():.4g} to {levels.max():.4g}. Expected 0 to "
                            f"{top:.0f} for this kind of file: save it as 8-bit or 16-bit PNG.")
        return np.repeat((levels / top)[None], 3, axis=0)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")   # straight to RGB would warn; the colour is the same
    return np.ascontiguousarray(np.asarray(image.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255)


def _too_large(path: Path, found: str) -> str:
    return (f"{path} is too large ({found}). Expected at most {MAX_PIXELS / 1e6:.0f} million pixels: scale it down or "
            "cut it into tiles.")


def _corrupt(path: Path, error: Exception) -> str:
    return (f"{path} is damaged and cannot be decoded ({error}). Copy or export the picture again, or remove it from "
            "the folder.")
