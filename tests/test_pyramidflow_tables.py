"""The stored tables of chapter 12 are whole, and say what the detector's docstring says."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def stored(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def test_every_row_of_the_ablation_stands_for_each_product_and_seed():
    table = stored("12_pyramidflow")
    rows = table["rows"]
    cells = {(r["study"], r["row"], r["product"], r["seed"]) for r in rows}
    assert len(cells) == len(rows)
    names = {(study, row) for study, row, _, _ in cells}
    assert {study for study, _ in names} == {"small", "levels", "normalisation", "channels", "resolution"}
    assert cells == {(*name, product, seed) for name in names for product in ("washer", "board")
                     for seed in table["seeds"]}
    assert len(table["seeds"]) >= 3
    for product in ("washer", "board"):
        for seed in table["seeds"]:  # rows of one size were judged on the same images
            found = {r["data"] for r in rows if r["product"] == product and r["seed"] == seed and r["row"] != "32"}
            assert len(found) == 1


def test_empty_directions_are_stretched_and_the_loss_falls_further_where_there_are_some():
    rows = stored("12_pyramidflow")["rows"]
    small, eight = ([r for r in rows if r["row"] == name] for name in ("small", "8"))
    assert all(r["gain"]["empty"] is None and r["gain"]["image"] > 1 for r in small)
    assert all(r["gain"]["image"] < 1 < r["gain"]["empty"] for r in eight)
    left = lambda found: mean(r["loss_last"] / r["loss_first"] for r in found)
    assert left(eight) < left(small)


def test_the_flow_learns_and_is_ahead_of_the_residual_on_pixels():
    rows = stored("12_pyramidflow")["rows"]
    for product in ("washer", "board"):
        of = lambda name, product=product: mean(r["auroc"] for r in rows if (r["product"], r["row"]) == (product, name))
        assert of("small") > of("untrained")
        assert of("small") > of("pca")


def test_reversible_training_needs_less_memory_for_the_same_step_and_more_so_for_larger_images():
    rows = {(r["size"], r["reversible"]): r for r in stored("12_pyramidflow_memory")["rows"]}
    sizes = sorted({size for size, _ in rows})
    assert sizes[-1] == 1024
    shares = []
    for size in sizes:
        plain, saving = rows[size, False], rows[size, True]
        assert abs(plain["loss"] - saving["loss"]) <= 1e-4 * plain["loss"]
        assert abs(plain["gradient_norm"] - saving["gradient_norm"]) <= 1e-2 * plain["gradient_norm"]
        shares.append((saving["peak_mib"] - saving["before_mib"]) / (plain["peak_mib"] - plain["before_mib"]))
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.6
