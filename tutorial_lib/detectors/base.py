"""The one contract of this package. Every detector answers the same calls; the files beside this one hold the maths.

    detector = DifferNet.small(backbone="embedded", seed=0)
    history  = detector.fit(images)          # normal images only
    scores   = detector.score(images)        # (N,)        higher = more anomalous
    maps     = detector.anomaly_map(images)  # (N, H, W)   or a list of (H, W) where sizes differ
    detector.save(path); detectors.load(path)

A subclass gives: ``Settings``, ``_fit`` (images to a dict of tensors), ``_adopt`` (that dict to a ready model),
``_terms``, ``_latents`` and, where the method has one, ``_map``.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from tqdm import tqdm

from tutorial_lib.backbones import Backbone
from tutorial_lib.backbones import load as load_backbone

from . import files
from .errors import DetectorError, NoMapError
from .images import Images, Size, batches, count, to_own_size
from .settings import Settings, device_of, make_settings
from .thresholds import quantile_threshold

Callback = Callable[[int, float], None]  # (step, loss), after each step


class Detector:
    """A model of normal images that scores others. Made by ``small`` or ``paper``, not by the class itself."""

    name: ClassVar[str]
    Settings: ClassVar[type[Settings]] = Settings
    has_map: ClassVar[bool] = True
    min_train: ClassVar[int] = 2

    def __init__(self, settings: Settings, device: str = "auto", progress: bool = True,
                 backbone: Backbone | None = None):
        self.settings = settings
        self.device = device_of(device)
        self.progress = progress
        self.history: dict = {}
        self.thresholds: dict = {}
        self.state: dict[str, Tensor] | None = None  # what fit learned; None before
        self._backbone = backbone

    # -- making one ---------------------------------------------------------------------------------------------

    @classmethod
    def small(cls, backbone: str | Backbone | None = "embedded", seed: int = 0, device: str = "auto",
              progress: bool = True, **overrides) -> Detector:
        """The setting for two CPU cores. ``overrides`` replace single settings by name.

        Raises:
            DetectorError: an override that is no setting of this method.
        """
        return cls._make(backbone, seed, device, progress, overrides)

    @classmethod
    def paper(cls, seed: int = 0, device: str = "auto", progress: bool = True, **overrides) -> Detector:
        """Every number of the publication; the baselines have none and say so."""
        raise DetectorError(f"{cls.name} is a baseline without a paper setting in this package. "
                            f"Use {cls.__name__}.small().")

    @classmethod
    def _make(cls, backbone, seed, device, progress, numbers: dict) -> Detector:
        settings = make_settings(cls.Settings, cls.name, backbone, {"seed": seed} | numbers)
        return cls(settings, device, progress, backbone if isinstance(backbone, Backbone) else None)

    @property
    def backbone(self) -> Backbone:
        """The frozen network, loaded when it is first needed and moved to this detector's device."""
        if self._backbone is None:
            s = self.settings
            with torch.inference_mode(False):  # inference tensors could never take part in a gradient map
                self._backbone = load_backbone(s.backbone, s.weights, s.backbone_seed, s.taps)
        return self._backbone.to(self.device)

    @property
    def backbone_label(self) -> str:
        """Backbone and weights in words, for tables."""
        return "pixels" if self.settings.backbone is None else self.backbone.label

    # -- the contract -------------------------------------------------------------------------------------------

    def fit(self, images: Images, callback: Callback | None = None, resume: str | Path | None = None) -> dict:
        """Learn what normal images look like; returns ``{"loss": [...], "seconds": ..., "images": N, ...}``.

        Args:
            images: normal images only, in [0, 1], a tensor ``(N, 3, H, W)`` or a lazy sequence.
            callback: called as ``callback(step, loss)`` after each training step of a method that has steps.
            resume: a file that a training writes while it runs, and continues from if it exists. Methods that need
                no steps ignore it.

        Nothing of this detector changes before the end: after an error or Ctrl-C it is as it was before.

        Raises:
            DetectorError: images that cannot be learned from; the sentence names the first one.
        """
        if (n := count(images, f"{self.name}.fit")) < self.min_train:
            raise DetectorError(f"{self.name}.fit got {n} training image. What varies between good parts cannot be "
                                f"seen in one: give at least {self.min_train}, better 16 or more.")
        start = time.perf_counter()
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
            state, history = self._fit(images, callback, resume)
        self._become(state)
        self.history = {"loss": [], "images": n} | history | {"seconds": time.perf_counter() - start}
        self.thresholds = {}
        return self.history

    def score(self, images: Images) -> Tensor:
        """One number per image, ``(N,)``: the sum of ``terms``; higher is more anomalous."""
        return sum(self.terms(images).values())

    @torch.no_grad()
    def terms(self, images: Images) -> dict[str, Tensor]:
        """The named parts, each ``(N,)``, that add up to the score; only those that the method's score contains."""
        parts = [self._terms(batch) for batch, _ in self._fitted_batches(images, "terms")]
        return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}

    @torch.no_grad()
    def latents(self, images: Images) -> tuple[Tensor, ...]:
        """The images in the coordinates in which the model is simple: each tensor has the N images in front."""
        parts = [self._latents(batch) for batch, _ in self._fitted_batches(images, "latents")]
        return tuple(torch.cat(same).cpu() for same in zip(*parts, strict=True))

    @torch.no_grad()
    def anomaly_map(self, images: Images) -> Tensor | list[Tensor]:
        """A heat map of each image's own size: ``(N, H, W)``, or a list of ``(H, W)`` where sizes differ.

        Raises:
            NoMapError: the method has no map (``has_map`` is False).
        """
        if not self.has_map:
            raise NoMapError(f"{self.name} pools positions away and has no heat map. Use 'gaussian' or 'differnet', or "
                             "ask for has_map first.")
        maps = []
        for batch, sizes in self._fitted_batches(images, "anomaly_map"):
            maps += to_own_size(self._map(batch).cpu(), sizes)
        same = len({tuple(m.shape) for m in maps}) == 1
        return torch.stack(maps) if same else maps

    def calibrate(self, normals: Images, fpr: float = 0.01) -> dict:
        """A threshold from normal images: at most a share ``fpr`` of them scores above it.

        Use images that were not trained on: those that were score too low, and the threshold with them.
        Returns ``{"threshold", "fpr", "found", "normals", "note"}`` and keeps it as ``thresholds``.
        """
        self.thresholds = quantile_threshold(self.score(normals), fpr)
        return self.thresholds

    def parameters_count(self) -> int:
        """How many numbers fitting sets; the frozen backbone is not counted."""
        self._need_fit("parameters_count")
        return sum(t.numel() for t in self.state.values())

    def save(self, path: str | Path) -> Path:
        """Write settings and everything learned into one safetensors file, in one step (see ``files.write``)."""
        self._need_fit("save")
        card = {"name": self.name, "settings": dataclasses.asdict(self.settings), "backbone": self.backbone_label,
                "history": self.history, "thresholds": self.thresholds}
        return files.write(path, "detector", self.state, card)

    # -- what a subclass gives ----------------------------------------------------------------------------------

    def _fit(self, images: Images, callback: Callback | None, resume: str | Path | None) -> tuple[dict, dict]:
        """Tensors that describe what was learned, and a history; must not change ``self``."""
        raise NotImplementedError

    def _adopt(self, state: dict[str, Tensor]) -> None:
        """Turn the tensors of ``_fit``, now on this device, into whatever scoring needs. Also used after loading."""

    def _terms(self, batch: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def _latents(self, batch: Tensor) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _map(self, batch: Tensor) -> Tensor:
        raise NotImplementedError

    # -- help for subclasses ------------------------------------------------------------------------------------

    def _become(self, state: dict[str, Tensor]) -> None:
        with torch.inference_mode(False):
            state = {name: t.detach().to(self.device).clone(memory_format=torch.contiguous_format)
                     for name, t in state.items()}
            self._adopt(state)
        self.state = state

    def maps(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The backbone's feature maps of images ``(B, 3, S, S)``; a sentence where S is too small for it."""
        need = max(self.backbone.MIN_SIZE, *(tap.stride for tap in self.backbone.taps.values()))
        if batch.shape[-1] < need:
            raise DetectorError(f"{self.name}: the backbone would see {batch.shape[-1]} pixels a side and needs "
                                f"{need}. Use "
                                f"a larger size (now {self.settings.size}) or fewer scales.")
        return self.backbone(batch)

    def _need_fit(self, what: str) -> None:
        if self.state is None:
            raise DetectorError(f"{self.name}.{what} needs a fitted detector. Call fit(images) with normal images "
                                "first, or load one with detectors.load(path).")

    def _fitted_batches(self, images: Images, what: str) -> Iterator[tuple[Tensor, list[Size]]]:
        self._need_fit(what)
        return self._batches(images, what)

    def _batches(self, images: Images, what: str) -> Iterator[tuple[Tensor, list[Size]]]:
        """Square batches on the device and the images' own sizes, with a progress bar."""
        n = count(images, f"{self.name}.{what}")
        with self.bar(n, f"{self.name} {what}", "image") as bar:
            for batch, sizes in batches(images, self.settings.size, self.settings.batch, f"{self.name}.{what}"):
                yield batch.to(self.device), sizes
                bar.update(len(batch))

    def bar(self, total: int, what: str, unit: str) -> tqdm:
        """A progress bar that shows up after one second; never when ``progress`` is False or TQDM_DISABLE is set."""
        silent = {} if self.progress else {"disable": True}  # an argument would overrule the environment
        return tqdm(total=total, desc=what, unit=unit, delay=1, leave=False, **silent)

    def __repr__(self) -> str:
        known = "not fitted" if self.state is None else f"fitted on {self.history.get('images', '?')} images"
        return f"{type(self).__name__}({known}, {json.dumps(dataclasses.asdict(self.settings))})"
