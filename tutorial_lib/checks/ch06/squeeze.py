"""Exercise 1: squeeze, and back."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _there(x):
    b, c, h, w = x.shape
    return TensorSlot("z", (b, 4 * c, h // 2, w // 2), "(B, 4C, H/2, W/2)", x.dtype)


def _back(z):
    b, c, h, w = z.shape
    return TensorSlot("x", (b, c // 4, 2 * h, 2 * w), "(B, C, H, W)", z.dtype)


def _cut(x, axes=(0, 1, 3, 5, 2, 4)):
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 2, 2, w // 2, 2).permute(*axes).reshape(b, 4 * c, h // 2, w // 2)


def _paste(z, view, axes):
    b, c, h, w = z.shape
    sizes = {"c": c // 4, "i": 2, "j": 2}
    return z.reshape(b, *[sizes[k] for k in view], h, w).permute(*axes).reshape(b, c // 4, 2 * h, 2 * w)


def _ramp(squeeze, unsqueeze):
    x = torch.arange(1.0, 17.0, dtype=torch.float64).view(1, 1, 4, 4)
    z = squeeze(x)
    for k in range(4):
        found, expected = z[0, k].flatten().int().tolist(), x[0, 0, k // 2::2, k % 2::2].flatten().int().tolist()
        if found != expected:
            return f"of the 4 × 4 ramp 1 … 16, channel {k} holds {found}; with 2i + j = {k} it must be {expected}"
    return None


def _order(squeeze, unsqueeze):
    x = normal(2, 3, 4, 6, seed=1)
    z = squeeze(x)
    for k in range(12):
        c, i, j = k // 4, k // 2 % 2, k % 2
        if not torch.allclose(z[:, k].double(), x[:, c, i::2, j::2], rtol=0, atol=1e-6):
            return f"on a map with 3 channels, output channel {k} is not channel {c} at rows {i}, {i} + 2 … of x"
    return None


def _round_trip(squeeze, unsqueeze):
    for shape in ((2, 3, 4, 8), (2, 2, 8, 4), (1, 1, 4, 4)):
        x = normal(*shape, seed=2)
        back = unsqueeze(_cut(x))
        if not torch.equal(back, x.to(back.dtype)):                             # a number type is judged last
            return f"for x of shape {shape} the way back gives other numbers than x"
    return None


def _types(squeeze, unsqueeze):
    x = torch.arange(32).view(2, 1, 4, 4)
    return None if torch.equal(unsqueeze(squeeze(x)).long(), x) else "integers change their values"


def _quarters(x):
    top, bottom = x.chunk(2, dim=2)
    b, c, h, w = x.shape
    parts = [p for half in (top, bottom) for p in half.chunk(2, dim=3)]
    return torch.stack(parts, 2).reshape(b, 4 * c, h // 2, w // 2)


SQUEEZE = Exercise(
    name="squeeze", minutes=8, functions=("squeeze", "unsqueeze"), returns=(_there, _back),
    laws=(Law("a 2 × 2 block of pixels must become the four channels of one position", _ramp),
          Law("with several channels, the four of a channel must stay together: 4c + 2i + j", _order),
          Law("unsqueeze does not undo squeeze", _round_trip),
          Law("it must work for every number type", _types)),
    passes="blocks become channels in the order 4c + 2i + j, the round trip is exact, nothing is stretched",
    hints=("Take the ramp 1 … 16 on paper. Which four numbers form the upper left block? They belong to one position "
           "of z.",
           "Name all six axes: x.reshape(B, C, H/2, 2, W/2, 2) has b, c, h, i, w, j. In which order does z want them?",
           "z has b, c, i, j, h, w, and the way back must undo exactly that permutation: b, c, h, i, w, j."),
    suspects=(
        Suspect("a plain reshape: it fills the channels with rows in reading order and tears neighbours apart",
                lambda x: x.reshape(len(x), 4 * x.shape[1], x.shape[2] // 2, x.shape[3] // 2)),
        Suspect("i and j changed places: the column inside the block, j, runs fastest",
                lambda x: _cut(x, (0, 1, 5, 3, 2, 4))),
        Suspect("the picture was cut into four quarters: neighbours must become channels, not far corners",
                _quarters),
        Suspect("the place in the block is the slow index: the four channels of one c must lie side by side",
                lambda x: _cut(x, (0, 3, 5, 1, 2, 4))),
        Suspect("the way back is a plain reshape: split the channel axis into c, i, j first, then bring i beside h",
                lambda z: z.reshape(len(z), z.shape[1] // 4, 2 * z.shape[2], 2 * z.shape[3]), index=1),
        Suspect("the way back exchanges i and j: rows of a block come back as columns",
                lambda z: _paste(z, "cij", (0, 1, 4, 3, 5, 2)), index=1),
        Suspect("the way back takes the place in the block as the slow index of the channels: c is the slow one",
                lambda z: _paste(z, "ijc", (0, 3, 4, 1, 5, 2)), index=1),
    ),
)
