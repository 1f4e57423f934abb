"""Chapter 00: the threshold slider says what a plain loop counts, at every position."""

from itertools import pairwise

import pytest
import torch

from tutorial_lib.plots import course_map
from tutorial_lib.widgets import threshold

GENERATOR = torch.Generator().manual_seed(0)
GOOD = torch.rand(40, generator=GENERATOR) + 0.5
BAD = torch.rand(30, generator=GENERATOR) * 3 + 0.8


def test_every_position_counts_what_a_loop_counts():
    for line in threshold.positions(GOOD, BAD):
        found = threshold.counts(GOOD, BAD, line)
        assert found.false_alarms == sum(s > line for s in GOOD.tolist())
        assert found.missed == len([s for s in BAD.tolist() if not s > line])
        assert found.cost == found.false_alarms + threshold.COST_OF_A_MISS * found.missed


@pytest.mark.parametrize("shift", [0.0, -2.0])  # positive scores, and scores of both signs
def test_the_slider_reaches_both_ends_and_never_throws_away_more_to_the_right(shift):
    found = [threshold.counts(GOOD + shift, BAD + shift, t) for t in threshold.positions(GOOD + shift, BAD + shift)]
    assert (found[0].false_alarms, found[0].missed) == (40, 0)
    assert (found[-1].false_alarms, found[-1].missed) == (0, 30)
    assert all(a.line <= b.line and a.false_alarms >= b.false_alarms and a.missed <= b.missed
               for a, b in pairwise(found))


def test_the_strip_keeps_its_three_promises():
    chosen = threshold.deciding(GOOD, BAD)
    assert chosen["no damaged part passes"].missed == 0
    assert chosen["no good part is lost"].false_alarms == 0
    every = [threshold.counts(GOOD, BAD, float(f"{t:.3g}")).cost for t in torch.linspace(0.4, 4, 2000).tolist()]
    assert chosen["lowest cost"].cost == min(every)
    assert all(found.sentence() in threshold.strip(GOOD, BAD)[1] for found in chosen.values())


def test_a_printed_line_does_what_its_sentence_says():
    for found in threshold.deciding(GOOD, BAD).values():
        assert threshold.counts(GOOD, BAD, float(f"{found.line:.3g}")) == found


@pytest.mark.slow
def test_the_controls_hold_one_picture_per_position():
    slider, stack = threshold.widget(GOOD, BAD).children[1:]
    assert len(stack.children) == slider.max - slider.min + 1 == threshold.STEPS


def test_the_map_needs_only_chapters_that_exist_in_it():
    assert all(need in course_map.CHAPTERS for *_, needs in course_map.CHAPTERS.values() for need in needs)
    assert set(course_map.present_chapters()) <= set(course_map.CHAPTERS)
