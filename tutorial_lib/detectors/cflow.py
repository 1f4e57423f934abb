"""CFlow-AD (Gudovskiy, Ishizaka, Kozuka, WACV 2022, arXiv 2107.12571): one conditional flow for all positions of a map.

    image -> backbone -> per tap k a map f (C, h, w): one vector (C,) at each position, and its code c (P,)
    (f, c) -> 8 x (coupling that also reads c, scale and shift, rotation) -> z (C,)
    l     = (log p(z) + log_det) / C             per position, in nats per channel
    loss  = -ln sigmoid(l)                       mean over vectors drawn from all positions
    map   = K - sum_k enlarged exp(l_k - m_k)    m_k: the largest l of tap k; score = its maximum

Numbers: the authors' released code (github.com/gudovskiy/cflow-ad). Where the two differ, the choice made here:

- couplings: the code's s/t networks (one hidden layer, ReLU, output times 0.1); the paper says one layer, softplus.
- loss and division by C: the code's. ``loss="nll"`` is plain maximum likelihood, the mean of -l.
- maxima m_k: the code takes them over the test set, so a score depends on the images it is scored with. Here they come
  from the training images and are stored. ``normalise="published"`` is the code's way: each call to ``score``,
  ``terms`` or ``anomaly_map`` takes them over its own images, and subtracts from the largest sum there instead of K.
  One image more or less in the call then moves all scores, and an image alone always has a normal place.
- enlarging: the code aligns the corners of the maps with those of the image (``align_corners=True``, in ``paper``).
- image size and the epoch that is kept: chosen per class on the test set by the authors. Here one size (256; they also
  used 512 and 128) and the last epoch.
- pictures are shrunk with a bilinear filter, theirs with Lanczos; rotations are drawn uniformly and R by QR.

``position=False`` leaves the code out: the same vector then means the same at every position.

What ``small`` changes, to train in seconds from 100 images without ImageNet: the three finer taps of the embedded
backbone; four blocks, a code of 64; each tap's vectors whitened first (then l is the likelihood of the whitened
vector; the constant cancels against m_k); no rotations, so features are computed once and kept; a fixed number of steps
that draw vectors from all images and all taps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.backbones import CLASSES
from tutorial_lib.flows import (
    Chain,
    Flow,
    Permutation,
    Rotation,
    Transform,
    Whitening,
    all_in_one,
    dense,
    position_code,
)

from . import base
from .cflow_schedule import ANGLES, WEIGHTS, Passes, Random
from .cflow_settings import PAPER, PAPER_TAPS, CFlowSettings
from .errors import DetectorError
from .images import square
from .likelihood_map import enlarged, largest
from .training import adam, descend, fingerprint
from .views import random_angles, rotate, stream


class CFlow(base.Detector):
    """A normalizing flow per tap of the backbone, shared by all positions and told which one it looks at."""

    name = "cflow"
    Settings = CFlowSettings
    settings: CFlowSettings

    @classmethod
    def small(cls, backbone="embedded", seed=0, device="auto", progress=True, **overrides) -> CFlow:
        """The setting for two CPU cores: of the embedded backbone the three finer taps."""
        if backbone == "embedded":
            overrides = {"taps": ("stride2", "stride4", "stride8")} | overrides
        return cls._make(backbone, seed, device, progress, overrides)

    @classmethod
    def paper(cls, seed: int = 0, device: str = "auto", progress: bool = True, weights: str = "pretrained",
              backbone: str = "wide_resnet50_2", **overrides) -> CFlow:
        """Every number of the publication. Hours on a GPU; ``backbone="resnet18"`` is the smaller one it reports."""
        numbers = PAPER | {"weights": weights, "taps": PAPER_TAPS.get(backbone)} | overrides
        return cls._make(backbone, seed, device, progress, numbers)

    # -- the flow -----------------------------------------------------------------------------------------------

    def blocks(self, channels: int, mixed: bool = True) -> list[Transform]:
        """The transforms of one tap's flow, in order; ``mixed=False`` leaves out the fixed rotations."""
        s = self.settings
        if channels % 2:
            raise DetectorError(f"cflow: a tap with {channels} channels cannot be halved. Expected an even number: "
                                "choose other taps.")

        def subnet(c_in: int, c_out: int) -> nn.Module:
            return dense(s.width * c_in, depth=1)(c_in, c_out)

        made, mixing = [], {"rotation": Rotation, "permutation": Permutation}[s.mixing]
        for k in range(s.blocks):
            mixer = mixing(channels, seed=int(stream(s.seed, WEIGHTS, k).initial_seed()) % 2**32) if mixed else None
            made += all_in_one(channels, subnet, s.alpha, s.position_dim if s.position else 0, mixer)
        return made

    def build_flow(self, channels: int) -> Flow:
        """The untrained flow of a tap. Initial weights depend on the seed and the number of channels alone."""
        with torch.random.fork_rng(devices=[]):  # linear layers draw from the global stream: give it back unchanged
            torch.manual_seed(int(stream(self.settings.seed, WEIGHTS, channels).initial_seed()))
            return Flow(Chain(*self.blocks(channels)), (channels,))

    def code(self, height: int, width: int) -> Tensor | None:
        """The code of each position of a map, ``(h * w, P)`` row by row; None where the flow is not told."""
        if not self.settings.position:
            return None
        return position_code(self.settings.position_dim, height, width).flatten(1).T.contiguous().to(self.device)

    @staticmethod
    def likelihood(flow: Flow, vectors: Tensor, code: Tensor | None) -> Tensor:
        """l = log p / C of vectors ``(M, C)`` at positions with codes ``(M, P)``: ``(M,)``, in nats per channel."""
        return flow.log_prob(vectors, code) / vectors.shape[1]

    def loss(self, likelihood: Tensor) -> Tensor:
        """-ln sigmoid(l) of each vector, ``(M,)``: the gradient of -l times sigmoid(-l), so the likely count less."""
        return -likelihood if self.settings.loss == "nll" else -F.logsigmoid(likelihood)

    # -- training -----------------------------------------------------------------------------------------------

    def _fit(self, images, callback, resume):
        s, n = self.settings, len(images)
        whitenings, flows = self._modules()
        maps, cells = self._training_maps(images)  # per tap (N, C, h, w), or none where they are made anew; (h, w)
        if s.whiten:
            self._fit_whitenings(whitenings, maps)
        maps = [w(m)[0] for w, m in zip(whitenings, maps, strict=False)]
        rows, codes = [_rows(m) for m in maps], [self.code(*size) for size in cells]
        counts = tuple(h * w for h, w in cells)
        plan = (Random(n, counts, s.vectors_per_step, s.steps, s.lr, s.seed) if s.steps else
                Passes(n, counts, s.vectors_per_step, s.images_per_step, s.meta_epochs, s.sub_epochs, s.warm_epochs,
                       s.lr, s.seed))
        optimiser, latest = adam(flows.parameters(), lr=s.lr), {}

        def rows_of(draw) -> list[Tensor]:
            if draw.images is None:
                return rows
            if draw.batch not in latest:
                latest.clear()
                chosen = list(draw.images)
                latest[draw.batch] = ([_rows(m[chosen]) for m in maps] if maps else
                                      [_rows(m) for m in self._turned_maps(images, chosen, draw.batch)])
            return latest[draw.batch]

        def loss_at(step: int) -> Tensor:
            for group in optimiser.param_groups:
                group["lr"] = plan.rate(step)
            draw = plan.draw(step)
            vectors, parts = rows_of(draw), []
            for k, chosen in draw.rows.items():
                chosen = chosen.to(self.device)
                code = None if codes[k] is None else codes[k][chosen % counts[k]]  # (M, P)
                parts.append(self.loss(self.likelihood(flows[k], vectors[k][chosen], code)).mean())
            return sum(parts)

        key = fingerprint(images, asdict(s) | {"backbone_label": self.backbone_label}) if resume is not None else ""
        with self.bar(plan.steps, f"{self.name} fit", "step") as bar:
            losses = descend(flows, loss_at, plan.steps, optimiser, bar, callback, resume, key)
        with torch.no_grad():
            parts = ([m[i:i + s.batch] for m in maps] for i in range(0, n, s.batch)) if maps else (
                self.vectors(batch, whitenings) for batch, _ in self._batches(images, "fit"))
            maxima = torch.stack([largest(self.likelihoods(part, flows)) for part in parts]).amax(0)
        state = {f"whitenings.{name}": t for name, t in whitenings.state_dict().items()}
        state |= {f"flows.{name}": t for name, t in flows.state_dict().items()} | {"maxima": maxima}
        return state, {"loss": losses, "steps": plan.steps, "maxima": maxima.tolist()}

    def _modules(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        channels = [tap.channels for tap in self.backbone.taps.values()]
        return (nn.ModuleList(Whitening(c) for c in channels).to(self.device),
                nn.ModuleList(self.build_flow(c) for c in channels).to(self.device))

    @torch.no_grad()
    def _training_maps(self, images) -> tuple[list[Tensor], list[tuple[int, int]]]:
        """Maps of all images, per tap ``(N, C, h, w)``, unless they are made anew for each batch; sizes of the maps."""
        first, differ, found = None, False, []
        for batch, _ in self._batches(images, "fit"):
            first = batch[:1] if first is None else first
            differ |= bool((batch != first).any())
            if not self.settings.rotation or not found:
                found.append(self.maps(batch))
        if not differ:
            raise DetectorError(f"All {len(images)} training images are equal: nothing varies, so nothing can be "
                                "unusual. Give images that differ (are they copies of one file, or all black?).")
        cells = [tuple(m.shape[2:]) for m in found[0]]
        maps = [] if self.settings.rotation else [torch.cat(same) for same in zip(*found, strict=True)]
        for name, m in zip(self.backbone.taps, maps, strict=False):
            if not m.isfinite().all():
                raise DetectorError(f"cflow.fit: the tap {name!r} of the backbone gave NaN or infinite features. "
                                    "Expected finite ones: check its weights, or choose other taps.")
            if not m.var() > 0:
                raise DetectorError(f"cflow.fit: the features of tap {name!r} are the same everywhere, so nothing can "
                                    "be unusual. Expected features that differ: choose other taps or weights.")
        return maps, cells

    def _fit_whitenings(self, whitenings: nn.ModuleList, maps: list[Tensor]) -> None:
        for name, whitening, m in zip(self.backbone.taps, whitenings, maps, strict=True):
            try:
                whitening.fit(m, eps=self.settings.ridge)
            except ValueError as error:
                raise DetectorError(f"cflow.fit: the vectors of tap {name!r} cannot be whitened. {error} Or set "
                                    "whiten=False.") from error

    @torch.no_grad()
    def _turned_maps(self, images, chosen: list[int], key: tuple[int, int]) -> tuple[Tensor, ...]:
        """Maps of some images, each turned by an angle drawn for this batch of this pass: what the paper does."""
        s = self.settings
        batch, _ = square(images, chosen, s.size, f"{self.name}.fit")
        angles = random_angles(len(chosen), s.rotation, s.seed, ANGLES, *key)
        return self.maps(rotate(batch.to(self.device), angles))

    # -- score and map ------------------------------------------------------------------------------------------

    def _adopt(self, state):
        self.whitenings, self.flows = self._modules()
        for name in ("whitenings", "flows"):
            module = getattr(self, name).requires_grad_(False)
            module.load_state_dict({k[len(name) + 1:]: t for k, t in state.items() if k.startswith(name)})
        self.maxima = state["maxima"]
        self._top = torch.tensor(float(len(self.flows)), dtype=torch.float64)

    def vectors(self, batch: Tensor, whitenings: nn.ModuleList | None = None) -> list[Tensor]:
        """Images ``(B, 3, S, S)`` to what the flows read: per tap ``(B, C, h, w)``."""
        whitenings = self.whitenings if whitenings is None else whitenings
        return [w(m)[0] for w, m in zip(whitenings, self.maps(batch), strict=True)]

    def likelihoods(self, maps: Sequence[Tensor], flows: nn.ModuleList | None = None) -> list[Tensor]:
        """l at each position of the maps of ``vectors``: per tap ``(B, h, w)``, in nats per channel."""
        found = []
        for flow, m in zip(self.flows if flows is None else flows, maps, strict=True):
            code = self.code(*m.shape[2:])
            at = None if code is None else code.repeat(len(m), 1)  # (B * h * w, P), image by image
            found.append(self.likelihood(flow, _rows(m), at).view(len(m), *m.shape[2:]))
        return found

    def enlarged(self, likelihoods: Sequence[Tensor], maxima: Tensor) -> Tensor:
        """exp(l - m) of each tap at the size of the image, ``(B, K, S, S)`` float64 in [0, 1]."""
        return enlarged(likelihoods, maxima, self.settings.size, self.settings.align_corners)

    def _fitted_batches(self, images, what):
        if self.settings.normalise == "published" and what in ("terms", "anomaly_map"):
            self._need_fit(what)
            found = [self.likelihoods(self.vectors(batch)) for batch, _ in self._batches(images, what)]
            self.maxima = torch.stack([largest(each) for each in found]).amax(0)
            self._top = torch.stack([self.enlarged(each, self.maxima).sum(1).amax() for each in found]).amax()
        yield from super()._fitted_batches(images, what)

    def _normality(self, batch: Tensor) -> Tensor:
        return self.enlarged(self.likelihoods(self.vectors(batch)), self.maxima)  # (B, K, S, S)

    def _map(self, batch):
        return self._top - self._normality(batch).sum(1)  # (B, S, S)

    def _terms(self, batch):
        p = self._normality(batch).flatten(2)  # (B, K, S * S)
        worst = p.sum(1).argmin(1)  # where the map is largest
        at = p.gather(2, worst[:, None, None].expand(-1, p.shape[1], 1))[:, :, 0]  # (B, K)
        terms = {name: 1 - at[:, k] for k, name in enumerate(self.backbone.taps)}
        if self.settings.normalise == "published":
            terms["top"] = (self._top - p.shape[1]).expand(len(batch))
        return terms

    def _latents(self, batch):
        latents = []
        for flow, m in zip(self.flows, self.vectors(batch), strict=True):
            code = self.code(*m.shape[2:])
            z = flow(_rows(m), None if code is None else code.repeat(len(m), 1))[0]
            latents.append(z.view(len(m), *m.shape[2:], -1).permute(0, 3, 1, 2))
        return tuple(latents)  # per tap (B, C, h, w)

    def parameters_count(self) -> int:
        """Trained numbers of the flows, and those of the whitenings where there are any. Needs no fit, no weights."""
        s, kind, total = self.settings, self._backbone or CLASSES[self.settings.backbone], 0
        with torch.device("meta"):  # shapes only, no memory
            for c in (kind.ALL_TAPS[name].channels for name in s.taps or kind.DEFAULT_TAPS):
                total += sum(p.numel() for block in self.blocks(c, mixed=False) for p in block.parameters())
                total += (c + c * (c + 1) // 2) if s.whiten else 0
        return total


def _rows(maps: Tensor) -> Tensor:
    """``(B, C, h, w)`` to ``(B * h * w, C)``: image by image, row by row. A plain view would mix channels."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
