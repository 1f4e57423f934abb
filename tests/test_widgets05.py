"""The widgets of chapter 05 over their whole range: every number shown equals the formula, every move is fast."""

from __future__ import annotations

import io
import math
import re
import statistics
import time

import ipywidgets
import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib import flows
from tutorial_lib.widgets import bench, bench_states, microscope
from tutorial_lib.widgets.bench_states import DEPTHS, STATES, Switches
from tutorial_lib.widgets.frame import framed

LAYERS = 8
PROBES = [(-2.0, -1.6), (-1.0, 0.3), (0.0, 0.0), (0.5, -0.7), (2.0, 1.6)]


@pytest.fixture(scope="module")
def flow():
    return bench_states.load(Switches())[0]


@pytest.fixture(scope="module")
def lens(flow):
    return microscope.Lens(flow, bench.data())


def picture(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def jacobian_log_det(transform, point):
    jacobian = torch.autograd.functional.jacobian(lambda v: transform(v[None])[0][0], torch.tensor(point))
    return float(torch.linalg.slogdet(jacobian).logabsdet)


# ---- microscope --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_log_det_so_far_is_that_of_autograd(lens, flow, layer):
    part = flows.Chain(*list(flow.transform)[:layer])
    for point in PROBES:
        n, here = lens.numbers(layer, *point), part(torch.tensor([point]))[0][0].tolist()
        assert n["log_det_so_far"] == pytest.approx(jacobian_log_det(part, point), abs=1e-5)
        assert [n["here_1"], n["here_2"]] == pytest.approx(here, abs=1e-5)


@pytest.mark.parametrize("point", PROBES)
def test_the_running_sum_adds_up_to_log_p(lens, flow, point):
    n = lens.numbers(LAYERS, *point)
    parts = [n[f"log_det_{k}"] for k in range(1, LAYERS + 1)]
    assert sum(parts) == pytest.approx(n["log_det"], abs=1e-5)
    z = torch.tensor([n["here_1"], n["here_2"]])
    assert n["log_p_z"] == pytest.approx(-0.5 * float(z @ z) - math.log(2 * math.pi), abs=1e-4)
    assert n["log_p_x"] == pytest.approx(n["log_p_z"] + n["log_det"], abs=1e-5)
    assert n["log_p_x"] == pytest.approx(float(flow.log_prob(torch.tensor([point]))), abs=1e-5)
    assert 0 <= n["round_trip"] < 1e-4


def test_the_last_layer_shows_the_base_density_and_the_first_that_of_the_data(lens, flow):
    square = microscope.grid(microscope.WINDOW, microscope.PIXELS)
    with torch.no_grad():
        first, last = lens._density(0, square), lens._density(LAYERS, square)
        assert torch.allclose(first.flatten(), flow.log_prob(square).exp(), atol=1e-5)
        assert torch.allclose(last.flatten().log(), flows.standard_normal_log_prob(square), atol=1e-4)


def test_the_density_of_every_layer_holds_the_mass_that_samples_put_there(lens, flow):
    half = microscope.WINDOW
    square = microscope.grid(half, 200)
    with torch.no_grad():
        samples = flow.sample(4000, generator=torch.Generator().manual_seed(0))
        for k, (points, _) in enumerate(flow.transform.steps(samples)):
            log_p = flows.Flow(flows.Chain(*list(flow.transform)[k:]), (2,)).log_prob(square) if k < LAYERS \
                else flows.standard_normal_log_prob(square)
            mass = float(log_p.exp().sum()) * (2 * half / 200) ** 2
            share = float((points.abs() < half).all(1).float().mean())
            assert mass == pytest.approx(share, abs=0.03), k


def test_every_move_changes_the_picture_and_the_sentence(lens):
    views = [lens.view(k, x, y) for k in range(LAYERS + 1) for x, y in PROBES[:2]]
    assert len({v.png for v in views}) == len(views) and len({v.alt for v in views}) == len(views)
    for v in views:
        shown = re.search(r"log_det so far = ([-+. 0-9]+) = (-?\d+\.\d\d)\.", v.alt)
        assert sum(float(p) for p in shown[1].split()) == pytest.approx(float(shown[2]), abs=0.06)
        assert picture(v.png).std() > 10


def test_the_probe_is_drawn_where_it_is(lens):
    """The orange ring in the first panel: its centre, turned back into data coordinates, is the probe's place."""
    view, pixels = lens.view(3, 0.5, -0.7), None
    pixels = picture(view.png)
    ax = lens.picture.cloud
    x, y = ax.transData.transform((view.numbers["here_1"], view.numbers["here_2"]))
    row, column = pixels.shape[0] - round(y), round(x)
    patch = pixels[row - 9:row + 10, column - 9:column + 10]
    ring = (abs(patch - np.array([0xD5, 0x5E, 0x00])).sum(-1) < 60)
    assert ring.sum() > 20
    rows, columns = np.nonzero(ring)
    assert abs(rows.mean() - 9) < 1.5 and abs(columns.mean() - 9) < 1.5


def test_same_state_same_bytes(lens):
    assert lens.view(4, 0.1, 0.2).png == (lens.view(7, -1.0, 0.5) and lens.view(4, 0.1, 0.2)).png


def median_move(view, states) -> float:
    seconds = []
    for state in states:
        start = time.process_time()
        view(*state)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def test_a_move_of_the_microscope_takes_less_than_100_ms(lens):
    assert median_move(lens.view, [(k, x, y) for k in range(LAYERS + 1) for x, y in PROBES[:2]]) < 0.1


# ---- break-it bench ------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def measured():
    return {state: bench.measure(state) for state in STATES}


def test_the_numbers_are_those_of_the_formula(measured):
    x = bench.data()
    for state, n in measured.items():
        flow, _ = bench_states.load(state)
        z, log_det = flow(x)
        half_square = 0.5 * z.square().sum(1).mean()
        assert n["half_square"] == pytest.approx(float(half_square), abs=1e-5)
        assert n["nll"] == pytest.approx(float(half_square + math.log(2 * math.pi) - log_det.mean()), abs=1e-4)


def test_without_exchange_half_of_the_input_stays_exactly_where_it_was(measured):
    for state, n in measured.items():
        stays = not state.exchange or state.depth == 1
        assert (n["first_moved"] == 0.0) == stays, state
    stuck = [n["nll"] for s, n in measured.items() if not s.exchange and s.log_det]
    assert min(stuck) > 1.4  # whatever the depth: the first coordinate keeps its own, not normal, distribution
    assert measured[Switches()]["nll"] < 1.0


def test_without_log_det_the_latents_collapse_and_the_loss_sits_at_its_floor(measured):
    for depth in (4, 8):
        n = measured[Switches(log_det=False, depth=depth)]
        assert n["half_square"] < 0.01 and n["loss"] == pytest.approx(math.log(2 * math.pi), abs=0.01)
        assert n["nll"] > 5 and n["samples_near"] < 0.02
    assert 0.8 < measured[Switches()]["half_square"] < 1.2


def test_without_clamp_the_round_trip_fails_far_from_the_data_only(measured):
    for depth in DEPTHS:
        assert measured[Switches(depth=depth)]["far_error"] < 1e-3
    flow, _ = bench_states.load(Switches(clamp=False))
    x = bench.data()
    assert float((flow.inverse(flow(x)[0])[0] - x).abs().max()) < 1e-4
    assert math.isinf(measured[Switches(clamp=False)]["far_error"])


def test_more_layers_fit_better_up_to_four(measured):
    one, two, four = (measured[Switches(depth=d)]["nll"] for d in (1, 2, 4))
    assert one > two + 0.2 > four + 0.3


@pytest.mark.slow
def test_every_state_has_its_own_picture_and_sentence(measured):
    shown, views = bench.Bench(), {}
    for state in STATES:
        views[state] = shown.view(state)
        flow, losses = bench_states.load(state)
        assert torch.equal(torch.as_tensor(shown.picture.curve.get_ydata()), losses)
        latents = torch.tensor(np.stack(shown.picture.latents.get_data(), 1))
        assert torch.allclose(latents, flow(bench.data())[0], equal_nan=True)
    assert len({v.alt for v in views.values()}) == len(STATES)
    for state in STATES:  # at depth 1 there is nothing to exchange: the two flows are the same one
        twin = Switches(not state.exchange, state.clamp, state.depth, state.log_det)
        assert (views[state].png == views[twin].png) == (state.depth == 1), state
    assert median_move(shown.view, [(s,) for s in STATES]) < 0.1


def test_a_stored_state_can_be_trained_again():
    state = Switches(exchange=False, depth=1)
    flow, losses = bench_states.train(state)
    stored, kept = bench_states.load(state)
    assert losses[-50:].mean() == pytest.approx(float(kept[-10:].mean()), abs=0.05)
    assert float(flow.nll(bench.data()).detach()) == pytest.approx(float(stored.nll(bench.data())), abs=0.05)


def test_every_stored_state_began_with_the_loss_that_its_switches_say():
    for state in STATES:
        _, losses = bench_states.train(state, steps=1)
        assert float(losses[0]) == pytest.approx(float(bench_states.load(state)[1][0]), abs=1e-4), state


def test_training_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    bench_states.train(Switches(depth=1), steps=1)
    assert torch.equal(before, torch.get_rng_state())


# ---- controls --------------------------------------------------------------------------------------------------------

def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def find(widget, kind, words=""):
    return next(w for w in walk(widget) if isinstance(w, kind) and words in getattr(w, "description", ""))


def revealed(box):
    find(box, ipywidgets.Button, "Show anyway").click()
    return box


@pytest.fixture(scope="module")
def shallow():
    return bench_states.load(Switches(depth=2))[0]


@pytest.mark.parametrize("make", [lambda f: microscope.microscope(f, bench.data()), lambda f: bench.break_it()],
                         ids=["microscope", "bench"])
def test_question_first_answer_after_the_guess(shallow, make):
    box = make(shallow)
    assert "?" in box.children[0].value
    assert not any(isinstance(w, ipywidgets.Image) for w in walk(box))
    guess = find(box, ipywidgets.Dropdown, "guess")
    guess.value = guess.options[1]
    assert any(isinstance(w, ipywidgets.Image) for w in walk(box))


def test_every_control_of_the_microscope_moves_picture_and_text(shallow):
    box = revealed(microscope.microscope(shallow, bench.data()))
    image, texts = find(box, ipywidgets.Image), [w for w in walk(box) if isinstance(w, ipywidgets.HTML)]
    for words in ("layer", "probe x₁", "probe x₂"):
        slider = find(box, ipywidgets.IntSlider | ipywidgets.FloatSlider, words)
        for value in (slider.min, slider.max):
            before = image.value, [t.value for t in texts]
            slider.value = value
            assert image.value != before[0] and [t.value for t in texts] != before[1]
    layer = find(box, ipywidgets.IntSlider)
    layer.value = 1
    assert any("After layer 1 of 2" in t.value and "aria-live" in t.value for t in texts)


def test_every_switch_of_the_bench_moves_picture_and_text():
    box = revealed(bench.break_it())
    image = find(box, ipywidgets.Image)
    for words in ("permutation", "clamp", "log_det"):
        before = image.value
        find(box, ipywidgets.Checkbox, words).value = False
        assert image.value != before
    before = image.value
    find(box, ipywidgets.SelectionSlider).value = 2
    assert image.value != before


def test_the_sentence_at_the_end_is_checked_on_the_number():
    box = revealed(framed("Why?", ["a"], ipywidgets.VBox([]), "It is …", lambda: 2.0, 0.1))
    blank, button = find(box, ipywidgets.FloatText), find(box, ipywidgets.Button, "Check it")
    for value, mark in ((3.0, "✗"), (2.05, "✓")):
        blank.value = value
        button.click()
        assert any(mark in w.value for w in walk(box) if isinstance(w, ipywidgets.HTML))
