"""The widgets of chapter 09: states show the numbers of the formula, moves are fast and forget what came before."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from tutorial_lib import metrics
from tutorial_lib.data.splits import Split
from tutorial_lib.widgets import scale_mixer, where_am_i
from tutorial_lib.widgets.scale_mixer import Mixer
from tutorial_lib.widgets.where_am_i import Carrier

CELLS, SIDE = 4, 32


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def carrier():
    return Carrier(draws(3, SIDE, SIDE), draws(16, 16, seed=1), draws(16, seed=2), 0.6, 0.5, (CELLS, CELLS))


@pytest.fixture(scope="module")
def mixer():
    kinds = ["good"] * 5 + ["scratch"] * 3 + ["spot"] * 2 + ["missing"] * 3
    labels = torch.tensor([kind != "good" for kind in kinds])
    masks = (draws(13, SIDE, SIDE, seed=3) > 0.9) & labels[:, None, None]
    images = draws(13, 3, SIDE, SIDE, seed=4)
    data = Split("parts", images[:0], images, labels, kinds, masks)
    return Mixer(draws(13, 3, SIDE, SIDE, seed=5), data, ("fine", "middle", "coarse"), {"scratch": 6, "missing": 11})


def test_every_state_shows_the_likelihood_of_the_vector_at_the_place(carrier):
    for home in ((0, 0), (2, 3)):
        for place in ((0, 0), (3, 1)):
            n = carrier.numbers(home, place, True)
            row = carrier.told[home[0] * CELLS + home[1]]
            assert n["here"] == row[place[0] * CELLS + place[1]]
            assert n["at home"] == row[home[0] * CELLS + home[1]]
            assert n["normal places"] == sum(v >= 0.6 for v in row)
            assert row[n["best"][0] * CELLS + n["best"][1]] == max(row)


def test_without_the_code_a_vector_is_normal_everywhere_or_nowhere(carrier):
    found = {carrier.numbers((r, c), (0, 0), False)["normal places"] for r in range(CELLS) for c in range(CELLS)}
    assert found == {0, 16}
    for home in ((0, 1), (3, 3)):
        values = carrier.values(home, False)
        assert values.min() == values.max() == carrier.untold[home[0] * CELLS + home[1]]
        said = where_am_i.sentence(carrier.numbers(home, (1, 1), False))
        assert ("not normal" in said) == (values[0, 0] < 0.5)


def test_the_named_cells_are_the_narrowest_and_the_widest(carrier):
    normal = (carrier.told >= 0.6).sum(1)
    narrow, wide = (carrier.at(c) for c in (carrier.narrowest(), carrier.widest()))
    assert carrier.told[narrow, narrow] >= 0.6
    assert normal[narrow] == min(normal[k] for k in range(16) if carrier.told[k, k] >= 0.6)
    assert normal[wide] == max(normal)


def test_a_mixed_map_is_the_weighted_sum_and_its_maximum_ranks_the_images(mixer):
    for weights in ((1.0, 0.0, 0.0), (0.25, 0.5, 1.0)):
        total = sum(w * mixer.parts[:, k] for k, w in enumerate(weights))
        torch.testing.assert_close(mixer.maps(weights), total)
        for kind in ("scratch", "missing"):
            chosen = [k for k, found in enumerate(mixer.kinds) if found in ("good", kind)]
            expected = metrics.auroc(total[chosen].amax((1, 2)), mixer.data.labels[chosen])
            assert mixer.numbers(weights)[kind] == pytest.approx(expected)
    assert "spot" not in mixer.kinds and len(mixer.parts) == 11
    assert set(mixer.numbers((0.0, 0.0, 0.0)).values()) == {0.5}


def test_the_images_that_are_drawn_are_those_that_were_named(mixer):
    for kind, row in mixer.rows.items():
        assert mixer.kinds[row] == kind
    torch.testing.assert_close(mixer.data.test[mixer.rows["missing"]], draws(13, 3, SIDE, SIDE, seed=4)[11])


def states(name, carrier, mixer):
    if name == "carrier":
        return carrier, [((0, 0), (0, 0), True), ((1, 2), (0, 0), True), ((0, 0), (3, 3), True),
                         ((0, 0), (0, 0), False)]
    return mixer, [(w,) for w in ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0))]


@pytest.mark.parametrize("name", ["carrier", "mixer"])
def test_a_state_looks_the_same_whatever_was_shown_before_and_each_looks_its_own(name, carrier, mixer):
    lens, moves = states(name, carrier, mixer)
    first = [lens.view(*move) for move in moves]
    again = [lens.view(*move) for move in reversed(moves)][::-1]
    assert first == again
    assert len({v.png for v in first}) == len(moves) == len({v.alt for v in first})


@pytest.mark.parametrize("name", ["carrier", "mixer"])
def test_a_move_takes_less_than_100_ms_of_computing(name, carrier, mixer):
    lens, moves = states(name, carrier, mixer)
    lens.view(*moves[0])
    spent = []
    for move in 3 * moves:
        start = time.process_time()
        lens.view(*move)
        spent.append(time.process_time() - start)
    assert np.median(spent) < 0.1


def test_the_widgets_open_with_their_question_and_answer_to_their_controls(carrier, mixer):
    for box, words, controls in ((where_am_i.where_am_i(carrier, (1, 1)), "Where on this board", 5),
                                 (scale_mixer.scale_mixer(mixer), "which the missing part", 3)):
        assert words in box.children[0].value
        hidden = box.children[2]
        assert not hidden.children
        box.children[1].children[1].click()
        *moved, image, text = hidden.children[0].children
        assert len(moved) == controls
        before = (bytes(image.value), text.value)
        moved[-1].value = 0
        assert (bytes(image.value), text.value) != before


def test_the_sentence_to_complete_is_checked_against_the_present_state(carrier):
    box = where_am_i.where_am_i(carrier, (1, 1))
    box.children[1].children[1].click()
    _, ending = box.children[2].children
    blank, button = ending.children[1].children
    blank.value = carrier.numbers((1, 1), (1, 1), True)["normal places"]
    button.click()
    assert "✓" in ending.children[2].value
    blank.value += 1
    button.click()
    assert "✗" in ending.children[2].value


def test_the_strips_say_their_states(carrier, mixer):
    figure, said = where_am_i.strip(carrier, {"a": (0, 0), "b": (2, 2)})
    assert "(2, 2)" in said and "Not told" in said
    assert len(figure.axes) == 7  # two rows of three, and the colour bar
    figure, said = scale_mixer.strip(mixer)
    assert all(f"{name}: scratch" in said for name in (*mixer.scales, "sum"))
    assert len(figure.axes) == 10
