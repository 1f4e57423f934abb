# %% [markdown]
# # 07 · From density to defects
#
# You train a flow on small patches of carpet. Then you show it a blank grey card, a picture that it has never seen.
#
# **Which does it find more likely, the carpet or the card?**
#
# The first half of this chapter (7A) answers that question, and takes an idea away from you: a high density is not the
# same as normal. The second half (7B) puts something better in its place, and ends with a baseline that every later
# method must beat.
#
# **After this chapter you can**
# - say where the mass of a density lies in many dimensions, and why it is not where the density is highest;
# - explain with two numbers why a flow on pixels prefers a grey card, and on which pictures it does not;
# - build a detector with a heat map from a frozen network and one Gaussian per position;
# - count what a feature can see, and measure it;
# - tell a frozen network from one that only looks frozen.
#
# *Prerequisites: [05](05_normalizing_flows.ipynb) for both halves; [01](01_defect_detection.ipynb),
# [02](02_jacobian.ipynb) and the tool card "convolution" of [06](06_flows_that_paint.ipynb) for 7B;
# [04](04_change_of_variables.ipynb) and the rest of 06 help with 7A. Reading 20 + 20 minutes, running about half a
# minute. If you come from the survey article: this is its section 3.*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import math

import numpy as np
import torch
from IPython.display import display
from scipy import stats

from tutorial_lib import backbones, flows, metrics, plots
from tutorial_lib.backbones.embedded import normed_conv, stages
from tutorial_lib.data import factory
from tutorial_lib.detectors.thresholds import quantile_threshold
from tutorial_lib.experiments import equal_features, pixel_flows as pixels, position_gaussian as positions
from tutorial_lib.plots import density, gallery, receptive_field as drawings
from tutorial_lib.widgets import receptive_field as field_widget, typical_set as typical_widget

plots.style.use()

# %% [markdown]
# # 7A · Density is not normality
#
# Three sets of tiny grey pictures, 8 × 8 pixels: patches of carpet, patches of brushed metal, printed digits. From each
# set we make two more pictures. The *mean picture* has at each pixel the mean of the set. The *card* has the same grey
# at all pixels: the mean of everything.

# %%
train = {name: draw(2000, 0) for name, draw in pixels.SOURCES.items()}        # (2000, 1, 8, 8) each: 0 … 255
held_out = {name: draw(500, 1) for name, draw in pixels.SOURCES.items()}      # (500, 1, 8, 8)
rows = {name: [*x[:3], pixels.mean_picture(x)[0], pixels.flat(x)[0]] for name, x in train.items()}
spread = {name: pixels.mean_picture(x)[0].float().std().item() for name, x in train.items()}
plots.show(density.cards(rows, ["training", "training", "training", "mean picture", "card"]),
           "Three data sets. Spread of the mean picture over its 64 pixels, in grey levels of 256: "
           + ", ".join(f"{name} {value:.0f}" for name, value in spread.items()) + ".")

# %% [markdown]
# Look at the fourth column. Carpet and metal look the same everywhere, so their mean picture *is* a grey card. Such a
# texture is called **stationary**. Digits have a dark border and a bright middle, and so has their mean.
#
# **Notation.** x is a picture as a point of d = 64 numbers, z its latent, also d numbers.
#
# > log p(x) = log p(z) + log_det, and **bits per pixel** = −log₂ p of a picture of grey levels, divided by d: low is
# > likely ([06](06_flows_that_paint.ipynb) derives it). All symbols: [notation and words](notation_and_glossary.md).
#
# For each set we fit the affine flow of 05, then train four coupling blocks behind it.
#
# **Predict.** Which picture gets the fewest bits, so the highest density, from the flow trained on carpet?
#
# <details><summary>(a) Its own training pictures: the training raised their density.</summary>Maximum likelihood raises
# the *mean* density of the training pictures. It does not forbid that a picture nobody showed gets more.</details>
# <details><summary>(b) Held-out carpet.</summary>It can at best equal the training pictures, up to chance.</details>
# <details><summary>(c) The card.</summary>Yes, and by a margin that one can compute beforehand. See below.</details>

# %%
models = {name: pixels.fitted(x, seed=0) for name, x in train.items()}         # (affine flow, the same with couplings)
for k, title in enumerate(("affine flow", "with couplings")):
    print(f"{title + ', bits per pixel':32s}training  held-out  mean picture     card")
    for name, x in train.items():
        shown = (x, held_out[name], pixels.mean_picture(x), pixels.flat(x))
        values = [pixels.bits(models[name][k], p).median().item() for p in shown]
        told = [f"{v:.2f}" if v < 20 else "over 20" for v in values]
        print(f"  {name:28s}{told[0]:>10s}{told[1]:>10s}{told[2]:>14s}{told[3]:>9s}")

# %% [markdown]
# (Medians, one seed. *Over 20*: a grey card is so far from any digit that the number means nothing any more. These
# pictures have 256 grey levels, those of 06 had 17: bits of the two chapters cannot be compared.)
#
# On carpet and on metal the card gets fewer bits than the training pictures, from both flows. No flow has ever seen it.
# On digits the card is by far the worst. So "flows prefer blank pictures" is wrong as a general statement. But look at
# the column *mean picture*: a blur that is no digit gets fewer bits than the digits.
#
# ## Why: two numbers
#
# For the affine flow everything can be said exactly. Its log_det is the same for every picture. So bits differ only by
# ½‖z‖². A picture of the training set has ‖z‖² = d on average, because each z value has variance 1. The mean picture is
# mapped to z = 0, up to the noise between grey levels (06). The difference is ½ d nats, which is ½ / ln 2 = 0.72 bits
# per pixel.

# %%
print("                mean z² of: held-out   mean picture   card     saved by the mean picture, bits per pixel")
for name, (affine, _) in models.items():
    three = (held_out[name], pixels.mean_picture(train[name]), pixels.flat(train[name]))
    squares = [affine(pixels.vectors(p))[0].square().mean().item() for p in three]
    saved = pixels.bits(affine, held_out[name]).mean() - pixels.bits(affine, three[1]).mean()
    print(f"{name:8s} {squares[0]:26.2f} {squares[1]:14.2f} {squares[2]:6.2f} {saved:25.2f}")
print(f"½ / ln 2 = {0.5 / math.log(2):.2f}")

# %% [markdown]
# There is the whole paradox. z = 0 is the most likely point of the base density. The affine flow maps the mean picture
# there. If the set is stationary, its mean picture is the card. If it is not, the card is no special point: for digits
# its z² is far above 1, because it is grey at the border, where digits hardly vary.
#
# Coupling blocks bend this account and do not overturn it: in both parts of the table above, the mean picture lies
# below the data. Now fade: each picture loses contrast against the mean picture, step by step.

# %%
contrasts = (0.0, 0.25, 0.5, 0.75, 1.0)
faded = {name: [pixels.faded(held_out[name], c) for c in contrasts] for name in train}
curve = {name: [pixels.bits(models[name][1], x).median().item() for x in row] for name, row in faded.items()}
fig = density.fading({name: [x[0] for x in row] for name, row in faded.items()}, contrasts, curve)
plots.show(fig, "One picture of each set at five contrasts; median bits of 500 such pictures, flow with couplings. "
           + " ".join(f"{n}: {v[-1]:.2f} as they were, {min(v):.2f} at the lowest point." for n, v in curve.items()))

# %% [markdown]
# Read the curves from right to left. Take contrast away from carpet, and it becomes *more* likely. A patch with hardly
# any weave left is the best of carpets to this flow. As a detector on −log p(x), it would pass a worn, blank spot with
# its best mark.
#
# ## Where the mass is
#
# One piece is missing. If the card is so likely, why does the flow never paint it? Go back to the base density: a
# standard normal z in d dimensions. The density at distance r from 0 is proportional to e^(−r²/2), highest at 0.
#
# **Predict.** d = 768, the dimension of DifferNet's vectors. Of a million draws, how near to 0 does the nearest come?
#
# <details><summary>(a) Below 1: 0 is the most likely point, so some draw lands near it.</summary>In one dimension, yes.
# Here each of the 768 values would have to be small at once.</details>
# <details><summary>(b) About 14, half of the typical distance.</summary>Nearer to the truth, and still far off: none
# comes within 20.</details>
# <details><summary>(c) About 24.</summary>Yes. All lengths lie in a narrow shell around √768 = 27.7.</details>

# %%
lengths = np.sqrt(np.random.default_rng(0).chisquare(768, 10**6))              # (1000000,): ‖z‖ of a million draws
print(f"mean {lengths.mean():.2f}   spread {lengths.std():.2f}   nearest {lengths.min():.1f}   "
      f"farthest {lengths.max():.1f}")
print(f"chance that one draw comes within 20: 10^{stats.chi2.logcdf(400, 768) / math.log(10):.0f}")
print("spread of the length: " + ", ".join(f"{stats.chi.std(d):.2f} for d = {d}" for d in (1, 2, 10, 768)))
print(f"density at 0 over density at ‖z‖ = √768: e^{768 / 2:.0f} = 10^{768 / 2 / math.log(10):.0f}")

# %% [markdown]
# Read the second line and the last together. The point 0 is e³⁸⁴ times denser than a draw, and nobody ever gets near
# it. There is no contradiction. Probability is density *times volume*. The ball around 0 with radius 14 holds less
# volume than the shell at 27.7 by a factor of about 2⁷⁶⁸. Density falls by e³⁸⁴ on the way out, volume grows by more.
#
# The shell where the draws are is the **typical set**. Its radius is about √d, its thickness near 0.7 from a few
# dimensions on.
#
# ### Touch it: from which dimension on is no draw of 1,000 near the mode?

# %%
draws = typical_widget.Lengths(seed=0)
display(typical_widget.typical_set(draws))
first = draws.first_empty()
fig, said = typical_widget.strip(draws, (1, 2, first, 768))
plots.show(fig, said)

# %% [markdown]
# Read from left to right. In one dimension the star, z = 0, is where the draws are. In two they have begun to leave
# it. In the third panel nobody is left in the grey band. In 768 dimensions the shell is so thin that you could call
# the length a constant.
#
# **A tempting mistake: "then test whether ‖z‖ is near √d."** That finds the card at once: its mean z² is near 0, and
# not near 1. A published detector tests whether log p(x) itself is typical (2019, arXiv 1906.02994); for the affine
# flow that is the same as the length. But the length is one number, and a picture has 64. L is triangular, so the last
# value of z moves the last pixel alone. The next cell gives that one value all of the length: a card with a single
# wrong pixel, and ‖z‖ = √d.

# %%
affine = models["carpet"][0]
z = torch.zeros(1, pixels.D)
z[0, -1] = math.sqrt(pixels.D)                                                 # all of the length in the last value
odd = (affine.inverse(z)[0] * pixels.LEVELS).round().clamp(0, 255).long().view(1, 1, 8, 8)
drawn = affine.sample(1, generator=torch.Generator().manual_seed(0)) * pixels.LEVELS
sample = drawn.round().clamp(0, 255).long().view(1, 1, 8, 8)
shown = {"a sample": sample, "the card": pixels.flat(train["carpet"], 1), "one wrong pixel": odd}
squares = {name: affine(pixels.vectors(p))[0].square().mean().item() for name, p in shown.items()}
plots.show(density.cards({"carpet": [p[0] for p in shown.values()]}, list(shown)),
           "Mean z² per coordinate, 1 is typical: " + ", ".join(f"{n} {v:.2f}" for n, v in squares.items()) + ".")

# %% [markdown]
# The third picture is no carpet, and its length does not say so. Being typical is *necessary* for being normal, not
# sufficient.
#
# ## The same pictures in other units
#
# The last argument needs no shell and no high dimension. In [04](04_change_of_variables.ipynb) you saw that the image
# of the most likely point is not the most likely point of the image. So likelihood ranks nothing by itself.
#
# One camera stores x, the *logarithm* of the light, as film did. Another stores the light eˣ itself. Same scenes,
# another unit. The density follows the rule of 04: log p(eˣ) = log p(x) − Σ xᵢ, with the sum over the pixels. Say the
# greys from 0 to 1 span eight doublings of the light, so x runs from 0 to 8 ln 2.

# %%
range_ = 8 * math.log(2)
y = pixels.vectors(held_out["carpet"])                                         # (500, 64) in [0, 1)
x = range_ * y
log_p_x = affine.log_prob(y) - pixels.D * math.log(range_)                     # (500,)
log_p_light = log_p_x - x.sum(1)                                               # (500,): log_det of x → eˣ is Σ x
card = pixels.vectors(pixels.flat(train["carpet"]))                            # (500, 64): 500 draws of the noise
card_x = affine.log_prob(card) - pixels.D * math.log(range_)                   # (500,)
tr = pixels.vectors(train["carpet"])
bend = lambda v: 0.5 * (((v - tr.mean()) / tr.std()) ** 2).sum(1)              # −log slope of equalisation, + constant
for unit, patch, one in (("x", log_p_x, card_x), ("eˣ", log_p_light, card_x - range_ * card.sum(1)),
                         ("equalised", log_p_x + bend(y), card_x + bend(card))):
    print(f"{unit:9s} the card beats the median patch by {one.median() - patch.median():5.2f} nats; "
          f"{(patch > one.median()).float().mean():.0%} of the patches lie above the card")
kendall = stats.kendalltau(log_p_x, log_p_light).statistic
print(f"pairs of pictures that change their order: {(1 - kendall) / 2:.0%}")
print(f"of the 50 least likely pictures in x, still among the 50 least likely in eˣ: "
      f"{len(set(log_p_x.argsort()[:50].tolist()) & set(log_p_light.argsort()[:50].tolist()))}")
plots.show(density.reranked(log_p_x.numpy(), log_p_light.numpy()),
           f"500 carpet patches ranked by density in two units. On the dashed line a patch keeps its rank; "
           f"{(1 - kendall) / 2:.0%} of all pairs change their order.")

# %% [markdown]
# Nothing was trained anew. Both rankings come from the same model of the same pictures, and they draw different
# "anomalies". Under this change the card keeps its lead; the order among the patches does not survive. A third unit
# takes the lead away as well: *histogram equalisation* spreads out the greys that are frequent (its slope is the
# density of a single grey, here taken as normal), and the card is such a grey. In that unit nearly half of the patches
# beat it.
#
# ### What the article says, and what holds
#
# The survey calls it natural and concise to measure p(x) and to call low values defects. That tempts, because it needs
# no example of a defect. It is worth trying only under three conditions, and none of them is sufficient:
#
# | Condition | Why |
# |---|---|
# | features, not pixels | on pixels the likely picture is the bland one |
# | typical, not likely | the mode is e³⁸⁴ times denser than a draw, and no draw |
# | one fixed set of coordinates | a change of units re-ranks; compare scores of one model only |

# %% [markdown]
# ## Summary of 7A
#
# - A flow on a stationary texture gives the grey card fewer bits than its own training pictures, because the card is
#   its mean picture and the mean sits at z = 0: exact for the affine flow, seen in ours with couplings on two textures.
# - The prize of the affine flow is ½ nat per dimension, 0.72 bits. On digits the card is not the mean, and loses by
#   far.
# - From a few dimensions on, draws lie at ‖z‖ ≈ √d ± 0.7. The mode is denser and empty.
# - A typical length is necessary, not sufficient.
# - Densities rank points only within a set of coordinates.
#
# > ## 🛑 Stop here
# > This is a good place for a break, or for the end of a lesson. [Exercise 1](../exercises/07_density_to_defects.ipynb)
# > belongs to 7A. 7B needs nothing of 7A but its summary.

# %% [markdown]
# # 7B · Features, and the baseline to beat
#
# A Gaussian needs no training loop. Put it on the features of a frozen network, and it is a detector.
#
# **How far ahead of that must a flow be to be worth its training?**
#
# ## What a frozen network offers
#
# **Tool card: backbone, taps, receptive field.** *What it is:* a network trained once on something else and never
# changed here. We read it at several places, called *taps*. *The numbers that show it:* the table below. *Why here:*
# fine taps see little and place it well; coarse taps see much and place it badly.

# %%
backbone = backbones.load("embedded", taps=("stride2", "stride4", "stride8", "stride16"))
washers = factory.split("washer", size=64, n_train=100, n_good=30, n_per_kind=6, seed=0)
with torch.no_grad():
    maps = backbone(washers.train[:1])                                         # images (1, 3, 64, 64)
for (name, tap), m in zip(backbone.taps.items(), maps, strict=True):
    print(f"{name:9s} map {tuple(m.shape)!s:18s} stride {tap.stride:2d} px, {tap.channels:3d} channels, "
          f"each number sees {tap.receptive_field:3d} × {tap.receptive_field} px")   # beyond 64 px: padding

# %% [markdown]
# **Notation.** f is a feature map (B, C, h, w): B images, C channels, h · w positions. *Stride*: pixels of the image
# from one position to the next. *Receptive field*: side of the square of pixels that one number depends on.

# %% [markdown]
# ## log p(features) is not log p(image)
#
# A flow on features gives log p(f). It is tempting to call that log p(image). For an invertible map the two would
# differ by a log_det. But this map is not invertible. It turns 12,288 numbers into far fewer, here 144: two maps,
# averaged over their positions. Its Jacobian J has 144 rows and 12,288 columns. So there are at least 12,144
# independent directions v with J v = 0: the picture changes, and the features do not notice ([02](02_jacobian.ipynb),
# exercise 6).
#
# **Predict.** A washer has a spot on it. May a picture with that visible spot have the very features of the good
# washer?
#
# <details><summary>(a) No: the network was trained to see such things.</summary>What it was trained on does not matter
# for counting: 144 numbers cannot tell 12,288 apart.</details>
# <details><summary>(b) Only for changes too small to see.</summary>That is all that one step along J v = 0 promises.
# But one may take many small steps, each along the null space at its place.</details>
# <details><summary>(c) Yes, after a small change elsewhere.</summary>Yes. See what is left of the spot.</details>

# %%
pair = factory.pairs("washer", "spot", 1, size=64, seed=0)
good, spotted = pair.twins[0], pair.images[0]                                  # (3, 64, 64) each: one scene, one light
two_taps = backbones.load("embedded", taps=("stride4", "stride8"))


def pooled(images):
    return torch.cat([m.mean((2, 3)) for m in two_taps(images)], dim=1)        # (B, 3, 64, 64) -> (B, 48 + 96)


hidden = equal_features.walk(pooled, good, spotted, steps=8)                   # towards the spot, along null directions
with torch.no_grad():
    f_good, f_spotted, f_hidden = pooled(torch.stack([good, spotted, hidden]))
for name, picture, f in (("spot", spotted, f_spotted), ("walk", hidden, f_hidden)):
    print(f"the {name} moves the picture by {(picture - good).norm():.2f}, the features by {(f - f_good).norm():.3f}")
kept = ((hidden - good) * (spotted - good)).sum() / (spotted - good).square().sum()
shown = {"good": good, "with a spot": spotted, "the same features": hidden}
changes = {"third − first": (hidden - good).mean(0), "10 × (3rd − 2nd)": 10 * (hidden - spotted).mean(0)}
plots.show(drawings.equal_features(shown, changes), f"Third picture: {kept:.0%} of the spot is there, and the same "
           f"features to {(f_hidden - f_good).norm():.3f} (the spot alone moved them by "
           f"{(f_spotted - f_good).norm():.3f}). Right: what was changed, and ten times what the walk did beside the spot.")
plots.show_source(equal_features.walk)

# %% [markdown]
# Every density of these features gives the first and the third picture practically the same value. One of them is
# defective. The last panel shows the price: a faint pattern, ten times enlarged, that pays the spot's features back.
#
# Take two things from this. First, no score computed from features is a probability of the *image*. Second, what a
# detector can find is decided before its density model begins. The remedy is more numbers: keep the positions instead
# of averaging them away. (This picture was constructed; defects in a factory do not hide on purpose.)
#
# **Where the survey is loose.** It speaks of an invertible map between the image and the latent. It is the map from the
# *feature vector* to the latent that is invertible.
#
# ## The affine flow again, now on features
#
# Rung by rung: an affine flow on a tilted cloud ([05](05_normalizing_flows.ipynb)), couplings on moons (05), now the
# affine flow on features. One vector per image: mean and maximum of every channel of three taps.

# %%
three_taps = backbones.load("embedded")                                        # stride4, stride8, stride16


def vector(images):
    with torch.no_grad():
        maps = three_taps(images)                                              # three maps (B, C, h, w)
    return torch.cat([m.mean((2, 3)) for m in maps] + [m.amax((2, 3)) for m in maps], dim=1)   # (B, D)


seen, test = vector(washers.train), vector(washers.test)                       # (100, D), (66, D)
D = seen.shape[1]
affine = flows.Flow(flows.Whitening(D).fit(seen, eps=0.1), (D,))               # the Gaussian of chapter 05
score = affine(test)[0].square().mean(1)                                       # (66,): ‖z‖² / D
print(f"D = {D} numbers from {len(seen)} images; AUROC {metrics.auroc(score, washers.labels):.3f}")

# %% [markdown]
# Four lines and no training. ‖z‖² is the squared **Mahalanobis distance**: the length ‖z‖ says how many standard
# deviations away, counted along each direction with its own spread. log_det is the same for all, so −log p(f) gives the
# same ranking. We alarm for *large* ‖z‖² only: a vector too near 0 passes (Check yourself 2).
#
# 100 images cannot fill a covariance of D × D. `eps=0.1` adds a *ridge*: a tenth of the mean variance on the diagonal.
# [Chapter 08](08_differnet.ipynb) begins with this cell, chooses the ridge by a rule, and changes one line:
#
#     flow = Flow(Chain(affine.transform, *coupling_blocks(D)), (D,))
#
# ## One Gaussian per position: a detector with a map
#
# Averaging has thrown the positions away. Instead, let every position of the feature map have its own affine flow
# (PaDiM, 2020, arXiv 2011.08785). The library's detector reads the two finest taps, stride2 averaged to the size of
# stride4. Of their 72 channels this chapter keeps 48, drawn by lot, to be quick. Chapter [13](13_side_by_side.ipynb) measures what other
# taps give. Mean μ and triangle L come from the 100 good
# washers, at that position.
#
# $$z = L^{-1}(f - \mu), \qquad \text{map} = \|z\|^2 / C, \qquad \text{score} = \max \text{ of the map}$$

# %%
detector = positions.small()                            # the library's; we borrow its features: stride4 and stride2
f, f_test = positions.features(detector, washers.train), positions.features(detector, washers.test)   # (N, 48, 16, 16)
mean = f.mean(0)                                                               # (C, h, w)
x = (f - mean).double().flatten(2).permute(2, 0, 1)                            # (P, N, C), P = h · w positions
S = x.mT @ x / len(f)                                                          # (P, C, C): one covariance per position
S = 0.8 * S + 0.2 * S.mean(0)                # shrunk: 100 images say little about 48 × 48; 0.2 is a choice, not tuned
S = S + 1e-3 * S.diagonal(dim1=1, dim2=2).mean() * torch.eye(S.shape[1])       # ridge, for channels that never vary
L = torch.linalg.cholesky(S).float().unflatten(0, f.shape[2:])                 # (h, w, C, C)
centred = (f_test - mean).permute(2, 3, 1, 0)                                  # (h, w, C, B)
z = torch.linalg.solve_triangular(L, centred, upper=False)
heat = z.square().mean(2).permute(2, 0, 1)                                     # (B, h, w)
detector.fit(washers.train)
library = detector.latents(washers.test)[0].square().mean(1)                   # (B, h, w)
print("our map is the library's, to 1 %:", torch.allclose(heat, library, rtol=1e-2))
auroc = metrics.auroc(heat.amax((1, 2)), washers.labels)
print(f"AUROC, one vector per image {metrics.auroc(score, washers.labels):.3f}, one Gaussian per position {auroc:.3f}")

# %%
chosen = [washers.kinds.index(kind) for kind in ("good", "scratch", "spot", "missing", "misplaced")]
big = torch.nn.functional.interpolate(heat[:, None], size=64, mode="bilinear")[:, 0]   # (B, 64, 64)
peaks = heat.amax((1, 2))
ok = peaks[~washers.labels]                                                    # (30,): the good test images
print(f"highest value of the 30 good images: median {ok.median():.1f}, maximum {ok.max():.1f}, "
      f"above the scratch below: {(ok > peaks[chosen[1]]).sum()}")
again = torch.randint(len(peaks), (1000, len(peaks)), generator=torch.Generator().manual_seed(0))     # (1000, 66)
gain = [metrics.auroc(peaks[k], washers.labels[k]) - metrics.auroc(score[k], washers.labels[k]) for k in again]
print(f"AUROC gained by positions, 95 % of 1000 redraws of the test images: {np.quantile(gain, 0.025):+.2f} to "
      f"{np.quantile(gain, 0.975):+.2f}")
fig = gallery.strip([washers.test[i] for i in chosen], [washers.kinds[i] for i in chosen], [big[i] for i in chosen],
                    [washers.masks[i] for i in chosen])
plots.show(fig, "Five test images with the outline of the true mask, and their maps. Highest value: "
           + ", ".join(f"{washers.kinds[i]} {peaks[i]:.1f}" for i in chosen) + ".")

# %% [markdown]
# Five images on one colour scale. One good image proves little: the printed line says how far the 30 good ones reach.
# Most stay low, a few do not. What is found and what is missed, the threshold below settles. The missing piece is
# bright at its outline. One of the scratch's two faint spots touches its outline, and four of the good images score
# higher: hardly the right place, and a weak score.
#
# Keeping the positions ranks better here: the whole interval lies above 0. It also reads finer taps, and has a map. This is
# the **baseline to beat**. It has no loop and no learning rate, and it is fitted in seconds. Later chapters set it, or one
# like it on their own maps, beside every new method.
#
# **From score to decision.** The quantile threshold of [01](01_defect_detection.ipynb) needs good images that were not
# used for the fit: those score too low. So fit on 70, set the threshold on the other 30, then look at the test set.

# %%
mean70, L70 = positions.fit(f[:70])
calibration = positions.distance_map(f[70:], mean70, L70).amax((1, 2))         # (30,): good, not fitted
final = positions.distance_map(f_test, mean70, L70).amax((1, 2))               # (66,)
threshold = quantile_threshold(calibration, fpr=0.1)["threshold"]
own = positions.distance_map(f[:70], mean70, L70).amax((1, 2))                 # (70,): the images of the fit
print(f"median score: images of the fit {own.median():.2f}, other good images {calibration.median():.2f}")
alarm = final > threshold
print(f"threshold {threshold:.2f}: alarms for {alarm[~washers.labels].float().mean():.0%} of the good and "
      f"{alarm[washers.labels].float().mean():.0%} of the defective test images")

# %% [markdown]
# ## What one cell can see: counted
#
# A kernel of k cells adds k − 1 steps of the map it reads. A *step* is first one pixel, and each stride multiplies it.
# That is a recursion of two lines. Padding moves the box to the left, by pad · step, and does not change its size. The
# *offset* is the first pixel of cell 0's box: 0 without padding, negative with it.

# %%
layers, measured = [], {}
side = 256
noise = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0), requires_grad=True)
for (name, tap), m in zip(backbone.taps.items(), backbone(noise), strict=True):
    layers += [layer for part in backbone.stages[name] for layer in part.layers]    # (kernel, stride) of each
    size = step = 1
    for kernel, stride in layers:
        size += (kernel - 1) * step                                            # k − 1 steps of the map that is read
        step *= stride
    middle = m.shape[2] // 2
    weights = torch.randn(tap.channels, generator=torch.Generator().manual_seed(1))
    gradient, = torch.autograd.grad((m[:, :, middle, middle] @ weights).sum(), noise, retain_graph=True)
    touched = gradient.abs().sum((0, 1)) > 0                                   # (256, 256): pixels that matter at all
    width, height = int(touched.any(0).sum()), int(touched.any(1).sum())
    print(f"{name:9s} counted {size:3d}, step {step:2d}; measured by the gradient {width} × {height}")

# %% [markdown]
# Counted and measured agree. The measurement is the input gradient of [02](02_jacobian.ipynb), exercise 5: a pixel
# outside the box has gradient exactly 0.
#
# ### Touch it: which layer's cell covers the scratch but not the whole part?

# %%
scratched = factory.pairs("washer", "scratch", 2, size=128, seed=0)
part = scratched.twins[1].mean(0) > 0.25                                       # (128, 128): brighter than the table
lens = field_widget.FieldLens(backbone, scratched.images[1], scratched.masks[1], part)
y, x = scratched.masks[1].nonzero().float().mean(0).int().tolist()             # the middle of the scratch
fits = [name for name in lens.layers if (n := lens.numbers(name, y, x))["scratch"] and not n["part"]]
display(field_widget.receptive_field(lens, fits[0]))
fig, said = field_widget.strip(lens, y, x)
plots.show(fig, said)
print("covers the whole scratch and not the whole part:", ", ".join(fits))

# %% [markdown]
# Read the upper row: the box of the finest layer covers a piece of the scratch, the next ones all of it, and the
# coarsest the whole washer and more. Then the lower row: inside the box not all pixels count alike. Most of the
# gradient comes from the middle (2016, arXiv 1701.04128). The box says what a cell *can* see.
#
# ## Break it · `train()` instead of `eval()`
#
# **Tool card: frozen network.** *What it is:* weights without gradients, *and* batch normalisation that uses stored
# statistics instead of those of the batch. *The number that shows it:* the score of one image, alone and in a batch.
# *Why here:* every method from 08 on rests on it.
#
# **Predict.** A network with batch normalisation, `requires_grad_(False)` on all weights. You score one washer alone,
# then among 15 washers, then among 15 circuit boards. Is it the same number?
#
# <details><summary>(a) Yes: no weight can change.</summary>The weights cannot. The statistics are no weights, and in
# train mode they are taken from the batch.</details>
# <details><summary>(b) Only after eval().</summary>Yes.</details>
# <details><summary>(c) Only if the batch holds the same kind of part.</summary>Even then not: the other 15 washers
# enter mean and variance.</details>

# %%
torch.manual_seed(0)
net = stages(normed_conv)["stride2"].requires_grad_(False)                     # convolutions and batch norms, untrained
boards = factory.normal("board", 15, 64, seed=0)
groups = {"alone": washers.test[:1], "with 15 washers": washers.test[:16],
          "with 15 boards": torch.cat([washers.test[:1], boards])}
for layer in net.modules():
    if isinstance(layer, torch.nn.BatchNorm2d):
        layer.momentum = None                                                  # statistics: the mean over all passes
net(torch.cat([washers.train, boards]))                                        # one pass in train mode fills them
with torch.no_grad():
    for mode in ("train", "eval"):
        net.train(mode == "train")
        scores = [net(images)[0].square().mean().item() for images in groups.values()]      # one number for image 0
        print(f"net.{mode + '()':8s}" + "   ".join(f"{n} {v:.3f}" for n, v in zip(groups, scores, strict=True)))
print("the course's backbones after .train():", "training" if backbone.train().training else "still frozen")

# %% [markdown]
# In train mode the score of a part depends on its neighbours on the belt. Nothing crashes, and no message appears.
# Worse: every pass in train mode also changes the stored statistics. The library's backbones cannot be switched: their
# batch norms were multiplied into the convolutions.
#
# ## Break it · random weights
#
# Where do the weights come from? Those of the embedded network were trained on pictures of formulas (stripes, Voronoi
# cells, fractals), and they travel with this course. Published detectors use networks trained on the photographs of
# ImageNet. **ImageNet features as published are stronger than ours**; do not compare their published numbers with the
# ones printed here. Set `IMAGENET = True` below if your machine may fetch such weights (AlexNet, some hundred
# megabytes): one column more is printed. Nothing in this chapter needs it.
#
# The least one can do is *nothing*: random weights. Same detector, same data, three seeds.

# %%
IMAGENET = False                                                               # True: fetches weights the first time
sets = {"washer": washers, "board": factory.split("board", size=64, n_train=100, n_good=30, n_per_kind=6, seed=0)}
results = {}
for name, data in sets.items():
    runs = {"embedded": [("embedded", 0)], "random": [("random", seed) for seed in (0, 1, 2)]}
    runs |= {"ImageNet": [("pretrained", 0, "alexnet")]} if IMAGENET else {}
    results[name] = {kind: [positions.image_auroc(*positions.with_weights(data, *run), data.labels) for run in group]
                     for kind, group in runs.items()}
    scores = positions.image_scores(*positions.with_weights(data, "embedded"))
    low, high = metrics.bootstrap_interval(metrics.auroc, scores, data.labels, seed=0)
    print(f"{name:7s}" + "   ".join(f"{k} " + ", ".join(f"{v:.3f}" for v in row) for k, row in results[name].items())
          + f"   (95 % interval of embedded: {low:.2f} to {high:.2f})")
plots.show(drawings.dots(results, "image AUROC"), "One dot per run of the per-position Gaussian. " + " ".join(
    f"{name}: embedded {r['embedded'][0]:.2f}, random {min(r['random']):.2f} to {max(r['random']):.2f}."
    for name, r in results.items()))

# %% [markdown]
# Three things to read. Random weights are well above 0.5: convolutions with random kernels still respond to edges and
# spots. Their seeds differ, so one seed of random weights is no result either. And on both products every random run
# lies below the whole interval of the trained weights. Two products are not all products: say which, and give the
# interval, when you say "trained features are better".
#
# ## The card again, in features
#
# 7A ended with a promise: features, not pixels. Keep it honest. Fit the per-position Gaussian to 64-pixel carpets, and
# show it the card of mean colour. A defect has a place, so its score was the maximum of the map; a card has none, so
# here we take the map's mean.

# %%
rank = {}
for category in ("carpet", "metal"):
    texture = factory.split(category, size=64, n_train=100, n_good=30, n_per_kind=1, seed=0)
    card = texture.train.mean((0, 2, 3))[None, :, None, None].expand(1, 3, 64, 64).contiguous()    # (1, 3, 64, 64)
    for weights in ("embedded", "random"):
        a, b = positions.with_weights(texture, weights)
        fitted = positions.fit(a)
        normal = positions.distance_map(b, *fitted)[~texture.labels].mean((1, 2))                  # (30,)
        blank = positions.distance_map(positions.features(positions.small(weights), card), *fitted).mean()
        rank[category, weights] = int((normal > blank).sum())
        print(f"{category:7s} {weights:9s} mean of the map: good {normal.mean():.2f}, card {blank:.2f};   "
              f"good ones beyond the card: {rank[category, weights]} of 30")

# %% [markdown]
# Read the last column. 0 means that the card is further out than every good image: the paradox is gone. 30 means that
# it is nearer than all of them: the paradox is back, in feature space. So **features alone are no cure.** They must
# respond to what the card lacks. The trained network does so on both textures. The random one puts the card further out
# than 29 of 30 carpets, and on metal nearer than every good image. (Random weights: one seed.)
#
# ## Break it · defects among the training images
#
# "Trained on normal images only" is a promise that somebody has to keep. Suppose a flaw slips in: 5 or 10 of the 100
# training images have it. Two cases. *Mixed*: different defects at different places. *Repeated*: the same flaw at the
# same place, as a worn tool makes it.
#
# **Predict.** Which case hurts?
#
# <details><summary>(a) Mixed: more kinds of damage.</summary>Each of them disturbs most positions little, and each in
# another direction.</details>
# <details><summary>(b) Repeated.</summary>Yes: at that one position, a tenth of the sample says "this is
# normal".</details>
# <details><summary>(c) Both, by about the share.</summary>A share of the images is not a share of every
# position.</details>

# %%
shares = (0.0, 0.05, 0.1)
bad, mixed = washers.labels.nonzero()[:, 0], {}
for seed in (0, 1, 2):                                                         # which ten defective images slip in
    leak = bad[torch.randperm(len(bad), generator=torch.Generator().manual_seed(seed))[:10]]
    keep = torch.ones(len(washers.labels), dtype=torch.bool)
    keep[leak] = False                                                         # never tested on what was trained on
    for share in shares:
        k = round(100 * share)
        value = positions.image_auroc(torch.cat([f_test[leak[:k]], f[k:]]), f_test[keep], washers.labels[keep])
        mixed.setdefault(f"{share:.0%}", []).append(value)

# %%
spots = factory.pairs("washer", "spot", 3, size=64, seed=0)
repeated = [positions.repeated_flaw(detector, washers, flaw, shares) for flaw in spots.images - spots.twins]
table = {"mixed": mixed, "repeated": {f"{s:.0%}": [r[s] for r in repeated] for s in shares}}
for case, row in table.items():
    told = [f"{share}: " + ", ".join(f"{v:.3f}" for v in values) for share, values in row.items()]
    print(f"{case:9s}" + "   ".join(told))
cost = {case: np.mean(row["10%"]) - np.mean(row["0%"]) for case, row in table.items()}
told = ", ".join(f"{case} {value:+.2f}" for case, value in cost.items())
print("mean change from 0 to 10 %:", told)
plots.show(drawings.dots(table, "image AUROC"), "AUROC with 0, 5 and 10 % defects among 100 training images: three "
           f"draws of the mixed case, three flaws of the repeated one. Mean change: {told}.")

# %% [markdown]
# The last line compares the two cases. Mixed defects push the covariance mostly at other places and in other
# directions: the loss is about 0.01, from three draws with small test sets. A repeated flaw is learnt as normal, and a
# test set without that flaw cannot show the damage.
#
# ## Misconceptions
#
# - **"High likelihood = normal."** 7A: the card on carpet. Without any network: the log-normal of 04.
# - **"log p(features) is log p(image)."** The two washers with one feature vector.
# - **"Frozen = requires_grad_(False)."** The score of one image in three batches.
# - **"The survey's p(x) is the image's probability."** It is a density, of features, in one set of coordinates.

# %% [markdown]
# ## Check yourself
#
# **1.** A flow on carpet patches gives the grey card fewer bits than carpet. Why?
#
# <details><summary>(a) It was not trained long enough.</summary>The affine flow is at its maximum and shows it
# exactly: 0.72 bits.</details>
# <details><summary>(b) The card is the mean picture, and the mean is at z = 0, the densest
# point.</summary>Right.</details>
# <details><summary>(c) Flows prefer smooth pictures.</summary>Not on digits: there the card is the worst picture of
# all.</details>
#
# **2.** d = 768. A test vector has ‖z‖ = 5. Is it normal?
#
# <details><summary>(a) Yes, it is close to the most likely point.</summary>No draw ever comes near it.</details>
# <details><summary>(b) No: draws have ‖z‖ = 27.7 ± 0.7.</summary>Right, though a detector that only looks for *large*
# ‖z‖ will not say so.</details>
# <details><summary>(c) One cannot say without log_det.</summary>log_det matters for p(x); the length of z already lies
# far outside of what the model produces.</details>
#
# **3.** Two layers: kernel 3 stride 2, then kernel 3 stride 1. The receptive field is
#
# <details><summary>(a) 5.</summary>The second kernel steps on a map whose cells are 2 pixels apart.</details>
# <details><summary>(b) 7.</summary>Right: 1 + 2 · 1 + 2 · 2.</details>
# <details><summary>(c) 9.</summary>3 · 3 multiplies kernels; they add, in steps.</details>

# %% [markdown]
# **4.** *(earlier: Jacobian)* J of the features has 144 rows and 12,288 columns. Its null space has
#
# <details><summary>(a) dimension 0: the network is deterministic.</summary>Deterministic is not one-to-one.</details>
# <details><summary>(b) dimension 12,144 or more.</summary>Right: columns minus rank, and the rank is at most
# 144.</details>
# <details><summary>(c) dimension 144.</summary>That is the most its rank can be.</details>
#
# **5.** *(earlier: flows)* The affine flow on features ranks images by ‖z‖². Adding its log_det
#
# <details><summary>(a) changes the ranking.</summary>It is the same number for every image.</details>
# <details><summary>(b) changes nothing in the ranking.</summary>Right. For coupling flows it does: their log_det
# differs from image to image.</details>
# <details><summary>(c) turns it into log p(image).</summary>It gives log p(features).</details>

# %% [markdown]
# ## What you can now say (7B)
#
# - Features lose information: two visibly different pictures may share them, so log p(f) is not log p(image).
# - A Gaussian on features is the affine flow of 05. One per position gives a heat map, without a training loop.
# - A cell's box is counted by a recursion and measured by a gradient, and most of what it sees is in the middle.
# - Frozen means `eval()`: the same score alone and in a batch.
# - Weights, seeds and the purity of the training set decide as much as the density model. Print them.
#
# | formula card | |
# |---|---|
# | typical length | E‖z‖² = d, ‖z‖ ≈ √d ± 0.7 (from a few dimensions on) |
# | prize of the mean picture | ½ nat per dimension = 0.72 bits |
# | change of units | log p(eˣ) = log p(x) − Σ xᵢ |
# | Mahalanobis | ‖z‖² = (f − μ)ᵀ Σ⁻¹ (f − μ), z = L⁻¹(f − μ), L Lᵀ = Σ |
# | receptive field | size += (k − 1) · step; offset −= pad · step; step *= stride |

# %% [markdown]
# **Next.** Build it yourself, six functions, about an hour: [exercises/07](../exercises/07_density_to_defects.ipynb).
# In [chapter 08](08_differnet.ipynb) coupling blocks are put behind this Gaussian, and have to beat it.
#
# **Sources.** Flows that find other data more likely: Nalisnick et al. (2018, arXiv 1810.09136); a test of typicality:
# Nalisnick et al. (2019, arXiv 1906.02994); pixels against features: Kirichenko et al. (2020, arXiv 2006.08545);
# coordinates and outliers: Le Lan and Dinh (2020, arXiv 2012.03808). Gaussian on features: Rippel et al. (2020, arXiv
# 2005.14140); per position: PaDiM (2020, arXiv 2011.08785). Receptive fields: Araujo et al. (Distill 2019); what they
# use of it: Luo et al. (2016 NIPS, arXiv 1701.04128). Batch normalisation: arXiv 1502.03167 (2015).
