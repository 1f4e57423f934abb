# %% [markdown]
# # 01 · Defect detection
#
# A vendor offers you a camera: "95 % detection, 5 % false alarms". One part in a hundred of your production is bad. You
# stop the line at every alarm.
#
# **How often do you stop it for nothing?**
#
# **After this chapter you can**
# - say how many alarms are real, from three rates;
# - read and write the folder layout in which defect data are shared;
# - judge scores by AUROC, maps by pixel AUROC and AUPRO, and say what each of them hides;
# - turn a map into one score per image, and a score into a decision, without seeing a single defect.
#
# *Prerequisites: chapter [00](00_start_here.ipynb), and what a mean and a histogram are. Reading 45 minutes, running
# about 30 seconds. If you come from the survey article: this is its section 1.*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import math
import tempfile
from pathlib import Path
from statistics import NormalDist

import torch
from IPython.display import display
from PIL import Image
from scipy import stats

from tutorial_lib import detectors, metrics, plots
from tutorial_lib.data import factory, folder
from tutorial_lib.data.factory.scene import Camera
from tutorial_lib.detectors.thresholds import quantile_threshold
from tutorial_lib.plots import inspection, judging
from tutorial_lib.widgets import defect_lab, missed_region, score_lab, threshold

plots.style.use()

# %%
rows = [[], []]
for category, kind in {"carpet": "contamination", "metal": "crack", "washer": "missing", "board": "misplaced"}.items():
    image, mask = factory.defective(category, kind, 1, seed=4)               # (1, 3, 128, 128), (1, 128, 128)
    rows[0].append((factory.normal(category, 1, seed=4)[0], False, None, category))
    rows[1].append((image[0], True, mask[0], kind))
plots.show(inspection.framed(rows), "Four products of the course's defect factory. Above, green frames: good. Below, "
           "thick orange frames: defective, the true mask outlined.")

# %% [markdown]
# Two textures and two objects. A defect can be something *on* a surface, or something wrong with the part itself: a
# piece of the washer is missing, a component of the board sits in the wrong place.
#
# > **Notation.** Every image gets a *score*, one number, higher = more anomalous. A *map* has shape (H, W) and gives every
# > pixel a number. A *mask* is the truth, True on the defect. From chapter 05 on the score comes from a density, by the
# > one formula of the course, log p(x) = log p(z) + log_det; here it may come from anywhere.
# > [Notation and words](notation_and_glossary.md).
#
# **Predict.** Back to the vendor. Of a hundred alarms, how many are real?
#
# <details><summary>(a) About 16.</summary>Yes. Count two thousand parts, as the next cell does.</details>
# <details><summary>(b) About 90: some are lost to false alarms.</summary>The right direction, and far too little: there
# are 99 good parts for every bad one, and each of them may raise an alarm.</details>
# <details><summary>(c) About 95.</summary>That is the share of *defective parts* that raise an alarm. You asked about the
# share of *alarms* that are real: another group, another share.</details>

# %%
parts, tpr, fpr, prevalence = 2000, 0.95, 0.05, 0.01
defective = round(parts * prevalence)                                         # 20
real, false = round(defective * tpr), round((parts - defective) * fpr)        # 19 and 99, whole numbers
print(f"of {parts} parts: {real} real alarms, {defective - real} defect missed, {false} false alarms; "
      f"{real / (real + false):.0%} of the alarms are real")
plots.show(inspection.dots(parts, real, defective - real, false), f"{parts} parts, {defective} of them defective, at the "
           f"vendor's rates: {real} alarms are real, {false} are false, and {defective - real} defective part passes.")


# %% [markdown]
# The dots tell the story: every orange triangle is a defect that was found, and the amber squares outnumber them five to
# one. Three rates go in, and a fourth comes out:
#
# - *true-positive rate* (TPR): share of the defective parts that raise an alarm, 0.95;
# - *false-positive rate* (FPR): share of the good parts that do, 0.05;
# - *prevalence* π: share of all parts that are defective, 0.01;
# - *precision*: share of the alarms that are real.
#
# $$\text{precision} = \frac{\pi \cdot \text{TPR}}{\pi \cdot \text{TPR} + (1 - \pi) \cdot \text{FPR}}$$
#
# TPR and FPR belong to the camera. The prevalence belongs to your factory. No data sheet knows it. (The letter π is the
# prevalence in this chapter only. In articles on flows π(z) is the base density, which the course writes p(z).)

# %%
def precision_at(pi, tpr, fpr):
    return pi * tpr / (pi * tpr + (1 - pi) * fpr)


axis, curves = torch.logspace(-3.3, -0.3, 100), {}                            # prevalence, (100,)
for rate in (0.001, 0.01, 0.05):
    curves[f"TPR 0.95, FPR {rate:g}"] = precision_at(axis, 0.95, rate).numpy()
    print(f"TPR 0.95, FPR {rate:<5}  precision " + ", ".join(
        f"{precision_at(1 / n, 0.95, rate):.2f} at 1 in {n}" for n in (2, 100, 1000)))
print(f"at 1 in 100, half of the alarms are real if FPR is {0.01 / 0.99 * 0.95:.4f}")
print(f"never an alarm: accuracy {1 - prevalence:.0%}, defects found 0%")
print(f"the vendor's camera: accuracy {prevalence * tpr + (1 - prevalence) * (1 - fpr):.0%}, defects found {tpr:.0%}")
plots.show(inspection.precision_curves(axis.numpy(), curves, (0.01, precision_at(0.01, 0.95, 0.05))),
           "Precision over prevalence for three false-positive rates. All curves fall to the left; on a test set with as "
           "many bad parts as good ones, at the right edge, even the worst of the three looks fine.")

# %% [markdown]
# Read it from right to left. Test sets sit at the right edge, where a third or a half of the images is defective.
# Factories sit at the left. Half of the alarms are real where FPR is about as small as the prevalence. A higher TPR alone
# hardly helps.
#
# **A tempting mistake: "our camera is right for 99 % of all parts."** So is a camera without a lens: look at the two last
# printed lines. When defects are rare, accuracy rewards silence.
#
# ## 1 · What inspection asks for
#
# Two facts shape the whole field.
#
# **Defects are rare.** Good parts pass the camera all day. For ten pictures of one kind of damage you may wait for months.
#
# **Defects are never all known.** A program that learned scratches, cracks and stains answers for scratches, cracks and
# stains. The next defect is the one that nobody has listed.
#
# So every detector of this course learns from *normal images only*, and calls a defect what does not fit. Defective
# images only judge it afterwards.
#
# ### Touch it: the defect lab
#
# **Down to which severity do you still see the scratch?** Turn it down until it is gone. **Write the number down**, for a
# washer and for metal. (Run the cell to use the controls.)

# %%
display(defect_lab.defect_lab())
print(f"noise of the sensor where the picture is mid grey: {255 * Camera.sigma(0.5):.0f} of 255 grey levels")
fig, sentence = defect_lab.strip()
plots.show(fig, sentence)

# %% [markdown]
# Follow a row from left to right. The difference from the good twin shrinks from about 30 grey levels to about 5, which is
# little more than the noise of the sensor. Do you still find the scratch on the metal at 0.3? You were helped: you
# knew that there was a scratch, and where. Section 7 compares your number with a detector's.
#
# ### One picture, three answers
#
# Does this washer have a defect? Which spots? Which pixels? The same picture can be judged at three levels. The cell
# takes the small detector of chapter 00, trained on 100 good washers, and asks all three.

# %%
good = factory.normal("washer", 100, seed=0)                                  # (100, 3, 128, 128)
detector = detectors.create("gaussian", seed=0)
detector.fit(good)
normals = factory.normal("washer", 200, seed=3)                               # good, never used in training
calibration = detector.score(normals)                                         # (200,)
line = quantile_threshold(calibration, 0.05)["threshold"]                     # section 5 says how
image, mask = factory.defective("washer", "crack", 1, severity=0.9, seed=6)
heat = detector.anomaly_map(image)[0]                                         # (128, 128)
regions, count = metrics.connected_regions((heat > line).numpy())             # (128, 128), 0 = background
print(f"image:   score {heat.max():.1f}, threshold {line:.1f}, alarm {bool(heat.max() > line)}")
touching = len(set(regions[mask[0].numpy()].tolist()) - {0})
print(f"regions: {count} above the threshold; {touching} of them touches the one true region")
print(f"pixels:  {int((heat > line).sum())} marked; the true mask has {int(mask.sum())}, "
      f"{int((mask[0] & (heat > line)).sum())} of them are marked")
fig = inspection.three_answers(image[0], heat, heat.max() > line, torch.from_numpy(regions), mask[0],
                               ["image: alarm", f"regions: {count}", "pixels: the map"])
plots.show(fig, "A cracked washer and its three answers: one alarm for the image, regions above the threshold with the true "
           "outline in black, and the anomaly map with the true outline in orange.")


# %% [markdown]
# The image level has it right. At the region level the crack is there, and so are patches along the edges of the ring
# where nothing is wrong. At the pixel level nine tenths of the crack are marked, and about six times as many good
# pixels. Three levels, three grades: a detector can be excellent at one and useless at another.
#
# ### The folder layout
#
# Data sets of this field share one layout, that of MVTec AD (2019). Here is one, made from six factory images.

# %%
def save(values, *place):
    """values: (3, H, W) in [0, 1], or a mask (H, W)."""
    path = root.joinpath(*place)
    path.parent.mkdir(parents=True, exist_ok=True)
    array = (255 * values.float()).round().byte().numpy()
    Image.fromarray(array.transpose(1, 2, 0) if array.ndim == 3 else array).save(path)


store = tempfile.TemporaryDirectory()
root = Path(store.name) / "washer"
for i, picture in enumerate(good[:3]):
    save(picture, "train", "good", f"{i:03d}.png")                            # normal images to learn from
save(normals[0], "test", "good", "000.png")                                   # other normal images
scratched, scratch = factory.defective("washer", "scratch", 2, seed=6)
for i in range(2):
    save(scratched[i], "test", "scratch", f"{i:03d}.png")                     # one folder per kind of defect
    save(scratch[i], "ground_truth", "scratch", f"{i:03d}_mask.png")          # white on the defect
print("\n".join(sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))))

# %% [markdown]
# `train` holds a single folder, `good`. That is the rule of the game, written as a folder: *no defect in training*. The
# library reads it back.

# %%
data = folder.read(root)
print(f"{data.name}: {len(data.train)} training images, {len(data.test)} test images, kinds {data.kinds}")
print("labels:", data.labels.tolist(), " mask sizes:", [int(m.sum()) for m in data.masks])
print("masks come back as they were:", all(torch.equal(data.masks[i + 1], scratch[i]) for i in range(2)))
off = (data.test[1] - scratched[0]).abs().max()
print(f"images come back within half a grey level: {bool(off <= 0.5 / 255 + 1e-6)}")
store.cleanup()

# %% [markdown]
# The label comes from the folder, never from the mask: a defective image may have no mask. A good image has none and
# needs none. `python -m tutorial_lib doctor PATH` looks through a folder of your own and says what it misses.
#
# ## 2 · Judging scores: AUROC
#
# Now a larger test: 40 good washers, the same as in chapter 00, and 20 of each of the six kinds of damage. The score of an
# image is the largest value of its map.

# %%
kinds = ("scratch", "crack", "spot", "contamination", "missing", "misplaced")
test_good = factory.normal("washer", 40, seed=1)
bad = {kind: factory.defective("washer", kind, 20, severity=0.6, seed=2) for kind in kinds}   # images, masks
maps_good = detector.anomaly_map(test_good)                                   # (40, 128, 128)
maps_bad = {kind: detector.anomaly_map(images) for kind, (images, _) in bad.items()}          # (20, 128, 128) each
normal = maps_good.flatten(1).amax(1)                                         # (40,)
defect = torch.cat([maps.flatten(1).amax(1) for maps in maps_bad.values()])   # (120,)

wins = sum(int(d > n) + 0.5 * int(d == n) for d in defect for n in normal)    # all pairs; a tie counts one half
lines = torch.cat([normal, defect]).sort(descending=True).values              # (160,): every threshold that matters
roc = torch.stack([torch.stack([(s >= t).float().mean() for t in lines]) for s in (normal, defect)])   # (2, 160)
roc = torch.cat([torch.zeros(2, 1), roc], dim=1)                              # the curve begins at (0, 0)
labels = torch.cat([torch.zeros(40), torch.ones(120)]).bool()
print(f"share of pairs (damaged above good): {wins / (40 * 120):.4f}")
print(f"area under the ROC curve:            {torch.trapezoid(roc[1], roc[0]):.4f}")
print(f"metrics.auroc:                       {metrics.auroc(torch.cat([normal, defect]), labels):.4f}")
area = metrics.auroc(torch.cat([normal, defect]), labels)
plots.show(judging.scores_and_roc(normal, defect, roc, line, area), f"Left: scores of 40 good (blue) and 120 damaged washers "
           f"(orange, hatched), with the threshold {line:.1f}. Right: the ROC curve, area {area:.3f}; the ring is this threshold.")

# %% [markdown]
# Slide the black line in the left picture from right to left, and count at each place: which share of the good washers
# lies above it (FPR), which share of the damaged ones (TPR)? Each line gives one point; together they are the *ROC curve*.
# The area under it is the AUROC. The first two printed lines agree, and that is a theorem, not luck: **AUROC is the probability
# that a damaged image scores higher than a good one**, a tie counting one half. With N good and M damaged images there are N · M
# pairs. 0.5 is guessing.
#
# **Predict.** All scores go through exp(·). What happens to the AUROC?
#
# <details><summary>(a) It rises, because large scores are pulled apart.</summary>They are, on the axis. But pairs only ask
# who is higher.</details>
# <details><summary>(b) It stays the same.</summary>Yes. exp keeps the order, and the order is all that enters. That is also
# why the AUROC knows nothing about thresholds.</details>
# <details><summary>(c) It falls, because good scores grow too.</summary>They do. No pair changes its order.</details>

# %%
scores = torch.cat([normal, defect])
print(f"exp: unchanged {math.isclose(metrics.auroc(scores.double().exp(), labels), area)};   sign flipped: "
      f"{metrics.auroc(-scores, labels):.4f} = 1 − {area:.4f}")
for kind, maps in maps_bad.items():
    one = torch.cat([normal, maps.flatten(1).amax(1)])
    print(f"{kind:14s} AUROC {metrics.auroc(one, torch.arange(60) >= 40):.2f}")
low, high = metrics.bootstrap_interval(metrics.auroc, scores, labels, n=500)
print(f"all kinds: {area:.2f} on these images; over all images of these sorts, with 95 % confidence, {low:.2f} to {high:.2f}")
print(f"line {line:.1f}: {(defect > line).float().mean():.0%} of the damaged and {(normal > line).float().mean():.0%} of the "
      "good washers raise an alarm")

# %% [markdown]
# One number for all kinds hides that this detector is much weaker on misplaced holes than on the five other kinds. And 160 images leave an interval of more than a tenth: a difference between two methods that is much smaller may be
# luck. Chapter 13 compares methods image by image.
#
# **A tempting mistake: "AUROC 0.92 means 92 % of the images are judged rightly."** No image is judged at all: there is
# no threshold in it. The last printed line has one, and its two rates are other numbers. (It promised 5 % of the good
# ones; section 5 says why it is more here.)

# %% [markdown]
# ## 3 · Judging maps: pixels or regions
#
# Pool the pixels of all test maps, call each pixel of a mask defective, and compute the same area: that is *pixel AUROC*.
#
# **Predict.** A picture of 256 × 256 pixels has two defects: one of 100 × 100 pixels, one of 10 × 10. The map marks the
# large one perfectly and leaves the small one exactly as dark as the background. Pixel AUROC?
#
# <details><summary>(a) About 0.5: one of two was missed.</summary>That would count defects. Pixel AUROC counts
# pixels.</details>
# <details><summary>(b) About 0.75.</summary>The mean of "found" and "guessing", each defect counted once.</details>
# <details><summary>(c) Above 0.99.</summary>Yes. 10,000 of 10,100 defective pixels outrank every normal one; the other 100
# tie, and earn one half each.</details>

# %%
heat, truth = torch.zeros(256, 256), torch.zeros(256, 256, dtype=torch.bool)
large, small = (slice(20, 120), slice(20, 120)), (slice(190, 200), slice(190, 200))
truth[large], truth[small], heat[large] = True, True, 1.0
print(f"pixel AUROC {metrics.pixel_auroc([heat], [truth]):.3f} = (10000 + 100/2) / 10100 = {(10000 + 50) / 10100:.3f}")
print(f"AUPRO up to a false-positive rate of 0.3: {metrics.aupro([heat], [truth]):.3f}")

fpr_axis = torch.linspace(0, 1, 101)                                          # between the two thresholds of this map: straight lines
shares = {"large region: all found": torch.ones(101), "small region: by chance": fpr_axis,
          "PRO, the mean of both": (1 + fpr_axis) / 2}
plots.show(judging.overlap_curves(heat, truth, fpr_axis, shares, 0.3), "A perfectly marked large defect and a missed small one. "
           "Every region has its own curve, the PRO curve is their mean, and its area up to 0.3, divided by 0.3, is AUPRO.")

# %% [markdown]
# Pixel AUROC 0.995, and one of two defects was never found. AUPRO tells: it is 0.575.
#
# *Per-region overlap*, PRO, takes the connected regions of the mask (pixels that touch at a side or a corner), asks which
# *share of each* is marked, and averages **over the regions**. So a region of 100 pixels weighs as much as one of 10,000.
# Draw PRO over the false-positive rate of the pixels, as in the right picture. A map that marks a third of all good
# pixels is of no use, so only the part up to 0.3 counts; the curve is cut there by straight interpolation, and the area is
# divided by 0.3. By hand: up to 0.3 the blue line is 1 and the dotted one 0.15 on average, so the orange one is
# (1 + 0.15)/2 = 0.575 on average. A map without any
# information gets about 0.15, not 0.5.

# %%
pixel_maps = [*maps_good, *(m for maps in maps_bad.values() for m in maps)]
pixel_truth = [*torch.zeros(40, 128, 128, dtype=torch.bool), *(m for _, masks in bad.values() for m in masks)]
print(f"washers, all kinds: image AUROC {area:.2f}, pixel AUROC {metrics.pixel_auroc(pixel_maps, pixel_truth):.2f}, "
      f"AUPRO {metrics.aupro(pixel_maps, pixel_truth):.2f}")
area_of = {kind: masks.sum().item() for kind, (_, masks) in bad.items()}
print(f"share of all defective pixels that are in misplaced holes: {area_of['misplaced'] / sum(area_of.values()):.0%}")
for kind, (_, masks) in bad.items():
    these, those = [*maps_good, *maps_bad[kind]], [*torch.zeros(40, 128, 128).bool(), *masks]
    print(f"{kind:14s} pixel AUROC {metrics.pixel_auroc(these, those):.2f}, AUPRO {metrics.aupro(these, those):.2f}, "
          f"mean mask {area_of[kind] / len(masks):.0f} pixels")

# %% [markdown]
# Five kinds lie above 0.9 in both. The sixth, misplaced, has masks about four times as large as the others, because a hole
# in the wrong place changes a crescent on both sides. One kind of six, and nearly half of all defective pixels: it drags
# pixel AUROC over all kinds well below that of the other five. In AUPRO its regions count once each. Report both, and say
# which.
#
# ### Touch it: the score lab
#
# Two tabs, two questions. **At one bad part in a thousand, how far apart must the histograms be before half of the alarms
# are real and half of the defects are found?** And: **how large must a missed defect be before pixel AUROC falls below 0.9?**

# %%
display(score_lab.score_lab())
fig, sentence = score_lab.strip()
plots.show(fig, sentence)
far = score_lab.measure(score_lab.State(distance=2.0, prevalence=0.001, threshold=4.2))
print(f"distance 2, threshold 4.2: {far['precision']:.0%} of the alarms are real, {far['tpr']:.1%} of the defects are found")
fig, sentence = missed_region.strip()
plots.show(fig, sentence)

# %% [markdown]
# First tab: the left and the middle state have the *same* scores and the same AUROC; only the prevalence differs. With the
# threshold left at 1, no distance helps, because the false alarms stay. A threshold far to the right makes half of the
# alarms real at distance 2 already, and finds hardly any defect: that is the printed line. To find half of the defects
# as well, the threshold must lie in the middle of their scores, and that takes a distance of 3.3 spreads.
#
# Second tab: a missed defect must cover a quarter of the area of the found one before pixel AUROC falls below 0.9. AUPRO
# says 0.575 at every size.

# %% [markdown]
# ## 4 · From a map to one score
#
# A map has thousands of numbers, a decision needs one. The maximum? The mean? The mean of the k largest?
#
# **Predict.** Noise maps of 64 × 64. In half of them a defect of 3 × 3 pixels stands out by 6 times the noise. Which
# score finds it better: the mean over all pixels, or the largest pixel? And a faint haze of 0.18 times the noise over
# the whole map?
#
# <details><summary>(a) The maximum, both times: defects are bright.</summary>The haze is not bright anywhere. It lifts
# every pixel a little, and the largest noise pixel hardly notices.</details>
# <details><summary>(b) The maximum for the spot, the mean for the haze.</summary>Yes. Each score is a bet on how large a
# defect is.</details>
# <details><summary>(c) The mean, both times: it uses all pixels.</summary>It does, also the 4,087 that know nothing of a
# 3 × 3 defect.</details>

# %%
draw = torch.Generator().manual_seed(0)
how = {"mean": lambda m: m.flatten(1).mean(1), "max": lambda m: m.flatten(1).amax(1),
       "top 1 %": lambda m: m.flatten(1).topk(m[0].numel() // 100).values.mean(1)}       # (B, H, W) -> (B,)
planted = {name: ([], [], []) for name in how}                                # scores of noise, of spots, of hazes
for _ in range(2):
    maps = torch.randn(3, 1000, 64, 64, generator=draw)
    maps[1, :, 30:33, 30:33] += 6.0                                           # the 3×3 defect
    maps[2] += 0.18                                                           # the haze
    for name, score in how.items():
        for scores_so_far, batch in zip(planted[name], maps, strict=True):
            scores_so_far.append(score(batch))


def separates(a, b):
    """AUROC of the scores b (M,) of defective maps against the scores a (N,) of normal ones."""
    return metrics.auroc(torch.cat([a, b]), torch.arange(len(a) + len(b)) >= len(a))


for name in how:
    noise, spots, hazes = (torch.cat(parts) for parts in planted[name])       # (2000,) each
    print(f"{name:8s} 3×3 defect: AUROC {separates(noise, spots):.2f}   haze: {separates(noise, hazes):.2f}")
shift, scatter = 9 * 6 / 4096, 1 / 64         # of the mean over 4,096 pixels; a difference scatters by √2 as much
print(f"the 3×3 defect by the mean, in theory: {1 - NormalDist(shift, scatter * 2**0.5).cdf(0):.3f}")
plots.show(judging.map_strip(maps[:, 0], ["noise", "3×3 defect", "haze of 0.18"]), "Three noise maps on one colour scale: "
           "without a defect, with a 3×3 defect in the middle, and with a haze that nobody sees.")

# %% [markdown]
# The mean finds the spot with AUROC 0.725 in theory, and about that here: nine pixels of 4,096 lift it by 9 · 6/4096 = 0.013,
# less than the 1/64 = 0.016 by which it scatters from map to map. The maximum finds every spot, and of the haze it sees
# little: about two thirds of the pairs, where the mean gets all. The mean of the top 1 % loses least when you do not know
# what is coming. The same maps, and the verdict runs from two thirds to 1.00. Now the washers:

# %%
for name, score in how.items():
    per_kind = {kind: separates(score(maps_good), score(maps)) for kind, maps in maps_bad.items()}
    everything = separates(score(maps_good), torch.cat([score(maps) for maps in maps_bad.values()]))
    print(f"{name:8s} all {everything:.2f}   " + "  ".join(f"{kind} {value:.2f}" for kind, value in per_kind.items()))

# %% [markdown]
# The same detector, the same maps, and image AUROC over all kinds falls by more than a tenth when the mean replaces the
# maximum. No kind gains by the mean, and the top 1 % and the maximum cannot be told apart with 20 images a
# kind. Choosing k by looking at this table would be choosing on the test set; section 6 says what that costs.
#
# ## 5 · A threshold from normal images alone
#
# In chapter 00 you dragged a line through the scores of good and damaged washers and looked for the lowest cost. In a
# factory you have no damaged ones. What you can have is a promise about the good ones: **at most a share fpr of them raises an alarm.**
# Sort the scores of N good images that were not trained on from the top. Let ⌊fpr · N⌋ of them stay above (⌊ ⌋: rounded
# down to a whole number), and draw the line at the next one. (`detector.calibrate(normals, fpr)` scores and does this.)

# %%
held_out = detector.score(factory.normal("washer", 200, seed=4))              # (200,): good, seen by nothing so far
for rate in (0.05, 0.01):
    allowed = math.floor(rate * len(calibration) + 1e-9)                      # 1e-9: 0.1 * 30 is 2.9999999999999996
    by_hand = calibration.sort(descending=True).values[allowed]
    same = bool(by_hand == quantile_threshold(calibration, rate)["threshold"])
    print(f"fpr {rate:.2f}: line {by_hand:.2f}, the library's: {same}; "
          f"fresh good washers above {(held_out > by_hand).float().mean():.1%}, damaged above {(defect > by_hand).float().mean():.0%}")
    at = stats.beta(allowed + 1, len(calibration) - allowed).ppf([0.05, 0.95])  # true rate above the (allowed + 1)-th
    print(f"          nine lines of ten that are drawn so have a true rate of {at[0]:.1%} to {at[1]:.1%}")
draw, found = torch.Generator().manual_seed(0), []
for _ in range(500):                                                          # what if there were only 40 normals?
    few = calibration[torch.randperm(200, generator=draw)[:40]]
    found.append((held_out > few.sort(descending=True).values[2]).float().mean())
low, high = torch.stack(found).quantile(torch.tensor([0.05, 0.95]))
print(f"with 40 normals and fpr 0.05, fresh false alarms run from {low:.1%} to {high:.1%} (90 % of 500 draws)")
print(quantile_threshold(calibration[:40], 0.01)["note"])

# %% [markdown]
# With 200 normals the rates on fresh good washers come out near the promise; the range below each line says how
# far off 200 draws from any score may be. About *damaged* washers no promise was made. With 40 the line
# is a matter of luck. And 40 normals cannot promise 1 % at all: a hundredth of forty is less than one image. (In section 2 the line of 200 normals met 40 others, and 8 % of them lay above
# it: a count of 3 where 2 were expected.) Chapter 15 makes the promise exact.
#
# **And the price of a miss?** Chapter 00 counted 1 for a good part thrown away and 3 for a damaged one that passes, on a
# test set full of damaged parts. Below, the line that is cheapest on this chapter's test set is priced in a factory with 1
# part in 100 defective.

# %%
bench = threshold.deciding(normal, defect)["lowest cost"].line                # found by looking at damaged washers
options = {"cheapest on the test set": bench, "5 % of normals above": calibration.sort(descending=True).values[10],
           "1 % of normals above": calibration.sort(descending=True).values[2], "never an alarm": math.inf}
print("cost per 1000 parts, 1 in 100 defective      a miss costs 3    a miss costs 100")
for name, at in options.items():
    false_alarms = 990 * (held_out > at).float().mean()
    missed = 10 * (defect <= at).float().mean()
    print(f"{name:26s} (line {at:4.1f}) {false_alarms + 3 * missed:18.0f} {false_alarms + 100 * missed:18.0f}")

# %% [markdown]
# The line that was cheapest on the test set is the most expensive one here at a price of 3: three in four test images
# were damaged, so it throws away most good washers to catch them. With a miss at 3, even never sounding an alarm (30)
# is cheaper than the line at 5 % (48); only the line at 1 % pays (16). With a miss at 100 the picture turns: the line
# at 5 % is the cheapest of the four, if not by much, and never an alarm the most expensive. Nothing about the detector
# changed. **Prevalence and prices draw the line; the detector only offers the choices.**

# %% [markdown]
# ## 6 · Break it
#
# Two ways to draw a line that look reasonable and are not.
#
# **Predict.** Why hold out 200 good washers? Draw the line from the 100 that the detector was trained on, with fpr 0.05.
# Which share of fresh good washers raises an alarm?
#
# <details><summary>(a) 5 %.</summary>That is the share among the training images. The detector knows those.</details>
# <details><summary>(b) A bit more, perhaps 8 %.</summary>A fair guess for a model with few numbers. This one sets a mean and a
# matrix at every position from 100 images.</details>
# <details><summary>(c) Most of them.</summary>Yes, here: almost nine in ten. They score higher than nearly all
# training images.</details>

# %%
trained_on = detector.score(good)                                             # (100,)
wrong_line = trained_on.sort(descending=True).values[5]
print(f"median score: trained on {trained_on.median():.2f}, fresh {held_out.median():.2f}")
print(f"line from training images {wrong_line:.2f}: {(trained_on > wrong_line).float().mean():.0%} of them above, "
      f"{(held_out > wrong_line).float().mean():.0%} of fresh good washers above")

# %% [markdown]
# The signature: the median of the training scores is far below that of fresh good images. Compare the two whenever you fit
# anything. A line needs images that are normal *and* new.
#
# **Predict.** Second way. "I choose the threshold that does best on the test images." Ten scorers give *random* numbers:
# they know nothing. For each, choose the line with the best accuracy on 40 test images, 20 of them defective. What accuracy
# will the report show?
#
# <details><summary>(a) Around 60 %.</summary>Yes, and close to 70 % if you also report only the best of the ten.</details>
# <details><summary>(b) 50 %: they know nothing.</summary>Each line was chosen among 41 for being good on these very
# images. Some line always is.</details>
# <details><summary>(c) 100 %, with enough lines.</summary>A line cuts the ranking once. It cannot fit 40
# labels.</details>

# %%
truth40 = torch.arange(40) >= 20                                              # (40,)
draw = torch.Generator().manual_seed(0)


def report_and_reality():
    """One random scorer: accuracy on the 40 images that choose its line, and on 40 fresh ones with that line."""
    test, fresh = torch.rand(2, 40, generator=draw)                           # scores without information
    cuts = torch.cat([test, torch.tensor([-1.0])])                            # (41,): every line that matters
    accuracy = ((test > cuts[:, None]) == truth40).float().mean(1)            # (41,)
    return accuracy.max().item(), ((fresh > cuts[accuracy.argmax()]) == truth40).float().mean().item()


ten = [report_and_reality() for _ in range(10)]
many = torch.tensor([report_and_reality() for _ in range(4000)]).view(400, 10, 2)    # 400 teams with ten scorers each
best = many.gather(1, many[..., 0].argmax(1)[:, None, None].expand(-1, 1, 2))[:, 0]  # (400, 2): each team's best scorer
print(f"mean over all: reported {many[..., 0].mean():.2f}, on fresh images {many[..., 1].mean():.2f}")
print(f"best of ten:   reported {best[:, 0].mean():.2f}, on fresh images {best[:, 1].mean():.2f}")
plots.show(judging.luck(*zip(*ten, strict=True)), f"Ten scorers without information. Reported accuracy: "
           f"{min(a for a, _ in ten):.2f} to {max(a for a, _ in ten):.2f}. On fresh images: around one half.")

# %% [markdown]
# No orange dot lies below one half: a line that calls everything defective is right for 20 of 40 already. The blue squares
# scatter around one half. Nobody cheated; the test set was used
# twice. The same holds for every choice: the line, k of the top-k score, the epoch at which training stopped, the seed. Many
# tables report the best F1 on the test set. F1 is one number made of precision p and true-positive rate r,
# 2 p r / (p + r), and taking its best value over all lines is this cell with another name.
#
# ## 7 · What you see and what a detector sees
#
# Take the two numbers that you wrote down in the defect lab. The cell turns scratches and spots down step by step and asks a
# detector, with a line that 5 % of the normals pass.

# %%
on_metal = detectors.create("gaussian", seed=0)
on_metal.fit(factory.normal("metal", 100, seed=0))
good_metal = on_metal.score(factory.normal("metal", 200, seed=3))              # (200,)
severities, curves = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1), {}
for name, judge, at in (("washer", detector, line), ("metal", on_metal, quantile_threshold(good_metal, 0.05)["threshold"])):
    for kind in ("scratch", "spot"):
        pictures = [factory.defective(name, kind, 20, severity=s, seed=7)[0] for s in severities]
        curves[f"{name}, {kind}"] = [(judge.score(x) > at).float().mean().item() for x in pictures]
old_line = normal.quantile(0.95)                                               # as chapter 00 drew it
faint = factory.defective("washer", "scratch", 20, severity=0.4, seed=7)[0]
at_old = int((detector.score(faint) > old_line).sum())
print(f"line of chapter 00 {old_line:.1f}: {at_old} of 20 scratches on washers at severity 0.4; line of this chapter {line:.1f}:")
for name, found in curves.items():
    print(f"{name:16s} " + "  ".join(f"{s:.1f}: {20 * share:2.0f} of 20" for s, share in zip(severities, found, strict=True)))
fig = judging.over_severity(severities, curves, 0.05)
plots.show(fig, "Share of 20 defects over the threshold, by severity. Scratches are found down to 0.4 on both products, "
           "spots on metal down to 0.2, and of the spots on washers never as many as half; the dashed line is the share of false alarms.")

# %%
on_nuts = detectors.create("gaussian", seed=0)
on_nuts.fit(factory.normal("nut", 100, seed=0))
good_nuts = on_nuts.score(factory.normal("nut", 200, seed=3))                  # (200,)
nut_line = quantile_threshold(good_nuts, 0.05)["threshold"]
deep, deep_mask = factory.defective("nut", "scratch", 20, severity=1.0, seed=7)
deep_maps = on_nuts.anomaly_map(deep)
both = torch.cat([good_nuts, deep_maps.flatten(1).amax(1)])
print(f"nuts: good ones score {good_nuts.median():.1f} (median), the line is {nut_line:.1f}, {int((both[200:] > nut_line).sum())} "
      f"of 20 scratches at severity 1 lie above it")
print(f"the same scratches: pixel AUROC {metrics.pixel_auroc(deep_maps, deep_mask):.2f}, "
      f"image AUROC {metrics.auroc(both, torch.arange(220) >= 200):.2f}")

# %% [markdown]
# At severity 0.4 the detector finds nine in ten of the scratches, on washers and on metal. At 0.2 two of twenty are left on
# the washers, and nearly half on the metal. Where are your numbers? And the spots on washers: AUROC 0.91 in section 2, and
# eleven of twenty pass even at full severity.
#
# Chapter 00 told you that this detector misses one in four of the scratches on washers at severity 0.4. Here it misses
# one in ten, in the same pictures with the same scores. Only the line moved: there it left 5 % of 40 washers above it,
# here 5 % of 200 others. With 40, the two or three highest scores decide where the line lies.
#
# The surprise is the nut. Even at full severity half of the scratches pass. And the detector is not blind: a pixel on a
# scratch outranks a good one nearly always, and a scratched nut outranks a good one in 93 of 100 pairs. But the line must
# pass above 95 % of the good nuts, and that puts it at more than two and a half times their median: as high as half of the
# scratched ones. A good AUROC does not promise a useful line. Three grades for one detector, now measured.

# %% [markdown]
# ## Common misconceptions
#
# You have met four, each with its counter-example: "right for 99 % of all parts" (start), "AUROC 0.92 means 92 % judged
# rightly" (2), "pixel AUROC 0.995 means the defects are found" (3), "I choose the threshold that does best on the
# test images" (6).
#
# | You may read | What holds |
# |---|---|
# | "95 % detection, 5 % false alarms" | without the prevalence it says nothing about the alarms |
# | "image AUROC" without "score = …" | max, mean and top-k of the same maps can differ by tenths |
# | "pixel AUROC 0.98, so localisation is solved" | large regions outweigh small ones; ask for AUPRO too |
# | "AUPRO 0.15, worse than guessing" | up to 0.3, guessing *is* 0.15 |
# | "best F1 on the test set" | a line chosen on the images that judge it |

# %% [markdown]
# ## Check yourself
#
# **1.** TPR 0.9, FPR 0.001, one part in 1000 is defective. About how many alarms are real?
#
# <details><summary>(a) 99.9 %, because FPR is 0.001.</summary>FPR is a share of the good parts, not of the alarms.</details>
# <details><summary>(b) About half.</summary>Right. 0.9 real and 0.999 false alarms per 1000 parts.</details>
# <details><summary>(c) 90 %.</summary>That is TPR, a share of the defective parts.</details>
#
# **2.** All scores of a test set are multiplied by 10. What changes?
#
# <details><summary>(a) AUROC.</summary>The order is the same, so it stays.</details>
# <details><summary>(b) The threshold, and nothing else.</summary>Right: drawn again from normals, it is multiplied by 10 as
# well, and the same images raise an alarm.</details>
# <details><summary>(c) The false-positive rate.</summary>Only if you keep the old threshold.</details>

# %% [markdown]
# **3.** Nine defects of 10 × 10 pixels are marked perfectly. A tenth, of 100 × 100, is left like the background. Which
# number is higher?
#
# <details><summary>(a) AUPRO.</summary>Right. Nine of ten regions: (9 + 0.15)/10 = 0.915. Pixel AUROC: 900 of 10,900 pixels are
# found, (900 + 5000)/10900 = 0.54.</details>
# <details><summary>(b) Pixel AUROC.</summary>It is when the *large* one is found. Here the large one is missed.</details>
# <details><summary>(c) They agree.</summary>Only if all regions have the same size, and the limit were 1.</details>
#
# **4.** *(earlier: 00)* How many defective images does a detector of this course need for training?
#
# <details><summary>(a) A few of each kind.</summary>It would learn those kinds. The next defect is another one.</details>
# <details><summary>(b) As many as good ones.</summary>That would be a classifier, and nobody has these images.</details>
# <details><summary>(c) None.</summary>Right. It learns what good looks like.</details>
#
# **5.** *(earlier: 00)* The anomaly map of a scratched washer is clearly bright on the scratch. Does the washer raise an alarm?
#
# <details><summary>(a) Yes, the map shows it.</summary>The map shows *where* in this picture. The line is drawn across all
# pictures.</details>
# <details><summary>(b) Only if its score lies above the line.</summary>Right. In section 7 the maps showed the scratches on
# nuts, and half of those nuts lay below the line.</details>
# <details><summary>(c) Yes, if pixel AUROC is above 0.9.</summary>Pixel AUROC of the scratches on nuts was above 0.9, and
# half of them raised no alarm.</details>

# %% [markdown]
# ## What you can now say
#
# - Whether an alarm is real depends on how rare defects are, more than on the detector.
# - Train on normal images only, draw the line from other normal images only, judge on a test set that has chosen nothing.
# - AUROC is the share of rightly ordered pairs. It knows neither threshold nor prevalence nor price.
# - Pixel AUROC counts pixels, AUPRO counts regions; a missed small defect shows only in the second.
# - How a map becomes one score can move image AUROC by a tenth or more: say it beside every image AUROC.
#
# | formula card | |
# |---|---|
# | precision | π TPR / (π TPR + (1 − π) FPR) |
# | AUROC | (pairs ordered rightly + ½ ties) / (N · M); N good, M defective images |
# | PRO at a threshold | mean over the regions of (marked pixels of the region / its pixels) |
# | AUPRO | area under PRO over FPR from 0 to 0.3, divided by 0.3; chance: 0.15 |
# | threshold | the normal score with ⌊fpr · N⌋ others above it (⌊ ⌋: rounded down) |
# | image score | max, mean, or mean of the k largest |

# %% [markdown]
# **Next.** Build all of it yourself, six functions, 50 minutes: [exercises/01](../exercises/01_defect_detection.ipynb).
# Chapters [02](02_jacobian.ipynb) to [05](05_normalizing_flows.ipynb) build the map that will give the score;
# [08](08_differnet.ipynb) is the first detector that is judged by the numbers of this chapter.
#
# **Sources.** Folder layout, kinds of objects and textures: MVTec AD (Bergmann and others, CVPR 2019, doi
# 10.1109/CVPR.2019.00982). AUPRO and its limit 0.3: Bergmann and others (2020, arXiv 1911.02357). AUROC as a share of
# pairs: Mann and Whitney (1947), Hanley and McNeil (1982). Rare events and false alarms: Axelsson, "The base-rate fallacy and the
# difficulty of intrusion detection" (2000). The detector of this page follows PaDiM (2020, arXiv 2011.08785).
