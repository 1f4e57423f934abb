"""Exercise 2: groups that lie on both sides of a split."""

from __future__ import annotations

from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot

SHARED = (["train/good/a1.png", "train/good/a2.png", "train/good/b1.png", "train/good/c1.png", "train/good/e1.png",
           "test/good/a3.png", "test/good/a4.png", "test/good/a5.png", "test/crack/b2.png", "test/good/d1.png",
           "test/good/e2.png"],
          ["a", "a", "b", "c", "e", "a", "a", "a", "b", "d", "e"])               # a, b and e lie on both sides


def _side(path: str) -> str:
    return path.split("/")[0]


def _groups(paths, group, side):
    return {g for p, g in zip(paths, group, strict=True) if _side(p) == side}


def _value(call, paths, group, expected, what):
    found = float(call(paths, group))
    return None if found == expected else f"{what}: expected {expected}, found {found:g}"


def _clean(call):
    paths = [f"train/good/{i}.png" for i in range(4)] + [f"test/good/{i}.png" for i in range(3)]
    call(*SHARED)  # first, so that a suspect is judged on paths that tell them apart
    return _value(call, paths, [0, 0, 1, 2, 3, 3, 4], 0, "no group on both sides")


def _count(call):
    return _value(call, *SHARED, 3, "groups a, b and e lie on both sides, c and d on one")


def _order(call):
    paths, group = (list(reversed(x)) for x in SHARED)
    return (_value(call, paths, group, 3, "the same list backwards")
            or _value(call, paths[3:] + paths[:3], group[3:] + group[:3], 3, "the same list in another order"))


def _names(call):
    paths = ["train/good/1.png", "test/good/trained_again.png", "test/train_wreck/3.png", "train/good/test_bench.png"]
    return _value(call, paths, [7, 8, 9, 10], 0, "file and folder names that hold 'train' or 'test' themselves")


def _kinds(call):
    paths = ["train/good/1.png", "test/good/2.png", "test/crack/3.png"]
    return _value(call, paths, ["tile 1", "tile 2", "tile 1"], 1, "a group shared with a defective test image")


def _by(function):
    return lambda paths, group: function(_groups(paths, group, "train"), _groups(paths, group, "test"))


def _images(paths, group, side):
    both = _groups(paths, group, "train") & _groups(paths, group, "test")
    return sum(g in both and _side(p) == side for p, g in zip(paths, group, strict=True))


def _substring(paths, group):
    train = {g for p, g in zip(paths, group, strict=True) if "train" in p}
    return len(train & {g for p, g in zip(paths, group, strict=True) if "test" in p})


def _neighbours(paths, group):
    return sum(a == b and _side(p) != _side(q)
               for p, q, a, b in zip(paths, paths[1:], group, group[1:], strict=False))


LEAK = Exercise(
    name="leak_check", minutes=6,
    returns=(lambda paths, group: NumberSlot("the number of groups"),),
    laws=(Law("a split without a shared group must give 0", _clean),
          Law("it is not the number of groups on both sides", _count),
          Law("the order of the files must not matter", _order),
          Law("the first folder decides the side, not a word somewhere in the path", _names),
          Law("a defective test image can leak its group as well", _kinds)),
    passes="counts groups, not images; any order, any kind of name, defective images included",
    hints=("Which groups occur in training? Which in the test set? Two sets.",
           "paths[i].split(\"/\")[0] is \"train\" or \"test\"; group[i] is the group of that file.",
           "The elements of both sets: train & test. How many are they?"),
    suspects=(
        Suspect("images were counted: the test images whose group is in training; a group counts once",
                lambda p, g: _images(p, g, "test")),
        Suspect("images were counted: the training images whose group is in the test set; a group counts once",
                lambda p, g: _images(p, g, "train")),
        Suspect("images of both sides were counted; a group counts once",
                lambda p, g: _images(p, g, "train") + _images(p, g, "test")),
        Suspect("pairs of a training and a test image of one group were counted; a group counts once",
                lambda p, g: sum(a == b for q, a in zip(p, g, strict=True) for r, b in zip(p, g, strict=True)
                                 if _side(q) == "train" and _side(r) == "test")),
        Suspect("all groups were counted (the union): take those that lie on both sides", _by(lambda a, b: len(a | b))),
        Suspect("the groups of the training set were counted", _by(lambda a, b: len(a))),
        Suspect("the groups of the test set were counted", _by(lambda a, b: len(b))),
        Suspect("the groups that lie on one side only were counted", _by(lambda a, b: len(a ^ b))),
        Suspect("the groups of the training set that do not leak were counted", _by(lambda a, b: len(a - b))),
        Suspect("the groups of the test set that do not leak were counted", _by(lambda a, b: len(b - a))),
        Suspect("repeated entries of the list were counted: a group with two images on one side is no leak",
                lambda p, g: len(g) - len(set(g))),
        Suspect("groups with more than one image were counted: both may lie on one side",
                lambda p, g: sum(g.count(k) > 1 for k in set(g))),
        Suspect("only neighbours in the list were compared: the files come in any order", _neighbours),
        Suspect("the word was looked for anywhere in the path: 'trained_again.png' is a test image too", _substring),
        Suspect("only test/good was looked at: a defective image of a known tile leaks as well",
                lambda p, g: len(_groups(p, g, "train") & {k for q, k in zip(p, g, strict=True)
                                                           if q.startswith("test/good")})),
        Suspect("yes or no was returned: how *many* groups are shared?", _by(lambda a, b: int(bool(a & b)))),
    ),
)
