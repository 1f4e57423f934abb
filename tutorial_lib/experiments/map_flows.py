"""Chapter 11's experiment: what the flow adds on the same features, how a likelihood may be shared out over the places
of a map, and extractors compared behind one and the same flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.backbones import Backbone
from tutorial_lib.detectors import FastFlow
from tutorial_lib.detectors.fastflow_head import Head
from tutorial_lib.detectors.training import adam
from tutorial_lib.detectors.views import stream
from tutorial_lib.experiments import position_gaussian
from tutorial_lib.flows import AffineCoupling, Chain, Flow, Permutation

CHANNELS = 112  # of every extractor that is compared: as many as the one with the fewest has


def local_log_det(chain: Chain, x: Tensor) -> tuple[Tensor, Tensor]:
    """The latent ``(B, C, h, w)`` and, place by place, the log-factors that stretch the numbers there: ``(B, h, w)``.

    They sum to log_det. A coupling stretches number (c, p) by exp(s at (c, p)); all other parts of the chain stretch
    every place alike. It is one way to share log_det out, not the only one: s at p was made from p's neighbours.
    """
    local = x.new_zeros(len(x), *x.shape[2:])
    for part in chain:
        z, log_det = part(x)
        if isinstance(part, AffineCoupling):
            local = local + part.scale_shift(x[:, :part.split[0]], None)[0].sum(1)
        else:
            local = local + log_det[:, None, None] / local[0].numel()
        x = z
    return x, local


def enlarged(maps: Sequence[Tensor], size: int) -> Tensor:
    """Maps ``(B, h_i, w_i)`` of several taps, each enlarged to ``size``, averaged: ``(B, size, size)``."""
    return torch.stack([F.interpolate(m[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]
                        for m in maps]).mean(0)


@torch.no_grad()
def heat_maps(detector: FastFlow, images: Tensor) -> dict[str, Tensor]:
    """Three maps of one fitted flow, ``(B, S, S)`` each; images ``(B, 3, S, S)`` of the detector's own size.

        proxy     -exp(-mean_c z^2 / 2)                     the paper's
        squares   mean_c z^2 / 2                            the same exponent, not pressed through exp
        share     (sum_c z^2 / 2 - log_det at p) / C        what each place contributes to the NLL, per channel
    """
    found = {"proxy": [], "squares": [], "share": []}
    for batch in images.split(detector.settings.batch):
        per_tap = [local_log_det(head.flow.transform, head.norm(f))
                   for head, f in zip(detector.heads, detector.maps(batch), strict=True)]
        squares = [z.square().mean(1) / 2 for z, _ in per_tap]
        share = [q - local / z.shape[1] for q, (z, local) in zip(squares, per_tap, strict=True)]
        for name, maps in (("proxy", [-torch.exp(-q) for q in squares]), ("squares", squares), ("share", share)):
            found[name].append(enlarged(maps, batch.shape[-1]))
    return {name: torch.cat(parts) for name, parts in found.items()}


@torch.no_grad()
def position_gaussian_map(detector: FastFlow, train: Tensor, images: Tensor) -> Tensor:
    """The map of the same features with one Gaussian per place instead of the flow, and the same rule: (B, S, S)."""
    def taps(x: Tensor) -> list[Tensor]:
        parts = [detector.maps(batch) for batch in x.split(detector.settings.batch)]
        return [torch.cat(same) for same in zip(*parts, strict=True)]

    distances = [position_gaussian.distance_map(f, *position_gaussian.fit(normal))
                 for f, normal in zip(taps(images), taps(train), strict=True)]
    return enlarged([-torch.exp(-d / 2) for d in distances], images.shape[-1])


class Thinned(Backbone):
    """A backbone of which one tap is read, and of that tap ``CHANNELS`` channels, drawn from a seed."""

    MEAN, STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # the one inside normalises

    def __init__(self, backbone: Backbone, seed: int = 0, channels: int = CHANNELS):
        (name, tap), = backbone.taps.items()
        self.ALL_TAPS = {name: replace(tap, channels=channels)}
        self.DEFAULT_TAPS = (name,)
        self.MIN_SIZE = backbone.MIN_SIZE
        super().__init__()
        self.inner, self.label, self.settings = backbone, backbone.label, backbone.settings
        kept = torch.randperm(tap.channels, generator=stream(seed, 11))[:channels]
        self.register_buffer("kept", kept.sort().values, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(m[:, self.kept] for m in self.inner(images))


@dataclass(frozen=True)
class ShortRun:
    """A short training of one flow: its head, and nats per number of the map at each step and on held-out maps."""

    head: Head
    loss: list[float]    # what is minimised
    honest: list[float]  # with the volume of the norm's learned scale counted as well
    held_out: float      # honest, on maps that were not trained on


def short_run(features: Tensor, held_out: Tensor, steps: int = 120, permute: bool = True, **changed) -> ShortRun:
    """Train one small flow on maps ``(N, C, h, w)`` of one tap, for a look at what goes wrong.

    The scale of a learned LayerNorm stretches every number of the map by a gamma of its own. It is part of the map from
    features to z, so ln|gamma| belongs to the log_det; the public code leaves it out.

    Args:
        permute: False takes the permutations out. changed: settings of FastFlow.
    """
    detector = FastFlow.small(progress=False, **{"blocks": 2} | changed)
    s = detector.settings
    head = detector.build_heads([features.shape[1:]])[0]
    if not permute:
        head.flow = Flow(Chain(*[p for p in head.flow.transform if not isinstance(p, Permutation)]), head.flow.shape)
    head.prepare(features)
    optimiser, per_number, loss, honest = adam(head.parameters(), lr=s.lr), features[0].numel(), [], []

    def nats(f: Tensor) -> tuple[Tensor, float]:
        volume = 0.0 if s.norm != "learned" else float(head.norm.weight.detach().abs().log().sum())
        return FastFlow.loss(*head(f)).mean() / per_number, volume / per_number

    for step in range(steps):
        chosen = torch.randperm(len(features), generator=stream(s.seed, 12, step))[:s.images_per_step]
        value, volume = nats(features[chosen])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        loss.append(float(value.detach()))
        honest.append(loss[-1] - volume)
    with torch.no_grad():
        value, volume = nats(held_out)
    return ShortRun(head, loss, honest, float(value) - volume)


def untouched(chain: Chain, channels: int) -> int:
    """How many of the channels of z no coupling of the chain has changed: they came through by luck or by design."""
    touched = torch.zeros(channels, dtype=torch.bool)
    for part in chain:
        if isinstance(part, AffineCoupling):
            touched[part.split[0]:] = True
        elif isinstance(part, Permutation):
            touched = touched[part.index]
    return int((~touched).sum())
