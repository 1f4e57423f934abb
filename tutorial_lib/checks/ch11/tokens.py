"""Exercise 1: from the tokens of a vision transformer to a feature map."""

from __future__ import annotations

import torch

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

CASES = (((2, 3), 4, 0), ((3, 2), 4, 1), ((2, 4), 3, 2))  # grid, channels, tokens in front


def _returns(t, grid, prefix):
    return TensorSlot("the map", (len(t), t.shape[2], *grid), "(B, C, h, w)", t.dtype)


def _tokens(grid, channels, prefix, images=2):
    """Tokens whose numbers say where they belong: 1000 image + 100 channel + place; those in front are negative."""
    h, w = grid
    place = torch.cat([-1.0 - torch.arange(prefix), torch.arange(h * w).float()])
    image, channel = torch.arange(images).view(-1, 1, 1), torch.arange(channels)
    return (1000.0 * image + 100.0 * channel + place.view(1, -1, 1)).double()


def _right(t, grid, prefix):
    return t[:, prefix:].mT.unflatten(2, grid)


def _where(call, cases):
    for grid, channels, prefix in cases:
        t = _tokens(grid, channels, prefix)
        found, expected = call(t, grid, prefix).double(), _right(t, grid, prefix)
        if not torch.equal(found, expected):
            b, c, i, j = (int(v) for v in (found != expected).nonzero()[0])
            return (f"grid {grid[0]} × {grid[1]}, prefix {prefix}: at channel {c}, row {i}, column {j} of image {b} "
                    f"stands {float(found[b, c, i, j]):g}; due is {float(expected[b, c, i, j]):g}, number {c} of token "
                    f"{prefix + i * grid[1] + j}")
    return None


def _ramp(call):
    return _where(call, [(grid, channels, 0) for grid, channels, _ in CASES])


def _prefix(call):
    return _where(call, CASES)


TOKENS = Exercise(
    name="tokens_to_map", minutes=6, returns=(_returns,),
    laws=(Law("token i · w + j does not land at row i, column j", _ramp),
          Law("the tokens in front are not left out", _prefix)),
    passes="every token lands at its place, with 0, 1 and 2 tokens in front, on grids that are not square",
    hints=("Which tokens have no place in the picture? Cut them off along the second axis.",
           "Then the shape is (B, h·w, C). Which axis of (B, C, h, w) must move to the front before h·w is split?",
           "t.mT exchanges the last two axes; .unflatten(2, grid) splits the last one into rows and columns."),
    suspects=(
        Suspect("a plain reshape: the channels of one token are spread over places; exchange the axes first",
                lambda t, grid, prefix: t[:, prefix:].reshape(len(t), t.shape[2], *grid)),
        Suspect("h and w changed places: tokens run along the rows, so w is the fast axis",
                lambda t, grid, prefix: t[:, prefix:].mT.reshape(len(t), t.shape[2], *grid[::-1]).mT),
        Suspect("the tokens in front stayed, and as many at the end were cut off: the map is shifted by them",
                lambda t, grid, prefix: t[:, :grid[0] * grid[1]].mT.unflatten(2, grid)),
        Suspect("the rows run from bottom to top: token 0 is the upper left one",
                lambda t, grid, prefix: _right(t, grid, prefix).flip(2)),
        Suspect("the result is (B, C, w, h): rows come before columns",
                lambda t, grid, prefix: _right(t, grid, prefix).mT),
        Suspect("the channels are still last: the result is (B, h, w, C)",
                lambda t, grid, prefix: _right(t, grid, prefix).movedim(1, -1)),
    ),
)
