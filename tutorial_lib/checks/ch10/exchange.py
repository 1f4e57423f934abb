"""Exercise 3: neighbouring scales exchange what they see."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.ch10.probes import like, maps_differ, pyramid
from tutorial_lib.checks.core import Exercise, Law, Suspect

C = 3


class Link(nn.Module):
    """A frozen network from one scale to a neighbour: twice the side (``up``) or half of it (``down``)."""

    def __init__(self, up: bool, weight: float = 1.0):
        super().__init__()
        self.up, self.weight = up, weight
        self.conv = nn.Conv2d(C, C, 3, stride=1 if up else 2, padding=1, bias=False).double().requires_grad_(False)
        self.conv.weight.copy_(0.5 * normal(*self.conv.weight.shape, seed=31 + up))

    def forward(self, h: Tensor) -> Tensor:
        if not isinstance(h, Tensor) or h.ndim != 4:
            found = f"shape {tuple(h.shape)}" if isinstance(h, Tensor) else f"a {type(h).__name__}"
            raise ValueError(f"{'up' if self.up else 'down'} takes one map (B, C, h, w); it was given {found}")
        bigger = F.interpolate(h, scale_factor=2, mode="bilinear") if self.up else h
        return self.weight * torch.tanh(self.conv(bigger))


def _links(weight=1.0):
    return Link(True, weight), Link(False, weight)


def _right(h, up, down):
    return h[0] + up(h[1]), h[1] + down(h[0]) + up(h[2]), h[2] + down(h[1])


def _off(call):
    h = pyramid(C, 8, seed=32)
    return maps_differ("the result, with up and down switched off,", call(h, *_links(0.0)), h, 0.0, "h itself")


def _reach(call):
    h, links = pyramid(C, 8, seed=33), _links()
    before = call(h, *links)
    for moved, silent in ((0, 2), (2, 0)):
        pushed = tuple(m + 1.0 * (k == moved) for k, m in enumerate(h))
        if not torch.equal(call(pushed, *links)[silent], before[silent]):
            return f"scale {moved} of h was moved, and scale {silent} of the result noticed it: they are no neighbours"
    return None


def _mutual(call):
    h, links = pyramid(C, 8, seed=34), _links()
    before = call(h, *links)
    for moved, hears in ((0, 1), (1, 0), (1, 2), (2, 1)):
        pushed = tuple(m + 1.0 * (k == moved) for k, m in enumerate(h))
        if torch.equal(call(pushed, *links)[hears], before[hears]):
            return f"scale {moved} of h was moved, and scale {hears} of the result noticed nothing"
    return None


def _formula(call):
    h, links = pyramid(C, 8, seed=35), _links()
    return maps_differ("the result", call(h, *links), _right(h, *links), 1e-9,
                       "own map + what comes down from above + what comes up from below")


def _fine_first(h, up, down):
    first = h[0] + up(h[1])
    middle = h[1] + down(first) + up(h[2])
    return first, middle, h[2] + down(middle)


def _coarse_first(h, up, down):
    last = h[2] + down(h[1])
    middle = h[1] + down(h[0]) + up(last)
    return h[0] + up(middle), middle, last


EXCHANGE = Exercise(
    name="exchange", minutes=12, returns=(lambda h, up, down: like("the result", h),),
    laws=(Law("with up and down switched off, every scale must come back as it is", _off),
          Law("only neighbours may talk", _reach),
          Law("neighbours must hear each other, both ways", _mutual),
          Law("the result is not the own map plus what the neighbours send", _formula)),
    passes="shapes kept, silent when switched off, neighbours hear each other, scales 0 and 2 do not",
    hints=("Draw three boxes, large, middle, small. Which arrows go between neighbours? There are four.",
           "up(h[1]) has the shape of h[0], down(h[0]) has the shape of h[1]. So what may be added to h[0]?",
           "The middle scale has two neighbours. Use the maps that came in, not those that you have just made."),
    suspects=(
        Suspect("scale 1 sees the new scale 0, and scale 2 the new scale 1: use the maps that came in for all three",
                _fine_first),
        Suspect("scale 1 sees the new scale 2, and scale 0 the new scale 1: use the maps that came in for all three",
                _coarse_first),
        Suspect("nothing is sent down: the smaller scales must hear the larger ones too",
                lambda h, up, down: (h[0] + up(h[1]), h[1] + up(h[2]), h[2])),
        Suspect("nothing is sent up: the larger scales must hear the smaller ones too",
                lambda h, up, down: (h[0], h[1] + down(h[0]), h[2] + down(h[1]))),
        Suspect("the middle scale hears the small one only: down(h[0]) is missing",
                lambda h, up, down: (h[0] + up(h[1]), h[1] + up(h[2]), h[2] + down(h[1]))),
        Suspect("the middle scale hears the large one only: up(h[2]) is missing",
                lambda h, up, down: (h[0] + up(h[1]), h[1] + down(h[0]), h[2] + down(h[1]))),
        Suspect("the own map is missing: what the neighbours send is added to it",
                lambda h, up, down: (up(h[1]), down(h[0]) + up(h[2]), down(h[1]))),
        Suspect("a mean of two or three maps where a sum is due",
                lambda h, up, down: tuple(m / n for m, n in zip(_right(h, up, down), (2, 3, 2), strict=True))),
        Suspect("scale 2 hears scale 0 directly, through two steps down: only neighbours talk",
                lambda h, up, down: (*_right(h, up, down)[:2], h[2] + down(down(h[0])))),
        Suspect("scale 2 hears both others: only neighbours talk",
                lambda h, up, down: (*_right(h, up, down)[:2], h[2] + down(h[1]) + down(down(h[0])))),
        Suspect("scale 0 hears scale 2 directly, through two steps up: only neighbours talk",
                lambda h, up, down: (h[0] + up(up(h[2])), *_right(h, up, down)[1:])),
        Suspect("all scales hear all: only neighbours talk",
                lambda h, up, down: (h[0] + up(h[1]) + up(up(h[2])), h[1] + down(h[0]) + up(h[2]),
                                     h[2] + down(h[1]) + down(down(h[0])))),
        Suspect("the maps were resized by hand instead of through up and down: then nothing is learnt on the way",
                lambda h, up, down: (h[0] + _to(h[1], h[0]), h[1] + _to(h[0], h[1]) + _to(h[2], h[1]),
                                     h[2] + _to(h[1], h[2]))),
        Suspect("h comes back unchanged: nothing was exchanged",
                lambda h, up, down: tuple(h)),
        Suspect("what the neighbours send is subtracted: it is added",
                lambda h, up, down: tuple(2 * m - r for m, r in zip(h, _right(h, up, down), strict=True))),
        Suspect("concatenated instead of added: the number of channels must stay",
                lambda h, up, down: (torch.cat([h[0], up(h[1])], 1), torch.cat([h[1], down(h[0]), up(h[2])], 1),
                                     torch.cat([h[2], down(h[1])], 1))),
    ),
)


def _to(h, other):
    return F.interpolate(h, size=other.shape[2:], mode="bilinear")
