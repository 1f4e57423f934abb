# %% [markdown]
# # Exercises 01 · Defect detection
#
# Six tasks, about 50 minutes. You build what turns a map of anomaly into a decision, and a decision into a verdict on
# the detector: threshold, precision, AUROC, image score, per-region overlap, connected regions.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `threshold_from_normals` | one line | 6 |
# | 2 | `precision_at` | two lines | 5 |
# | 3 | `auroc` | three lines | 10 |
# | 4 | `image_score` | three lines | 8 |
# | 5 | `per_region_overlap` | the body | 8 |
# | 6 | `connected_regions` | everything but the signature | 14 |
#
# **How a check works.** It tests *laws*, for example "unchanged under exp", and says which law broke, where, and what
# the usual cause is. Run a check as often as you like. `checks.ch01.hint("auroc")` gives the next hint,
# `checks.ch01.answer("auroc")` says where the worked answer is.
# Chapter: [01 Defect detection](../notebooks/01_defect_detection.ipynb).
#
# **Notation.** A score is one number for one image; higher means more anomalous. A map has shape (H, W), a mask is a map
# of True (defective) and False. B is a number of images, N a number of normal images, M of defective ones.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import math

import torch
import torch.nn.functional as F

from tutorial_lib import checks


# %% [markdown]
# ## 1 · A threshold from normal images (6 min)
#
# You have the scores of N normal images and no defective one. An alarm is `score > threshold`. Choose the lowest of the
# scores as threshold at which at most a share `fpr` of the normals raises an alarm: one of the scores, no value between.
#
# **Law.** At most a share fpr lies above. No lower score would do. A smaller fpr never lowers the threshold.

# %%
def threshold_from_normals(scores, fpr):
    """scores: (N,) of normal images. Returns the threshold, one number."""
    allowed = math.floor(fpr * len(scores) + 1e-9)       # so many may lie above; 1e-9: 0.1 * 30 is 2.9999999999999996
    ### BEGIN SOLUTION
    threshold = scores.sort(descending=True).values[allowed].item()     # entries 0 … allowed − 1 lie above it
    ### END SOLUTION
    return threshold


checks.ch01.check("threshold_from_normals", threshold_from_normals)


# %% [markdown]
# ## 2 · How many alarms are real (5 min)
#
# `tpr` is the share of defective parts that raise an alarm, `fpr` the share of good parts that do. `prevalence` is the
# share of all parts that are defective. Precision is the share of alarms that are real.
#
# **Law.** 0.161 at (0.95, 0.05, 0.01). Without false alarms it is 1. An alarm that rings equally often for good and bad
# parts has the prevalence as its precision: it tells nothing.

# %%
def precision_at(tpr, fpr, prevalence):
    """Three shares between 0 and 1. Returns one number between 0 and 1."""
    ### BEGIN SOLUTION
    hits = tpr * prevalence                              # share of all parts: defective, with an alarm
    false_alarms = fpr * (1 - prevalence)                # share of all parts: good, with an alarm
    ### END SOLUTION
    return hits / (hits + false_alarms)


checks.ch01.check("precision_at", precision_at)


# %% [markdown]
# ## 3 · AUROC from ranks (10 min)
#
# The share of pairs (one defective, one normal) in which the defective image scores higher; a tie counts one half.
# Counting N · M pairs works. Sorting the normal scores once is faster.
#
# **Law.** It equals counting all pairs. It does not change when all scores go through exp. auroc(−s) = 1 − auroc(s).

# %%
def auroc(normal, defect):
    """normal: (N,), defect: (M,) scores. Returns one number between 0 and 1."""
    ordered = normal.sort().values                       # (N,)
    ### BEGIN SOLUTION
    below = torch.searchsorted(ordered, defect, side="left")            # (M,): normals strictly below each defect
    through = torch.searchsorted(ordered, defect, side="right")         # (M,): below or equal
    share = ((below + through) / 2 / len(normal)).mean().item()         # a tie lies half way between the two counts
    ### END SOLUTION
    return share


checks.ch01.check("auroc", auroc)


# %% [markdown]
# ## 4 · From a map to one score (8 min)
#
# `how` is `"max"` (the largest pixel), `"mean"` (all pixels), or `"topk"` (the mean of the k largest pixels).
#
# **Law.** max ≥ topk ≥ mean. With k = 1 topk is max, with all pixels it is mean. Where the pixels lie does not matter.

# %%
def image_score(maps, how, k=1):
    """maps: (B, H, W). Returns one score per map, (B,)."""
    flat = maps.flatten(1)                               # (B, H·W)
    if how == "topk":
        ### BEGIN SOLUTION
        score = flat.topk(k, dim=1).values.mean(dim=1)   # (B, k) -> (B,)
        ### END SOLUTION
    elif how == "mean":
        ### BEGIN SOLUTION
        score = flat.mean(dim=1)
        ### END SOLUTION
    else:
        ### BEGIN SOLUTION
        score = flat.amax(dim=1)
        ### END SOLUTION
    return score


checks.ch01.check("image_score", image_score)


# %% [markdown]
# ## 5 · Per-region overlap (8 min)
#
# `binary` says which pixels raise an alarm. `labels` numbers the true regions: 0 is background, every other number that
# occurs is one region; there is at least one, and the numbers may have gaps. Return the mean over the regions of the
# share of their pixels that are marked.
#
# **Law.** One region gives its marked share. A region of 4 pixels weighs as much as one of 40. Background is no region.

# %%
def per_region_overlap(binary, labels):
    """binary: (H, W) bool, labels: (H, W) whole numbers. Returns one number between 0 and 1."""
    ### BEGIN SOLUTION
    numbers = [n for n in labels.unique().tolist() if n != 0]
    shares = [binary[labels == n].double().mean() for n in numbers]     # one per region: marked pixels / its pixels
    return torch.stack(shares).mean().item()                            # every region counts once
    ### END SOLUTION


checks.ch01.check("per_region_overlap", per_region_overlap)


# %% [markdown]
# ## 6 · Connected regions (14 min)
#
# Number the regions of a mask: 0 for background, 1, 2, … for the regions, in any order. Two defective pixels belong
# together when they touch, at a side or at a corner (8-neighbourhood). Write it with torch and Python alone: a library
# function would be the answer of one line, and no exercise.
#
# **Law.** A pair that touches at a corner is one region; a spiral is one region; turning the mask over keeps the number.

# %%
def connected_regions(mask):
    """mask: (H, W) bool. Returns labels (H, W), whole numbers."""
    ### BEGIN SOLUTION
    labels = torch.arange(1.0, mask.numel() + 1).view(mask.shape).where(mask, 0.0)      # a number of its own each
    for _ in range(mask.numel()):                        # a winding region needs as many steps as it is long
        grown = F.max_pool2d(labels[None], 3, stride=1, padding=1)[0].where(mask, 0.0)  # the largest number around
        if torch.equal(grown, labels):
            break
        labels = grown
    numbers = labels[mask].unique()                      # one number per region, with gaps
    places = torch.searchsorted(numbers, labels.contiguous(), side="right")             # 1, 2, … without gaps
    return places.where(mask, 0)
    ### END SOLUTION


checks.ch01.check("connected_regions", connected_regions)

# %% [markdown]
# ## Where you are

# %%
checks.ch01.overview()
