"""Formula pictures, part two: cells, shapes, lattices and fractals. Each function draws n fields ``(n, S, S)``."""

from __future__ import annotations

import numpy as np

from .procedural_waves import TURN, Field, Rng, column, plane


def voronoi(rng: Rng, n: int, size: int, cells: int, style: str) -> Field:
    """Cells around random points (Voronoi 1908): flat shades, the border lines, or the distance to the point."""
    u, v = plane(rng, n, size)
    first, second, owner = np.full_like(u, 9), np.full_like(u, 9), np.zeros_like(u)
    for _ in range(cells):
        d = np.hypot(u - column(rng, n, -1.3, 1.3), v - column(rng, n, -1.3, 1.3))
        nearer = d < first
        second = np.minimum(np.maximum(d, first), second)  # the second smallest distance so far
        first, owner = np.where(nearer, d, first), np.where(nearer, column(rng, n, 0, 1), owner)
    return {"flat": owner, "edges": np.exp(-((second - first) * 12)), "distance": first}[style]


def outline(shape: str, u: Field, v: Field) -> Field:
    """Signed size of a shape of radius one around the origin: below 1 inside, above 1 outside."""
    r, a = np.hypot(u, v), np.arctan2(v, u)
    match shape:
        case "disc":
            return r
        case "lens":
            return np.hypot(u, 2.6 * v)
        case "cross":
            return np.minimum(np.maximum(np.abs(u), 3.2 * np.abs(v)), np.maximum(np.abs(v), 3.2 * np.abs(u)))
        case "bar":
            return np.maximum(np.abs(u), 5 * np.abs(v))
        case "moon":
            return np.maximum(r, 1.75 - np.hypot(u - 0.6, v))
        case "star":
            return r / (0.68 + 0.32 * np.cos(5 * a))
        case "flower":
            return r / (0.78 + 0.22 * np.cos(7 * a))
    sides = {"triangle": 3, "square": 4, "hexagon": 6}[shape]
    return r * np.cos((a % (TURN / sides)) - np.pi / sides) / np.cos(np.pi / sides)


def scatter(rng: Rng, n: int, size: int, shape: str, count: int, radius: float) -> Field:
    """``count`` copies of one shape, each with its own place, angle, size and shade, on top of one another."""
    field = np.zeros((n, size, size), np.float32)
    for _ in range(count):
        u, v = plane(rng, n, size)
        grow = radius * 1.35 ** column(rng, n, -1, 1)
        reach = max(0.0, 1 - radius)
        u, v = u + column(rng, n, -reach, reach), v + column(rng, n, -reach, reach)
        inside = np.clip((1 - outline(shape, u / grow, v / grow)) * grow * size / 2 + 0.5, 0, 1)
        field += inside * (column(rng, n, 0.5, 1) - field)
    return field


def lattice(rng: Rng, n: int, size: int, kind: str, cycles: float) -> Field:
    """A pattern repeated on a grid."""
    u, v = plane(rng, n, size)
    u, v = u * cycles / 2 + column(rng, n, 0, 1), v * cycles / 2 + column(rng, n, 0, 1)
    if kind in ("bricks", "offset"):
        u = u + 0.5 * (np.floor(v) % 2)
    s, t = u % 1 - 0.5, v % 1 - 0.5
    width = column(rng, n, 0.04, 0.12)
    match kind:
        case "checks":
            return (np.floor(u) + np.floor(v)) % 2
        case "dots" | "offset":
            return (np.hypot(s, t) < 0.2 + width).astype(np.float32)
        case "lines" | "bricks":
            return (np.maximum(np.abs(s), np.abs(t)) < 0.5 - width).astype(np.float32)
        case "diamonds":
            return np.abs(s) + np.abs(t)
        case "triangles":
            return ((s + t > 0) ^ (np.floor(u + v) % 2 > 0)).astype(np.float32)
        case "waves":
            return np.abs((v + 0.25 * np.sin(TURN * u)) % 1 - 0.5)
    return (s > t).astype(np.float32) * np.abs(s) + t  # "ramps"


def fractal(rng: Rng, n: int, size: int, genes: int) -> Field:
    """Iterated function system: a cloud of points under 2 to 4 contracting affine maps (Barnsley 1988).

    ``genes`` fixes the maps of the class; each picture shakes them a little.
    """
    fixed = np.random.default_rng(genes)
    maps = int(fixed.integers(2, 5))
    angle, shear = fixed.uniform(0, TURN, (2, maps))
    long, short = fixed.uniform(0.45, 0.85, maps), fixed.uniform(0.2, 0.7, maps)
    turn = lambda a: np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix = np.stack([turn(a) @ np.diag([p, q]) @ turn(s)
                       for a, s, p, q in zip(angle, shear, long, short, strict=True)])
    matrix = matrix + rng.normal(0, 0.03, (n, maps, 2, 2))
    offset = fixed.uniform(-1, 1, (maps, 2)) + rng.normal(0, 0.05, (n, maps, 2))
    points = rng.uniform(-1, 1, (n, 700, 2))
    row, counts = np.arange(n)[:, None], np.zeros((n, size * size), np.float32)
    for step in range(16):
        pick = rng.integers(0, maps, points.shape[:2])
        points = np.einsum("npij,npj->npi", matrix[row, pick], points) + offset[row, pick]
        if step == 5:  # settled: choose the frame
            low = points.min(1, keepdims=True)
            span = (points.max(1, keepdims=True) - low).max(2, keepdims=True) + 1e-6
        if step > 5:
            at = np.clip((0.05 + 0.9 * (points - low) / span) * size, 0, size - 1).astype(int)
            np.add.at(counts, (row, at[..., 1] * size + at[..., 0]), 1)
    return np.log1p(counts).reshape(n, size, size)


def julia(rng: Rng, n: int, size: int, re: float, im: float) -> Field:
    """Steps until z = z^2 + c leaves the disc of radius 2 (Julia 1918), smoothed."""
    u, v = plane(rng, n, size)
    c = re + 1j * im + 0.02 * (rng.standard_normal((n, 1, 1)) + 1j * rng.standard_normal((n, 1, 1)))
    z, steps = (1.3 * (u + 1j * v)).astype(np.complex64), np.zeros_like(u)
    for _ in range(24):
        inside = np.abs(z) < 2
        steps += inside
        z = np.where(inside, z * z + c.astype(np.complex64), z)
    return np.sqrt(steps)


def automaton(rng: Rng, n: int, size: int, rule: int, cell: int) -> Field:
    """Rows of an elementary cellular automaton from a random first row (Wolfram 1983), cells of ``cell`` pixels."""
    width = size // cell + 1
    row, table = rng.integers(0, 2, (n, width)), np.array([rule >> k & 1 for k in range(8)])
    rows = []
    for _ in range(width):
        rows.append(row)
        row = table[4 * np.roll(row, 1, 1) + 2 * row + np.roll(row, -1, 1)]
    field = np.stack(rows, 1).repeat(cell, 1).repeat(cell, 2)[:, :size, :size]
    return field.astype(np.float32)


def curve(rng: Rng, n: int, size: int, a: int, b: int) -> Field:
    """A Lissajous figure x = sin(a t), y = sin(b t + phase) drawn with a soft pen."""
    u, v = plane(rng, n, size)
    phase, width, nearest = column(rng, n, 0.3, 1.2), column(rng, n, 0.03, 0.09), np.full_like(u, 9)
    for t in np.linspace(0, TURN, 60 * max(a, b), dtype=np.float32):
        nearest = np.minimum(nearest, (u - 0.85 * np.sin(a * t)) ** 2 + (v - 0.85 * np.sin(b * t + phase)) ** 2)
    return np.exp(-nearest / width**2)


def blobs(rng: Rng, n: int, size: int, count: int, width: float) -> Field:
    """Gaussian bumps, bright and dark, at random places."""
    field = np.zeros((n, size, size), np.float32)
    for _ in range(count):
        u, v = plane(rng, n, size)
        u, v = u + column(rng, n, -0.8, 0.8), v + column(rng, n, -0.8, 0.8)
        field += column(rng, n, -1, 1) * np.exp(-(u**2 + v**2) / (2 * width**2))
    return field
