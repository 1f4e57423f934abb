"""What PyramidFlow computes on one batch: stem, pyramid, flow, and the way back to pixels as far as there is one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.flows.levels import Levels
from tutorial_lib.flows.mixing import mix
from tutorial_lib.flows.pyramid import laplacian_join, laplacian_split, level_sizes
from tutorial_lib.flows.pyramid_stacks import pyramid_stacks
from tutorial_lib.flows.reversible import reversible
from tutorial_lib.flows.volume import ChannelVolumeNorm, NoVolumeNorm, SpatialVolumeNorm

from .pyramidflow_settings import DOWNS, PyramidFlowSettings, check_side

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as in the released code


class Stem(nn.Module):
    """Three colours to C channels by a fixed matrix W (C, 3) with W^T W = I, drawn once and never trained.

    It is not square: ``back`` is exact on what ``forward`` gives, and least squares on anything else.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("weight", nn.init.orthogonal_(torch.empty(channels, 3)))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(B, 3, H, W)`` in [0, 1] to ``(B, C, H, W)``."""
        return mix(self.weight, (images - self.mean) / self.std)

    def back(self, maps: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to the images ``(B, 3, H, W)`` whose maps come closest; may leave [0, 1]."""
        return mix(self.weight.T, maps) * self.std + self.mean


class PyramidModel(nn.Module):
    """Stem (none behind a backbone), pyramid and flow; untrained, drawn from the global generator and ``seed``.

    Args:
        settings: of the detector.
        channels, side: of the map that the pyramid is built on.
    """

    def __init__(self, settings: PyramidFlowSettings, channels: int, side: int, seed: int):
        super().__init__()
        check_side("size" if settings.backbone is None else "the side of the backbone's map", side, settings.levels)
        self.settings = settings
        self.stem = Stem(channels) if settings.backbone is None else None
        sizes = level_sizes(side, side, settings.levels)
        norms = {"channel": lambda level: ChannelVolumeNorm(sizes[level], settings.momentum),
                 "spatial": lambda level: SpatialVolumeNorm(channels, settings.momentum),
                 "none": lambda level: NoVolumeNorm()}
        self.flow = pyramid_stacks(settings.levels, channels, norms[settings.norm], settings.stacks, settings.kernel,
                                   seed)

    def pyramid(self, maps: Tensor) -> Levels:
        """Maps ``(B, C, S, S)`` to L levels ``(B, C, S / 2^l, S / 2^l)``, finest first."""
        return laplacian_split(maps, self.settings.levels, DOWNS[self.settings.down])

    def forward(self, maps: Tensor) -> Levels:
        """Maps ``(B, C, S, S)`` to latents, one for each level and of its shape."""
        levels = self.pyramid(maps)
        if self.training and self.settings.reversible:
            return reversible(self.flow, levels)
        return self.flow(levels)[0]

    def back(self, latents: Levels) -> Tensor:
        """Latents to maps ``(B, C, S, S)``: exact for the latents of a map, else the map of the levels they mean."""
        return laplacian_join(self.flow.inverse(latents)[0])
