"""Exercise 4: the log_det of a 1 x 1 convolution."""

from __future__ import annotations

import math

import torch

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.ch06.probes import map_log_det
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _matrices():
    turn = torch.linalg.qr(normal(3, 3, seed=31))[0]
    mirror = turn.clone()
    mirror[:, 0] = -mirror[:, 0]
    return {"a matrix with positive determinant": torch.tensor([[2.0, 0.3], [-0.5, 1.5]]).double(),
            "a matrix with negative determinant": torch.tensor([[0.2, 3.0], [1.5, -0.4]]).double(),
            "a rotation or mirror": turn, "its mirror image": mirror}


def _against_jacobian(call):
    for name, matrix in _matrices().items():
        x = normal(1, len(matrix), 2, 3, seed=32)
        truth = map_log_det(lambda v, m=matrix: (torch.einsum("ij,bjhw->bihw", m, v), None), x)[0]
        found = float(call(matrix, 2, 3))
        if abs(found - float(truth)) > 1e-6:
            return f"for {name}, H = 2, W = 3: found {found:.4f}, ln|det J| of the whole map is {float(truth):.4f}"
    return None


def _large(call):
    matrix = 0.01 * torch.linalg.qr(normal(200, 200, seed=33))[0]
    found, truth = float(call(matrix, 4, 4)), 16 * 200 * math.log(0.01)
    if abs(found - truth) < 1e-6 * abs(truth):
        return None
    return f"with 200 channels: found {found:.1f}, expected {truth:.1f}"


ONE_BY_ONE = Exercise(
    name="conv1x1_logdet", minutes=6,
    returns=(lambda matrix, height, width: TensorSlot("log_det", (), "()", matrix.dtype),),
    laws=(Law("log_det is not ln|det J| of the whole map", _against_jacobian),
          Law("it fails for many channels", _large)),
    passes="equals the Jacobian's, 0 for rotations and mirrors, holds for 200 channels",
    hints=("Write z = M x at one pixel: its Jacobian is M. Now two pixels: what does the Jacobian of both together "
           "look like?",
           "A block-diagonal matrix: the same block H · W times. Its determinant is a product.",
           "torch.linalg.slogdet gives sign and ln|det| without ever forming the determinant."),
    suspects=(
        Suspect("H · W is missing: the same matrix acts at every position",
                lambda m, h, w: torch.linalg.slogdet(m)[1]),
        Suspect("torch.det of a large matrix underflows to 0: use torch.linalg.slogdet",
                lambda m, h, w: h * w * torch.det(m).abs().log()),
        Suspect("the absolute value is missing: a negative determinant has no logarithm; use slogdet",
                lambda m, h, w: h * w * torch.logdet(m)),
        Suspect("the wrong sign: z = M x stretches by |det M|",
                lambda m, h, w: -h * w * torch.linalg.slogdet(m)[1]),
        Suspect("H + W instead of H · W",
                lambda m, h, w: (h + w) * torch.linalg.slogdet(m)[1]),
        Suspect("the diagonal alone gives the determinant of triangular matrices only",
                lambda m, h, w: h * w * m.diagonal().abs().log().sum()),
        Suspect("the first value of slogdet is the sign, the second the logarithm",
                lambda m, h, w: h * w * torch.linalg.slogdet(m)[0]),
        Suspect("the determinant itself: its logarithm is due",
                lambda m, h, w: h * w * torch.det(m).abs()),
        Suspect("the power H · W was taken of the logarithm: ln of a power is a product",
                lambda m, h, w: torch.linalg.slogdet(m)[1] ** (h * w)),
        Suspect("C is counted as well: the determinant holds all channels already",
                lambda m, h, w: len(m) * h * w * torch.linalg.slogdet(m)[1]),
    ),
)
