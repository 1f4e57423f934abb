"""Chapter 07's experiment: walk to another picture along directions that the features do not notice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SEEN = 1e-3  # singular values below this share of the largest count as zero: such directions are hardly seen at all


def walk(extract: Callable[[Tensor], Tensor], start: Tensor, goal: Tensor, steps: int = 8) -> Tensor:
    """From ``start`` towards ``goal``, as far as the features allow; returns a picture with the features of ``start``.

    Each step goes along the part of (goal - start) / steps that lies in the null space of the Jacobian at the present
    picture, J v = 0; then one Newton step within the row space takes back what the bend of ``extract`` has added.

    Args:
        extract: pictures ``(1, 3, H, W)`` to features ``(1, m)``, with m far below 3 H W.
        start, goal: pictures ``(3, H, W)``.
    """
    x, wanted, direction = start, extract(start[None])[0].detach(), (goal - start).flatten() / steps
    for _ in range(steps):
        J = torch.autograd.functional.jacobian(lambda u: extract(u[None])[0], x, vectorize=True).flatten(1)  #
        U, S, V = torch.linalg.svd(J, full_matrices=False)
        keep = S / S[0] > SEEN
        U, S, V = U[:, keep], S[keep], V[keep]                   # (m, r), (r,), (r, n): what the features see
        unseen = direction - V.T @ (V @ direction)               # (n,): J unseen = 0
        x = x + unseen.view_as(x)
        back = V.T @ (U.T @ (extract(x[None])[0].detach() - wanted) / S)
        x = x - back.view_as(x)
    return x.detach()
