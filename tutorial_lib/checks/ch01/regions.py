"""Exercise 6: number the 8-connected regions of a mask."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import TensorSlot


class Labels(TensorSlot):
    """A picture of whole numbers."""

    def examine(self, value):
        super().examine(value)
        if value.dtype == torch.bool or value.dtype.is_floating_point or value.dtype.is_complex:
            raise Stop(Finding("dtype", "the labels must be whole numbers", f"found {value.dtype}",
                               "the mask itself (True and False), or a division; end with .long()"))

    def of_any_dtype(self):
        return self


def picture(text: str) -> Tensor:
    """A mask from rows of # and ., separated by spaces."""
    return torch.tensor([[c == "#" for c in row] for row in text.split()])


U = picture("#..# #..# #### ....")
COMB = picture("#.#.#.# #.#.#.# #.#.#.# #######")
SPIRAL = picture("####### ......# #####.# #...#.# #.###.# #.....# #######")
SNAKE = torch.ones(31, 31, dtype=torch.bool)  # every second row, joined at alternating ends: 511 pixels in a row
SNAKE[1::4, :-1] = SNAKE[3::4, 1:] = False
LINE = torch.ones(1, 40, dtype=torch.bool)
BLOCKS = picture("##...... ##...... ..##.... ..##.... ........ .....#.. ....#...")  # two regions, joined at corners
APART = picture("........ .##..##. .##..##. ........ ..###... ........")          # three regions, away from the edges
FAR = picture("#......# ........ ........ ........ ........")
CORNERS = picture("#...# ..... ..... #...#")


def _random(seed: int = 0, share: float = 0.35) -> Tensor:
    return torch.rand(14, 11, generator=torch.Generator().manual_seed(seed)) < share


def _count(call, mask: Tensor) -> int:
    return len([i for i in call(mask).unique().tolist() if i != 0])


def _background(call):
    for name, mask in (("a random mask", _random()), ("an empty mask", torch.zeros(4, 5, dtype=torch.bool)),
                       ("a full mask", torch.ones(4, 5, dtype=torch.bool))):
        found = call(mask)
        lost, extra = int((found[mask] == 0).sum()), int((found[~mask] != 0).sum())
        if lost and extra:
            return f"{name}: {lost} defective pixels have label 0, {extra} background pixels a label", (
                "the background was labelled in place of the defect: the mask is inverted")
        if extra:
            return f"{name}: {extra} background pixels have a label", (
                "the background took part: set it to 0 in every step, and after renumbering mask it out again")
        if lost:
            return f"{name}: {lost} of {int(mask.sum())} defective pixels have label 0", (
                "the numbers of the regions begin at 0, which the background has: begin at 1. In a full mask there is "
                "no background, so 0 may be missing among the numbers in use")
    return None


def _apart(call):
    if (found := _count(call, APART)) != 3:
        one = found == 1 and _count(call, FAR) == 1
        return f"three regions that do not touch: expected 3, found {found}", (
            "the mask came back as 0 and 1: all regions share one label" if one else
            "the neighbourhood reaches further than one pixel" if found < 3 else _unjoined(found))
    found = _count(call, CORNERS)
    return None if found == 4 else (f"four pixels in the four corners: expected 4 regions, found {found}",
                                    "the picture was wrapped around (torch.roll, or an index −1): the left edge does "
                                    "not touch the right one")


def _unjoined(found: int) -> str:
    return "nothing was joined: every pixel is its own region" if found == int(APART.sum()) else ""


def _diagonal(call):
    found = _count(call, BLOCKS)
    return None if found == 2 else (
        f"two pairs of blobs that touch at a corner: expected 2 regions, found {found}",
        "only four neighbours were looked at: in the 8-neighbourhood corners touch too" if found == 4 else "")


def _long(call):
    found = _count(call, LINE)
    return None if found == 1 else (f"a line of 40 pixels: expected 1 region, found {found}",
                                    "the joining stopped too early: repeat until nothing changes")


def _winding(call):
    for name, mask in (("a U", U), ("a comb", COMB), ("a spiral", SPIRAL)):
        if (found := _count(call, mask)) != 1:
            return f"{name} hangs together: expected 1 region, found {found}", (
                "one pass over the picture: two arms that meet later keep two labels; join them")
    return None


def _very_long(call):
    found = _count(call, SNAKE)
    return None if found == 1 else (f"a snake of {int(SNAKE.sum())} pixels: expected 1 region, found {found}",
                                    "too few steps: a fixed number fits short regions; repeat until nothing changes")


def _large(call):
    found = _count(call, torch.ones(60, 60, dtype=torch.bool))
    return None if found == 1 else f"a mask of 60 × 60 pixels, all True: expected 1 region, found {found}"


def _flips(call):
    for seed in range(3):
        mask = _random(seed)
        counts = [_count(call, m) for m in (mask, mask.flip(0), mask.flip(1), mask.T)]
        if len(set(counts)) > 1:
            return f"a random mask, upside down, mirrored and transposed: {counts} regions"
    return None


def _same_regions(call):
    for seed in range(3):
        mask = _random(seed, 0.3)
        found, truth = call(mask), torch.from_numpy(ndimage.label(mask.numpy(), np.ones((3, 3)))[0])
        pairs = torch.stack([truth[mask], found[mask]]).unique(dim=1)  # (2, M): which label meets which true region
        if pairs.shape[1] != int(truth.max()) or len(pairs[1].unique()) != int(truth.max()):
            return f"a random mask has {int(truth.max())} regions; {_count(call, mask)} labels are in use"
    return None


def _numbered(call):
    mask = _random(1)
    found = [i for i in call(mask).unique().tolist() if i != 0]
    if found != list(range(1, len(found) + 1)):
        return f"{len(found)} regions carry the labels {', '.join(map(str, found[:6]))} …", (
            "the numbers have gaps: they still are the pixels' own numbers; renumber them at the end")
    return None


REGIONS = Exercise(  # causes stand in the laws: learners number the same regions in different orders
    name="connected_regions", minutes=14,
    returns=(lambda mask: Labels("the labels", mask.shape, "(H, W)"),),
    laws=(Law("0 must be the background and nothing else", _background),
          Law("pixels that do not touch must not share a region, pixels that do must", _apart),
          Law("pixels that touch at a corner belong together", _diagonal),
          Law("a long region must carry one label", _long),
          Law("a winding region must carry one label", _winding),
          Law("a very long region must carry one label", _very_long),
          Law("a large region must carry one label", _large),
          Law("the number of regions must not change when the mask is turned over", _flips),
          Law("the regions are not the 8-connected ones", _same_regions),
          Law("the labels must be 1, 2, …, number of regions", _numbered)),
    passes="diagonal pairs are one region, a spiral is one, flips change nothing, labels run from 1",
    hints=("Give every defective pixel a number of its own. What must happen to two numbers that touch?",
           "A way without recursion: replace each number by the largest in its 3 × 3 neighbourhood, inside the mask "
           "only, until nothing changes. torch.nn.functional.max_pool2d(x, 3, stride=1, padding=1) does one step on "
           "x of shape (1, H, W) in floating point.",
           "At the end every region carries one number, with gaps between them. labels[mask].unique() lists those in "
           "use; torch.searchsorted finds each one's place in that list. Places begin at 0: add 1 inside the mask.",
           "How many steps can it take? A spiral needs as many as it is long; H · W steps are always enough."),
)
