"""Exercise 5: likelihood maps of several scales become one anomaly map."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SIZE = 16


def _slot(log_p, ref_max, size):
    return TensorSlot("the map", (len(log_p[0]), size, size), "(B, size, size)")


def _right(log_p, ref_max, size, relative=lambda v, m: (v - m).clamp(max=0).exp(), mode="bilinear", corners=False,
           last=lambda p: len(p) - sum(p)):
    how = {"mode": mode} if mode == "nearest" else {"mode": mode, "align_corners": corners}
    return last([interpolate(relative(v, m)[:, None], size=(size, size), **how)[:, 0]
                 for v, m in zip(log_p, ref_max, strict=True)])


def _maps(seed=94, images=3):
    return [normal(images, 8, 8, seed=seed) - 3, 0.7 * normal(images, 4, 4, seed=seed + 1) - 2.5], [0.5, -0.25]


def _higher(call):
    level = torch.tensor([-1.0, -4.0], dtype=torch.float64)[:, None, None]
    low, high = call([level.expand(2, n, n).clone() for n in (8, 4)], [0.5, 0.0], SIZE).mean((1, 2)).tolist()
    if high <= low:
        return (f"an image with likelihoods of −1 everywhere gets {low:.3f}, one with −4 everywhere {high:.3f}: less "
                "likely must be higher")
    return None


def _neighbours(call):
    maps, ref = _maps()
    other = [v.clone() for v in maps]
    for v in other:
        v[1] += 4.0                                              # image 1 becomes another one, and more likely
    gap = float((call(maps, ref, SIZE)[0] - call(other, ref, SIZE)[0]).abs().max())
    return f"image 1 was replaced, and the map of image 0 moved by {gap:.3g}" if gap > 1e-6 else None


def _impulse(call):
    for row, column in ((2, 5), (4, 2)):                         # far from the rim, where every way is symmetric
        likely = torch.zeros(1, 8, 8, dtype=torch.float64)
        likely[0, row, column] = -50.0
        found = call([likely], [0.0], SIZE)[0].double()
        found = found - found.median()                           # what most places have: some ways undershoot
        grid = torch.arange(SIZE, dtype=torch.float64)
        centre = [float((found.sum(axis) * grid).sum() / found.sum()) for axis in (1, 0)]
        due = [2 * row + 0.5, 2 * column + 0.5]                  # a cell covers two pixels of 16
        if max(abs(a - b) for a, b in zip(centre, due, strict=True)) > 0.05:
            return (f"an unlikely cell at row {row}, column {column} of 8 × 8 has its centre at pixel ({due[0]:.1f}, "
                    f"{due[1]:.1f}); in the map it stands at ({centre[0]:.1f}, {centre[1]:.1f})")
    return None


def _values(call):
    maps, ref = _maps(seed=96)
    return differ("the map", call(maps, ref, SIZE), _right(maps, ref, SIZE), 1e-6, "K − Σ enlarged exp(l − m)")


def _capped(call):
    maps, ref = [torch.full((1, 4, 4), 2.0, dtype=torch.float64)], [0.0]
    low = float(call(maps, ref, SIZE).min())
    if low >= -1e-6:
        return None
    return f"a place likelier than the reference gets {low:.3g}; it counts as 1, so the map is 0"


def _wrong(**changed):
    return lambda log_p, ref_max, size: _right(log_p, ref_max, size, **changed)


def _late(log_p, ref_max, size):
    """Enlarged first, exp afterwards."""
    up = [interpolate((v - m).clamp(max=0)[:, None], size=(size, size), mode="bilinear")[:, 0]
          for v, m in zip(log_p, ref_max, strict=True)]
    return len(up) - sum(v.exp() for v in up)


AGGREGATE = Exercise(
    name="aggregate", minutes=13, returns=(_slot,),
    laws=(Law("less likely places must be higher", _higher),
          Law("the map of an image must not depend on its neighbours", _neighbours),
          Law("an unlikely cell must stand where the cell stands", _impulse),
          Law("the map is not K − Σ enlarged exp(l − m)", _values),
          Law("a place likelier than the reference must count as 1", _capped)),
    passes="higher where unlikely, images independent, cells in their place, K − Σ exp(l − m), never below 0",
    hints=("Three steps for each scale: subtract the reference and cap at 0; exp; enlarge. Then one sum.",
           "interpolate wants (B, channels, h, w): put a channel axis in with [:, None] and take it out with [:, 0].",
           "mode='bilinear', align_corners=False. The reference comes from training: log_p.max() is never asked."),
    suspects=(
        Suspect("normalised by the test batch: log_p.max() stands where ref_max is due, so an image changes its "
                "neighbours' maps", lambda v, m, s: _right(v, [float(x.max()) for x in v], s)),
        Suspect("normalised by each image's own maximum: then even a bad image's best place is normal",
                _wrong(relative=lambda v, m: (v - v.amax((1, 2), keepdim=True)).exp())),
        Suspect("nearest: each cell becomes a block, and the map gets steps that no cell saw", _wrong(mode="nearest")),
        Suspect("align_corners=True: the outer cells are pulled to the outer pixels, up to half a cell from where they "
                "belong", _wrong(corners=True)),
        Suspect("enlarged by bicubic interpolation: its curves go beyond the cells' own values; the law asks for "
                "bilinear", _wrong(mode="bicubic")),
        Suspect("the sign: this sum is high where the place is likely", _wrong(last=sum)),
        Suspect("K is missing: minus the sum ranks alike, but a normal place should come near 0",
                _wrong(last=lambda p: -sum(p))),
        Suspect("1 − Σ p: with K scales the sum reaches K", _wrong(last=lambda p: 1 - sum(p))),
        Suspect("a mean over the scales where a sum is due", _wrong(last=lambda p: 1 - sum(p) / len(p))),
        Suspect("the scales were multiplied: the formula adds the p of all scales",
                _wrong(last=lambda p: len(p) - len(p) * torch.stack(p).prod(0))),
        Suspect("enlarged before exp was taken: between two cells the likelihoods are averaged, not their logarithms",
                _late),
        Suspect("exp is missing: l − m is a logarithm, 0 at best and without a floor",
                _wrong(relative=lambda v, m: (v - m).clamp(max=0), last=lambda p: -sum(p))),
        Suspect("exp is missing: K − Σ (l − m) has no floor, and one scale can outweigh all others",
                _wrong(relative=lambda v, m: (v - m).clamp(max=0))),
        Suspect("the reference was not subtracted: exp(l) alone has another height at every scale",
                _wrong(relative=lambda v, m: v.clamp(max=0).exp())),
        Suspect("the reference was not subtracted, and nothing was capped: exp(l) alone has another height at every "
                "scale", _wrong(relative=lambda v, m: v.exp())),
        Suspect("the reference was added: it is subtracted", _wrong(relative=lambda v, m: (v + m).clamp(max=0).exp())),
        Suspect("the cap is missing: a place likelier than in training is not more than normal",
                _wrong(relative=lambda v, m: (v - m).exp())),
    ),
)
