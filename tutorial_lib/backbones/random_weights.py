"""Weights that were never trained: the same for the same seed, on every machine."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def randomise(module: nn.Module, seed: int) -> None:
    """Draw every weight anew from ``seed``; no other random stream is touched.

    Convolutions N(0, 2 / fan_in) (He, Zhang, Ren, Sun 2015, arXiv 1502.01852, equation 10: this keeps the size of
    activations through ReLU layers), linear layers N(0, 1 / fan_in), tokens and positions N(0, 0.02^2), biases 0.
    Normalisations begin as they do before training, factors of residual branches at 1.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(weight: Tensor, deviation: float) -> None:
        weight.copy_(torch.randn(weight.shape, generator=generator) * deviation)

    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                draw(layer.weight, (2 / layer.weight[0].numel()) ** 0.5)
            elif isinstance(layer, nn.BatchNorm2d | nn.LayerNorm):
                layer.reset_parameters()
            elif isinstance(layer, nn.Linear):
                draw(layer.weight, layer.in_features ** -0.5)
            for name, own in layer.named_parameters(recurse=False):
                if name.endswith("bias"):
                    own.zero_()
                elif name == "in_proj_weight":  # queries, keys and values of torch's attention
                    draw(own, own.shape[1] ** -0.5)
                elif name.startswith("gamma"):
                    own.fill_(1)
                elif name != "weight":  # tokens and positions
                    draw(own, 0.02)
