"""Grid warp: every state's numbers equal the formula, the frame holds every image, moves are fast and independent."""

import io
import itertools
import math
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.widgets import grid_warp as module
from tutorial_lib.widgets.grid_warp import MAPS, PLACES, SIDES, Warp, jacobian, measure, sentence, strip

STATES = list(itertools.product(MAPS, itertools.product(PLACES, PLACES), SIDES))
FORMULAS = {  # written again with NumPy, x and y apart
    "swirl": lambda x, y: (lambda a: (np.cos(a) * x - np.sin(a) * y, np.sin(a) * x + np.cos(a) * y))(
        1.2 * np.exp(-(x * x + y * y) / 2)),
    "squares": lambda x, y: (x * x / 2 - y * y / 2, x * y),
    "coupling layer": lambda x, y: (x, y * np.exp(np.sin(x) / 2) + 0.4 * np.cos(2 * x)),
    "matrix": lambda x, y: (x + 0.6 * y, 0.2 * x + 0.9 * y),
    "fold": lambda x, y: (abs(x), y + 0.3 * abs(x)),
}


def differences(name, point, h=1e-6):
    """J (2, 2) by central differences of the NumPy formula."""
    f, (x, y) = FORMULAS[name], point
    columns = [(np.subtract(f(x + h, y), f(x - h, y))) / (2 * h), (np.subtract(f(x, y + h), f(x, y - h))) / (2 * h)]
    return np.stack(columns, axis=1)


@pytest.fixture(scope="module")
def warp():
    return Warp()


def test_j_is_what_differences_give_at_every_place():
    for name, point in itertools.product(MAPS, itertools.product(PLACES, PLACES)):
        assert np.allclose(jacobian(name, point).numpy(), differences(name, point), atol=1e-8), (name, point)


@pytest.mark.slow
def test_the_gap_of_every_state_equals_the_formula():
    t = np.arange(24) / 24 - 0.5
    edge = np.concatenate([np.stack(p, 1) for p in ((t, 0 * t - 0.5), (0 * t + 0.5, t), (-t, 0 * t + 0.5),
                                                    (0 * t - 0.5, -t))])
    for name, point, h in STATES:
        f, (x, y) = FORMULAS[name], point
        true = np.stack(f(x + h * edge[:, 0], y + h * edge[:, 1]), 1)
        flat = np.array(f(x, y)) + h * edge @ differences(name, point).T
        gap = np.linalg.norm(true - flat, axis=1).max()
        assert measure(name, point, h)["gap"] == pytest.approx(gap, abs=1e-7), (name, point, h)


def test_halving_the_side_quarters_the_gap_of_a_smooth_map():
    for name, point in itertools.product(("swirl", "squares", "coupling layer"), itertools.product(PLACES, PLACES)):
        factor = measure(name, point, SIDES[-1] / 8)["factor"]  # small enough for the second order to rule
        least = 8 if (name, point) == ("swirl", (0.0, 0.0)) else 4  # there the second derivatives vanish by symmetry
        assert factor == pytest.approx(least, abs=0.15), (name, point, factor)


def test_a_matrix_has_no_gap_and_a_crease_halves_it():
    for point, h in itertools.product(itertools.product(PLACES, PLACES), SIDES):
        assert measure("matrix", point, h)["gap"] < 1e-12
        assert math.isnan(measure("matrix", point, h)["factor"])
        if point[0] == 0:
            assert measure("fold", point, h)["factor"] == pytest.approx(2, abs=1e-9)


@pytest.mark.slow
def test_the_sentence_holds_the_numbers_of_its_state():
    for name, point, h in STATES:
        n = measure(name, point, h)
        text = sentence(name, point, h, n)
        assert name in text and f"side {h:g}" in text and "-0.00" not in text
        assert ("no gap" in text) == math.isnan(n["factor"])
        assert math.isnan(n["factor"]) or f"{n['factor']:.1f} times" in text


@pytest.mark.slow
def test_the_frame_holds_every_image(warp):
    limits = [ax.get_xlim()[1] for ax in (warp.picture.plane, warp.picture.image, warp.picture.zoom)]
    for name, point, h in STATES:
        p, u = torch.tensor(point, dtype=torch.float64), module.edge()
        true, flat = module.images(name, point, h)
        assert float((p + h * u).abs().max()) <= limits[0]
        for image in (true, flat):
            assert float(image.abs().max()) <= limits[1]
            assert float(((image - MAPS[name](p)) / h).abs().max()) <= limits[2]


def test_a_state_looks_the_same_whatever_was_shown_before(warp):
    first = warp.view("swirl", (0.5, 0.25), 1.0)
    warp.view("fold", (0.0, -1.0), 0.125)
    assert warp.view("swirl", (0.5, 0.25), 1.0) == first


def test_each_control_changes_the_picture_and_nothing_jumps(warp):
    pictures = [warp.view(*state).png for state in (("swirl", (0.5, 0.25), 1.0), ("squares", (0.5, 0.25), 1.0),
                                                    ("swirl", (0.25, 0.25), 1.0), ("swirl", (0.5, 0.5), 1.0),
                                                    ("swirl", (0.5, 0.25), 0.5))]
    assert len(set(pictures)) == 5
    assert len({np.asarray(Image.open(io.BytesIO(p))).shape for p in pictures}) == 1


@pytest.mark.slow
def test_a_move_takes_less_than_100_ms_of_computing(warp):
    warp.view(*STATES[0])
    spent = []
    for state in STATES[::40]:
        start = time.process_time()
        warp.view(*state)
        spent.append(time.process_time() - start)
    assert np.median(spent) < 0.1


def test_the_strip_says_every_state():
    states = [("swirl", (0.5, 0.25), 1.0), ("fold", (0.0, 0.25), 0.25)]
    figure, said = strip(states)
    assert len(figure.axes) == 2
    assert all(sentence(*s, measure(*s)) in said for s in states)


def test_the_widget_opens_with_its_question_and_answers_to_its_controls():
    box = module.grid_warp()
    assert "when the side is halved?" in box.children[0].value
    hidden = box.children[2]
    assert not hidden.children
    box.children[1].children[1].click()
    body, ending = hidden.children
    name, across, up, side, image, text = body.children
    seen = {bytes(image.value)}
    for control, value, words in ((name, "fold", "fold at"), (across, 0.0, "at (0, "), (up, -1.0, ", -1)"),
                                  (side, 0.125, "side 0.125")):
        control.value = value
        assert words in text.value
        seen.add(bytes(image.value))
    assert len(seen) == 5
    blank, said = ending.children[1].children
    for value, verdict in ((4.0, "✗"), (2.0, "✓")):
        blank.value = value
        said.click()
        assert verdict in ending.children[2].value
    name.value, blank.value = "matrix", 0.0
    said.click()
    assert "✓" in ending.children[2].value
