"""Pyramid: which level holds the scratch, which the dent?

``LevelMixer`` is the pure part: a state (picture, levels that are on) gives a picture, numbers and a sentence. Every
level's contribution is enlarged once beforehand, so a state is a sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from tutorial_lib.flows.pyramid import laplacian_split, level_contributions, nearest_down
from tutorial_lib.plots.pyramid import MixPicture, mix_strip
from tutorial_lib.widgets.canvas import Canvas, View
from tutorial_lib.widgets.frame import STYLE, WIDTH, framed, pictured


def parts(image: Tensor, levels: int) -> Tensor:
    """What each level alone brings to a picture ``(3, S, S)``, in its size: ``(L, 3, S, S)``; they add up to it.

    The way down takes every second pixel after the blur, which is linear: so the parts of a difference of two pictures
    are the differences of their parts. (A maximum, as in PyramidFlow's code, is not linear.)
    """
    return level_contributions(laplacian_split(image[None], levels, nearest_down))[0]


class LevelMixer:
    """Pictures with one defect each, taken apart into levels.

    Args:
        pictures: name to ``(image (3, S, S) in [0, 1], twin without the defect, mask (S, S) bool)``.
        levels: of the pyramid.
    """

    def __init__(self, pictures: Mapping[str, tuple[Tensor, Tensor, Tensor]], levels: int = 5):
        self.levels = levels
        self.pictures = {name: image for name, (image, _, _) in pictures.items()}
        self.masks = {name: mask for name, (_, _, mask) in pictures.items()}
        self.image_parts = {name: parts(image, levels) for name, (image, _, _) in pictures.items()}
        self.defect_parts = {name: parts(image - twin, levels).mean(1) for name, (image, twin, _) in pictures.items()}
        self.canvas = None

    def shares(self, name: str) -> list[float]:
        """How the defect is spread over the levels: squared size of each enlarged part, divided by their sum."""
        energy = self.defect_parts[name].square().sum((1, 2))                    # (L,)
        return (energy / energy.sum()).tolist()

    def joined(self, name: str, kept: Sequence[bool]) -> tuple[Tensor, Tensor]:
        """The picture ``(3, S, S)`` and the defect ``(S, S)`` from the levels that are on."""
        on = torch.tensor(list(kept), dtype=torch.float32)
        return (torch.einsum("l,lchw->chw", on, self.image_parts[name]),
                torch.einsum("l,lhw->hw", on, self.defect_parts[name]))

    def numbers(self, name: str, kept: Sequence[bool]) -> dict:
        """Share of each level, the largest one, and how much of the defect is left with the levels that are on."""
        shares, whole = self.shares(name), self.defect_parts[name].sum(0).square().sum()
        left = float(self.joined(name, kept)[1].square().sum() / whole)
        return {"shares": shares, "largest": max(range(self.levels), key=shares.__getitem__), "left": left}

    def view(self, name: str, kept: Sequence[bool]) -> View:
        """Picture, numbers and sentence of one state."""
        if self.canvas is None:
            span = max(float(p.sum(0).abs().max()) for p in self.defect_parts.values())
            self.picture = MixPicture(next(iter(self.pictures.values())).shape[-1], self.levels, span)
            self.canvas = Canvas(self.picture.fig, self.picture.moving)
            self.canvas.keep("picture")
        n = self.numbers(name, kept)
        picture, defect = self.joined(name, kept)
        grey = 0.0 if kept[-1] else 0.5                                          # differences alone: about middle grey
        self.picture.set(picture + grey, defect, n["shares"], kept)
        return View(self.canvas.png("picture"), n, sentence(name, kept, n))


def sentence(name: str, kept: Sequence[bool], n: dict) -> str:
    """What one state shows, in words."""
    on = [str(k) for k, yes in enumerate(kept) if yes]
    said = "no level is on" if not on else f"level{'s' * (len(on) > 1)} {', '.join(on)} on"
    return (f"{name}: {said}, {n['left']:.0%} of the defect's squared size is left. Share of each level: "
            f"{', '.join(f'{s:.0%}' for s in n['shares'])}; the largest is level {n['largest']}.")


def pyramid(mixer: LevelMixer):
    """A picture and one switch per level, with the joined picture, the defect alone and its shares."""
    import ipywidgets as w

    name = w.Dropdown(options=list(mixer.pictures), description="picture", style=STYLE, layout=WIDTH)
    switches = [w.ToggleButton(value=True, description=f"level {k}", layout={"width": "90px"})
                for k in range(mixer.levels)]
    body = pictured([name, *switches], lambda: mixer.view(name.value, [s.value for s in switches]))
    body.children = (name, w.HBox(switches), *body.children[-2:])                # the switches side by side
    first, second = list(mixer.pictures)[:2]
    tops = {picture: mixer.numbers(picture, [True] * mixer.levels)["largest"] for picture in (first, second)}
    return framed(f"Which level holds the {first}, which the {second}?",
                  [f"both level {mixer.levels - 1}, the coarsest", f"the {first} a finer one than the {second}",
                   "all levels hold the same share"],
                  body, f"Complete: the {second} is largest in level …", lambda: float(tops[second]), 0.0)


def strip(mixer: LevelMixer) -> tuple[Figure, str]:
    """Every picture level by level, without switches, and one sentence for all."""
    rows, said = [], []
    for name, picture in mixer.pictures.items():
        shares = mixer.shares(name)
        rows.append((name, picture, mixer.masks[name], list(mixer.defect_parts[name]), shares))
        said.append(f"{name}: {', '.join(f'{s:.0%}' for s in shares)}")
    return mix_strip(rows), ("What each level alone holds of the defect, and its share of the squared size, level 0 "
                             "(finest) first. " + "; ".join(said) + ".")
