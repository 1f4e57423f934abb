"""The latent sliders over their whole range: every number shown equals the formula, every move is fast."""

from __future__ import annotations

import io
import statistics
import time

import ipywidgets
import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.data import glyph_images
from tutorial_lib.plots import painting
from tutorial_lib.widgets import latent_sliders, picture_flows
from tutorial_lib.widgets.latent_sliders import REACH, SAMPLES, STARTS, TEMPERATURES

STATES = [(start, digit, step, t) for start, digit, step in ((0, 3, 0.0), (2, 0, REACH), (STARTS - 1, 9, -REACH))
          for t in TEMPERATURES]


@pytest.fixture(scope="module")
def painter():
    return latent_sliders.Painter()


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_the_directions_are_what_the_text_says(painter):
    assert painter.directions.flatten(1).norm(dim=1).tolist() == pytest.approx([1.0] * 10, abs=1e-5)
    x = picture_flows.pictures(1000, seed=1)
    z = picture_flows.load("one scale")(x)[0]
    assert torch.allclose(painter.latents, z[:STARTS])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.slow
def test_numbers_are_those_of_the_formula(painter, state):
    start, digit, step, temperature = state
    n = painter.numbers(*state)
    z = painter.latents[start].flatten()
    there = z + step * painter.directions[digit].flatten()
    assert n["norm_start"] == pytest.approx(float(z.norm()), abs=1e-4)
    assert n["norm"] == pytest.approx(float(there.norm()), abs=1e-4)
    flow = picture_flows.load("one scale")
    x = flow.sample(SAMPLES, temperature, generator=torch.Generator().manual_seed(0)).flatten(1)
    assert n["outside"] == pytest.approx(float(((x < 0) | (x > 1)).double().mean()), abs=1e-6)
    train = (glyph_images(2000).flatten(1) + 0.5) / 17
    near = ((x[:, None] - train[None]) ** 2).mean(2).sqrt().amin(1).mean()
    assert n["nearest"] == pytest.approx(float(near), abs=1e-4)
    assert n["spread"] == pytest.approx(float(x.var(0, correction=0).mean().sqrt()
                                              / train.var(0, correction=0).mean().sqrt()), abs=1e-3)


def test_a_step_of_zero_shows_the_start_and_a_step_towards_a_digit_gives_it(painter):
    z, x = painter.moved(1, 4, 0.0)
    assert torch.equal(z[0], z[1]) and torch.equal(x[0], x[1])
    train, labels = glyph_images(2000).flatten(1) / 17, latent_sliders.glyph_labels(2000)
    found = [int(labels[torch.cdist(painter.moved(s, d, 5.0)[1][1:].flatten(1), train).argmin()]) == d
             for s in range(STARTS) for d in range(10)]
    assert sum(found) / len(found) > 0.8


def test_variety_and_the_grey_scale_both_answer_to_temperature(painter):
    n = {t: painter.numbers(0, 0, 0.0, t) for t in TEMPERATURES}
    spreads, outside = ([n[t][key] for t in TEMPERATURES] for key in ("spread", "outside"))
    assert spreads == sorted(spreads) and outside == sorted(outside)
    assert spreads[0] < 1e-3 and n[0.5]["spread"] < 0.8 and outside[0] == 0.0 and n[1.75]["outside"] > 0.1


@pytest.mark.slow
def test_every_move_changes_picture_and_sentence_and_a_state_looks_the_same_again(painter):
    views = {state: painter.view(*state) for state in STATES}
    assert len({v.png for v in views.values()}) == len({v.alt for v in views.values()}) == len(STATES)
    assert painter.view(*STATES[5]).png == views[STATES[5]].png
    assert len({pixels(v.png).shape for v in views.values()}) == 1
    for state, v in views.items():
        assert f"temperature {state[3]:.2f}" in v.alt and f"{v.numbers['outside']:.1%}" in v.alt


def test_the_sheet_holds_every_sample_in_its_place():
    images = torch.rand(5, 1, 8, 8) * 3 - 1
    page = painting.sheet(images, 3)
    step = 8 + painting.MARGIN
    for k in range(5):
        row, column = k // 3 * step, k % 3 * step
        assert np.allclose(page[row:row + 8, column:column + 8], images[k, 0].clamp(0, 1))
    assert page.shape == (2 * step - painting.MARGIN, 3 * step - painting.MARGIN)


@pytest.mark.slow
def test_a_move_takes_less_than_100_ms(painter):
    seconds = []
    for state in STATES:
        start = time.process_time()
        painter.view(*state)
        seconds.append(time.process_time() - start)
    assert statistics.median(seconds) < 0.1


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def test_question_first_and_every_control_moves_picture_and_text():
    box = latent_sliders.sliders()
    assert "below 1, above 1, or both?" in box.children[0].value
    assert not any(isinstance(w, ipywidgets.Image) for w in walk(box))
    box.children[1].children[1].click()
    image = next(w for w in walk(box) if isinstance(w, ipywidgets.Image))
    texts = [w for w in walk(box) if isinstance(w, ipywidgets.HTML)]
    for words, value in (("step", 5.0), ("start", 3), ("towards", 7), ("temperature", 0.25)):
        control = next(w for w in walk(box) if getattr(w, "description", "").startswith(words))
        before = image.value, [t.value for t in texts]
        control.value = value
        assert image.value != before[0] and [t.value for t in texts] != before[1], words
    assert any("aria-live" in t.value and "temperature 0.25" in t.value for t in texts)


def test_the_strip_has_a_row_for_every_temperature(painter):
    figure = latent_sliders.strip(painter, (0.0, 1.0))
    assert [ax.get_yticklabels()[0].get_text() for ax in figure.axes] == ["T = 0", "T = 1"]
