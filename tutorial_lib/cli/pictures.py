"""Looks at every picture and mask of a split once, before minutes are spent on training."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from tutorial_lib.data import DataError, ImageFiles, Split


class PackedMasks:
    """Masks held in memory at one bit per pixel; ``masks[i]`` is ``(H, W)`` bool. Read once, used by every method."""

    def __init__(self):
        self._packed: list[tuple[tuple[int, int], np.ndarray | None]] = []

    def append(self, mask) -> None:
        mask = np.asarray(mask)
        self._packed.append((mask.shape, np.packbits(mask) if mask.any() else None))

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, index: int) -> np.ndarray:
        (h, w), bits = self._packed[index]
        return np.zeros((h, w), bool) if bits is None else np.unpackbits(bits, count=h * w).reshape(h, w).astype(bool)


@dataclass
class Findings:
    """What a split holds, counted; ``problems`` stop a comparison, ``notes`` do not."""

    counts: dict[str, int]
    sizes: Counter = field(default_factory=Counter)  # (H, W) -> how many pictures
    pixel_truth: list[int] = field(default_factory=list)  # test pictures that pixel metrics may use
    masks: PackedMasks = field(default_factory=PackedMasks)  # one for each of ``pixel_truth``
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect(split: Split, progress: bool = True) -> Findings:
    """Decode every picture and mask once, one at a time; problems are collected, not raised.

    Pixel metrics use normal pictures, and defective ones whose mask is known and not empty: the pixels of a defect
    that nobody marked would count as false alarms.
    """
    found = Findings({"train": len(split.train), **Counter(split.kinds)})
    black, empty, has_mask = [], [], split.has_mask.tolist()
    with tqdm(total=len(split.train) + len(split.test), desc="looking at every picture", unit="picture", delay=1,
              leave=False, disable=not progress) as bar:
        for part in (split.train, split.test):
            for index in range(len(part)):
                bar.update()
                image = _try(part, index, found)
                if image is None:
                    continue
                found.sizes[tuple(image.shape[1:])] += 1
                values = image.numpy()  # torch would start threads for each of a thousand small pictures
                if not np.isfinite(values).all():
                    found.problems.append(f"{_name(part, index)} holds NaN or infinite values. Export it again.")
                elif not values.any():
                    black.append(_name(part, index))
                if part is split.test and has_mask[index]:
                    mask = _try(split.masks, index, found)
                    if mask is not None and (mask.numpy().any() or not split.labels[index]):
                        found.pixel_truth.append(index)
                        found.masks.append(mask)
                    elif mask is not None:
                        empty.append(_name(part, index))
    _note(found, black, "entirely black and used as they are", "is entirely black and used as it is")
    _note(found, empty, "defective with an empty mask: in image metrics only", "is defective with an empty mask: "
          "in image metrics only")
    missing = [_name(split.test, i) for i in range(len(split.test)) if not has_mask[i]]
    _note(found, missing, "defective without a mask: in image metrics only", "is defective without a mask: in image "
          "metrics only")
    return found


def in_words(found: Findings) -> list[str]:
    """Counts and sizes in two sentences."""
    bad = {kind: n for kind, n in found.counts.items() if kind not in ("train", "good")}
    kinds = ", ".join(f"{n} {kind}" for kind, n in bad.items())
    lines = [f"{found.counts['train']} normal pictures to train on; to test on {found.counts.get('good', 0)} normal "
             f"and {sum(bad.values())} defective ones" + (f": {kinds}." if bad else ".")]
    if found.sizes:
        heights, widths = zip(*found.sizes, strict=True)
        (h, w), share = found.sizes.most_common(1)[0]
        lines.append(f"All are {w} × {h} px (width × height)." if len(found.sizes) == 1 else
                     f"Sizes from {min(widths)} to {max(widths)} px wide and {min(heights)} to {max(heights)} px high; "
                     f"the most common, {w} × {h} px, {share} times.")
    return lines


def _try(part, index: int, found: Findings):
    try:
        return part[index]
    except DataError as error:
        found.problems.append(str(error))
        return None


def _name(part, index: int) -> str:
    return str(part.paths[index]) if isinstance(part, ImageFiles) else f"picture {index}"


def _note(found: Findings, names: list[str], many: str, one: str) -> None:
    if len(names) == 1:
        found.notes.append(f"{names[0]} {one}.")
    elif names:
        found.notes.append(f"{len(names)} pictures are {many} (the first: {names[0]}).")
