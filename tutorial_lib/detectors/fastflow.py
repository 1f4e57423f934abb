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
from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import base
from .errors import DetectorError
from .fastflow_head import ORDER, WEIGHTS, Head
from .fastflow_settings import BACKBONES, PAPER, FastFlowSettings
from .feature_bank import feature_bank
from .training import adam, descend, fingerprint
from .views import stream


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
        names = [f"the tap {name!r}" for name in self.backbone.taps]
        parts = [self.maps(batch) for batch, _ in self._batches(images, "fit")]
        return feature_bank(parts, names, self.name, self.backbone_label)

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
