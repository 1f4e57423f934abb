"""Exercise 6: a direction that no output notices."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch02.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot


def _matrices():
    """Wide matrices: ordinary, one dimension too many, of lower rank, with a zero row, one row."""
    low = normal(4, 2, seed=101) @ normal(2, 6, seed=103)
    zero_row = normal(3, 5, seed=105)
    zero_row[1] = 0
    return {"3 × 7": normal(3, 7, seed=107), "5 × 6": normal(5, 6, seed=109), "4 × 6 of rank 2": low,
            "3 × 5 with a zero row": zero_row, "1 × 4": normal(1, 4, seed=111)}


def _length(call):
    for name, J in _matrices().items():
        length = float(call(J).detach().norm())
        if abs(length - 1) > 1e-6:
            return f"J is {name}: ‖v‖ = {length:.4f}"
    return None


def _unnoticed(call):
    for name, J in _matrices().items():
        v = call(J).detach()
        moved = float((J @ v).norm())
        if not moved < 1e-6:
            return f"J is {name}: ‖J v‖ = {moved:.4f}", _cause(J, v)
    return None


def _cause(J, v):
    """Which known direction v is, up to its sign: decompositions choose signs as they like."""
    _, s, vh = torch.linalg.svd(J, full_matrices=False)
    shares = vh @ v / v.norm()  # (m,): cosines with the directions that J can notice, strongest first
    if abs(float(shares[0])) > 1 - 1e-6 and len(s) > 1:
        return ("the strongest direction, which J stretches most: it belongs to the largest singular value (first row "
                "of Vᵀ) or eigenvalue of Jᵀ J (last column)")
    if abs(float(shares[-1])) > 1 - 1e-6:
        return ("the last of the m directions that J can notice: svd with full_matrices=False gives no others; ask for "
                "all n rows of Vᵀ")
    return ""


def _float32(call):
    J = normal(6, 40, seed=113, dtype=torch.float32)
    moved = float((J @ call(J).detach()).norm())
    return None if moved < 1e-4 else f"‖J v‖ = {moved:.2g} in float32"


class Direction(TensorSlot):
    """A vector with one entry per input."""

    def _shape_cause(self, value):
        if value.ndim == 1:
            return ("as many entries as J has rows: a left singular vector or an eigenvector of J Jᵀ lives among the m "
                    "outputs; a direction in the input has n entries")
        return super()._shape_cause(value)


NULL = Exercise(
    name="null_direction", minutes=10, returns=(lambda J: Direction("v", tuple(J.shape[1:]), "(n,)", J.dtype),),
    laws=(Law("an output notices v: J v is not zero", _unnoticed),
          Law("v does not have length 1", _length),
          Law("it does not work in float32", _float32)),
    passes="‖v‖ = 1 and ‖J v‖ < 1e-6 for five wide matrices, one of lower rank",
    hints=("n inputs, m < n outputs: J v = 0 is m equations for n unknowns. A solution other than 0 always exists.",
           "torch.linalg.svd(J) writes J = U S Vᵀ. The rows of Vᵀ are directions in the input, the columns of U in the "
           "output. Which singular value belongs to a direction that nobody notices?",
           "By default svd returns all n rows of Vᵀ (full_matrices=True); the last n − m of them have no singular "
           "value at all. Vh[-1] is one."),
    suspects=(
        Suspect("a column of Vᵀ: the directions are its rows, Vh[-1] and not Vh[:, -1]",
                lambda J: torch.linalg.svd(J).Vh[:, -1]),
        Suspect("a row of eigenvectors: torch.linalg.eigh puts them in columns",
                lambda J: torch.linalg.eigh(J.T @ J).eigenvectors[0]),
        Suspect("the zero vector: nothing notices it, but it is no direction; ‖v‖ must be 1",
                lambda J: torch.zeros_like(J[0])),
        Suspect("a row of J: J stretches it, it is as far from the null space as can be",
                lambda J: J[0] / J[0].norm()),
    ),
)
