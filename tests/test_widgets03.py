"""The parallelogram over its range: numbers equal the formula, counts agree with areas, moves are fast."""

from __future__ import annotations

import io
import itertools
import statistics
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.widgets import parallelogram as module
from tutorial_lib.widgets.parallelogram import VALUES, Board, determinant, measure, sentence, strip, throw

GRID = list(itertools.product(VALUES[::3], repeat=4))
SOME = [(1.0, 0.0, 0.0, 1.0), (2.0, 0.5, -1.0, 1.5), (0.0, 1.0, 1.0, 0.0), (1.0, 0.5, 2.0, 1.0), (0.0, 0.0, 0.0, 0.0),
        (20.0, 0.0, 5.0, 0.05), (20.0, 20.0, 20.0, -20.0), (-3.0, 0.1, 0.25, -20.0)]


@pytest.fixture(scope="module")
def board():
    return Board()


def test_every_number_is_that_of_the_library():
    j = torch.tensor(GRID, dtype=torch.float64).reshape(-1, 2, 2).mT                       # columns a and b
    det, stretch = torch.linalg.det(j), torch.linalg.svdvals(j)
    for k, state in enumerate(GRID[::7]):
        n = measure(state)
        assert n["det"] == pytest.approx(float(det[7 * k]), abs=1e-9)
        assert n["area"] == abs(n["det"])
        assert [n["longest"], n["shortest"]] == pytest.approx(stretch[7 * k].tolist(), abs=1e-9)
        assert n["longest"] * n["shortest"] == pytest.approx(n["area"], abs=1e-6)


def test_counts_agree_with_areas_within_their_error():
    off = []
    for state in GRID[::5]:
        n = measure(state)
        if n["error"] == 0:  # all dots inside, or none: too thin a parallelogram, or one that fills its box
            assert n["counted"] == pytest.approx(n["area"], abs=1e-9) or n["counted"] == 0
        else:
            off.append(abs(n["counted"] - n["area"]) / n["error"])
    assert np.mean([v < 3 for v in off]) > 0.98 and 0.4 < np.mean(np.square(off)) ** 0.5 < 1.4


@pytest.mark.parametrize("state", SOME)
def test_the_count_is_the_share_of_dots_inside_times_the_box(state):
    dots, hits = throw(state)
    low, side = module.box(state)
    n, share = measure(state), float(hits.double().mean())
    assert n["counted"] == pytest.approx(float(side.prod()) * share)
    assert bool(((dots >= low - 1e-9) & (dots <= low + side + 1e-9)).all())
    if determinant(state):
        u = torch.linalg.solve(module.matrix(state), dots.T).T
        assert bool(((u[hits] > -1e-9) & (u[hits] < 1 + 1e-9)).all())
        assert not bool(((u[~hits] > 1e-9) & (u[~hits] < 1 - 1e-9)).all(1).any())
    else:
        assert not hits.any()


def test_the_sentence_says_flat_mirrored_or_not(board):
    for state in [*SOME, *GRID[::97]]:
        n = measure(state)
        word = "flat" if n["det"] == 0 else "reads as before" if n["det"] > 0 else "mirrored"
        assert word in sentence(state, n) and f"det = {n['det']:.2f}" in sentence(state, n)
        if n["det"]:
            exchanged = (*state[2:], *state[:2])
            assert determinant(exchanged) == -n["det"]  # exchanging a and b turns the orientation round


def test_the_orientation_has_its_colour(board):
    def dominant(state):
        pixels = np.asarray(Image.open(io.BytesIO(board.view(*state).png)).convert("RGB")).astype(int)
        right = pixels[:, pixels.shape[1] // 2:]
        return (right[..., 2] - right[..., 0] > 60).sum(), (right[..., 0] - right[..., 2] > 120).sum()

    blue, orange = dominant((2.0, 0.0, 0.5, 2.0))
    assert blue > 20 * orange
    blue, orange = dominant((0.5, 2.0, 2.0, 0.0))
    assert orange > 20 * blue


def test_a_state_looks_the_same_whatever_was_shown_before(board):
    first = board.view(2.0, 0.5, -1.0, 1.5)
    board.view(20.0, 20.0, 20.0, -20.0)
    assert board.view(2.0, 0.5, -1.0, 1.5) == first


@pytest.mark.parametrize("state", SOME)
def test_every_window_holds_the_whole_parallelogram(board, state):
    low, side = module.box(state)
    assert max(low.abs().max(), (low + side).abs().max()) <= module.WINDOWS[-1]
    assert np.asarray(Image.open(io.BytesIO(board.view(*state).png))).shape == (390, 760, 3)


@pytest.mark.slow
def test_a_move_takes_less_than_100_ms_of_computing(board):
    spent = []
    for state in [*SOME, *GRID[::150]]:
        start = time.process_time()
        board.view(*state)
        spent.append(time.process_time() - start)
    assert statistics.median(spent) < 0.1


def test_the_widget_opens_with_its_question_and_answers_to_its_sliders():
    box = module.parallelogram()
    assert "area 1" in box.children[0].value and not box.children[2].children
    box.children[1].children[1].click()
    *sliders, image, text = box.children[2].children[0].children
    seen = {bytes(image.value)}
    for slider, value in zip(sliders, (1.0, 0.0, 0.0, 1.0), strict=True):
        slider.value = value
        seen.add(bytes(image.value))
    assert "det = 1.00" in text.value and len(seen) == 5
    sliders[0].value = 20.0
    blank, said = box.children[2].children[1].children[1].children
    blank.value = 20.0
    said.click()
    assert "That is it" in box.children[2].children[1].children[2].value


def test_the_strip_says_every_state():
    figure, said = strip({"one": SOME[0], "flat one": SOME[3]})
    assert len(figure.axes) == 2 and "one:" in said and "flat one:" in said and "det = 0.00" in said
