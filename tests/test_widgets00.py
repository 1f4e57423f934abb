"""Chapter 00: the threshold slider says what a plain loop counts, at every position."""

from itertools import pairwise

import torch

from tutorial_lib.plots import course_map
from tutorial_lib.widgets import threshold

GENERATOR = torch.Generator().manual_seed(0)
GOOD = torch.rand(40, generator=GENERATOR) + 0.5
BAD = torch.rand(30, generator=GENERATOR) * 3 + 0.8


def test_every_position_counts_what_a_loop_counts():
    for line in threshold.positions(GOOD, BAD).tolist():
        found = threshold.counts(GOOD, BAD, line)
        assert found.false_alarms == sum(s > line for s in GOOD.tolist())
        assert found.missed == len([s for s in BAD.tolist() if not s > line])
        assert found.cost == found.false_alarms + threshold.COST_OF_A_MISS * found.missed


def test_the_slider_reaches_both_ends():
    lines = threshold.positions(GOOD, BAD)
    first, last = (threshold.counts(GOOD, BAD, float(lines[i])) for i in (0, -1))
    assert (first.false_alarms, first.missed) == (40, 0)
    assert (last.false_alarms, last.missed) == (0, 30)


def test_moving_the_line_right_never_throws_away_more():
    found = [threshold.counts(GOOD, BAD, float(t)) for t in threshold.positions(GOOD, BAD)]
    assert all(a.false_alarms >= b.false_alarms and a.missed <= b.missed for a, b in pairwise(found))


def test_negative_scores_have_positions_too():
    lines = threshold.positions(GOOD - 2, BAD - 2)
    assert torch.isfinite(lines).all() and (lines.diff() > 0).all()


def test_the_strip_shows_its_three_promises():
    _, sentence = threshold.strip(GOOD, BAD)
    assert "0 of 30 damaged parts pass" in sentence and "0 of 40 good parts are thrown away" in sentence


def test_the_controls_hold_one_picture_per_position():
    box = threshold.widget(GOOD, BAD)
    slider, stack = box.children[1:]
    assert len(stack.children) == slider.max - slider.min + 1 == threshold.STEPS


def test_the_map_needs_only_chapters_that_exist_in_it():
    assert all(need in course_map.CHAPTERS for *_, needs in course_map.CHAPTERS.values() for need in needs)
    assert set(course_map.present_chapters()) <= set(course_map.CHAPTERS)
