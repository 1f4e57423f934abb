"""What the published networks share: built without memory, cut behind the deepest tap, filled from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from . import checkpoints
from .base import Backbone


class PublishedBackbone(Backbone):
    """A network of torchvision or timm. Subclasses give ``build``, ``cut``, ``source`` and ``maps``.

    ``network`` keeps the names of its library, so that published checkpoints fit; ``PREFIX`` stands in front of the
    names in a checkpoint where ``network`` is only a part.
    """

    MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet: the published weights expect it
    PREFIX: ClassVar[str] = ""

    def __init__(self, taps: Iterable[str] | None = None):
        super().__init__(taps)
        with torch.device("meta"):  # shapes only: no memory for what is cut off, and no random number is drawn
            network = self.build()
            self.known = frozenset(network.state_dict())
            network = self.cut(network)
        self.network = network.to_empty(device="cpu")

    def build(self) -> nn.Module:
        """The complete network as its library makes it, on the meta device."""
        raise NotImplementedError

    def cut(self, network: nn.Module) -> nn.Module:
        """The network without anything behind the deepest tap."""
        raise NotImplementedError

    @staticmethod
    def source() -> checkpoints.Published:
        """Where the published weights are."""
        raise NotImplementedError

    @staticmethod
    def renamed(key: str) -> str:
        """Name of a tensor now, for its name in older checkpoints."""
        return key

    def fill(self, state: dict[str, Tensor], who: str) -> None:
        """Take the weights from a checkpoint of the complete network; ``who`` names it in sentences.

        Raises:
            WeightsDamaged: names or shapes are not those of this network.
        """
        own = {self.PREFIX + name: tensor.shape for name, tensor in self.network.state_dict().items()}
        found = checkpoints.fit({self.renamed(k): t for k, t in state.items()}, own, set(self.known), who)
        self.network.load_state_dict({name.removeprefix(self.PREFIX): t for name, t in found.items()}, assign=True)
