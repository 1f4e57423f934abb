"""Exercise 5: the per-region overlap of one alarm picture."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.findings import Stop
from tutorial_lib.checks.slots import NumberSlot


def _labels() -> Tensor:
    """A region of 40 pixels (1), one of 4 (2), one of 10 (3) on 12 × 12 background."""
    labels = torch.zeros(12, 12, dtype=torch.long)
    labels[1:6, 1:9], labels[8:10, 8:10], labels[7:12, 2:4] = 1, 2, 3
    return labels


def _alarm(share: float = 0.6, seed: int = 31) -> Tensor:
    """A random alarm picture (12, 12)."""
    return torch.rand(12, 12, generator=torch.Generator().manual_seed(seed)) < share


def _value(call, binary: Tensor, labels: Tensor, expected: float, what: str) -> str | None:
    found = float(call(binary, labels))
    return None if abs(found - expected) < 1e-6 else f"{what}: expected {expected:.4f}, found {found:.4f}"


def _one_region(call):
    labels, binary = (_labels() == 1).long(), _alarm()
    hit = int((binary & (labels == 1)).sum())
    return _value(call, binary, labels, hit / 40, f"one region of 40 pixels, {hit} of them marked")


def _equal_weight(call):
    labels = _labels() * (_labels() < 3)
    return (_value(call, labels == 1, labels, 0.5, "regions of 40 and 4 pixels, only the large one marked")
            or _value(call, labels == 2, labels, 0.5, "regions of 40 and 4 pixels, only the small one marked"))


def _background(call):
    labels = _labels()
    call(_alarm(), labels)  # first, so that a suspect is judged on a picture that tells them apart
    return (_value(call, torch.ones(12, 12, dtype=torch.bool), labels, 1.0, "everything is marked")
            or _value(call, labels > 0, labels, 1.0, "exactly the three regions are marked")
            or _value(call, labels == 0, labels, 0.0, "only the background is marked"))


def _any(call):
    labels, binary = _labels(), _alarm()
    expected = sum(float((binary & (labels == i)).sum() / (labels == i).sum()) for i in (1, 2, 3)) / 3
    return _value(call, binary, labels, expected, "three regions of 40, 4 and 10 pixels, partly marked")


def _names(call):
    labels = _labels()
    other = torch.tensor([0, 7, 2, 4])[labels]  # the same regions under other numbers, with gaps
    plain = float(call(_alarm(), labels))
    try:
        gap = abs(plain - float(call(_alarm(), other)))
    except Stop as stop:
        raise Stop(stop.finding.because("a number that does not occur: the labels have gaps, here 2, 4 and 7. Go "
                                        "through labels.unique(), not range(1, …)")) from None
    return None if gap < 1e-6 else f"numbers 1, 2, 3 and 7, 2, 4 for the same regions: the results differ by {gap:.4f}"


def _filled(call):
    labels = torch.full((6, 8), 3)
    labels[:, 5:] = 5
    found, expected = float(call(labels == 3, labels)), 0.5
    return None if abs(found - expected) < 1e-6 else (
        f"regions 3 and 5 fill the picture, 3 is all marked, 5 is not: expected 0.5000, found {found:.4f}",
        "the first of labels.unique() was dropped, or one subtracted from their number: that is the background only if "
        "there is any; leave out the number 0")


def _shares(binary: Tensor, labels: Tensor, divide=lambda part, b: part.sum(), start: int = 1) -> float:
    ids = [i for i in labels.unique().tolist() if i >= start]
    parts = [(labels == i) for i in ids]
    return float(sum((binary & p).sum() / divide(p, binary) for p in parts) / len(parts))


OVERLAP = Exercise(
    name="per_region_overlap", minutes=8,
    returns=(lambda binary, labels: NumberSlot("the overlap"),),
    laws=(Law("background is no region: only where the true regions are marked counts", _background),
          Law("for a single region it must be the marked share of that region", _one_region),
          Law("two regions must weigh the same, whatever their size", _equal_weight),
          Law("it is not the mean over the regions of their marked shares", _any),
          Law("the numbers that name the regions must not matter", _names),
          Law("a picture without background goes wrong", _filled)),
    passes="one region gives its recall, a region of 4 pixels weighs as much as one of 40, background is none",
    hints=("labels.unique() lists the numbers in use. Which of them is no region?",
           "For one region, labels == number is its mask. Which share of it is marked?",
           "Collect one share per region, then take their mean: every region counts once."),
    suspects=(
        Suspect("weighted by pixels: marked pixels of all regions over all their pixels; a large region drowns a small "
                "one", lambda b, lab: float((b & (lab > 0)).sum() / (lab > 0).sum())),
        Suspect("the background (label 0) was counted as a region", lambda b, lab: _shares(b, lab, start=0)),
        Suspect("divided by the union (IoU): PRO divides by the region's own pixels, extra marks outside cost nothing",
                lambda b, lab: _shares(b, lab, lambda p, binary: (p | binary).sum())),
        Suspect("one IoU of all regions together: PRO divides by each region's own pixels, then averages over them",
                lambda b, lab: float((b & (lab > 0)).sum() / (b | (lab > 0)).sum())),
        Suspect("divided by all marked pixels: that is a precision; divide by the region's own pixels",
                lambda b, lab: _shares(b, lab, lambda p, binary: binary.sum().clamp(min=1))),
        Suspect("divided by the picture's pixels: divide by the region's own pixels",
                lambda b, lab: _shares(b, lab, lambda p, binary: binary.numel())),
        Suspect("a region that is touched counts as found: the marked *share* is asked",
                lambda b, lab: float(torch.tensor([float((b & (lab == i)).any()) for i in lab.unique() if i]).mean())),
        Suspect("labels.max() was taken for the number of regions: the numbers may have gaps; count those in use",
                lambda b, lab: sum(float((b & (lab == i)).sum() / (lab == i).sum()) for i in lab.unique() if i)
                / int(lab.max())),
        Suspect("the shares were added and not divided by the number of regions",
                lambda b, lab: _shares(b, lab) * (len(lab.unique()) - 1)),
        Suspect("the best region stands for all: take the mean over the regions",
                lambda b, lab: max(float((b & (lab == i)).sum() / (lab == i).sum()) for i in lab.unique() if i)),
        Suspect("the worst region stands for all: take the mean over the regions",
                lambda b, lab: min(float((b & (lab == i)).sum() / (lab == i).sum()) for i in lab.unique() if i)),
        Suspect("only the first region was looked at: a return inside the loop?",
                lambda b, lab: float((b & (lab == 1)).sum() / (lab == 1).sum())),
        Suspect("the share that is *not* marked: one minus the overlap", lambda b, lab: 1 - _shares(b, lab)),
        Suspect("the number of regions was taken with the background in it: one too many to divide by",
                lambda b, lab: _shares(b, lab) * (len(lab.unique()) - 1) / len(lab.unique()))),
)
