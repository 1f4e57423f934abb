# %% [markdown]
# # 00 · Start here
#
# A camera looks at a thousand parts a day. Nearly all are good. A few are scratched, cracked, stained, or wrong in a way
# that nobody has seen before. You cannot collect every kind of damage in advance. You can collect good parts.
#
# **Can a program that has only ever seen good parts point at the scratch?**
#
# This course answers yes, builds the program with you, and says when the answer is no. The tool is a *normalizing flow*:
# a network that can be run backwards exactly, and that can tell how likely its input is.
#
# **After this chapter you can**
# - say what the course ends with, and run that end yourself;
# - read what your machine can and cannot do;
# - choose your way through the chapters, and the minutes it takes;
# - start an exercise, read its verdict, and ask for a hint.
#
# *Prerequisites: none. Reading 25 minutes, running about 30 seconds.* Press **Shift + Enter** to run a cell.
# The notebooks come with their outputs. To guess before you look: *Edit > Clear Outputs of All Cells*.

# %%
import tutorial_lib  # first: it makes a mismatched torchvision importable
import math

import torch

from tutorial_lib import checks, detectors, metrics, plots
from tutorial_lib.checks import ch05
from tutorial_lib.cli import doctor
from tutorial_lib.data import factory
from tutorial_lib.plots import course_map, gallery
from tutorial_lib.widgets import threshold

plots.style.use()
print(f"tutorial_lib {tutorial_lib.__version__} is ready.")

# %% [markdown]
# ## 1 · The destination, in thirty seconds
#
# The course carries its own *defect factory*. It draws parts from a seed, and it can damage them. Below are four good
# washers. They differ in position, angle, light and noise, as real photographs do.

# %%
good = factory.normal("washer", 100, size=128, seed=0)  # (100, 3, 128, 128), values 0 to 1
fig = gallery.strip(good[:4], titles=["good"] * 4)
plots.show(fig, f"Four of {len(good)} good washers, each {good.shape[-1]} × {good.shape[-2]} pixels. "
                "Position, angle, light and noise vary; the part does not.")

# %% [markdown]
# **Predict.** You will now train a detector to find scratches. How many pictures of *scratched* washers does it need?
# Commit to a number, then open the answer.
#
# <details><summary>Answer</summary>
#
# None. The next cell trains on the hundred good washers alone. The detector learns what good looks like. A scratch is
# whatever does not fit. That is also why it can find damage that nobody listed.
# </details>

# %%
detector = detectors.create("gaussian", seed=0)  # its small setting, made for two processor cores
detector.fit(good)
places, values = detector.latents(good[:1])[0][0, 0].numel(), detector.latents(good[:1])[0].shape[1]
print(f"trained on {len(good)} good images: at each of {places} places a mean and a matrix for {values} values, "
      f"{detector.parameters_count():,} numbers in all")

# %% [markdown]
# The detector has never seen a scratch. Here is one, and a good washer that it has not seen either. The lower row is the
# *anomaly map*: bright where the picture does not look as good washers look at that place.

# %%
scratched, mask = factory.defective("washer", "scratch", 1, size=128, severity=0.9, seed=5)
fresh = factory.normal("washer", 1, size=128, seed=99)
pair = torch.cat([fresh, scratched])  # (2, 3, 128, 128)
maps, scores = detector.anomaly_map(pair), detector.score(pair)  # (2, 128, 128), (2,)
inside = metrics.pixel_auroc(maps[1:], mask)
fig = gallery.strip(pair, maps=maps, masks=[torch.zeros_like(mask[0]), mask[0]],
                    titles=[f"good: score {scores[0]:.1f}", f"scratched: score {scores[1]:.1f}"])
plots.show(fig, f"A good washer (score {scores[0]:.1f}) and a scratched one (score {scores[1]:.1f}), with their maps. "
                f"The orange line is the true mask. A pixel inside it outranks one outside with probability {inside:.2f}.")

# %% [markdown]
# Read the two numbers in the titles. A *score* is one number for a whole image, here the largest value of its map; higher
# means less like the good ones. The map says where to look. Both came from a model of good washers only. The good washer
# does not score 0: its map has a brightest place too.
#
# What is inside? A frozen network turns the picture into features. At every place of the feature map stands the smallest
# normalizing flow there is: a mean and a matrix that make the cloud of good features round. The further a new feature
# lies from the middle, the brighter the map. You build this flow in the first ten minutes of chapter 05, and the network kind
# right after it. Chapter 08 puts a deep flow to work beside a Gaussian on the same features, and prints who wins. The
# answer may surprise you, and the course does not hide it.

# %% [markdown]
# ## 2 · A score is not yet a decision
#
# Someone must draw a line: above it, the part goes to the bin. Forty good and forty damaged washers, none of them used
# in training, get a score below.

# %%
test_good = factory.normal("washer", 40, size=128, seed=1)
kinds = factory.DEFECTS["washer"]  # six kinds of damage
test_bad = torch.cat([factory.defective("washer", kind, 7, size=128, severity=0.6, seed=2)[0] for kind in kinds])[:40]
scores_good, scores_bad = detector.score(test_good), detector.score(test_bad)
labels = torch.cat([torch.zeros(len(scores_good)), torch.ones(len(scores_bad))]).bool()
auroc = metrics.auroc(torch.cat([scores_good, scores_bad]), labels)
print(f"image AUROC {auroc:.2f}: the chance that a damaged washer scores higher than a good one")

# %% [markdown]
# **Touch it: where would you draw the line?** Move the slider. A line far to the left bins good parts. A line far to the
# right lets damage through. Write down your line; [chapter 01](01_defect_detection.ipynb)
# comes back to it.

# %%
threshold.widget(scores_good, scores_bad)

# %% [markdown]
# No kernel, or on paper? These are three deciding positions of the same line.

# %%
fig, sentence = threshold.strip(scores_good, scores_bad)
plots.show(fig, sentence)

# %% [markdown]
# The cost counts 1 for a good part that is thrown away and 3 for a damaged part that passes. Change these prices and the
# best line moves: a missed crack in a brake disc and a wasted washer do not cost the same. Note also what you just did: you looked at the *damaged* parts to draw the line. In a factory you have none. The
# next section draws the line from good parts alone.

# %% [markdown]
# ## 3 · Break it
#
# A detector that finds one deep scratch says nothing about a faint one. Draw the line so that 95 % of the good washers
# pass. **Predict:** the severity of the scratches falls from 1.0 to 0.1. At which severity does the detector stop seeing
# them?

# %%
line = float(scores_good.quantile(0.95))
print(f"the line: {line:.1f}; the scratched washer above scored {scores[1]:.1f}")
for severity in (1.0, 0.8, 0.6, 0.4, 0.2, 0.1):
    images, _ = factory.defective("washer", "scratch", 20, size=128, severity=severity, seed=7)
    found = int((detector.score(images) > line).sum())
    print(f"severity {severity:.1f}: {found:2d} of 20 scratches above the line")

# %% [markdown]
# Look at the first printed line again: the scratch of the opening picture lies far above this line. At severity 1.0 and
# 0.8 all twenty scratches lie above it. At 0.4 one in four passes, and at 0.2 all of them do: between these two steps
# the detector stops seeing them. Two of the forty good washers lie above the line as well, and the highest of them, at
# 24.1 in section 2, outscores the opening scratch. The map, the AUROC and this table all describe the same detector.
# Any claim needs its setting beside it, and this is the setting of a small detector on a laptop.

# %% [markdown]
# ## 4 · What can this machine do?
#
# The doctor looks at versions, processor threads, memory, a GPU if there is one, the stored weights, and speed. It says
# in words what follows. Its lines differ from machine to machine.

# %% tags=["nbval-ignore-output"]
for line_of_report in doctor.report():
    print(line_of_report)


# %% [markdown]
# The same report comes from a terminal: `python -m tutorial_lib doctor`. With a folder behind it, the doctor also looks
# into your photographs: `python -m tutorial_lib doctor PATH`.

# %% [markdown]
# ## 5 · How an exercise works
#
# Chapters from 01 to 12 have six exercises each, in `exercises/`, and worked answers in `solutions/`. You fill in a
# function. A check then tests a **law** instead of comparing your output with one stored answer: undo it and you must be
# back; add up the density and you must get 1. When a law breaks, the verdict names it, says where, and what the likely
# cause is.
#
# Try it on an exercise of chapter 05. Do not worry about its meaning yet. First an empty answer:

# %%
def nll(z, log_det):  # z: (B, d) latents, log_det: (B,)
    raise NotImplementedError("your code here")


ch05.check("nll", nll)


# %% [markdown]
# Now a plausible answer with a mistake that many people make. Read the verdict.

# %%
def nll_with_a_slip(z, log_det):
    d = z.shape[1]
    log_base = -0.5 * (z.square().sum(1) + d * math.log(2 * math.pi))
    return -(log_base - log_det).mean()


ch05.check("nll", nll_with_a_slip)

# %% [markdown]
# Stuck? Each call of `hint` gives one more hint. The answer is never shown unasked; it stands in `solutions/`.

# %%
ch05.hint("nll")

# %% [markdown]
# Checks run your code in your own notebook, with your rights. Run only code that you trust, as always.
#
# What you have solved is kept in the file `progress.json` in the project's folder, without any name.
# ✓ is solved; `ch05.overview()` names them:

# %%
passed = checks.progress.passed()
for number in ("01", "02", "03", "04", "05", "06", "07", "08"):
    exercises = getattr(checks, f"ch{number}").chapter.exercises
    print(number, " ".join("✓" if f"{number}/{name}" in passed else "○" for name in exercises))

# %% [markdown]
# ## 6 · Are you ready? Eight questions
#
# Answer each in your head within half a minute, then open it. Count the right ones.
#
# 1. What is the slope of x² at x = 3? <details><summary>Answer</summary>6. The derivative is 2x.</details>
# 2. f(x, y) = x y². What is ∂f/∂y at (2, 3)? <details><summary>Answer</summary>12. Hold x fixed: 2 x y = 2 · 2 · 3.</details>
# 3. [[1, 2], [0, 3]] times the vector (1, 1)? <details><summary>Answer</summary>(3, 3). Each row times the vector.</details>
# 4. Write ln(a b) without a product. <details><summary>Answer</summary>ln a + ln b.</details>
# 5. About how much of a normal distribution lies within one standard deviation of its mean?
#    <details><summary>Answer</summary>68 %.</details>
# 6. `x` has shape (8, 3). What shape has `x.mean(0)`? <details><summary>Answer</summary>(3,). Axis 0, the one of length 8, is averaged away.</details>
# 7. `a` has shape (8, 3), `b` has shape (3,). What shape has `a - b`? <details><summary>Answer</summary>(8, 3). `b` is subtracted from every row.</details>
# 8. What does `requires_grad=True` ask torch to do? <details><summary>Answer</summary>Record what is computed from this tensor, so that derivatives with respect to it can be had.</details>
#
# **Seven or eight right:** you are ready. **Four to six:** start at [02](02_jacobian.ipynb), which begins with slopes, and
# take its examples by hand. **Fewer:** read an introduction to derivatives and to torch tensors first; the course will
# still be here.

# %% [markdown]
# ## 7 · The map
#
# An arrow means *needs*. Blue boxes are here now; white boxes are planned.

# %%
present = course_map.present_chapters()
fig = course_map.graph(present)
plots.show(fig, f"What each chapter needs. {len(present)} of {len(course_map.CHAPTERS)} chapters are here now: "
                f"{', '.join(present)}.")

# %% [markdown]
# Chapters 13 to 15 can be opened at any time: they fall back on stored results. Chapter 11 does not need chapter 10.
# For a class, 11 before 10 is the smoother order: one map first, then three maps that talk.
#
# **Safe to skip:** the permutation sum beyond 4 × 4 (03), Box–Muller (04), dequantisation (06), any of 09 to 12.
# **Not safe to skip:** the determinant of a block-triangular matrix (03), which derivative and where it is taken (04),
# the inverse of a coupling layer (05), convolutional coupling (06), the typical set (07).
#
# | way | chapters | time |
# |---|---|---|
# | the whole course | 00 to 15, with exercises | about 9 h reading, 12 h exercises |
# | five class sessions of 90 minutes | 01, 03 to 05, 07 to 14 in parts: [for teachers](for_teachers.md) | 7.5 h and homework |
# | "I know flows" | 00, 01, second half of 07, 08 to 13 | 7 h |
# | "I only want to look" | 00, the defect lab of 01, the typical set of 07, 14 | 1 h, no exercise |
#
# The times are estimates, not measurements.

# %% [markdown]
# The rest of this chapter is for looking up. You can go to [01](01_defect_detection.ipynb) now.
#
# ## 8 · One notation, one word for each thing
#
# x is data, z is what the flow turns it into, and **log p(x) = log p(z) + log_det** is the one formula of the course.
# Two directions are used in the literature, and many sign errors come from mixing them. Here the flow always goes from
# data to latent. All symbols, the table between the two directions, and the terms in English and Chinese stand on one
# page: [notation and glossary](notation_and_glossary.md).

# %% [markdown]
# ## 9 · If you come from the survey article
#
# Many readers of Chinese arrive from a survey article that introduces the same five detectors, in sections 1 to 4.5.
# The course follows its order. Some of its statements are loose; these are the changes.
#
# | section | chapter | what changes here |
# |---|---|---|
# | 1 | 01 | adds how an answer is judged: ranks, regions, how rare defects are, thresholds |
# | 2.1 | 02 | rows are outputs, columns inputs; then how to avoid building the matrix |
# | 2.2 | 03 | τ counts inversions, the sign is (−1)^τ; det ≠ 0 makes a nonlinear map invertible only locally |
# | 2.3 | 04 | any base density will do, the normal one is a choice; the derivative is taken at z |
# | 2.4 | 05, 06 | a density is not a probability; a GAN's discriminator estimates a ratio, not p(x) |
# | 3 | 07 | p(x) measures "normal" only under three conditions: features, typicality, coordinates |
# | 4.1 | 08 | the flow acts on a feature vector, not on the image; equal views for the baseline too |
# | 4.2 | 09 | both extract features with a CNN; the difference is one vector per position, and its position code |
# | 4.3 | 10 | the scales exchange inside the s/t network, and that is why the map stays invertible |
# | 4.4 | 11 | the news for the flow is 2-D subnets; the choice of backbone is a separate question |
# | 4.5 | 12 | "without pretraining" depends on the variant and on what is compared |

# %% [markdown]
# ## 10 · Tool cards
#
# A tool card is three to five cells in the middle of a chapter: what it is, the number that shows it, why you need it
# there. Nothing has to be read in advance.
#
# | card | chapter | used in |
# |---|---|---|
# | ln turns products into sums; nats and bits | 03 | all |
# | density depends on the coordinates | 04 | 07, 14 |
# | covariance, Cholesky factor, whitening, PCA as a rotation | 05 | 07, 08, 11 |
# | soft clamps: tanh, arctangent, sigmoid | 05 | 08 to 11 |
# | Adam, learning rate, one bad seed | 05 | 08 to 12 |
# | convolution and receptive field, counted | 06 | 07 to 12 |
# | rotation and unit volume | 06 | 09, 12 |
# | receptive field, measured; frozen networks; what a backbone offers | 07 | 08 to 12 |
# | a position as sines and cosines; the log-sigmoid as a loss; where a cell lies | 09 | 09 to 12 |
# | tuple flows; the EfficientNet block | 10 | 12 |
# | what a vision transformer offers | 11 | 11 |
# | image pyramids; the Fourier transform and Parseval | 12 | 12 |

# %% [markdown]
# ## What you can now say
#
# - A defect detector can be trained on good images alone; damage is what does not fit.
# - A score is one number per image. A map says where. A threshold turns a score into a decision, and it has a price.
# - One clear map does not make the next decision right. Any claim needs its setting beside it.
# - Exercises are checked by laws. A verdict names the law that broke.
# - One formula runs through the course: log p(x) = log p(z) + log_det.
#
# **Formula card.** log p(x) = log p(z) + log_det, with z = f(x).
#
# **Check yourself.** A detector has image AUROC 0.90 on washers. What does that say?
#
# <details><summary>A. It is right for 90 % of the images.</summary>No. That would be accuracy, and it needs a threshold. AUROC has none.</details>
# <details><summary>B. A damaged washer outranks a good one with probability 0.90.</summary>Yes. Draw one of each at random; this is how often the damaged one scores higher.</details>
# <details><summary>C. It finds 90 % of the scratches.</summary>No. That share depends on where you draw the line.</details>

# %% [markdown]
# **Sources.** Normalizing flows: Dinh and others, NICE (2014, arXiv 1410.8516); Rezende and Mohamed (2015, arXiv
# 1505.05770). The detector of this page follows PaDiM: Defard and others (2020, arXiv 2011.08785). DifferNet: Rudolph and
# others (2021, arXiv 2008.12577).
#
# **Next.** [01 · Defect detection](01_defect_detection.ipynb) asks how an answer is judged; [02](02_jacobian.ipynb) to
# [05](05_normalizing_flows.ipynb) build the map that runs both ways.
