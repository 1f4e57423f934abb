"""DifferNet's localisation: which pixels would change the likelihood most (arXiv 2008.12577).

    g = sum_c | G * d loss / d x_c |      per view, turned back, mean over the views

G is a Gaussian blur. The order matters: blur first (speckle of alternating sign cancels), absolute value second,
channel sum last. The map shows where the loss is *sensitive*; on a normal image it is not dark either.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from .views import rotate, turned


def input_gradient(loss: Callable[[Tensor], Tensor], views: Tensor) -> Tensor:
    """d loss_i / d views_i, ``(M, 3, S, S)``, for a ``loss`` that gives one number per view, ``(M,)``.

    Works under ``torch.no_grad`` and ``torch.inference_mode`` callers.
    """
    with torch.inference_mode(False), torch.enable_grad():
        views = views.clone().requires_grad_()  # outside inference mode this copy is a normal tensor
        # the views are independent, so the gradient of the sum holds each one's own gradient
        return torch.autograd.grad(loss(views).sum(), views)[0]


def channel_sum(gradient: Tensor, sigma: float) -> Tensor:
    """sum_c |G * gradient_c|: ``(M, 3, S, S)`` to ``(M, S, S)``. G has deviation ``sigma`` pixels, cut at 4 sigma."""
    reach = min(int(4 * sigma + 0.5), gradient.shape[-1] - 1)  # reflection needs the far side to exist
    return gaussian_blur(gradient, [2 * reach + 1] * 2, [sigma] * 2).abs().sum(1)


def gradient_map(loss: Callable[[Tensor], Tensor], images: Tensor, angles: Tensor, sigma: float,
                 fill: str = "black", at_once: int = 32) -> Tensor:
    """The map g of each image, ``(B, S, S)``, in units of loss per unit of grey value.

    Each view's gradient is turned back by its own angle (bilinear, outside 0) before it is blurred; the released code
    turns back with cubic splines.

    Args:
        loss: views ``(M, 3, S, S)`` to one number each, ``(M,)``.
        images: ``(B, 3, S, S)``. angles: ``(T,)`` degrees. sigma: of the blur, in pixels.
        fill: as the views that the loss was learned on; see ``views``.
        at_once: views in memory together.
    """
    maps = []
    for image in images:
        total = torch.zeros(image.shape[1:], device=image.device)
        for some in angles.to(image.device).split(at_once):
            gradient = input_gradient(loss, turned(image[None], some, fill))  # (t, 3, S, S)
            total = total + channel_sum(rotate(gradient, -some, "bilinear"), sigma).sum(0)
        maps.append(total / len(angles))
    return torch.stack(maps)
