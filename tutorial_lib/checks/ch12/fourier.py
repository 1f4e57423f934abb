"""Exercise 2: the distance of two pictures, measured in frequencies."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot

SHAPE = (2, 3, 4, 6)
PIXELS = SHAPE[2] * SHAPE[3]


def _pictures(seed):
    return normal(*SHAPE, seed=seed), normal(*SHAPE, seed=seed + 1)


def _number(call, a, b, power):
    return float(torch.as_tensor(call(a, b, power)).detach())


def _off(found, due):
    return abs(found - due) > 1e-6 * max(1.0, abs(due))


def _parseval(call):
    for seed in (1, 3):
        a, b = _pictures(seed)
        found, due = _number(call, a, b, 2), float((a - b).square().mean())
        if _off(found, due):
            return f"power 2: the mean over frequencies is {found:.4f}, the mean of (a − b)² over pixels {due:.4f}"
    return None


def _one_pixel(call):
    a = torch.zeros(SHAPE, dtype=torch.float64)
    b = a.clone()
    b[:, :, 1, 2] = 3.0
    found, due = _number(call, a, b, 1), 3 / PIXELS**0.5
    if _off(found, due):
        return (f"power 1, pictures that differ by 3 in one of {PIXELS} pixels: found {found:.4f}; every frequency has "
                f"the share 3 / √{PIXELS} = {due:.4f}")
    return None


def _even(call):
    a = torch.zeros(SHAPE, dtype=torch.float64)
    found, due = _number(call, a, a - 0.5, 1), 0.5 / PIXELS**0.5
    if _off(found, due):
        return (f"power 1, pictures that differ by 0.5 everywhere: found {found:.4f}; one frequency alone has "
                f"0.5 · √{PIXELS}, the mean over all {PIXELS} is {due:.4f}")
    return None


def _waves(call):
    a, b = _pictures(5)
    h, w = (torch.arange(n, dtype=torch.float64) for n in SHAPE[2:])
    turns_h, turns_w = ((k[:, None] * k / len(k)) for k in (h, w))
    angle = -2 * torch.pi * (turns_h[:, None, :, None] + turns_w[None, :, None, :])             # (u, v, y, x)
    real, imaginary = (torch.einsum("uvyx,bcyx->bcuv", f(angle), a - b) for f in (torch.cos, torch.sin))
    due = float((real.square() + imaginary.square()).sqrt().mean() / PIXELS**0.5)
    found = _number(call, a, b, 1)
    return f"power 1: found {found:.4f}, the sums over cosines and sines give {due:.4f}" if _off(found, due) else None


def _wrong(magnitude, spectrum=lambda d: torch.fft.fft2(d, norm="ortho")):
    return lambda a, b, power: (magnitude(spectrum(a - b)) ** power).mean()


def _sum(a, b, power):
    return (torch.fft.fft2(a - b, norm="ortho").abs() ** power).sum()


FOURIER = Exercise(
    name="fourier_gap", minutes=6, returns=(lambda a, b, power: NumberSlot("the gap"),),
    laws=(Law("with squares, frequencies and pixels must say the same (Parseval)", _parseval),
          Law("one pixel must spread evenly over all frequencies", _one_pixel),
          Law("an even difference must live in one frequency", _even),
          Law("the magnitudes are not those of the Fourier transform", _waves)),
    passes="power 2 equals the pixel loss, power 1 does not: one pixel fills every frequency, an even grey only one",
    hints=("torch.fft.fft2 works on the last two axes. Which `norm` makes it a rotation, so that lengths stay?",
           "The result is complex. The length of a complex number is .abs(), the root of real² + imaginary².",
           "Raise the lengths to the power, then take the mean over everything."),
    suspects=(
        Suspect("the transform is not normalised: norm=\"ortho\" makes it a rotation",
                _wrong(torch.abs, torch.fft.fft2)),
        Suspect("divided by H · W instead of its root: norm=\"ortho\" shares the factor between both directions",
                _wrong(torch.abs, lambda d: torch.fft.fft2(d, norm="forward"))),
        Suspect("only the real part was kept: .abs() takes both", _wrong(lambda f: f.real.abs())),
        Suspect("only the imaginary part was kept: .abs() takes both", _wrong(lambda f: f.imag.abs())),
        Suspect("always squared: use the power that was asked for",
                lambda a, b, power: torch.fft.fft2(a - b, norm="ortho").abs().square().mean()),
        Suspect("never squared: use the power that was asked for",
                lambda a, b, power: torch.fft.fft2(a - b, norm="ortho").abs().mean()),
        Suspect("no transform at all: with squares nobody notices (that is Parseval's law), with power 1 it shows",
                _wrong(torch.abs, lambda d: d)),
        Suspect("the transform went along one axis: fft2 takes rows and columns",
                _wrong(torch.abs, lambda d: torch.fft.fft(d, norm="ortho"))),
        Suspect("all axes were transformed, batch and channels too: fft2 takes the last two",
                _wrong(torch.abs, lambda d: torch.fft.fftn(d, norm="ortho"))),
        Suspect("rfft2 keeps half of the frequencies, and the mean over that half is another one",
                _wrong(torch.abs, lambda d: torch.fft.rfft2(d, norm="ortho"))),
        Suspect("a sum over the frequencies where a mean is due", _sum),
        Suspect("the difference was squared before the transform: PyramidFlow's loss has squares there, here the plain "
                "difference is transformed", _wrong(torch.abs, lambda d: torch.fft.fft2(d.square(), norm="ortho"))),
        Suspect("the difference was squared before the transform, which lacks its norm=\"ortho\", too: here the plain "
                "difference is transformed", _wrong(torch.abs, lambda d: torch.fft.fft2(d.square()))),
        Suspect("the difference was raised to the power before the transform: the lengths |F| are raised, after it",
                lambda a, b, power: torch.fft.fft2((a - b) ** power, norm="ortho").abs().mean()),
        Suspect("the lengths of both spectra were compared, and their angles lost: transform the difference a − b",
                lambda a, b, power: ((torch.fft.fft2(a, norm="ortho").abs()
                                      - torch.fft.fft2(b, norm="ortho").abs()).abs() ** power).mean()),
        Suspect("the mean was taken before the power: raise every length first",
                lambda a, b, power: torch.fft.fft2(a - b, norm="ortho").abs().mean() ** power),
        Suspect("the root of the sum was taken: each frequency counts by itself",
                lambda a, b, power: (torch.fft.fft2(a - b, norm="ortho").abs() ** power).mean() ** (1 / power)),
    ),
)
