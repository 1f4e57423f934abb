"""Finding 3: two images that are near in latent space and far in pixels."""

from __future__ import annotations

from tutorial_lib.checks.ch14.numbers import Whole, whole
from tutorial_lib.checks.core import Exercise, Law
from tutorial_lib.experiments import hunt

METHOD, CATEGORY = "mahalanobis", "board"


def _study():
    return hunt.study(METHOD, CATEGORY)


def _returns():
    last = len(_study().names) - 1
    return Whole("the first image number", 0, last), Whole("the second image number", 0, last)


def _shares(call) -> tuple[int, int, float, float]:
    i, j = (whole(v) for v in call())
    latent, pixels = hunt.pair_shares(_study())
    return i, j, float(latent[i, j]), float(pixels[i, j])


def _are_two(call):
    i, j, *_ = _shares(call)
    return (f"both are {_study().names[i]}", "an image is near itself everywhere: two different ones were asked for") \
        if i == j else None


def _is_near(call):
    i, j, latent, pixels = _shares(call)
    names = f"{_study().names[i]} and {_study().names[j]}"
    if latent <= hunt.NEAR:
        return None
    where = f"{latent:.0%} of all pairs are nearer in latent space than {names}; at most {hunt.NEAR:.0%} may be"
    if pixels <= hunt.NEAR:
        return where, "the other way round: these two are near in pixels and far in latent space"
    nearest = int(_study().vectors().sub(_study().vectors()[i]).norm(dim=1).argsort()[1])
    if j == nearest:
        return where, ("the nearest neighbour of an image that is far from everything: 'nearest' does not mean near. "
                       "Compare the distance with the median")
    return where, ("only images in the middle of the crowd have near neighbours: begin with one of the twenty lowest "
                   "scores")


def _is_far(call):
    i, j, _, pixels = _shares(call)
    if pixels >= hunt.FAR:
        return None
    return (f"{pixels:.0%} of all pairs are nearer in pixels than {_study().names[i]} and {_study().names[j]}; at "
            f"least {hunt.FAR:.0%} must be", "near in both: two pictures of the same place and light. Look for a pair "
            "of which one board lies a pixel or two elsewhere: go down its table")


PAIR = Exercise(
    name="near_and_far",
    minutes=8,
    laws=(Law("the two images are one", _are_two),
          Law("the two images are not near in latent space", _is_near),
          Law("the two images are not far in pixels", _is_far)),
    passes=f"of all pairs, at most {hunt.NEAR:.0%} are nearer in latent space and at least {hunt.FAR:.0%} are nearer "
           "in pixels",
    hints=("This detector's score is ‖z‖²: low scores lie in the middle of the crowd, and there neighbours are near. "
           "Choose 'mahalanobis · board' and move the slider 'or by rank' to one of the last twenty. Write the number "
           "of that image into the cell of the table. A row with at most 5 % and at least 50 % is an answer; if there "
           "is none, take another of the twenty.",
           "A whole column above 5 % means: this image has a nearest neighbour and no near one. It lies too far out. "
           "Nearly all good boards that were not trained on do, and nearly all defective ones.",
           "Why such pairs exist: where does each board lie on its ground? Pooling has no places. For pixels, a shift "
           "by one of them moves every edge."),
    returns=(_returns,),
)
