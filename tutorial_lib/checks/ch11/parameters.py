"""Exercise 2: how many numbers a flow of FastFlow learns."""

from __future__ import annotations

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot
from tutorial_lib.detectors import FastFlow

BUILT = ((8, 1.0, (3,)), (6, 1.0, (3, 1)), (10, 0.5, (1, 1, 3)), (12, 0.3, (5, 1)))
PAPER = {(64, 1.0, (3,) * 8): 222_976, (256, 1.0, (3,) * 8): 3_546_112, (768, 0.16, (3, 1) * 10): 7_074_500}


def _block(C, ratio, k, hidden=None, reads=None, writes=None, bias=True, scale=True, area=None):
    """One block; the arguments are the places at which an answer may go wrong."""
    h = int(C // 2 * ratio) if hidden is None else hidden
    reads, writes, area = C // 2 if reads is None else reads, C if writes is None else writes, k * k if area is None \
        else area
    return area * (reads * h + h * writes) + bias * (h + writes) + scale * 2 * C


def count(C, ratio, kernels, **wrong):
    """Sum over the blocks."""
    return sum(_block(C, ratio, k, **{n: v(C, ratio, k) if callable(v) else v for n, v in wrong.items()})
               for k in kernels)


def _built(call):
    for C, ratio, kernels in BUILT:
        s = FastFlow.small(whiten=False, blocks=len(kernels), kernels=kernels, ratio=ratio)
        expected = sum(p.numel() for p in s.build_heads([(C, 2, 2)]).parameters())
        found = float(call(C, ratio, list(kernels)))
        if found != expected:
            return (f"C = {C}, ratio = {ratio:g}, kernels = {list(kernels)}: found {found:g}, the module that is built "
                    f"so has {expected}")
    return None


def _sheet(call):
    for (C, ratio, kernels), expected in PAPER.items():
        found = float(call(C, ratio, list(kernels)))
        if found != expected:
            return f"C = {C}, ratio = {ratio:g}, {len(kernels)} blocks: found {found:,.0f}, by hand {expected:,}"
    return None


PARAMETERS = Exercise(
    name="flow_parameters", minutes=8, returns=(lambda C, ratio, kernels: NumberSlot("the number"),),
    laws=(Law("it is not the number of parameters of the built flow", _built),
          Law("it is not the number counted by hand", _sheet)),
    passes="equal to four built flows and to 222,976, 3,546,112 and 7,074,500 counted by hand",
    hints=("A convolution from a to b channels has a · b · k · k weights and b biases. Write both convolutions of one "
           "block down.",
           "The first one reads half of the channels. How many numbers must the second one give: only s?",
           "After the coupling comes one scale and one shift for each of the C channels. The permutation learns none."),
    suspects=(
        Suspect("the biases are missing: each output channel of a convolution has one",
                lambda C, r, ks: count(C, r, ks, bias=False)),
        Suspect("the scale and the shift of each channel are missing: 2 C more in every block",
                lambda C, r, ks: count(C, r, ks, scale=False)),
        Suspect("biases, scales and shifts are missing: these are the weights alone",
                lambda C, r, ks: count(C, r, ks, bias=False, scale=False)),
        Suspect("the second convolution gives s and t: C outputs, not C/2",
                lambda C, r, ks: count(C, r, ks, writes=lambda C, r, k: C // 2)),
        Suspect("the network reads half of the channels, not all of them",
                lambda C, r, ks: count(C, r, ks, reads=lambda C, r, k: C)),
        Suspect("the hidden width is a share of the channels that are read: int(C/2 · ratio)",
                lambda C, r, ks: count(C, r, ks, hidden=lambda C, r, k: int(C * r))),
        Suspect("the hidden width is cut off, not rounded: int(…)",
                lambda C, r, ks: count(C, r, ks, hidden=lambda C, r, k: round(C // 2 * r))),
        Suspect("the hidden width is not a whole number: int(…) is missing",
                lambda C, r, ks: count(C, r, ks, hidden=lambda C, r, k: C // 2 * r)),
        Suspect("a window of side k has k · k weights, not k",
                lambda C, r, ks: count(C, r, ks, area=lambda C, r, k: k)),
        Suspect("all blocks were counted with the first kernel",
                lambda C, r, ks: count(C, r, [ks[0]] * len(ks))),
        Suspect("one block only: sum over the kernels", lambda C, r, ks: count(C, r, ks[:1])),
        Suspect("the permutation was counted: it is drawn once and never learned",
                lambda C, r, ks: count(C, r, ks) + C * C * len(ks)),
        Suspect("C too many in every block. If you counted the permutation: its C entries are drawn once and never "
                "learned", lambda C, r, ks: count(C, r, ks) + C * len(ks)),
        Suspect("the second convolution has its own kernel of side k, too",
                lambda C, r, ks: sum(_block(C, r, k) - (k * k - 1) * int(C // 2 * r) * C for k in ks)),
    ),
)
