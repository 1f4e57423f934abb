"""What learners write in the exercises of chapter 13: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import numpy as np
import torch

from tutorial_lib.checks.ch13 import auroc

# ---- right answers ---------------------------------------------------------------------------------------------


def bootstrap_auroc(normal, defect, n):
    values = []
    for _ in range(n):
        i = torch.randint(len(normal), (len(normal),))
        j = torch.randint(len(defect), (len(defect),))
        values.append(auroc(normal[i], defect[j]))
    values = torch.tensor(values)
    return values.quantile(0.025).item(), values.quantile(0.975).item()


def bootstrap_with_numpy(normal, defect, n):
    rng = np.random.default_rng(0)
    a, b = normal.numpy(), defect.numpy()
    values = []
    for _ in range(n):
        x, y = rng.choice(a, len(a)), rng.choice(b, len(b))
        values.append((y[:, None] > x).mean() + 0.5 * (y[:, None] == x).mean())
    lo, hi = np.percentile(values, [2.5, 97.5])
    return lo, hi


def bootstrap_by_sorting(normal, defect, n):
    values = sorted(auroc(normal[torch.randint(len(normal), normal.shape)],
                          defect[torch.randint(len(defect), defect.shape)]) for _ in range(n))
    cut = int(0.025 * n)
    return values[cut], values[n - 1 - cut]


def leak_check(paths, group):
    train = {g for p, g in zip(paths, group, strict=True) if p.split("/")[0] == "train"}
    test = {g for p, g in zip(paths, group, strict=True) if p.split("/")[0] == "test"}
    return len(train & test)


def leaks_by_loop(paths, group):
    seen = {}
    for path, g in zip(paths, group, strict=True):
        seen.setdefault(g, set()).add(path.startswith("train/"))
    return sum(len(sides) == 2 for sides in seen.values())


def paired_difference(a, b, n):
    values = []
    for _ in range(n):
        i = torch.randint(len(a[0]), (len(a[0]),))
        j = torch.randint(len(a[1]), (len(a[1]),))
        values.append(auroc(a[0][i], a[1][j]) - auroc(b[0][i], b[1][j]))
    values = torch.tensor(values)
    return auroc(*a) - auroc(*b), values.quantile(0.025).item(), values.quantile(0.975).item()


def paired_with_numpy(a, b, n):
    rng = np.random.default_rng(1)
    values = []
    for _ in range(n):
        i = torch.from_numpy(rng.integers(len(a[0]), size=len(a[0])))
        j = torch.from_numpy(rng.integers(len(a[1]), size=len(a[1])))
        values.append(auroc(a[0][i], a[1][j]) - auroc(b[0][i], b[1][j]))
    lo, hi = np.quantile(values, [0.025, 0.975])
    return auroc(*a) - auroc(*b), lo, hi


def leaks_with_numpy(paths, group):
    paths, group = np.array(paths), np.array(group)
    train = np.char.startswith(paths, "train/")
    return len(np.intersect1d(group[train], group[~train]))


RIGHT = [
    ("bootstrap_auroc", bootstrap_auroc),
    ("bootstrap_auroc", bootstrap_with_numpy),
    ("bootstrap_auroc", bootstrap_by_sorting),
    ("leak_check", leak_check),
    ("leak_check", leaks_by_loop),
    ("leak_check", leaks_with_numpy),
    ("paired_difference", paired_difference),
    ("paired_difference", paired_with_numpy),
]

# ---- wrong answers ---------------------------------------------------------------------------------------------


def _drawn(x):
    return x[torch.randint(len(x), x.shape)]


def _values(normal, defect, n, both=(True, True)):
    return torch.tensor([auroc(*(_drawn(x) if on else x for x, on in zip((normal, defect), both, strict=True)))
                         for _ in range(n)])


def _ends(values, low=0.025, high=0.975):
    return values.quantile(low).item(), values.quantile(high).item()


def _one_urn(normal, defect, n):
    every, labels, values = torch.cat([normal, defect]), torch.arange(len(normal) + len(defect)) >= len(normal), []
    for _ in range(n):
        i = torch.randint(len(every), (len(every),))
        values.append(auroc(every[i][~labels[i]], every[i][labels[i]]))
    return _ends(torch.tensor(values))


def _one_urn_skipping(normal, defect, n):
    every, labels, values = torch.cat([normal, defect]), torch.arange(len(normal) + len(defect)) >= len(normal), []
    while len(values) < n:
        i = torch.randint(len(every), (len(every),))
        if labels[i].any() and not labels[i].all():
            values.append(auroc(every[i][~labels[i]], every[i][labels[i]]))
    return _ends(torch.tensor(values))


def _sized(sizes):
    """Draws of other sizes: ``sizes`` of (N, M)."""
    def answer(normal, defect, n):
        k, m = sizes(len(normal), len(defect))
        return _ends(torch.tensor([auroc(normal[torch.randint(len(normal), (k,))],
                                         defect[torch.randint(len(defect), (m,))]) for _ in range(n)]))
    return answer


def _paired_urn(a, b, n):
    size, values = len(a[0]), []
    every = [torch.cat(pair) for pair in (a, b)]
    while len(values) < n:
        k = torch.randint(len(every[0]), (len(every[0]),))
        i, j = k[k < size], k[k >= size]
        if len(i) and len(j):
            values.append(auroc(every[0][i], every[0][j]) - auroc(every[1][i], every[1][j]))
    return _plain(a, b), *_ends(torch.tensor(values))


def _paired_by_deviation(a, b, n):
    width = 1.96 * _rounds(a, b, n).std().item() if n > 1 else 0.0
    return _plain(a, b), _plain(a, b) - width, _plain(a, b) + width


def _cut_to_one(normal, defect, n):
    values, middle = _values(normal, defect, n), auroc(normal, defect)
    width = 1.96 * values.std().item() if n > 1 else 0.0
    return max(0.0, middle - width), min(1.0, middle + width)


def _no_replacement(normal, defect, n):
    return _ends(torch.tensor([auroc(normal[torch.randperm(len(normal))], defect[torch.randperm(len(defect))])
                               for _ in range(n)]))


def _by_deviation(factor, divide=False):
    def answer(normal, defect, n):
        values = _values(normal, defect, n)
        width = factor * values.std().item() / (n**0.5 if divide else 1)
        return auroc(normal, defect) - width, auroc(normal, defect) + width
    return answer


def _means(normal, defect, n):
    gaps = torch.tensor([(_drawn(defect).mean() - _drawn(normal).mean()).item() for _ in range(n)])
    return _ends(gaps.sigmoid())


def _rounds(a, b, n, share=("i", "j")):
    values = []
    for _ in range(n):
        i, j = torch.randint(len(a[0]), (len(a[0]),)), torch.randint(len(a[1]), (len(a[1]),))
        k = i if "i" in share else torch.randint(len(a[0]), (len(a[0]),))
        m = j if "j" in share else torch.randint(len(a[1]), (len(a[1]),))
        values.append(auroc(a[0][i], a[1][j]) - auroc(b[0][k], b[1][m]))
    return torch.tensor(values)


def _plain(a, b):
    return auroc(*a) - auroc(*b)


def _two_intervals(far):
    def answer(a, b, n):
        torch.manual_seed(0)
        one = bootstrap_auroc(*a, n)
        torch.manual_seed(0)
        other = bootstrap_auroc(*b, n)
        return (_plain(a, b), one[0] - other[1], one[1] - other[0]) if far else (
            _plain(a, b), one[0] - other[0], one[1] - other[1])
    return answer


def _half(a, b, n, i_fixed):
    values = []
    for _ in range(n):
        i, j = torch.randint(len(a[0]), (len(a[0]),)), torch.randint(len(a[1]), (len(a[1]),))
        i, j = (torch.arange(len(a[0])), j) if i_fixed else (i, torch.arange(len(a[1])))
        values.append(auroc(a[0][i], a[1][j]) - auroc(b[0][i], b[1][j]))
    return _plain(a, b), *_ends(torch.tensor(values))


def _scores_subtracted(a, b, n):
    normal, defect = a[0] - b[0], a[1] - b[1]
    return _plain(a, b), *_ends(torch.tensor([auroc(_drawn(normal), _drawn(defect)) - 0.5 for _ in range(n)]))


def _groups(paths, group, side):
    return {g for p, g in zip(paths, group, strict=True) if p.startswith(side)}


WRONG = [
    ("bootstrap_auroc", "90 %", "middle 90 %", lambda a, b, n: _ends(_values(a, b, n), 0.05, 0.95)),
    ("bootstrap_auroc", "one end", "at one end only", lambda a, b, n: _ends(_values(a, b, n), 0.05, 1.0)),
    ("bootstrap_auroc", "extremes", "smallest and largest",
     lambda a, b, n: (_values(a, b, n).min().item(), _values(a, b, n).max().item())),
    ("bootstrap_auroc", "quartiles", "quartiles hold half", lambda a, b, n: _ends(_values(a, b, n), 0.25, 0.75)),
    ("bootstrap_auroc", "one deviation", "two thirds of the draws", _by_deviation(1.0)),
    ("bootstrap_auroc", "standard error", "far too narrow", _by_deviation(1.96, divide=True)),
    ("bootstrap_auroc", "defects only", "the normal images were not drawn again",
     lambda a, b, n: _ends(_values(a, b, n, (False, True)))),
    ("bootstrap_auroc", "normals only", "the defective images were not drawn again",
     lambda a, b, n: _ends(_values(a, b, n, (True, False)))),
    ("bootstrap_auroc", "one urn", "lo is not finite", _one_urn),
    ("bootstrap_auroc", "no replacement", "without replacement", _no_replacement),
    ("bootstrap_auroc", "exchanged", "return the lower one first", lambda a, b, n: bootstrap_auroc(a, b, n)[::-1]),
    ("bootstrap_auroc", "means", "through exp", _means),
    ("bootstrap_auroc", "per cent", "every draw gives 1, found 100.000",
     lambda a, b, n: tuple(100 * v for v in bootstrap_auroc(a, b, n))),
    ("bootstrap_auroc", "one value", "it must return lo, hi", lambda a, b, n: _values(a, b, n).std().item()),
    ("bootstrap_auroc", "one end at 5 %", "at one end and 2.5 %", lambda a, b, n: _ends(_values(a, b, n), 0.05)),
    ("bootstrap_auroc", "one urn, skipping", "0.000 to 1.000, expected 0.2", _one_urn_skipping),
    ("bootstrap_auroc", "M drawn with N's size", "draw M of M", _sized(lambda n, m: (n, n))),
    ("bootstrap_auroc", "N drawn with M's size", "normal images were drawn as there are defective",
     _sized(lambda n, m: (m, m))),
    ("bootstrap_auroc", "sizes exchanged", "were exchanged: draw", _sized(lambda n, m: (m, n))),
    ("bootstrap_auroc", "half of the images", "half of the images were drawn",
     _sized(lambda n, m: (max(1, n // 2), max(1, m // 2)))),
    ("bootstrap_auroc", "1.96 deviations", "near the end of the scale the draws are not symmetric", _cut_to_one),
    ("bootstrap_auroc", "n ignored", "n = 1: found", lambda a, b, n: bootstrap_auroc(a, b, 500)),
    ("bootstrap_auroc", "arguments exchanged", "the arguments are exchanged",
     lambda a, b, n: bootstrap_auroc(b, a, n)),
    ("leak_check", "test images", "the test images whose group", lambda p, g: sum(
        k in _groups(p, g, "train/") for q, k in zip(p, g, strict=True) if q.startswith("test/"))),
    ("leak_check", "train images", "the training images whose group", lambda p, g: sum(
        k in _groups(p, g, "test/") for q, k in zip(p, g, strict=True) if q.startswith("train/"))),
    ("leak_check", "all images", "images of both sides", lambda p, g: sum(
        k in _groups(p, g, "test/") & _groups(p, g, "train/") for k in g)),
    ("leak_check", "pairs", "pairs of a training", lambda p, g: sum(
        a == b for q, a in zip(p, g, strict=True) if q.startswith("train/")
        for r, b in zip(p, g, strict=True) if r.startswith("test/"))),
    ("leak_check", "union", "the union", lambda p, g: len(set(g))),
    ("leak_check", "train groups", "groups of the training set were counted",
     lambda p, g: len(_groups(p, g, "train/"))),
    ("leak_check", "test groups", "groups of the test set were counted", lambda p, g: len(_groups(p, g, "test/"))),
    ("leak_check", "one side", "on one side only were",
     lambda p, g: len(_groups(p, g, "train/") ^ _groups(p, g, "test/"))),
    ("leak_check", "repeats", "repeated entries", lambda p, g: len(g) - len(set(g))),
    ("leak_check", "twice", "more than one image", lambda p, g: sum(g.count(k) > 1 for k in set(g))),
    ("leak_check", "neighbours", "only neighbours", lambda p, g: sum(
        a == b and q[:4] != r[:4] for q, r, a, b in zip(p, p[1:], g, g[1:], strict=False))),
    ("leak_check", "substring", "anywhere in the path", lambda p, g: len(
        {k for q, k in zip(p, g, strict=True) if "train" in q}
        & {k for q, k in zip(p, g, strict=True) if "test" in q})),
    ("leak_check", "good only", "only test/good", lambda p, g: len(
        _groups(p, g, "train/") & _groups(p, g, "test/good"))),
    ("leak_check", "yes or no", "how *many*", lambda p, g: bool(_groups(p, g, "train/") & _groups(p, g, "test/"))),
    ("leak_check", "the set itself", "must be one number",
     lambda p, g: _groups(p, g, "train/") & _groups(p, g, "test/")),
    ("paired_difference", "apart", "drawn separately for a and for b: draw",
     lambda a, b, n: (_plain(a, b), *_ends(_rounds(a, b, n, ())))),
    ("paired_difference", "sign", "takes the normal scores first", lambda a, b, n: paired_difference(b, a, n)),
    ("paired_difference", "sign of the interval", "belongs to b minus a",
     lambda a, b, n: (_plain(a, b), *paired_difference(b, a, n)[1:])),
    ("paired_difference", "mean of draws", "mean or median over the draws",
     lambda a, b, n: (_rounds(a, b, n).mean().item(), *_ends(_rounds(a, b, n)))),
    ("paired_difference", "90 %", "middle 90 %",
     lambda a, b, n: (_plain(a, b), *_ends(_rounds(a, b, n), 0.05, 0.95))),
    ("paired_difference", "one end at 5 %", "at one end and 2.5 %",
     lambda a, b, n: (_plain(a, b), *_ends(_rounds(a, b, n), 0.05))),
    ("paired_difference", "far ends", "each end from the far end", _two_intervals(True)),
    ("paired_difference", "near ends", "lower end minus lower end", _two_intervals(False)),
    ("paired_difference", "defects only", "the normal images were not drawn again",
     lambda a, b, n: _half(a, b, n, True)),
    ("paired_difference", "normals only", "the defective images were not drawn again",
     lambda a, b, n: _half(a, b, n, False)),
    ("paired_difference", "exchanged", "return the lower one first",
     lambda a, b, n: (lambda d, lo, hi: (d, hi, lo))(*paired_difference(a, b, n))),
    ("paired_difference", "scores subtracted", "never the scores", _scores_subtracted),
    ("paired_difference", "absolute results", "an absolute value: the sign says",
     lambda a, b, n: tuple(abs(v) for v in paired_difference(a, b, n))),
    ("paired_difference", "absolute draws", "an absolute value of the draws",
     lambda a, b, n: (_plain(a, b), *_ends(_rounds(a, b, n).abs()))),
    ("paired_difference", "one urn", "were drawn from one urn", _paired_urn),
    ("paired_difference", "1.96 deviations", "the draws are not symmetric", _paired_by_deviation),
    ("paired_difference", "n ignored", "n = 1: found", lambda a, b, n: paired_difference(a, b, 500)),
    ("paired_difference", "no interval", "it must return difference, lo, hi", lambda a, b, n: _plain(a, b)),
]

CHANGES = [("0.025", "0.05"), ("0.975", "0.9"), ("2.5", "16"), ("97.5", "84"), ("normal[i]", "defect[i]"),
           ("[j]", "[:]"), ("[i]", "[:]"), ("randint", "randperm"), ("train & test", "train - test"),
           ("train & test", "train | test"), ("\"train\"", "\"test\""), ("== 2", ">= 1"), ("b[0]", "a[0]"),
           ("b[1]", "a[1]"), (" - ", " + "), ("a[0][i]", "b[0][i]"), ("\"train/\"", "\"test/good\""),
           ("[0] ==", "[1] =="), ("0.5", "5.0"), (".mean()", ".sum()"), ("lo, hi", "hi, lo"), ("cut]", "cut // 2]"),
           ("0.025 * n", "0.25 * n"), ("> x", "< x"), ("rng.choice(a, len(a))", "a"), ("rng.choice(b, len(b))", "b"),
           ("size=len(a[1])", "size=2"), ("auroc(*b)", "auroc(*a)"), ("[0.025, 0.975]", "[0.975, 0.025]"),
           ("values[cut]", "values[0]"), ("defect.shape", "(3,)"), ("auroc(b[0][i], b[1][j])", "0.5")]
