"""A straight walk in latent space: each point decoded to pixels where the method can, and encoded again.

Most methods cannot: their latents describe *features*, and a frozen network has no way back to pixels (chapter 07).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tutorial_lib.detectors import Detector, DetectorError

Latents = tuple[Tensor, ...]


class Coder(NamedTuple):
    """The way from pictures ``(B, ...)`` to latents, a tuple of tensors, and back to pictures, which may leave [0, 1].

    ``encode_uncut`` takes what ``decode`` gives, even outside [0, 1]; by default ``encode`` does.
    """

    encode: Callable[[Tensor], Latents]
    decode: Callable[[Latents], Tensor]
    encode_uncut: Callable[[Tensor], Latents] | None = None


class Walk(NamedTuple):
    """pictures: one per step, in [0, 1]. moved: how far the latent was moved. back: distance between the moved latent
    and the latent of the decoded picture; uncut: the same before its pixels are cut to [0, 1]. left: share of pixels
    that had to be cut."""

    pictures: Tensor
    moved: Tensor
    back: Tensor
    uncut: Tensor
    left: Tensor


def decodes(detector: Detector) -> bool:
    """Whether this detector's latents have a way back to pixels."""
    return detector.name == "pyramidflow" and detector.settings.backbone is None


def coder_of(detector: Detector) -> Coder:
    """The coder of a detector that decodes.

    Raises:
        DetectorError: the latents have no way back to pixels; the sentence says why.
    """
    if not decodes(detector):
        raise DetectorError(f"{why_not(detector)} Walk with pyramidflow, or with the flow of chapter 06, which are "
                            "flows on pixels.")
    return Coder(detector.latents, detector.decode,
                 lambda x: tuple(z.cpu() for z in detector._latents(x.to(detector.device))))


def why_not(detector: Detector) -> str:
    """One sentence for who expects pictures: why latents of this method cannot be decoded, or that they can."""
    if decodes(detector):
        return f"{detector.name} is a flow on pixels: its latents can be decoded to pictures."
    if detector.settings.backbone is None:
        return (f"{detector.name} keeps a few coordinates of an image and drops the rest: a latent decodes to no more "
                "than a blur.")
    return (f"{detector.name} works on features of a frozen network, and that network has no way back to pixels: a "
            "latent can be decoded to features, not to a picture.")


def digits_coder(name: str = "one scale") -> Coder:
    """The flow on 8 × 8 digits of chapter 06: pictures ``(B, 1, 8, 8)``, an exact bijection."""
    from tutorial_lib.widgets import picture_flows

    flow = picture_flows.load(name)
    return Coder(lambda x: (flow(x)[0],), lambda z: flow.inverse(z[0])[0])


def distance(a: Latents, b: Latents) -> Tensor:
    """Euclidean distance over all scales together, ``(B,)`` float64."""
    return sum((x.double() - y.double()).square().flatten(1).sum(1) for x, y in zip(a, b, strict=True)).sqrt()


@torch.no_grad()
def walk(coder: Coder, start: Latents, towards: Latents, steps: Tensor) -> Walk:
    """From one latent along the straight line to another and beyond.

    Args:
        coder: encode and decode. start, towards: latents of one picture each, ``(1, ...)`` per scale.
        steps: ``(K,)`` lengths in latent space; 0 is ``start``, the distance between the two is ``towards``.
    """
    length = float(distance(start, towards))
    if length == 0:
        raise DetectorError("The walk has no direction: both ends are the same latent. Choose two different images.")
    unit = tuple((b - a) / length for a, b in zip(start, towards, strict=True))
    moved = tuple(a + steps.to(a).view(-1, *[1] * (a.ndim - 1)) * u for a, u in zip(start, unit, strict=True))
    decoded = coder.decode(moved)
    pictures = decoded.clamp(0, 1)
    cut = ((decoded < 0) | (decoded > 1)).flatten(1).float().mean(1)
    return Walk(pictures, steps.double(), distance(moved, coder.encode(pictures)),
                distance(moved, (coder.encode_uncut or coder.encode)(decoded)), cut)
