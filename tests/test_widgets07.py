"""The widgets of chapter 07: the numbers of every state equal the formula; moves are fast and forget each other."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from tutorial_lib import backbones
from tutorial_lib.data import factory
from tutorial_lib.widgets import receptive_field as fields
from tutorial_lib.widgets import typical_set as typical
from tutorial_lib.widgets.typical_set import DIMENSIONS


@pytest.fixture(scope="module")
def lengths():
    return typical.Lengths()


@pytest.fixture(scope="module")
def lens():
    pair = factory.pairs("washer", "scratch", 2, size=128, seed=0)
    backbone = backbones.load("embedded", weights="random", taps=("stride2", "stride4", "stride8", "stride16"))
    return fields.FieldLens(backbone, pair.images[1], pair.masks[1], pair.twins[1].mean(0) > 0.25)


# ---- typical set -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("d", DIMENSIONS)
def test_lengths_follow_the_chi_distribution(lengths, d):
    found, n = lengths.of(d).numpy(), lengths.numbers(d)
    assert stats.kstest(found, stats.chi(d).cdf).pvalue > 1e-4
    assert n["radius"] == pytest.approx(stats.chi(d).mean())
    assert n["inside"] == sum(v < n["radius"] / 2 for v in found.tolist())
    assert n["nearest"] == min(found.tolist())


def test_from_the_first_empty_dimension_on_nobody_is_inside(lengths):
    first = lengths.first_empty()
    assert lengths.numbers(first - 1)["inside"] > 0
    assert all(lengths.numbers(d)["inside"] == 0 for d in DIMENSIONS if d >= first)
    assert f"Nearer to z = 0 than half the radius: {lengths.numbers(3)['inside']}." in lengths.view(3).alt


def test_the_bars_show_the_draws(lengths):
    lengths.view(10)
    bars = lengths.picture.bars.get_data()
    share = (lengths.of(10) / lengths.numbers(10)["radius"] < 0.5).float().mean()
    assert bars.values[bars.edges[1:] <= 0.5 + 1e-9].sum() / bars.values.sum() == pytest.approx(float(share), abs=2e-3)


# ---- receptive field ---------------------------------------------------------------------------------------------

def test_the_counted_sizes_are_those_of_the_taps(lens):
    for name, tap in lens.backbone.taps.items():
        assert lens.fields[name][:2] == (tap.receptive_field, tap.stride)


@pytest.mark.parametrize("layer", ["stride2", "stride4", "stride8", "stride16"])
def test_a_pixel_outside_the_box_changes_nothing_and_one_at_its_edge_something(lens, layer):
    for y, x in ((0, 0), (64, 40), (127, 127)):
        n = lens.numbers(layer, y, x)
        assert n["outside"] == 0
        row, column, index = n["row"], n["column"], lens.layers.index(layer)
        inside = torch.zeros(128, 128, dtype=torch.bool)
        inside[max(n["top"], 0):n["top"] + n["size"], max(n["left"], 0):n["left"] + n["size"]] = True
        other = torch.where(inside, lens.image, 1 - lens.image)
        with torch.no_grad():
            a, b = (lens.backbone(i[None])[index][0, :, row, column] for i in (lens.image, other))
        assert torch.allclose(a, b, atol=1e-4)
        assert n["scratch"] == bool(inside[torch.from_numpy(lens.mask)].all())
        assert n["part"] == bool(inside[torch.from_numpy(lens.part)].all())


def test_the_cell_is_the_one_nearest_to_the_pixel(lens):
    for layer, (size, stride, offset) in lens.fields.items():
        for p in range(20, 108, 7):
            row, _ = lens.cell(layer, p, 0)
            centres = [offset + (size - 1) / 2 + k * stride for k in range(128 // stride)]
            assert abs(centres[row] - p) == min(abs(c - p) for c in centres)


def test_the_scene_answers_the_question(lens):
    y, x = torch.from_numpy(lens.mask).nonzero().float().mean(0).int().tolist()
    covers = {layer: (n["scratch"], n["part"]) for layer in lens.layers for n in [lens.numbers(layer, y, x)]}
    assert covers["stride2"] == (False, False) and covers["stride4"] == (True, False)
    assert covers["stride16"] == (True, True)


# ---- both --------------------------------------------------------------------------------------------------------

def states(lengths, lens):
    return {"typical": lambda k: lengths.view(DIMENSIONS[k % len(DIMENSIONS)]),
            "field": lambda k: lens.view(lens.layers[k % 4], 8 * (k % 16), 8 * (3 * k % 16))}


@pytest.mark.parametrize("name", ["typical", "field"])
def test_moves_are_fast_and_a_state_looks_the_same_whatever_was_shown_before(lengths, lens, name):
    view = states(lengths, lens)[name]
    first, spent, seen = view(1), [], set()
    for k in range(12):
        start = time.process_time()
        seen.add(view(k).png)
        spent.append(time.process_time() - start)
    assert view(1) == first and len(seen) == 12
    assert np.median(spent) < 0.1
    assert len({np.asarray(Image.open(io.BytesIO(png))).shape for png in seen}) == 1


def test_the_widgets_answer_to_their_controls(lengths, lens):
    box = typical.typical_set(lengths)
    assert "no draw in 1,000" in box.children[0].value and not box.children[2].children
    box.children[1].children[1].click()
    slider, image, text = box.children[2].children[0].children
    before = bytes(image.value)
    slider.value = 768
    assert "d = 768" in text.value and bytes(image.value) != before
    box = fields.receptive_field(lens, "stride4")
    assert "covers the scratch but not the whole part" in box.children[0].value
    box.children[1].children[1].click()
    layer, y, x, image, text = box.children[2].children[0].children
    seen = {bytes(image.value)}
    for control, value in ((layer, "stride8"), (y, 16), (x, 96)):
        control.value = value
        seen.add(bytes(image.value))
    assert len(seen) == 4 and "Layer stride8" in text.value


def test_the_strips_say_every_state(lengths, lens):
    figure, said = typical.strip(lengths, (1, 2, 21, 768))
    assert len(figure.axes) == 4 and all(f"d = {d}:" in said for d in (1, 2, 21, 768))
    figure, said = fields.strip(lens, 40, 40)
    assert len(figure.axes) == 8 and all(layer in said for layer in lens.layers)
