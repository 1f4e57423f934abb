"""What learners write in the exercises of chapter 01: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

# ---- right answers ---------------------------------------------------------------------------------------------

def threshold_from_normals(scores, fpr):
    allowed = math.floor(fpr * len(scores) + 1e-9)
    return scores.sort(descending=True).values[allowed].item()


def threshold_by_search(scores, fpr):
    for candidate in sorted(scores.tolist()):
        if sum(s > candidate for s in scores.tolist()) <= fpr * len(scores) + 1e-9:
            return candidate
    return float("inf")


def precision_at(tpr, fpr, prevalence):
    hits = tpr * prevalence
    false_alarms = fpr * (1 - prevalence)
    return hits / (hits + false_alarms)


def precision_by_odds(tpr, fpr, prevalence):
    if fpr == 0:
        return 1.0
    odds = prevalence / (1 - prevalence) * tpr / fpr
    return odds / (1 + odds)


def auroc(normal, defect):
    ordered = normal.sort().values
    below = torch.searchsorted(ordered, defect, side="left")
    through = torch.searchsorted(ordered, defect, side="right")
    return ((below + through) / 2 / len(normal)).mean().item()


def auroc_by_pairs(normal, defect):
    gap = defect[:, None] - normal[None, :]
    return ((gap > 0).double().mean() + 0.5 * (gap == 0).double().mean()).item()


def auroc_by_curve(normal, defect):
    lines = torch.cat([normal, defect]).unique().flip(0)
    fpr, tpr = [0.0], [0.0]
    for line in lines:
        fpr.append((normal >= line).double().mean().item())
        tpr.append((defect >= line).double().mean().item())
    return torch.trapezoid(torch.tensor(tpr), torch.tensor(fpr)).item()


def image_score(maps, how, k=1):
    flat = maps.flatten(1)
    if how == "max":
        return flat.amax(dim=1)
    if how == "mean":
        return flat.mean(dim=1)
    return flat.topk(k, dim=1).values.mean(dim=1)


def image_score_by_sorting(maps, how, k=1):
    ordered = maps.reshape(len(maps), -1).sort(dim=1, descending=True).values
    count = {"max": 1, "mean": ordered.shape[1], "topk": k}[how]
    return ordered[:, :count].sum(dim=1) / count


def per_region_overlap(binary, labels):
    numbers = [n for n in labels.unique().tolist() if n != 0]
    shares = [binary[labels == n].double().mean() for n in numbers]
    return torch.stack(shares).mean().item()


def overlap_by_weights(binary, labels):
    areas = torch.bincount(labels.flatten()).double()
    weights = torch.where(labels > 0, 1 / areas[labels], 0.0)
    return (weights[binary].sum() / weights.sum()).item()


def connected_regions(mask):
    labels = torch.arange(1, mask.numel() + 1).view(mask.shape).double()
    labels = labels.where(mask, 0.0)
    for _ in range(mask.numel()):
        labels = F.max_pool2d(labels[None], 3, stride=1, padding=1)[0].where(mask, 0.0)
    numbers = labels[mask].unique()
    return torch.searchsorted(numbers, labels.contiguous(), side="right").where(mask, 0)


def regions_by_flooding(mask):
    labels, count = torch.zeros(mask.shape, dtype=torch.long), 0
    for start in mask.nonzero().tolist():
        if labels[tuple(start)] != 0:
            continue
        count += 1
        stack = [tuple(start)]
        while stack:
            r, c = stack.pop()
            if not (0 <= r < mask.shape[0] and 0 <= c < mask.shape[1]) or not mask[r, c] or labels[r, c] != 0:
                continue
            labels[r, c] = count
            stack += [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return labels


RIGHT = [
    ("threshold_from_normals", threshold_from_normals), ("threshold_from_normals", threshold_by_search),
    ("precision_at", precision_at), ("precision_at", precision_by_odds),
    ("auroc", auroc), ("auroc", auroc_by_pairs), ("auroc", auroc_by_curve),
    ("image_score", image_score), ("image_score", image_score_by_sorting),
    ("per_region_overlap", per_region_overlap), ("per_region_overlap", overlap_by_weights),
    ("connected_regions", connected_regions), ("connected_regions", regions_by_flooding),
]


# ---- wrong answers: what exercises list as "catches", and other common ones ----------------------------------------

def _allowed(scores, fpr):
    return math.floor(fpr * len(scores) + 1e-9)


def _entry(shift):
    return lambda s, f: s.sort(descending=True).values[_allowed(s, f) + shift].item()


def _one_pass(mask):
    labels, count = torch.zeros(mask.shape[0] + 1, mask.shape[1] + 2, dtype=torch.long), 0
    for r in range(mask.shape[0]):
        for c in range(mask.shape[1]):
            if mask[r, c]:
                near = [labels[r, c], labels[r, c + 1], labels[r, c + 2], labels[r + 1, c]]
                known = [n for n in near if n > 0]
                count += not known
                labels[r + 1, c + 1] = known[0] if known else count
    return labels[1:, 1:-1]


def _flood(mask, neighbours, first=1, wrap=False):
    labels, count = torch.zeros(mask.shape, dtype=torch.long), first - 1
    seen = torch.zeros_like(mask)
    for start in mask.nonzero().tolist():
        count += not seen[tuple(start)]
        stack = [tuple(start)]
        while stack:
            r, c = stack.pop()
            if wrap:
                r, c = r % mask.shape[0], c % mask.shape[1]
            if not (0 <= r < mask.shape[0] and 0 <= c < mask.shape[1]) or not mask[r, c] or seen[r, c]:
                continue
            seen[r, c], labels[r, c] = True, count
            stack += [(r + i, c + j) for i, j in neighbours]
    return labels


PLUS = [(0, 1), (1, 0), (0, -1), (-1, 0)]
ALL = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]


def _pooled(mask, steps):
    labels = torch.where(mask, torch.arange(1.0, mask.numel() + 1).view(mask.shape), 0.0)
    for _ in range(steps):
        labels = torch.where(mask, F.max_pool2d(labels[None], 3, 1, 1)[0], 0.0)
    return labels.long()


def _compact(labels):
    return torch.searchsorted(labels[labels > 0].unique(), labels, side="right")


def _two_steps_apart(mask):
    labels = torch.where(mask, torch.arange(1.0, mask.numel() + 1).view(mask.shape), 0.0)
    for _ in range(mask.numel()):
        labels = torch.where(mask, F.max_pool2d(labels[None], 5, 1, 2)[0], 0.0)
    return _compact(labels.long())


def _consuming(mask):
    for r, c in mask.nonzero().tolist():
        mask[r, c] = False
    return mask.long()


def _topk(other):
    return lambda maps, how, k=1: other(maps.flatten(1), k) if how == "topk" else image_score(maps, how)


def _shares(rule, labels_of=lambda lab: [n for n in lab.unique().tolist() if n != 0]):
    def answer(binary, labels):
        shares = [float(rule(binary, labels == n)) for n in labels_of(labels)]
        return sum(shares) / len(shares)
    return answer


def _touched(binary, region):
    return (binary & region).any()


def _by_ranks(normal, defect):
    """From average ranks, 1 for the lowest."""
    pooled = torch.cat([normal, defect])
    ranks = torch.stack([(pooled < d).sum() + ((pooled == d).sum() + 1) / 2 for d in defect])
    return ((ranks.sum() - len(defect) * (len(defect) + 1) / 2) / len(normal) / len(defect)).item()


def _recursive(mask):
    labels = torch.zeros(mask.shape, dtype=torch.long)

    def visit(r, c, number):
        if 0 <= r < mask.shape[0] and 0 <= c < mask.shape[1] and mask[r, c] and labels[r, c] == 0:
            labels[r, c] = number
            for i, j in ALL:
                visit(r + i, c + j, number)

    for r, c in mask.nonzero().tolist():
        visit(r, c, int(labels.max()) + 1)
    return labels


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answer)
    ("threshold_from_normals", "ascending", "fpr of the normals *below*",
     lambda s, f: s.sort().values[_allowed(s, f)].item()),
    ("threshold_from_normals", "quantile of fpr", "quantile fpr lies", lambda s, f: torch.quantile(s, f).item()),
    ("threshold_from_normals", "one up", "one of those that may lie above", _entry(-1)),
    ("threshold_from_normals", "one down", "one too far down", _entry(1)),
    ("threshold_from_normals", "interpolated quantile", "N − 1 gaps", lambda s, f: torch.quantile(s, 1 - f).item()),
    ("threshold_from_normals", "rounded up", "rounded up",
     lambda s, f: s.sort(descending=True).values[math.ceil(f * len(s))].item()),
    ("threshold_from_normals", "midpoint", "a midpoint or a quantile",
     lambda s, f: s.sort(descending=True).values[(k := _allowed(s, f)) - 1:k + 1].mean().item() if _allowed(s, f)
     else s.max().item()),
    ("threshold_from_normals", "a little more", "a small amount was added",
     lambda s, f: threshold_from_normals(s, f) + 1e-3),
    ("threshold_from_normals", "nearest quantile", "rounds the place to either side",
     lambda s, f: s.quantile(1 - f, interpolation="nearest").item()),
    ("threshold_from_normals", "lower quantile", "counts in N − 1 steps",
     lambda s, f: s.quantile(1 - f, interpolation="lower").item()),
    ("threshold_from_normals", "higher quantile", "one place too high",
     lambda s, f: s.quantile(1 - f, interpolation="higher").item()),
    ("threshold_from_normals", "one down except at 0", "never off by more than one",
     lambda s, f: s.sort(descending=True).values[(k := _allowed(s, f)) + (k > 1)].item()),
    ("threshold_from_normals", "index beyond the end", "n entries have the numbers",
     lambda s, f: sorted(s.tolist())[len(s) - _allowed(s, f)]),
    ("threshold_from_normals", "shuffled", "not from the largest down", lambda s, f: s[int(100 * f)].item()),
    ("threshold_from_normals", "maximum", "no false alarm at all", lambda s, f: s.max().item()),
    ("threshold_from_normals", "three sigma", "only if the scores are Gaussian",
     lambda s, f: (s.mean() + 3 * s.std()).item()),
    ("threshold_from_normals", "median", "this is the median", lambda s, f: s.median().item()),
    ("threshold_from_normals", "a list", "must be one number", lambda s, f: s.sort(descending=True).values[:3]),
    ("threshold_from_normals", "not sorted", "were not sorted: entry", lambda s, f: s[_allowed(s, f)].item()),
    ("precision_at", "no prevalence", "prevalence was forgotten", lambda t, f, p: t / (t + f)),
    ("precision_at", "by all parts", "divided by all parts", lambda t, f, p: p * t),
    ("precision_at", "good parts not weighted", "good parts were forgotten", lambda t, f, p: p * t / (p * t + f)),
    ("precision_at", "weights swapped", "changed places", lambda t, f, p: (1 - p) * t / ((1 - p) * t + p * f)),
    ("precision_at", "share of false alarms", "share of *false*", lambda t, f, p: 1 - precision_at(t, f, p)),
    ("precision_at", "accuracy", "(accuracy)", lambda t, f, p: t * p + (1 - f) * (1 - p)),
    ("precision_at", "tpr", "divided by the defective parts (", lambda t, f, p: t * p / p),
    ("precision_at", "ratio", "a share divides by both", lambda t, f, p: t * p / (f * (1 - p)) if f > 0 else 1.0),
    ("precision_at", "divides by fpr", "division by zero", lambda t, f, p: 1 / (1 + (1 - p) / p / (t / f))),
    ("auroc", "ties as 0", "ties count as 0: a pair",
     lambda n, d: (d[:, None] > n[None]).double().mean().item()),
    ("auroc", "ties as 1", "ties count as 1: a pair",
     lambda n, d: (d[:, None] >= n[None]).double().mean().item()),
    ("auroc", "sign", "here a higher score", lambda n, d: auroc(d, n)),
    ("auroc", "sign and ties", "flipped, and ties count as 0",
     lambda n, d: (d[:, None] < n[None]).double().mean().item()),
    ("auroc", "unsorted trapezoid", "back and forth",
     lambda n, d: torch.trapezoid(torch.stack([(d > t).double().mean() for t in torch.cat([n, d])]),
                                  torch.stack([(n > t).double().mean() for t in torch.cat([n, d])])).item()),
    ("auroc", "not halved", "added and not halved", lambda n, d: 2 * auroc(n, d)),
    ("auroc", "by N + M", "divided by N + M", lambda n, d: auroc(n, d) * len(n) * len(d) / (len(n) + len(d))),
    ("auroc", "by N squared", "square, N² or M²", lambda n, d: auroc(n, d) * len(d) / len(n)),
    ("auroc", "by M squared", "square, M² or N²", lambda n, d: auroc(n, d) * len(n) / len(d)),
    ("auroc", "ranks, nothing subtracted", "among themselves not taken away",
     lambda n, d: _by_ranks(n, d) + (len(d) + 1) / 2 / len(n)),
    ("auroc", "ranks from 0", "they run from 1 if", lambda n, d: _by_ranks(n, d) - 1 / len(n)),
    ("auroc", "ranks one too high", "each is one too high", lambda n, d: _by_ranks(n, d) + 1 / len(n)),
    ("auroc", "not sorted, left", "before searchsorted, and ties count as 0",
     lambda n, d: (torch.searchsorted(n, d) / len(n)).mean().item()),
    ("auroc", "not sorted, right", "before searchsorted, and ties count as 1",
     lambda n, d: (torch.searchsorted(n, d, right=True) / len(n)).mean().item()),
    ("auroc", "count of pairs", "not divided by N", lambda n, d: auroc(n, d) * len(n) * len(d)),
    ("auroc", "by normals", "number of normal images only",
     lambda n, d: auroc(n, d) * len(d)),
    ("auroc", "by defects", "number of defective images only",
     lambda n, d: auroc(n, d) * len(n)),
    ("auroc", "not sorted", "searchsorted expects them sorted",
     lambda n, d: ((torch.searchsorted(n, d) + torch.searchsorted(n, d, right=True)) / 2 / len(n)).mean().item()),
    ("auroc", "difference of means", "difference of means", lambda n, d: (d.mean() - n.mean()).item()),
    ("auroc", "same positions", "equal positions", lambda n, d: (d > n[:len(d)]).double().mean().item()),
    ("image_score", "k-th value", "the k-th largest", _topk(lambda flat, k: flat.sort(1).values[:, -k])),
    ("image_score", "sum of k", "grows with k", _topk(lambda flat, k: flat.topk(k).values.sum(1))),
    ("image_score", "k smallest", "wrong end", _topk(lambda flat, k: flat.sort(1).values[:, :k].mean(1))),
    ("image_score", "k ignored", "k is not used", lambda m, how, k=1: image_score(m, how, 1)),
    ("image_score", "over the batch", "share one score",
     lambda m, how, k=1: image_score(m.reshape(1, -1, 1), how, k).repeat(len(m))),
    ("image_score", "batch axis away", "wrong shape", lambda m, how, k=1: image_score(m.movedim(0, 2), how, k)),
    ("image_score", "a tuple", "max(1): values, indices",
     lambda m, how, k=1: m.flatten(1).max(1) if how == "max" else image_score(m, how, k)),
    ("image_score", "row maxima", "rows of pixels are no unit",
     lambda m, how, k=1: m.max(2).values.mean(1) if how == "max" else image_score(m, how, k)),
    ("image_score", "sum for mean", "sum of all pixels",
     lambda m, how, k=1: m.sum((1, 2)) if how == "mean" else image_score(m, how, k)),
    ("image_score", "absolute", "strongly negative",
     lambda m, how, k=1: m.flatten(1).abs().max(1).values if how == "max" else image_score(m, how, k)),
    ("image_score", "always max", "all three are the maximum", lambda m, how, k=1: m.amax((1, 2))),
    ("image_score", "always mean", "all three are the mean", lambda m, how, k=1: m.mean((1, 2))),
    ("image_score", "max for mean", "max and mean changed",
     lambda m, how, k=1: image_score(m, {"max": "mean", "mean": "max"}.get(how, how), k)),
    ("image_score", "median", "the median", lambda m, how, k=1: m.flatten(1).median(1).values if how == "mean"
     else image_score(m, how, k)),
    ("image_score", "no k", "cannot take them", lambda m, how: image_score(m, how)),
    ("per_region_overlap", "by pixels", "weighted by pixels", lambda b, lab: b[lab > 0].double().mean().item()),
    ("per_region_overlap", "background too", "was counted as a region",
     _shares(lambda b, r: b[r].double().mean(), lambda lab: lab.unique().tolist())),
    ("per_region_overlap", "IoU", "(IoU)", _shares(lambda b, r: (b & r).sum() / (b | r).sum())),
    ("per_region_overlap", "one IoU", "one IoU of all regions",
     lambda b, lab: ((b & (lab > 0)).sum() / (b | (lab > 0)).sum()).item()),
    ("per_region_overlap", "first number dropped", "the first of labels.unique() was dropped",
     _shares(lambda b, r: b[r].double().mean(), lambda lab: lab.unique().tolist()[1:])),
    ("per_region_overlap", "range to the largest", "a number that does not occur",
     _shares(lambda b, r: b[r].double().mean(), lambda lab: range(1, int(lab.max()) + 1))),
    ("per_region_overlap", "mean of bool", "a mean of True/False",
     lambda b, lab: sum(b[lab == n].mean().item() for n in lab.unique() if n)),
    ("per_region_overlap", "precision", "that is a precision",
     _shares(lambda b, r: (b & r).sum() / max(int(b.sum()), 1))),
    ("per_region_overlap", "by picture", "by the picture's pixels", _shares(lambda b, r: (b & r).double().mean())),
    ("per_region_overlap", "touched", "touched counts as found", _shares(_touched)),
    ("per_region_overlap", "gaps", "may have gaps",
     lambda b, lab: sum(b[lab == n].double().mean().item() for n in lab.unique() if n) / lab.max().item()),
    ("per_region_overlap", "sum", "added and not divided",
     lambda b, lab: sum(b[lab == n].double().mean().item() for n in lab.unique() if n)),
    ("per_region_overlap", "max", "best region", lambda b, lab: max(b[lab == n].double().mean().item()
                                                                    for n in lab.unique() if n)),
    ("per_region_overlap", "min", "worst region", lambda b, lab: min(b[lab == n].double().mean().item()
                                                                     for n in lab.unique() if n)),
    ("per_region_overlap", "first only", "return inside the loop", lambda b, lab: b[lab == 1].double().mean().item()),
    ("per_region_overlap", "missed share", "*not* marked", lambda b, lab: 1 - per_region_overlap(b, lab)),
    ("per_region_overlap", "one too many", "one too many to divide by",
     lambda b, lab: sum(b[lab == n].double().mean().item() for n in lab.unique() if n) / len(lab.unique())),
    ("connected_regions", "four neighbours", "only four neighbours", lambda m: _flood(m, PLUS)),
    ("connected_regions", "from 0", "begin at 0", lambda m: _flood(m, ALL, first=0)),
    ("connected_regions", "one pass", "one pass over", _one_pass),
    ("connected_regions", "wraps around", "wrapped around", lambda m: _flood(m, ALL, wrap=True)),
    ("connected_regions", "the mask", "came back as 0 and 1", lambda m: m.int()),
    ("connected_regions", "as bool", "True and False", lambda m: m.clone()),
    ("connected_regions", "nothing joined", "nothing was joined", lambda m: _compact(_pooled(m, 0))),
    ("connected_regions", "gaps", "numbers have gaps", lambda m: _pooled(m, m.numel())),
    ("connected_regions", "background too", "mask it out", lambda m: connected_regions(m) + 1),
    ("connected_regions", "inverted", "mask is inverted", lambda m: connected_regions(~m)),
    ("connected_regions", "ten steps", "stopped too early", lambda m: _compact(_pooled(m, 10))),
    ("connected_regions", "hundred steps", "too few steps", lambda m: _compact(_pooled(m, 100))),
    ("connected_regions", "recursion", "keep the pixels to visit in a list", _recursive),
    ("connected_regions", "too far", "reaches further", _two_steps_apart),
    ("connected_regions", "in place", "changed in place", _consuming),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), (".mean(", ".sum("),
           ("dim=1", "dim=0"), ("descending=True", "descending=False"), ("allowed]", "allowed - 1]"),
           ("floor", "ceil"), ("<=", "<"), (">=", ">"), (" > ", " >= "), (" > ", " < "), ("0.5 *", "1.0 *"),
           ('side="left"', 'side="right"'), ('side="right"', 'side="left"'), ("/ 2", "/ 3"), ("1 - ", ""),
           ("amax", "amin"), ("topk(k", "topk(1"), ("[:, :count]", "[:, count - 1:]"), ("== n", "!= n"),
           ("!= 0", "!= 1"), (".unique()", ""), ("(-1, 0, 1)", "(0, 1)"), ("3, stride=1, padding=1", "1, stride=1"),
           ("mask.numel() + 1", "mask.numel() + 2"), ("tpr", "fpr"), ("prevalence", "0.5"), ("ordered", "normal"),
           ("defect", "normal"), (".flip(0)", ""), ("1 / areas", "areas"), ("flatten(1)", "flatten()"),
           ("labels > 0", "labels >= 0"), ('"max"', '"mean"'), ("count += 1", "count += 2"), ("[binary]", "[~binary]")]
