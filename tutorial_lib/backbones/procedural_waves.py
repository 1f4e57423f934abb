"""Formula pictures, part one: waves, noise and gradients. Each function draws n grey fields ``(n, S, S)``, any range.

No photograph is involved and nothing here is an object of the course: these are the classroom in which the embedded
backbone learned to see. ``procedural`` lists the classes and colours them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Rng = np.random.Generator
TURN = np.float32(2 * np.pi)


def column(rng: Rng, n: int, low: float, high: float) -> Field:
    """One number per picture, uniform in [low, high), shaped ``(n, 1, 1)`` to meet a field."""
    return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)


def plane(rng: Rng, n: int, size: int, zoom: float = 1.25) -> tuple[Field, Field]:
    """Coordinates u, v of every pixel, about [-1, 1], turned, shifted and zoomed at random for each picture."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    angle, scale = column(rng, n, 0, TURN), zoom ** column(rng, n, -1, 1)
    x, y = x + column(rng, n, -0.3, 0.3), y + column(rng, n, -0.3, 0.3)
    return scale * (x * np.cos(angle) - y * np.sin(angle)), scale * (x * np.sin(angle) + y * np.cos(angle))


def stripes(rng: Rng, n: int, size: int, profile: str, cycles: float) -> Field:
    """Parallel stripes: a sine, square, saw or pulse wave along u."""
    u, _ = plane(rng, n, size)
    t = (u * cycles / 2 + column(rng, n, 0, 1)) % 1
    match profile:
        case "sine":
            return np.sin(TURN * t)
        case "square":
            return (t < column(rng, n, 0.35, 0.65)).astype(np.float32)
        case "saw":
            return t
    return np.exp(-(((t - 0.5) / 0.12) ** 2))


def quasicrystal(rng: Rng, n: int, size: int, waves: int, cycles: float) -> Field:
    """Sum of plane waves cos(2 pi c (u cos a_k + v sin a_k)) whose directions a_k divide the half-turn evenly."""
    u, v = plane(rng, n, size)
    total = np.zeros_like(u)
    for k in range(waves):
        a = np.pi * k / waves
        total += np.cos(TURN * (cycles / 2 * (u * np.cos(a) + v * np.sin(a)) + column(rng, n, 0, 1)))
    return total


def gabor(rng: Rng, n: int, size: int, count: int, cycles: float) -> Field:
    """Several Gabor patches: a wave under a Gaussian, each with its own place, direction and phase."""
    total = np.zeros((n, size, size), np.float32)
    for _ in range(count):
        u, v = plane(rng, n, size)
        u, v = u + column(rng, n, -0.6, 0.6), v + column(rng, n, -0.6, 0.6)
        total += np.exp(-(u**2 + v**2) / 0.12) * np.cos(TURN * (u * cycles / 2 + column(rng, n, 0, 1)))
    return total


def filtered(rng: Rng, n: int, size: int, gain) -> Field:
    """White noise whose spectrum is multiplied by ``gain(f)``, f in cycles per picture."""
    fy, fx = np.fft.fftfreq(size, 1 / size)[:, None], np.fft.rfftfreq(size, 1 / size)[None]
    f = np.hypot(fx, fy).astype(np.float32)
    noise = np.fft.rfft2(rng.standard_normal((n, size, size), np.float32))
    field = np.fft.irfft2(noise * np.where(f > 0, gain(np.maximum(f, 1)), 0), s=(size, size)).astype(np.float32)
    return field / field.std(axis=(1, 2), keepdims=True)


def spectral(rng: Rng, n: int, size: int, exponent: float) -> Field:
    """Noise whose power falls as f^-exponent: 0 is white, 2 looks like clouds."""
    return filtered(rng, n, size, lambda f: f ** (-exponent / 2))


def band(rng: Rng, n: int, size: int, cycles: float) -> Field:
    """Noise of one octave around ``cycles`` per picture."""
    return filtered(rng, n, size, lambda f: np.exp(-2 * np.log2(f / cycles) ** 2))


def islands(rng: Rng, n: int, size: int, cycles: float) -> Field:
    """Band noise cut at a level: islands and lakes with sharp shores."""
    return (band(rng, n, size, cycles) > column(rng, n, -0.5, 0.9)).astype(np.float32)


def contour(rng: Rng, n: int, size: int, cycles: float, lines: float) -> Field:
    """Contour lines of cloud noise, as on a map."""
    height = filtered(rng, n, size, lambda f: f**-1.2 * (f < 3 * cycles))
    return np.exp(-((((height * lines + column(rng, n, 0, 1)) % 1 - 0.5) / 0.15) ** 2))


def marble(rng: Rng, n: int, size: int, cycles: float, bend: float) -> Field:
    """Stripes bent by cloud noise: sin(2 pi c u + bend * noise)."""
    u, _ = plane(rng, n, size)
    return np.sin(TURN * cycles / 2 * u + bend * spectral(rng, n, size, 3.0))


def gradient(rng: Rng, n: int, size: int, kind: str, levels: int) -> Field:
    """A ramp along a line, a distance or an angle; ``levels`` > 0 turns it into steps."""
    u, v = plane(rng, n, size)
    t = {"line": u, "bowl": np.hypot(u, v), "fan": np.abs(np.arctan2(v, u)) / np.pi, "saddle": u * v}[kind]
    return np.floor(t * levels) / levels if levels else t
