"""PyramidFlow (Lei, Hu, Wang, Liu, CVPR 2023, arXiv 2303.02595): a flow on a Laplacian pyramid, no pretrained network.

    image -> fixed stem, 3 to C channels -> Laplacian pyramid, L levels -> flow between the levels -> z_0, ..., z_{L-1}
    d_ij  = mean over C of join_l |z_l^i - z_l^j|^2                (S, S) for each pair of images of a batch
    loss  = mean over pairs and frequencies of |FFT2(d_ij)|        unnormalised FFT; no log_det and no density
    T_l   = mean of z_l over normal images                         the template
    map   = mean over C of join_l |z_l - T_l|                      (S, S)
    score = maximum of the map

``join`` puts a pyramid together again. The loss alone would be smallest if every latent were 0. What forbids it is the
architecture: volume normalisation and matrices of determinant 1 (``flows.volume``, ``flows.levels``). In exactly this
sense: as a map of a whole training batch the flow has log|det| = 0 with ``norm="channel"``; with ``"spatial"`` the
coarsest level leaves a remainder (``DownCoupling``); a single sample's log_det is not 0, nor is any in evaluation.

Numbers: the released code (github.com/gasharper/PyramidFlow). Where it and the paper differ, or it errs:

- ``down``: the paper's supplement takes every second pixel after the blur; the code takes the maximum of each 2 x 2
  block, and the published numbers come from it. Default ``"max"``.
- ``paper(backbone="resnet18")`` puts the first layers of a pretrained ResNet-18 before the pyramid (1024 px): the
  default of the code. Default here: none, the variant that the paper is about. In the code its batch normalisation
  goes on adapting although its weights are frozen; here it stays as it was.
- the stem is called end-to-end and never trained in the code. Here neither: nothing would stop it from shrinking.
- running means: not detached in the code, of another shape when saved (its files do not load), and moved three times
  a step by its reversible training, so that ``momentum`` 0.1 acts as 0.271. Here detached, shaped, moved once.
- ``reversible``: on in the code. Here off by default, for the results are the same and the time is less. At 1024 px it
  takes 2.7 GiB for a step instead of 6.9 (``benchmarks/pyramidflow_memory.py``).
- the code keeps the weights of the epoch that was best *on the test set*; here those of the last step.
- its rules for single categories (levels, norm, flips): ``paper(category="carpet")``.

What ``small`` changes: 64 px, 3 x 3 windows, four images (six pairs) a step, 200 steps, lr 1e-2, the map blurred by
one pixel, and 3 channels instead of 16. With C > 3 the stem leaves C - 3 directions empty: all images agree there. The
flow can stretch those, shrink the three that say something, and keep its volume; the loss falls to almost nothing
without much being learned. With C = 3 no direction is empty. ``benchmarks/pyramidflow_ablation.py`` measures both, and
``norm="spatial"``, which ranks the images of both its products better and the pixels of one of them worse.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations

import torch
from torch import Tensor

from tutorial_lib.flows.levels import Levels
from tutorial_lib.flows.pyramid import laplacian_join, level_contributions

from . import base
from .errors import DetectorError
from .gaussian import blurred
from .images import Images, square
from .pyramidflow_model import PyramidModel
from .pyramidflow_settings import ENCODERS, PAPER, PyramidFlowSettings, of_category
from .training import adam, descend, fingerprint
from .views import stream

WEIGHTS, ORDER, FLIPS = range(3)  # random streams


class PyramidFlow(base.Detector):
    """A volume-preserving flow between the levels of a pyramid, trained to map normal images to one template."""

    name = "pyramidflow"
    Settings = PyramidFlowSettings
    settings: PyramidFlowSettings

    @classmethod
    def small(cls, backbone=None, seed: int = 0, device: str = "auto", progress: bool = True,
              **overrides) -> PyramidFlow:
        """The setting for two CPU cores. ``backbone`` is accepted, because every detector takes it, and not used."""
        overrides = {k: v for k, v in overrides.items() if k not in ("weights", "backbone_seed", "taps")}
        return cls._make(None, seed, device, progress, overrides)

    @classmethod
    def paper(cls, seed: int = 0, device: str = "auto", progress: bool = True, backbone: str | None = None,
              weights: str = "pretrained", category: str | None = None, **overrides) -> PyramidFlow:
        """Every number of the publication. Hours on two cores; made for a GPU.

        Args:
            backbone: None, the variant from scratch, or ``"resnet18"``, the released default.
            category: of MVTec AD, for the released rules of single categories.

        Raises:
            DetectorError: another backbone.
        """
        if backbone not in ENCODERS:
            raise DetectorError(f"backbone={backbone!r}: pyramidflow has {', '.join(map(repr, ENCODERS))}.")
        numbers = PAPER | of_category(category) | ENCODERS[backbone]
        return cls._make(backbone, seed, device, progress,
                         numbers | ({} if backbone is None else {"weights": weights}) | overrides)

    # -- model and features -------------------------------------------------------------------------------------

    def build_model(self) -> PyramidModel:
        """The untrained stem and flow. Initial weights depend on the seed alone."""
        s = self.settings
        channels, side = s.channels, s.size
        if s.backbone is not None:
            tap = next(iter(self.backbone.taps.values()))
            channels, side = tap.channels, s.size // tap.stride
        with torch.random.fork_rng(devices=[]):  # convolutions draw from the global stream: give it back unchanged
            torch.manual_seed(stream(s.seed, WEIGHTS).initial_seed())
            return PyramidModel(s, channels, side, 1000 * s.seed)

    @torch.no_grad()
    def features(self, model: PyramidModel, batch: Tensor) -> Tensor:
        """What the pyramid is built on, ``(B, C, S, S)``: the frozen stem's or backbone's map of images."""
        return self.maps(batch)[0].contiguous() if model.stem is None else model.stem(batch)

    # -- loss ---------------------------------------------------------------------------------------------------

    @staticmethod
    def pair_difference(latents: Levels) -> Tensor:
        """d_ij, the squared difference of every pair i < j, joined: L latents of B images to ``(B (B-1) / 2, S, S)``.

        Joining is linear and treats channels alike, so the mean over channels is taken first: the same numbers.
        """
        i, j = torch.tensor(list(combinations(range(len(latents[0])), 2)), device=latents[0].device).T
        return laplacian_join(tuple((z[i] - z[j]).square().mean(1, keepdim=True) for z in latents))[:, 0]

    @staticmethod
    def fourier(difference: Tensor) -> Tensor:
        """Mean over maps ``(N, S, S)`` and frequencies of |FFT2|, not normalised; frequency 0 is the sum of the map."""
        return torch.fft.fft2(difference).abs().mean()

    def loss(self, latents: Levels) -> Tensor:
        """One number for the latents of a batch of two images or more; 0 if all are alike."""
        return self.fourier(self.pair_difference(latents))

    def _fit(self, images, callback, resume):
        s, n = self.settings, len(images)
        self._check_spread(images)
        model = self.build_model().to(self.device).train()
        per_epoch = max(1, n // s.images_per_step)  # the last, smaller batch is left out, as in the released code

        def loss_at(step: int) -> Tensor:
            epoch, k = divmod(step, per_epoch)
            order = torch.randperm(n, generator=stream(s.seed, ORDER, epoch))
            chosen = order[k * s.images_per_step:(k + 1) * s.images_per_step].tolist()
            batch, _ = square(images, chosen, s.size, f"{self.name}.fit")
            batch = flipped(batch, s.seed, FLIPS, step) if s.flips else batch
            return self.loss(model(self.features(model, batch.to(self.device))))

        optimiser = adam(model.parameters(), lr=s.lr, betas=s.betas, eps=s.eps, weight_decay=s.weight_decay)
        steps = s.steps or s.epochs * per_epoch
        key = fingerprint(images, asdict(s) | {"backbone_label": self.backbone_label}) if resume is not None else ""
        with self.bar(steps, f"{self.name} fit", "step") as bar:
            losses = descend(model, loss_at, steps, optimiser, bar, callback, resume, key, s.clip)
        template = self._mean_latents(model.eval(), images, s.template_images or n)
        state = model.state_dict() | {f"template.{level}": t for level, t in enumerate(template)}
        return state, {"loss": losses, "steps": steps}

    def _check_spread(self, images: Images) -> None:
        first, spread = None, False
        for batch, _ in self._batches(images, "fit"):
            first = batch[:1] if first is None else first
            spread = spread or bool((batch - first).abs().max() > 1e-5)
        if not spread:
            raise DetectorError(f"All {len(images)} training images are the same: nothing varies, so nothing can be "
                                "unusual. Give images that differ (are they copies of one file, or all black?).")

    def _adopt(self, state):
        self.model = self.build_model().to(self.device).eval().requires_grad_(False)
        self.model.load_state_dict({name: t for name, t in state.items() if not name.startswith("template.")})
        self.template = tuple(state[f"template.{level}"] for level in range(self.settings.levels))

    # -- template, map, score -----------------------------------------------------------------------------------

    def _latents(self, batch):
        return self.model(self.features(self.model, batch))  # (B, C, S / 2^l, S / 2^l) each

    def build_template(self, images: Images) -> Levels:
        """The mean latents of ``images``, ``(1, C, S / 2^l, S / 2^l)`` each, by the fitted flow."""
        self._need_fit("build_template")
        return self._mean_latents(self.model, images, len(images))

    @torch.no_grad()
    def _mean_latents(self, model: PyramidModel, images: Images, first: int) -> Levels:
        totals, left = None, first
        for batch, _ in self._batches(images, "template"):
            sums = [z.cpu().double().sum(0, keepdim=True) for z in model(self.features(model, batch[:left]))]
            totals = sums if totals is None else [a + b for a, b in zip(totals, sums, strict=True)]
            left -= len(batch)
            if left <= 0:
                break
        return tuple((total / min(first, first - left)).float() for total in totals)

    def level_maps(self, latents: Levels, template: Levels) -> Tensor:
        """What each level adds to the map, ``(B, L, S, S)``: mean over channels of |z_l - T_l|, enlarged, blurred."""
        differences = tuple((z - t.to(z)).abs().mean(1, keepdim=True) for z, t in zip(latents, template, strict=True))
        return blurred(level_contributions(differences)[:, :, 0], self.settings.map_sigma)

    def _map(self, batch):
        return self.level_maps(self._latents(batch), self.template).sum(1)  # (B, S, S)

    def _terms(self, batch):
        parts = self.level_maps(self._latents(batch), self.template).flatten(2)  # (B, L, S * S)
        peak = parts.sum(1).argmax(1)[:, None, None].expand(-1, parts.shape[1], 1)
        at_peak = parts.gather(2, peak)[:, :, 0]  # (B, L): the maximum of the map, level by level
        return {f"level {level}": term for level, term in enumerate(at_peak.unbind(1))}

    @torch.no_grad()
    def decode(self, latents: Levels) -> Tensor:
        """Pixels ``(B, 3, S, S)`` for latents as ``latents(images)`` gives them; may leave [0, 1].

        For the latents of an image this is the image, up to rounding: every part is undone. **A latent that was moved
        is in general the latent of no image.** The pyramid turns n pixels into up to 4/3 n numbers and the stem three
        colours into C channels, so images fill only a thin part of latent space. What comes back is the picture of the
        moved levels as far as three colours can show it (least squares), and
        ``latents(decode(moved).clamp(0, 1))`` is another point than ``moved``: how far apart the two are says how much
        of the move a picture can carry.

        Raises:
            DetectorError: not fitted, behind a backbone (features have no way back to pixels), or latents of another
                shape.
        """
        self._need_fit("decode")
        if self.model.stem is None:
            raise DetectorError(f"{self.name}.decode: a backbone has no way back to pixels. Use the variant without.")
        found, expected = [z.shape[1:] for z in latents], [t.shape[1:] for t in self.template]
        if found != expected:
            raise DetectorError(f"{self.name}.decode got latents of shapes {[tuple(f) for f in found]}. Expected "
                                f"{[tuple(e) for e in expected]} behind the batch axis, as latents(images) gives.")
        return self.model.stem.back(self.model.back(tuple(z.to(self.device) for z in latents))).cpu()

    def parameters_count(self) -> int:
        """Trained numbers of the flow; the stem is drawn, template and running means are averages. Needs no fit."""
        return sum(p.numel() for p in self.build_model().parameters())


def flipped(images: Tensor, *key: int) -> Tensor:
    """Each of ``(B, C, S, S)`` left-right, upside down and turned by a quarter, each with probability 1/2."""
    draws = torch.rand(len(images), 3, generator=stream(*key)) < 0.5
    turned = []
    for image, (left_right, upside_down, quarter) in zip(images, draws.tolist(), strict=True):
        image = image.flip(2) if left_right else image
        image = image.flip(1) if upside_down else image
        turned.append(image.rot90(1, (1, 2)) if quarter else image)
    return torch.stack(turned)
