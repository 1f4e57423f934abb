"""A walk between two pictures as a widget: the pure part, and a slider on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tutorial_lib.plots import explorer as pictures
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, pictured

from .walks import Coder, Walk, distance, walk

SHARES = torch.linspace(-0.5, 1.5, 21).double()  # of the way from one picture to the other; 0 and 1 are the two


class Walker:
    """Pictures of one size and a way to latents and back.

    Args:
        coder: of the flow. images: ``(N, C, S, S)`` in [0, 1]. names: one per image.
    """

    def __init__(self, coder: Coder, images: Tensor, names: Sequence[str]):
        self.coder, self.images, self.names = coder, images, list(names)
        shape = pictures.as_picture(images[0]).shape
        self.picture = pictures.WalkPicture(shape, (float(SHARES[0]) - 0.12, float(SHARES[-1]) + 0.12))
        self.canvas = Canvas(self.picture.fig, self.picture.moving)
        self.canvas.keep("walk")
        self._kept: tuple | None = None

    def walk(self, start: int, towards: int) -> tuple[Walk, float]:
        """The whole walk between two images, and their distance in latent space. The latest one is kept."""
        if self._kept is None or self._kept[0] != (start, towards):
            with torch.no_grad():
                a, b = (self.coder.encode(self.images[i:i + 1]) for i in (start, towards))
            length = float(distance(a, b))
            self._kept = ((start, towards), (walk(self.coder, a, b, SHARES * length), length))
        return self._kept[1]

    def view(self, start: int, towards: int, step: int) -> View:
        """The picture at one step, the numbers, and a sentence."""
        found, length = self.walk(start, towards)
        share, back = float(SHARES[step]), float(found.back[step])
        titles = (f"from\n{self.names[start]}", f"decoded at\n{share:.1f} of the way", f"to\n{self.names[towards]}")
        ends = [pictures.as_picture(self.images[i]) for i in (start, towards)]
        decoded = pictures.as_picture(found.pictures[step])
        self.picture.set(ends, decoded, titles, SHARES.numpy(), found.back.numpy(), step)
        alt = (f"{share:.1f} of the way from {self.names[start]} to {self.names[towards]}: the latent moved by "
               f"{abs(float(found.moved[step])):.3g} of {length:.3g}. Decoded and encoded again it lands {back:.2g} "
               f"from there; {float(found.left[step]):.0%} of the pixels had to be cut to black or white.")
        numbers = {"moved": float(found.moved[step]), "length": length, "back": back, "left": float(found.left[step])}
        return View(self.canvas.png("walk"), numbers, alt)


def walker(pure: Walker, start: int = 0, towards: int = 1):
    """Two numbers and a slider with the picture below."""
    import ipywidgets as w

    last = len(pure.names) - 1
    a = w.BoundedIntText(start, 0, last, description="from image", style=STYLE, layout={"width": "240px"})
    b = w.BoundedIntText(towards, 0, last, description="to image", style=STYLE, layout={"width": "240px"})
    share = w.SelectionSlider(options=[(f"{float(s):+.1f}", k) for k, s in enumerate(SHARES)], value=5,
                              description="of the way", style=STYLE, layout=WIDTH)

    def view() -> View:
        other = b.value if b.value != a.value else (a.value + 1) % (last + 1)  # a walk needs two ends
        return pure.view(a.value, other, share.value)

    return pictured([a, b, share], view)
