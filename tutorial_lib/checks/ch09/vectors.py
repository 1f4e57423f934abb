"""Exercise 1: a feature map as one vector per position, and back."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _rows(f):
    b, c, h, w = f.shape
    return TensorSlot("the vectors", (b * h * w, c), "(B·h·w, C)", f.dtype)


def _map(v, b, h, w):
    return TensorSlot("the map", (b, v.shape[1], h, w), "(B, C, h, w)", v.dtype)


def _vectors(f):
    return f.permute(0, 2, 3, 1).reshape(-1, f.shape[1])


def _ramp(there, back):
    b, c, h, w = 2, 3, 2, 4
    f = torch.arange(b * c * h * w, dtype=torch.float64).view(b, c, h, w)
    v = there(f)
    for image, y, x in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 2), (1, 1, 3)):
        row = (image * h + y) * w + x
        if not torch.equal(v[row].double(), f[image, :, y, x]):
            return (f"on a map (2, 3, 2, 4), vector {row} is {v[row].tolist()}; the position (row {y}, column {x}) of "
                    f"image {image} has {f[image, :, y, x].tolist()}")
    return None


def _round_trip(there, back):
    for shape in ((2, 3, 2, 4), (1, 2, 5, 3), (3, 4, 1, 1)):
        f = normal(*shape, seed=1)
        found = back(_vectors(f), shape[0], *shape[2:])
        if not torch.equal(found.double(), f):
            return f"for a map of shape {shape} the way back gives other numbers, or the same in other places"
    return None


VECTORS = Exercise(
    name="map_to_vectors", minutes=5, functions=("map_to_vectors", "vectors_to_map"), returns=(_rows, _map),
    laws=(Law("a row is not the vector of one position", _ramp),
          Law("vectors_to_map does not undo map_to_vectors", _round_trip)),
    passes="one row per position, image by image and row by row, and back without a change",
    hints=("The numbers of one vector lie in C different planes of f. Which axis must become the last one?",
           "permute puts axes in another order: name the four axes of f, then the order you want, then reshape.",
           "Back: first reshape to (B, h, w, C), in the order in which the rows came, then move C to its place."),
    suspects=(
        Suspect("a plain reshape: it cuts each channel's plane into pieces, so a row holds C neighbours of one channel",
                lambda f: f.reshape(-1, f.shape[1])),
        Suspect("columns run before rows: after the image comes the row, then the column",
                lambda f: f.permute(0, 3, 2, 1).reshape(-1, f.shape[1])),
        Suspect("the images are the fast index: all positions of image 0 come first",
                lambda f: f.permute(2, 3, 0, 1).reshape(-1, f.shape[1])),
        Suspect("the way back is a plain reshape: the channels stand last in v and must come second",
                lambda v, b, h, w: v.reshape(b, -1, h, w), index=1),
        Suspect("the way back reads the rows column by column",
                lambda v, b, h, w: v.reshape(b, w, h, -1).permute(0, 3, 2, 1), index=1),
        Suspect("the way back takes the image as the fast index",
                lambda v, b, h, w: v.reshape(h, w, b, -1).permute(2, 3, 0, 1), index=1),
    ),
)
