"""Exercise 4: -ln sigmoid of the log-likelihood per channel."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import logsigmoid

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

STEP = 1e-4
LEVELS, DUE = (-0.9189385, 0.5), (1.2547, 0.4741)  # a standard normal vector at 0; a likely one


def _slot(log_p, C):
    return TensorSlot("the loss", (), "one number", log_p.dtype)


def _value(call):
    for C in (48, 512):
        found = [float(call(torch.full((3,), level * C, dtype=torch.float64), C)) for level in LEVELS]
        for level, value, due in zip(LEVELS, found, DUE, strict=True):
            if abs(value - due) > 5e-4:
                return f"log_p / C = {level:.4f} for every vector, C = {C}: the loss is {value:.4f}, expected {due}"
    return None


def _mean(call):
    log_p = 30 * normal(4, seed=93) - 40
    once, twice = float(call(log_p, 24)), float(call(torch.cat([log_p, log_p]), 24))
    return None if abs(once - twice) < 1e-9 else f"the same vectors twice: the loss goes from {once:.4f} to {twice:.4f}"


def _weights(call):
    for C in (1, 24):
        level = torch.tensor([-2.0, 0.0, 3.0], dtype=torch.float64)
        for n, weight in enumerate(torch.sigmoid(-level)):
            up, down = level.clone(), level.clone()
            up[n] += STEP
            down[n] -= STEP
            slope = float(call(C * up, C) - call(C * down, C)) / (2 * STEP) * 3   # of the mean over three vectors
            if abs(slope + float(weight)) > 1e-4:
                return (f"C = {C}, three vectors: one more nat per channel at l = {float(level[n]):g} changes the loss "
                        f"by {slope / 3:.4f}, due is −σ(−l)/3 = {-float(weight) / 3:.4f}")
    return None


def _far(call):
    for C in (24, 512):
        found = float(call(torch.tensor([-1e4 * C, -1e4 * C], dtype=torch.float64), C))
        if abs(found - 1e4) < 1:
            continue
        where = f"log_p / C = −10⁴, C = {C}: the loss is {found:.4g}, due is 10⁴"
        if 0 < found < 1e3:
            return where, (f"something keeps σ(l) above {math.exp(-found):.0e}: a small number added inside the "
                           "logarithm, or a clamp. Vectors less likely than that no longer pull; logsigmoid needs "
                           "neither")
        return where
    return None


def _plain(f):
    return lambda log_p, C: f(log_p, C)


LOSS = Exercise(
    name="logsigmoid_loss", minutes=8, returns=(_slot,),
    laws=(Law("the value is not −ln σ(log_p / C)", _value),
          Law("the loss must be the mean over the vectors", _mean),
          Law("a vector must weigh σ(−log_p / C) in the gradient", _weights),
          Law("the loss must go on growing like −l for vectors that are very unlikely", _far)),
    passes="1.2547 at l = −0.9189, mean over vectors, weight σ(−l), 10⁴ at l = −10⁴",
    hints=("First the likelihood per channel: log_p / C, shape (N,). Then its sigmoid, the logarithm, a sign, a mean.",
           "σ(−10⁴) is 0 in every number type, and ln 0 is −inf. Is there one function for ln σ that never forms σ?",
           "torch.nn.functional.logsigmoid(l), or −softplus(−l)."),
    suspects=(
        Suspect("σ(−10⁴) is 0 and exp(10⁴) is inf, whichever of the two you formed: logsigmoid and softplus form "
                "neither", _plain(lambda v, C: -torch.sigmoid(v / C).log().mean())),
        Suspect("the minus sign is missing: training would make good vectors unlikely",
                _plain(lambda v, C: logsigmoid(v / C).mean())),
        Suspect("the sign inside is turned: −ln σ(−l) grows with the likelihood",
                _plain(lambda v, C: -logsigmoid(-v / C).mean())),
        Suspect("C is forgotten: log_p is the sum over C channels, the loss wants it per channel",
                _plain(lambda v, C: -logsigmoid(v).mean())),
        Suspect("divided by C after the logarithm: the division belongs inside, to log_p",
                _plain(lambda v, C: -logsigmoid(v).mean() / C)),
        Suspect("multiplied by C where a division is due", _plain(lambda v, C: -logsigmoid(v * C).mean())),
        Suspect("a sum over the vectors: with a batch twice as large the step would be twice as long",
                _plain(lambda v, C: -logsigmoid(v / C).sum())),
        Suspect("this is the plain negative log-likelihood per channel: the log-sigmoid is missing",
                _plain(lambda v, C: -(v / C).mean())),
        Suspect("the logarithm is missing: this is 1 − σ(l) or −σ(l)",
                _plain(lambda v, C: 1 - torch.sigmoid(v / C).mean())),
        Suspect("the logarithm is missing: this is 1 − σ(l) or −σ(l)",
                _plain(lambda v, C: -torch.sigmoid(v / C).mean())),
        Suspect("the mean was taken before the log-sigmoid: each vector has its own weight, so the mean comes last",
                _plain(lambda v, C: -logsigmoid((v / C).mean()))),
        Suspect("a logarithm to base 10: natural logarithms throughout",
                _plain(lambda v, C: -logsigmoid(v / C).mean() / math.log(10))),
    ),
)
