# %% [markdown]
# # 06 · Flows that paint images
#
# A generative adversarial network (GAN) paints a convincing tile and cannot tell you how likely that tile is. A flow
# can do both.
#
# **What must a network give up to be able to answer "how likely"? And what does a coupling layer need before it can
# work on a picture?**
#
# **After this chapter you can**
# - turn 2 × 2 blocks of pixels into channels and back;
# - write a coupling layer for maps with convolutions inside, and say what its log_det sums over;
# - say why the log_dets of ActNorm and of a 1 × 1 convolution carry the factor H · W;
# - train a flow on pictures with grey levels and report bits per dimension that mean something;
# - draw samples at a temperature, and walk between two pictures without leaving the *shell*: the lengths ‖z‖ that
#   latents of real pictures have.
#
# *Prerequisites: [05](05_normalizing_flows.ipynb). Reading 40 minutes, running about 25 seconds. If you come from the
# survey article: this is its section 2.4. In a hurry, skip "Grey levels"; do not skip "Coupling on maps".*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import math

import torch
from IPython.display import display
from torch import nn

from tutorial_lib import flows, plots
from tutorial_lib.data import glyph_images, texture_images
from tutorial_lib.plots import painting
from tutorial_lib.plots.toys import losses
from tutorial_lib.widgets import latent_sliders, microscope, picture_flows

plots.style.use()
LEVELS = 17
digits = glyph_images(8000, levels=LEVELS)                    # (8000, 1, 8, 8) integers 0 … 16, drawn by our own code
painter = picture_flows.load("one scale")                     # a flow, trained on such digits and stored
painted = painter.sample(16, generator=torch.Generator().manual_seed(3))    # (16, 1, 8, 8)
plots.show(painting.rows({"A": (digits[:16] + 0.5) / LEVELS, "B": painted}),
           "Two rows of 16 small pictures. One row was drawn by code, one was painted by a flow.")

# %% [markdown]
# Row B is painted: the flow turned 16 draws of 64 random numbers into 16 pictures of 64 pixels. Some are clean digits,
# a few are smudges between two digits. Now ask the same flow how likely a picture is.

# %%
held_out = picture_flows.pictures(500, seed=1)                # (500, 1, 8, 8) in [0, 1), not used in training
strange = {"held-out digits": held_out, "mirrored": held_out.flip(3), "negative": 1 - held_out,
           "noise": torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(0))}
with torch.no_grad():
    for name, x in strange.items():
        z, log_det = painter(x)                                          # (500, 16, 2, 2), (500,)
        log_p, half = painter.log_prob(x).mean().item(), z.flatten(1).square().sum(1).median().item() / 2
        print(f"{name:16s} mean log p(x) " + (f"{log_p:6.0f} nats" if log_p > -1e7 else "below −10 million nats")
              + f", log_det {log_det.mean():3.0f}, median ½‖z‖² "
              + (f"{half:.0f}" if half < 1e7 else "above 10 million"))
    overlap = painter.log_prob(strange["mirrored"]) > painter.log_prob(held_out).min()
print(f"mirrored digits above the least likely held-out digit: one in {1 / overlap.float().mean():.0f}")


# %% [markdown]
# In the mean, digits get a high log density, everything else a far lower one. Single pictures overlap: a mirrored 0 or
# 8 is still a digit. (A density may exceed 1, so its logarithm may be positive. In the last two rows z lands absurdly
# far out, while log_det rises by only about 100.) Do not conclude that this always works: chapter
# [07](07_density_to_defects.ipynb) shows pictures for which it fails.
#
# > **Notation, everywhere in this course.** x data, z latent, log p(x) = log p(z) + log_det, and
# > log_det = ln|det ∂z/∂x| has shape `(B,)`: one number per picture. New here: a *map* has shape (B, C, H, W), that is
# > B pictures, C channels, H rows, W columns. More words: [notation and words](notation_and_glossary.md).

# %% [markdown]
# ## What a discriminator knows
#
# A GAN trains a *discriminator* D beside its generator. D sees a picture and says how sure it is that the picture is
# real. You may read that D computes "the probability p(x) that x is real". Two densities decide what the best D says: p
# of the data, q of the generator. D sees as many real pictures as painted ones. So at a point x, a share of p(x) /
# (p(x) + q(x)) of what arrives is real. The best D answers with that share.
#
# **Predict.** The generator becomes perfect: q = p. What does the best D say where data are common, and where they are
# rare?
#
# <details><summary>(a) High where common, low where rare.</summary>That would be p(x). D sees a ratio, and both
# densities are high in the same places.</details>
# <details><summary>(b) ½ everywhere.</summary>Yes: p / (p + p) = ½. All knowledge about p has cancelled out.</details>
# <details><summary>(c) 1 everywhere: all looks real.</summary>Half of what arrives is painted. Saying 1 would be wrong
# every second time.</details>

# %%
def normal(x, mean, sd):
    return torch.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))


x = torch.linspace(-4, 4, 401)                                           # (401,)
p = 0.7 * normal(x, -1.2, 0.5) + 0.3 * normal(x, 1.5, 0.6)               # density of the data
q = normal(x, 0.0, 1.4)                                                  # density of a poor generator
for place in (100, 140, 275):                                            # x = −2, −1.2, 1.5
    print(f"x = {x[place]:+.1f}   p(x) = {p[place]:.3f}   D, poor generator: {p[place] / (p[place] + q[place]):.3f}"
          f"   D, perfect generator: {p[place] / (p[place] + p[place]):.3f}")
plots.show(painting.discriminators(x, {"a poor generator": (p, q), "a perfect generator": (p, p)}),
           "Above: densities of data and generator. Below: the best discriminator. With a perfect generator it is "
           "½ everywhere, while p still has two hills.")

# %% [markdown]
# Left, D is high where the generator paints too little, not where data are common: at x = −2 data are rarer than at
# 1.5, and D is surer there. Right, D is flat at ½. **A discriminator estimates a ratio, not p(x).** (If you knew q, you
# could solve for p. A GAN does not know its q.)
#
# A network that turns a latent into a picture, with no other randomness, knows its density if it is invertible and its
# log_det can be computed. (Models that paint pixel after pixel get p(x) another way.) That is the price of the answer:
# as many latents as pixels (64 in, 64 out, no bottleneck), and only layers that can be undone. The rest of this chapter
# builds such layers for pictures.

# %% [markdown]
# ## Squeeze: neighbours become channels
#
# A coupling needs two halves: one passes, one changes. A grey picture has one channel, which cannot be halved.
# *Squeeze* cuts it into 2 × 2 blocks and makes the four pixels of a block four channels of one position:
#
# $$z_{4c + 2i + j,\; h,\; w} = x_{c,\; 2h + i,\; 2w + j} \qquad i, j \in \{0, 1\}$$
#
# i is the row inside the block, j the column. **Before you look:** the picture below is the ramp 1 … 16. Which four
# numbers are in channel 0?

# %%
ramp = torch.arange(1.0, 17.0).view(1, 1, 4, 4)                          # (1, 1, 4, 4)
z, log_det = flows.Squeeze()(ramp)                                       # (1, 4, 2, 2), (1,)
print("channel 0:", z[0, 0].flatten().int().tolist(), "  log_det:", log_det.item())
print("a plain reshape instead:", ramp.reshape(1, 4, 2, 2)[0, 0].flatten().int().tolist())
plots.show(painting.blocks(ramp[0, 0], z[0]), "The ramp 1 to 16 before and after squeeze: every 2 by 2 block gives one "
           "number to each of four channels, so that equal colours end in the same channel.")

# %% [markdown]
# Channel 0 holds the upper left pixel of every block. Each channel is a small copy of the picture. A plain `reshape`
# would put the first row into channel 0 and tear neighbours apart. Nothing is stretched: log_det = 0.
#
# ## Coupling on maps
#
# Here is the layer from which chapters 10, 11 and 12 grow. Take the coupling of 05 and change one thing: the network
# for s and t is a convolution. Half of the *channels* passes, and at every position it decides how the other half is
# stretched and shifted:
#
# $$z_1 = x_1, \qquad z_2 = x_2\, e^{s(x_1)} + t(x_1), \qquad \text{log\_det} = \sum_{c,h,w} s_{c,h,w}$$

# %%
torch.manual_seed(0)
st = nn.Sequential(nn.Conv2d(2, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 3, padding=1))   # keeps H and W
for weights in st.parameters():
    weights.data.mul_(3)                                                 # so that an untrained network does something


def conv_coupling(x):
    x1, x2 = x.chunk(2, dim=1)                                           # (B, C/2, H, W) each
    s, t = st(x1).chunk(2, dim=1)                                        # (B, C/2, H, W) each
    s = torch.tanh(s)                                                    # a soft clamp, as in 05
    return torch.cat([x1, x2 * s.exp() + t], dim=1), s.sum(dim=(1, 2, 3))      # z (B, C, H, W), log_det (B,)


def conv_coupling_back(z):
    z1, z2 = z.chunk(2, dim=1)
    s, t = st(z1).chunk(2, dim=1)                                        # z1 is x1: the same s and t
    s = torch.tanh(s)
    return torch.cat([z1, (z2 - t) * (-s).exp()], dim=1), -s.sum(dim=(1, 2, 3))


maps = flows.Squeeze()(held_out[:2])[0]                                  # (2, 4, 4, 4)
with torch.no_grad():
    z, log_det = conv_coupling(maps)
    print("there and back, to 1e-5:", torch.allclose(conv_coupling_back(z)[0], maps, atol=1e-5))

# %%
J = torch.autograd.functional.jacobian(lambda v: conv_coupling(v.view(1, 4, 4, 4))[0].flatten(), maps[0].flatten())
print(f"ln|det J| of the 64 × 64 Jacobian: {torch.linalg.slogdet(J).logabsdet:.4f}   sum of s: {log_det[0]:.4f}")
inside = (J[32:, :32].abs() > 1e-9).float()                              # how x1 moves z2, (32, 32)
plots.show(painting.jacobian(J, 32), "The Jacobian of one convolutional coupling, 64 by 64. Upper left: ones on the "
           "diagonal. Upper right: empty. Lower right: exp(s) on the diagonal. "
           f"Lower left: {inside.mean():.0%} of the entries are not zero.")

# %% [markdown]
# Read the four blocks. Upper left: x₁ passes, an identity. Upper right: empty, z₁ does not notice x₂. Lower right: only
# a diagonal, each number of x₂ is stretched on its own. Lower left: all that the convolutions do, and the determinant
# never looks at it. Put any network there, as wide and as strange as you like. CS-Flow (chapter 10) lets that network
# look at three scales at once, FastFlow (11) mixes kernels of two sizes, PyramidFlow (12) couples levels of a pyramid.
#
# **Predict.** The same layer, the same weights, now on a map of constant value that is twice as high and twice as wide.
# Away from the border s is the same at every position. What happens to log_det?
#
# <details><summary>(a) It stays: the weights are the same.</summary>The weights are, the number of stretched pixels is
# not.</details>
# <details><summary>(b) It doubles.</summary>Two sides double, so positions become four times as many.</details>
# <details><summary>(c) It becomes about four times as large.</summary>Yes, four times as many terms in the sum; only
# the border, where the convolution sees padding, is a little different.</details>

# %%
with torch.no_grad():
    for side in (16, 32, 64):
        flat = torch.full((1, 4, side, side), 0.5)                       # (1, 4, S, S)
        log_det = conv_coupling(flat)[1].item()
        print(f"side {side:2d}: log_det {log_det:9.2f}   per position {log_det / side**2:.3f}")

# %% [markdown]
# Four times as many positions, a little more than four times the log_det, because the border counts less and less. One
# set of weights works for every size of map, which a fully connected network (05, 08) cannot do. It also means: log
# densities of pictures of different sizes cannot be compared.
#
# **Tool card: convolution and receptive field.** *What it is:* a *kernel* of k × k weights slides over the map;
# *padding* adds zeros at the border so that the size stays; *stride* is how far it slides at a time. The *receptive
# field* is the part of the input that one output can see. *The number that shows it:* it starts at 1, and each layer
# adds (k − 1) × step, where the *step* is the product of the strides before it. *Why here:* it says how far a coupling
# can look.

# %%
size, step = 1, 1
for kernel, stride in [(3, 1), (3, 1)]:                                  # the two convolutions inside st
    size, step = size + (kernel - 1) * step, step * stride
before = torch.zeros(1, 2, 15, 15)
after = before.clone()
after[0, 0, 7, 7] = 1.0                                                  # one cell changes …
with torch.no_grad():
    touched = ((st(after) - st(before)).abs().sum((0, 1)) > 0).any(0).sum().item()
print(f"counted: {size} cells;  one changed cell reaches {touched} columns;  in pixels before the squeeze: {2 * size}")

# %% [markdown]
# Two 3 × 3 convolutions see 5 cells, and after one squeeze a cell is two pixels wide: 10 pixels. Chapter 07 measures
# receptive fields of large networks with the gradient.
#
# ## ActNorm and the 1 × 1 convolution: H · W
#
# Two more layers stand in nearly every flow for pictures (Glow, arXiv 1807.03039). **ActNorm** scales and shifts each
# channel, z = x · exp(log_s) + b, with b and log_s chosen from the first batch so that every channel begins with mean 0
# and variance 1. The **invertible 1 × 1 convolution** mixes the channels at each position with one matrix M; it is the
# learned form of a permutation. Both do the same thing at every position. So the Jacobian of the whole map is
# block-diagonal, with H · W equal blocks:
#
# $$\text{log\_det} = H \cdot W \cdot \sum_c \text{log\_s}_c \qquad \text{log\_det} = H \cdot W \cdot \ln|\det M|$$

# %%
torch.manual_seed(1)
M, small = torch.randn(3, 3), torch.randn(3, 2, 2)                       # (C, C) and one map (C, H, W)
mixed = lambda v: torch.einsum("ij,jhw->ihw", M, v.view(3, 2, 2)).flatten()
J = torch.autograd.functional.jacobian(mixed, small.flatten())           # (12, 12)
one = torch.linalg.slogdet(M).logabsdet
print(f"ln|det M| = {one:.4f}   times H·W = 4: {4 * one:.4f}   "
      f"ln|det J| of the map: {torch.linalg.slogdet(J).logabsdet:.4f}")

# %% [markdown]
# **Break it: forget H · W.** The stored flow works on 2 × 2 maps of 16 channels, eight steps of ActNorm, 1 × 1 and
# coupling. What would it have reported if its ActNorms and 1 × 1 convolutions had counted once instead of H · W = 4
# times? Guess first: too likely or too unlikely?

# %%
linear = [m for m in painter.modules() if isinstance(m, flows.ActNorm | flows.Invertible1x1)]
once = sum(m.log_s.sum() for m in linear)                                # log_det per position, nats
error = -(4 - 1) * once                                                  # what is missing, the same for every picture
print(f"{len(linear)} layers, log_det per position {once:+.1f} nats; "
      f"log p(x) of every picture is off by {error:+.0f} nats")
print(f"the total probability would be e^{error:.0f} instead of 1")

# %% [markdown]
# The ActNorms stretch (pictures in [0, 1] must become as wide as a standard normal), so what was forgotten is a reward,
# and every picture looks too unlikely. The map is unhurt: samples and round trips are perfect. Only the number is
# wrong, by the same amount for every picture, so that a ranking does not show it either. A test of the log_det against
# the Jacobian does. (Trained *with* that error, the reward for stretching would be too small, and samples would be
# wrong too.)
#
# **Tool card: rotation, and unit volume.** *What it is:* a rotation turns and never stretches. |det| = 1 says only that
# volume stays. *The number that shows it:* the singular values, the stretches along the axes of the ellipse that a
# circle becomes. *Why here:* the 1 × 1 starts as a rotation, log_det = 0; chapter 12 builds on volume alone.

# %%
turn = flows.Rotation(2, seed=0).matrix                                  # (2, 2)
stretch = torch.tensor([[2.0, 0.0], [0.0, 0.5]])
shear = torch.tensor([[1.0, 3.0], [0.0, 1.0]])
for name, matrix in {"rotation": turn, "stretch": stretch, "shear": shear}.items():
    values = torch.linalg.svdvals(matrix)
    print(f"{name:8s} |det| = {torch.linalg.det(matrix).abs():.3f}   "
          f"singular values {values[0]:.3f} and {values[1]:.3f}")

# %% [markdown]
# All three have |det| = 1. Only the rotation has singular values 1 and 1. The shear stretches one direction by more
# than 3 and squeezes another by as much. **"log_det = 0, so nothing is stretched" is wrong.**
#
# ## Grey levels
#
# The digits have 17 grey levels, 0 to 16. A density is made for numbers that can take any value. Look at pairs of
# neighbouring pixels; two numbers make a picture that you can see.

# %%
patches = texture_images(2000, levels=LEVELS)                            # (2000, 1, 8, 8) integers, woven carpet
pairs = patches[:, 0, 4, 3:5]                                            # (2000, 2): left and right neighbour
filled = LEVELS * flows.dequantise(pairs, LEVELS, torch.Generator().manual_seed(0))          # (2000, 2), x + u
print(f"2000 pairs, {len(pairs.unique(dim=0))} different ones; after adding noise {len(filled.unique(dim=0))}")
plots.show(painting.pairs({"as stored: integers": pairs, "with noise: x + u": filled}, LEVELS),
           "Grey levels of two neighbouring pixels of the carpet. Left: points on a lattice. Right: each lattice point "
           "spread over its own square. In both, neighbours are alike: the cloud follows the diagonal.")

# %% [markdown]
# Left, all points sit on a lattice. Right, *dequantisation*: add u, uniform between 0 and 1, to every grey level, and
# every level fills its own interval. Rounding down gives the integers back, so nothing is lost. Then divide by K = 17,
# the number of levels.
#
# **Predict.** You train the same flow on the integers themselves, without the noise. Is the reported likelihood better
# or worse?
#
# <details><summary>(a) Worse: a lattice is hard to fit.</summary>The flow need not fit the gaps. It may pile density
# onto the few values that occur.</details>
# <details><summary>(b) About the same.</summary>The noise is small for the eye, but without it the density has no upper
# limit.</details>
# <details><summary>(c) Better, without limit.</summary>Yes. A spike that is half as wide is twice as high. The number
# gets better and means nothing.</details>

# %% [markdown]
# First the unit. Papers report **bits per dimension**: nats divided by ln 2 are bits, divided by d (here 64) they are
# bits per pixel value, and log₂ K undoes the division by K:
#
# $$\text{bits per dimension} = \frac{-\ln p(y)}{d \ln 2} + \log_2 K, \qquad y = (x + u)/K$$
#
# It bounds from above what an ideal code that uses this flow spends on a pixel. Guessing evenly among 17 levels costs
# log₂ 17 = 4.09 bits, among 256 levels 8 bits. A code cannot spend less than 0.

# %% tags=["trained"]
y = flows.dequantise(digits, LEVELS, torch.Generator().manual_seed(0))   # (8000, 1, 8, 8) in [0, 1)
runs = {"17 levels, with noise": (y, 17, 400), "17 levels, no noise": (digits / 17, 17, 250),      # data, K, steps
        "black and white, no noise": (glyph_images(4000, levels=2) / 2, 2, 250)}


def build(steps=6, hidden=64):
    """(B, 1, 8, 8) -> squeeze twice -> (B, 16, 2, 2) -> six steps of ActNorm, 1 × 1, coupling."""
    torch.manual_seed(0)
    subnet = flows.conv(hidden, zero_last=True)                          # s = t = 0 at the start
    chain = [flows.glow_step(16, subnet, flows.AtanClamp(2.0), seed=k) for k in range(steps)]
    return flows.Flow(flows.Chain(flows.Squeeze(), flows.Squeeze(), *chain), shape=(16, 2, 2))


bits, trained = {}, {}
for name, (data, levels, steps) in runs.items():
    trained[name] = build()
    history = flows.maximum_likelihood(trained[name], data, steps=steps, batch=128, lr=3e-3)
    bits[name] = flows.bits_per_dim(torch.tensor(history), 64, levels)   # (steps,)
    print(f"{name:26s} bits per dimension: first step {bits[name][0]:.1f}, "
          f"last ten steps {bits[name][-10:].mean():.1f}")
plots.show_source(flows.glow_step)

# %% tags=["trained"]
fig = losses({name: values.tolist() for name, values in bits.items()}, "bits per dimension", ylim=(-2.6, 4.4),
             level=(0.0, "0: no code is shorter"))
end = bits["black and white, no noise"][-10:].mean()
plots.show(fig, "Training on digits, one seed; without noise for 250 steps. With noise the curve flattens; without "
           f"noise it runs lower, and for black and white pictures it falls below 0, to {end:.1f} bits.")

# %% [markdown]
# **Break it** has just happened. The flow without noise reports fewer bits with 17 levels. In black and white it
# reports a negative number of bits, and a code with negative length does not exist. A number that is too good is the
# symptom. Here is the same thing without any network: one pixel that is 0 or 1, and a density of two spikes that you
# may make as narrow as you like.

# %%
pixel = torch.tensor([0.0, 1.0])                                         # black or white, each half of the time
for width in (0.25, 0.05, 0.01, 0.0001):
    density = 0.5 * normal(pixel, 0.0, width) + 0.5 * normal(pixel, 1.0, width)      # p at the two values
    print(f"spikes of width {width:<6g} {-density.log2().mean():7.2f} bits per pixel")

# %% [markdown]
# The true answer is 1 bit per pixel. The density says less and less: each halving of the width saves one more bit, for
# ever. With noise that fills the intervals this cannot happen. On average over the noise, −log p is never smaller
# than the true cost of the integers (arXiv 1511.01844).
#
# Two numbers of bits per dimension can be compared only for the same pictures, the same K, and the same noise.
#
# ### Samples
#
# The first of the three flows was trained live, 400 steps. The stored one has eight steps of flow instead of six, and
# had ten times as many optimiser steps on more pictures (`python -m tutorial_lib.widgets.picture_flows` trains it
# again).

# %% tags=["trained"]
live = trained["17 levels, with noise"].eval()
with torch.no_grad():
    for name, flow in {"live, 400 steps": live, "stored, 4000 steps": painter}.items():
        bpd = flows.bits_per_dim(flow.nll(held_out), 64, LEVELS)
        back = flow.inverse(flow(held_out)[0])[0]
        print(f"{name:20s} held-out {bpd:.1f} bits per dimension   round trip to 1e-3:",
              torch.allclose(back, held_out, atol=1e-3))
drawn = {name: flow.sample(16, generator=torch.Generator().manual_seed(0))
         for name, flow in {"live": live, "stored": painter}.items()}
plots.show(painting.rows({"data": held_out[:16], **drawn}), "Held-out digits with noise, samples of the flow trained "
           "live, and samples of the stored flow.")

# %% [markdown]
# The round trip is good to 1e-3, not 1e-5 as for one coupling: every stretch on the way back also stretches the
# rounding errors of the layers before it.
#
# Seconds of training give strokes and loops, some of them digits. Ten times the steps give many clean digits and still
# some smudges between two of them: the bridges of [05](05_normalizing_flows.ipynb), since ten kinds of digits are ten
# islands.
#
# ### The flow microscope on pairs of pixels
#
# **Which layer makes two neighbouring pixels independent, and which one pays?** A flow on 64 numbers cannot be drawn. A
# flow on a pair of pixels can: the filled pairs from above, centred and divided by their spread.

# %% tags=["trained"]
points = (filled - filled.mean(0)) / filled.std(0)                       # (2000, 2)
torch.manual_seed(0)
pair_flow = flows.Flow(flows.Chain(*[flows.AffineCoupling(2, flows.dense(24), flows.AtanClamp(2.0), swap=k % 2 == 1)
                                     for k in range(6)]), shape=(2,))
flows.maximum_likelihood(pair_flow, points, steps=300, lr=5e-3)
display(microscope.microscope(pair_flow, points, "Which layer makes two neighbouring pixels independent?"))
with torch.no_grad():
    stages = list(pair_flow.transform.steps(points))                     # 7 times (2000, 2) and log_det so far
alike = [torch.corrcoef(z.T)[0, 1].item() for z, _ in stages]
print("correlation of the two pixels after 0 … 6 layers: " + ", ".join(f"{c:.2f}" for c in alike))
squares = torch.corrcoef(stages[-1][0].square().T)[0, 1].abs().item()
print("after layer 6, correlation of the two squares below 0.1:", squares < 0.1)
parts = torch.stack([total.mean() for _, total in stages[1:]]).diff(prepend=torch.zeros(1))     # (6,)
print("mean log_det above 0 in layers", [k + 1 for k in range(6) if parts[k] > 0],
      " below 0 in layers", [k + 1 for k in range(6) if parts[k] < 0])
plots.show(microscope.strip(pair_flow, points, layers=(0, 2, 4, 6)), "Pairs of neighbouring pixels after 0, 2, 4 and 6 "
           f"layers: from correlation {alike[0]:.2f} to a round cloud.")

# %% [markdown]
# In the data, a bright pixel predicts a bright neighbour. No single layer makes them independent: each takes a part of
# the correlation. Layers 1 to 3 stretch on average, 4 to 6 squeeze: those pay. At the end the cloud is nearly round:
# knowing the first number says almost nothing about the second. A flow on pictures does this for all 64 pixels at once.
# That is what the latent of a picture is: what is left when everything predictable has been taken out.
#
# ## Two scales
#
# Deep flows on large pictures let half of the channels leave early. What leaves is latent from then on; the other half
# is squeezed again and goes on at half the resolution. `flows.FactorOut` keeps everything in one tensor: what leaves
# stays where it is. Its log_det is that of the part that goes on.

# %%
plots.show_source(picture_flows.two_scales)
two = picture_flows.load("two scales")
with torch.no_grad():
    z, _ = two(held_out)                                                 # (500, 4, 4, 4): 2 channels left, 2 went on
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    early, late = z.clone(), z.clone()
    early[:, :2], late[:, 2:] = noise[:, :2], noise[:, 2:]               # redraw one half, keep the other
    redrawn = {"redraw what left early": two.inverse(early)[0], "redraw what went on": two.inverse(late)[0]}
for name in picture_flows.MAKERS:
    flow = picture_flows.load(name)
    print(f"{name:24s} held-out {flows.bits_per_dim(flow.nll(held_out), 64, LEVELS):.2f} bits per dimension, "
          f"{sum(p.numel() for p in flow.parameters()):,} weights")
for name, x in redrawn.items():
    same = ((LEVELS * x).floor() == (LEVELS * held_out).floor()).float().mean()
    print(f"{name:24s} pixels change by {(x - held_out).square().mean().sqrt():.3f} (root mean square); "
          f"{same:.0%} keep their level")
print(f"a new u alone changes pixels by {math.sqrt(2 / 12) / LEVELS:.3f}")
plots.show(painting.rows({"picture": held_out[:14], "early half new": redrawn["redraw what left early"][:14],
                          "late half new": redrawn["redraw what went on"][:14]}),
           "Digits, the same digits with the early half of their latents redrawn, and with the late half redrawn.")

# %% [markdown]
# Redraw the 32 latents that left early and you get the same digit with slightly different grey values; much of the
# change is the noise u, for most pixels keep their level. Redraw the 32 that went on and you get another digit. The
# flow was never told what is a detail: what could be explained locally left, what needs the whole picture went on. Here
# the flow with one scale needs fewer bits; it also has three times as many weights, so this does not judge the order.
# On large pictures the early exit saves work in every later layer.
#
# ## Temperature
#
# **At which temperature do pictures stop looking like training pictures: below 1, above 1, or both?** Guess, then move
# the temperature. The other sliders take one digit and move its latent along a direction, from the mean latent of all
# digits towards the mean of one.

# %%
display(latent_sliders.sliders())
view = latent_sliders.Painter()
for t in (0.0, 0.5, 1.0, 1.75):
    n = view.numbers(0, 3, 0.0, t)
    print(f"T = {t:<4g}  spread {n['spread']:4.0%} of that of training pictures   "
          f"outside the grey scale {n['outside']:.0%}")
plots.show(painting.rows({f"start {k}": torch.cat([view.moved(k, 0, 5.0)[1][:1]]
                                               + [view.moved(k, digit, 5.0)[1][1:] for digit in range(10)])
                          for k in range(2)}), "First column: two held-out fives. Then each of them, moved by 5 "
           "towards the mean of 0, 1, … 9.")
plots.show(latent_sliders.strip(view, (0.0, 0.5, 1.0, 1.75)), "Twelve samples at four temperatures, from "
           "the same twelve draws. At 0 all are the same picture; at 1.75 strokes saturate and tear.")

# %% [markdown]
# First figure: a five becomes nearly any digit you ask for, by one straight step in the latent space. The flow was
# trained without labels; the ten directions are differences of means.
#
# Second figure, and the answer: both. At 0 every sample is the same clean zero: each looks like a training picture, all
# together do not. At 0.5 many samples are pale mixtures near it: the spread between samples is far below that of the
# data. Above 1 contrasts get harder and pixels leave the grey scale. "Lower temperature, better pictures" is half true:
# it buys tidiness with variety.
#
# ## Walking between two pictures
#
# In d = 64 dimensions a standard normal draw has a length near √64 = 8. Half-way on the straight line between two
# draws, the length is near √32 = 5.66.

# %%
draws = torch.randn(10_000, 2, 64, generator=torch.Generator().manual_seed(0))
middle = draws.mean(1)                                                   # (10000, 64), half-way
short = (draws.norm(dim=2) < 32**0.5).sum()
print(f"length of a draw {draws.norm(dim=2).mean():.2f} ± {draws.norm(dim=2).std():.2f};  half-way "
      f"{middle.norm(dim=1).mean():.2f};  shorter than √32: {short} of {2 * len(draws)} draws")
with torch.no_grad():
    z = painter(held_out)[0].flatten(1)                                  # (500, 64)
    t = torch.linspace(0, 1, 14)[:, None]                                # (14, 1)
    straight = (1 - t) * z[0] + t * z[5]
    quarter = torch.cos(math.pi / 2 * t) * z[0] + torch.sin(math.pi / 2 * t) * z[5]       # a quarter of a circle
    pictures = {name: painter.inverse(path.view(-1, 16, 2, 2))[0] for name, path in
                {"straight line": straight, "on the shell": quarter}.items()}
lengths = z.norm(dim=1)
print(f"held-out digits: {lengths.mean():.1f} ± {lengths.std():.1f};  half-way: "
      f"straight {straight[6:8].norm(dim=1).mean():.1f}, on the shell {quarter[6:8].norm(dim=1).mean():.1f}")
plots.show(painting.rows(pictures), "From one digit to another in 14 steps, on the straight line and on the shell.")

# %%
band = (float(lengths.mean() - 2 * lengths.std()), float(lengths.mean() + 2 * lengths.std()))
fig = painting.norms(t[:, 0], {"straight line": straight.norm(dim=1), "on the shell": quarter.norm(dim=1)}, band)
plots.show(fig, f"Length of the latent on both paths. The straight line dips to "
           f"{straight.norm(dim=1).min():.1f}, below the band of real digits, {band[0]:.1f} to "
           f"{band[1]:.1f}; the other path stays inside.")
a, b = z[:250], z[250:]                                                  # 250 pairs of held-out digits
half_way = {"straight": (a + b) / 2, "on the shell": (a + b) / 2**0.5}
with torch.no_grad():
    half_way = {name: painter.inverse(v.view(-1, 16, 2, 2))[0] for name, v in half_way.items()}
    for name, x in {"held-out digits": held_out, **half_way}.items():
        log_p = painter.log_prob(x)
        print(f"{name:16s} contrast {x.flatten(1).std(1).mean():.2f}   "
              f"mean log p(x) {log_p.mean():.0f} ± {log_p.std() / len(x)**0.5:.1f} nats (standard error)")
    gap = painter.log_prob(half_way["straight"]) - painter.log_prob(half_way["on the shell"])       # (250,), paired
print(f"straight less shell, pair by pair: {gap.mean():.1f} ± {gap.std() / len(gap)**0.5:.1f} nats")

# %% [markdown]
# **A common misconception: "the picture half-way between two pictures lies at the mean of their latents."** The mean is
# too short by a factor of about √2; almost no draw is as short. It is the place of a low temperature (5.66 / 8 = 0.71),
# and looks like it: over 250 pairs, the picture half-way on the straight line has less contrast than the one on the
# shell, which has less than real digits. And yet the flow finds the pale ones *more* likely than those on the shell,
# pair by pair, and on average no less likely than real digits. Likely is not *typical*, that is, like most draws:
# chapter 07 begins there. The quarter circle is right for two latents at right angles, which two draws in 64 dimensions
# nearly are; the exercise asks for the general path.
#
# **Where articles are loose, and what holds.**
#
# | You may read | What holds |
# |---|---|
# | "the discriminator of a GAN computes p(x)" | the best one computes p/(p + q); ½ everywhere when q = p |
# | "p(x) is the probability that x is real" | a density: far above 1 here, and it depends on the unit of grey |
# | "log_det = 0 stretches nothing" | volume stays; single directions may be stretched |
# | "fewer bits per dimension, better pictures" | only for the same data, K and noise; samples are another question |

# %% [markdown]
# ## Check yourself
#
# **1.** A coupling on maps returns `s.sum(dim=1)`. What is its shape, and what is missing?
#
# <details><summary>(a) (B,), nothing is missing.</summary>Only the channels were summed.</details>
# <details><summary>(b) (B, H, W); the sum over positions.</summary>Right: every position stretched
# its own numbers.</details>
# <details><summary>(c) (B, C/2); the sum over positions.</summary>dim=1 is the channel axis, so it is the one that has
# gone.</details>
#
# **2.** A 1 × 1 convolution with an orthogonal matrix acts on a map of 32 × 32. Its log_det is
#
# <details><summary>(a) 0.</summary>Right: |det| = 1, and 1024 · ln 1 = 0.</details>
# <details><summary>(b) 1024.</summary>That is H · W alone; it multiplies ln|det|, which is 0.</details>
# <details><summary>(c) not defined if det = −1.</summary>The absolute value makes a mirror as good as a
# rotation.</details>

# %% [markdown]
# **3.** Someone reports −0.4 bits per dimension on pictures with 256 levels. Most likely
#
# <details><summary>(a) a very good model.</summary>No code has negative length, so no bound may be negative.</details>
# <details><summary>(b) too few training steps.</summary>That makes the number larger.</details>
# <details><summary>(c) the noise was forgotten, or log₂ K.</summary>Right. Both make the number too small: the first
# without limit, the second by 8.</details>
#
# **4.** *(earlier, 05)* The s/t network of the coupling contains a ReLU and a pooling over the whole picture. Is the
# layer invertible?
#
# <details><summary>(a) No, both lose information.</summary>The network is never inverted. It only has to be computed
# again from the half that passed.</details>
# <details><summary>(b) Yes.</summary>Right, as long as it reads only the half that passes.</details>
# <details><summary>(c) Only after training.</summary>Weights do not matter for it.</details>
#
# **5.** *(earlier, 04)* Grey values are measured from 0 to 255 instead of 0 to 1. By how much does log p(x) of a
# picture with 64 pixels change?
#
# <details><summary>(a) Not at all: it is the same picture.</summary>A density is per unit, and the unit
# changed.</details>
# <details><summary>(b) It falls by ln 255.</summary>That is one pixel's share.</details>
# <details><summary>(c) It falls by 64 · ln 255.</summary>Right: each of the 64 directions is
# stretched by 255.</details>

# %% [markdown]
# ## What you can now say
#
# - A discriminator knows a ratio. An invertible generator whose log_det can be computed knows p(x).
# - Squeeze turns neighbours into channels. A coupling on maps lets half of the channels pass; a convolution reads
#   them; log_det sums s over channels and positions.
# - What acts equally at every position (ActNorm, 1 × 1) counts H · W times.
# - Pictures are integers: add noise, and report bits per dimension with log₂ K. A number that is too good is a symptom.
# - Temperature trades variety against tidiness, and a path between two pictures should keep the length of the latent.
#
# | formula card | |
# |---|---|
# | squeeze | z[4c + 2i + j, h, w] = x[c, 2h + i, 2w + j], log_det = 0 |
# | coupling on maps | z₁ = x₁, z₂ = x₂ exp(s(x₁)) + t(x₁), log_det = Σ s over c, h, w |
# | ActNorm, 1 × 1 | log_det = H W Σ log_s, log_det = H W ln\|det M\| |
# | bits per dimension | −ln p(y) / (d ln 2) + log₂ K, y = (x + u)/K |
# | best discriminator | p / (p + q) |

# %% [markdown]
# **Next.** Build the parts yourself, six functions, 50 minutes: [exercises/06](../exercises/06_flows_that_paint.ipynb).
# Chapter [07](07_density_to_defects.ipynb) asks whether a high p(x) means "normal"; the coupling on maps comes back in
# chapters 10, 11 and 12.
#
# **Sources.** GAN (2014, arXiv 1406.2661): the best discriminator, proposition 1. RealNVP (2016, arXiv 1605.08803):
# squeeze, coupling on maps, several scales. Glow (2018, arXiv 1807.03039): ActNorm, 1 × 1, temperature. Noise and bits
# per dimension: Theis and others (2015, arXiv 1511.01844). Paths on the shell: White (2016, arXiv 1609.04468).
