"""Coupling of several maps at once: one sample is a tuple of maps, each half the side of the one before.

    z1_k = x1_k * exp(c(s_k)) + t_k      (s, t) of all scales k from the OTHER half of all scales, then the same again
    log_det = sum of c(s_k) over scales, channels and positions          one joint density, so one sum, never a mean

The scales may look at each other as they like: s and t only read the half that passes, so nothing stands in the way of
the inverse. Cross-scale coupling after CS-Flow (2022, arXiv 2110.02855).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tutorial_lib.flows.base import Transform, per_sample
from tutorial_lib.flows.coupling import Clamp, halves
from tutorial_lib.flows.subnets import SubnetMaker

Scales = tuple[Tensor, ...]


class EachScale(Transform):
    """One transform per scale, none of which sees the other scales; their log_dets add.

    Args:
        transforms: one for each map, the largest map first.

    Raises:
        ValueError: x is no tuple, or one of another length.
    """

    def __init__(self, *transforms: Transform):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, x: Scales, cond: Tensor | None = None) -> tuple[Scales, Tensor]:
        return self._through([part.forward for part in self.transforms], x, cond)

    def inverse(self, z: Scales, cond: Tensor | None = None) -> tuple[Scales, Tensor]:
        return self._through([part.inverse for part in self.transforms], z, cond)

    def _through(self, functions, x: Scales, cond: Tensor | None) -> tuple[Scales, Tensor]:
        check_scales(x, len(self.transforms), self)
        found = [function(part, cond) for function, part in zip(functions, x, strict=True)]
        log_dets = [per_sample(log_det, x, part) for (_, log_det), part in zip(found, self.transforms, strict=True)]
        return tuple(z for z, _ in found), sum(log_dets)


class CrossScaleCoupling(Transform):
    """Two-sided affine coupling of a tuple of maps: all first halves change first, then all second halves.

        y1_k = x1_k * exp(c(s_k)) + t_k      (s, t) = a(x2_0, x2_1, ...)
        y2_k = x2_k * exp(c(s_k)) + t_k      (s, t) = b(y1_0, y1_1, ...)

    Args:
        dim: channels C of every map ``(B, C, h_k, w_k)``, at least 2.
        subnet: maker ``(c_in, c_out) -> Module`` of a network from a tuple of maps to a tuple of maps of the same
            heights and widths, s first, then t; see :func:`cross_scale`.
        clamp: bounds the log-scale; see ``flows.clamps``.

    Raises:
        ValueError: ``dim`` below 2, x is no tuple of maps with ``dim`` channels, or the network returns other shapes.
    """

    def __init__(self, dim: int, subnet: SubnetMaker, clamp: Clamp):
        super().__init__()
        self.dim, self.clamp, self.split = dim, clamp, halves(dim, self)
        n1, n2 = self.split
        self.a = subnet(n2, 2 * n1)                                       # reads all x2, changes all x1
        self.b = subnet(n1, 2 * n2)                                       # reads all y1, changes all x2

    def forward(self, x: Scales, cond: Tensor | None = None) -> tuple[Scales, Tensor]:
        x1, x2 = self._halves(x)
        s_a, t_a = self._scale_shift(self.a, x2, self.split[0])
        y1 = stretch(x1, s_a, t_a)
        s_b, t_b = self._scale_shift(self.b, y1, self.split[1])
        y2 = stretch(x2, s_b, t_b)
        return _join(y1, y2), sum_log_det(s_a) + sum_log_det(s_b)

    def inverse(self, z: Scales, cond: Tensor | None = None) -> tuple[Scales, Tensor]:
        y1, y2 = self._halves(z)
        s_b, t_b = self._scale_shift(self.b, y1, self.split[1])           # what changed last is undone first
        x2 = unstretch(y2, s_b, t_b)
        s_a, t_a = self._scale_shift(self.a, x2, self.split[0])           # s and t from ONE network
        x1 = unstretch(y1, s_a, t_a)
        return _join(x1, x2), -sum_log_det(s_a) - sum_log_det(s_b)

    def _halves(self, x: Scales) -> tuple[Scales, Scales]:
        check_scales(x, None, self)
        for k, part in enumerate(x):
            if part.dim() != 4 or part.shape[1] != self.dim or len(part) != len(x[0]):
                raise ValueError(f"CrossScaleCoupling received {tuple(part.shape)} at scale {k}. Expected "
                                 f"({len(x[0])}, {self.dim}, h, w): every scale has the same images and channels.")
        first, second = zip(*(part.split(self.split, dim=1) for part in x), strict=True)
        return first, second

    def _scale_shift(self, net: nn.Module, x: Scales, c_out: int) -> tuple[Scales, Scales]:
        out = net(x)
        for k, (found, part) in enumerate(zip(out, x, strict=True)):
            expected = (len(part), 2 * c_out, *part.shape[2:])
            if found.shape != expected:
                raise ValueError(f"The subnet returned {tuple(found.shape)} at scale {k}. Expected {expected}: s and t "
                                 f"for {c_out} channels, at the height and width it was given.")
        s, t = zip(*(part.chunk(2, dim=1) for part in out), strict=True)  # (B, c_out, h_k, w_k) each
        return tuple(self.clamp(part) for part in s), t


def stretch(x: Scales, s: Scales, t: Scales) -> Scales:
    """x_k * exp(s_k) + t_k at every scale."""
    return tuple(u * a.exp() + b for u, a, b in zip(x, s, t, strict=True))


def unstretch(y: Scales, s: Scales, t: Scales) -> Scales:
    """(y_k - t_k) * exp(-s_k) at every scale: undoes :func:`stretch`."""
    return tuple((u - b) * (-a).exp() for u, a, b in zip(y, s, t, strict=True))


def sum_log_det(s: Scales) -> Tensor:
    """The log_det ``(B,)`` of an affine step with log-scales ``s``: all their entries, at all scales, added up."""
    return sum(part.flatten(1).sum(1) for part in s)


def check_scales(x: Scales, scales: int | None, source: nn.Module) -> None:
    """Raise unless ``x`` is a tuple of tensors, of length ``scales`` if that is given."""
    if not isinstance(x, tuple) or not x or (scales is not None and len(x) != scales):
        found = f"{len(x)} maps" if isinstance(x, tuple) else f"a {type(x).__name__}"
        raise ValueError(f"{type(source).__name__} received {found}. Expected a tuple of "
                         f"{'maps' if scales is None else f'{scales} maps'}, the largest first.")


def _join(first: Scales, second: Scales) -> Scales:
    return tuple(torch.cat(pair, dim=1) for pair in zip(first, second, strict=True))
