"""A folder of photographs in the layout of MVTec AD, read lazily.

    root/train/good/*            normal pictures to learn from
    root/test/good/*             normal pictures to test on
    root/test/<kind>/*           defective pictures, one folder per kind of defect
    root/ground_truth/<kind>/*   masks: same stem as the picture, with or without ``_mask``, any picture format

Layout: MVTec AD (Bergmann et al. 2019, CVPR; doi 10.1109/CVPR.2019.00982).
"""

from __future__ import annotations

import difflib
import warnings
from pathlib import Path

import torch

from tutorial_lib.data.files import ImageFiles, MaskFiles
from tutorial_lib.data.images import SUFFIXES, DataError
from tutorial_lib.data.splits import Split

LAYOUT = "train/good, test/good, test/<kind of defect> and, for masks, ground_truth/<kind of defect>"


def read(root: str | Path, category: str | None = None, train_list: str | Path | None = None) -> Split:
    """Read the index of a data folder; pictures and masks are opened when they are asked for.

    Labels come from the folder, not from the mask: a defective picture may have an empty mask or none. Where a
    defective picture has no mask, ``split.has_mask`` is False and its mask raises: it has no place in pixel metrics.

    Args:
        root: the folder that holds ``train`` and ``test``, or a folder of such folders.
        category: which of several.
        train_list: text file, one file name or relative path per line. These normal pictures (from ``train/good`` or
            ``test/good``) are trained on; all other normal pictures become test pictures.

    Raises:
        DataError: a sentence about the folder or file that is wrong, and the next step.
    """
    home = _find(Path(root), category)
    train = _pictures(_need(home / "train" / "good", home))
    test = _need(home / "test", home)
    good = _pictures(test / "good") if (test / "good").is_dir() else []
    if not train:
        raise DataError(f"{home / 'train' / 'good'} holds no pictures ({', '.join(SUFFIXES)}). Put normal pictures "
                        "there: a detector learns from them alone.")
    name = home.resolve().name
    if train_list is not None:
        train, good = _retrain(train, good, home, Path(train_list))
        name = f"{name} ({Path(train_list).stem})"
    if not good:
        raise DataError(f"{test / 'good'} holds no pictures. Expected some normal pictures to test on: without them no "
                        "false alarm can be counted. Move a fifth of train/good there.")

    files, kinds, masks = list(good), ["good"] * len(good), [None] * len(good)
    for folder in _folders(test):
        if folder.name == "good":
            continue
        found = _pictures(folder)
        if not found:
            warnings.warn(f"{folder} holds no pictures and is left out.", stacklevel=2)
        files += found
        kinds += [folder.name] * len(found)
        masks += _masks(found, home / "ground_truth" / folder.name)
    if len(files) == len(good):
        raise DataError(f"{test} holds no defective pictures. Expected one folder per kind of defect beside 'good', "
                        "such as test/scratch.")
    labels = torch.tensor([kind != "good" for kind in kinds])
    return Split(name=name, train=ImageFiles(train), test=ImageFiles(files), labels=labels, kinds=kinds,
                 masks=MaskFiles(masks, files, labels.tolist()),
                 paths=[file.relative_to(home).as_posix() for file in files])


def categories(root: str | Path) -> list[str]:
    """Names of the folders inside ``root`` that hold a ``train`` folder."""
    return [folder.name for folder in _folders(Path(root)) if (folder / "train").is_dir()]


def _find(root: Path, category: str | None) -> Path:
    """The folder that holds ``train``."""
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        raise DataError(f"{root} {what}. Expected a folder with {LAYOUT}. Check the path.")
    if category is not None:
        if not (root / category).is_dir():
            near = difflib.get_close_matches(category, categories(root), n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]!r}?" if near else f"Found: {', '.join(categories(root)) or 'none'}."
            if (root / "train").is_dir():
                hint = "This folder is one category by itself: leave the category out."
            raise DataError(f"{root} has no category {category!r}. {hint}")
        return root / category
    inside = categories(root)
    if inside and not (root / "train").is_dir():
        if len(inside) > 1:
            raise DataError(f"{root} holds several categories: {', '.join(inside)}. Say which one, for example "
                            f"category={inside[0]!r}.")
        return root / inside[0]
    return root


def _need(folder: Path, home: Path) -> Path:
    if not folder.is_dir():
        found = ", ".join(sorted(entry.relative_to(home).as_posix() for entry in
                                 [*_folders(home), *(deep for top in _folders(home) for deep in _folders(top))])[:12])
        raise DataError(f"{home}: no folder {folder.relative_to(home).as_posix()}. Expected {LAYOUT}. Found: "
                        f"{found or 'no folders'}. Rename or move what you have to fit.")
    return folder


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _pictures(folder: Path) -> list[Path]:
    """Pictures in name order; hidden files and other kinds of file are passed over."""
    return sorted(entry for entry in folder.iterdir()
                  if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file())


def _masks(pictures: list[Path], folder: Path) -> list[Path | None]:
    by_stem = {mask.stem: mask for mask in _pictures(folder)} if folder.is_dir() else {}
    masks = [by_stem.get(f"{picture.stem}_mask", by_stem.get(picture.stem)) for picture in pictures]
    if by_stem and pictures and not any(masks):
        warnings.warn(f"No mask in {folder} belongs to a picture. Expected names such as {pictures[0].stem}.png or "
                      f"{pictures[0].stem}_mask.png; pixel metrics will leave this kind out.", stacklevel=3)
    return masks


def _retrain(train: list[Path], good: list[Path], home: Path, listing: Path) -> tuple[list[Path], list[Path]]:
    """Train on the listed normal pictures, test on all others."""
    try:
        text = listing.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{listing} cannot be read as a list of names ({error}). Expected a UTF-8 text file with one "
                        "file name per line.") from error
    wanted = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not wanted:
        raise DataError(f"{listing} names no pictures. Expected one file name per line.")
    pool, by_name = [*train, *good], {}
    for file in pool:
        for key in {file.name, file.relative_to(home).as_posix()}:
            by_name.setdefault(key, []).append(file)
    lost = [entry for entry in wanted if entry.replace("\\", "/").removeprefix("./") not in by_name]
    if lost:
        raise DataError(f"{listing}: {len(lost)} of {len(wanted)} entries were not found in train/good or test/good of "
                        f"{home}, the first is {lost[0]!r}. Expected file names with their extension, or paths such as "
                        f"{train[0].relative_to(home).as_posix()}.")
    matches = [by_name[entry.replace("\\", "/").removeprefix("./")] for entry in wanted]
    twice = next((entry for entry, files in zip(wanted, matches, strict=True) if len(files) > 1), None)
    if twice:
        raise DataError(f"{listing}: {twice!r} is in train/good and in test/good. Write the path instead, such as "
                        f"train/good/{twice}.")
    chosen = {files[0] for files in matches}
    return [file for file in pool if file in chosen], [file for file in pool if file not in chosen]
