"""Chapter 12 on volume: a flow small enough for a joint Jacobian, and a training with its log_det in view."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tutorial_lib.detectors.pyramidflow import PyramidFlow
from tutorial_lib.detectors.training import adam
from tutorial_lib.flows.base import Chain
from tutorial_lib.flows.levels import Levels
from tutorial_lib.flows.pyramid import level_sizes
from tutorial_lib.flows.pyramid_stacks import pyramid_stacks
from tutorial_lib.flows.volume import ChannelVolumeNorm, SpatialVolumeNorm

CHANNELS, SIDE, LEVELS = 2, 4, 2


def tiny_flow(norm: str, seed: int = 0) -> Chain:
    """Two rounds of couplings between maps ``(2, 4, 4)`` and ``(2, 2, 2)``, weights away from their start, float64."""
    sizes = level_sizes(SIDE, SIDE, LEVELS)
    kinds = {"channel": lambda level: ChannelVolumeNorm(sizes[level]), "spatial": lambda _: SpatialVolumeNorm(CHANNELS)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = pyramid_stacks(LEVELS, CHANNELS, kinds[norm], stacks=2, kernel=3, seed=seed).double()
        with torch.no_grad():
            for weights in flow.parameters():
                weights.add_(0.2 * torch.randn_like(weights))
    return flow


def tiny_batch(n: int = 3, seed: int = 1) -> Levels:
    """``n`` pyramids of two levels, standard normal numbers: 40 each."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, CHANNELS, side, side, generator=generator, dtype=torch.float64)
                 for side, _ in level_sizes(SIDE, SIDE, LEVELS))


def joint_log_det(flow: Chain, x: Levels) -> float:
    """ln|det| of all numbers of a batch out by all numbers of the batch in: one square matrix for everything."""
    def outputs(*levels: Tensor) -> Tensor:
        return torch.cat([z.flatten() for z in flow(levels)[0]])

    columns = torch.autograd.functional.jacobian(outputs, x)
    return float(torch.linalg.slogdet(torch.cat([part.flatten(1) for part in columns], dim=1)).logabsdet)


def trained_in_view(images: Tensor, norm: str, steps: int, seed: int = 0, **settings) -> Iterator[tuple[float, float]]:
    """Train a fresh PyramidFlow on ``images``; yield its loss and its log_det per number of the batch, step by step."""
    detector = PyramidFlow.small(norm=norm, seed=seed, progress=False, **settings)
    model, generator = detector.build_model().train(), torch.Generator().manual_seed(seed)
    s = detector.settings
    optimiser = adam(model.parameters(), lr=s.lr, betas=s.betas, eps=s.eps, weight_decay=s.weight_decay)
    for _ in range(steps):
        batch = images[torch.randperm(len(images), generator=generator)[:s.images_per_step]]
        z, log_det = model.flow(model.pyramid(detector.features(model, batch)))
        loss = detector.loss(z)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), s.clip)
        optimiser.step()
        yield float(loss.detach()), float(log_det.detach().sum()) / sum(level.numel() for level in z)
