"""Tiny pictures for flows on pixels: integers of K levels, repeatable, each its own, and recognisable."""

import pytest
import torch

from tutorial_lib.data import glyph_images, glyph_labels, texture_images

MAKERS = {"glyphs": glyph_images, "carpet": texture_images,
          "metal": lambda *args, **kwargs: texture_images(*args, category="metal", **kwargs)}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(("size", "levels"), [(8, 17), (12, 256), (4, 2)])
def test_pictures_are_integers_of_the_levels_asked_for(make, size, levels):
    x = make(40, size=size, levels=levels)
    assert x.shape == (40, 1, size, size) and x.dtype == torch.int64
    assert x.min() >= 0 and x.max() <= levels - 1 and len(x.unique()) >= min(levels, 6)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_picture_depends_on_its_number_and_the_seed_alone(make):
    x = make(50)
    assert torch.equal(make(20), x[:20]) and not torch.equal(make(50, seed=1), x)
    assert len(x.unique(dim=0)) == 50
    assert torch.equal(make(0), x[:0])


def test_the_highest_and_the_lowest_level_occur():
    assert set(range(17)) == set(glyph_images(1000).unique().tolist())


def test_digits_are_recognised_by_their_nearest_neighbour():
    train, test = glyph_images(2000).flatten(1).double(), glyph_images(300, seed=1).flatten(1).double()
    found = glyph_labels(2000)[torch.cdist(test, train).argmin(1)]
    assert (found == glyph_labels(300, seed=1)).double().mean() > 0.95
    assert set(glyph_labels(300).tolist()) == set(range(10))


def test_every_digit_has_its_own_place():
    x, axis = glyph_images(600).double(), torch.arange(8.0, dtype=torch.float64)
    ones = x[glyph_labels(600) == 1][:, 0]
    mass = ones.sum((1, 2))
    for side in (1, 2):                                      # centre of mass across and down, in pixels
        centre = (ones.sum(side) * axis).sum(1) / mass
        assert 0.1 < centre.std() < 0.6


def test_the_carpet_is_the_same_everywhere():
    x = texture_images(1600, levels=256).double()
    means = x.mean(0).flatten()
    error = x.flatten(1).std(0) / 10                         # 100 pictures of 16 patches: the pictures are what varies
    assert ((means - means.mean()).abs() < 4 * error).all()


@pytest.mark.parametrize(("call", "words"), [
    (lambda: glyph_images(-1), "n is -1"), (lambda: glyph_images(1, size=3), "size is 3"),
    (lambda: glyph_images(1, levels=1), "levels is 1"), (lambda: texture_images(1, size=129), "larger than the 128"),
    (lambda: texture_images(1, category="washer"), "is not a texture")])
def test_errors_say_what_was_found(call, words):
    with pytest.raises(ValueError, match=words):
        call()
