"""DifferNet (Rudolph, Wandt, Rosenhahn, WACV 2021, arXiv 2008.12577): a flow on one pooled feature vector per view.

    image -> T rotated views -> AlexNet at 448, 224, 112 px -> mean over positions -> f (768,)
    f -> 8 x (permutation, two-sided coupling) -> z (768,)
    loss  = (|z|^2 / 2 - log_det) / 768         per view, mean over the batch
    score = mean of z^2 over views and entries  (the -log p(z) part only: log_det is in the loss, not in the score)
    map   = sum_c |G * d loss / d x_c|          turned back, mean over views

Numbers: the authors' released code (github.com/marco-rudolph/differnet), whose README calls them those of the paper.
Where the two differ, the choice made here:

- clamp: the code's 0.636 alpha atan(s / alpha), because the published results come from it; the paper's form has
  2 / pi = 0.63662 instead. ``clamp="AtanClamp"`` selects that.
- map: the paper's formula; the code squares it at the end. ``map_power=2`` selects that.
- test angles: the code draws 64 anew for every image, so its AUROC changes from run to run; here 64 are drawn once.
- log_det comes from the same pass as z; the code runs every s/t network twice.
- rotations fill the corners with black and take the nearest pixel, as the code does; so do the smaller scales.
- entries of z are cut at +-1e6 before they are squared, so that a score is always finite; the code cuts after every
  block. No normal image comes near it.

What ``small`` changes, to train in seconds from 100 images without ImageNet:

- the embedded backbone at ``size`` and ``size / 2`` pixels, mean and maximum over positions of its maps: 1344 entries;
- small rotations, mirrored at the edges instead of black, because a texture has no border to hide black corners
  behind (``benchmarks/differnet_views.py`` measures both on the carpet); and a fixed bank of views per image whose
  features are computed once: the paper turns anew at every step, at the price of the backbone at every step;
- the affine flow of ``mahalanobis`` in front (``whiten``) and couplings that begin as the identity (``zero_init``):
  step 0 ranks as ``mahalanobis`` does on the same views;
- noise (``noise``). 100 images do not span 1344 dimensions, so a flow can raise the likelihood of the training vectors
  up to the limit of its clamps: it stretches the directions in which they happen to agree. The shrinkage of the
  whitening pretends that the vectors are noisy; adding that very noise in training makes them so. Without it the loss
  of *normal* images that were not trained on rises while the training loss falls (chapter 08 shows both curves).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from tutorial_lib.flows import Chain, Flow, NoClamp, Permutation, TwoSidedCoupling, Whitening, clamps, dense

from .covariance import shrunk_whitening
from .errors import DetectorError
from .gradient_map import gradient_map
from .images import square
from .pooled import CHOICE, NOISE, ORDER, WEIGHTS, PooledDetector, PooledSettings
from .training import adam, descend, fingerprint
from .views import random_angles, stream


@dataclass(frozen=True, kw_only=True)
class DifferNetSettings(PooledSettings):
    """The defaults are the ``small`` setting.

    Attributes:
        blocks, hidden, depth: coupling blocks; width and number of hidden layers of each s/t network.
        clamp, alpha: class in ``flows.clamps`` and its bound.
        whiten: put the affine flow of ``mahalanobis`` in front; its part of the log_det is a constant.
        noise: add to each training vector, anew at every step, the noise that the shrinkage of the whitening stands
            for; without it the flow learns the training vectors by heart. Needs ``whiten``.
        zero_init: begin as the identity, so that step 0 scores as ``mahalanobis`` does on the same views.
        images_per_step, train_views: an optimiser step sees so many images, so many views of each.
        epochs: passes over the images; ``steps`` overrides it with a number of optimiser steps.
        lr, betas, eps, weight_decay: of Adam.
        map_sigma, map_power, map_views: blur of the map in pixels; power of its end; views (0 = test_views).
    """

    blocks: int = 4
    hidden: int = 128
    depth: int = 2
    clamp: str = "Atan0636Clamp"
    alpha: float = 3.0
    whiten: bool = True
    noise: bool = True
    zero_init: bool = True
    images_per_step: int = 16
    train_views: int = 4
    epochs: int = 0
    steps: int = 200
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-5
    map_sigma: float = 3.0
    map_power: int = 1
    map_views: int = 0
    rotation: float = 10.0
    bank: int = 8
    test_views: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise and not self.whiten:
            raise DetectorError("noise=True needs whiten=True, whose shrinkage says how much. Set noise=False too.")
        if self.steps <= 0 and self.epochs <= 0:
            raise DetectorError(f"steps={self.steps} and epochs={self.epochs}: expected one of them above 0.")


PAPER = {
    "size": 448, "scales": 3, "pooling": ("mean",), "rotation": 180.0, "fill": "black", "bank": 0, "train_views": 4,
    "test_views": 64, "test_angles": "random", "whiten": False, "noise": False, "zero_init": False, "blocks": 8,
    "hidden": 2048, "depth": 3, "clamp": "Atan0636Clamp", "alpha": 3.0, "images_per_step": 24, "epochs": 192,
    "steps": 0, "lr": 2e-4, "betas": (0.8, 0.8), "eps": 1e-4, "weight_decay": 1e-5, "map_sigma": 3.0, "map_power": 1,
    "map_views": 0, "batch": 1,
}


class DifferNet(PooledDetector):
    """A normalizing flow on the pooled features of rotated views."""

    name = "differnet"
    Settings = DifferNetSettings
    settings: DifferNetSettings

    @classmethod
    def paper(cls, seed: int = 0, device: str = "auto", progress: bool = True, weights: str = "pretrained",
              backbone: str = "alexnet", **overrides) -> DifferNet:
        """Every number of the publication. Hours on two cores; made for a GPU and ImageNet weights."""
        return cls._make(backbone, seed, device, progress, PAPER | {"weights": weights} | overrides)

    # features: see PooledDetector.features

    def build_flow(self, dim: int | None = None) -> Flow:
        """The untrained flow on vectors of ``dim`` entries. Initial weights depend on the seed alone."""
        s, dim = self.settings, self.feature_dim if dim is None else dim
        clamp = make_clamp(s.clamp, s.alpha)
        steps = []
        with torch.random.fork_rng(devices=[]):  # linear layers draw from the global stream: give it back unchanged
            torch.manual_seed(int(stream(s.seed, WEIGHTS).initial_seed()))
            for k in range(s.blocks):
                steps += [Permutation(dim, seed=k), TwoSidedCoupling(dim, dense(s.hidden, s.depth, s.zero_init), clamp)]
        return Flow(Chain(*steps), (dim,))

    @staticmethod
    def loss(z: Tensor, log_det: Tensor) -> Tensor:
        """(|z|^2 / 2 - log_det) / D for each vector, ``(M,)``: the NLL per entry without its constant ln(2 pi) / 2."""
        return (0.5 * z.square().sum(1) - log_det) / z.shape[1]

    def _fit(self, images, callback, resume):
        s, n = self.settings, len(images)
        bank = self.bank_features(images) if s.bank or s.whiten else None  # (N, V, D)
        whitening, shrinkage, noise = Whitening(self.feature_dim), 0.0, None
        if s.whiten:
            whitening, shrinkage, noise = shrunk_whitening(bank.flatten(0, 1), independent=bank[:, 0])
        whitening = whitening.float().to(self.device)
        white = None if not s.bank else whitening(bank.flatten(0, 1))[0].view_as(bank)
        flow = self.build_flow().to(self.device)
        per_epoch = -(-n // s.images_per_step)  # the last, smaller batch is kept

        def loss_at(step: int) -> Tensor:
            epoch, k = divmod(step, per_epoch)
            order = torch.randperm(n, generator=stream(s.seed, ORDER, epoch))
            chosen = order[k * s.images_per_step:(k + 1) * s.images_per_step]  # (b,)
            if s.bank:
                view = torch.randint(s.bank, (len(chosen), s.train_views), generator=stream(s.seed, CHOICE, step))
                x = white[chosen[:, None], view].flatten(0, 1)  # (b * views, D)
            else:
                x = whitening(self._fresh_features(images, chosen.tolist(), step))[0]
            if s.noise:
                drawn = noise.float() * torch.randn(x.shape, generator=stream(s.seed, NOISE, step)).to(self.device)
                x = (1 - shrinkage) ** 0.5 * x + whitening(whitening.mean + drawn)[0]
            return self.loss(*flow(x)).mean()

        optimiser = adam(flow.parameters(), lr=s.lr, betas=s.betas, eps=s.eps, weight_decay=s.weight_decay)
        steps = s.steps or s.epochs * per_epoch
        key = fingerprint(images, asdict(s) | {"backbone_label": self.backbone_label}) if resume is not None else ""
        with self.bar(steps, f"{self.name} fit", "step") as bar:
            losses = descend(flow, loss_at, steps, optimiser, bar, callback, resume, key)
        state = {f"whitening.{k}": v for k, v in whitening.state_dict().items()}
        state |= {f"flow.{k}": v for k, v in flow.state_dict().items()}
        return state, {"loss": losses, "steps": steps, "shrinkage": shrinkage, "dim": whitening.dim}

    @torch.no_grad()
    def _fresh_features(self, images, chosen: list[int], step: int) -> Tensor:
        """Views drawn for this step alone, ``(b * train_views, D)``: what the paper does."""
        s = self.settings
        batch, _ = square(images, chosen, s.size, f"{self.name}.fit")
        angles = random_angles(len(chosen) * s.train_views, s.rotation, s.seed, CHOICE, step)
        return self._vectors(batch.to(self.device), angles.view(len(chosen), -1)).flatten(0, 1)

    def _adopt(self, state):
        dim = len(state["whitening.mean"])
        whitening, flow = Whitening(dim).to(self.device), self.build_flow(dim).to(self.device)
        whitening.load_state_dict({k[10:]: v for k, v in state.items() if k.startswith("whitening.")})
        flow.load_state_dict({k[5:]: v for k, v in state.items() if k.startswith("flow.")})
        self.flow = Flow(Chain(whitening, *flow.transform.transforms), (dim,)).requires_grad_(False)

    def _encode(self, features):
        return self.flow(features)[0]  # (M, D)

    def _terms(self, batch):
        (z,) = self._latents(batch)  # (B, T, D)
        return {"latent": z.clamp(-1e6, 1e6).square().mean((1, 2))}

    def _map(self, batch):
        angles = self.test_angles()[:self.settings.map_views or None]
        g = gradient_map(self.view_loss, batch, angles, self.settings.map_sigma, self.settings.fill)
        return g**self.settings.map_power

    def view_loss(self, views: Tensor) -> Tensor:
        """The loss of each view, ``(M, 3, S, S)`` to ``(M,)``: its gradient is what the map shows."""
        return self.loss(*self.flow(self.features(views)))

    def parameters_count(self) -> int:
        """Trained numbers of the flow, and those of the whitening where there is one. Needs no fit."""
        dim = self.feature_dim
        with torch.device("meta"):  # shapes only, no memory
            trained = sum(p.numel() for p in self.build_flow(dim).parameters())
        return trained + (dim + dim * (dim + 1) // 2 if self.settings.whiten else 0)


def make_clamp(name: str, alpha: float) -> Callable[[Tensor], Tensor]:
    """The class ``name`` of ``flows.clamps`` with its bound ``alpha``, if it has one."""
    known = sorted(n for n in vars(clamps) if n.endswith("Clamp"))
    if name not in known:
        raise DetectorError(f"differnet got clamp={name!r}. Expected one of {', '.join(known)}.")
    return NoClamp() if name == "NoClamp" else getattr(clamps, name)(alpha)
