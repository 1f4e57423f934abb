"""A folder of small photographs in the layout of MVTec AD, written from the factory: what a user would point at."""

from pathlib import Path

import numpy as np
from PIL import Image

from tutorial_lib.data import factory

KINDS = ("crack", "spot")


def write_folder(root: Path, category: str = "metal", train: int = 6, good: int = 4, per_kind: int = 3,
                 size: int = 48) -> Path:
    """``root`` with train/good, test/good, test/<kind> and ground_truth/<kind>; returns it."""
    for index, image in enumerate(factory.normal(category, train + good, size=size)):
        save(root / ("train" if index < train else "test") / "good" / f"{index:03}.png", image)
    for kind in KINDS:
        images, masks = factory.defective(category, kind, per_kind, size=size, severity=0.9)
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            save(root / "test" / kind / f"{index:03}.png", image)
            save(root / "ground_truth" / kind / f"{index:03}_mask.png", mask)
    return root


def save(path: Path, picture) -> None:
    """A ``(3, H, W)`` picture in [0, 1], or an ``(H, W)`` mask, as an 8-bit PNG."""
    values = (np.asarray(picture, dtype=np.float32) * 255).round().astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values if values.ndim == 2 else np.moveaxis(values, 0, -1)).save(path)
