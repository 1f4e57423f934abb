"""The widgets of chapter 12: the numbers of every state equal the formula; moves are fast and forget each other."""

from __future__ import annotations

import io
import itertools
import time

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.data import factory
from tutorial_lib.detectors.pyramidflow import PyramidFlow
from tutorial_lib.flows.pyramid import laplacian_join, laplacian_split, nearest_down
from tutorial_lib.widgets import pyramid as levels
from tutorial_lib.widgets import template_builder as builders


@pytest.fixture(scope="module")
def mixer():
    made = {kind: factory.pairs("wood", kind, 1, size=128, seed=0) for kind in ("scratch", "dent")}
    return levels.LevelMixer({kind: (p.images[0], p.twins[0], p.masks[0]) for kind, p in made.items()})


@pytest.fixture(scope="module")
def fitted():
    boards = factory.normal("board", 40, size=32, seed=0)
    detector = PyramidFlow.small(size=32, levels=3, channels=4, stacks=1, steps=4, progress=False)
    detector.fit(boards[:12])
    return detector, boards


@pytest.fixture(scope="module")
def builder(fitted):
    detector, boards = fitted
    return builders.Builder(detector, boards[:16], boards[16], boards[17:])


# ---- pyramid -----------------------------------------------------------------------------------------------------

def test_all_levels_give_the_picture_and_the_defect_back(mixer):
    pair = factory.pairs("wood", "dent", 1, size=128, seed=0)
    picture, defect = mixer.joined("dent", [True] * 5)
    assert torch.allclose(picture, pair.images[0], atol=1e-5)
    assert torch.allclose(defect, (pair.images - pair.twins)[0].mean(0), atol=1e-5)
    assert mixer.numbers("dent", [True] * 5)["left"] == pytest.approx(1, abs=1e-4)
    assert mixer.numbers("dent", [False] * 5)["left"] == 0


@pytest.mark.parametrize("kept", [(1, 0, 0, 0, 0), (0, 1, 1, 0, 0), (1, 0, 1, 0, 1)])
def test_a_state_is_the_join_of_the_levels_that_are_on(mixer, kept):
    pair = factory.pairs("wood", "scratch", 1, size=128, seed=0)
    found = laplacian_split(pair.images, 5, nearest_down)
    due = laplacian_join(tuple(level * on for level, on in zip(found, kept, strict=True)))[0]
    assert torch.allclose(mixer.joined("scratch", kept)[0], due, atol=1e-5)


def test_the_scratch_is_fine_and_the_dent_is_not(mixer):
    assert all(sum(mixer.shares(kind)) == pytest.approx(1) for kind in mixer.pictures)
    largest = {kind: mixer.numbers(kind, [True] * 5)["largest"] for kind in mixer.pictures}
    assert largest == {"scratch": 0, "dent": 2}
    assert mixer.shares("scratch")[0] > 0.9 and mixer.shares("dent")[0] < 0.1
    assert "95%" in levels.strip(mixer)[1] and "46%" in levels.strip(mixer)[1]


# ---- template builder --------------------------------------------------------------------------------------------

def test_the_shift_moves_the_picture_and_repeats_the_edge():
    image = torch.arange(12.0).view(1, 3, 4).expand(3, 3, 4)
    moved = builders.shifted(image, 2)
    assert torch.equal(moved[..., 2:], image[..., :2])
    assert torch.equal(moved[..., :2], image[..., :1].expand(3, 3, 2))


@pytest.mark.parametrize(("n", "shift"), [(1, 0), (5, 3), (16, 8)])
def test_a_state_is_the_detectors_map_with_the_template_of_the_first_normals(fitted, builder, n, shift):
    detector, boards = fitted
    template = detector.build_template(boards[:n])
    part = builders.shifted(boards[16], shift)[None]
    due = detector.level_maps(detector.latents(part), template).sum(1)[0]
    assert torch.allclose(builder.map(n, shift), due, atol=1e-4)
    assert builder.numbers(n, shift)["peak"] == pytest.approx(float(due.max()), rel=1e-3)


def test_dark_is_a_line_that_nine_in_ten_other_parts_keep(fitted, builder):
    detector, boards = fitted
    template = detector.build_template(boards[:16])
    maxima = detector.level_maps(detector.latents(boards[17:]), template).sum(1).amax((1, 2))
    assert 0.05 < float((maxima > builder.line).float().mean()) < 0.15


def test_the_needed_number_is_the_first_after_the_last_bright_one(builder):
    kept = builder.curves.clone()
    try:
        builder.curves[0] = builder.line * torch.tensor([2.0, 0.5, 2.0] + [0.5] * 13)
        builder.curves[1] = 2 * builder.line
        builder.curves[2] = builder.line / 2
        assert (builder.needed(0), builder.needed(1), builder.needed(2)) == (4, None, 1)
    finally:
        builder.curves.copy_(kept)


def test_more_normals_darken_the_unshifted_part_and_do_not_repair_a_shift(builder):
    assert builder.curves[0, 8:].mean() < builder.curves[0, :2].mean()
    assert builder.numbers(16, 4)["ratio"] > 1.3 and builder.needed(4) is None


# ---- both --------------------------------------------------------------------------------------------------------

def states(mixer, builder):
    sets = list(itertools.product((False, True), repeat=5))
    return {"pyramid": lambda k: mixer.view(("scratch", "dent")[k % 2], sets[3 + 2 * k]),
            "builder": lambda k: builder.view(1 + k, k % builders.SHIFTS)}


@pytest.mark.parametrize("name", ["pyramid", "builder"])
def test_moves_are_fast_and_a_state_looks_the_same_whatever_was_shown_before(mixer, builder, name):
    view = states(mixer, builder)[name]
    first, spent, seen = view(1), [], set()
    for k in range(12):
        start = time.process_time()
        seen.add(view(k).png)
        spent.append(time.process_time() - start)
    assert view(1) == first and len(seen) == 12
    assert np.median(spent) < 0.1
    assert len({np.asarray(Image.open(io.BytesIO(png))).shape for png in seen}) == 1


def test_the_widgets_answer_to_their_controls(mixer, builder):
    box = levels.pyramid(mixer)
    assert "scratch" in box.children[0].value and not box.children[2].children
    box.children[1].children[1].click()
    name, switches, image, text = box.children[2].children[0].children
    seen = {(bytes(image.value), text.value)}
    name.value = "dent"
    seen.add((bytes(image.value), text.value))
    switches.children[2].value = False
    seen.add((bytes(image.value), text.value))
    assert len(seen) == 3 and "levels 0, 1, 3, 4 on" in text.value

    box = builders.template_builder(builder)
    box.children[1].children[1].click()
    normals, shift, image, text = box.children[2].children[0].children
    normals.value, shift.value = 16, 4
    assert builder.view(16, 4).png == bytes(image.value) and "16 normals" in text.value


@pytest.mark.parametrize("strip", ["pyramid", "builder"])
def test_the_strips_say_the_numbers_of_their_states(mixer, builder, strip):
    figure, said = levels.strip(mixer) if strip == "pyramid" else builders.strip(builder)
    assert figure.axes and "  " not in said
    if strip == "builder":
        assert f"maximum {builder.curves[4, -1]:.2f}" in said
