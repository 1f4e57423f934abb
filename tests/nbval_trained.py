"""nbval, with one more tag: in a cell tagged ``trained`` the words must agree, and its numbers nearly.

nbval compares text exactly, and that is right for what is computed. It is too much for what a training loop found: two
makers' processors round float32 sums differently even with the same kernels, and a few hundred steps turn the last
digit into the second. Such cells carry the tag; everything else stays exact.

The limits leave little room: of 44 tagged cells, run on an Intel and on an AMD processor, two would fail with 1 for
counts and 0.10 in proportion. ``test_notebooks.py`` caps the number of tags.

    python tests/nbval_trained.py --nbval ...        the arguments are pytest's
"""

from __future__ import annotations

import re
import sys

import pytest
from nbval.plugin import IPyNbCell

TAG = "trained"
WHOLE, BROKEN, SHARE = 3, 0.05, 0.15    # how far a count, a decimal number, and either in proportion may move
NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?%?")
SPACE = re.compile(r"[\s─-]+")          # columns grow with their numbers, and so do the lines between them


def close(a: str, b: str) -> bool:
    """Whether two printed numbers may be the same result on two processors."""
    plain = [s.replace(",", "").replace("−", "-").rstrip("%") for s in (a, b)]
    x, y = map(float, plain)
    least = BROKEN if "." in a + b and "%" not in a else 100 * BROKEN if "%" in a else WHOLE
    return abs(x - y) <= max(least, SHARE * max(abs(x), abs(y)))


def alike(stored: str, found: str) -> bool:
    """The same words in the same order, and numbers that are :func:`close`."""
    words = [SPACE.sub(" ", NUMBER.sub(" # ", text)).strip() for text in (stored, found)]
    numbers = [NUMBER.findall(text) for text in (stored, found)]
    return words[0] == words[1] and all(map(close, *numbers))


class Trained(str):
    """A text that equals another one when they are :func:`alike`."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and alike(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other


def main(arguments: list[str]) -> int:
    """Run pytest with the tag understood."""
    exact = IPyNbCell.sanitize

    def sanitize(self, text):
        found = exact(self, text)
        return Trained(found) if isinstance(found, str) and TAG in self.cell.metadata.get("tags", []) else found

    IPyNbCell.sanitize = sanitize
    return pytest.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
