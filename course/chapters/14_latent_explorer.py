# %% [markdown]
# # 14 · Latent explorer
#
# A good washer is pulled from the line as defective. You open the case. The detector made eighteen thousand numbers of
# this one picture.
#
# **Which of them is to blame, where in the picture, and is that really the reason?**
#
# **After this chapter you can**
# - open any trained detector and say which part of a score is to blame, at which scale and place;
# - test in four looks whether latents are the standard normal noise that theory promises;
# - check a "because" by an intervention instead of believing a heat map;
# - say what "near in latent space" means for two pictures, and what it does not;
# - say at once which methods can turn a latent back into pixels, and how far such a point has moved.
#
# *Prerequisites: none. The chapter opens detectors that came with the course; each panel names the chapter that explains
# it. Reading 35 minutes, running about one minute.*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import pandas as pd
import torch
from IPython.display import display
from scipy import stats

from tutorial_lib import plots, stored
from tutorial_lib.experiments import hunt
from tutorial_lib.explorer import blame, distribution, projection, walks
from tutorial_lib.explorer.app import explorer
from tutorial_lib.explorer.desk import PLANES, Desk, distributions_of
from tutorial_lib.explorer.likelihood import PRIOR, VOLUME
from tutorial_lib.explorer.models import stored_models, studied
from tutorial_lib.explorer.walker import Walker, walker
from tutorial_lib.plots import explorer as pictures, gallery
from tutorial_lib.widgets import picture_flows
from tutorial_lib.widgets.frame import framed

plots.style.use()

# %% [markdown]
# **Notation.** x data, z latent. x is a *feature* map or vector of an image, not its pixels (except in the two walks). C
# channels, D numbers in all, ‖z‖² the sum of their squares. "Good" images are normal and were not trained on; "train" images
# were. Some words in a line each ([all words](notation_and_glossary.md)):
# - stride4: a map with one cell for every 4 × 4 pixels; stride8 and so on likewise.
# - N(0, I), standard normal noise: every entry has mean 0 and deviation 1, and no entry knows anything of another.
# - log_det: by how much a flow stretches space at x, as a logarithm; $\log p(x) = \log p(z) + \text{log\_det}$.
# - AUROC: how often a defective image scores above a good one, of all pairs of the two; 0.5 is guessing, 1 is perfect.
#
# ## What there is to open
#
# Sixteen small detectors: eight methods, two products of the factory, 64 × 64 pixels. Each was fitted to 100 good images
# and fits into one megabyte, so they know less than those of the other chapters. For *looking* that does not matter.

# %%
entries = stored.card()["files"]
table = pd.DataFrame([{"method": m, "product": c, "MB": entries[f"{m}_{c}"]["bytes"] / 1e6,
                       "AUROC": entries[f"{m}_{c}"]["auroc"]} for m, c in stored.names()])
wide = table.pivot(index="method", columns="product", values=["MB", "AUROC"]).loc[list(dict.fromkeys(table.method))]
display(wide.round({("MB", c): 2 for c in stored.CATEGORIES}).round(3))

# %% [markdown]
# ## One good washer
#
# We begin with FastFlow on washers. A flow turns each feature map into a map of latents, and the score is the highest value of
# a heat map (chapter [11](11_fastflow.ipynb) explains how; you need not know for now).

# %%
study, masks = studied(stored.load("fastflow", "washer"), stored.split("washer"))
desk = Desk(study, masks)
suspect = hunt.worst_good(study)
below = study.defective & (study.scores < study.scores[suspect])
shown = [suspect, *sorted(below.nonzero().flatten().tolist(), key=lambda i: -float(study.scores[i]))[:4]]
plots.show(gallery.strip([study.images[i] for i in shown], [study.names[i] for i in shown],
                         maps=[study.maps[i] + 1 for i in shown], masks=[masks[i] for i in shown], limits=(0.0, 1.0)),
           f"Left: the good washer with the highest score. Beside it four defective ones that score lower, their defects "
           f"outlined. Below: the heat maps. Of {int(study.defective.sum())} defective washers, {int(below.sum())} score "
           f"below this good one.")

# %% [markdown]
# If the alarm is set so low that those defects are caught, this good washer is thrown away with them. Before you collect more data or
# train longer, find out what the detector saw.
#
# ## Every image a point
#
# A latent of this detector has thousands of entries. To see all images at once, two numbers must do. Two choices:
# - the two directions in which the latents vary most (principal components, Pearson 1901);
# - the *rank* of the score from left to right, 1 for the highest, and the *radius* ‖z‖/√D upwards. For z ~ N(0, I) the
#   radius is near 1.
#
# **Predict.** Where will the worst good washer lie on the first map: far outside, at the border of the crowd, or inside it?

# %%
planes = [desk.on_screen(kind, None) for kind in PLANES]
plots.show(pictures.maps_of_images(planes, study.groups, {study.names[suspect]: suspect}),
           f"Each point is one of {len(study.names)} washers. Left: principal components, far points drawn in. Right: rank of the "
           f"score, 1 for the highest, and the logarithm of the radius. Ringed: {study.names[suspect]}.")
D = sum(z[0].numel() for z in study.latents)
radius = study.vectors().norm(dim=1) / D**0.5
print(f"D = {D:,} entries; radius of {study.names[suspect]}: {float(radius[suspect]):.3f}, median of the good ones "
      f"{float(radius[study.good].median()):.3f}, of the training ones {float(radius[study.train].median()):.3f}")
inside = float((radius[study.good] > radius[suspect]).double().mean())
print(f"{inside:.0%} of the good washers have a larger radius; none has a higher score")
spread = torch.from_numpy(planes[0][0]).norm(dim=1)
print(f"on the first map {float((spread[study.good] > spread[suspect]).double().mean()):.0%} of them lie further from the middle")

# %% [markdown]
# On the first map it lies inside the crowd: other good washers, and even training ones, lie further out. **A plot of latents is not
# a plot of scores.** (Two principal components show a part of the variance only; the axis says how large a part.)
#
# On the second map it leads the good ones in both directions. These are two different questions. The score takes the worst *place*;
# the radius adds up *all* entries, and one odd spot hardly moves a sum of thousands of terms. That this radius is the largest of
# all good ones is a first clue. Keep it for later.

# %% [markdown]
# ## Are the latents what theory promises?
#
# A flow is trained so that good latents look like N(0, I): every entry standard normal, all entries independent. Four looks:
#
# | look | for N(0, I) |
# |---|---|
# | all entries: mean, deviation, share beyond ±3 | 0, 1, 0.27 % |
# | their quantiles against those of N(0, 1) (a QQ plot) | on the diagonal |
# | quantiles of ‖z‖² of each position against those of χ² with C degrees of freedom | on the diagonal |
# | correlations between entries, and between neighbouring positions | 0 |
#
# **Predict.** Which look will good washers fail most clearly, although they are good?
#
# <details><summary>(a) The marginals: the bell is not a bell.</summary>It is nearly one. Mean and deviation come out right
# first, because the loss sees them in every entry.</details>
# <details><summary>(b) The squared norm.</summary>Yes, in the right tail. Entries that are too wild at the same place add
# up; one entry alone seldom does it.</details>
# <details><summary>(c) Correlation between channels.</summary>Small: the affine layer in front has removed it.</details>

# %%
plots.show(distributions_of(study, 0),
           f"{study.scales[0]}. Blue: good washers, orange: defective ones, dashed: N(0, I). From left to right: density of all "
           f"entries on a logarithmic scale; their quantiles; quantiles of ‖z‖²/C, both axes logarithmic; correlations between "
           f"channels of good washers, the diagonal left out.")
for who, rows in (("train", study.train), ("good", study.good), ("defective", study.defective)):
    z = study.latents[0][rows]
    m = distribution.moments(z)
    norms, dim = distribution.squared_norms(z)
    print(f"{who:9s} deviation {m['std']:.3f}   beyond ±3: {m['beyond 3']:.2%}   off χ² by {distribution.chi2_distance(z):.2f}"
          f"   median ‖z‖²/C {float(norms.median()) / dim:.2f}   above the 1 % point of χ²: {distribution.chi2_tail(z):.1%}")
print(f"χ² with {dim} degrees: median/C {stats.chi2(dim).median() / dim:.2f}, and 1.0% above its 1 % point")

# %% [markdown]
# "Off χ² by" is the largest gap between the two distribution functions (Kolmogorov and Smirnov): 0 is a perfect fit, 1 no
# overlap. It does not say on which side; the last two columns do. Most vectors of training washers are too *short*: that is
# their large gap. And a few are too long: more positions than one in a hundred lie above the 1 % point.
#
# **A tempting mistake: "the flow was trained to N(0, I), so good latents are N(0, I)."** *Training* images are pushed there,
# and even they keep heavy tails. Good washers that were not trained on have more positions in the tail again. An alarm at the 1 %
# point of a χ² table would ring far too often; chapter 15 takes its limit from good images instead.
#
# The same looks for all eight detectors on washers:

# %%
rows = []
for method in stored.METHODS:
    s = hunt.study(method)
    z = s.latents[0][s.good]
    near = distribution.neighbours(z)
    left = distribution.leftover(z)
    rows.append({"method": method, "finest scale": s.scales[0], "deviation": distribution.moments(z)["std"],
                 "off χ² by": distribution.chi2_distance(z), "mean |r|": left["mean |r|"], "by chance": left["chance"],
                 "neighbours": "no places" if near is None else f"{near:.3f}", "promised": "yes" if s.promises_normal else "no"})
display(pd.DataFrame(rows).set_index("method").round(3))

# %% [markdown]
# "Mean |r|" is the mean absolute correlation between two entries of a vector, "by chance" what independent entries would show with
# as many images. (That is the cautious level: positions add samples, but neighbours resemble each other.) Only PCA and Mahalanobis
# lie above it. "Neighbours" is the correlation between a position and the one to its right. The Gaussian, which
# whitens each position by itself, keeps most, 0.27, and the three flows on maps keep 0.19 to 0.23: two cells side by side see
# mostly the same pixels. (PCA's coordinates are not scaled; of PyramidFlow you see z minus its template.)
#
# **Right in one look does not mean right in all**: CFlow's deviation lies within 3 % of 1, and its ‖z‖² does not follow
# χ². DifferNet's correlations are no larger than chance, and of all that promise it is furthest off χ². The Gaussian passes the look at
# correlations as CFlow does, and is more than three times as far off χ².

# %% [markdown]
# ## Finding 1 · The good part that scores worst
#
# Open the suspect. The card below is what a click shows: the picture, its heat map, the gradient map (which pixels would
# change the score, chapter [08](08_differnet.ipynb)), the nearest normal image; below, the named parts of the score against
# their usual values, and the channels at the worst place.

# %%
card = desk.card(suspect)
plots.show_png(card.png, card.alt)

# %%
why = blame(study, suspect)
print("parts of the score        ", {name: round(v, 3) for name, v in why.terms.items()})
print("the same, median of good  ", {name: round(v, 3) for name, v in why.usual.items()})
print("they add up to the score  ", round(sum(why.terms.values()), 4), "=", round(why.score, 4))
print(f"z² at the place, channel {why.channel}: {float(why.channels[why.channel]):.0f}, and the median channel: "
      f"{float(why.channels.median()):.1f}")

# %% [markdown]
# So the score has an address: a scale (only just: 52 %), a place, a channel. Is that the *reason*? A heat map says where the number is large. It does not
# say what would happen if that place were different. So change it.
#
# **Predict.** Take a disc around the cross (radius 8 pixels) from the nearest normal washer, and leave the rest of the
# picture alone. Does the score fall below the median of the good ones, fall in part, or not at all? And if the disc lies elsewhere?

# %%
donor = study.images[projection.nearest(study.vectors(), suspect, study.normal).index]
corner = torch.Generator().manual_seed(0)
others = [tuple(p.tolist()) for p in torch.randint(8, 56, (12, 2), generator=corner)]
others = [p for p in others if (p[0] - why.place[0]) ** 2 + (p[1] - why.place[1]) ** 2 > 16**2]
tried = torch.stack([hunt.repaired(study.images[suspect], donor, place, 8.0) for place in (why.place, *others)])
after = study.detector.score(tried)
threshold = hunt.limit(study.scores, study.good)
print(f"score as it is            {why.score:.3f}   (95 % of good washers lie at or below {threshold:.3f})")
print(f"disc at the blamed place  {float(after[0]):.3f}")
print(f"median of good washers   {float(study.scores[study.good].median()):.3f}")
print(f"disc elsewhere, {len(others)} places  {float(after[1:].min()):.3f} to {float(after[1:].max()):.3f}")
away = torch.cdist(torch.cartesian_prod(torch.arange(64.0), torch.arange(64.0)), torch.tensor([why.place]).float()) > 20
print(f"heat map of the suspect, its highest value more than 20 pixels away from the cross: "
      f"{float(study.maps[suspect][away.view(64, 64)].max()):.3f}")
spot = (slice(why.place[0] - 4, why.place[0] + 5), slice(why.place[1] - 4, why.place[1] + 5))
grey = study.images[:, :, *spot].mean((1, 2, 3))
print(f"grey value at the place: {float(grey[suspect]):.2f}; in training images {float(grey[study.train].mean()):.2f} ± "
      f"{float(grey[study.train].std()):.2f}, brighter in {int((grey[study.train] > grey[suspect]).sum())} of {int(study.train.sum())}")

# %% [markdown]
# **The blame fails its test.** The disc does not lower the score. It raises it, and the same disc at other places does about as
# much or as little. So a large number in the heat map was not yet a reason. Two things went wrong:
# - The score is a maximum. The heat map is yellow at several places, and one more than 20 pixels away is above the limit by itself. A
#   repair that leaves that place as it is cannot take the alarm away.
# - The disc brought a piece of the other washer's rim, which reaches higher here. Now this rim has a bump.
#
# The second is a clue. Look at the cross: it lies on the bare mat, and nothing is wrong with the mat. But at this place most training
# images are brighter, because a rim reaches in. And the radius hinted that more than one spot is odd. So perhaps the
# reason is no place at all: perhaps the *whole washer* lies too low. Measure where the middle of the metal is, and move the
# washer by whole pixels. The border is filled with mirrored mat.
#
# **Predict.** Move it to the usual place, the mean of the training washers. Below the limit? And if you put the other 59 good washers
# where this one lies: how many of them will be pulled from the line?

# %%
middle = hunt.middles(study.images)                                      # (220, 2): row and column
usual, rows = middle[study.train].mean(0), middle[study.train][:, 0]
print(f"middle of {study.names[suspect]}: row {middle[suspect, 0]:.1f}, column {middle[suspect, 1]:.1f}; of the training washers: row "
      f"{usual[0]:.1f}, column {usual[1]:.1f}; their rows reach from {rows.min():.1f} to {rows.max():.1f}")

down, right = (usual - middle[suspect]).round().int().tolist()
steps = [(down, right), (-down, -right), (right, -down), (-right, down)]  # home, and as far in three other directions
home, *control = (hunt.moved(study.images[suspect], *step) for step in steps)
after_move = study.detector.score(torch.stack([home, *control]))
print(f"moved {-down} up and {right} to the right: {after_move[0]:.3f}   (limit {threshold:.3f}, median "
      f"{study.scores[study.good].median():.3f})")
print(f"moved as far in three other directions: {after_move[1:].min():.3f} to {after_move[1:].max():.3f}")

fine = [i for i in study.good.nonzero().flatten().tolist() if i != suspect]
for words, goal in (("at the usual place", usual), ("as far above it as this one lies below", 2 * usual - middle[suspect]),
                    (f"where {study.names[suspect]} lies", middle[suspect])):
    put = torch.stack([hunt.moved(study.images[i], *(goal - middle[i]).round().int().tolist()) for i in fine])
    print(f"the other {len(fine)} good washers {words}: {int((study.detector.score(put) > threshold).sum())} above the limit")
print(f"the same washers, not moved: {int((study.scores[fine] > threshold).sum())} above the limit")

# %%
shown = torch.stack([study.images[suspect], hunt.repaired(study.images[suspect], donor, why.place, 8.0), home, put[0]])
plots.show(gallery.strip(list(shown), ["as it is", "with the disc", "moved home", f"{study.names[fine[0]]}, moved"],
                         maps=list(study.detector.anomaly_map(shown) + 1), limits=(0.0, 1.0)),
           f"{study.names[suspect]} as it is, with the disc at the blamed place, and moved to the usual place; right, another good "
           f"washer moved to where {study.names[suspect]} lies. Below: the heat maps.")

# %% [markdown]
# That is a because. At the usual place the score is nearly that of a median good washer; a move as far in another direction makes it
# worse. And the cause works on others: put where this one lies, 50 of 59 good washers ring, as far above the middle 48 do, and at
# the usual place none does. So it is the distance from the middle. **This detector has learned where washers lie, not only what
# they look like.** A few of the 100 training washers lie nearly as far out, too few to make it normal. Centring the part first
# helps: that is the move to the usual place. Whether more good washers that lie far out would help was not tried.
#
# The heat map did not lie. It said where the number is largest; it never said why. Keep the recipe: **name a cause, change it alone,
# change something else as a control. And if the score does not follow, drop the cause and look for another.**
#
# Now you. Guess first.

# %%
models = stored_models([(m, c) for c in stored.CATEGORIES for m in ("fastflow", "cflow", "csflow", "mahalanobis", "pyramidflow")])
links = {"06": "06_flows_that_paint", "07": "07_density_to_defects", "08": "08_differnet", "09": "09_cflow",
         "12": "12_pyramidflow"}
framed("fastflow · washer: which kind of defect has the most washers that score below the worst good one?",
       [kind for kind in dict.fromkeys(study.groups) if kind not in ("train", "good")],
       explorer(models, lambda number, words: f'<a href="{links[number]}.ipynb">{words}</a>'),
       "Complete: with fastflow, the image number of the worst good washer is … (the number in the field, not the one in its "
       "name)", lambda: suspect, 0)

# %% [markdown]
# The card above and the two strips below show the deciding states without the widget. By keyboard: tab to the map, arrow keys
# walk from point to point, Enter opens; or type an image number, or move the slider from the worst image downwards.
#
# ## Click a place
#
# Methods that keep positions have one vector per cell. In the explorer, a click into the picture shows where that vector
# lies among the vectors that normal washers have *at the same cell*. The same for the suspect's worst place, and for a
# cell in the middle of its hole:

# %%
cells = study.latents[why.scale].shape[2:]
worst = tuple(int(x * n / 64) for x, n in zip(why.place, cells))
hole = (cells[0] // 2, cells[1] // 2)
for cell in (worst, hole):
    view = desk.place(suspect, why.scale, cell)
    plots.show_png(view.png, view.alt)

# %% [markdown]
# Right: squared length over C, where N(0, I) has 1. At the first cell the star is longer than any normal vector, at the
# second it is one of them. Left: the two main directions of the normal vectors. There even the first star lies inside
# the crowd: what is odd about it must lie in other directions, so their own main
# directions do not show it. **A projection shows what it was made to show.**
#
# ## Break it: turn the axes
#
# The card said "channel", as if a channel were a thing. Multiply every latent vector of this scale by one fixed
# rotation Q (Q Qᵀ = I). Rotated N(0, I) is N(0, I): no likelihood changes, no length, no heat map, no score.
#
# **Predict.** What happens to the share of ‖z‖² that the blamed channel holds?

# %%
C = len(why.channels)
Q = torch.linalg.qr(torch.randn(C, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
z = study.latents[why.scale].double()
turned = torch.einsum("ij,njhw->nihw", Q, z)
change = float((turned.square().mean(1) - z.square().mean(1)).abs().max())
print(f"no ‖z‖²/C changes by more than 1e-9: {change < 1e-9}")
print(f"off χ² before {distribution.chi2_distance(z[study.good]):.3f}, after {distribution.chi2_distance(turned[study.good]):.3f}")
for name, at in (("as trained", z[suspect]), ("turned", turned[suspect])):
    v = at[:, worst[0], worst[1]].square()
    print(f"{name:10s} channel {int(v.argmax()):2d} holds {float(v.max() / v.sum()):.0%} of ‖z‖² at the worst place")

# %% [markdown]
# Every ‖z‖², and with it the score, is the same up to rounding, and the blame has moved to another channel and spread out. **A
# rotation leaves place and scale alone; the channel is a property of the coordinates.** A flow may use any coordinates that give the same
# likelihood. Blame a channel only to compare images *within one* trained model.

# %% [markdown]
# ## Finding 2 · The two halves of a likelihood
#
# −log p(x) = −log p(z) − log_det. Which half does a score contain?
#
# | method | its score is made of | log_det |
# |---|---|---|
# | DifferNet, CS-Flow | mean of z²: −log p(z) alone | in the loss, not in the score |
# | FastFlow | −exp(−½ mean z²), worst place | in the loss, not in the score |
# | CFlow | exp(log p / C), both halves, worst place | in both |
# | Mahalanobis, per-position Gaussian | ‖z‖² | the same number for every image |
# | PyramidFlow, PCA | distance to a template; residual | none: no density |
#
# So a defect could hide from −log p(z) and be caught by −log_det. Take limits that 95 % of the good washers keep, and look at CFlow.
#
# **Predict.** How many defective washers lie at or below the limit of −log p(z), and above that of −log_det?

# %%
flow_study = hunt.study("cflow")
parts = hunt.parts_of(flow_study)
limits = tuple(hunt.limit(parts[name], flow_study.good) for name in (PRIOR, VOLUME))
caught = hunt.hidden(flow_study, parts)
missed = int((flow_study.defective & (parts[PRIOR] <= limits[0])).sum())
names = ", ".join(flow_study.names[i] for i in caught) or "none"
plots.show(pictures.two_parts(parts[PRIOR].numpy(), parts[VOLUME].numpy(), flow_study.groups, limits,
                              {flow_study.names[i]: i for i in caught[:1]}),
           f"CFlow on washers, the two halves of −log p(x), each summed over all positions; a few far points lie outside. Dashed: "
           f"limits that 95 % of the good washers keep. −log p(z) misses {missed} of {int(flow_study.defective.sum())} "
           f"defective washers. In the shaded quarter, missed by it and caught by −log_det: {names}.")

# %%
found, quiet = [], 0
for category in stored.CATEGORIES:
    for method in ("differnet", "cflow", "fastflow", "csflow"):
        s = hunt.study(method, category)
        p = hunt.parts_of(s)
        over = {name: p[name] > hunt.limit(p[name], s.good) for name in p}
        quiet += int((s.good & ~over[PRIOR]).sum())
        found.append({"product": category, "method": method, "defective": int(s.defective.sum()),
                      "caught by −log p(z)": int((s.defective & over[PRIOR]).sum()),
                      "hidden, caught by −log_det": len(hunt.hidden(s, p)),
                      "expected by chance": (1 - hunt.SHARE) * int((s.defective & ~over[PRIOR]).sum()),
                      "good ones it adds": int((s.good & over[VOLUME] & ~over[PRIOR]).sum())})
found = pd.DataFrame(found).set_index(["product", "method"])
display(found.round(1))
hits, adds, chance = (found[c] for c in ("hidden, caught by −log_det", "good ones it adds", "expected by chance"))
missed = int((found["defective"] - found["caught by −log p(z)"]).sum())
print(f"all rows: −log_det rings for {hits.sum()} of {missed} missed defects, {hits.sum() / missed:.1%} ({chance.sum():.1f} expected), "
      f"and for {adds.sum()} of {quiet} good parts that −log p(z) leaves alone, {adds.sum() / quiet:.1%}")
alone = found.index.isin(["cflow"], level="method")
lost = int((found["defective"] - found["caught by −log p(z)"])[alone].sum())
print(f"CFlow alone: {hits[alone].sum()} of {lost} found, {chance[alone].sum():.1f} expected; a test that knows nothing finds "
      f"as many or more in {stats.binom.sf(hits[alone].sum() - 1, lost, 1 - hunt.SHARE):.0%} of all trials")

# %% [markdown]
# Any yes-or-no test that rings for one good image in twenty also rings for about one *missed* defect in twenty, if it knows nothing:
# the column "expected by chance". Compare it with what was found. All together −log_det rings for 6 % of the missed defects and adds
# 4 % of the good parts: 18 defects, where a test that knows nothing expects 14. So **as a second alarm −log_det, used this way, is
# hardly better than a useless test.** (The rows are not eight trials: each product has the same 60 defective images in all four.)
#
# One method to note: CFlow finds about twice as many as expected. A hint, not a finding: luck does as much in one trial of sixteen, and
# we picked this method out of four after looking. Whether log_det *inside* the score helps is another question; it needs the
# AUROC of both scores.
#
# ## Finding 3 · Near in latent space, far in pixels
#
# **A common misconception: "its nearest neighbour in latent space is a similar picture."** Similar in what? Take the Mahalanobis detector.
# Its features are averaged over positions (chapter 08), so places are gone. For each pair of washers, compare two
# distances: between their latents, and between their pixels.

# %%
pooled = hunt.study("mahalanobis")
latent, pixels = hunt.pair_shares(pooled)
i, j = hunt.best_pair(pooled)
row, col = torch.triu_indices(len(latent), len(latent), 1)
both = torch.corrcoef(torch.stack([latent[row, col], pixels[row, col]]))[0, 1]
plots.show(pictures.near_and_far([(pooled.names[k], pictures.as_picture(pooled.images[k])) for k in (i, j)],
                                 latent[row, col].numpy(), pixels[row, col].numpy(),
                                 (float(latent[i, j]), float(pixels[i, j])), (hunt.NEAR, hunt.FAR)),
           f"Two washers and, right, all {len(row):,} pairs; each axis says which share of the pairs is nearer. The star is the pair "
           f"shown: {float(latent[i, j]):.1%} of the pairs are nearer in latent space, {float(pixels[i, j]):.0%} are nearer in "
           f"pixels. Orange: near in one, far in the other. Rank correlation of the two distances: {float(both):.2f}.")
d = projection.distances(pooled.vectors())
closer = pooled.normal & (d[i] < d[i, j]) & (torch.arange(len(d)) != i)
print(f"their latent distance is {float(d[i, j] / d[row, col].median()):.2f} of the median distance of all pairs; {int(closer.sum())} "
      f"of {int(pooled.normal.sum()) - 1} other normal washers lie nearer to {pooled.names[i]}")

# %% [markdown]
# Nothing is wrong with this pair. It was searched for: of all pairs the one whose two ranks are furthest apart. And it is "near"
# by rank only, among all pairs; the line above says how near, and that a dozen normal washers lie nearer to the first. To a pixel
# comparison the two are strangers, because one lies three pixels lower and its reflections are turned; averaged features lose the
# place. (FastFlow keeps places, and three pixels were its reason to ring in finding 1.)
# So **a small latent distance is a statement about what the detector can see, not about the pictures.**
#
# And "nearest" need not mean near. In many dimensions all distances are nearly alike:

# %%
rows = []
for method in ("pca", "mahalanobis", "differnet", "gaussian", "fastflow"):
    s = hunt.study(method)
    v = s.vectors()
    near = [projection.nearest(v, int(k), s.train) for k in s.good.nonzero().flatten()]
    ratio = torch.tensor([n.distance / n.median for n in near])
    mean = v[s.train].mean(0)
    to_mean = torch.tensor([float((v[int(k)] - mean).norm()) / n.distance
                            for k, n in zip(s.good.nonzero().flatten(), near, strict=True)])
    rows.append({"method": method, "D": v.shape[1], "nearest / median distance": float(ratio.median()),
                 "mean image / nearest": float(to_mean.median())})
display(pd.DataFrame(rows).set_index("method").round(2))

# %% [markdown]
# With the 15 coordinates of PCA the nearest training image really is near: a third of the median distance. With hundreds or
# thousands of dimensions it is not: 0.81 to 0.84 of the median. (Their number alone does not order the rows: it also counts
# how many directions carry the variance.) The last column is the distance to the *mean* latent over the distance to
# the nearest training image: below 1, the mean, which is no image at all, is nearer than any neighbour. Read the panel "nearest
# normal" with the median that the card prints beside it: half of the normal images lie farther.
#
# ## A walk
#
# Can you walk from one latent to another and *see* the pictures on the way? Ask each method:

# %%
for method in stored.METHODS:
    print(walks.why_not(hunt.study(method).detector))

# %% [markdown]
# Six of these see an image through a frozen network that cannot be run backwards. Two flows work on pixels: PyramidFlow, and the
# flow on digits of chapter [06](06_flows_that_paint.ipynb). Take a straight line between two latents, decode each point, *encode the
# picture again*, and measure how far it lands from where it was put.
#
# **Predict.** For both flows, "every step can be undone". Before any pixel is cut to black or white, the distance after encoding
# again is zero for …
#
# <details><summary>(a) both.</summary>True for latents of pictures. Not for every latent.</details>
# <details><summary>(b) the digits only.</summary>Yes, up to rounding. PyramidFlow turns n pixels into more than n
# numbers, so most points of its latent space are the latent of no picture.</details>
# <details><summary>(c) none.</summary>Rounding leaves less than 0.001. The cut leaves more; the caption gives
# it.</details>

# %%
digits = picture_flows.pictures(40, seed=1)
digit_walk = Walker(walks.digits_coder(), digits, [f"digit {i}" for i in range(len(digits))])
pyramid = hunt.study("pyramidflow")
washer_walk = Walker(walks.coder_of(pyramid.detector), pyramid.images, pyramid.names)
ends = {"digits": (digit_walk, 0, 3), "washers": (washer_walk, *hunt.best_pair(pooled))}
for name, (pure, a, b) in ends.items():
    found, length = pure.walk(a, b)
    steps = [0, 5, 8, 10, 13, 15, 20]
    plots.show(pictures.walk([pictures.as_picture(found.pictures[k]) for k in steps], steps,
                             found.moved.tolist(), found.back.tolist(), length),
               f"{name.capitalize()}: from {pure.names[a]} (step 0) to {pure.names[b]} (step {length:.0f}), and beyond both. Half-way, "
               f"the point lands {float(found.back[10]):.2g} from where it was put, {float(found.back[10]) / length:.2%} of the way; "
               f"{float(found.left.max()):.0%} of the pixels at most had to be cut to black or white.")
    print(f"{name}: before the cut, at all {len(found.uncut)} steps below 0.001: {bool(found.uncut.max() < 1e-3)}")

# %% [markdown]
# On digits the walk is a round trip: every latent is the latent of an array of 64 numbers, though some of these are darker than black
# or brighter than white. Only cutting them spoils it; half-way here a single pixel does. On washers
# the two ends come back, and the points between do not: their pictures are cross-fades, whose latents lie elsewhere. **"Invertible on
# images" is not "onto latent space".** Do not read a decoded walk of PyramidFlow as a journey through possible washers.

# %%
framed("Does the point half-way between two washers come back to where it was put?",
       ["yes, exactly", "almost", "no"], walker(washer_walk, *hunt.best_pair(pooled)),
       "Complete: as a percentage of the way between these two, it lands away by …",
       lambda: 100 * float(washer_walk.walk(*hunt.best_pair(pooled))[0].back[10] / washer_walk.walk(*hunt.best_pair(pooled))[1]), 3.0)

# %% [markdown]
# ## Keep the tool
#
# The explorer is also a page of its own, for your detectors and your photographs:
#
#     python -m tutorial_lib explore                               the stored detectors
#     python -m tutorial_lib explore fastflow                      those of one method
#     python -m tutorial_lib explore mine.safetensors --data DIR   a saved detector on your pictures
#
# It opens on this machine only, with a token in its address; no picture leaves the machine.

# %% [markdown]
# ## Check yourself
#
# **1.** A good part and a scratch have the same score (the score is the highest value of a map). In the first the blamed place
# moves the score when repaired, in the second it does not. What do you conclude?
#
# <details><summary>(a) The second heat map points at the scratch anyway.</summary>It points at a large number. Repairing that place
# changed nothing, so the score has another source as well.</details>
# <details><summary>(b) In the second, at least one other place is as bad.</summary>Right: the score is a maximum, and the next highest
# place takes over.</details>
# <details><summary>(c) The detector is broken.</summary>A maximum behaves like this.</details>
#
# **2.** All marginals of z are N(0, 1), no correlation is left, and ‖z‖² does not follow χ². Possible?
#
# <details><summary>(a) No: independent standard normals give χ².</summary>Uncorrelated is not independent: entries may be large
# together.</details>
# <details><summary>(b) Yes: entries that are large at the same places.</summary>Right, and defects look like this.</details>
# <details><summary>(c) Only with too few images.</summary>It stays with any number of them.</details>

# %% [markdown]
# **3.** Somebody shows that "channel 17 detects scratches" in a flow. What do you ask?
#
# <details><summary>(a) Which channel it is after training with another seed.</summary>Right: the likelihood does not fix the
# coordinates, so another training uses others.</details>
# <details><summary>(b) Nothing, a channel is a feature.</summary>A channel of the *backbone* is a fixed feature. A flow mixes
# them.</details>
# <details><summary>(c) How large z is there.</summary>It is large in these coordinates; see the rotation above.</details>
#
# **4.** *(from chapter 05)* The log_det of an affine flow, for two different images,
#
# <details><summary>(a) is the same number.</summary>Right. That is why a Gaussian's score needs no log_det.</details>
# <details><summary>(b) is larger for the more unusual one.</summary>An affine map stretches everywhere alike.</details>
# <details><summary>(c) is zero.</summary>Only if the map keeps volumes.</details>
#
# **5.** *(from chapter 07)* Can a latent of a detector on ResNet features be decoded to a picture?
#
# <details><summary>(a) Yes, flows are invertible.</summary>The flow is. The network in front of it is not.</details>
# <details><summary>(b) To features exactly, to pixels not.</summary>Right.</details>
# <details><summary>(c) Yes, with more compute.</summary>Many pictures share the same features; compute does not choose.</details>

# %% [markdown]
# ## What you can now say
#
# - A score has an address: term, scale, place. The address is not the reason. Change what you blame, with a control, and see.
# - A detector that keeps places can also learn where parts lie. A good part that lies elsewhere can ring.
# - Latents of good parts that were not trained on are not N(0, I). Four looks tell how far off, and each sees another fault.
# - A channel belongs to the coordinates, not to the picture.
# - Most methods leave log_det out of the score. As a second alarm it found hardly more than chance; inside the score was not tried.
# - Near in latent space means: alike in what the detector sees. Nearest need not mean near.
# - A latent on features cannot become a picture. A moved latent of a pyramid is, as a rule, the latent of none.
#
# | formula card | |
# |---|---|
# | likelihood | −log p(x) = −log p(z) − log_det |
# | radius | ‖z‖/√D → 1 for z ~ N(0, I) |
# | squared norm | ‖z‖² ~ χ² with C degrees of freedom, mean C, variance 2C |
# | chance correlation | mean \|r\| = √(2/π)/√N for N independent images |
# | gradient map | g = Σ_c \|G ∗ ∂s/∂(pixels of colour c)\|, s the score, G a blur |
# | a round trip | ‖encode(decode(z)) − z‖ |

# %% [markdown]
# **Next.** Three findings to make yourself, 30 minutes, no code: [exercises/14](../exercises/14_latent_explorer.ipynb).
# Then chapter 15: your own photographs.
#
# **Sources.** Principal components: Pearson 1901. Kolmogorov–Smirnov distance: Kolmogorov 1933, Smirnov 1948. Distances in many
# dimensions: Beyer, Goldstein, Ramakrishnan, Shaft 1999. Gradient maps: DifferNet, WACV 2021, arXiv 2008.12577. Scores: CFlow-AD, WACV
# 2022, arXiv 2107.12571; CS-Flow, WACV 2022, arXiv 2110.02855; FastFlow 2021, arXiv 2111.07677; PyramidFlow, CVPR 2023, arXiv
# 2303.02595. Flows that rank by other things than density: Kirichenko, Izmailov, Wilson 2020, arXiv 2006.08545.
