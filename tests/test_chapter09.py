"""The statements of chapter 09 as laws: shared parameters, places, carried vectors, normalisation, a cell's centre."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from tutorial_lib.data import factory
from tutorial_lib.detectors import CFlow
from tutorial_lib.detectors.likelihood_map import enlarged, largest
from tutorial_lib.experiments import told_positions as study

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def tiny(**overrides) -> CFlow:
    numbers = {"size": 32, "weights": "random", "steps": 3, "vectors_per_step": 64, "blocks": 1, "position_dim": 8,
               "taps": ("stride4", "stride8"), "lr": 2e-2}
    return CFlow.small(progress=False, **numbers | overrides)


@pytest.fixture(scope="module")
def boards() -> torch.Tensor:
    return factory.normal("board", 6, size=32)


@pytest.fixture(scope="module")
def pair(boards) -> study.Pair:
    both = [tiny(position=position) for position in (True, False)]
    for detector in both:
        detector.fit(boards)
    return study.Pair(*both, tap=1)


@pytest.fixture(scope="module")
def trained() -> study.Pair:
    return study.trained("board", size=64, images=60, steps=150)


def test_two_exchanged_discs_change_places_and_nothing_else_changes(boards):
    moved, masks = study.exchanged(boards, (20, 22), (9, 8), 4)
    torch.testing.assert_close(moved[:, :, 7:12, 7:10], boards[:, :, 18:23, 21:24])
    torch.testing.assert_close(moved[:, :, 18:23, 21:24], boards[:, :, 7:12, 7:10])
    assert torch.equal(moved[:, :, ~masks[0]], boards[:, :, ~masks[0]])
    assert masks.shape == (6, 32, 32) and torch.equal(masks[0], masks[3]) and masks[0, 9, 8] and masks[0, 20, 22]
    assert abs(int(masks[0].sum()) - 2 * 3.14 * 4.5**2) < 30
    twice, _ = study.exchanged(moved, (20, 22), (9, 8), 4)
    torch.testing.assert_close(twice[:, :, 18:23, 20:25], boards[:, :, 18:23, 20:25])
    with pytest.raises(ValueError, match="Expected both to lie inside"):
        study.exchanged(boards, (20, 22), (2, 8), 4)


def test_a_carried_vector_is_asked_for_at_every_place(pair, boards):
    f = pair.told.vectors(boards[:1])[1][0]  # (96, 4, 4)
    everywhere, nowhere = study.carried(pair, f, at_once=5)
    code = pair.code(4, 4)
    for i, j in ((0, 0), (3, 9), (15, 2)):
        vector = f.flatten(1).T[i:i + 1]
        assert everywhere[i, j].item() == pytest.approx(pair.with_code(vector, code[j:j + 1]).item() / 96, abs=1e-5)
        assert nowhere[i].item() == pytest.approx(pair.without_code(vector).item() / 96, abs=1e-5)
    at_home = pair.told.likelihoods(pair.told.vectors(boards[:1]))[1]
    torch.testing.assert_close(everywhere.diag().view(4, 4), at_home[0], rtol=1e-4, atol=1e-5)
    assert everywhere.std(1).min() > 1e-4  # told: the place matters, for each of the vectors


def test_the_map_is_the_sum_of_the_doubts_and_mixing_is_linear(pair, boards):
    parts = study.doubts(pair.told, boards, at_once=4)
    assert parts.shape == (6, 2, 32, 32) and parts.min() >= 0 and parts.max() <= 1
    torch.testing.assert_close(study.mixed(parts, (1.0, 1.0)).double(), pair.told.anomaly_map(boards), rtol=1e-4,
                               atol=1e-4)
    torch.testing.assert_close(study.mixed(parts, (0.5, 0.0)), parts[:, 0] / 2)


def test_the_shared_flow_does_not_grow_with_the_map_and_the_gaussian_does(boards):
    sizes = [sum(p.numel() for p in tiny(size=size).build_flow(48).parameters()) for size in (32, 128)]
    assert sizes[0] == sizes[1]


def test_one_unlikely_cell_stays_at_its_centre_or_moves_by_nearly_half_a_cell():
    single = torch.zeros(1, 16, 16)
    single[0, 8, 14] = -50.0
    centre = {}
    for corners in (False, True):
        found = 1 - enlarged([single], largest([single]), 128, corners)[0, 0]
        centre[corners] = float((found.sum(0) * torch.arange(128)).sum() / found.sum())
    assert centre[False] == pytest.approx(115.5, abs=1e-6)
    assert centre[True] == pytest.approx(14 * 127 / 15, abs=0.5)


def test_the_published_normalisation_lets_a_neighbour_into_a_boards_map(pair, boards):
    published = tiny(normalise="published")
    published._become(pair.told.state)
    best = torch.stack([level.amax((1, 2)) for level in pair.told.likelihoods(pair.told.vectors(boards))])  # (K, 6)
    least, most = (int(i) for i in (best.sum(0).argmin(), best.sum(0).argmax()))
    both = boards[[least, most]]
    moved = {name: float((d.anomaly_map(both[:1])[0] - d.anomaly_map(both)[0]).abs().max())
             for name, d in (("train", pair.told), ("published", published))}
    assert moved["train"] < 1e-4 and moved["published"] > 100 * moved["train"]
    assert float(published.anomaly_map(both[:1]).min()) == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_a_swap_of_edge_and_middle_is_noticed_only_by_a_flow_that_is_told(trained):
    f = study.vectors_of(trained, "board", size=64, images=10)
    g = f.clone()
    g[:, :, 0, 4], g[:, :, 4, 4] = f[:, :, 4, 4], f[:, :, 0, 4]
    code = trained.code(8, 8)
    changes = [[float((after - before).sum()) for after, before in
                ((trained.with_code(b.flatten(1).T, code), trained.with_code(a.flatten(1).T, code)),
                 (trained.without_code(b.flatten(1).T), trained.without_code(a.flatten(1).T)))]
               for a, b in zip(f, g, strict=True)]
    told, untold = torch.tensor(changes).T
    assert told.max() < -50 and untold.abs().max() < 0.05


def good_boards(size: int = 64, n: int = 20) -> torch.Tensor:
    return factory.split("board", size=size, n_train=1, n_good=n, n_per_kind=1, seed=0).test[:n]


def moved_boards(**sizes) -> torch.Tensor:
    with study.part_moved("C1", -0.62, 0.06):
        return good_boards(**sizes)


def test_a_moved_part_is_drawn_elsewhere_and_the_factory_stays_as_it_was():
    good, moved, again = good_boards(n=1), moved_boards(n=1), good_boards(n=1)
    assert torch.equal(good, again)
    changed = ((good - moved).abs().amax(1) > factory.VISIBLE)[0]
    assert changed[32:37, 10:14].all() and changed[35:39, 46:50].all()  # the new place and the old one
    changed[27:42, 5:19] = changed[30:44, 41:56] = False
    assert not changed.any()
    with pytest.raises(ValueError, match="no part 'C9'"), study.part_moved("C9", 0, 0):
        pass


@pytest.mark.skipif(not (RESULTS / "09_cflow_position.json").exists(), reason="not measured yet")
def test_the_stored_table_has_three_seeds_of_everything_and_its_own_hash():
    stored = json.loads((RESULTS / "09_cflow_position.json").read_text(encoding="utf-8"))
    rows = stored["rows"]
    assert stored["hash"] == hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]
    groups: dict = {}
    for row in rows:
        key = (row["product"], row["method"], json.dumps(row["changed"]), row["scales"], row.get("normalise"))
        groups.setdefault(key, []).append(row["seed"])
    assert all(sorted(seeds) == [0, 1, 2] for seeds in groups.values()), groups
    assert {row["product"] for row in rows} == {"board", "washer", "carpet"}
