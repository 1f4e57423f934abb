"""Training that keeps no activations: on the way back each layer's input is computed again from its output.

An ordinary backward pass needs what every layer has seen, so memory grows with the number of layers. A flow can be
undone: z alone is kept, x and one layer's activations are recovered on the way (Gomez et al. 2017, The reversible
residual network, arXiv 1707.04585). The price: s and t of each coupling are computed a second time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tutorial_lib.flows.base import Chain, Transform
from tutorial_lib.flows.levels import LevelCoupling, Levels


def reversible(chain: Chain, x: Levels) -> Levels:
    """z of ``chain(x)`` for a tuple of maps, with the same gradients up to rounding, at the memory of one transform.

    There is no log_det: a loss that has none (PyramidFlow's) is what this is for. Running means move once, as in an
    ordinary pass.
    """
    weights = [p for p in chain.parameters() if p.requires_grad]
    return _Reversible.apply(chain, len(x), *x, *weights)


class _Reversible(torch.autograd.Function):
    @staticmethod
    def forward(ctx, chain: Chain, n: int, *tensors: Tensor) -> Levels:
        z = tuple(tensors[:n])                        # autograd is off inside a Function: nothing else is kept
        for transform in chain.transforms:
            z, _ = transform(z)
        ctx.chain = chain
        ctx.save_for_backward(*z)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_z: Tensor) -> tuple:
        z, grads, of_weight = tuple(ctx.saved_tensors), list(grad_z), {}
        for transform in reversed(ctx.chain.transforms):
            x, again = _recovered(transform, z)
            own = [p for p in transform.parameters() if p.requires_grad]
            found = torch.autograd.grad(again, (*x, *own), grads, allow_unused=True)
            grads = [torch.zeros_like(a) if g is None else g for g, a in zip(found, x, strict=False)]
            of_weight |= dict(zip(own, found[len(x):], strict=True))
            z = tuple(part.detach() for part in x)
        weights = [p for p in ctx.chain.parameters() if p.requires_grad]
        return None, None, *grads, *(of_weight[p] for p in weights)


def _recovered(transform: Transform, z: Levels) -> tuple[Levels, Levels]:
    """x with ``transform(x) = z``, and that z again as a function of x that autograd can follow."""
    if isinstance(transform, LevelCoupling):          # one pass of its network serves both directions
        k = transform.level
        x = [part.detach().requires_grad_() for part in z]
        with torch.enable_grad():
            s, t = transform.scale_shift(tuple(x))
            with torch.no_grad():
                before = (z[k] - t) * (-s).exp()
            x[k] = before.requires_grad_()
            again = x[k] * s.exp() + t
        return tuple(x), (*x[:k], again, *x[k + 1:])
    with torch.no_grad():
        x = transform.inverse(z)[0]
    x = tuple(part.detach().requires_grad_() for part in x)
    with torch.enable_grad():
        return x, transform(x)[0]
