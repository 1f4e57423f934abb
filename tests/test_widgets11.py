"""How far does a block see: the counted reach bounds what is measured, in every state of the widget."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tutorial_lib.widgets import how_far as module
from tutorial_lib.widgets.how_far import BLOCKS, KERNELS, PLACES, SIDE, Footprints, reach, strip


@pytest.fixture(scope="module")
def prints():
    return Footprints()


@pytest.mark.parametrize(("kernels", "per_block"), [("3×3", [2] * 8), ("3×3 and 1×1", [2, 0] * 4), ("1×1", [0] * 8)])
def test_each_block_of_3x3_reaches_two_cells_further_and_1x1_none(kernels, per_block):
    assert [reach(KERNELS[kernels], b) for b in range(1, 9)] == np.cumsum(per_block).tolist()
    assert reach((5, 1, 3), 4) == 4 + 0 + 2 + 4


@pytest.mark.parametrize("place", [(0, 0), (8, 8), (3, 11)])
@pytest.mark.parametrize("kernels", KERNELS)
def test_nothing_at_all_changes_beyond_the_counted_reach_and_the_rim_of_it_does(prints, kernels, place):
    rows, columns = np.indices((SIDE, SIDE))
    distance = np.maximum(abs(rows - place[0]), abs(columns - place[1]))
    for blocks in (1, 2, 3, 5, BLOCKS):
        found, far = prints.footprint(kernels, blocks, place), reach(KERNELS[kernels], blocks)
        assert not found[distance > far].any()
        assert found[distance == min(far, distance.max())].max() > 0
        assert prints.numbers(kernels, blocks, place)["measured"] == min(far, distance.max())


def test_the_corner_first_feels_the_other_when_the_counting_says_so(prints):
    assert module.first_contact(prints) == -(-(SIDE - 1) // 2) == 8
    assert prints.footprint("3×3", 7, (0, 0))[-1, -1] == 0
    assert prints.footprint("3×3 and 1×1", BLOCKS, (0, 0))[-1, -1] == 0


def test_the_sentence_says_the_numbers_of_the_state(prints):
    for kernels, blocks in (("3×3", 1), ("3×3 and 1×1", 4)):
        view = prints.view(kernels, blocks, "the middle")
        n = prints.numbers(kernels, blocks, PLACES["the middle"])
        assert f"can reach {n['reach']} cells" in view.alt and f"{n['near']:.1%}" in view.alt
        assert view.alt.startswith(f"{blocks} block{'s' * (blocks > 1)} of {kernels}, the middle moved")


def test_a_state_looks_the_same_whatever_was_shown_before_and_every_control_changes_it(prints):
    first = prints.view("3×3", 2, "a corner")
    others = [prints.view(*state).png for state in (("3×3", 3, "a corner"), ("1×1", 2, "a corner"),
                                                    ("3×3", 2, "the middle"))]
    again = prints.view("3×3", 2, "a corner")
    assert first.png == again.png and first.alt == again.alt
    assert len({first.png, *others}) == 4


def test_a_move_takes_less_than_100_ms_of_computing(prints):
    prints.view("3×3", 1, "a corner")
    spent = []
    for blocks in range(1, BLOCKS + 1):
        start = time.process_time()
        prints.view("3×3", blocks, "a corner")
        spent.append(time.process_time() - start)
    assert np.median(spent) < 0.1


def test_the_strip_shows_five_states_and_the_widget_asks_first(prints):
    figure, said = strip(prints)
    assert len(figure.axes) == 6 and said.count("moved:") == 5
    box = module.how_far(prints)
    assert "one corner" in box.children[0].value
    hidden = box.children[2]
    assert not hidden.children
    box.children[1].children[1].click()
    kernels, blocks, place, image, text = hidden.children[0].children
    seen = {bytes(image.value)}
    blocks.value = 5
    seen.add(bytes(image.value))
    kernels.value = "1×1"
    seen.add(bytes(image.value))
    place.value = "the middle"
    assert "5 blocks of 1×1, the middle moved" in text.value
    assert len(seen) == 3
    blank, button = hidden.children[1].children[1].children
    for value, mark in ((8.0, "✓"), (7.0, "✗")):
        blank.value = value
        button.click()
        assert mark in hidden.children[1].children[2].value
