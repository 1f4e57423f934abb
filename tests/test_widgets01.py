"""Defect lab and score lab: the numbers of every state equal a formula written a second time, moves are fast."""

from __future__ import annotations

import io
import itertools
import time
from statistics import NormalDist

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from tutorial_lib.data import factory
from tutorial_lib.widgets import defect_lab, missed_region, score_lab

OURS = ("carpet", "metal", "washer", "board")  # categories that every version of the factory draws bit for bit alike
PARTS = [(category, kind) for category in OURS for kind in factory.DEFECTS[category]]


def size(view):
    return Image.open(io.BytesIO(view.png)).size


def median_seconds(moves):
    spent = []
    for move in moves:
        start = time.process_time()
        move()
        spent.append(time.process_time() - start)
    return np.median(spent)


# ---- defect lab ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("part", PARTS, ids="-".join)
def test_a_state_of_the_defect_lab_says_what_the_pixels_say(part):
    for severity, seed in ((0.1, 0), (0.6, 3), (1.0, 19)):
        state = defect_lab.State(*part, severity, seed)
        image, mask, twin = (x[0].numpy() for x in factory.pairs(*part, 1, 128, severity, seed))
        n = defect_lab.measure(state)
        assert n["pixels"] == np.count_nonzero(mask) and n["share"] == pytest.approx(n["pixels"] / 128**2)
        assert n["regions"] == ndimage.label(mask, np.ones((3, 3)))[1]
        inside = [abs(image[:, r, c] - twin[:, r, c]).mean() for r, c in np.argwhere(mask)]
        assert n["levels"] == pytest.approx(255 * np.mean(inside) if inside else 0, rel=1e-4)
        assert f"covers {n['pixels']} pixels" in defect_lab.sentence(state, n)


@pytest.mark.parametrize("part", PARTS, ids="-".join)
def test_the_close_up_stays_inside_and_does_not_move_with_severity(part):
    corners = {defect_lab.corner(defect_lab.State(*part, severity, 5)) for severity in (0.1, 0.5, 1.0)}
    assert len(corners) == 1
    top, left = corners.pop()
    assert 0 <= top <= 128 - defect_lab.ZOOM and 0 <= left <= 128 - defect_lab.ZOOM
    mask = factory.pairs(*part, 1, 128, 1.0, 5).masks[0]
    assert mask[top:top + defect_lab.ZOOM, left:left + defect_lab.ZOOM].any()


def test_the_lab_follows_the_factory():
    guess, hidden = defect_lab.defect_lab().children[1:]
    guess.children[1].click()
    category, kind, severity, seed, masked, image, text = hidden.children[0].children
    assert category.options == tuple(factory.CATEGORIES)
    seen = {bytes(image.value)}
    for name in OURS:
        category.value = name
        assert kind.options == tuple(factory.DEFECTS[name]) and kind.value in kind.options
        assert text.value.count(f"{name}, {kind.value}, severity") == 1
        seen.add(bytes(image.value))
    category.value, kind.value = "board", "misplaced"
    category.value = "carpet"  # has no misplaced parts: the lab falls back on a kind that it has
    assert kind.value in factory.DEFECTS["carpet"]
    for control, value in ((severity, 0.05), (severity, 1.0), (seed, 0), (masked, True)):
        control.value = value
        seen.add(bytes(image.value))
    assert len(seen) == 8


def test_the_mask_is_hidden_until_it_is_asked_for_and_outlined_around_the_defect():
    lab, state = defect_lab.Lab(), defect_lab.State()
    assert lab.view(state).png != lab.view(state._replace(masked=True)).png
    image, mask, _ = defect_lab._part(*state[:4])
    changed = (defect_lab._pixels(image, mask) != defect_lab._pixels(image, None)).any(2)
    assert changed.any() and not (changed & mask.numpy()).any()
    assert (ndimage.binary_dilation(mask.numpy(), np.ones((3, 3))) >= changed).all()


def test_a_state_of_the_lab_looks_the_same_whatever_was_shown_before():
    lab, state = defect_lab.Lab(), defect_lab.State("board", "missing", 0.7, 2)
    first = lab.view(state)
    other = lab.view(defect_lab.State("metal", "spot", 1.0, 4, True))
    assert lab.view(state) == first != other and size(first) == size(other)


@pytest.mark.slow
def test_moves_of_the_defect_lab_take_less_than_100_ms_of_computing():
    lab = defect_lab.Lab()
    lab.view(defect_lab.State())
    assert median_seconds([lambda s=s: lab.view(defect_lab.State("board", "crack", s, 7))
                           for s in defect_lab.SEVERITIES]) < 0.1


def test_the_strip_of_the_lab_shows_fading_scratches_of_our_categories():
    fig, said = defect_lab.strip()
    assert len(fig.axes) == 10 and {category for category, *_ in defect_lab.STRIP} <= set(OURS)
    for category, kind, seed in defect_lab.STRIP:
        levels = [defect_lab.measure(defect_lab.State(category, kind, s, seed))["levels"] for s in (1.0, 0.6, 0.3, 0.1)]
        assert levels == sorted(levels, reverse=True)
        assert f"{category}: " + ", ".join(f"{v:.0f}" for v in levels) in said


# ---- score lab -------------------------------------------------------------------------------------------------

GRID = list(itertools.product((0.0, 1.0, 2.5, 6.0), (0.5, 1.0, 2.0), score_lab.PREVALENCES.values(),
                              (-2.0, 0.0, 1.5, 3.3, 8.0)))


def test_every_state_of_the_score_lab_equals_the_formula():
    for state in itertools.starmap(score_lab.State, GRID):
        n, pi = score_lab.measure(state), state.prevalence
        tpr = 1 - NormalDist(state.distance, state.spread).cdf(state.threshold)
        fpr = 1 - NormalDist().cdf(state.threshold)
        assert (n["tpr"], n["fpr"]) == pytest.approx((tpr, fpr), abs=1e-12)
        assert n["precision"] == pytest.approx(pi * n["tpr"] / (pi * n["tpr"] + (1 - pi) * n["fpr"]))
        assert n["found"] + n["missed"] == pytest.approx(pi * score_lab.PARTS)
        assert n["false alarms"] + n["passed"] == pytest.approx((1 - pi) * score_lab.PARTS)
        assert f"{n['precision']:.1%} of the alarms are real" in score_lab.sentence(state, n)


@pytest.mark.parametrize(("distance", "spread"), list(itertools.product((0.0, 1.0, 3.3), (0.5, 1.0, 2.0))))
def test_its_auroc_is_the_area_under_the_curve_that_it_draws(distance, spread):
    found = [score_lab.measure(score_lab.State(distance, spread, threshold=t)) for t in np.linspace(15, -15, 3001)]
    area = np.trapezoid([n["tpr"] for n in found], [n["fpr"] for n in found])
    assert found[0]["auroc"] == pytest.approx(area, abs=1e-4)


def test_the_question_of_the_first_tab_has_the_answer_of_its_strip():
    half = [d for d in np.arange(0, 6.05, 0.1)
            if score_lab.measure(score_lab.State(d, 1.0, 0.001, d))["precision"] >= 0.5]
    assert min(half) == pytest.approx(3.3)  # threshold at the middle of the defective scores: half of them are found
    assert score_lab.DECIDING["half of the alarms are real"].distance == pytest.approx(3.3)
    left, middle, _ = score_lab.DECIDING.values()
    assert left._replace(prevalence=0.001) == middle
    said = score_lab.strip()[1]
    assert all(score_lab.sentence(s, score_lab.measure(s)) in said for s in score_lab.DECIDING.values())


def test_every_state_of_the_second_tab_equals_the_formula():
    for radius, share in itertools.product((2, 6, 17, 40), missed_region.SHARES):
        heat, mask = missed_region.scene(radius, share)
        n, found, missed = (int(x) for x in (mask[140:].sum(), heat[140:].sum(), (mask & (heat == 0)).sum()))
        m = missed_region.measure(radius, share)
        assert m["area"] == n and mask[:130].sum() == 10000 and found == round(share * n)
        assert m["pixel AUROC"] == pytest.approx((10000 + found + missed / 2) / (10000 + n))
        q = found / n  # of the second region; what is not marked follows the diagonal, with mean height 0.15 up to 0.3
        assert m["AUPRO"] == pytest.approx((1 + q + (1 - q) * 0.15) / 2)
        assert f"pixel AUROC {m['pixel AUROC']:.3f}, AUPRO {m['AUPRO']:.3f}" in missed_region.sentence(m)


def test_aupro_of_a_missed_region_does_not_depend_on_its_size_and_pixel_auroc_falls():
    found = [missed_region.measure(int(r), 0.0) for r in missed_region.RADII]
    assert [m["AUPRO"] for m in found] == pytest.approx([0.575] * len(found))
    aurocs = [m["pixel AUROC"] for m in found]
    assert aurocs == sorted(aurocs, reverse=True)
    assert next(m["radius"] for m in found if m["pixel AUROC"] < 0.9) == 29  # a quarter of the large one: 28.2


@pytest.mark.slow
def test_moves_of_the_score_lab_are_fast_and_do_not_depend_on_earlier_ones():
    overlap, missed = score_lab.Overlap(), missed_region.Missed()
    first = overlap.view(score_lab.State()), missed.view(20, 0.5)
    assert median_seconds([lambda d=d: overlap.view(score_lab.State(d)) for d in np.linspace(0, 6, 15)]) < 0.1
    assert median_seconds([lambda r=r: missed.view(r, 0.25) for r in range(2, 17)]) < 0.1
    assert (overlap.view(score_lab.State()), missed.view(20, 0.5)) == first


def test_the_controls_of_both_tabs_change_picture_and_sentence():
    tab = score_lab.score_lab()
    assert tab.titles == ("scores and alarms", "a missed region")
    for page, values in zip(tab.children, ((4.0, 1.5, 0.5, 2.0), (30, 0.75)), strict=True):
        question, guess, hidden = page.children
        assert "?" in question.value and not hidden.children
        guess.children[0].value = guess.children[0].options[1]
        *controls, image, text = hidden.children[0].children
        seen = {(bytes(image.value), text.value)}
        for control, value in zip(controls, values, strict=True):
            control.value = value
            seen.add((bytes(image.value), text.value))
        assert len(seen) == len(values) + 1


def test_the_closing_sentence_accepts_the_number_of_the_state_and_no_other():
    for page, right in ((defect_lab.defect_lab(), defect_lab.measure(defect_lab.State())["pixels"]),
                        (score_lab.score_lab().children[0], 100 * score_lab.measure(score_lab.State())["precision"]),
                        (score_lab.score_lab().children[1], 0.575)):
        page.children[1].children[1].click()
        line, reply = page.children[2].children[1].children[1:]
        for value, mark in ((right, "✓"), (right + 2, "✗")):
            line.children[0].value = value
            line.children[1].click()
            assert mark in reply.value


def test_strips_need_no_random_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert [strip()[1] for strip in (defect_lab.strip, score_lab.strip, missed_region.strip)] == \
        [strip()[1] for strip in (defect_lab.strip, score_lab.strip, missed_region.strip)]
    assert torch.equal(before, torch.get_rng_state())
