"""Exercise 5: nats of a picture as bits per dimension."""

from __future__ import annotations

import math

import torch

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

NLL = (-310.0, 0.0, 25.0)
LN2 = math.log(2)


def _nll():
    return torch.tensor(NLL, dtype=torch.float64)


def _even(call):
    for levels in (256, 17, 2):
        found = float(call(_nll(), 64, levels)[1])                              # the second nll is 0
        if abs(found - math.log2(levels)) > 1e-6:
            return (f"density 1 everywhere (nll = 0, d = 64, {levels} levels) is an even guess among {levels} levels "
                    f"and costs log₂ {levels} = {math.log2(levels):.3f} bits; found {found:.3f}")
    return None


def _one_bit(call):
    for d in (64, 192):
        more = call(_nll() + d * LN2, d, 17) - call(_nll(), d, 17)
        if float((more - 1).abs().max()) > 1e-6:
            return f"a factor of 2 for each of {d} values is one bit each; found {float(more[0]):.3f} bits"
    return None


def _default(call):
    found, said = call(_nll(), 64), call(_nll(), 64, 256)
    return None if torch.allclose(found, said) else "without levels it does not take 256"


def _wrong(formula):
    return lambda nll, d, levels=256: formula(nll, d, levels)


BITS = Exercise(
    name="bits_per_dim", minutes=6,
    returns=(lambda nll, d, levels=256: TensorSlot("the bits", nll.shape, "(B,)", nll.dtype),),
    laws=(Law("an even guess among K grey levels must cost log₂ K bits", _even),
          Law("twice the density per value must save one bit per value", _one_bit),
          Law("levels must be 256 when nothing is said", _default)),
    passes="an even guess costs log₂ K, a factor of 2 per value is one bit",
    hints=("Three steps: nats to bits, picture to pixel value, scaled pictures to grey levels.",
           "1 bit is ln 2 nats. Dividing by d gives bits per value. What does nll = 0 give so far, and what must it "
           "give for 256 levels?",
           "The picture was divided by K. That made its density K times higher in each direction: add log₂ K."),
    suspects=(
        Suspect("natural logarithms throughout: bits need a division by ln 2 and log₂ K",
                _wrong(lambda nll, d, k: nll / d + math.log(k))),
        Suspect("the nats were not turned into bits: divide by ln 2",
                _wrong(lambda nll, d, k: nll / d + math.log2(k))),
        Suspect("log₂ K is due, ln K was added: it is in nats",
                _wrong(lambda nll, d, k: nll / (d * LN2) + math.log(k))),
        Suspect("log₁₀: a bit is a factor of 2",
                _wrong(lambda nll, d, k: nll / (d * math.log(10)) + math.log10(k))),
        Suspect("the division uses ln 10: a bit is a factor of 2",
                _wrong(lambda nll, d, k: nll / (d * math.log(10)) + math.log2(k))),
        Suspect("the term of the grey levels is missing: the picture was divided by K, add log₂ K",
                _wrong(lambda nll, d, k: nll / (d * LN2))),
        Suspect("the term of the grey levels has the wrong sign: undoing the division by K makes the density thinner",
                _wrong(lambda nll, d, k: nll / (d * LN2) - math.log2(k))),
        Suspect("always 8 bits: that is log₂ 256, and these pictures may have other levels",
                _wrong(lambda nll, d, k: nll / (d * LN2) + 8)),
        Suspect("these are bits per picture, not per value: divide by d",
                _wrong(lambda nll, d, k: nll / LN2 + d * math.log2(k))),
        Suspect("nll was not divided by d: it is that of the whole picture",
                _wrong(lambda nll, d, k: nll / LN2 + math.log2(k))),
        Suspect("log₂ K was divided by d: every one of the d values has K levels",
                _wrong(lambda nll, d, k: (nll / LN2 + math.log2(k)) / d)),
        Suspect("multiplied by ln 2: nats to bits is a division",
                _wrong(lambda nll, d, k: nll * LN2 / d + math.log2(k))),
        Suspect("nll is −log p already: another minus turns cost into gain",
                _wrong(lambda nll, d, k: -nll / (d * LN2) + math.log2(k))),
        Suspect("averaged over the batch: every picture keeps its own number here",
                _wrong(lambda nll, d, k: (nll / (d * LN2) + math.log2(k)).mean())),
        Suspect("K − 1 levels: 0 … 255 are 256",
                _wrong(lambda nll, d, k: nll / (d * LN2) + math.log2(k - 1))),
    ),
)
