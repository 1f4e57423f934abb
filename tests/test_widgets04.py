"""The stretch widget: every state's numbers equal closed forms, strips keep their mass, moves are fast."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from tutorial_lib.widgets import stretch as module
from tutorial_lib.widgets.stretch import MAPS, STRENGTHS, STRIPS, Stretcher, measure, strip

STATES = [(name, a) for name in MAPS for a in STRENGTHS]


def expected(name: str, a: float) -> tuple[float, float]:
    """Image of the mode and mode of the image, by setting the derivative of log p to zero by hand."""
    if name == "x = exp(a z)":
        return 1.0, math.exp(-a * a)                       # d/dz (-z²/2 - a z) = 0 at z = -a
    if name == "x = tanh(a z)" and 2 * a * a > 1:          # z = 2 a tanh(a z) has a root besides 0
        return 0.0, math.tanh(a * brentq(lambda z: z - 2 * a * math.tanh(a * z), 1e-3, 10))
    return 0.0, 0.0


@pytest.fixture(scope="module")
def stretcher():
    return Stretcher()


@pytest.mark.parametrize(("name", "a"), STATES)
def test_marks_and_areas_of_every_state(name, a):
    n = measure(name, a)
    image, mode = expected(name, a)
    assert n["image_of_mode"] == pytest.approx(image, abs=1e-9)
    assert n["mode_of_image"] == pytest.approx(mode, abs=0.004)
    assert n["least_area"] == pytest.approx(1 / STRIPS, abs=2e-3) == n["most_area"]


@pytest.mark.parametrize(("name", "a"), STATES)
def test_the_density_is_the_derivative_of_the_distribution(name, a):
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)
    h = 1e-5
    (low, _), (high, _), (_, p) = (module.curve(name, a, z + s) for s in (-h, h, 0.0))
    mass = norm.cdf((z + h).numpy()) - norm.cdf((z - h).numpy())
    assert np.allclose(mass / (high - low).numpy(), p.numpy(), rtol=1e-6)


def test_the_two_answers_to_the_question():
    together = {name for name in MAPS if all(abs(measure(name, a)["image_of_mode"] - measure(name, a)["mode_of_image"])
                                             < 0.005 for a in STRENGTHS)}
    assert together == {"x = a z", "x = sinh(a z)"}
    for name in MAPS:
        assert [a for a in STRENGTHS if measure(name, a)["peak"] > 3] == [STRENGTHS[0]]
    card = measure("x = exp(a z)", 1.0)
    assert f"{card['mode_of_image']:.2f} {card['image_of_mode']:.2f}" == "0.37 1.00"


@pytest.mark.parametrize(("name", "a"), STATES)
def test_the_sentence_says_the_numbers(name, a):
    n = measure(name, a)
    text = module.sentence(name, a, n)
    assert f"image of the mode {n['image_of_mode']:.2f}" in text and f"density {n['peak']:.2f}" in text
    assert ("stay together" in text) == (abs(n["image_of_mode"] - n["mode_of_image"]) < 0.005)


def test_a_state_looks_the_same_whatever_was_shown_before_and_every_control_moves_the_picture(stretcher):
    first = stretcher.view("x = exp(a z)", 1.0)
    others = [stretcher.view(*state).png for state in (("x = exp(a z)", 0.5), ("x = tanh(a z)", 1.0))]
    assert stretcher.view("x = exp(a z)", 1.0) == first
    assert len({first.png, *others}) == 3


def test_every_state_fits_the_frame(stretcher):
    for name, a in STATES:
        stretcher.view(name, a)
        low, high = stretcher.picture.ax.get_xlim()
        n = measure(name, a)
        assert low < n["mode_of_image"] < high and low < n["image_of_mode"] < high
        assert n["peak"] < stretcher.picture.ax.get_ylim()[1]


@pytest.mark.slow
def test_a_move_takes_less_than_100_ms_of_computing(stretcher):
    spent = []
    for state in STATES:
        start = time.process_time()
        stretcher.view(*state)
        spent.append(time.process_time() - start)
    assert np.median(spent) < 0.1


def test_the_widget_opens_with_its_question_and_answers_to_its_controls():
    box = module.stretch()
    assert "stay together" in box.children[0].value and not box.children[2].children
    box.children[1].children[1].click()
    body, ending = box.children[2].children
    name, strength, image, text = body.children
    name.value, before = "x = exp(a z)", bytes(image.value)
    strength.value = 0.5
    assert bytes(image.value) != before and "exp(a z) with a = 0.5" in text.value
    blank, button = ending.children[1].children
    for number, mark in ((math.exp(-0.25), "✓"), (1.0, "✗")):
        blank.value = number
        button.click()
        assert mark in ending.children[2].value


def test_the_strip_says_every_state():
    figure, said = strip([("x = a z", 1.0), ("x = exp(a z)", 1.0)])
    assert len(figure.axes) == 2 and "x = a z with a = 1" in said and "mode of the image 0.37" in said


def test_beyond_the_slider_tanh_and_exp_lift_the_density_above_3():
    beyond = {name: next((k / 10 for k in range(13, 31) if measure(name, k / 10)["peak"] > 3), None) for name in MAPS}
    assert beyond == {"x = a z": None, "x = exp(a z)": 2.5, "x = sinh(a z)": None, "x = tanh(a z)": 1.4}
    for a, above in ((2.4, False), (2.5, True)):  # the density of exp(a z) is highest at z = -a
        assert (math.exp(a * a / 2) / (a * math.sqrt(2 * math.pi)) > 3) is above
