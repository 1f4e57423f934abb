"""CS-Flow (Rudolph, Wehrbein, Rosenhahn, Wandt, WACV 2022, arXiv 2110.02855): one flow over an image at three sizes.

    image at 768, 384, 192 px -> the same frozen EfficientNet-B5 -> y_k (304, 24, 24), (304, 12, 12), (304, 6, 6)
    (y_0, y_1, y_2) -> 4 x (permutation of each scale's channels, cross-scale coupling) -> (z_0, z_1, z_2)
    loss  = (|z|^2 / 2 - log_det) / D           per image, mean over the batch; D = 229,824 numbers in all
    score = mean of z^2 / 2 over all D
    map   = mean over channels of z_0^2, enlarged to the image: the finest scale alone

Numbers: the authors' released code (github.com/marco-rudolph/cs-flow), whose README calls them those of the paper.
Where the two differ, or the code differs from itself, the choice made here:

- ``gammas``: in the code each s/t network has one learned factor per scale, 24 in all; in the paper's formula, as
  anomalib renders it, one per network. Default: ``"scale"``, because the published results come from the code.
- ``clamp``: the code's 0.636 alpha atan(s / alpha); with 2 / pi for 0.636 it is ``"AtanClamp"``, the paper's form.
- ``channels``: for the map the code takes the mean over channels, the paper the sum: a factor C, the same ranking.
- ``map``: the finest scale alone, in both. anomalib multiplies the maps of all scales (``"product"``).
- ``last_kernel``: 5 in the code since January 2022, before that 1. Default of ``paper``: 5.
- ``taps``: the last map with 304 channels. Until March 2022 the code read the block behind it, which has 512, and used
  304 of them without a word. Here the number of channels is checked.
- ``shrink``: the code makes the smaller images from every 2nd and 4th pixel (``"nearest"``).
- inverse: that of the code undoes the first half with the t of the wrong network, so it holds only while the gammas
  are 0. Here s and t come from one network. Its forward pass, loss and scores are not concerned.
- entries of z are cut at +-1e6 before they are squared; the code cuts after every block, which no inverse can undo.
- the last weights are kept: the code prints the best epoch *on the test set*.
- weights and padding of EfficientNet-B5 are torchvision's; the code used efficientnet_pytorch.

What ``small`` changes: the embedded backbone at ``size``, size / 2 and size / 4, made smaller without aliasing; an
affine flow in front of each scale (``whiten``), so that step 0 ranks by the squared Mahalanobis distance at each
position; s/t networks of 32 hidden channels, windows of 3 in the last block too; Adam with eps 1e-8, 180 steps of 8
images, a learning rate 15 times the paper's.
Frozen features are computed once per fit and kept in memory (0.9 MB an image in ``paper``).
"""

from __future__ import annotations

from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.backbones import CLASSES, Tap
from tutorial_lib.flows import (
    Chain,
    CrossScaleCoupling,
    EachScale,
    Flow,
    Permutation,
    Whitening,
    clamps,
    cross_scale,
)

from . import base
from .csflow_settings import PAPER, PAPER_TAP, CSFlowSettings
from .errors import DetectorError
from .feature_bank import feature_bank
from .images import resize
from .training import adam, descend, fingerprint
from .views import stream

WEIGHTS, ORDER = range(2)  # uses of the seed
LIMIT = 1e6                # of |z|, so that a score is always finite


class CSFlow(base.Detector):
    """A normalizing flow over the feature maps of one image at several sizes, which look at each other."""

    name = "csflow"
    Settings = CSFlowSettings
    settings: CSFlowSettings

    @classmethod
    def small(cls, backbone="embedded", seed=0, device="auto", progress=True, **overrides) -> CSFlow:
        """The setting for two CPU cores: of the embedded backbone the tap of stride 4, whose finest map is 16 x 16."""
        if backbone == "embedded":
            overrides = {"taps": ("stride4",)} | overrides
        return cls._make(backbone, seed, device, progress, overrides)

    @classmethod
    def paper(cls, seed: int = 0, device: str = "auto", progress: bool = True, weights: str = "pretrained",
              backbone: str = "efficientnet_b5", **overrides) -> CSFlow:
        """Every number of the publication. Made for a GPU (275 million numbers to train) and ImageNet weights."""
        taps = {"taps": PAPER_TAP} if backbone == "efficientnet_b5" else {}
        return cls._make(backbone, seed, device, progress, PAPER | {"weights": weights} | taps | overrides)

    # -- features -----------------------------------------------------------------------------------------------

    def sizes(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Images ``(B, 3, S, S)`` at S, S / 2, S / 4, ... pixels: the images are made smaller, not their features."""
        if self.settings.shrink == "nearest":
            return tuple(batch[..., ::2**k, ::2**k] for k in range(self.settings.scales))
        return tuple(resize(batch, (batch.shape[-1] // 2**k,) * 2) for k in range(self.settings.scales))

    def features(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Images ``(B, 3, S, S)`` to one map per size, ``(B, C, h_k, h_k)`` with h_k = 2 h_{k+1}; the same weights."""
        return tuple(self.maps(small)[0] for small in self.sizes(batch))

    @property
    def tap(self) -> Tap:
        """The one tap of the backbone whose maps are used.

        Raises:
            DetectorError: none or several are named, or one that the backbone does not have.
        """
        s, kind = self.settings, self._backbone or CLASSES.get(self.settings.backbone) or self.backbone
        names = tuple(s.taps or kind.DEFAULT_TAPS)
        if len(names) != 1 or names[0] not in kind.ALL_TAPS:
            raise DetectorError(f"csflow got taps={names!r}. Expected one tap of {s.backbone!r}: "
                                f"{', '.join(kind.ALL_TAPS)}.")
        return kind.ALL_TAPS[names[0]]

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(C, h_k, h_k) of the maps of each scale.

        Raises:
            DetectorError: a size that does not give maps of which each has half the side of the one before.
        """
        s, tap = self.settings, self.tap
        step = tap.stride * 2**(s.scales - 1)
        if s.size % step or not s.size:
            raise DetectorError(f"csflow got size={s.size}. Expected a multiple of {step} (stride {tap.stride} of the "
                                f"tap times {2**(s.scales - 1)} for {s.scales} scales), such as "
                                f"{max(1, round(s.size / step)) * step}.")
        return tuple((tap.channels, *[s.size // 2**k // tap.stride] * 2) for k in range(s.scales))

    # -- the flow -----------------------------------------------------------------------------------------------

    def build_flow(self, shapes: tuple[tuple[int, int, int], ...] | None = None) -> Flow:
        """The untrained flow on maps of these shapes (C, h_k, w_k). Initial weights depend on the seed alone.

        Raises:
            DetectorError: an odd number of channels.
        """
        s, shapes = self.settings, tuple(self.shapes if shapes is None else shapes)
        c = shapes[0][0]
        if c % 2:
            raise DetectorError(f"csflow: the tap has {c} channels. The coupling splits them into two equal halves: "
                                "choose a tap with an even number of channels.")
        clamp = getattr(clamps, s.clamp)(s.alpha)
        parts = [EachScale(*(Whitening(c) for _ in shapes))] * s.whiten
        with torch.random.fork_rng(devices=[]):  # convolutions draw from the global stream: give it back unchanged
            torch.manual_seed(int(stream(s.seed, WEIGHTS).initial_seed()))
            for k in range(s.blocks):
                net = cross_scale(s.hidden, s.kernel_of(k), scales=len(shapes), exchange=s.exchange, gamma=s.gamma,
                                  gammas=s.gammas)
                parts += [EachScale(*(Permutation(c, seed=k, draw=i) for i in range(len(shapes)))),
                          CrossScaleCoupling(c, net, clamp)]
        return Flow(Chain(*parts), shapes)

    @staticmethod
    def loss(z: tuple[Tensor, ...], log_det: Tensor) -> Tensor:
        """(|z|^2 / 2 - log_det) / D of each image, ``(B,)``: the NLL per number without its constant ln(2 pi) / 2."""
        d = sum(part[0].numel() for part in z)
        return (0.5 * sum(part.square().flatten(1).sum(1) for part in z) - log_det) / d

    def _fit(self, images, callback, resume):
        s, n = self.settings, len(images)
        flow = self.build_flow().to(self.device)
        bank = self._bank(images)  # per scale (N, C, h_k, h_k)
        if s.whiten:
            bank = self._whitened(flow.transform[0], bank)
        blocks = flow.transform[1 if s.whiten else 0:]  # what learns
        per_epoch = -(-n // s.images_per_step)  # the last, smaller batch is kept

        def loss_at(step: int) -> Tensor:
            epoch, k = divmod(step, per_epoch)
            order = torch.randperm(n, generator=stream(s.seed, ORDER, epoch)).to(self.device)
            chosen = order[k * s.images_per_step:(k + 1) * s.images_per_step]  # (b,)
            return self.loss(*blocks(tuple(y[chosen] for y in bank))).mean()

        optimiser = adam(blocks.parameters(), lr=s.lr, eps=s.eps, weight_decay=s.weight_decay)
        steps = s.steps or s.epochs * per_epoch
        key = fingerprint(images, asdict(s) | {"backbone_label": self.backbone_label}) if resume is not None else ""
        with self.bar(steps, f"{self.name} fit", "step") as bar:
            losses = descend(blocks, loss_at, steps, optimiser, bar, callback, resume, key, s.clip or float("inf"))
        return flow.state_dict(), {"loss": losses, "steps": steps}

    @torch.no_grad()
    def _bank(self, images) -> tuple[Tensor, ...]:
        """The training features of every scale, checked."""
        names = [f"{self.settings.size // 2**k} px" for k in range(self.settings.scales)]
        parts = [self.features(batch) for batch, _ in self._batches(images, "fit")]
        bank = feature_bank(parts, names, self.name, self.backbone_label)
        for name, y, shape in zip(names, bank, self.shapes, strict=True):
            if y.shape[1:] != shape:
                raise DetectorError(f"csflow.fit: at {name} the backbone gave maps {tuple(y.shape[1:])}. Expected "
                                    f"{shape}: they come from another tap than the one named in taps.")
        return tuple(bank)

    def _whitened(self, front: EachScale, bank: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        try:
            for whitening, y in zip(front.transforms, bank, strict=True):
                whitening.fit(y, self.settings.ridge)
        except ValueError as error:
            raise DetectorError(f"csflow.fit: the features cannot be whitened. {error} Or set whiten=False.") from error
        return front(bank)[0]

    def _adopt(self, state):
        self.flow = self.build_flow().to(self.device).requires_grad_(False)
        self.flow.load_state_dict(state)

    # -- latents, map, score ------------------------------------------------------------------------------------

    def _latents(self, batch):
        return self.flow(self.features(batch))[0]  # per scale (B, C, h_k, h_k)

    def localise(self, z: tuple[Tensor, ...], size: int) -> Tensor:
        """Latents ``(B, C, h_k, w_k)`` to a map ``(B, size, size)``: the mean (or sum) over channels of z^2.

        The log_det has no share in it: it belongs to the image and has no unique split over positions.
        """
        s = self.settings
        reduce = Tensor.mean if s.channels == "mean" else Tensor.sum
        squares = [reduce(part.clamp(-LIMIT, LIMIT).square(), dim=1, keepdim=True)
                   for part in (z[:1] if s.map == "finest" else z)]  # (B, 1, h_k, w_k)
        maps = torch.cat([F.interpolate(m, (size, size), mode="bilinear", align_corners=False) for m in squares], 1)
        return maps.prod(1) if s.map == "product" else maps.mean(1)

    def _map(self, batch):
        return self.localise(self._latents(batch), batch.shape[-1])  # (B, S, S)

    def scale_scores(self, z: tuple[Tensor, ...]) -> Tensor:
        """What each scale adds to the score, ``(B, scales)``: its sum of z^2 / 2, over D."""
        d = sum(part[0].numel() for part in z)
        return torch.stack([0.5 * part.clamp(-LIMIT, LIMIT).square().flatten(1).sum(1) / d for part in z], dim=1)

    def _terms(self, batch):
        found = self.scale_scores(self._latents(batch)).unbind(1)
        return {f"{batch.shape[-1] // 2**k} px": term for k, term in enumerate(found)}

    def parameters_count(self) -> int:
        """Trained numbers of the flow, and those of the whitenings where there are some. Needs no fit, no weights."""
        with torch.device("meta"):  # shapes only, no memory
            trained = sum(p.numel() for p in self.build_flow().parameters())
        c = self.tap.channels
        return trained + (self.settings.scales * (c + c * (c + 1) // 2) if self.settings.whiten else 0)
