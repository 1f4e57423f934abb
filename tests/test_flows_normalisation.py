"""Whitening (closed form) and ActNorm (start from the first batch)."""

import pytest
import torch

from tutorial_lib import flows


def cloud(n=400, dim=3, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=g, dtype=dtype) @ torch.randn(dim, dim, generator=g, dtype=dtype) + 5


def maps(seed=0):
    return cloud(4 * 6, 3, seed).view(4, 2, 3, 3).permute(0, 3, 1, 2)                        # (4, 3, 2, 3)


def test_whitening_is_the_gaussian_of_the_library():
    x = cloud()
    layer = flows.Whitening(3).double().fit(x, eps=0)
    covariance = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
    expected = torch.distributions.MultivariateNormal(x.mean(0), covariance).log_prob(x)
    torch.testing.assert_close(flows.Flow(layer, (3,)).log_prob(x), expected)


@pytest.mark.parametrize("x", [cloud(), maps()], ids=["vectors", "maps"])
def test_whitened_channels_have_mean_0_and_covariance_1(x):
    z = flows.Whitening(3).double().fit(x, eps=0)(x)[0].movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(3).double(), rtol=0, atol=1e-10)


def test_no_other_affine_map_is_likelier():
    x = cloud()
    layer = flows.Whitening(3).double().fit(x, eps=0)
    best = flows.Flow(layer, (3,)).nll(x)
    for step in (-0.05, 0.05):
        for i, j in ((0, 0), (1, 0), (2, 1), (2, 2)):
            layer.L[i, j] += step
            assert flows.Flow(layer, (3,)).nll(x) > best
            layer.L[i, j] -= step


def test_ridge_is_relative_to_the_spread_and_allows_fewer_samples_than_channels():
    x = cloud(5, 12)
    layer = flows.Whitening(12).double().fit(x, eps=1e-2)
    larger = flows.Whitening(12).double().fit(1000 * x, eps=1e-2)
    torch.testing.assert_close(larger.L, 1000 * layer.L)
    z = layer(x)[0]
    torch.testing.assert_close(layer.inverse(z)[0], x)


@pytest.mark.parametrize(("x", "message"), [
    (torch.zeros(0, 3), "no samples"), (torch.full((4, 3), torch.nan), "4 of 4 samples hold NaN"),
    (torch.ones(4, 3), "all 4 samples are equal"), (torch.ones(1, 3), "all 1 samples are equal"),
    (torch.ones(4, 2), r"Expected \(B, 3\)")])
def test_whitening_says_what_is_wrong_and_stays_as_it_was(x, message):
    layer = flows.Whitening(3)
    with pytest.raises(ValueError, match=message):
        layer.fit(x)
    assert torch.equal(layer.L, torch.eye(3))


def test_whitening_without_ridge_names_the_missing_rank():
    with pytest.raises(ValueError, match="no Cholesky factor"):
        flows.Whitening(12).fit(cloud(5, 12), eps=0)


@pytest.mark.parametrize("x", [cloud(), maps()], ids=["vectors", "maps"])
def test_first_training_batch_sets_mean_0_and_variance_1(x):
    layer = flows.ActNorm(3).double()
    z = layer(x)[0].movedim(1, -1).reshape(-1, 3)
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), rtol=0, atol=1e-10)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(3).double())
    assert layer.initialised


def test_only_the_first_training_batch_counts_and_the_flag_is_saved():
    layer, x = flows.ActNorm(3).double(), cloud()
    layer.eval()(x)
    assert not layer.initialised
    layer.train()(x)
    start = layer.log_s.clone()
    layer(10 * x)
    assert torch.equal(layer.log_s, start)
    other = flows.ActNorm(3).double()
    other.load_state_dict(layer.state_dict())
    other(10 * x)
    assert torch.equal(other.log_s, start)


def test_first_training_batch_couples_its_samples_and_later_ones_do_not():
    """The joint Jacobian of the batch, by finite differences: entry (sample 0 of z, sample 1 of x)."""
    x, h = cloud(6), 1e-6
    moved = x.clone()
    moved[1, 0] += h

    def influence(z_of):
        return float((z_of(moved)[0] - z_of(x)[0]).detach().abs().max()) / h

    fresh = influence(lambda batch: flows.ActNorm(3).double()(batch)[0])
    layer = flows.ActNorm(3).double()
    layer.initialise(x)
    assert fresh > 1e-3
    assert influence(lambda batch: layer(batch)[0]) == 0


def test_a_constant_channel_is_shifted_and_not_scaled():
    x = cloud()
    x[:, 1] = 0.1 + 1e-9 * x[:, 1]                                            # constant up to rounding noise
    layer = flows.ActNorm(3).double()
    z, log_det = layer(x)
    assert layer.log_s[1] == 0
    assert z[:, 1].abs().max() < 1e-7
    assert log_det.isfinite().all()


@pytest.mark.parametrize("x", [torch.full((2, 3), torch.nan), torch.zeros(0, 3)])
def test_actnorm_refuses_to_start_from_unusable_data(x):
    layer = flows.ActNorm(3)
    with pytest.raises(ValueError, match=r"ActNorm\.initialise received"):
        layer(x)
    assert not layer.initialised
