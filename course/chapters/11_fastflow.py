# %% [markdown]
# # 11 · FastFlow
#
# DifferNet averaged the positions of a feature map away. CFlow-AD took them one by one, and had to be told where each one
# lies.
#
# **What happens if the map simply stays a map?**
#
# **After this chapter you can**
# - build a flow on whole feature maps from a convolutional coupling, a scale and a permutation, and count its parameters;
# - say how far one place of the map reaches, and check it;
# - draw FastFlow's heat map, and say what it is not;
# - tell what the flow adds to a Gaussian on the same features, and what the backbone adds;
# - cut the tokens of a vision transformer into a map.
#
# *Prerequisites: chapters [06](06_flows_that_paint.ipynb) (coupling on maps) and [07](07_density_to_defects.ipynb), second
# half. Chapter 10 is not needed: read 11 before or after it. Reading 45 minutes, running one to two minutes.
# If you come from the survey article: this is its section 4.4.*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import json
from pathlib import Path

import pandas as pd
import torch
from IPython.display import display

from tutorial_lib import backbones, detectors, metrics, plots
from tutorial_lib.data import factory
from tutorial_lib.experiments import map_flows as study, one_defect
from tutorial_lib.flows import Chain, Permutation
from tutorial_lib.plots import fastflow as pictures, gallery, one_defect as strip_picture
from tutorial_lib.plots.receptive_field import dots
from tutorial_lib.stored import load as load_stored
from tutorial_lib.widgets import how_far as how_far_widget

plots.style.use()
STORED = json.loads(Path("../benchmarks/results/11_fastflow_ablation.json").read_text(encoding="utf-8"))
STEP = json.loads(Path("../benchmarks/results/11_fastflow_step.json").read_text(encoding="utf-8"))

# %% [markdown]
# **Notation.** x data, z latent; f: x → z. $\log p(x) = \log p(z) + \text{log\_det}$. Here x is a *feature map* of shape
# (C, h, w): C numbers at each of h · w places. B counts images; c is a channel, q a place, k the side of a convolution's
# window. AUROC: 0.5 is guessing, 1 is perfect. [Notation and words](notation_and_glossary.md).
#
# ## A washer with a scratch
#
# The factory draws 150 good washers to learn from. The test set holds 30 other good ones and 36 with a defect, six of each
# kind. All have 64 × 64 pixels.

# %%
washers = factory.split("washer", size=64, n_train=150, n_good=30, n_per_kind=6, seed=0)
good = ~washers.labels                                                     # (66,) True = good
first_of = {kind: washers.kinds.index(kind) for kind in factory.DEFECTS["washer"]}
chosen = [0, *first_of.values()]
titles = [kind.replace("contamination", "contami-\nnation") for kind in washers.kinds]
plots.show(gallery.strip([washers.test[i] for i in chosen], [titles[i] for i in chosen],
                         masks=[washers.masks[i] for i in chosen]),
           f"One good washer and one of each defect; outlined, the true mask. {len(washers.train)} good ones to learn from, "
           f"{int(good.sum())} good and {int((~good).sum())} defective ones to be judged.")

# %% [markdown]
# ## The paper's question
#
# Can a normalizing flow read a whole feature map at once, fast, and give a map back? (Yu and others, 2021.) The flow has
# to keep two dimensions. You know the part that does: the coupling layer of chapter 06, with convolutions inside.

# %%
detector = detectors.create("fastflow", seed=0, steps=STORED["settings"]["steps"], progress=False)  # nothing trained yet
features = detector.maps(washers.train[:4])                                # three taps of the frozen backbone
shapes = [tuple(f.shape[1:]) for f in features]
broken = washers.test[first_of["missing"]]
plots.show(pictures.pipeline(broken, [(c, h) for c, h, _ in shapes], detector.settings.blocks,
                             load_stored("fastflow", "washer").anomaly_map(broken[None])[0]),
           "FastFlow. A frozen network gives feature maps at three depths. Each goes through a flow of its own, and every z "
           "has the shape of its map. The heat map is read off z, place by place; this one is from a small stored detector with "
           "two depths. No place is averaged away, none is taken out of its neighbourhood.")
print("feature maps (C, h, w):", shapes, "  backbone:", detector.backbone_label)
print("numbers per image:", [c * h * w for c, h, w in shapes])

# %% [markdown]
# The authors released no code. What follows is the reading of a public reimplementation whose parameter count matches the
# paper's for Wide ResNet-50-2, comes near it for ResNet-18, and not for the transformers; where it differs from the paper's words, `detectors/fastflow.py` names the choice.
#
# ## Step 1 · One block, three parts
#
# $$y_1 = x_1, \qquad y_2 = x_2 \odot e^{s(x_1)} + t(x_1)$$
#
# $x_1$ and $x_2$ are halves of the *channels*. s and t come from one network of two convolutions, with
# $s = 2\tanh(\cdot)$ as the clamp. Then every channel gets a learned scale g and a shift b, and a fixed permutation decides
# anew what the halves are. The log_det counts both stretchings at every place:
#
# $$\text{log\_det} = \sum_{c,q} s_{c,q} + h\,w \sum_c \ln g_c$$
#
# By hand, on a map of 7 × 9 places, beside the library:

# %%
small = {"whiten": False, "zero_init": False, "progress": False}          # weights away from zero, to see something
block = detectors.create("fastflow", blocks=1, **small).build_heads([(8, 7, 9)])[0].flow.transform
coupling, scale, order = block
x = torch.randn(2, 8, 7, 9, generator=torch.Generator().manual_seed(0))    # (B, C, h, w)
with torch.no_grad():
    x1, x2 = x.chunk(2, dim=1)                                             # (B, 4, 7, 9) each
    a, t = coupling.scale_shift.net(x1).chunk(2, dim=1)                    # two 3 × 3 convolutions
    s = 2 * torch.tanh(a)
    y = torch.cat([x1, x2 * s.exp() + t], dim=1)
    g, b = scale.scale().view(1, -1, 1, 1), scale.b.view(1, -1, 1, 1)      # (1, C, 1, 1) each
    z = (g * y + b)[:, order.index]                                        # channel i is channel index[i]
    log_det = s.sum((1, 2, 3)) + 7 * 9 * g.log().sum()                     # (B,)
    z_library, log_det_library = block(x)
    back = block.inverse(z)[0]
print("z equal:", torch.allclose(z, z_library, atol=1e-6), "  log_det equal:", torch.allclose(log_det, log_det_library))
print("way back, error below 1e-5:", bool((back - x).abs().max() < 1e-5))


# %% [markdown]
# It runs on 7 × 9 as on 16 × 16: a convolution does not care how large the map is.
#
# **Predict.** The paper alternates: one block with 3 × 3 windows, the next with 1 × 1, and so on. Half of the blocks are now
# nine times cheaper. How many parameters are left, compared with 3 × 3 everywhere?
#
# <details><summary>(a) A half.</summary>That would be so if the other half cost nothing, and the first half the same.</details>
# <details><summary>(b) About 56 %.</summary>Yes: a 3 × 3 window costs 9, a 1 × 1 window 1, on average (9 + 1)/2 = 5 of
# 9.</details>
# <details><summary>(c) A ninth.</summary>Only if all blocks were 1 × 1.</details>

# %%
def parameters(shapes, **changed):
    """Learned numbers of the flows on maps of these shapes."""
    heads = detectors.create("fastflow", **small, **changed).build_heads(shapes)
    return sum(p.numel() for p in heads.parameters())


resnet18 = [(64, 1, 1), (128, 1, 1), (256, 1, 1)]                          # the paper's taps; h and w do not count
counts = {k: parameters(resnet18, blocks=8, ratio=1.0, kernels=k) for k in ((3,), (3, 1), (1,))}
for kernels, n in counts.items():
    print(f"{' and '.join(f'{k}×{k}' for k in kernels):11s} {n:>9,}   {n / counts[(3,)]:.0%}")

# %% [markdown]
# 4,657,408 are the flows alone. The reimplementation also puts a LayerNorm in front of each flow, with a scale and a shift for
# every number of the map: 917,504 numbers more, which makes 5,574,912, the number that it prints for ResNet-18. (What that scale
# does is shown below, in *Break it*.) And 56 % answers the prediction. (A first
# misconception gone: "half of the layers 1 × 1, half of the parameters".)
#
# ## Step 2 · What a window is for
#
# **Predict.** Take a flow with 1 × 1 windows only. Shuffle the places of the feature map: the rim lands in the middle, the
# hole in a corner. What happens to the likelihood map?
#
# <details><summary>(a) It becomes unlikely everywhere: no washer looks like this.</summary>A 1 × 1 window never sees two places
# at once.</details>
# <details><summary>(b) It is shuffled in the same way, exactly.</summary>Yes. Each place is judged alone.</details>
# <details><summary>(c) It stays as it was.</summary>The numbers are the same, but they moved.</details>

# %%
shuffle = torch.randperm(16 * 16, generator=torch.Generator().manual_seed(1))
shuffled = lambda m: m.flatten(2)[:, :, shuffle].view_as(m)                # the same order for all channels
f = features[0]                                                            # (4, 48, 16, 16)
f = (f - f.mean()) / f.std()
for kernels in ((1,), (3, 1), (3,)):
    chain = detectors.create("fastflow", kernels=kernels, **small).build_heads([shapes[0]])[0].flow.transform
    with torch.no_grad():
        (z, log_det), (zs, log_det_s) = chain(f), chain(shuffled(f))
    gap = (shuffled(z) - zs).abs().max()
    total = (0.5 * z.square().sum((1, 2, 3)) - log_det) - (0.5 * zs.square().sum((1, 2, 3)) - log_det_s)
    told = "0 up to rounding" if gap < 1e-4 else f"{float(gap):.1f}"
    print(f"{' and '.join(f'{k}×{k}' for k in kernels):11s} z shuffled − z of the shuffled map: {told:18s}"
          f"change of the NLL: {'0 up to rounding' if total.abs().max() < 1e-2 else f'{float(total.abs().max()):.0f} nats'}")

# %% [markdown]
# With 1 × 1 alone the flow is *blind to places*: it holds one density for all of them. A single
# 3 × 3 block ends that. In exercise 5 you write this test; it compares maps, because totals can agree by accident.
#
# ## Touch it: how far does a block see?
#
# Each block has two convolutions, so a 3 × 3 block carries a change two places further, and a 1 × 1 block nowhere.
# **How many blocks until one corner can influence the other, and is that good for localisation?** Guess first. The pictures
# are flows with random weights (2.5 times what PyTorch draws) on a map of 16 × 16 places; the orange cross is the place that was moved.

# %%
prints = how_far_widget.Footprints()
figure, sentence = how_far_widget.strip(prints)
plots.show(figure, f"Where z changes when one corner of the map is moved; the drawn square is counted from the windows, grey is "
                   f"exactly zero. {sentence}")
how_far_widget.how_far(prints)

# %% [markdown]
# Eight blocks of 3 × 3 *can* carry something from corner to corner, and carry next to nothing. Change fades by powers of
# ten on the way. For a heat map that is good news: a defect marks its own neighbourhood in z. It also says what to
# expect: FastFlow is a local judge. How local, after training? The same measurement on the trained flow follows below.
#
# ## Step 3 · Train, and compare with what needs no training
#
# The loss is the exact negative log-likelihood of every tap's map, up to a constant, added up:
#
# $$\text{loss} = \sum_{\text{taps}}\left(\tfrac12\lVert z\rVert^2 - \text{log\_det}\right)$$
#
# In the small setting an affine flow stands in front (whitening, chapter 05), and all couplings begin as the identity. So
# before the first step FastFlow *is* a Gaussian, one for all places, and z² is the squared Mahalanobis distance at each. (150
# steps here instead of the small setting's 325: the table below had to be made many times over.)

# %% tags=["trained"]
history = detector.fit(washers.train)
still = detectors.create("fastflow", steps=1, lr=0.0, seed=0, progress=False)
still.fit(washers.train)                                                   # one step of length zero: untrained
per_place = study.position_gaussian_map(detector, washers.train, washers.test)
memory = detectors.create("patches", size=64, taps=tuple(detector.backbone.taps), progress=False)
memory.fit(washers.train)
maps = {"one Gaussian for all places": still.anomaly_map(washers.test), "a Gaussian per place": per_place,
        "nearest patch": memory.anomaly_map(washers.test), "FastFlow": detector.anomaly_map(washers.test)}
auroc = {name: metrics.auroc(m.amax((1, 2)), washers.labels) for name, m in maps.items()}
numbers = sum(c * h * w for c, h, w in shapes)
print(f"loss per number of the maps: {history['loss'][0] / numbers:.1f} → {history['loss'][-1] / numbers:.1f} nats")
for name, m in maps.items():
    print(f"{name:28s} image AUROC {auroc[name]:.2f}   pixel AUROC {metrics.pixel_auroc(m, washers.masks):.2f}"
          f"   AUPRO {metrics.aupro(m, washers.masks):.2f}")
low, high = metrics.bootstrap_interval(metrics.auroc, maps["FastFlow"].amax((1, 2)), washers.labels, seed=0)
print(f"FastFlow's image AUROC, 95 % interval from 66 images: {low:.2f} to {high:.2f}")

# %% [markdown]
# All four see the same features of the same images, and the image score here is the maximum of the map in all four. The
# first, the second and FastFlow also share the rule that makes a map of z. FastFlow minus the first is therefore what training
# added. The other two differ in more: a Gaussian per place knows the place; the memory averages 3 × 3 neighbours, blurs its map
# and has no density. Over three seeds and two products:

# %%
rows = pd.DataFrame(STORED["rows"]).rename(columns={"map": "heat"})


def spread(found, by, value="auroc", digits=3):
    """Mean ± standard deviation over the seeds, as text; the mean alone where there is one seed."""
    table = found.groupby(by, sort=False)[value].agg(["mean", "std", "count"])
    sd = lambda r: f" ± {r['std']:.{digits}f}" if r["count"] > 1 else "  (one seed)"
    return table.apply(lambda r: f"{r['mean']:.{digits}f}{sd(r)}", axis=1)


main = rows[(rows.study == "kernels") & rows.row.isin(["3x3", "untrained flow", "Gaussian per place", "patches"])
            & rows.heat.isin(["proxy", "distance"])]
display(pd.DataFrame({v: spread(main, ["product", "row"], v) for v in ("auroc", "pixel_auroc", "aupro")}))
pairs = main.pivot_table("auroc", ["product", "seed"], "row")
for other in ("untrained flow", "Gaussian per place", "patches"):
    for product, gap in (pairs["3x3"] - pairs[other]).groupby("product"):
        print(f"{product:7s} FastFlow minus {other:18s} {gap.mean():+.3f} ± {gap.std():.3f}   in "
              f"{int((gap > 0).sum())} of {len(gap)} seeds above")
live = main[(main["product"] == "washer") & (main.seed == 0)].set_index("row").auroc
print("seed 0 stored and live agree:", all(abs(a - b) < 0.02 for a, b in (
    (live["3x3"], auroc["FastFlow"]), (live["untrained flow"], auroc["one Gaussian for all places"]))))

# %% [markdown]
# Read the differences. **Training adds much here:** the trained flow is well above its own start, one Gaussian for all places,
# on both products. That brings its image score level with the Gaussian per place on the washer, and a little above it on the
# board; the quality of their maps is about the same. The Gaussian per place knows where everything belongs; FastFlow was never
# told. What it has instead are its neighbours; the section after the next tests whether they are the reason.
#
# ## Step 4 · The map, and what it is not
#
# $$m_q = -\exp\!\left(-\tfrac12\,\tfrac1C \sum_c z_{c,q}^2\right)$$
#
# At each tap, then enlarged to the image and averaged over the taps. It lies between −1 (as normal as can be) and 0.

# %% tags=["trained"]
heat = maps["FastFlow"]
plots.show(gallery.strip([washers.test[i] for i in chosen], [titles[i] for i in chosen],
                         maps=[heat[i] for i in chosen], masks=[washers.masks[i] for i in chosen],
                         limits=(float(heat.min()), 0.0)),
           f"FastFlow's maps of one good washer and one of each defect, all on one scale. The largest value of a map is the "
           f"image's score: {', '.join(f'{washers.kinds[i]} {float(heat[i].max()):.2f}' for i in chosen)}.")

# %% [markdown]
# **A tempting mistake: "the map is log p of each patch."** In CFlow-AD it is, given the position. Here the density belongs to
# the whole map. Two measurements: move *one* place of a feature map by a little, and look at z and at the log_det.

# %% tags=["trained"]
head = detector.heads[0]
f = detector.maps(washers.test[:1])[0]                                     # (1, 48, 16, 16)
moved = f.clone()
moved[0, :, 8, 8] += 0.2 * f.std()
with torch.no_grad():
    (z, local), (zm, local_m) = (study.local_log_det(head.flow.transform, v) for v in (f, moved))
    log_det, log_det_m = head(f)[1], head(moved)[1]
dz, dl = (zm - z).norm(dim=1)[0], (local_m - local).abs()[0]               # (16, 16) each
print(f"places where z changes: {'more than half' if (dz > 1e-4 * dz.max()).sum() > 128 else 'fewer than half'} of 256; "
      f"share of the change within two places: {float(dz[6:11, 6:11].square().sum() / dz.square().sum()):.1%}")
print(f"places whose share of log_det changes: {'more than half' if (dl > 1e-4 * dl.max()).sum() > 128 else 'fewer than half'} of 256")
print("the shares sum to log_det:", torch.allclose(local.sum(), log_det.sum(), rtol=1e-4))
plots.show(pictures.small_maps({"change of z": (dz / dz.max()).clamp(1e-6).log10(),
                                "change of the log_det's share": (dl / dl.max()).clamp(1e-6).log10()},
                               "log₁₀ of the share\nof the largest", (-6, 0)),
           "One place of the finest map was moved, in the middle. Its neighbours' latents move too, and so do the factors "
           "that stretch them, on the logarithmic scale of the widget.")

# %% [markdown]
# So −½ Σ z² at a place is a share of log p(z), and what happens next door enters it. And the paper's map leaves the log_det
# out altogether: it is a *proxy*. One can share the log_det out, too: a coupling stretches the number (c, q) by
# $e^{s_{c,q}}$, so count $\sum_c s_{c,q}$ at q, and share what the scales g and the whitening add equally over all places.
# Together they sum to the log_det, as the cell shows; but it is one way to
# share, not the only one, because $s$ at q was made from q's neighbours. Does the proxy lose anything by it?
#
# **Predict.** Same trained flow, three maps: the proxy; ½ mean z² without exp; ½ mean z² minus the share of log_det per channel. Which
# finds most defects?

# %% tags=["trained"]
three = rows[(rows.study == "kernels") & (rows.row == "3x3")]
display(pd.DataFrame({v: spread(three, ["product", "heat"], v) for v in ("auroc", "pixel_auroc", "aupro")}))
maps_live = study.heat_maps(detector, washers.test)                        # the same three maps of the flow above
far = float(maps_live["squares"][~good].amax() / maps_live["squares"][good].amax())
print(f"live, squares: the largest value of a defective map is {'more' if far > 100 else 'less'} than a hundred times "
      "the largest of a good one")
rank = pd.DataFrame({k: m.amax((1, 2)).numpy() for k, m in maps_live.items()}).corr("spearman")
print(f"rank correlation of the image scores: proxy and squares {rank.loc['proxy', 'squares']:.2f}, "
      f"squares and share {rank.loc['squares', 'share']:.2f}")

# %% [markdown]
# On both products the proxy is the best of the three. A likely reason: exp caps each tap at 0, so that one wild place at one tap
# cannot outvote the others. Without the cap, adding each place's share of the log_det helps the washer's map by a hundredth or
# so, and not its image score; on the board it makes both worse. With the cap we did not try it. (For *one* tap and *one*
# image, exp changes no ranking of places at all.)
#
# ## The kernels, rerun
#
# The paper's ablation compares 3 × 3 everywhere with 3 × 3 and 1 × 1 in turn. Add the third corner, 1 × 1 everywhere: the
# flow that is blind to places. Four blocks, three seeds, two products.

# %%
kernels = rows[(rows.study == "kernels") & rows.row.isin(["3x3", "3x3 and 1x1", "1x1"]) & (rows.heat == "proxy")]
shown = pd.DataFrame({v: spread(kernels, ["product", "row"], v) for v in ("auroc", "pixel_auroc", "aupro")})
shown["parameters"] = [f"{int(n):,}" for n in kernels.groupby(["product", "row"], sort=False).parameters.first()]
display(shown)
groups = {product: {row: part.auroc.tolist() for row, part in found.groupby("row", sort=False)}
          for product, found in kernels.groupby("product", sort=False)}
plots.show(dots(groups, "image AUROC", guess=None), "One dot for each seed.")
blocks = pd.concat([rows[(rows.study == "blocks") & (rows.heat == "proxy")],
                    kernels[(kernels["product"] == "washer") & (kernels.row == "3x3")].assign(row="4"),
                    main[(main["product"] == "washer") & (main.row == "untrained flow")].assign(row="0")])
table = pd.DataFrame({"image AUROC": spread(blocks, "row"), "pixel AUROC": spread(blocks, "row", "pixel_auroc"),
                      "last loss (nats per image)": spread(blocks, "row", "loss", 0)}).sort_index(key=lambda i: i.astype(int))
display(table.rename_axis("blocks of 3×3, washer"))

# %% [markdown]
# Here the windows matter. 3 × 3 everywhere has the best means; in turn comes close behind on the washer, and five hundredths
# behind in the board's image score. Now hold 1 × 1 everywhere against the untrained flow in the table of Step 3. On the board
# the image score gains 0.032, where 3 × 3 gains 0.174, and the map gains less than half as much. On the washer the image score
# gains 0.104 of 0.186; the *map* is a little worse than before training. **So the windows bring most of what training
# adds on the board, and on the washer nearly half of it in the image score and all of it in the map.** Windows also
# bring weights (the last column), and no row here separates the two. The paper, as far as we know it second hand,
# reports 3 × 3 everywhere as better for ResNet-18 and the transformers, and the mix for Wide ResNet-50-2; here the mix
# has 57 % of the numbers (whitening included). In the lower table the loss falls and the mean detection rises with
# every block; of the detection's gain the first block brings most.

# %% [markdown]
# ## Tool card · What a vision transformer offers
#
# **What it is.** A transformer cuts the image into patches of 16 × 16 pixels and turns each into a vector, a *token*. Every
# block lets every token look at every other one. Out comes a row of tokens, in front of them none, one or two without a
# place in the picture (such as the class token).
#
# **Why we need it here.** Put the tokens back in rows and you have a feature map: FastFlow can read it like any other. The
# paper takes one depth, and each token has seen the whole image.

# %%
numbered = torch.arange(17.0).view(1, 17, 1)                               # token 0 is the class token; C = 1
right = numbered[:, 1:].mT.unflatten(2, (4, 4))[0, 0]                      # (B, C, h, w), then one map
wrong = numbered[:, :16].mT.unflatten(2, (4, 4))[0, 0]
plots.show(pictures.tokens(washers.test[first_of["scratch"]], (4, 4), right, wrong),
           "A picture of 4 × 4 patches, and which token stands where. Forget to leave the class token out, and the whole map "
           "slips by one place: no error, only a wrong map.")
taps = {"resnet18": ("layer1", "layer2", "layer3"), "mobilenet_v3_large": ("project6", "project12"),
        "vit_b_16": ("block8",), "deit_base_distilled_patch16_384": ("block8",), "cait_m48_448": ("block41",)}
offered = [{"network": name, "tap": tap, "stride": found.stride, "channels": found.channels,
            "sees (pixels)": found.receptive_field or "the whole image"}
           for name, names in taps.items() for tap in names for found in [backbones.CLASSES[name].ALL_TAPS[tap]]]
display(pd.DataFrame(offered).set_index(["network", "tap"]))

# %% [markdown]
# The survey article says that the news of FastFlow is a vision transformer as feature extractor. **What is true of it:** the
# paper tries four backbones, two of them convolutional (ResNet-18, Wide ResNet-50-2) and two transformers (DeiT, CaiT).
# What is new in the *flow* is the two-dimensional subnet. What a backbone brings is another question. To answer
# it, the flow must stay the same.
#
# ## The backbones, side by side
#
# One tap of stride 16 from each extractor, on images of 128 pixels: a map of 8 × 8 places. 112 channels of each, drawn by
# lot, so that the flow behind is the same, weight for weight in number. **The catch:** published ImageNet weights are fetched
# from the internet, and this table was made offline. So all extractors but the first have *random* weights. With weights at hand,
# `python benchmarks/fastflow_ablation.py --weights pretrained` makes the other table.
#
# **Predict.** Four random networks and a small one trained on formula pictures. Which comes first?

# %% tags=["trained"]
side = rows[rows.study == "extractors"].copy()
side["density"] = side.row.str.contains("Gaussian").map({True: "Gaussian per place", False: "FastFlow"})
side["extractor"] = side.row.str.replace(", Gaussian per place", "")
shown = spread(side, ["extractor", "density"]).unstack("density")
shown["parameters (millions)"] = side.groupby("extractor", sort=False).backbone_parameters.first() / 1e6
shown["ms per image"] = pd.Series(STORED["image_ms"])
display(shown.round(1))
large = factory.split("washer", size=128, n_train=150, n_good=30, n_per_kind=6, seed=0)
thin = study.Thinned(backbones.load(taps=("stride16",)), seed=0)
again = detectors.create("fastflow", backbone=thin, size=128, seed=0, progress=False)
again.fit(large.train)
found = metrics.auroc(again.score(large.test), large.labels)
stored = side.query("extractor == 'embedded, trained' and seed == 0 and density == 'FastFlow'").auroc.iloc[0]
print(f"one row live: embedded, trained, washer, seed 0: {found:.2f}, stored {stored:.2f}; parameters of the flow "
      f"{sum(p.numel() for p in again.heads.parameters()):,}")
pretrained = Path("../benchmarks/results/11_fastflow_pretrained.json")
print("table with published weights:", "there" if pretrained.exists() else "not there")

# %% [markdown]
# **The trained network leads**, though formula pictures are all it ever saw: 0.897 with FastFlow behind it, against 0.784 for
# the best random one, a ResNet-18 three times its size. The same network with random weights falls to 0.595, so this is its
# training and not its shape. **The surprise is the random transformer with a Gaussian per place:** 0.901, level with the
# trained network's 0.906 (one seed only, it is slow). Untrained, it may act much like a random projection of each patch's
# pixels (not tested); and washers that lie alike can be judged place by place. With FastFlow behind it, it falls to 0.764.
#
# So a backbone's name explains little until the density behind it is held fixed. And compare the two columns: on the first
# three extractors the flow and the Gaussian per place lie within a seed's spread of each other. With ImageNet weights the
# order may be another one; this table cannot say.

# %% [markdown]
# ## Where do the positions go?
#
# They stay where they are. But does FastFlow *know* where it is? Its windows are the same everywhere, and nobody tells
# it a position. Two experiments. First a map without any pattern: the same feature vector at every place. Then real maps of
# good washers, shifted round by three places, so that the washer hangs over the edge.

# %% tags=["trained"]
net = detector.heads[0]
calm = detector.maps(washers.train)[0].mean((0, 2, 3), keepdim=True).expand(1, -1, 16, 16)
blind = detectors.create("fastflow", kernels=(1,), **small).build_heads([shapes[0]])[0]
with torch.no_grad():
    rim = {"FastFlow, trained": net(calm)[0].square().mean(1)[0], "1×1 windows alone": blind(calm)[0].square().mean(1)[0]}
rim = {name: m / m[8, 8] for name, m in rim.items()}
plots.show(pictures.small_maps(rim, "mean z², centre = 1"),
           "mean z² of a map that is the same everywhere, divided by its value in the middle. Trained flow: from "
           f"{float(rim['FastFlow, trained'].min()):.1f} to {float(rim['FastFlow, trained'].max()):.1f}; 1 × 1 alone: "
           f"{float(rim['1×1 windows alone'].min()):.2f} to {float(rim['1×1 windows alone'].max()):.2f}.")
normal = detector.maps(washers.test[good])[0]                              # (30, 48, 16, 16)
gauss = study.position_gaussian.fit(detector.maps(washers.train)[0])
judges = {"one Gaussian for all places": lambda m: still.heads[0](m)[0].square().mean(1),
          "FastFlow": lambda m: net(m)[0].square().mean(1),
          "a Gaussian per place": lambda m: study.position_gaussian.distance_map(m, *gauss)}
for name, judge in judges.items():
    with torch.no_grad():
        before, after = (judge(m).mean((1, 2)).median() for m in (normal, normal.roll((3, 3), (2, 3))))
    print(f"{name:28s} mean z²: {float(before):.2f} in place, {float(after):.2f} shifted, ×{float(after / before):.2f}")

# %% [markdown]
# The trained flow is not even on an even map: at the rim its windows read the zeros that padding puts outside. That is the only
# hint of position inside the flow (the backbone pads as well). Shift the parts, and
# the Gaussian per place is upset: it knows what belongs where. One Gaussian for all places notices nothing at all. FastFlow
# lies between, and nearer to the latter. It probably minds the cut through the washer; this cell does not separate that from the padding.
#
# **So this is the answer of this chapter: the positions stay in order, but nobody knows their names.** A place is judged by
# what stands around it.
#
# In short:
#
# - **Positions:** kept in a map, without a name.
# - **Scales meet** when the taps' heat maps are averaged. Not before: each tap has a flow of its own.
# - **s and t are** made by two convolutions, with windows of 3 × 3 or 1 × 1.
# - **Score:** the maximum of the heat map, a proxy made of z².
# - **log_det:** in the loss, not in the score.

# %% [markdown]
# ## One defect, five methods
#
# The defect that you follow since chapter 08, seen by the stored small detectors of the methods so far.

# %%
by_method = one_defect.strip(up_to="fastflow")
plots.show(strip_picture.strip(by_method), strip_picture.caption(by_method))

# %% [markdown]
# ## Break it: a scale that nobody counts
#
# The public code puts a LayerNorm in front of each flow (for the ResNets), with a learned scale γ for every number of the map. That scale
# stretches space like any other, so its ln γ belongs to the log_det. The code leaves it out. **Predict** what training does
# with a stretching that costs nothing.

# %% tags=["trained"]
tap = detectors.create("fastflow", taps=("stride16",), progress=False)
seen_maps, unseen = tap.maps(washers.train)[0], tap.maps(washers.test[good])[0]      # (150, 192, 4, 4), (30, 192, 4, 4)
runs = {name: study.short_run(seen_maps, unseen, steps=120, whiten=False, norm=norm)
        for name, norm in (("no learned scale", "plain"), ("learned scale, not counted", "learned"))}
plots.show(pictures.two_losses({name: (run.loss, run.honest) for name, run in runs.items()}),
           "Nats per number. Left, both curves are one. Right, the loss runs ahead of the truth.")
plain, free = runs.values()
gain, real = plain.loss[-1] - free.loss[-1], plain.honest[-1] - free.honest[-1]
print(f"the learned scale lowers the loss by {gain:.2f} nats per number; {real:.2f} of that is likelihood, "
      f"{1 - real / gain:.0%} is volume that nobody counted")
print(f"mean scale: 1 → {float(free.head.norm.weight.detach().mean()):.2f}; honest NLL of unseen good maps: {plain.held_out:.2f} "
      f"without, {free.held_out:.2f} with")

# %% [markdown]
# The scale shrinks, because small inputs make small z, and z² is what the loss sees. Most of what the loss gained is that.
# The cure is one line: no learned scale, or its Σ ln γ in the log_det. Our `paper()` has neither norm nor scale.
#
# ## Break it: take the permutations out
#
# A one-sided block leaves half of the channels alone. **Predict.** With a new random order after each of four blocks: what
# share of the channels has met no coupling at the end? And without?

# %%
for n in (2, 4, 8):
    chain = detectors.create("fastflow", blocks=n, **small).build_heads([(192, 1, 1)])[0].flow.transform
    bare = Chain(*[part for part in chain if not isinstance(part, Permutation)])
    lucky, stuck = (study.untouched(c, 192) for c in (chain, bare))
    print(f"{n} blocks: untouched {lucky:2d} of 192 with permutations (192 · ½^{n} = {192 / 2**n:.1f}), "
          f"{stuck} without")
with torch.no_grad():
    part = torch.randn(1, 192, 4, 4, generator=torch.Generator().manual_seed(0))
    print("without: first half of z equals first half of x:", torch.allclose(bare(part)[0][:, :96], part[:, :96], atol=1e-5))

# %% [markdown]
# Without permutations half of the map leaves the flow as it came, whatever the depth. With them a few channels still slip
# through four blocks by luck. Two-sided blocks (DifferNet's) move everything at once, for twice the weights.
#
# ## A memory of patches, in ten lines
#
# PatchCore (Roth and others, 2022), named in the article, has no density at all: keep feature vectors of normal patches, and
# measure the distance to the nearest. Its core is short enough to print. (PatchCore itself also chooses *which* vectors to
# keep; `detectors.Patches` draws them by lot.)

# %% tags=["trained"]
plots.show_source(detectors.patches.nearest_distance)
for keep in (100, 1000):
    bank = detectors.create("patches", size=64, memory=keep, taps=tuple(detector.backbone.taps), progress=False)
    bank.fit(washers.train)
    print(f"{keep:6,} of {bank.history['patches']:,} patches kept: image AUROC "
          f"{metrics.auroc(bank.score(washers.test), washers.labels):.2f}")

# %% [markdown]
# Like a flow of 1 × 1 windows, it does not ask where on the part a patch was seen. No training step, no likelihood, and a
# memory instead of weights. Its image score stands with the untrained flow in our tables, its maps below: on these features
# a memory that knows neither the place nor a density is not enough. With ImageNet features, PatchCore's home, that is otherwise; so put its row into every table.
#
# ## What it cannot see
#
# By kind of defect, mean over three seeds; then the same flow when every tenth training image is defective (nobody has only
# good parts); below, the defects that the live flow ranks lowest.

# %% tags=["trained"]
names = {"3x3": "FastFlow", "untrained flow": "one Gaussian", "Gaussian per place": "Gaussian per place", "patches": "patches"}
by_kind = pd.concat([main[["product", "seed", "row"]], pd.json_normalize(main.kinds).set_index(main.index)], axis=1)
kinds = by_kind.groupby(["product", "row"], sort=False).mean(numeric_only=True).drop(columns="seed")
display(kinds.rename(index=names).round(2))
spoiled = pd.concat([main[(main["product"] == "washer") & (main.row == "3x3")].assign(row="0"),
                     rows[rows.study == "spoiled"]])
display(pd.DataFrame({v: spread(spoiled, "row", v) for v in ("auroc", "pixel_auroc", "aupro")}
                     ).rename_axis("share of defective training images, washer"))
value = heat.amax((1, 2)).masked_fill(good, 1.0)
missed = value.argsort()[:5].tolist()
above = [float((heat[good].amax((1, 2)) > value[i]).float().mean()) for i in missed]
plots.show(gallery.strip([washers.test[i] for i in missed], [titles[i] for i in missed],
                         maps=[heat[i] for i in missed], masks=[washers.masks[i] for i in missed], limits=(float(heat.min()), 0.0)),
           "The five defective washers with the lowest scores. Share of good washers that score higher, from the left: "
           + ", ".join(f"{a:.0%}" for a in above) + ".")

# %% [markdown]
# On the washer thin scratches are the hardest: at stride 4 a scratch is one place wide, and its contrast is that of the
# brushed metal. The first one in the picture scores below nearly every good washer. On the board the hardest are cracks, then
# spots. Beside one Gaussian, FastFlow gains on every kind of defect. On the board scratches and missing parts gain most, about
# three tenths each, and misplaced parts about two tenths, although nobody told it a place.
#
# The spoiled training set hurts little, about two hundredths of image AUROC and of AUPRO: fifteen defective parts among 150,
# each with another flaw at another place, make no pattern that a flow could learn. The same flaw at the same place every time
# might (chapter 07 saw it with a Gaussian per place).
#
# ## Fast?
#
# The paper's name promises speed: one pass, no sliding window, few parameters. What a training step costs depends on the
# code as well. Same weights, same maths, same results: our parts against a stack of FrEIA's blocks with default Adam, one thread.

# %%
for name, case in STEP["cases"].items():
    where = max(case["where_the_time_goes"]["ours"].items(), key=lambda kv: kv[1])
    print(f"{name:9s} ours {1000 * case['median']['ours']:5.0f} ms a step, FrEIA {1000 * case['median']['FrEIA']:5.0f} ms: "
          f"{case['ratio']:.2f} times as fast (five turns: "
          + ", ".join(f"{who} {1000 * min(t):.0f} to {1000 * max(t):.0f} ms" for who, t in case["seconds"].items()) + "); "
          f"{case['share_of_peak']['ours']:.0%} of the measured matrix-product peak, "
          f"{where[1]:.0%} of the time in {where[0]}")

# %% [markdown]
# What differs: FrEIA permutes by a convolution with a matrix of zeros and ones where an index would do, and default Adam
# walks through the weights tensor by tensor. What does not differ are the convolutions of the subnets, and they take most of the
# time. So little is left that other code could save: hold the ratio against the spread of the five turns. On small
# maps more of the time goes into scaling and shifting, and the products are too small to fill the processor.

# %% [markdown]
# ## The paper's numbers beside ours
#
# | what | data | setting | source |
# |---|---|---|---|
# | 99.4 image AUROC | MVTec AD, mean of 15 classes | the paper's best model | abstract of the paper |
# | 97.2, 98.1, 98.1, 98.5 pixel AUROC | the same | ResNet-18, Wide ResNet-50-2, DeiT, CaiT | the paper's backbone table, as cited by the reimplementation |
# | 95.6, 97.2, 97.3, 97.3 pixel AUROC | the same | the same four, last of 500 epochs | the reimplementation |
# | 97.2, 98.3, 98.1, 98.3 pixel AUROC | the same | the same four, best epoch *on the test set* | the reimplementation |
# | 90.7, 96.3, 92.5, 94.4 image AUROC | the same | the same four, maximum of the map | anomalib |
# | the tables above | our factory | small backbone trained on formula pictures, 64 px, three seeds | `benchmarks/fastflow_ablation.py` |
#
# Ours must not be compared with the rest: other pictures, other features. What can be learned from the others: "last" and
# "best on the test set" differ by one to two points, and choosing the epoch on the test set is not allowed. One class of
# anomalib's run (screw, ResNet-18) has an image AUROC of 52: the spread between classes is larger than between methods.

# %% [markdown]
# ## What it cannot do
#
# - **Know where it is.** The same patch counts as normal at every place whose surroundings look alike.
# - **Score another size with a learned LayerNorm.** Its scale has one number for each place; the convolutions would not mind.
# - **Give the density of a patch.** One density for the whole map; the heat map is a proxy without the log_det.
# - **Stop by itself.** The reimplementation reports a detection quality that peaks early and falls while the loss still
#   falls. Keep good parts aside, and stop on their likelihood.
#
# ## What the article says, and what to take from it
#
# | the article | right |
# |---|---|
# | the news is a vision transformer as feature extractor | the news for the flow is the two-dimensional subnet with windows of two sizes; two of its four backbones are transformers |
# | it explores most backbones | four of them; compare them with the flow held fixed, and with a Gaussian beside each |
# | the map gives the likelihood of each patch | a share of log p(z) at each place, pressed through exp, without the log_det |
# | PatchCore beside it | a memory of patches: ten lines, no density; its row is in the tables above |

# %% [markdown]
# ## Check yourself
#
# **1.** A flow of four blocks, all 1 × 1. You exchange two places of its input map. Its likelihood
#
# <details><summary>(a) falls: the pattern is broken.</summary>It sees no pattern, only single places.</details>
# <details><summary>(b) stays the same.</summary>Right: the sum over places does not care about their order.</details>
# <details><summary>(c) depends on which places.</summary>With 3 × 3 windows it would.</details>
#
# **2.** How far does one place reach in z after three blocks of 3 × 3 and three of 1 × 1?
#
# <details><summary>(a) 3 places</summary>Each block has two convolutions.</details>
# <details><summary>(b) 6 places</summary>Right: two for each block of 3 × 3, none for 1 × 1.</details>
# <details><summary>(c) 12 places</summary>The 1 × 1 blocks add nothing.</details>
#
# **3.** You read: "CaiT beats ResNet-18 in FastFlow by 1.3 points." What do you ask?
#
# <details><summary>(a) Whether CaiT is faster.</summary>A fair question, another one.</details>
# <details><summary>(b) What a Gaussian gives on both extractors' features, and whether flow and image size were the
# same.</summary>Right: then the share of the backbone and the share of the flow can be told apart.</details>
# <details><summary>(c) Nothing: more is better.</summary>With one seed and the best epoch on the test set?</details>

# %% [markdown]
# **4.** *(from chapter 06)* A coupling on a map of 16 × 16 places: log_det sums s over
#
# <details><summary>(a) the channels.</summary>Every place was stretched, too.</details>
# <details><summary>(b) channels and places, and gives one number per image.</summary>Right.</details>
# <details><summary>(c) channels, places and the batch.</summary>Then images would share it.</details>
#
# **5.** *(from chapter 07)* log p of a feature map is high. Then
#
# <details><summary>(a) the image is likely.</summary>Image → features cannot be undone; this is no density of images.</details>
# <details><summary>(b) the features are likely under the flow; whether the part is normal is to be measured.</summary>Right.</details>
# <details><summary>(c) the image is typical.</summary>Likely and typical differ in high dimensions.</details>

# %% [markdown]
# ## What you can now say
#
# - FastFlow is a coupling flow whose subnets are convolutions: the map stays a map, at every tap, in every block.
# - A 3 × 3 block reaches two places further, a 1 × 1 block none; with 1 × 1 alone the flow is blind to places.
# - The heat map is a proxy: a share of log p(z), without the log_det, pressed through exp.
# - Before its first step the small FastFlow is one Gaussian for all places; print what training adds to it.
# - Backbone and flow are two questions: change one at a time, and put a Gaussian and a patch memory beside both.

# %% [markdown]
# | formula card | |
# |---|---|
# | block | y₁ = x₁, y₂ = x₂ exp(s(x₁)) + t(x₁), s = 2 tanh(·); then g y + b; then permute channels |
# | log_det | Σ s over channels and places, plus h w Σ ln g; summed over the blocks |
# | loss | Σ over taps of ½‖z‖² − log_det |
# | map | mean over taps of −exp(−½ mean over c of z²), enlarged |
# | score | maximum of the map (the reimplementer's advice; the paper's rule is not known to us) |
# | reach | 2 places for each block of 3 × 3 |
# | parameters of a block | k² (C/2 · m + m · C) + m + C + 2 C, with m hidden channels |

# %% [markdown]
# **Next.** Six functions, 56 minutes: [exercises/11](../exercises/11_fastflow.ipynb). You cut tokens, count parameters, write
# the step, the likelihood map and the blindness test, and build the patch memory. Chapter 12 asks what is left when there is
# no backbone at all; chapter [13](13_side_by_side.ipynb) puts all methods side by side.
#
# **Sources.** FastFlow: Yu, Zheng, Wang, Li, Wu, Zhao, Wu (2021, arXiv 2111.07677); reimplementation gathierry/FastFlow; anomalib.
# PatchCore: Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler (CVPR 2022, arXiv 2106.08265). Per-position Gaussian: PaDiM, Defard and
# others (2020, arXiv 2011.08785). ViT: Dosovitskiy and others (2020, arXiv 2010.11929); DeiT (2020, arXiv 2012.12877); CaiT (2021,
# arXiv 2103.17239). Couplings: RealNVP (2016, arXiv 1605.08803), Glow (2018, arXiv 1807.03039); blocks: FrEIA.
# MVTec AD: Bergmann, Fauser, Sattlegger, Steger (CVPR 2019).
