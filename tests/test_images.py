"""One picture and one mask from a file: every mode PIL decodes, and a sentence for what it should not take."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.data import DataError, images, read_image, read_mask

GREY = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (8, 1))            # (8, 16): a ramp, so that turns show


def save(path: Path, picture=GREY, **options) -> Path:
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)
    return path


def test_pictures_too_large_are_refused_unread(tmp_path, monkeypatch):
    path = save(tmp_path / "big.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    with pytest.raises(DataError, match=r"big\.png is too large \(16 x 8 px\).*cut it into tiles"):
        read_image(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 64_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)      # PIL's own limit: more than twice of it raises there
    with pytest.raises(DataError, match="too large"):
        read_image(path)


RGB = np.stack([GREY, GREY[:, ::-1], 255 - GREY // 2], -1)


def palette() -> Image.Image:
    return Image.fromarray(RGB).quantize(256)


MODES = {   # name: picture to save, file name, expected (8, 16, 3) in [0, 1], tolerance
    "grey": (GREY, "x.png", GREY[..., None] / 255, 0),
    "colour": (RGB, "x.png", RGB / 255, 0),
    "alpha": (np.dstack([RGB, GREY]), "x.png", RGB / 255, 0),
    "grey with alpha": (Image.fromarray(np.dstack([GREY, GREY]), "LA"), "x.png", GREY[..., None] / 255, 0),
    "one bit": (Image.fromarray(GREY > 99), "x.png", (GREY > 99)[..., None], 0),
    "palette": (palette(), "x.png", np.asarray(palette().convert("RGB")) / 255, 0),
    "16 bit": (GREY.astype(np.uint16) * 257 + 3, "x.png", (GREY.astype(float)[..., None] * 257 + 3) / 65535, 1e-6),
    "16 bit tiff": (GREY.astype(np.uint16) * 200, "x.tif", GREY.astype(float)[..., None] * 200 / 65535, 1e-6),
    "32 bit integer": (GREY.astype(np.int32) * 257, "x.tif", GREY[..., None] / 255, 1e-6),
    "float": (GREY.astype(np.float32) / 255, "x.tiff", GREY[..., None] / 255, 1e-6),
    "cmyk": (Image.fromarray(RGB).convert("CMYK"), "x.tif", RGB / 255, 0.01),
    "webp": (RGB, "x.webp", RGB / 255, 0),
    "black": (np.zeros((8, 16), np.uint8), "x.png", np.zeros((8, 16, 1)), 0),
}


@pytest.mark.parametrize(("picture", "name", "expected", "tolerance"), MODES.values(), ids=MODES)
def test_every_mode_becomes_three_channels_in_the_unit_interval(tmp_path, picture, name, expected, tolerance):
    path = save(tmp_path / name, picture, **({"lossless": True} if name.endswith("webp") else {}))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        image = read_image(path)
    assert image.shape == (3, 8, 16) and image.dtype == torch.float32 and image.is_contiguous()
    wanted = np.broadcast_to(expected, (8, 16, 3))
    assert np.abs(image.permute(1, 2, 0).numpy() - wanted).max() <= max(tolerance, 1e-7)


def test_a_palette_with_transparency_keeps_its_colours(tmp_path):
    wanted = torch.from_numpy(np.asarray(palette().convert("RGB")) / 255).float()
    for transparency in (0, bytes(range(0, 256, 2))):        # one clear colour, or an opacity per colour
        path = save(tmp_path / "x.png", palette(), transparency=transparency)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)      # PIL would warn on the second kind
            assert torch.equal(read_image(path).permute(1, 2, 0), wanted)


@pytest.mark.parametrize("values", [(-1.0, 1.0), (0.0, 300.0), (0.0, float("nan"))])
def test_numbers_without_a_clear_range_are_refused(tmp_path, values):
    picture = np.full((4, 4), values[0], np.float32)
    picture[0, 0] = values[1]
    with pytest.raises(DataError, match=r"x\.tif holds values from .* Expected 0 to 1"):
        read_image(save(tmp_path / "x.tif", picture))


@pytest.mark.parametrize(("orientation", "turn"), [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]),
                                                   (6, lambda a: np.rot90(a, -1)), (8, np.rot90)])
def test_the_cameras_orientation_is_applied(tmp_path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "x.png", GREY, exif=exif)
    assert np.array_equal((read_image(path)[0].numpy() * 255).round(), turn(GREY))
    assert images.image_size(path) == turn(GREY).shape


@pytest.mark.parametrize(("marked", "picture"), [
    (5, np.r_[np.full(5, 255), np.zeros(11)]), (5, np.r_[np.ones(5), np.zeros(11)]),     # grey levels; labels 0 and 1
    (5, np.r_[np.full(5, 200), np.full(11, 20)]), (0, np.zeros(16)),                    # JPEG-like rims; empty
])
def test_a_mask_is_read_from_levels_or_labels(tmp_path, marked, picture):
    mask = read_mask(save(tmp_path / "m.png", picture.reshape(4, 4).astype(np.uint8)))
    assert mask.dtype == torch.bool and mask.shape == (4, 4) and mask.sum() == marked
