"""Small trained detectors that came with the course: for looking at, not for leading a table.

    detector = stored.load("fastflow", "washer")   # milliseconds instead of a training
    split = stored.split("washer")                 # the images it was fitted on, and a test set of the same factory
    stored.names()                                 # (("pca", "washer"), ...)

Each is its method's small setting, at 64 pixels and with fewer features, so that its file stays below one megabyte
(``settings.py``). ``python -m tutorial_lib.stored`` fits them all again from their seeds; ``card.json`` holds the
SHA-256 of every file, and ``load`` compares.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from tutorial_lib import detectors
from tutorial_lib.data import Split, factory

from .settings import CATEGORIES, METHODS, SETTINGS, SPLIT

FOLDER = Path(__file__).with_name("files")
CARD = FOLDER / "card.json"
CURE = "'python -m tutorial_lib.stored' fits them all again; 'git checkout' brings back those of the course."

__all__ = ["CATEGORIES", "METHODS", "SETTINGS", "StoredError", "card", "load", "names", "split"]


class StoredError(RuntimeError):
    """A stored detector is missing, damaged, or belongs to other backbone weights."""


def file_of(method: str, category: str) -> Path:
    """Where the detector lies."""
    return FOLDER / f"{method}_{category}.safetensors"


def card() -> dict:
    """``{"files": {"pca_washer": {...}}, ...}``: hash, size, settings and quality of each stored detector.

    Raises:
        StoredError: the card is missing or no JSON.
    """
    try:
        return json.loads(CARD.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoredError(f"The card of the stored detectors, {CARD.name}, cannot be read ({error}). {CURE}") from error


def names() -> tuple[tuple[str, str], ...]:
    """The stored ``(method, category)`` pairs, simplest method first."""
    found = card()["files"]
    return tuple((m, c) for m in METHODS for c in CATEGORIES if f"{m}_{c}" in found)


def load(method: str, category: str = "washer", device: str = "auto") -> detectors.Detector:
    """The stored detector of ``method``, fitted on good parts of ``category``; without progress bars.

    Raises:
        StoredError: there is none of this name, its file is not the one that the card describes, or the backbone's
            weights have changed since it was fitted.
    """
    if (method, category) not in names():
        there = ", ".join(sorted({m for m, _ in names()}))
        raise StoredError(f"There is no stored detector {method!r} for {category!r}. Methods: {there}. "
                          f"Categories: {', '.join(CATEGORIES)}.")
    path, entry = file_of(method, category), card()["files"][f"{method}_{category}"]
    if not path.is_file():
        raise StoredError(f"{path.name} is missing from the package. {CURE}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != entry["sha256"]:
        raise StoredError(f"{path.name} is not the file that {CARD.name} describes: found SHA-256 {found[:8]}…, "
                          f"expected {entry['sha256'][:8]}…. {CURE}")
    try:
        return detectors.load(path, device=device, progress=False)
    except detectors.DetectorError as error:
        raise StoredError(f"The stored {method} for {category} cannot be used. {error} {CURE}") from error


@cache
def split(category: str) -> Split:
    """The images that the stored detectors of a category were fitted on (``train``), and a test set."""
    return factory.split(category, **SPLIT)
