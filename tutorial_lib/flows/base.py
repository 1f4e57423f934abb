"""The one contract of this package, and how transforms are composed.

    z, log_det = transform(x, cond=None)          data to latent
    x, log_det = transform.inverse(z, cond=None)  latent to data; this log_det is minus the forward one

``log_det`` is ln |det dz/dx|, shape ``(B,)``, summed over every axis but the first. It is returned, never stored.

Where one sample is several maps (an image at three sizes), x and z are tuples of tensors with the same B in front. They
have one joint density, so there is still one log_det ``(B,)``: the sum over all entries of all maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

Maps = Tensor | tuple[Tensor, ...]


class Transform(nn.Module):
    """An invertible map. Subclasses define ``forward`` and ``inverse``; both return ``(output, log_det)``."""

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class Chain(Transform):
    """Transforms one after another. Their log-determinants add, because the determinant of a product is a product."""

    def __init__(self, *transforms: Transform):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def __len__(self) -> int:
        return len(self.transforms)

    def __getitem__(self, index: int | slice) -> Transform:
        """One transform, or for a slice the shorter chain (it shares its weights with this one)."""
        part = self.transforms[index]
        return Chain(*part) if isinstance(index, slice) else part

    def steps(self, x: Tensor, cond: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``(x, 0)`` and then, after each transform, the point reached and the log-det summed so far."""
        total = first(x).new_zeros(len(first(x)))
        yield x, total
        for transform in self.transforms:
            x, log_det = transform(x, cond)
            total = total + per_sample(log_det, x, transform)
            yield x, total

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        for z, log_det in self.steps(x, cond):  # noqa: B007  the last step is the answer
            pass
        return z, log_det

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = first(z).new_zeros(len(first(z)))
        for transform in reversed(self.transforms):
            z, log_det = transform.inverse(z, cond)
            total = total + per_sample(log_det, z, transform)
        return z, total


class Flow(Transform):
    """A transform and the standard normal density of its latent: log p(x) = log p(z) + log_det.

    Args:
        transform: maps data of shape ``(B, *shape)`` to a latent with the same number of values.
        shape: shape of one latent, without the batch axis; a tuple of shapes where it is several maps. Needed to draw
            samples.
    """

    def __init__(self, transform: Transform, shape: tuple[int, ...]):
        super().__init__()
        self.transform, self.shape = transform, tuple(shape)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform(x, cond)

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(z, cond)

    def log_prob(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """Log density of each sample, shape ``(B,)``, in nats."""
        z, log_det = self(x, cond)
        return standard_normal_log_prob(z) + per_sample(log_det, z, self.transform)

    def nll(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """Negative log-likelihood, mean over the batch, in nats per sample: the loss of maximum likelihood."""
        return -self.log_prob(x, cond).mean()

    @torch.no_grad()
    def sample(self, n: int, temperature: float = 1.0, cond: Tensor | None = None,
               generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples. ``temperature`` is the standard deviation of the latent; 0 gives one point n times.

        The latent is drawn on the CPU, so that one ``generator`` gives the same samples on every device.
        """
        weights = (w for w in (*self.parameters(), *self.buffers()) if w.is_floating_point())
        like = next(weights, torch.zeros(()))
        several = bool(self.shape) and not isinstance(self.shape[0], int)
        z = tuple(temperature * torch.randn(n, *shape, generator=generator, dtype=like.dtype).to(like.device)
                  for shape in (self.shape if several else [self.shape]))
        return self.inverse(z if several else z[0], cond)[0]


def first(x: Maps) -> Tensor:
    """``x`` itself, or the first of several maps: what gives the number of samples, the dtype and the device."""
    return x[0] if isinstance(x, tuple) else x


def standard_normal_log_prob(z: Maps) -> Tensor:
    """ln N(z; 0, I) of each sample: -(d/2) ln 2 pi - |z|^2 / 2, shape ``(B,)``, in nats. Several maps: their sum."""
    if isinstance(z, tuple):
        return sum(standard_normal_log_prob(part) for part in z)
    z = z.flatten(1)
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))


def per_sample(log_det: Tensor, like: Maps, source: nn.Module) -> Tensor:
    """Return ``log_det`` if it has shape ``(B,)``; a batch-summed log_det is the classic silent mistake."""
    if log_det.shape != first(like).shape[:1]:
        raise ValueError(f"{type(source).__name__} returned a log_det of shape {tuple(log_det.shape)}. Expected "
                         f"({len(first(like))},): one number per sample, summed over every axis but the first.")
    return log_det


def check_channels(x: Tensor, channels: int, source: nn.Module) -> None:
    """Raise unless ``x`` is (B, C) or (B, C, H, W) with C = ``channels``."""
    if x.dim() not in (2, 4) or x.shape[1] != channels:
        raise ValueError(f"{type(source).__name__} received a tensor of shape {tuple(x.shape)}. "
                         f"Expected (B, {channels}) or (B, {channels}, H, W): it was built for {channels} channels.")
