"""One position's vector among those that normal images have at the same position."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from tutorial_lib.detectors import DetectorError

from .projection import principal_plane
from .study import Study


class Place(NamedTuple):
    """Where one vector lies.

    cell: row and column in the map of this scale. normals: ``(M, 2)``, the normal images' vectors at the same cell, in
    their own two principal directions. own: ``(2,)``, the vector looked at. energy: its ‖z‖² / C; usual: the median of
    the held-out normal images; above: the share of them that lies higher. channels: ``(C,)``, z² of the vector.
    """

    cell: tuple[int, int]
    normals: Tensor
    own: Tensor
    energy: float
    usual: float
    above: float
    channels: Tensor


def cell_at(row: float, col: float, size: tuple[int, int], cells: tuple[int, int]) -> tuple[int, int]:
    """The cell of a map ``(h, w)`` that covers pixel (row, col) of an image ``(H, W)``."""
    return tuple(min(n - 1, max(0, int(x * n / side))) for x, side, n in zip((row, col), size, cells, strict=True))


def pixel_of(cell: tuple[int, int], size: tuple[int, int], cells: tuple[int, int]) -> tuple[int, int]:
    """The pixel in the middle of a cell."""
    return tuple(int((k + 0.5) * side / n) for k, side, n in zip(cell, size, cells, strict=True))


def look_at(study: Study, index: int, scale: int, cell: tuple[int, int]) -> Place:
    """The vector of image ``index`` at ``cell`` of ``scale``, among those of the normal images.

    Raises:
        DetectorError: the method keeps no positions at this scale.
    """
    need_positions(study, scale)
    z = study.latents[scale][:, :, cell[0], cell[1]].double()  # (N, C)
    others = study.normal.clone()
    others[index] = False
    plane = principal_plane(z, others)
    energy = z.square().mean(1)
    compared = study.good.clone()
    compared[index] = False
    return Place(cell, plane.points[others], plane.points[index], float(energy[index]),
                 float(energy[compared].median()), float((energy[compared] > energy[index]).double().mean()),
                 z[index].square())


def need_positions(study: Study, scale: int) -> None:
    """Raise the sentence that says why there is nothing to click on."""
    if not study.has_positions(scale):
        raise DetectorError(f"{study.detector.name} keeps no positions: one vector stands for the whole image, so no "
                            "place in it has a latent of its own. Choose a method with maps: gaussian, cflow, csflow, "
                            "fastflow or pyramidflow.")
