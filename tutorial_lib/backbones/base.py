"""A frozen feature extractor: images in, one feature map per tap out.

A *tap* is a named place in the network whose map is handed out. Three numbers describe it: how many pixels of the
image one step in the map is (stride), how many numbers each position holds (channels), and how wide a square of the
image one of these numbers can see (receptive field).

A frozen network is asked for derivatives only when its images are, backward or forward (``torch.func.jvp``): then it
computes as usual. Otherwise it runs in inference mode, which keeps no records, and its maps leave as ordinary tensors
that a model may be trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual


@dataclass(frozen=True)
class Tap:
    """What one feature map is: stride in pixels, channels, receptive field in pixels (side of the square).

    A receptive field of None means the whole image: every position of a transformer attends to all others.
    """

    stride: int
    channels: int
    receptive_field: int | None


def receptive_field(layers: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Receptive field and stride, in pixels, behind a chain of ``(kernel, stride)`` layers.

    The recursion: r = r + (k - 1) * j, then j = j * stride, from r = j = 1, where j is the distance in pixels between
    two neighbours of the map that the layer reads. (Araujo, Norris, Sim: Computing Receptive Fields of
    Convolutional Neural Networks, Distill 2019.)
    """
    field = jump = 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field, jump


def differentiated(images: Tensor) -> bool:
    """Whether somebody follows what is computed from these images: autograd, or forward differentiation."""
    return (torch.is_grad_enabled() and images.requires_grad) or unpack_dual(images).tangent is not None


class Backbone(nn.Module):
    """Frozen network with named taps; subclasses define ``ALL_TAPS``, ``MEAN``, ``STD`` and ``maps``.

    Args:
        taps: names to hand out, in this order; None means the subclass's default.

    Attributes:
        name: the network, such as ``"embedded"``.
        label: the network and its weights in words, for tables: ``"embedded 1f2e3d4c"``, ``"alexnet random seed 0"``.
        settings: keyword arguments with which ``load`` builds this backbone again.
        taps: the ``Tap`` of each map that ``forward`` returns, in order.
    """

    name: str
    label: str
    settings: dict
    ALL_TAPS: dict[str, Tap]
    DEFAULT_TAPS: tuple[str, ...]
    MEAN: tuple[float, float, float]
    STD: tuple[float, float, float]
    MIN_SIZE = 1
    REVISION = 1  # to be raised when the same weights would give other maps: stored features are then made anew

    def __init__(self, taps: Iterable[str] | None = None):
        super().__init__()
        names = tuple(self.DEFAULT_TAPS if taps is None else [taps] if isinstance(taps, str) else taps)
        unknown = [name for name in names if name not in self.ALL_TAPS]
        if unknown or not names:
            found = f"has no tap {unknown[0]!r}" if unknown else "was asked for no tap at all"
            known = list(self.ALL_TAPS)
            known = known if len(known) < 16 else [*known[:2], "...", known[-1]]
            raise ValueError(f"The backbone {self.name!r} {found}. Choose from {', '.join(known)}.")
        self.taps = {name: self.ALL_TAPS[name] for name in names}
        self.register_buffer("mean", torch.tensor(self.MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.STD).view(1, 3, 1, 1), persistent=False)

    @property
    def deepest(self) -> str:
        """The last of the taps on the way through the network; nothing behind it is computed."""
        return max(self.taps, key=list(self.ALL_TAPS).index)

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        """Map of every tap up to ``last``, for an image that is already normalised."""
        raise NotImplementedError

    def freeze(self) -> Backbone:
        """Switch gradients of the weights off for good, and batch statistics with them; returns itself."""
        self.to(memory_format=torch.channels_last)  # the order of numbers that convolutions on a CPU like best
        return self.requires_grad_(False).train(False)

    def train(self, mode: bool = True) -> Backbone:
        """A frozen backbone has no training mode: this always selects evaluation."""
        return super().train(False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of a batch, in the order of ``taps``: each ``(B, channels, about H/stride, about W/stride)``.

        Args:
            images: ``(B, 3, H, W)`` float in [0, 1]; the normalisation that the weights expect happens here.
                Gradients with respect to the images are possible, those of the weights are off.

        Raises:
            ValueError: the batch has another shape, is too small, or holds integers.
            RuntimeError: a map has other channels than its tap: the wrong layer is read.
        """
        self._check(images)
        wanted = differentiated(images)
        with torch.inference_mode(not wanted):
            found = self.maps((images - self.mean) / self.std, self.deepest)
        for name, tap in self.taps.items():
            if found[name].shape[1] != tap.channels:
                raise RuntimeError(f"The tap {name!r} of {self.name!r} gave {found[name].shape[1]} channels, expected "
                                   f"{tap.channels}: the map comes from another layer. Correct the table of taps.")
        if wanted:
            return tuple(found[name].contiguous() for name in self.taps)
        with torch.inference_mode(False):  # copies made here are ordinary tensors
            return tuple(found[name].clone(memory_format=torch.contiguous_format) for name in self.taps)

    def identity(self) -> dict:
        """Everything that decides the maps of an image, ready for JSON: two backbones with one identity agree.

        Holds the network, its taps in order, the normalisation, the number type, and the SHA-256 of the weights in
        use. Not the image and its size, and not the device.
        """
        return {"backbone": self.name, "revision": self.REVISION, "mean": list(self.MEAN), "std": list(self.STD),
                "taps": {name: asdict(tap) for name, tap in self.taps.items()}, "dtype": str(self.mean.dtype),
                "weights": self._weights_digest()}

    def _weights_digest(self) -> str:
        kept = getattr(self, "_digest", None)
        if kept is None or kept[0] != self.mean.dtype:
            digest = hashlib.sha256()
            for name, tensor in sorted(self.state_dict().items()):
                if name.endswith("num_batches_tracked"):  # a counter of training steps that nothing reads
                    continue
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
            kept = self._digest = (self.mean.dtype, digest.hexdigest())
        return kept[1]

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"The backbone got images of shape {tuple(images.shape)}. Expected (B, 3, H, W): add the "
                             "batch axis with images[None], and turn grey images into three equal channels.")
        if not images.is_floating_point():
            raise ValueError(f"The backbone got images of type {images.dtype}. Expected floats in [0, 1]: "
                             "use images.float() / 255.")
        if min(images.shape[2:]) < self.MIN_SIZE:
            raise ValueError(f"The backbone {self.name!r} got images of {images.shape[2]} x {images.shape[3]} pixels. "
                             f"It needs at least {self.MIN_SIZE} pixels on each side: enlarge the images.")
