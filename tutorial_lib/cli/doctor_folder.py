"""The doctor's look at a folder of photographs: what was found, and every problem with the name of its file."""

import sys
import warnings
from pathlib import Path

from tutorial_lib import data
from tutorial_lib.cli import pictures
from tutorial_lib.cli.doctor import NOTE, OK, PROBLEM, Line


def lines(root: Path) -> list[Line]:
    """One line per finding, for the folder itself or for each category inside it."""
    try:
        several = data.folder.categories(root) if root.is_dir() and not (root / "train").is_dir() else []
    except OSError as error:
        return [Line(PROBLEM, f"{root} cannot be read: {error.strerror}. Check the path and its permissions.")]
    found = [line for category in several or [None] for line in _one(root, category)]
    if len(several) > 1:
        found.insert(0, Line(OK, f"{root} holds {len(several)} categories: {', '.join(several)}."))
    return found


def _one(root: Path, category: str | None) -> list[Line]:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            split = data.folder.read(root, category)
    except data.DataError as error:
        return [Line(PROBLEM, str(error))]
    seen = pictures.inspect(split, progress=sys.stderr.isatty())
    found = [Line(OK, f"{split.name}: {sentence}") for sentence in pictures.in_words(seen)]
    found += [Line(NOTE, f"{split.name}: {sentence}") for sentence in [str(w.message) for w in caught] + seen.notes]
    marked = sum(bool(split.labels[i]) for i in seen.pixel_truth)
    found.append(Line(OK if marked else NOTE, f"{split.name}: {marked} of {int(split.labels.sum())} defective pictures "
                                              "have a mask that marks something" +
                      ("." if marked else "; without masks there is no pixel AUROC and no AUPRO.")))
    if 1 < len(split.train) < 16:
        found.append(Line(NOTE, f"{split.name}: {len(split.train)} pictures to train on are few; aim for 50 or more."))
    if len(split.train) == 1:
        found.append(Line(PROBLEM, f"{split.name}: one picture to train on. What varies between good parts cannot be "
                                   "seen in one; put more normal pictures into train/good."))
    return found + [Line(PROBLEM, problem) for problem in seen.problems]
