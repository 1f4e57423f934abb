"""Convolutional networks of torchvision: ResNet-18, Wide ResNet-50-2, EfficientNet-B5, MobileNetV3-Large.

The four are chains of stages, and each tap is what leaves a stage. The numbers of a tap are written down here and
measured on the network in the tests; ``Backbone.forward`` compares the channels at every call.

EfficientNet and MobileNet contain squeeze-and-excitation: a channel is multiplied by a number that depends on its mean
over the whole image. Their receptive fields below are those of the convolutions. Through these gates every position
also knows a little of the whole image.
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Tap
from .checkpoints import Published, torchvision_weights
from .published import PublishedBackbone


class _ResNet(PublishedBackbone):
    """Stages ``layer1`` to ``layer4``, each behind its last ReLU (He et al. 2015, arXiv 1512.03385)."""

    DEFAULT_TAPS = ("layer1", "layer2", "layer3")  # those of FastFlow; CFlow reads layer2, layer3, layer4
    MIN_SIZE = 32

    def cut(self, network: nn.Module) -> nn.Module:
        layers = list(self.ALL_TAPS)
        for name in layers[layers.index(self.deepest) + 1:]:
            setattr(network, name, nn.Identity())
        network.avgpool = network.fc = nn.Identity()
        return network

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        n, found = self.network, {}
        x = n.maxpool(n.relu(n.bn1(n.conv1(x))))  # (B, 64, H/4, W/4)
        for name in self.ALL_TAPS:
            x = found[name] = getattr(n, name)(x)
            if name == last:
                break
        return found


class ResNet18(_ResNet):
    """ResNet-18: FastFlow's smaller backbone; PyramidFlow's encoder ends at ``layer1``."""

    name = "resnet18"
    ALL_TAPS = {"layer1": Tap(4, 64, 43), "layer2": Tap(8, 128, 99),  # noqa: RUF012
                "layer3": Tap(16, 256, 211), "layer4": Tap(32, 512, 435)}

    def build(self) -> nn.Module:
        from torchvision.models import resnet18

        return resnet18()

    @staticmethod
    def source() -> Published:
        return torchvision_weights("ResNet-18", "ResNet18_Weights.IMAGENET1K_V1")


class WideResNet50(_ResNet):
    """Wide ResNet-50-2 of CFlow and FastFlow (Zagoruyko, Komodakis 2016, arXiv 1605.07146)."""

    name = "wide_resnet50_2"
    ALL_TAPS = {"layer1": Tap(4, 256, 35), "layer2": Tap(8, 512, 91),  # noqa: RUF012
                "layer3": Tap(16, 1024, 267), "layer4": Tap(32, 2048, 427)}

    def build(self) -> nn.Module:
        from torchvision.models import wide_resnet50_2

        return wide_resnet50_2()

    @staticmethod
    def source() -> Published:
        return torchvision_weights("Wide ResNet-50-2", "Wide_ResNet50_2_Weights.IMAGENET1K_V1")


class _Features(PublishedBackbone):
    """A network whose ``features`` are a chain; ``PLACES`` says behind which link each tap is."""

    PLACES: dict[str, int]

    def cut(self, network: nn.Module) -> nn.Module:
        kept = nn.Module()
        kept.features = network.features[:self.PLACES[self.deepest] + 1]
        return kept


class EfficientNetB5(_Features):
    """EfficientNet-B5 of CS-Flow, which reads ``stage6`` (Tan, Le 2019, arXiv 1905.11946).

    ``stage6`` ends with the 36th of 39 blocks: 304 channels, signed, for no activation follows. The next block has 512
    channels at the same stride; the released code of CS-Flow read it for months and went on with 304 of the 512.
    torchvision pads on both sides; the package that CS-Flow used, efficientnet_pytorch, pads more on the right and
    below, so its values differ a little.
    """

    name = "efficientnet_b5"
    PLACES = {f"stage{i}": i for i in range(1, 8)}  # noqa: RUF012
    ALL_TAPS = {"stage1": Tap(2, 24, 15), "stage2": Tap(4, 40, 51), "stage3": Tap(8, 64, 195),  # noqa: RUF012
                "stage4": Tap(16, 128, 403), "stage5": Tap(16, 176, 851), "stage6": Tap(32, 304, 1939),
                "stage7": Tap(32, 512, 2131)}
    DEFAULT_TAPS = ("stage6",)
    MIN_SIZE = 32

    def build(self) -> nn.Module:
        from torchvision.models import efficientnet_b5

        return efficientnet_b5()

    @staticmethod
    def source() -> Published:
        return torchvision_weights("EfficientNet-B5", "EfficientNet_B5_Weights.IMAGENET1K_V1")

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        found = {}
        for i, stage in enumerate(self.network.features):
            x = found[f"stage{i}"] = stage(x)
            if f"stage{i}" == last:
                break
        return found


class MobileNetV3Large(_Features):
    """MobileNetV3-Large, CFlow's fast backbone (Howard et al. 2019, arXiv 1905.02244).

    CFlow taps three blocks *before* their last batch normalisation and their shortcut: ``project6``, ``project12``,
    ``project15`` (1 x 1 convolutions). ``block6``, ``block12``, ``block15`` are what leaves the same blocks.
    """

    name = "mobilenet_v3_large"
    PLACES = {"project6": 6, "block6": 6, "project12": 12, "block12": 12, "project15": 15, "block15": 15}  # noqa: RUF012
    ALL_TAPS = {"project6": Tap(8, 40, 99), "block6": Tap(8, 40, 99), "project12": Tap(16, 112, 275),  # noqa: RUF012
                "block12": Tap(16, 112, 275), "project15": Tap(32, 160, 595), "block15": Tap(32, 160, 595)}
    DEFAULT_TAPS = ("project6", "project12", "project15")
    MIN_SIZE = 32

    def build(self) -> nn.Module:
        from torchvision.models import mobilenet_v3_large

        return mobilenet_v3_large()

    @staticmethod
    def source() -> Published:
        return torchvision_weights("MobileNetV3-Large", "MobileNet_V3_Large_Weights.IMAGENET1K_V1")

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        found = {}
        for i, block in enumerate(self.network.features):
            if f"project{i}" not in self.PLACES:
                x = block(x)
                continue
            *before, end = block.block
            y = x
            for part in before:
                y = part(y)
            convolution, *rest = end
            y = found[f"project{i}"] = convolution(y)
            if f"project{i}" == last:
                break
            for part in rest:
                y = part(y)
            x = found[f"block{i}"] = x + y if block.use_res_connect else y
        return found
