"""Finding 2: defects that -log p(z) misses and -log_det catches, or the statement that there are none."""

from __future__ import annotations

from tutorial_lib.checks.ch14.numbers import Wholes, whole
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.experiments import hunt
from tutorial_lib.explorer.likelihood import PRIOR, VOLUME

METHOD, CATEGORY = "fastflow", "board"


def table():
    """The study and its two parts, as the exercise shows them."""
    return _kept()


def _returns():
    study, _ = table()
    return Wholes("the list", len(study.names) - 1)


def _found(call) -> list[int]:
    return sorted(whole(one) for one in call())


def _are_defective(call):
    study, _ = table()
    train = [i for i in _found(call) if study.train[i]]
    if train:
        return (f"the list names {', '.join(f'{i}, which is {study.names[i]}' for i in train[:3])}",
                "training images. A number that was read from a name? 'scratch 5' is not image 5: the image number "
                "stands in the first column of the table")
    good = [study.names[i] for i in _found(call) if not study.defective[i]]
    return (f"the list names {', '.join(good[:3])}", "good images above the limit of -log_det: one in twenty of them "
            "is, by the choice of the limit. Only defective images were asked for") if good else None


def _are_missed(call):
    study, parts = table()
    line = hunt.limit(parts[PRIOR], study.good)
    over = [i for i in _found(call) if parts[PRIOR][i] > line]
    return (f"{study.names[over[0]]} has -log p(z) = {float(parts[PRIOR][over[0]]):.0f}, above {line:.0f}",
            "a defect that both parts catch, or that -log p(z) catches alone: it is not hidden") if over else None


def _are_caught(call):
    study, parts = table()
    line = hunt.limit(parts[VOLUME], study.good)
    under = [i for i in _found(call) if parts[VOLUME][i] <= line]
    return (f"{study.names[under[0]]} has -log_det = {float(parts[VOLUME][under[0]]):.0f}, not above the limit "
            f"{line:.0f}",
            "a defect that neither part catches: a missed one is not yet caught by the other") if under else None


def _are_all(call):
    study, parts = table()
    missing = [i for i in hunt.hidden(study, parts) if i not in _found(call)]
    return (f"{len(missing)} more: {study.names[missing[0]]} has -log p(z) = {float(parts[PRIOR][missing[0]]):.0f} and "
            f"-log_det = {float(parts[VOLUME][missing[0]]):.0f}", "the list is not complete, or the statement that "
            "none exists is wrong") if missing else None


def variant(sign: float = 1.0, swap: bool = False) -> list[int]:
    """The list that a reader gets who takes the wrong sign of the log_det, or exchanges the two parts."""
    study, parts = table()
    a, b = (parts[VOLUME], parts[PRIOR]) if swap else (parts[PRIOR], sign * parts[VOLUME])
    below, above = a <= hunt.limit(a, study.good), b > hunt.limit(b, study.good)
    return (study.defective & below & above).nonzero().flatten().tolist()


def _kept():
    study = hunt.study(METHOD, CATEGORY)
    if study not in _PARTS:
        _PARTS[study] = hunt.parts_of(study)
    return study, _PARTS[study]


_PARTS: dict = {}

HIDDEN = Exercise(
    name="hidden_defects",
    minutes=12,
    laws=(Law("the list holds good images", _are_defective),
          Law("the list holds a defect that -log p(z) does not miss", _are_missed),
          Law("the list holds a defect that -log_det does not catch", _are_caught),
          Law("the list is not complete", _are_all)),
    passes="each named defect lies at or below the limit of -log p(z) and above that of -log_det, and no other does",
    hints=("The picture above the cell has four quarters. Which of them is 'missed by -log p(z)'? The lower ones or "
           "the left ones?",
           "Left of the vertical line and above the horizontal one: the quarter at the top left.",
           "The table lists the images of that quarter, good ones included. Leave those out. An empty list is an "
           "answer."),
    suspects=(Suspect("the sign of the log_det: what is unusual has a *small* log_det, so a large -log_det",
                      lambda: variant(sign=-1.0)),
              Suspect("the two parts exchanged: these are missed by -log_det and caught by -log p(z)",
                      lambda: variant(swap=True))),
    returns=(_returns,),
)
