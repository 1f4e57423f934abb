"""A detector's view of a set of images, computed once so that a click need not wait."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tutorial_lib.backbones.cache import FeatureCache
from tutorial_lib.data import Split
from tutorial_lib.detectors import Detector
from tutorial_lib.detectors.images import square

TRAIN, GOOD = "train", "good"


@dataclass(frozen=True)
class Study:
    """Images, what is known about them, and what the detector makes of them.

    Args:
        detector: fitted.
        images: ``(N, 3, H, W)`` in [0, 1].
        groups: one per image: ``"train"`` (the detector was fitted on it), ``"good"`` (normal, held out), or the kind
            of defect.
        title: what the images are, for headings.
        names: one per image; by default the group and a count, such as ``"scratch 3"``.

    Raises:
        ValueError: another number of groups or names than images, or no normal image at all.
    """

    detector: Detector
    images: Tensor
    groups: tuple[str, ...]
    title: str = ""
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            seen: Counter = Counter()
            object.__setattr__(self, "names", tuple(f"{g} {seen.update([g]) or seen[g] - 1}" for g in self.groups))
        found = {"images": len(self.images), "groups": len(self.groups), "names": len(self.names)}
        if len(set(found.values())) != 1:
            raise ValueError(f"A study needs one group and one name per image. Found {found}.")
        if not self.normal.any():
            raise ValueError(f"A study needs normal images (group 'train' or 'good') to compare with. Found "
                             f"{', '.join(sorted(set(self.groups)))}.")

    @classmethod
    def of(cls, detector: Detector, split: Split, size: int | None = None) -> Study:
        """The training images and the test set of ``split``, in this order; files are read at ``size`` pixels."""
        size = size or detector.settings.size
        images = torch.cat([_square(part, size) for part in (split.train, split.test)])
        groups = (TRAIN,) * len(split.train) + tuple(split.kinds)
        names = (tuple(f"{TRAIN} {i}" for i in range(len(split.train))) + tuple(split.paths)) if split.paths else ()
        return cls(detector, images, groups, split.name, names)

    # -- who is who: (N,) bool ----------------------------------------------------------------------------------

    @cached_property
    def train(self) -> Tensor:
        """The images that the detector was fitted on."""
        return torch.tensor([g == TRAIN for g in self.groups])

    @cached_property
    def good(self) -> Tensor:
        """Normal images to compare with: held out ones where there are any, else those of the training."""
        held_out = torch.tensor([g == GOOD for g in self.groups])
        return held_out if held_out.any() else self.train

    @cached_property
    def normal(self) -> Tensor:
        """Normal images, trained on or not."""
        return torch.tensor([g in (TRAIN, GOOD) for g in self.groups])

    @property
    def defective(self) -> Tensor:
        return ~self.normal

    # -- what the detector says ---------------------------------------------------------------------------------

    @cached_property
    def _seen(self) -> tuple[dict[str, Tensor], tuple[Tensor, ...], Tensor | None]:
        """Terms, latents and maps. The frozen network, which takes most of the time, looks at each image once."""
        d, x = self.detector, self.images
        own_map = d.has_map and d.name != "differnet"  # whose map is a gradient map: computed when an image is opened
        with _remembering(d):
            return d.terms(x), d.latents(x), torch.as_tensor(d.anomaly_map(x)) if own_map else None

    @property
    def terms(self) -> dict[str, Tensor]:
        """The parts of the score, each ``(N,)``."""
        return self._seen[0]

    @cached_property
    def scores(self) -> Tensor:
        """``(N,)``, higher is more anomalous: the sum of the terms."""
        return sum(self.terms.values()).double()

    @property
    def maps(self) -> Tensor | None:
        """Heat maps ``(N, H, W)``; None where the method has none but the gradient map."""
        return self._seen[2]

    @cached_property
    def latents(self) -> tuple[Tensor, ...]:
        """One tensor per scale: ``(N, C, h, w)`` where positions are kept, ``(N, T, D)`` or ``(N, D)`` where not.

        Of pyramidflow, whose score knows distances to a template only, the template is taken away.
        """
        if self.detector.name == "pyramidflow":
            return tuple(z - t.cpu() for z, t in zip(self._seen[1], self.detector.template, strict=True))
        return self._seen[1]

    @property
    def promises_normal(self) -> bool:
        """Whether the method is trained so that latents of normal images are N(0, I)."""
        return self.detector.name not in ("pca", "pyramidflow", "patches")

    @cached_property
    def scales(self) -> tuple[str, ...]:
        """A name for each of ``latents``."""
        return scale_names(self.detector, self.latents)

    def has_positions(self, scale: int) -> bool:
        """Whether this scale keeps one vector per position."""
        return self.latents[scale].ndim == 4

    def vectors(self, scale: int | None = None) -> Tensor:
        """One vector per image, ``(N, D)``: one scale flattened, or all side by side. Of several views, the first."""
        chosen = self.latents if scale is None else self.latents[scale:scale + 1]
        return torch.cat([(z[:, 0] if z.ndim == 3 else z).flatten(1) for z in chosen], dim=1)


def scale_names(detector: Detector, latents: tuple[Tensor, ...]) -> tuple[str, ...]:
    """Names such as ``"stride4 · 48 × 16 × 16"``: the tap, the size of the image, or the level of the pyramid."""
    sizes = [" × ".join(str(n) for n in (z.shape[2:] if z.ndim == 3 else z.shape[1:])) for z in latents]
    taps = list(detector.settings.taps or (detector.backbone.taps if detector.settings.backbone else ()))
    if len(latents) == 1:
        heads = ["one vector" if latents[0].ndim < 4 else "one map"]
    elif len(taps) == len(latents):
        heads = taps
    else:
        name = "{1} px" if taps else "level {0}"
        heads = [name.format(k, detector.settings.size // 2**k) for k in range(len(latents))]
    return tuple(f"{head} · {size}" for head, size in zip(heads, sizes, strict=True))


@contextmanager
def _remembering(detector: Detector):
    """Inside, features of an image that was seen before come from memory."""
    if detector.settings.backbone is None:
        yield
        return
    backbone = detector.backbone
    detector._backbone = FeatureCache(limit=0, memory=1 << 30).of(backbone)
    try:
        yield
    finally:
        detector._backbone = backbone


def _square(images, size: int) -> Tensor:
    return square(images, range(len(images)), size, "explorer")[0]
