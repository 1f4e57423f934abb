"""Files into tensors: one image, one mask. Every complaint names its file."""

from __future__ import annotations

import warnings
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
