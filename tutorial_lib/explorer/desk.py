"""Everything that the explorer shows, as pure functions of a state: image, scale, place. No widget here.

A desk is made once per study; then a card takes some tens of milliseconds, whatever the number of images.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib import plots
from tutorial_lib.plots import explorer as pictures
from tutorial_lib.widgets.canvas import Canvas, View

from . import distribution, places, projection
from .blame import Blame, blame, sentence
from .gradients import gradient_map
from .study import Study

PLANES = ("principal components", "score and radius")


class Desk:
    """A study laid out for looking: ``card`` of an image, ``place`` in it, ``plane`` of all images.

    Args:
        study: what to look at.
        masks: ``(N, H, W)`` bool, the true defects where they are known; drawn as outlines.
    """

    def __init__(self, study: Study, masks: Tensor | None = None):
        self.study, self.masks = study, masks
        self.all_vectors = study.vectors()
        self.squares = self.all_vectors.square().sum(1)
        self.reference = {name: _centre_and_spread(t[study.good]) for name, t in study.terms.items()}
        self.looks = pictures.looks(study.groups)
        self._pictures: dict[int, tuple[pictures.CardPicture, Canvas]] = {}
        self.place_picture = pictures.PlacePicture()
        self.place_canvas = Canvas(self.place_picture.fig, self.place_picture.moving)
        self.place_canvas.keep("place")
        self._planes: dict = {}

    # -- all images ---------------------------------------------------------------------------------------------

    def plane(self, kind: str, scale: int | None) -> projection.Plane:
        """Two coordinates per image; ``kind`` is one of ``PLANES``, ``scale`` None means all scales together."""
        if (kind, scale) not in self._planes:
            vectors = self.study.vectors(scale)
            self._planes[kind, scale] = (projection.principal_plane(vectors) if kind == PLANES[0] else
                                         projection.radius_plane(vectors, self.study.scores))
        return self._planes[kind, scale]

    def on_screen(self, kind: str, scale: int | None) -> tuple[np.ndarray, tuple[str, str]]:
        """Points ``(N, 2)`` with outliers drawn in (asinh, in units of the normal images), and what the axes are."""
        points, axes, share = self.plane(kind, scale)
        normal = points[self.study.normal].double()
        if kind == PLANES[0]:
            shown = pictures.compressed((points - normal.mean(0)).numpy(), normal.std(0).clamp(min=1e-6).numpy())
            return shown, (f"{axes[0]} ({share:.0%} of the variance in both)", f"{axes[1]} (far points drawn in)")
        shown = points.double().numpy().copy()
        shown[:, 1] = np.log(np.maximum(shown[:, 1], 1e-6))
        return shown, (axes[0], f"ln ({axes[1]})")

    def numbers(self, scale: int) -> dict[str, float]:
        """How far the latents of held-out normal images are from N(0, I), at one scale."""
        z = self.study.latents[scale][self.study.good]
        near = distribution.neighbours(z)
        return distribution.moments(z) | distribution.leftover(z) | {
            "chi2": distribution.chi2_distance(z)} | ({} if near is None else {"neighbours": near})

    def shapes(self, scale: int) -> View:
        """Marginals, quantiles, norms and correlations at one scale, held-out normal images against the defective."""
        if ("shapes", scale) not in self._planes:
            figure = distributions_of(self.study, scale)
            alt = (f"{self.study.scales[scale]}: held-out normal images in blue, defective ones in orange; dashed is "
                   "N(0, I).")
            self._planes["shapes", scale] = View(plots.png(figure, dpi=90), self.numbers(scale), alt)
        return self._planes["shapes", scale]

    # -- one image ----------------------------------------------------------------------------------------------

    def card(self, index: int) -> View:
        """The six panels of one image, the numbers behind them, and one sentence."""
        s = self.study
        gradient = gradient_map(s.detector, s.images[index:index + 1])[0]
        found = blame(s, index, gradient)
        near = projection.nearest(self.all_vectors, index, s.normal, self.squares)
        spreads = [(found.terms[name] - centre) / spread for name, (centre, spread) in self.reference.items()]
        heat = None if s.maps is None else _to(s.maps[index], s.images.shape[-1])
        where = (f"channels at the cross, {s.scales[found.scale]}" if s.has_positions(found.scale) or
                 s.detector.name == "pca" else f"entries of the vector, {s.scales[found.scale]}")
        missing = "its heat map is\nthe gradient map" if s.detector.has_map else "no heat map:\nno positions"
        titles = (f"{s.names[index]}\nscore {found.score:.3g}", "heat map" if heat is not None else missing,
                  "gradient map:\nwhat would move the score",
                  f"nearest normal: {s.names[near.index]}\n{near.distance:.3g} away (half: over {near.median:.3g})")
        picture, canvas = self._picture(len(found.channels))
        picture.set(pictures.as_picture(s.images[index]), heat, _to(gradient, s.images.shape[-1]),
                    pictures.as_picture(s.images[near.index]), self._mask(index), found.place, titles, spreads,
                    list(s.terms).index(found.term), found.channels.numpy(), found.channel, where)
        rank = int((s.scores > s.scores[index]).sum()) + 1
        pixels = projection.apart(s.images, index, near.index, s.normal)
        numbers = {"score": found.score, "rank": rank, "row": found.place[0], "column": found.place[1],
                   "scale": found.scale, "channel": found.channel, "nearest": near.index,
                   "distance": near.distance, "median": near.median, "pixels": pixels[0], "pixel median": pixels[1]}
        return View(canvas.png("card"), numbers, self.says(index, found, near, pixels))

    def says(self, index: int, found: Blame, near: projection.Nearest, pixels: tuple[float, float]) -> str:
        """The card in words."""
        return (f"{sentence(self.study, index, found)} Of the normal images, {self.study.names[near.index]} is the "
                f"nearest: {near.distance:.3g} away in latent space; half are more than {near.median:.3g} away. "
                f"In pixels it is {pixels[0]:.3g} away; half are more than {pixels[1]:.3g} away.")

    def place(self, index: int, scale: int, cell: tuple[int, int]) -> View:
        """Where the vector at one cell lies among those of normal images at the same cell.

        Raises:
            DetectorError: no positions at this scale.
        """
        s = self.study
        found = places.look_at(s, index, scale, cell)
        z = s.latents[scale][:, :, cell[0], cell[1]].double().square().mean(1)
        normals, own = found.normals.double().numpy(), found.own.double().numpy()
        compared = s.good & (torch.arange(len(z)) != index)
        self.place_picture.set(normals, own, z[compared].numpy(), found.energy)
        times = found.energy / max(found.usual, 1e-12)
        many = f"{times:.2g}" if times < 10 else f"{times:,.0f}"
        alt = (f"{s.names[index]}, cell ({cell[0]}, {cell[1]}) of {s.scales[scale]}: ‖z‖² / C is {found.energy:.3g}, "
               f"{many} times the median of normal images at this cell; {found.above:.0%} of them lie higher. "
               f"Largest channel: {int(found.channels.argmax())}.")
        return View(self.place_canvas.png("place"), {"energy": found.energy, "usual": found.usual, "above": found.above,
                                                     "channel": int(found.channels.argmax())}, alt)

    def _picture(self, entries: int) -> tuple[pictures.CardPicture, Canvas]:
        """The card for vectors of so many entries: scales differ in width, and the axis ends with the last entry."""
        if entries not in self._pictures:
            s = self.study
            unit = {"pca": "squared residual", "pyramidflow": "squared distance"}.get(s.detector.name, "z²")
            picture = pictures.CardPicture(s.images.shape[-1], list(s.terms), entries, self._heat_limits(), unit)
            canvas = Canvas(picture.fig, picture.moving)
            canvas.keep("card")
            self._pictures[entries] = picture, canvas
        return self._pictures[entries]

    def _heat_limits(self) -> tuple[float, float] | None:
        maps = self.study.maps
        if maps is None:
            return None
        low = float(maps[self.study.good].median())
        return low, max(float(maps.flatten(1).amax(1).double().quantile(0.75)), low + 1e-9)

    def _mask(self, index: int) -> np.ndarray | None:
        return None if self.masks is None else _to(self.masks[index].float(), self.study.images.shape[-1]) > 0.5


def distributions_of(study: Study, scale: int) -> Figure:
    """The figure of the four looks at one scale of a study."""
    z = study.latents[scale]
    good, bad = z[study.good], z[study.defective if study.defective.any() else study.good]
    qq = [tuple(q.numpy() for q in distribution.qq_normal(part)) for part in (good, bad)]
    norms = [tuple(q.numpy() for q in distribution.qq_chi2(part)) for part in (good, bad)]
    entries = [part.flatten()[::max(1, part.numel() // 200_000)].numpy() for part in (good, bad)]
    return pictures.distributions(*entries, qq, norms, distribution.rows_of(z).shape[1],
                                  distribution.correlation(good).numpy())


def _centre_and_spread(t: Tensor) -> tuple[float, float]:
    """Median, and the distance from there to the 90 % quantile: a spread that defects and zeros do not spoil."""
    t = t.double()
    centre = float(t.median())
    return centre, max(float(t.quantile(0.9)) - centre, 1e-3 * abs(centre), 1e-9)


def _to(m: Tensor, side: int) -> np.ndarray:
    """A map ``(h, w)`` as ``(side, side)``."""
    if m.shape[-1] != side:
        m = torch.nn.functional.interpolate(m[None, None].float(), size=(side, side), mode="bilinear")[0, 0]
    return m.float().numpy()
