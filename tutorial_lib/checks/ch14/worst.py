"""Finding 1: the good part that scores worst, and the place that is to blame."""

from __future__ import annotations

from tutorial_lib.checks.ch14.numbers import Whole, whole
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.experiments import hunt

METHOD, CATEGORY = "fastflow", "board"
NEAR = 6  # pixels: a cell of the finer map is 4 wide


def _study():
    return hunt.study(METHOD, CATEGORY)


def _returns():
    last = len(_study().names) - 1
    return Whole("the image number", 0, last), Whole("the row", 0, 63), Whole("the column", 0, 63)


def _is_good(call):
    study, index = _study(), whole(call()[0])
    if study.train[index]:
        return f"{index} is {study.names[index]}", ("a training image: the detector was fitted on it, so its score "
                                                    "says little. Look among the held-out good ones, the blue discs")
    if not study.good[index]:
        return f"{index} is {study.names[index]}", ("the worst image of all is a defective one, as it should be; the "
                                                    "worst *good* one lies further right on the map by score")
    return None


def _is_worst(call):
    study, index = _study(), whole(call()[0])
    above = [i for i in range(len(study.names)) if study.good[i] and study.scores[i] > study.scores[index]]
    if not above:
        return None
    cause = ("the good image with the lowest score: higher is more anomalous"
             if len(above) == int(study.good.sum()) - 1 else "the slider 'or by rank' goes from the worst image down")
    return f"{len(above)} held-out good images score above {study.names[index]}", cause


def _is_the_place(call):
    study = _study()
    index, row, col = (whole(v) for v in call())
    heat = study.maps[index]
    top = divmod(int(heat.argmax()), heat.shape[1])

    def off(place) -> float:
        return ((place[0] - top[0]) ** 2 + (place[1] - top[1]) ** 2) ** 0.5

    if off((row, col)) <= NEAR:
        return None
    where = (f"the heat map is {float(heat[row, col]):.3f} at row {row}, column {col}, and {float(heat.max()):.3f} at "
             f"its highest, {off((row, col)):.0f} pixels away")
    if off((col, row)) <= NEAR:
        return where, "row and column exchanged: rows are counted downwards, and named first"
    if 4 * row < 64 and 4 * col < 64 and off((4 * row + 2, 4 * col + 2)) <= NEAR:
        return where, "the cell's row and column, not the pixel's: a cell of this map is 4 pixels wide"
    return where, "another place than the cross: the sentence below the pictures names row and column"


WORST = Exercise(
    name="worst_good",
    minutes=10,
    laws=(Law("the image is not a held-out good one", _is_good),
          Law("another good image scores worse", _is_worst),
          Law("this is not the place that the score comes from", _is_the_place)),
    passes="it is the held-out good image with the highest score, and the place is where its heat map is highest",
    hints=("Choose the model 'fastflow · board'. On the map 'score and radius', images lie from left to right by "
           "rank; 1 is the highest score.",
           "Blue discs are good images that were not trained on. The leftmost of them is the one.",
           "Open it: the sentence below the pictures names the row and the column of its worst place."),
    returns=(_returns,),
)
