"""FastFlow (Yu et al. 2021, arXiv 2111.07677): a flow on whole feature maps, with convolutions inside its couplings.

    image -> frozen backbone -> one map per tap, f (C, h, w)
    f -> K x (coupling with a 2-D subnet, channel scale, fixed permutation) -> z (C, h, w)       one flow per tap
    loss  = sum over taps of (|z|^2 / 2 - log_det)                        per image, mean over the batch
    map   = mean over taps of -exp(-mean_c z^2 / 2), enlarged to S x S    between -1 (normal) and 0
    score = maximum of the map

The authors released no code. Numbers are those that the reimplementation github.com/gathierry/FastFlow (below "the
code") ascribes to the paper. What is open between paper, code and anomalib's port of it, and the choice made here:

- ``norm``: the code puts a LayerNorm over (C, h, w) in front of each flow, with a learned scale and shift per element
  (``"learned"``). The paper has none, and that scale is outside the likelihood: shrinking it lowers the loss for
  nothing. Default of ``paper``: ``"none"``. ``"plain"`` is the same without learned numbers. The last norm of a
  vision transformer belongs to our taps, as in the code.
- ``coupling``: in the paper's words a step changes both halves; only one half a step gives about its parameter counts,
  and so does the code. Default: ``"one-sided"``. ``"two-sided"`` follows the words.
- ``kernels``: (3, 1) means 3 x 3 and 1 x 1 in turn. For resnet18 the paper lists both, the code takes (3,), anomalib
  (3, 1). Default of ``paper``: (3,) for resnet18, (3, 1) for the others.
- ``clamp_gain``: s = alpha tanh(gain a). The code's version of FrEIA has gain 1 (default); since 2023 it is 1 / alpha.
- Image score: the paper's rule is not known to us and the code computes none; its author recommends the maximum of the
  map, and anomalib takes it.
- Test images stop no training here: the code reports the best of 500 epochs *on the test set* beside the last.

What ``small`` changes: the embedded backbone at 64 px; the affine flow in front (``whiten``: one covariance for all
positions of a tap) and couplings that begin as the identity (``zero_init``), so that step 0 ranks by the plain squared
Mahalanobis distance at each position; 4 blocks of half the width, all 3 x 3; 325 steps of 16 images.
Frozen features are computed once per fit and kept in memory (4 bytes a number: 1.8 MB an image with resnet18 at 256 px,
7.3 MB with wide_resnet50_2), so a step costs the flows alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.flows import (
    AffineCoupling,
    Chain,
    Flow,
    Permutation,
    SoftplusScale,
    TanhClamp,
    TwoSidedCoupling,
    Whitening,
    conv,
)
from tutorial_lib.flows.all_in_one import damped

from . import base
from .errors import DetectorError
from .training import adam, descend, fingerprint
from .views import stream

COUPLINGS = {"one-sided": AffineCoupling, "two-sided": TwoSidedCoupling}
NORMS = ("none", "plain", "learned")


@dataclass(frozen=True, kw_only=True)
class FastFlowSettings(base.Settings):
    """The defaults are the ``small`` setting.

    Attributes:
        norm: LayerNorm over (C, h, w) in front of each flow: ``"none"``, ``"plain"`` or ``"learned"``.
        whiten: put the affine flow of each tap in front; its part of the log_det is a constant.
        ridge: of the whitening, as a share of the mean variance.
        blocks: coupling blocks of each flow. coupling: ``"one-sided"`` or ``"two-sided"``.
        kernels: sides of the subnets' windows, used in turn from block to block.
        ratio: hidden channels of a subnet, as a share of those it reads.
        alpha, clamp_gain: the log-scale is alpha tanh(clamp_gain a).
        zero_init: begin as the identity.
        images_per_step: an optimiser step sees so many. drop_last: leave out the last, smaller batch of an epoch.
        epochs: passes over the images; ``steps`` overrides it with a number of optimiser steps.
        lr, weight_decay: of Adam.
    """

    size: int = 64
    norm: str = "none"
    whiten: bool = True
    ridge: float = 1e-3
    blocks: int = 4
    coupling: str = "one-sided"
    kernels: tuple[int, ...] = (3,)
    ratio: float = 0.5
    alpha: float = 2.0
    clamp_gain: float = 1.0
    zero_init: bool = True
    images_per_step: int = 16
    drop_last: bool = False
    epochs: int = 0
    steps: int = 325
    lr: float = 3e-3
    weight_decay: float = 1e-5

    def __post_init__(self) -> None:
        for name, allowed in {"norm": NORMS, "coupling": tuple(COUPLINGS)}.items():
            if getattr(self, name) not in allowed:
                raise DetectorError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}.")
        if not self.kernels or any(k < 1 or k % 2 == 0 for k in self.kernels):
            raise DetectorError(f"kernels={self.kernels!r}: expected odd numbers as a tuple, such as (3,) or (3, 1).")
        for name in ("blocks", "images_per_step"):
            if getattr(self, name) < 1:
                raise DetectorError(f"{name}={getattr(self, name)}: expected 1 or more.")
        for name in ("ratio", "alpha", "clamp_gain", "ridge"):
            if not 0 < getattr(self, name) < float("inf"):
                raise DetectorError(f"{name}={getattr(self, name)}: expected a number above 0.")
        if self.steps <= 0 and self.epochs <= 0:
            raise DetectorError(f"steps={self.steps} and epochs={self.epochs}: expected one of them above 0.")
        if self.whiten and self.norm == "learned":
            raise DetectorError("norm='learned' moves what whiten=True is fitted to. Use norm='plain' or whiten=False.")


CNN = {"size": 256, "blocks": 8, "ratio": 1.0}
TRANSFORMER = {"blocks": 20, "ratio": 0.16, "kernels": (3, 1)}
BACKBONES = {
    "resnet18": CNN | {"kernels": (3,)},
    "wide_resnet50_2": CNN | {"kernels": (3, 1)},
    "deit_base_distilled_patch16_384": TRANSFORMER | {"size": 384},
    "cait_m48_448": TRANSFORMER | {"size": 448},
}
PAPER = {
    "norm": "none", "whiten": False, "coupling": "one-sided", "alpha": 2.0, "clamp_gain": 1.0, "zero_init": False,
    "images_per_step": 32, "drop_last": True, "epochs": 500, "steps": 0, "lr": 1e-3, "weight_decay": 1e-5,
}


class FastFlow(base.Detector):
    """A normalizing flow of 2-D couplings on each feature map of a frozen backbone."""

    name = "fastflow"
    Settings = FastFlowSettings
    settings: FastFlowSettings

    @classmethod
    def paper(cls, seed: int = 0, device: str = "auto", progress: bool = True, weights: str = "pretrained",
              backbone: str = "wide_resnet50_2", **overrides) -> FastFlow:
        """Every number of the publication, for one of its four backbones. Made for a GPU and ImageNet weights.

        Raises:
            DetectorError: a backbone that the publication does not use.
        """
        if backbone not in BACKBONES:
            raise DetectorError(f"backbone={backbone!r}: the paper of fastflow uses {', '.join(BACKBONES)}. Use "
                                "FastFlow.small(backbone=...) for others.")
        numbers = PAPER | BACKBONES[backbone] | {"weights": weights}
        return cls._make(backbone, seed, device, progress, numbers | overrides)

    # -- the flow -----------------------------------------------------------------------------------------------

    def build_heads(self, shapes: Iterable[tuple[int, int, int]]) -> nn.ModuleList:
        """One untrained ``Head`` for each tap's map ``(C, h, w)``. Initial weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):  # convolutions draw from the global stream: give it back unchanged
            torch.manual_seed(stream(self.settings.seed, WEIGHTS).initial_seed())
            return nn.ModuleList(Head(tuple(shape), self.settings, tap) for tap, shape in enumerate(shapes))

    @staticmethod
    def loss(z: Tensor, log_det: Tensor) -> Tensor:
        """|z|^2 / 2 - log_det of each image, ``(B,)``: the NLL of one map without its constant D ln(2 pi) / 2."""
        return 0.5 * z.square().flatten(1).sum(1) - log_det

    def _fit(self, images, callback, resume):
        s, n = self.settings, len(images)
        bank = self._bank(images)  # per tap (N, C, h, w)
        heads = self.build_heads(f.shape[1:] for f in bank).to(self.device)
        if s.norm != "learned":  # then nothing in front of the blocks changes while they learn
            bank = [head.prepare(f) for head, f in zip(heads, bank, strict=True)]
        per_epoch = max(1, n // s.images_per_step if s.drop_last else -(-n // s.images_per_step))

        def loss_at(step: int) -> Tensor:
            epoch, k = divmod(step, per_epoch)
            order = torch.randperm(n, generator=stream(s.seed, ORDER, epoch)).to(self.device)
            chosen = order[k * s.images_per_step:(k + 1) * s.images_per_step]  # (b,)
            return sum(self.loss(*head.learned(f[chosen])).mean() for head, f in zip(heads, bank, strict=True))

        optimiser = adam(heads.parameters(), lr=s.lr, weight_decay=s.weight_decay)
        steps = s.steps or s.epochs * per_epoch
        key = fingerprint(images, asdict(s) | {"backbone_label": self.backbone_label}) if resume is not None else ""
        with self.bar(steps, f"{self.name} fit", "step") as bar:
            losses = descend(heads, loss_at, steps, optimiser, bar, callback, resume, key)
        shapes = {f"shape.{i}": torch.tensor(f.shape[1:]) for i, f in enumerate(bank)}
        return heads.state_dict() | shapes, {"loss": losses, "steps": steps}

    @torch.no_grad()
    def _bank(self, images) -> list[Tensor]:
        """The training features of every tap, checked: finite, and not the same for every image."""
        parts = [self.maps(batch) for batch, _ in self._batches(images, "fit")]
        bank = [torch.cat(same) for same in zip(*parts, strict=True)]
        for name, f in zip(self.backbone.taps, bank, strict=True):
            if not f.isfinite().all():
                bad = int((~f.isfinite().flatten(1).all(1)).nonzero()[0])
                raise DetectorError(f"{self.name}.fit: image {bad} has NaN or infinite features at the tap {name!r}. "
                                    f"The weights of the backbone ({self.backbone_label}) are damaged: load others.")
        if all((f - f[:1]).abs().max() <= 1e-5 * f.abs().max() for f in bank):
            raise DetectorError(f"All {len(bank[0])} training images have the same features: nothing varies, so "
                                "nothing can be unusual. Give images that differ (are they copies of one file, or all "
                                "black?).")
        return bank

    def _adopt(self, state):
        shapes = [tuple(state[f"shape.{i}"].tolist()) for i in range(len(self.backbone.taps))]
        self.heads = self.build_heads(shapes).to(self.device).requires_grad_(False)
        self.heads.load_state_dict({name: t for name, t in state.items() if not name.startswith("shape.")})

    # -- latents, map, score ------------------------------------------------------------------------------------

    def _latents(self, batch):
        return tuple(head(f)[0] for head, f in zip(self.heads, self.maps(batch), strict=True))  # (B, C, h, w) each

    @staticmethod
    def tap_map(z: Tensor, size: int) -> Tensor:
        """-exp(-mean_c z^2 / 2) at each position, ``(B, C, h, w)`` to ``(B, size, size)``, between -1 and 0."""
        q = torch.exp(-0.5 * z.square().mean(1, keepdim=True))  # (B, 1, h, w)
        return -F.interpolate(q, size=(size, size), mode="bilinear", align_corners=False)[:, 0]

    def tap_maps(self, batch: Tensor) -> Tensor:
        """The map of each tap, ``(B, taps, S, S)`` for square images ``(B, 3, S, S)``; their mean is the map."""
        return torch.stack([self.tap_map(z, batch.shape[-1]) for z in self._latents(batch)], dim=1)

    def _map(self, batch):
        return self.tap_maps(batch).mean(1)  # (B, S, S)

    def _terms(self, batch):
        maps = self.tap_maps(batch).flatten(2)  # (B, taps, S * S)
        peak = maps.mean(1).argmax(1)[:, None, None].expand(-1, maps.shape[1], 1)
        at_peak = maps.gather(2, peak)[:, :, 0] / maps.shape[1]  # (B, taps): the maximum, tap by tap
        return dict(zip(self.backbone.taps, at_peak.unbind(1), strict=True))

    def parameters_count(self) -> int:
        """Trained numbers of all flows and norms, and those of the whitenings where there are some. Needs no fit."""
        shapes = [(tap.channels, 1, 1) for tap in self.backbone.taps.values()]
        if self.settings.norm == "learned":  # one scale and one shift per element: the size counts
            size = self.settings.size
            shapes = [f.shape[1:] for f in self.maps(torch.zeros(1, 3, size, size, device=self.device))]
        with torch.device("meta"):  # shapes only, no memory
            trained = sum(p.numel() for p in self.build_heads(shapes).parameters())
        return trained + (sum(c + c * (c + 1) // 2 for c, _, _ in shapes) if self.settings.whiten else 0)


class Head(nn.Module):
    """What stands behind one tap: norm, whitening (part of the flow), blocks. Maps ``(B, C, h, w)`` to latents.

    Raises:
        DetectorError: an odd number of channels, or too few for the hidden layers.
    """

    def __init__(self, shape: tuple[int, int, int], settings: FastFlowSettings, tap: int):
        super().__init__()
        s, c = settings, shape[0]
        if c % 2:
            raise DetectorError(f"taps: tap number {tap} has {c} channels. A coupling of fastflow splits them in two "
                                "equal halves: choose taps with an even number of channels.")
        if int(c // 2 * s.ratio) < 1:
            raise DetectorError(f"ratio={s.ratio} leaves no hidden channel of {c // 2}: expected {2 / c:g} or more.")
        self.norm = nn.Identity()
        if s.norm != "none":
            self.norm = nn.LayerNorm(shape, elementwise_affine=s.norm == "learned")
        clamp, kind, parts = TanhClamp(s.alpha, s.clamp_gain), COUPLINGS[s.coupling], [Whitening(c)] * s.whiten
        for k in range(s.blocks):
            subnet = damped(conv(int(c // 2 * s.ratio), s.kernels[k % len(s.kernels)], zero_last=s.zero_init))
            order = stream(s.seed, MIXING, tap, k).initial_seed() % 2**32
            parts += [kind(c, subnet, clamp), SoftplusScale(c), Permutation(c, order)]
        self.flow = Flow(Chain(*parts), shape)
        self.eps = s.ridge

    @property
    def whitening(self) -> Whitening | None:
        """The affine flow in front, if there is one."""
        first = self.flow.transform[0]
        return first if isinstance(first, Whitening) else None

    @torch.no_grad()
    def prepare(self, f: Tensor) -> Tensor:
        """Fit the whitening to training maps ``(N, C, h, w)``; returns them as the blocks will see them."""
        x = self.norm(f)
        return x if self.whitening is None else self.whitening.fit(x, self.eps)(x)[0]

    def learned(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(z, log_det)`` of the parts that learn: the rest was applied by ``prepare``."""
        if isinstance(self.norm, nn.LayerNorm) and self.norm.elementwise_affine:
            x = self.norm(x)
        return self.flow.transform[0 if self.whitening is None else 1:](x)

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the backbone to ``(z, log_det)``; log_det is that of the flow on normed features, ``(B,)``."""
        return self.flow(self.norm(f))


WEIGHTS, ORDER, MIXING = range(3)  # names of the random streams of one seed
