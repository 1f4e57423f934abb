"""AlexNet's convolutional part, the backbone of DifferNet (Krizhevsky 2014, arXiv 1404.5997; torchvision's version).

Five convolutions with ReLU, three max-pools, ending behind the last one: tap ``last``, 256 channels, values >= 0.
One side of the map: 13 at 448 pixels, 6 at 224, 2 at 112. A position sees 195 pixels and the stride is 32, so at 112
pixels every position reaches beyond the edge of the image, into the zero padding.
Parameters: 2,469,696. The fully connected layers, 58 of AlexNet's 61 million parameters, are left out.

Images are normalised by the ImageNet mean and standard deviation of each channel, because the published weights were
trained that way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from .base import Backbone, Tap, receptive_field


class WeightsUnavailable(RuntimeError):
    """Weights were asked for that are not on this machine and cannot be fetched."""


def _features() -> nn.Sequential:
    from torchvision.models import alexnet  # here, so that importing this package does not load every model

    with torch.device("meta"):  # the fully connected part never takes memory, and no random number is drawn
        network = alexnet().features
    return network.to_empty(device="cpu")


# (kernel, stride) of conv, pool, conv, pool, conv, conv, conv, pool
LAYERS = [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)]


class AlexNet(Backbone):
    """Convolutional part of AlexNet with one tap, ``last``: ``(B, 256, h, w)`` behind the last max-pool."""

    name = "alexnet"
    _field, _stride = receptive_field(LAYERS)
    ALL_TAPS = {"last": Tap(_stride, 256, _field)}  # noqa: RUF012  a constant
    DEFAULT_TAPS = ("last",)
    MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    MIN_SIZE = 63

    def __init__(self, taps: Iterable[str] | None = None):
        super().__init__(taps)
        self.features = _features()

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        return {"last": self.features(x)}

    def load_pretrained(self) -> str:
        """Fill in torchvision's ImageNet weights from torch's cache, fetching them if need be; returns their hash.

        Raises:
            WeightsUnavailable: no file in the cache and no way to fetch one; the sentence says what to do.
        """
        from torchvision.models import AlexNet_Weights

        url = AlexNet_Weights.IMAGENET1K_V1.url
        file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
        prefix = file.stem.rsplit("-", 1)[-1]  # torch's files carry the beginning of their hash in their name
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(file), hash_prefix=prefix)
            found = hashlib.sha256(file.read_bytes()).hexdigest()
            if not found.startswith(prefix):
                raise ValueError(f"its SHA-256 begins with {found[:8]}, expected {prefix}")
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            why = f"{file} cannot be read" if file.exists() else f"{url} cannot be reached from here"
            raise WeightsUnavailable(
                f"AlexNet's ImageNet weights are not loaded: {why} ({type(error).__name__}: {error}). Bring the file "
                f"{file.name} (about 240 MB, from {url}) into the folder {file.parent} by hand and try again. "
                "Without it, load('embedded') needs no download, and load('alexnet', weights='random') runs with "
                "weights that were never trained.") from error
        wanted = {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}
        self.features.load_state_dict(wanted)
        return prefix
