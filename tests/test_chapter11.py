"""The statements of chapter 11 as laws: places, shares of the log_det, uncounted volume, untouched channels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tutorial_lib import backbones
from tutorial_lib.checks.ch11.parameters import count
from tutorial_lib.data import factory
from tutorial_lib.detectors import FastFlow
from tutorial_lib.experiments import map_flows as study
from tutorial_lib.experiments import position_gaussian
from tutorial_lib.flows import Chain, Permutation

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def heads(shape=(8, 6, 7), **changed):
    """One untrained head, its weights away from the identity."""
    return FastFlow.small(**{"whiten": False, "zero_init": False, "progress": False} | changed).build_heads([shape])[0]


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def washers() -> torch.Tensor:
    return factory.normal("washer", 12, size=32)


@pytest.fixture(scope="module")
def trained(washers) -> FastFlow:
    detector = FastFlow.small(progress=False, size=32, steps=12, blocks=2, lr=1e-2)
    detector.fit(washers)
    return detector


@pytest.mark.parametrize("changed", [{}, {"kernels": (3, 1)}, {"whiten": True}])
def test_shares_of_the_log_det_sum_to_it_and_say_the_same_z(changed):
    head, x = heads(**changed), maps(3, 8, 6, 7)
    head.prepare(maps(40, 8, 6, 7, seed=1) * 2)
    with torch.no_grad():
        (z, local), (expected, log_det) = study.local_log_det(head.flow.transform, x), head(x)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(local.sum((1, 2)), log_det, rtol=1e-4, atol=1e-3)
    assert local.std() > 1e-4  # not spread evenly


def test_the_three_maps_are_what_they_say(trained, washers):
    found = study.heat_maps(trained, washers)
    torch.testing.assert_close(found["proxy"], trained.anomaly_map(washers), rtol=1e-4, atol=1e-5)
    assert (found["squares"] >= 0).all()
    with torch.no_grad():
        means = [head(f)[1].mean() / f[0, 0].numel() / f.shape[1]
                 for head, f in zip(trained.heads, trained.maps(washers), strict=True)]
    gap = (found["squares"] - found["share"]).mean()
    assert float(gap) == pytest.approx(float(sum(means) / 3), rel=0.02)  # the mean over places survives enlarging


def test_one_moved_place_changes_its_neighbours_and_their_share_of_the_log_det(trained, washers):
    chain, f = trained.heads[0].flow.transform, trained.maps(washers[:1])[0]
    moved = f.clone()
    moved[0, :, 4, 4] += 0.2 * f.std()
    with torch.no_grad():
        (z, local), (zm, local_m) = study.local_log_det(chain, f), study.local_log_det(chain, moved)
    assert int(((zm - z).norm(dim=1) > 0).sum()) > 1 < int(((local_m - local).abs() > 0).sum())


def test_the_same_map_at_every_place_stays_so_with_1x1_windows_and_gets_a_rim_with_3x3():
    x = maps(1, 8, 1, 1).expand(-1, -1, 6, 7)
    with torch.no_grad():
        spread = {k: float(heads(kernels=k).flow(x)[0].square().mean(1).std()) for k in ((1,), (3,))}
    assert spread[1,] < 1e-5 < 1e-2 < spread[3,]


def test_a_shift_of_the_map_upsets_a_gaussian_per_place_far_more_than_one_gaussian():
    network = backbones.load(taps=("stride4",))
    f = network(factory.normal("washer", 60, size=32))[0]
    seen, other = f[:40], f[40:]
    mean, L = position_gaussian.fit(seen)
    head = heads(tuple(f.shape[1:]), whiten=True, zero_init=True)
    head.prepare(seen)
    rolled = other.roll((2, 2), (2, 3))
    with torch.no_grad():
        alike = [head(m)[0].square().mean() for m in (other, rolled)]
    own = [position_gaussian.distance_map(m, mean, L).mean() for m in (other, rolled)]
    assert float(alike[1] / alike[0]) == pytest.approx(1, abs=1e-3)
    assert own[1] > 2 * own[0]


@pytest.mark.slow
def test_a_learned_scale_lowers_the_loss_by_volume_that_nobody_counts():
    network = backbones.load(taps=("stride16",))
    f = network(factory.normal("washer", 48, size=64))[0]
    plain, free = (study.short_run(f[:40], f[40:], steps=40, whiten=False, norm=norm) for norm in ("plain", "learned"))
    assert plain.loss == plain.honest
    gain, real = plain.loss[-1] - free.loss[-1], plain.honest[-1] - free.honest[-1]
    assert gain > 0.03
    assert real < 0.7 * gain
    assert float(free.head.norm.weight.detach().mean()) < 0.99


def test_untouched_channels_are_counted_right():
    for n in (1, 3):
        chain = heads((16, 3, 3), blocks=n).flow.transform
        bare = Chain(*[p for p in chain if not isinstance(p, Permutation)])
        assert study.untouched(bare, 16) == 8
        x, moved = maps(1, 16, 3, 3), maps(1, 16, 3, 3, seed=1)
        scale = [p.scale() for p in chain if hasattr(p, "scale")]
        assert all(torch.allclose(g, torch.ones(16)) for g in scale)  # so an untouched number comes out as it went in
        with torch.no_grad():
            z, zm = chain(x)[0], chain(moved)[0]
        kept = [c for c in range(16) if any(torch.allclose(z[0, c], x[0, i], atol=1e-6)
                                            and torch.allclose(zm[0, c], moved[0, i], atol=1e-6) for i in range(16))]
        assert len(kept) == study.untouched(chain, 16)


def test_alternating_windows_leave_five_ninths_of_the_weights():
    whole, turn = (count(256, 1.0, k, bias=False, scale=False) for k in ([3] * 8, [3, 1] * 4))
    assert turn / whole == pytest.approx(5 / 9)


def test_a_thinned_backbone_hands_out_some_channels_of_its_tap_always_the_same():
    inner, images = backbones.load(taps=("stride8",)), factory.normal("washer", 3, size=32)
    thin = study.Thinned(inner, seed=1, channels=10)
    (found,), (whole,) = thin(images), inner(images)
    assert found.shape == (3, 10, 4, 4)
    assert torch.equal(found, whole[:, study.Thinned(inner, seed=1, channels=10).kept])
    assert not torch.equal(thin.kept, study.Thinned(inner, seed=2, channels=10).kept)
    detector = FastFlow.small(thin, size=32, steps=1, progress=False)
    detector.fit(images)
    assert detector.latents(images)[0].shape == (3, 10, 4, 4)


@pytest.mark.slow
def test_stored_tables_hold_three_seeds_of_every_row_and_the_label_of_the_present_backbone():
    stored = json.loads((RESULTS / "11_fastflow_ablation.json").read_text(encoding="utf-8"))
    seeds = {}
    for row in stored["rows"]:
        seeds.setdefault((row["study"], row["product"], row["row"], row["map"]), []).append(row["seed"])
        if row["backbone"].startswith("embedded ") and "random" not in row["backbone"]:
            assert row["backbone"] == backbones.load().label
    assert all(found == ([0] if "vit" in key[2] else [0, 1, 2]) for key, found in seeds.items())
    assert {key[0] for key in seeds} == {"kernels", "blocks", "extractors", "spoiled"}


def test_the_stored_speed_is_the_ratio_of_its_medians():
    for case in json.loads((RESULTS / "11_fastflow_step.json").read_text(encoding="utf-8"))["cases"].values():
        assert case["ratio"] == pytest.approx(case["median"]["FrEIA"] / case["median"]["ours"], rel=0.02)
        assert len(case["seconds"]["ours"]) == len(case["seconds"]["FrEIA"]) == 5
        assert case["largest_relative_difference"] < 1e-5
