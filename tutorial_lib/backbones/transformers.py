"""Vision transformers as map makers: ViT-B/16 through torchvision, DeiT and CaiT of FastFlow through timm.

    image (B, 3, H, W) -> patches of 16 x 16 px -> tokens (B, h w, 768) + positions -> blocks -> norm -> (B, 768, h, w)

Tap ``block7`` is what leaves the 7th block (counted from 1), passed through the network's last LayerNorm, without the
class and distillation tokens. The norm is part of every tap, since without it the size of tokens grows from block
to block; the public reimplementation of FastFlow does the same. Every position attends to the whole image: there is no
receptive field, and the tap says None.

Positions were learned on a square grid (14 x 14, 24 x 24 or 28 x 28 patches). For another size of the image they are
interpolated, bicubic; at the native size nothing is. Both sides of an image must be multiples of 16.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Tap
from .checkpoints import Published, torchvision_weights
from .published import PublishedBackbone


class MissingPackage(ImportError):
    """A backbone was asked for whose package is not installed."""


class _Transformer(PublishedBackbone):
    """Tokens through blocks. Subclasses give ``parts``."""

    PATCH = 16
    NATIVE: int
    MIN_SIZE = 16

    def parts(self) -> tuple[nn.Conv2d, list[Tensor], Tensor, nn.Module, nn.Module]:
        """Patch convolution, extra tokens in front, positions ``(1, tokens, C)``, blocks, last norm."""
        raise NotImplementedError

    def keep(self, blocks: nn.Sequential) -> nn.Sequential:
        """The blocks up to the deepest tap."""
        return blocks[:list(self.ALL_TAPS).index(self.deepest) + 1]

    def maps(self, x: Tensor, last: str) -> dict[str, Tensor]:
        patches, extra, positions, blocks, norm = self.parts()
        h, w = (side // self.PATCH for side in x.shape[2:])
        tokens = patches(x).flatten(2).mT                                       # (B, h w, C)
        n = positions.shape[1] - (self.NATIVE // self.PATCH) ** 2               # extra tokens that have a position
        tokens = torch.cat([t.expand(len(x), -1, -1) for t in extra] + [tokens], 1) + _resized(positions, n, h, w)
        found = {}
        for name, block in zip(self.ALL_TAPS, blocks, strict=False):
            tokens = block(tokens)                                              # (B, extra + h w, C)
            if name in self.taps:
                found[name] = norm(tokens)[:, len(extra):].mT.unflatten(2, (h, w))  # (B, C, h, w)
            if name == last:
                break
        return found

    def _check(self, images: Tensor) -> None:
        super()._check(images)
        if any(side % self.PATCH for side in images.shape[2:]):
            raise ValueError(f"The backbone {self.name!r} got images of {images.shape[2]} x {images.shape[3]} pixels. "
                             f"Both sides must be multiples of {self.PATCH}, the side of a patch; it was trained at "
                             f"{self.NATIVE} x {self.NATIVE}. Resize the images.")


def _resized(positions: Tensor, extra: int, h: int, w: int) -> Tensor:
    """Position codes ``(1, extra + s s, C)`` for a grid of ``h x w``: those of the extra tokens stay as they are."""
    front, grid = positions[:, :extra], positions[:, extra:]
    side = int(grid.shape[1] ** 0.5)
    if (h, w) == (side, side):
        return positions
    grid = grid.mT.unflatten(2, (side, side))                                   # (1, C, s, s)
    grid = F.interpolate(grid, (h, w), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([front, grid.flatten(2).mT], 1)


def _taps(blocks: int) -> dict[str, Tap]:
    return {f"block{i}": Tap(16, 768, None) for i in range(1, blocks + 1)}


class ViT(_Transformer):
    """ViT-B/16, 12 blocks, native size 224 (Dosovitskiy et al. 2020, arXiv 2010.11929)."""

    name = "vit_b_16"
    NATIVE = 224
    ALL_TAPS = _taps(12)
    DEFAULT_TAPS = ("block8",)

    def build(self) -> nn.Module:
        from torchvision.models import vit_b_16

        return vit_b_16()

    def cut(self, network: nn.Module) -> nn.Module:
        network.heads = nn.Identity()
        network.encoder.layers = self.keep(network.encoder.layers)
        return network

    def parts(self):
        n = self.network
        return n.conv_proj, [n.class_token], n.encoder.pos_embedding, n.encoder.layers, n.encoder.ln

    @staticmethod
    def source() -> Published:
        return torchvision_weights("ViT-B/16", "ViT_B_16_Weights.IMAGENET1K_V1")

    @staticmethod
    def renamed(key: str) -> str:
        return key.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.")


class _Timm(_Transformer):
    def build(self) -> nn.Module:
        try:
            from timm import create_model
        except ImportError as error:
            raise MissingPackage(f"The backbone {self.name!r} comes from the package timm, which cannot be imported "
                                 f"here ({error}). Install it with: pip install timm, or, in the folder of the course, "
                                 "pip install -e '.[timm]'. The other backbones work without it.") from error
        return create_model(self.name, pretrained=False)

    def cut(self, network: nn.Module) -> nn.Module:
        network.blocks = self.keep(network.blocks)
        for name in ("head", "head_dist", "blocks_token_only"):
            if hasattr(network, name):
                setattr(network, name, nn.Identity())
        return network


class DeiT(_Timm):
    """DeiT-B distilled at 384 px, 12 blocks; FastFlow reads ``block8`` (Touvron et al. 2020, arXiv 2012.12877)."""

    name = "deit_base_distilled_patch16_384"
    NATIVE = 384
    ALL_TAPS = _taps(12)
    DEFAULT_TAPS = ("block8",)

    def parts(self):
        n = self.network
        return n.patch_embed.proj, [n.cls_token, n.dist_token], n.pos_embed, n.blocks, n.norm

    @staticmethod
    def source() -> Published:
        url = "https://dl.fbaipublicfiles.com/deit/deit_base_distilled_patch16_384-d0272ac0.pth"
        return Published("DeiT-B distilled", url, 351, "d0272ac0")


class CaiT(_Timm):
    """CaiT-M48 at 448 px, 48 blocks; FastFlow reads ``block41`` (Touvron et al. 2021, arXiv 2103.17239).

    Its class token joins behind the last of these blocks, so there is none to remove.
    """

    name = "cait_m48_448"
    NATIVE = 448
    ALL_TAPS = _taps(48)
    DEFAULT_TAPS = ("block41",)

    def parts(self):
        n = self.network
        return n.patch_embed.proj, [], n.pos_embed, n.blocks, n.norm

    @staticmethod
    def source() -> Published:
        url = "https://huggingface.co/timm/cait_m48_448.fb_dist_in1k/resolve/main/model.safetensors"
        return Published("CaiT-M48", url, 1426, None)
