# %% [markdown]
# # Exercises 13 · Side by side
#
# Three tasks, about 24 minutes. You put an interval around an AUROC, count what leaks from training to test, and compare
# two methods on the same images.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `bootstrap_auroc` | the body | 8 |
# | 2 | `leak_check` | the body | 6 |
# | 3 | `paired_difference` | everything but the signature | 10 |
#
# **How a check works.** It tests *laws*, for example "a method does not differ from itself", and says which law broke,
# where, and what the usual cause is. Run a check as often as you like. `checks.ch13.hint("bootstrap_auroc")` gives the
# next hint, `checks.ch13.answer("bootstrap_auroc")` says where the worked answer is.
# Chapter: [13 Side by side](../notebooks/13_side_by_side.ipynb).
#
# **Notation.** A score is one number for one image; higher means more anomalous. `normal` (N,) holds the scores of good
# images, `defect` (M,) those of defective ones. `auroc(normal, defect)` is the function of exercise 01 #3.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import json
from pathlib import Path

import torch

from tutorial_lib import checks
from tutorial_lib.checks.ch13 import auroc
from tutorial_lib.experiments import tiles


# %% [markdown]
# ## 1 · How sure is an AUROC? (8 min)
#
# Other test images of the same kind would have given another AUROC. How different? Let your own images stand in for them:
# draw N of the N normal ones *with replacement* and M of the M defective ones, and compute the AUROC of the draw. Do that
# n times. The interval that holds 95 % of the n values goes from their quantile 0.025 to their quantile 0.975.
#
# Two calls of torch help: `torch.randint(N, (N,))` draws N indices, `values.quantile(q)` gives a quantile of a tensor.
#
# **Law.** Scores that are fully apart give (1, 1). Each class keeps its size in every draw. Scores through exp give the
# same interval, up to the luck of the draw.

# %%
def bootstrap_auroc(normal, defect, n):
    """normal: (N,), defect: (M,), n draws. Returns (lo, hi), two numbers."""
    ### BEGIN SOLUTION
    values = []
    for _ in range(n):
        i = torch.randint(len(normal), (len(normal),))       # N of N, some twice, some not at all
        j = torch.randint(len(defect), (len(defect),))
        values.append(auroc(normal[i], defect[j]))
    values = torch.tensor(values)                            # (n,)
    return values.quantile(0.025).item(), values.quantile(0.975).item()
    ### END SOLUTION


checks.ch13.check("bootstrap_auroc", bootstrap_auroc)

# %% [markdown]
# How many test images does it take? The same two kinds of score, 20, 80 and 320 images of each:

# %%
if checks.ch13.passes("bootstrap_auroc", bootstrap_auroc):
    torch.manual_seed(0)
    for size in (20, 80, 320):
        normal, defect = torch.randn(size), torch.randn(size) + 1.5
        lo, hi = bootstrap_auroc(normal, defect, 500)
        print(f"{size:3d} good and {size:3d} defective images: the interval is {hi - lo:.2f} wide")
else:
    print("The answer waits for your function.")


# %% [markdown]
# Four times as many images, half the width. Most tables of this field rest on a few dozen images per class.
#
# ## 2 · Does the split leak? (6 min)
#
# `paths` are file names such as `train/good/exp1_num_1810.jpg` or `test/blowhole/exp2_num_77.jpg`: the first folder says
# on which side of the split a file lies. `group[i]` says which part file i shows (a number or a word).
# How many groups lie on *both* sides?
#
# **Law.** A split without a shared group gives 0. A group counts once, however many photographs it has. Defective test
# images count as well. The order of the files does not matter.

# %%
def leak_check(paths, group):
    """paths: list of str, group: list of the same length. Returns a whole number."""
    ### BEGIN SOLUTION
    train = {g for path, g in zip(paths, group, strict=True) if path.split("/")[0] == "train"}
    test = {g for path, g in zip(paths, group, strict=True) if path.split("/")[0] == "test"}
    return len(train & test)
    ### END SOLUTION


checks.ch13.check("leak_check", leak_check)

# %% [markdown]
# The published split of the magnetic tiles. `tiles.series` reads from the names which photographs were taken one after the
# other, of one tile.

# %%
if checks.ch13.passes("leak_check", leak_check):
    stored = json.loads(Path("../benchmarks/results/13_tiles_leak.json").read_text(encoding="utf-8"))
    train = stored["splits"]["published"]["train"]
    test = [row["name"] for row in stored["rows"] if row["split"] == "published" and row["kind"] == "good"]
    group = tiles.series(train + test)
    paths = [f"train/good/{name}" for name in train] + [f"test/good/{name}" for name in test]
    print(f"{len(set(group))} series, {leak_check(paths, group)} of them on both sides")
else:
    print("The answer waits for your function.")


# %% [markdown]
# ## 3 · Two methods, the same images (10 min)
#
# Methods a and b scored the same N normal and M defective images. `a` is the pair `(normal, defect)` of its scores, `b`
# likewise, in the same order of the images. Return the difference of the two AUROCs from all images, and the interval that
# holds 95 % of the differences when the images are drawn again.
#
# **Law.** A method differs from itself by 0, in every draw. Scores of either method through exp change nothing: units do
# not count. In each draw both methods see the *same* images. The sign counts: exchange a and b, and the difference and the
# interval change sign, up to the luck of the draw.

# %%
def paired_difference(a, b, n):
    """a, b: (normal (N,), defect (M,)) of the same images, n draws. Returns (difference, lo, hi) of AUROC(a) − AUROC(b)."""
    ### BEGIN SOLUTION
    values = []
    for _ in range(n):
        i = torch.randint(len(a[0]), (len(a[0]),))           # drawn once per round …
        j = torch.randint(len(a[1]), (len(a[1]),))
        values.append(auroc(a[0][i], a[1][j]) - auroc(b[0][i], b[1][j]))     # … and used for both
    values = torch.tensor(values)
    return auroc(*a) - auroc(*b), values.quantile(0.025).item(), values.quantile(0.975).item()
    ### END SOLUTION


checks.ch13.check("paired_difference", paired_difference)

# %% [markdown]
# What pairing is worth: two methods that agree on most images, compared in both ways.

# %%
done = {"bootstrap_auroc": bootstrap_auroc, "paired_difference": paired_difference}
if all(checks.ch13.passes(name, function) for name, function in done.items()):
    torch.manual_seed(1)
    a = torch.randn(60), torch.randn(60) + 1.5
    b = tuple(x + 0.2 * torch.randn(60) - shift for x, shift in zip(a, (0, 0.4), strict=True))   # a little worse
    for name, scores in (("a", a), ("b", b)):
        lo, hi = bootstrap_auroc(*scores, 500)
        print(f"method {name}: {auroc(*scores):.2f}, alone between {lo:.2f} and {hi:.2f}")
    difference, lo, hi = paired_difference(a, b, 500)
    print(f"a − b: {difference:+.2f}, paired between {lo:+.2f} and {hi:+.2f}")
else:
    print("The answer waits for your functions.")

# %% [markdown]
# The two single intervals overlap. The paired one does not hold 0: for images of this kind a is better. That is why a table
# with an opinion should keep the scores of each image.
#
# ## Where you are

# %%
checks.ch13.overview()

# %% [markdown]
# Back to the chapter: [13 Side by side](../notebooks/13_side_by_side.ipynb).
