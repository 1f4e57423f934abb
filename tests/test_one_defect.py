"""The strip "one defect through all methods": one image for all, a scale that no method's units can bend."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch

from tutorial_lib import detectors
from tutorial_lib.data import factory
from tutorial_lib.experiments import one_defect
from tutorial_lib.plots import one_defect as pictures


@pytest.fixture(scope="module")
def gaussian():
    detector = detectors.create("gaussian", size=32, channels=12, weights="random", progress=False)
    detector.fit(factory.normal("washer", 16, 32, seed=0))
    return detector


@pytest.mark.parametrize("kind", one_defect.INDEX)
def test_the_defect_is_the_same_at_both_sizes_and_small(kind):
    small, large = one_defect.defect(64, kind), one_defect.defect(128, kind)
    halved = torch.nn.functional.avg_pool2d(large.images, 2)
    assert (halved - small.images).abs().mean() < 0.02
    assert all(0.003 < float(pair.masks.float().mean()) < 0.02 for pair in (small, large))
    assert ((small.images - small.twins).abs().amax(1) > factory.VISIBLE).equal(small.masks)


def test_rarity_counts_good_pixels_and_ignores_the_units():
    among = torch.arange(99.0).view(1, 9, 11)
    assert torch.allclose(one_defect.rarity(torch.tensor([[98.5, 98.0, -1.0]]), among),
                          -torch.tensor([[1 / 100, 2 / 100, 1.0]]).log10())
    found = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    bent = one_defect.rarity(found.double().exp(), (among / 20).double().exp())
    assert torch.equal(bent, one_defect.rarity(found.double(), (among / 20).double()))


def test_a_map_that_is_the_mask_is_perfect_and_the_twin_of_it_is_not(gaussian):
    class Oracle:
        settings = gaussian.settings

        def __init__(self, sign):
            self.sign = sign

        def anomaly_map(self, images):
            pair = one_defect.defect(32)
            hit = len(images) == 1
            return self.sign * pair.masks.float() if hit else torch.zeros(len(images), 32, 32)

    right, wrong = (one_defect.seen_by("gaussian", Oracle(sign)) for sign in (1, -1))
    assert right.pixel_auroc == pytest.approx(1.0) and right.on_defect
    assert wrong.pixel_auroc == pytest.approx(0.0) and not wrong.on_defect


def test_the_strip_grows_by_one_method_a_chapter(gaussian):
    asked = []

    def load(method, category):
        asked.append((method, category))
        return gaussian

    assert [len(one_defect.strip(method, load)) for method in one_defect.ORDER[:2]] == [1, 2]
    assert asked == [("gaussian", "washer"), ("gaussian", "washer"), ("differnet", "washer")]
    with pytest.raises(ValueError, match="no method 'patches'"):
        one_defect.strip("patches", load)


def test_the_figure_shows_one_panel_per_method_and_one_for_the_image(gaussian):
    seen = one_defect.strip("differnet", lambda *_: gaussian)
    figure = pictures.strip(seen)
    titles = [ax.get_title() for ax in figure.axes if ax.images and ax.get_title()]
    plt.close(figure)
    assert titles == ["a missing piece", "gaussian", "differnet"]
    assert "differnet" in pictures.caption(seen)
