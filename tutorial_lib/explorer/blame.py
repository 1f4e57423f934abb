"""Which of the terms that a method's score contains is to blame, at which scale, channel and position."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .gradients import gradient_map
from .places import cell_at
from .study import Study


class Blame(NamedTuple):
    """Why one image has the score it has.

    score, usual_score: its score and the median of the held-out normal images.
    terms, usual: the named parts that add up to the score, and their medians.
    term: the part that exceeds its median most. share: of the whole excess; None where nothing exceeds.
    scale: index into ``study.latents`` at which the channels were looked up.
    place: (row, column) in pixels of the image. by_gradient: True where the method has no map of its own likelihood
        and the place comes from the gradient map, which shows sensitivity.
    channels: ``(C,)`` contributions at that place: z², for pca squared residuals, for pyramidflow squared distances to
        the template. channel: index of the largest.
    """

    score: float
    usual_score: float
    terms: dict[str, float]
    usual: dict[str, float]
    term: str
    share: float | None
    scale: int
    place: tuple[int, int]
    by_gradient: bool
    channels: Tensor
    channel: int


def blame(study: Study, index: int, gradient: Tensor | None = None) -> Blame:
    """Look image ``index`` of the study up in every part of its score; ``gradient`` is its gradient map, if known."""
    terms = {name: float(t[index]) for name, t in study.terms.items()}
    usual = {name: float(t[study.good].median()) for name, t in study.terms.items()}
    excess = {name: terms[name] - usual[name] for name in terms}
    term = max(excess, key=excess.get)
    above = sum(e for e in excess.values() if e > 0)
    place, by_gradient = _place(study, index, gradient)
    scale = _scale(study, index, term, place)
    channels = _channels(study, index, scale, place)
    return Blame(float(study.scores[index]), float(study.scores[study.good].median()), terms, usual, term,
                 excess[term] / above if above > 0 else None, scale, place, by_gradient, channels,
                 int(channels.argmax()))


def sentence(study: Study, index: int, found: Blame) -> str:
    """The finding in words, for a caption or a screen reader."""
    rank = int((study.scores > study.scores[index]).sum()) + 1
    others = study.scores[study.good & (torch.arange(len(study.names)) != index)]
    what = (f"{study.names[index]}: stranger than {int((others < found.score).sum())} of {len(others)} good images. "
            f"Score {found.score:.3g} (higher is stranger; good images: {found.usual_score:.3g}), rank {rank} of "
            f"{len(study.names)}, 1 is the worst. ")
    if len(found.terms) > 1 and found.share is not None:
        what += f"To blame: {found.term}, {found.share:.0%} of what the score is above the usual. "
    elif found.share is None:
        what += "No part of its score exceeds the usual. "
    row, col = found.place
    where = (f"The pixel that would change the score most is row {row}, column {col}. " if found.by_gradient else
             f"Its worst place is row {row}, column {col}. ")
    total, name = float(found.channels.sum()), study.detector.name
    part = float(found.channels[found.channel]) / total if total > 0 else 0.0
    if name == "pca":
        which = f"There, {COLOURS[found.channel]} holds"
    elif study.has_positions(found.scale):
        which = f"There, at {study.scales[found.scale]}, channel {found.channel} holds"
    else:
        which = f"Of {study.scales[found.scale]}, entry {found.channel} holds"
    return f"{what}{where}{which} {part:.0%} of the {_WORD.get(name, '‖z‖²')}."


COLOURS = ("red", "green", "blue")
_WORD = {"pca": "squared residual", "pyramidflow": "squared distance to the template"}


def _place(study: Study, index: int, gradient: Tensor | None) -> tuple[tuple[int, int], bool]:
    sensitivity = study.maps is None
    if sensitivity and gradient is None:
        gradient = gradient_map(study.detector, study.images[index:index + 1])[0]
    heat = gradient if sensitivity else study.maps[index]
    row, col = divmod(int(heat.argmax()), heat.shape[1])
    side = study.images.shape[2:]
    return (row * side[0] // heat.shape[0], col * side[1] // heat.shape[1]), sensitivity


def _scale(study: Study, index: int, term: str, place: tuple[int, int]) -> int:
    """The scale that the term is named after, else the one whose vector at the place is longest for its size."""
    heads = [name.split(" · ")[0] for name in study.scales]
    if term in heads:
        return heads.index(term)
    return max(range(len(heads)), key=lambda k: float(_channels(study, index, k, place).mean()))


def _channels(study: Study, index: int, scale: int, place: tuple[int, int]) -> Tensor:
    if study.detector.name == "pca":
        with torch.no_grad():
            r = study.detector._residual(study.images[index:index + 1].to(study.detector.device))[0].cpu()
        side = study.detector.settings.side
        row, col = cell_at(*place, study.images.shape[2:], (side, side))
        return r.view(3, side, side)[:, row, col].double()
    z = study.latents[scale][index].double()
    if not study.has_positions(scale):
        return z.view(-1, z.shape[-1]).square().mean(0)  # mean over views
    row, col = cell_at(*place, study.images.shape[2:], z.shape[1:])
    return z[:, row, col].square()
