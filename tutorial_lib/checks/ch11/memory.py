"""Exercise 6: the distance of every patch to the nearest normal one."""

from __future__ import annotations

from torch import Tensor

from tutorial_lib.checks.ch05.probes import normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

CLOSE = 1e-4  # |a|² − 2ab + |b|² with its negative rounding cut off is good to about 1e-5 here


def _returns(bank, f):
    return TensorSlot("the map", (len(f), *f.shape[2:]), "(B, h, w)", f.dtype)


def _probe(spread=1.0):
    """A bank (15, 3) far from the origin and maps (2, 3, 4, 5), one row of which holds patches of the bank."""
    bank = 40.0 + spread * normal(15, 3, seed=61)
    f = 40.0 + spread * normal(2, 3, 4, 5, seed=62)
    f[0, :, 1] = bank[:5].T
    return bank, f


def _right(bank: Tensor, f: Tensor) -> Tensor:
    gaps = f.movedim(1, -1)[..., None, :] - bank  # (B, h, w, N, C)
    return gaps.norm(dim=-1).amin(-1)


def _zero(call):
    bank, f = _probe()
    found = call(bank, f)[0, 1]
    if float(found.abs().max()) <= CLOSE:
        return None
    return f"five patches of the bank stand in row 1 of image 0; their distances are {_list(found)}, due is 0"


def _monotone(call):
    bank, f = _probe()
    more, fewer = call(bank, f), call(bank[:7], f)
    if (fewer < more - CLOSE).any():
        return f"with 7 instead of 15 patches in the bank, a distance falls by {float((more - fewer).max()):.3g}"
    return None


def _loop(call):
    for spread in (1.0, 5.0):
        bank, f = _probe(spread)
        found, expected = call(bank, f).double(), _right(bank, f)
        gap = (found - expected).abs()
        if float(gap.max()) > CLOSE * spread:
            b, i, j = (int(v) for v in (gap == gap.max()).nonzero()[0])
            return (f"image {b}, row {i}, column {j}: found {float(found[b, i, j]):.4f}, the nearest of {len(bank)} "
                    f"patches is {float(expected[b, i, j]):.4f} away")
    return None


def _list(v: Tensor) -> str:
    return " ".join(f"{x:.3g}" for x in v.tolist())


def _wrong(reduce):
    """Another reduction of the gaps (B, h, w, N, C)."""
    return lambda bank, f: reduce(f.movedim(1, -1)[..., None, :] - bank)


def _squares(bank, f):
    rows = f.movedim(1, -1).flatten(0, 2)
    return rows.square().sum(1)[:, None] - 2 * rows @ bank.T + bank.square().sum(1)


def _mean_patch(bank, f):
    return (f - bank.mean(0).view(1, -1, 1, 1)).norm(dim=1)


def _reshaped(bank, f):
    rows = f.reshape(-1, f.shape[1])
    return (rows[:, None] - bank).norm(dim=2).amin(1).view(len(f), *f.shape[2:])


def _columns_first(bank, f):
    found = _right(bank, f)
    return found.mT.reshape(found.shape)


MEMORY = Exercise(
    name="patch_memory_map", minutes=14, returns=(_returns,),
    laws=(Law("a patch that is in the bank is not at distance 0", _zero),
          Law("a distance falls when the bank shrinks", _monotone),
          Law("it is not the distance to the nearest patch of the bank", _loop)),
    passes="zero on patches of the bank, never smaller with a smaller bank, equal to the loop over all pairs",
    hints=("Make rows of f: every place is one vector of C numbers, as the rows of the bank are.",
           "Now all pairs: torch.cdist(rows, bank) makes a tensor (places, N) of distances. Which axis is the bank?",
           "The minimum over the bank is left, one number per place: give it the shape (B, h, w)."),
    suspects=(
        Suspect("a root of a negative number: |a|² − 2ab + |b|² is below 0 by rounding; use .clamp(min=0)",
                lambda bank, f: _squares(bank, f).amin(1).sqrt().view(len(f), *f.shape[2:])),
        Suspect("the distance to the mean of the bank: no patch need look like the mean", _mean_patch),
        Suspect("the mean distance to all patches of the bank: the nearest one is due",
                _wrong(lambda g: g.norm(dim=-1).mean(-1))),
        Suspect("the farthest patch of the bank: the nearest one is due", _wrong(lambda g: g.norm(dim=-1).amax(-1))),
        Suspect("squared distances: the root is missing", _wrong(lambda g: g.square().sum(-1).amin(-1))),
        Suspect("the nearest number in each channel by itself: all channels must come from one patch",
                _wrong(lambda g: g.abs().amin(-2).square().sum(-1).sqrt())),
        Suspect("absolute differences were added: the distance is the root of the sum of squares",
                _wrong(lambda g: g.abs().sum(-1).amin(-1))),
        Suspect("a mean over the channels under the root: a sum is due",
                _wrong(lambda g: g.square().mean(-1).sqrt().amin(-1))),
        Suspect("the second nearest patch: the search must not leave out the nearest one",
                _wrong(lambda g: g.norm(dim=-1).sort(-1).values[..., 1])),
        Suspect("f was reshaped without moving the channels to the end: the rows mix places and channels", _reshaped),
        Suspect("the places came back column by column: they run along the rows", _columns_first),
        Suspect("h and w changed places at the end: .view(B, h, w), rows before columns",
                lambda bank, f: _right(bank, f).reshape(len(f), f.shape[3], f.shape[2])),
        Suspect("h and w changed places at the end: .view(B, h, w), rows before columns",
                lambda bank, f: _right(bank, f).reshape(len(f), f.shape[3], f.shape[2]).mT),
        Suspect("the result is (B, w, h): rows come before columns", lambda bank, f: _right(bank, f).mT),
        Suspect("higher must be more anomalous: the sign is turned", lambda bank, f: -_right(bank, f)),
        Suspect("all images share the smallest distance: keep the batch axis",
                lambda bank, f: _right(bank, f).amin(0).expand(len(f), -1, -1)),
    ),
)
