"""Is a latent what the theory promises, N(0, I)? Four looks that each end in a number.

All functions take a latent z of one scale: ``(N, C, h, w)``, ``(N, T, D)`` or ``(N, D)``, in the rows of the images to
be looked at.
"""

from __future__ import annotations

import math

import torch
from scipy import stats
from torch import Tensor


def rows_of(z: Tensor) -> Tensor:
    """One vector per position or view: ``(M, C)``, image by image."""
    if z.ndim == 4:
        return z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
    return z.reshape(-1, z.shape[-1])


def moments(z: Tensor) -> dict[str, float]:
    """Mean, standard deviation, excess kurtosis and the share beyond ±3 of all entries. N(0, 1): 0, 1, 0, 0.0027."""
    v = z.double().flatten()
    centred = v - v.mean()
    variance = centred.square().mean()
    return {"mean": float(v.mean()), "std": float(variance.sqrt()),
            "kurtosis": float(centred.pow(4).mean() / variance.square() - 3),
            "beyond 3": float((v.abs() > 3).double().mean())}


def levels(points: int) -> Tensor:
    """Probabilities (k + ½) / points: where quantiles are compared."""
    return (torch.arange(points, dtype=torch.float64) + 0.5) / points


def qq_normal(z: Tensor, points: int = 400) -> tuple[Tensor, Tensor]:
    """Quantiles of N(0, 1) and of all entries of z, ``(points,)`` each: on the diagonal if z is standard normal."""
    p = levels(points)
    return torch.distributions.Normal(0.0, 1.0).icdf(p), _quantiles(z.double().flatten(), p)


def squared_norms(z: Tensor) -> tuple[Tensor, int]:
    """‖z‖² of each vector, ``(M,)``, and its number of entries D. For z ~ N(0, I) it is chi² with D degrees."""
    v = rows_of(z).double()
    return v.square().sum(1), v.shape[1]


def qq_chi2(z: Tensor, points: int = 400) -> tuple[Tensor, Tensor]:
    """Quantiles of chi² with D degrees and of ‖z‖², both divided by D, ``(points,)`` each."""
    found, dim = squared_norms(z)
    p = levels(points)
    return torch.from_numpy(stats.chi2.ppf(p.numpy(), dim)) / dim, _quantiles(found, p) / dim


def chi2_distance(z: Tensor) -> float:
    """Largest difference between the two distribution functions (Kolmogorov and Smirnov), from 0 (a fit) to 1."""
    found, dim = squared_norms(z)
    return float(stats.kstest(found.numpy(), stats.chi2(dim).cdf).statistic)


def chi2_tail(z: Tensor, share: float = 0.01) -> float:
    """The share of vectors whose ‖z‖² lies above the point that chi² exceeds with probability ``share``."""
    found, dim = squared_norms(z)
    return float((found > stats.chi2(dim).isf(share)).double().mean())


def correlation(z: Tensor) -> Tensor:
    """Correlations between the entries of a vector, ``(C, C)``, over images and positions. N(0, I): the identity.

    Entries that never vary have correlation 0 with all others.
    """
    v = rows_of(z).double()
    v = v - v.mean(0)
    std = v.square().mean(0).sqrt()
    v = v / torch.where(std > 0, std, torch.ones_like(std))
    return (v.T @ v / len(v)).fill_diagonal_(1.0)


def leftover(z: Tensor) -> dict[str, float]:
    """Mean absolute correlation between different entries, and what independent entries would show by chance.

    With M independent samples a correlation scatters with deviation 1/√M, so its absolute value has mean √(2/π)/√M.
    Positions of one image are not independent: ``chance`` counts images, which is the cautious choice.
    """
    r = correlation(z)
    off = ~torch.eye(len(r), dtype=torch.bool)
    return {"mean |r|": float(r[off].abs().mean()), "largest |r|": float(r[off].abs().max()),
            "chance": math.sqrt(2 / math.pi / max(2, len(z)))}


def neighbours(z: Tensor) -> float | None:
    """Correlation between a position and the one to its right, averaged over channels. N(0, I): 0. None for vectors."""
    if z.ndim != 4 or z.shape[3] < 2:
        return None
    left, right = (part.double().transpose(0, 1).flatten(1) for part in (z[..., :-1], z[..., 1:]))  # (C, N h (w-1))
    left, right = left - left.mean(1, keepdim=True), right - right.mean(1, keepdim=True)
    scale = left.norm(dim=1) * right.norm(dim=1)
    return float(((left * right).sum(1)[scale > 0] / scale[scale > 0]).mean())


def _quantiles(v: Tensor, p: Tensor) -> Tensor:
    """Empirical quantiles by linear interpolation; ``torch.quantile`` refuses more than 16 million entries."""
    v = v.sort().values
    at = p * (len(v) - 1)
    low = at.floor().long()
    high = (low + 1).clamp(max=len(v) - 1)
    return v[low] + (at - low) * (v[high] - v[low])
