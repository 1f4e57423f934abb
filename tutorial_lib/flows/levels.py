"""Couplings between the levels of a pyramid: neighbours pass, and decide how one level is stretched and moved.

    z_k = x_k * exp(s) + t,  (s, t) from the levels beside k        all other levels pass;  log_det = sum of s

The usual coupling splits channels. Here the split is there already: the levels themselves. x and z are tuples of maps
``(B, C, H / 2^l, W / 2^l)``, finest first. PyramidFlow (2023, arXiv 2303.02595).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.flows.base import Transform
from tutorial_lib.flows.clamps import Atan0636Clamp

Levels = tuple[Tensor, ...]

CLAMP = Atan0636Clamp(2.0)  # |s| < 1.998 before its mean is taken away


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Values repeated, or every second one taken: ``(B, C, h, w)`` to ``(B, C, *size)``."""
    return x if tuple(x.shape[2:]) == tuple(size) else F.interpolate(x, size=tuple(size), mode="nearest")


def level_net(c_in: int, channels: int, kernel: int = 7) -> nn.Sequential:
    """Two convolutions without bias, LeakyReLU(0.01) between, the last one zero: ``c_in`` to 2 * ``channels`` maps."""
    width = 2 * channels
    last = nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Conv2d(c_in, width, kernel, padding=kernel // 2, bias=False), nn.LeakyReLU(0.01), last)


class LevelCoupling(Transform):
    """Change one level by its neighbours, which are brought to its size first (nearest values).

    In training mode the log-scales depend on the whole batch through ``norm``: see ``flows.volume``. Then ``log_det``
    is each sample's share of the joint log-determinant of the batch.

    Args:
        level: index of the level that changes, 0 = finest.
        reads: indices of the levels that are read: (1,) for the finest one (paper: "up" block), (k - 1, k + 1) for one
            between two others ("dual" block).
        channels: C of every level.
        norm: of the log-scales: a ``SpatialVolumeNorm`` or ``ChannelVolumeNorm`` of the size of the level.
        kernel: odd side of the windows of the s/t network.

    Raises:
        ValueError: a level that reads itself, an even kernel, or an input without these levels and channels.
    """

    def __init__(self, level: int, reads: tuple[int, ...], channels: int, norm: nn.Module, kernel: int = 7):
        super().__init__()
        if level in reads or not reads:
            raise ValueError(f"LevelCoupling(level={level}, reads={reads}): a level is changed by others, never by "
                             "itself. Give the indices of its neighbours.")
        if kernel % 2 == 0:
            raise ValueError(f"LevelCoupling(kernel={kernel}): an even window has no centre cell. Use 1, 3, 5, 7.")
        self.level, self.reads, self.channels, self.norm = level, tuple(reads), channels, norm
        self.net = level_net(len(reads) * channels, channels, kernel)

    def forward(self, x: Levels, cond: None = None) -> tuple[Levels, Tensor]:
        s, t = self.scale_shift(x, track=self.training)                      # (B, C, h, w) each, the size of x_k
        return self._replace(x, x[self.level] * s.exp() + t), _sum(s)

    def inverse(self, z: Levels, cond: None = None) -> tuple[Levels, Tensor]:
        s, t = self.scale_shift(z)                                           # the levels it reads have not changed
        return self._replace(z, (z[self.level] - t) * (-s).exp()), -_sum(s)

    def scale_shift(self, x: Levels, track: bool = False) -> tuple[Tensor, Tensor]:
        """Log-scale and shift for the changed level, ``(B, C, h, w)`` each; ``track`` moves the running mean of s."""
        self._check(x)
        size = x[self.level].shape[2:]
        s, t = self.net(torch.cat([nearest(x[k], size) for k in self.reads], dim=1)).chunk(2, dim=1)
        return self._normalised(s, track), t

    def _normalised(self, s: Tensor, track: bool) -> Tensor:
        s = CLAMP(s)
        normalised = self.norm(s)
        if track:
            self.norm.track(s)
        return normalised

    def _replace(self, x: Levels, changed: Tensor) -> Levels:
        return *x[:self.level], changed, *x[self.level + 1:]

    def _check(self, x: Levels) -> None:
        need = max(self.level, *self.reads)
        if not isinstance(x, tuple) or len(x) <= need or any(part.shape[1] != self.channels for part in x):
            found = [tuple(part.shape) for part in x] if isinstance(x, tuple) else f"one {type(x).__name__}"
            raise ValueError(f"{type(self).__name__} of level {self.level} received {found}. Expected a tuple of at "
                             f"least {need + 1} maps (B, {self.channels}, h, w), finest first: see laplacian_split.")


class DownCoupling(LevelCoupling):
    """Change the coarsest level by the next finer one, read at the finer size: s and t are thinned out afterwards.

    ``norm`` acts before the thinning, at the finer size. So with a ``SpatialVolumeNorm`` the sum of the log-scales that
    are used is not exactly 0: every second one is left out. With a ``ChannelVolumeNorm`` it is 0 at every position.
    """

    def __init__(self, level: int, channels: int, norm: nn.Module, kernel: int = 7):
        super().__init__(level, (level - 1,), channels, norm, kernel)

    def scale_shift(self, x: Levels, track: bool = False) -> tuple[Tensor, Tensor]:
        self._check(x)
        size = x[self.level].shape[2:]
        s, t = self.net(x[self.level - 1]).chunk(2, dim=1)                   # (B, C, 2h, 2w) each
        return nearest(self._normalised(s, track), size), nearest(t, size)


class OnLevel(Transform):
    """Apply a transform of single maps to one level; the others pass."""

    def __init__(self, level: int, transform: Transform):
        super().__init__()
        self.level, self.transform = level, transform

    def forward(self, x: Levels, cond: None = None) -> tuple[Levels, Tensor]:
        changed, log_det = self.transform(x[self.level])
        return (*x[:self.level], changed, *x[self.level + 1:]), log_det

    def inverse(self, z: Levels, cond: None = None) -> tuple[Levels, Tensor]:
        changed, log_det = self.transform.inverse(z[self.level])
        return (*z[:self.level], changed, *z[self.level + 1:]), log_det


def _sum(s: Tensor) -> Tensor:
    return s.flatten(1).sum(1)                                               # (B, C, h, w) -> (B,)
