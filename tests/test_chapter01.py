"""Chapter 01: what its break-it cells and its predictions promise."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib import detectors, metrics
from tutorial_lib.data import factory, folder
from tutorial_lib.detectors.thresholds import quantile_threshold


@pytest.fixture(scope="module")
def washers():
    """A detector of washers, and its scores of the images that it learned, of 200 new ones and of 200 newer ones."""
    good = factory.normal("washer", 100, seed=0)
    detector = detectors.create("gaussian", seed=0, progress=False)
    detector.fit(good)
    return detector, detector.score(good), *(detector.score(factory.normal("washer", 200, seed=s)) for s in (3, 4))


@pytest.mark.slow
def test_a_line_from_training_images_raises_an_alarm_for_most_new_good_parts(washers):
    _, trained_on, calibration, fresh = washers
    wrong, right = (quantile_threshold(scores, 0.05)["threshold"] for scores in (trained_on, calibration))
    assert float((fresh > wrong).float().mean()) > 0.85  # the chapter: nine in ten
    assert float((fresh > right).float().mean()) < 0.10
    assert fresh.median() > 2 * trained_on.median()  # the signature that the chapter names


@pytest.mark.slow
def test_scratches_on_nuts_are_in_the_map_and_in_the_ranking_and_half_of_them_below_the_line():
    detector = detectors.create("gaussian", seed=0, progress=False)
    detector.fit(factory.normal("nut", 100, seed=0))
    good = detector.score(factory.normal("nut", 200, seed=3))
    line = quantile_threshold(good, 0.05)["threshold"]
    images, masks = factory.defective("nut", "scratch", 20, severity=1.0, seed=7)
    maps = detector.anomaly_map(images)
    scores = maps.flatten(1).amax(1)
    assert metrics.pixel_auroc(maps, masks) > 0.95
    assert metrics.auroc(torch.cat([good, scores]), torch.arange(220) >= 200) > 0.9
    assert line > 2.5 * good.median() and 8 <= int((scores > line).sum()) <= 12  # the chapter: 10 of 20


def test_a_threshold_chosen_on_the_test_set_makes_random_scores_look_good():
    truth, draw = torch.arange(40) >= 20, torch.Generator().manual_seed(3)
    reported, real = [], []
    for _ in range(500):
        test, fresh = torch.rand(2, 40, generator=draw)
        lines = torch.cat([test, torch.tensor([-1.0])])
        accuracy = ((test > lines[:, None]) == truth).float().mean(1)
        reported.append(accuracy.max())
        real.append(((fresh > lines[accuracy.argmax()]) == truth).float().mean())
    assert min(reported) >= 0.5 and torch.stack(reported).mean() > 0.57
    assert abs(torch.stack(real).mean() - 0.5) < 0.02


def test_one_found_and_one_missed_defect():
    heat, truth = torch.zeros(256, 256), torch.zeros(256, 256, dtype=torch.bool)
    heat[20:120, 20:120] = 1.0
    truth[20:120, 20:120] = truth[190:200, 190:200] = True
    assert metrics.pixel_auroc([heat], [truth]) == pytest.approx(0.995, abs=5e-4)
    assert metrics.aupro([heat], [truth]) == pytest.approx(0.575)
    nine = torch.zeros(256, 256, dtype=torch.bool)
    for i in range(9):  # the third question of the quiz: nine small ones found, a large one missed
        nine[5:15, 5 + 25 * i:15 + 25 * i] = True
    heat, truth = nine.float(), nine.clone()
    truth[100:200, 100:200] = True
    assert metrics.aupro([heat], [truth]) == pytest.approx(0.915)
    assert metrics.pixel_auroc([heat], [truth]) == pytest.approx(5900 / 10900)


def test_the_planted_cases_reward_opposite_scores():
    draw, labels = torch.Generator().manual_seed(1), torch.arange(1200) >= 600
    noise, spot, haze = torch.randn(3, 600, 64, 64, generator=draw)
    spot[:, 30:33, 30:33] += 6.0
    haze += 0.18
    aurocs = {name: [metrics.auroc(torch.cat([score(noise), score(bad)]), labels) for bad in (spot, haze)]
              for name, score in {"mean": lambda m: m.mean((1, 2)), "max": lambda m: m.amax((1, 2))}.items()}
    assert aurocs["mean"][0] == pytest.approx(0.5 * math.erfc(-(9 * 6 / 4096) * 64 / 2), abs=0.04)  # 0.725
    assert aurocs["max"][0] > 0.995 and aurocs["mean"][1] > 0.995
    assert aurocs["max"][1] == pytest.approx(0.67, abs=0.04)


def test_factory_images_written_in_the_layout_are_read_back(tmp_path):
    from PIL import Image

    image, mask = factory.defective("washer", "scratch", 1, seed=6)
    for place, values in (("train/good/0.png", factory.normal("washer", 1)[0]), ("test/scratch/0.png", image[0]),
                          ("test/good/0.png", factory.normal("washer", 1, seed=3)[0]),
                          ("ground_truth/scratch/0_mask.png", mask[0])):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        array = (255 * values.float()).round().byte().numpy()
        Image.fromarray(array.transpose(1, 2, 0) if array.ndim == 3 else array).save(tmp_path / place)
    split = folder.read(tmp_path)
    assert split.kinds == ["good", "scratch"] and split.labels.tolist() == [False, True]
    assert torch.equal(split.masks[1], mask[0])
    assert float((split.test[1] - image[0]).abs().max()) <= 0.5 / 255 + 1e-6
