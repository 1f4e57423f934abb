"""The point clouds of the plane: shape, repeatability, and the numbers their docstrings promise."""

import numpy as np
import pytest
import torch

from tutorial_lib.data import toys

CLOUDS = {"two_moons": toys.two_moons, "two_islands": toys.two_islands, "ring": toys.ring,
          "tilted_gaussian": toys.tilted_gaussian}
N = 20_000


@pytest.mark.parametrize("draw", CLOUDS.values(), ids=CLOUDS)
def test_a_cloud_is_float32_points_of_the_plane(draw):
    for n in (0, 1, 7):
        points = draw(n)
        assert points.shape == (n, 2) and points.dtype == torch.float32 and torch.isfinite(points).all()


@pytest.mark.parametrize("draw", CLOUDS.values(), ids=CLOUDS)
def test_the_seed_decides_and_the_global_generators_are_left_alone(draw):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = draw(50, seed=3)
    assert torch.equal(first, draw(50, seed=3)) and not torch.equal(first, draw(50, seed=4))
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()


def test_moons_without_noise_are_two_half_circles_around_the_origin():
    points = toys.two_moons(N, noise=0.0)
    upper = (points - torch.tensor([-0.5, -0.25])).norm(dim=1)
    lower = (points - torch.tensor([0.5, 0.25])).norm(dim=1)
    assert torch.minimum((upper - 1).abs(), (lower - 1).abs()).max() < 1e-5
    assert ((upper - 1).abs() < 1e-5).float().mean() == pytest.approx(0.5, abs=0.02)   # 0.02 is 5.7 deviations
    assert points.mean(0).abs().max() < 0.03


def test_islands_have_their_centres_and_nothing_between():
    points = toys.two_islands(N)
    right = points[:, 0] > 0
    for centre, island in zip(toys.ISLAND_CENTRES, (points[~right], points[right]), strict=True):
        assert torch.allclose(island.mean(0), torch.tensor(centre), atol=5 * toys.ISLAND_STD / (N / 2) ** 0.5)
        assert torch.allclose(island.std(0), torch.tensor(toys.ISLAND_STD), atol=0.02)
    assert (points[:, 0].abs() < 0.3).sum() <= 5   # 4 deviations from either centre: 0.6 points expected of 20,000


def test_ring_has_its_radius_width_and_a_hole():
    points = toys.ring(N, radius=1.5, noise=0.12)
    distance = points.norm(dim=1)
    assert distance.mean() == pytest.approx(1.5, abs=0.01) and distance.std() == pytest.approx(0.12, abs=0.01)
    assert distance.min() > 0.8
    assert points.mean(0).abs().max() < 0.05


def test_tilted_gaussian_has_its_mean_and_covariance():
    points = toys.tilted_gaussian(N).double()
    assert torch.allclose(points.mean(0), torch.tensor(toys.TILTED_MEAN).double(), atol=0.04)
    assert torch.allclose(points.T.cov(), torch.tensor(toys.TILTED_COVARIANCE).double(), atol=0.06)
