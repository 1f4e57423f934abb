"""The views widget: every state's numbers equal the formula, moves are fast, nothing depends on earlier moves."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.detectors.views import rotate
from tutorial_lib.widgets import views as module
from tutorial_lib.widgets.views import ANGLES, Turntable, strip

SIDE = 32


def score(pictures):
    """A score that depends on the angle: brightness of the upper half, weighted by the column, plus a curve."""
    weights = torch.linspace(0, 4, SIDE)
    return (pictures[:, 0, :SIDE // 2] * weights).mean((1, 2)) + pictures.mean((1, 2, 3)).square()


def images():
    return {f"part {k}": torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(k)) for k in range(3)}


@pytest.fixture(scope="module")
def table():
    parts = images()
    threshold = float(score(rotate(parts["part 0"].expand(5, -1, -1, -1), torch.linspace(-9, 9, 5))).median())
    return Turntable(parts, score, threshold, limit=10.0)


def test_every_state_shows_the_numbers_of_the_formula(table):
    for name, image in images().items():
        single = torch.stack([score(rotate(image[None], a[None], fill="reflect"))[0] for a in table.angles]).double()
        for index in range(ANGLES):
            shown = table.numbers(name, index, 1)
            assert shown["score"] == pytest.approx(float(single[index]), abs=1e-6)
            assert shown["over"] == int((single > table.threshold).sum())
        for T in range(1, ANGLES + 1):
            expected = float(np.mean([float(single[k]) for k in table.order[:T]]))
            assert table.numbers(name, 0, T)["mean"] == pytest.approx(expected, abs=1e-6)


def test_the_first_view_is_the_part_as_it_lies_and_each_view_counts_once(table):
    assert float(table.angles[table.order[0]]) == 0
    assert sorted(table.order.tolist()) == list(range(ANGLES))
    for name, image in images().items():
        assert torch.equal(table.turned(name, torch.zeros(1))[0], image)


def test_the_sentence_says_on_which_side_of_the_threshold(table):
    for name in images():
        for index in range(0, ANGLES, 5):
            n = table.numbers(name, index, ANGLES)
            text = module.sentence(name, n)
            assert f"{n['score']:.2f}, {'over' if n['score'] > n['threshold'] else 'under'} the threshold" in text
            assert f"{n['mean']:.2f}, {'over' if n['mean'] > n['threshold'] else 'under'} it" in text


def test_a_state_looks_the_same_whatever_was_shown_before(table):
    first = table.view("part 1", 3, 7)
    table.view("part 0", 40, 41)
    again = table.view("part 1", 3, 7)
    assert first == again


def test_each_control_changes_the_picture(table):
    pictures = [table.view(*state).png for state in (("part 0", 20, 1), ("part 0", 30, 1), ("part 0", 20, 9),
                                                     ("part 1", 20, 1))]
    assert len(set(pictures)) == 4
    shapes = {np.asarray(Image.open(io.BytesIO(p))).shape for p in pictures}
    assert len(shapes) == 1  # nothing jumps


def test_the_rings_lie_on_their_curves_for_every_part(table):
    for name in images():
        table.view(name, 33, 12)
        for ring, ax, value in ((table.picture.ring, table.picture.angle, float(table.scores[name][33])),
                                (table.picture.dot, table.picture.mean, float(table.means(name)[11]))):
            assert ring.get_ydata()[0] == pytest.approx(value)
            low, high = ax.get_ylim()  # one span for all parts, or a ring would miss the kept background
            assert low < value < high
            every = torch.cat([table.scores[n] for n in images()])
            assert low < float(every.min()) and float(every.max()) < high


def test_a_move_takes_less_than_100_ms_of_computing(table):
    table.view("part 0", 0, 1)
    spent = []
    for index in range(0, ANGLES, 2):
        start = time.process_time()
        table.view("part 0", index, index + 1)
        spent.append(time.process_time() - start)
    assert np.median(spent) < 0.1


def test_the_strip_says_every_part_and_the_widget_opens_with_its_question(table):
    figure, said = strip(table)
    assert all(name in said for name in images())
    assert len(figure.subfigs[0].axes) == 3
    box = module.views(table)
    assert "does the mean save it?" in box.children[0].value
    hidden = box.children[2]
    assert not hidden.children
    box.children[1].children[1].click()
    assert hidden.children


def test_the_widget_answers_to_its_controls(table):
    box = module.views(table)
    box.children[1].children[1].click()
    part, angle, count, image, text = box.children[2].children[0].children
    seen = {bytes(image.value)}
    for value in (0, 17, 40):
        angle.value = value
        seen.add(bytes(image.value))
        assert f"{float(table.angles[value]):+.1f}°" in text.value
    for value in (2, 41):
        count.value = value
        assert f"Mean of {value} views" in text.value
    part.value = "part 2"
    assert "part 2" in text.value
    assert len(seen) == 4  # 0 degrees, where it opens, and three others
