"""What learners write in the hunt of chapter 14: right findings, read off in several ways, and known wrong ones."""

from __future__ import annotations

from functools import cache

import torch

from tutorial_lib.checks.ch14 import hidden
from tutorial_lib.experiments import hunt
from tutorial_lib.explorer.likelihood import PRIOR, VOLUME


def fast():
    return hunt.study("fastflow", "board")


def pooled():
    return hunt.study("mahalanobis", "board")


def cflow():
    return hidden.table()[0]


def parts():
    return hidden.table()[1]


@cache
def suspect():
    return hunt.worst_good(fast())


@cache
def top():
    return divmod(int(fast().maps[suspect()].argmax()), 64)


# ---- right answers -------------------------------------------------------------------------------------------------


def worst_good():
    good = [i for i in range(len(fast().names)) if fast().groups[i] == "good"]
    image = max(good, key=lambda i: float(fast().scores[i]))
    heat = fast().maps[image]
    row, col = (heat == heat.max()).nonzero()[0]
    return image, row, col


def worst_by_terms():
    total = sum(fast().terms.values())
    total = torch.where(fast().good, total, -torch.inf)
    image = int(total.argmax())
    columns = fast().maps[image].amax(0)
    rows = fast().maps[image].amax(1)
    return image, int(rows.argmax()), int(columns.argmax())


def typed_worst():
    return float(suspect()), top()[0] + 3, top()[1]


def hidden_defects():
    found = []
    good = cflow().good
    for i in range(len(cflow().names)):
        if cflow().groups[i] in ("train", "good"):
            continue
        share_prior = float((parts()[PRIOR][good] < parts()[PRIOR][i]).double().mean())
        share_volume = float((parts()[VOLUME][good] < parts()[VOLUME][i]).double().mean())
        if share_prior < 0.95 and share_volume > 0.949:
            found.append(i)
    return found


def hidden_by_sorting():
    lines = []
    for name in (PRIOR, VOLUME):
        kept = parts()[name][cflow().good].sort().values
        lines.append(kept[len(kept) * 95 // 100 - 1])
    below = parts()[PRIOR] <= lines[0]
    above = parts()[VOLUME] > lines[1]
    defective = torch.tensor([g not in ("train", "good") for g in cflow().groups])
    return torch.nonzero(below & above & defective).flatten()


def near_and_far():
    return hunt.best_pair(pooled())


def near_by_neighbours():
    v, x = pooled().vectors().double(), pooled().images.flatten(1).double()
    near = torch.cdist(v, v)
    limit = near[near > 0].quantile(0.04)
    best, most = None, 0.0
    for i in range(len(v)):
        for j in range(i + 1, len(v)):
            if near[i, j] < limit and (x[i] - x[j]).norm() > most:
                best, most = (i, j), float((x[i] - x[j]).norm())
    return best


RIGHT = [("worst_good", worst_good), ("worst_good", worst_by_terms), ("worst_good", typed_worst),
         ("hidden_defects", hidden_defects), ("hidden_defects", hidden_by_sorting),
         ("near_and_far", near_and_far), ("near_and_far", near_by_neighbours)]

# ---- wrong answers -------------------------------------------------------------------------------------------------


def of_group(study, values, group, largest=True):
    inside = torch.tensor([g == group if group else g not in ("train", "good") for g in study.groups])
    masked = torch.where(inside, values.double(), torch.tensor(-torch.inf if largest else torch.inf).double())
    return int(masked.argmax() if largest else masked.argmin())


def second_worst():
    order = [int(i) for i in fast().scores.argsort(descending=True) if fast().good[i]]
    return order[1]


def near_both():
    latent, pixels = hunt.pair_shares(pooled())
    return divmod(int((latent + pixels + 2 * torch.eye(len(latent))).argmin()), len(latent))


def far_nearest():
    latent, _ = hunt.pair_shares(pooled())
    nearest = (latent + 2 * torch.eye(len(latent))).min(1)
    image = int(nearest.values.argmax())
    return image, int(pooled().vectors().sub(pooled().vectors()[image]).norm(dim=1).argsort()[1])


def pixels_only():
    latent, pixels = hunt.pair_shares(pooled())
    return divmod(int(((latent - pixels) * (pixels <= 0.05)).argmax()), len(latent))


def any_two():
    latent, _ = hunt.pair_shares(pooled())
    return divmod(int(latent.argmax()), len(latent))


WRONG = [
    ("worst_good", "a training image", "a training image", lambda: (of_group(fast(), fast().scores, "train"), *top())),
    ("worst_good", "the worst of all", "as it should be", lambda: (int(fast().scores.argmax()), *top())),
    ("worst_good", "the best good one", "the lowest score",
     lambda: (of_group(fast(), fast().scores, "good", largest=False), *top())),
    ("worst_good", "the second", "from the worst image down", lambda: (second_worst(), *top())),
    ("worst_good", "a corner", "another place than the cross", lambda: (suspect(), 63, 0)),
    ("worst_good", "a name", "the name of an image", lambda: (fast().names[suspect()], *top())),
    ("worst_good", "no such image", "must lie between 0 and", lambda: (9999, *top())),
    ("hidden_defects", "good ones too", "one in twenty of them", lambda: [of_group(cflow(), parts()[VOLUME], "good")]),
    ("hidden_defects", "numbers from names", "read from a name", lambda: [0, 1, 5]),
    ("hidden_defects", "caught by both", "it is not hidden", lambda: [of_group(cflow(), parts()[PRIOR], "")]),
    ("hidden_defects", "caught by neither", "neither part catches",
     lambda: [of_group(cflow(), parts()[PRIOR] + parts()[VOLUME], "", largest=False)]),
    ("hidden_defects", "there are none", "the statement that none exists", list),
    ("hidden_defects", "a number", "without brackets", lambda: 3),
    ("hidden_defects", "a statement", "a count, or words", lambda: "none"),
    ("hidden_defects", "twice the same", "names an image twice", lambda: [5, 5]),
    ("near_and_far", "one image", "near itself everywhere", lambda: (7, 7)),
    ("near_and_far", "near in both", "near in both", near_both),
    ("near_and_far", "the nearest of a far one", "'nearest' does not mean near", far_nearest),
    ("near_and_far", "near in pixels", "the other way round", pixels_only),
    ("near_and_far", "far in both", "in the middle of the crowd", any_two),
]

CHANGES = [("- 1", "- 4"), ("masked", "values"), ("best, most", "best, _"), ("0.04", "0.6"), ("> most", "> 99"),
           ("(1)", "(0)"), ("(0)", "(1)"), ("and", "or"), ("max", "min"),
           (".argmax", ".argmin"), ("0.95", "0.5"), ("0.949", "0.3"), (">", "<"), ("<", ">"),
           ("not in", "in"), ('"good"', '"train"'), ("PRIOR", "VOLUME"), ("VOLUME", "PRIOR"), ("amax(0)", "amax(1)"),
           ("amax(1)", "amax(0)"), ("image, row, col", "image, col, row"), ("& above", "& ~above"), ("95 //", "50 //"),
           ("- 1]", "- 9]"), ("i, j)", "i, i)"), ("+ 3", "+ 9"), ("top()[1]", "top()[0]"), ("top()[0]", "top()[1]")]
