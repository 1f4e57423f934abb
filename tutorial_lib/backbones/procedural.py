"""The picture book of the embedded backbone: about 130 classes of formula images, coloured at random.

A class is a function and its parameters, such as ``voronoi(cells=24, style="edges")``. Colour, light, direction and
place say nothing about the class, so a network can tell classes apart only by structure. None of the course's four
inspected things (a carpet, a metal surface, a washer, a circuit board) is among the classes, and nothing is imported
from the defect factory: the backbone has never seen what it is later asked to inspect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from . import procedural_shapes as shapes
from . import procedural_waves as waves
from .procedural_waves import Field, Rng, column


def _classes() -> Iterator[tuple[Callable, dict]]:
    def family(function: Callable, **choices: list) -> Iterator[tuple[Callable, dict]]:
        for values in product(*choices.values()):
            yield function, dict(zip(choices, values, strict=True))

    yield from family(waves.stripes, profile=["sine", "square", "saw", "pulse"], cycles=[3, 7, 15])
    yield from family(waves.quasicrystal, waves=[2, 3, 5, 7], cycles=[5, 11])
    yield from family(waves.gabor, count=[3, 12], cycles=[5, 12])
    yield from family(waves.spectral, exponent=[0.0, 1.0, 2.0, 3.5])
    yield from family(waves.band, cycles=[4, 9, 20])
    yield from family(waves.islands, cycles=[3, 7, 16])
    yield from family(waves.contour, cycles=[2, 5], lines=[1.0, 2.5])
    yield from family(waves.marble, cycles=[3, 8], bend=[1.0, 3.0])
    yield from family(waves.gradient, kind=["line", "bowl", "fan", "saddle"], levels=[0])
    yield from family(waves.gradient, kind=["line", "fan", "saddle"], levels=[6])
    yield from family(shapes.voronoi, cells=[10, 28, 70], style=["flat", "edges", "distance"])
    for count, radius in ((1, 0.6), (5, 0.28), (24, 0.12)):
        yield from family(shapes.scatter, shape=["disc", "lens", "cross", "bar", "moon", "star", "flower", "triangle",
                                                 "square", "hexagon"], count=[count], radius=[radius])
    yield from family(shapes.lattice, kind=["checks", "dots", "offset", "lines", "bricks", "diamonds", "triangles",
                                            "waves", "ramps"], cycles=[5, 11])
    yield from family(shapes.fractal, genes=list(range(16)))
    for re, im in ((-0.8, 0.16), (0.285, 0.01), (-0.4, 0.6), (-0.70, -0.38)):
        yield from family(shapes.julia, re=[re], im=[im])
    yield from family(shapes.automaton, rule=[30, 90, 110], cell=[2, 4])
    for a, b in ((1, 2), (2, 3), (3, 4), (3, 5)):
        yield from family(shapes.curve, a=[a], b=[b])
    yield from family(shapes.blobs, count=[4, 14], width=[0.12, 0.3])


CLASSES = tuple(_classes())
NAMES = tuple(f"{f.__name__}({', '.join(f'{k}={v}' for k, v in p.items())})" for f, p in CLASSES)


def stretch(field: Field) -> Field:
    """Each field scaled to [0, 1]."""
    low, high = field.min((1, 2), keepdims=True), field.max((1, 2), keepdims=True)
    return (field - low) / np.maximum(high - low, 1e-6)


def colour(rng: Rng, field: Field) -> Field:
    """Paint fields ``(n, S, S)`` in [0, 1] with a random palette of three colours each, and light them unevenly.

    Palettes run from grey (a quarter of them) to saturated. Returns ``(n, 3, S, S)`` in [0, 1].
    """
    n, size = field.shape[:2]
    ends = rng.uniform(0, 1, (3, n, 3, 1, 1)).astype(np.float32)
    saturation = np.maximum(column(rng, n, -1 / 3, 1), 0)[:, None]
    ends = ends.mean(2, keepdims=True) + saturation * (ends - ends.mean(2, keepdims=True))
    faint = np.abs(ends[0] - ends[2]).max(1, keepdims=True) < 0.25  # too little contrast to see anything
    ends[2] = np.where(faint, (ends[0] + 0.5) % 1, ends[2])
    t = field[:, None] ** (2 ** column(rng, n, -0.7, 0.7))[:, None]
    image = np.where(t < 0.5, ends[0] + 2 * t * (ends[1] - ends[0]), ends[1] + (2 * t - 1) * (ends[2] - ends[1]))
    u, v = waves.plane(rng, n, size)
    light = 1 + column(rng, n, 0, 0.3) * u + column(rng, n, 0, 0.15) * v
    return np.clip(image * light[:, None], 0, 1)


def pictures(per_class: int, size: int = 64, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw ``per_class`` pictures of every class.

    Returns images ``(N, 3, size, size)`` as bytes 0 to 255 and class numbers ``(N,)``, ordered by class.
    Each class has its own random stream, so that another class or another count changes nothing elsewhere.
    """
    images = []
    for k, (function, parameters) in enumerate(CLASSES):
        rng = np.random.default_rng([seed, k])
        field = function(rng, per_class, size, **parameters).astype(np.float32)
        images.append((255 * colour(rng, stretch(field)) + 0.5).astype(np.uint8))
    return np.concatenate(images), np.repeat(np.arange(len(CLASSES)), per_class)
