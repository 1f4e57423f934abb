"""AlexNet's convolutional part, the backbone of DifferNet (Krizhevsky 2014, arXiv 1404.5997; torchvision's version).

Five convolutions with ReLU, three max-pools, ending behind the last one: tap ``last``, 256 channels, values >= 0.
One side of the map: 13 at 448 pixels, 6 at 224, 2 at 112. A position sees 195 pixels and the stride is 32, so at 112
pixels every position reaches beyond the edge of the image, into the zero padding.
Parameters: 2,469,696. The fully connected layers, 58 of AlexNet's 61 million parameters, are left out.
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Tap, receptive_field
from .checkpoints import Published, torchvision_weights
from .published import PublishedBackbone

# (kernel, stride) of conv, pool, conv, pool, conv, conv, conv, pool
LAYERS = [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)]


class AlexNet(PublishedBackbone):
    """Convolutional part of AlexNet with one tap, ``last``: ``(B, 256, h, w)`` behind the last max-pool."""

    name = "alexnet"
    _field, _stride = receptive_field(LAYERS)
    ALL_TAPS = {"last": Tap(_stride, 256, _field)}  # noqa: RUF012  a constant
    DEFAULT_TAPS = ("last",)
    MIN_SIZE = 63
    PREFIX = "features."

    def build(self) -> nn.Module:
        from torchvision.models import alexnet  # here, so that importing this package does not load every model

        return alexnet()

    def cut(self, network: nn.Module) -> nn.Module:
        return network.features

    @staticmethod
    def source() -> Published:
        return torchvision_weights("AlexNet", "AlexNet_Weights.IMAGENET1K_V1")

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        return {"last": self.network(x)}
