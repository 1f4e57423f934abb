"""The cross-talk widget: who hears whom follows from the arrows between neighbours; moves are fast and forget."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.widgets import cross_talk as module
from tutorial_lib.widgets.cross_talk import CELLS, DEPTHS, CrossTalk, build_flow, strip, up_to


@pytest.fixture(scope="module")
def table():
    return CrossTalk()


def heard(table, scale, exchange, depth):
    n = table.numbers(scale, CELLS[scale] // 2, CELLS[scale] // 2, exchange, depth)
    return [n[f"moved {k}"] for k in range(3)]


def test_without_exchange_only_the_pushed_scale_moves(table):
    for scale in range(3):
        for depth in DEPTHS:
            found = heard(table, scale, False, depth)
            assert found[scale] > 0 and sum(found) == found[scale]


def test_one_network_reaches_the_neighbours_and_a_second_one_the_third_scale(table):
    assert [v > 0 for v in heard(table, 0, True, 0.5)] == [True, True, False]
    assert [v > 0 for v in heard(table, 2, True, 0.5)] == [False, True, True]
    assert all(v > 0 for scale in range(3) for v in heard(table, scale, True, 1.0))
    assert table.first(0, 2) == table.first(2, 0) == 1.0 and table.first(0, 2, exchange=False) is None


def test_on_its_own_scale_two_windows_of_three_carry_a_push_two_cells_per_network(table):
    for depth, side in ((0.5, 5), (1.0, 9)):
        change = table.changes(0, 12, 12, False, depth)[0]
        rows = np.nonzero(change.any(1))[0]
        assert (rows[0], rows[-1]) == (12 - side // 2, 12 + side // 2)
        assert (change > 0).sum() == side * side


def test_half_a_block_changes_the_first_halves_alone_and_whole_blocks_are_the_flow():
    flow, x = build_flow(True), tuple(torch.randn(1, 4, n, n).double() for n in (8, 4, 2))
    half, mixed = up_to(flow, 0.5, x), flow[0](x)[0]
    for a, b in zip(half, mixed, strict=True):
        assert torch.equal(a[:, 2:], b[:, 2:]) and not torch.equal(a[:, :2], b[:, :2])
    for a, b in zip(up_to(flow, 4.0, x), flow(x)[0], strict=True):
        assert torch.equal(a, b)


def test_building_a_flow_leaves_the_random_state_alone_and_repeats():
    before = torch.get_rng_state()
    one, other = build_flow(True), build_flow(True)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_moves_are_fast_and_a_state_looks_the_same_whatever_was_shown_before(table):
    states = [(s, 2 + k, 3, k % 2 == 0, DEPTHS[k % 5]) for k, s in enumerate((0, 1, 2, 0, 1, 0, 0, 1))]
    states = [(s, min(r, CELLS[s] - 1), c, e, d) for s, r, c, e, d in states]
    first, spent, seen = table.view(*states[0]), [], set()
    for state in states:
        start = time.process_time()
        seen.add(table.view(*state).png)
        spent.append(time.process_time() - start)
    assert table.view(*states[0]) == first and len(seen) == len(states)
    assert np.median(spent) < 0.1
    assert len({np.asarray(Image.open(io.BytesIO(png))).shape for png in seen}) == 1


def test_the_strip_says_every_state_and_the_widget_answers_to_its_controls(table):
    figure, said = strip(table)
    assert len(figure.axes) == 13 and said.count("Moved:") == 4 and "0 of 36 positions of scale 2" in said
    box = module.cross_talk(table)
    assert "speck on the largest" in box.children[0].value and not box.children[2].children
    box.children[1].children[1].click()
    scale, y, x, exchange, depth, image, text = box.children[2].children[0].children
    seen = {bytes(image.value)}
    for control, value in ((depth, 2.0), (exchange, False), (scale, 2), (y, 0), (x, 99)):
        control.value = value
        seen.add(bytes(image.value))
    assert len(seen) == 6 and "Scale 2 pushed, exchange off, 2 blocks" in text.value
