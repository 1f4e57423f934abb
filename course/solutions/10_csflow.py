# %% [markdown]
# # Exercises 10 · CS-Flow
#
# You build CS-Flow's parts yourself: the image at three sizes, one log_det for three maps, the exchange between
# neighbouring sizes, the coupling, its inverse (a flawed one is given, find the flaws), and the map with its score.
#
# | # | function | what is left to you | minutes |
# |---|---|---|---|
# | 1 | `three_sizes` | one line | 6 |
# | 2 | `sum_log_det` | one line | 6 |
# | 3 | `exchange` | two to four lines | 12 |
# | 4 | `cross_coupling` | two to four lines | 12 |
# | 5 | `fixed_inverse` | two to four lines | 13 |
# | 6 | `localise`, `image_score` | the bodies | 7 |
#
# **How a check works.** It does not compare you with one answer. It tests a *law*, for example "scales 0 and 2 do not
# talk", and says which law broke, where, and what the usual cause is. Run a check as often as you like.
# `checks.ch10.hint("exchange")` gives the next hint, `checks.ch10.answer("exchange")` says where the worked answer is.
# Chapter: [10 CS-Flow](../notebooks/10_csflow.ipynb).
#
# **Three maps.** In this chapter one sample is a tuple of three maps. Scale 0 is the largest, and each next one has half
# its height and half its width: `(B, C, h, w)`, `(B, C, h/2, w/2)`, `(B, C, h/4, w/4)`.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import torch
import torch.nn.functional as F

from tutorial_lib import checks


# %% [markdown]
# ## 1 · The image at three sizes (6 min)
#
# The same frozen network looks at the picture three times: at every pixel, at every second, at every fourth.
# `extract(images)` takes `(B, 3, H, W)` and returns a dictionary of feature maps, one per tap. CS-Flow reads the tap
# `"block 35"`: counted from 0, so it is the 36th. (Behind it lies `"block 36"`, the 37th, with more channels. The released
# code read that one for months, and nothing complained.)
#
# **Law.** Map k is what the network makes of every $2^k$-th pixel along both sides, taken as it is. Nothing is averaged, as
# in the published code; other ways to shrink an image give other pixels. Each image keeps its own row.

# %%
def three_sizes(x, extract):
    """x: (B, 3, H, W). extract: images to {tap: map}. Returns three maps (B, C, h, w), (B, C, h/2, w/2), ..."""
    maps = []
    for step in (1, 2, 4):
        ### BEGIN SOLUTION
        maps.append(extract(x[:, :, ::step, ::step])["block 35"])  # the picture is made smaller, not its features
        ### END SOLUTION
    return tuple(maps)


checks.ch10.check("three_sizes", three_sizes)


# %% [markdown]
# ## 2 · One log_det for three maps (6 min)
#
# Every number of every map is stretched: $z_k = x_k \cdot e^{s_k}$ for k = 0, 1, 2. The three maps have *one* joint density.
#
# **Law.** log_det is ln|det| of the Jacobian of all numbers of all maps together, one value per sample.

# %%
def sum_log_det(s):
    """s: tuple of log-scales, (B, C, h_k, w_k) each. Returns log_det, (B,)."""
    log_det = torch.zeros_like(s[0][:, 0, 0, 0])  # (B,)
    for s_k in s:
        ### BEGIN SOLUTION
        log_det = log_det + s_k.flatten(1).sum(1)  # every number counts once, at whatever scale
        ### END SOLUTION
    return log_det


checks.ch10.check("sum_log_det", sum_log_det)


# %% [markdown]
# ## 3 · Neighbours exchange (12 min)
#
# Inside an s/t network each scale has made its own map `h[k]`. Now neighbours are added. Two networks are given:
# `up(h[k])` makes a map of twice the height and width, `down(h[k])` one of half. (In CS-Flow the own map passes a
# convolution as well. It is left out here.)
#
# Each scale keeps what it has and adds what its neighbours send. Scales 0 and 2 are no neighbours.
#
# **Law.** Every shape stays. With `up` and `down` switched off, h comes back as it is. A change of scale 0 reaches scale 1
# and not scale 2, and the other way round.

# %%
def exchange(h, up, down):
    """h: (h0, h1, h2), the largest first. Returns three maps of the same shapes."""
    large, middle, small = h
    ### BEGIN SOLUTION
    new_large = large + up(middle)
    new_middle = middle + down(large) + up(small)  # the maps that came in, not the new ones
    new_small = small + down(middle)
    ### END SOLUTION
    return new_large, new_middle, new_small


checks.ch10.check("exchange", exchange)

# %% [markdown]
# ## 4 · One coupling for three maps (12 min)
#
# The coupling of chapter 06, three times, with one thing new: `st` sees the passing halves of *all* scales at once. It
# returns one map `(B, C, h_k, w_k)` per scale: s and t for the other half, side by side. s is bounded already.
#
# $$z_{k,1} = x_{k,1}, \qquad z_{k,2} = x_{k,2} \cdot e^{s_k} + t_k, \qquad (s, t) = \text{st}(x_{0,1}, x_{1,1}, x_{2,1})$$
#
# Two helpers are given: `halves(xs)` returns the first halves and the second halves (a tuple of maps each), `joined(first,
# second)` puts them together again.
#
# **Law.** The first halves pass. log_det is ln|det| of the joint Jacobian.

# %%
from tutorial_lib.checks.ch10 import halves, joined


def cross_coupling(xs, st):
    """xs: tuple of maps (B, C, h_k, w_k). st: tuple of (B, C/2, h_k, w_k) to tuple of (B, C, h_k, w_k).
    Returns (zs, log_det): a tuple like xs, and (B,)."""
    first, second = halves(xs)
    changed, log_det = [], torch.zeros_like(xs[0][:, 0, 0, 0])
    for x2, out in zip(second, st(first)):
        ### BEGIN SOLUTION
        s, t = out.chunk(2, dim=1)                     # (B, C/2, h_k, w_k) each
        changed.append(x2 * s.exp() + t)
        log_det = log_det + s.flatten(1).sum(1)
        ### END SOLUTION
    return joined(first, tuple(changed)), log_det


checks.ch10.check("cross_coupling", cross_coupling)

# %% [markdown]
# ## 5 · Find the bug (13 min)
#
# A block of CS-Flow changes both halves. `block.a` reads the second halves of all scales and gives `(s, t)` for the first
# ones; then `block.b` reads the *new* first halves and gives `(s, t)` for the second ones:
#
# $$z_1 = x_1 \cdot e^{s_a} + t_a, \quad (s_a, t_a) = a(x_2) \qquad\qquad z_2 = x_2 \cdot e^{s_b} + t_b, \quad (s_b, t_b) = b(z_1)$$
#
# The inverse below has the flaws of the released code. Both networks are multiplied by *gammas*, which start at 0. Run
# the cell: in the untrained block the round trip is perfect. With other gammas it is not.

# %%
from tutorial_lib.checks.ch10 import Block, total


def flawed_inverse(block, zs):
    """As in the released code. There are two flaws."""
    z1, z2 = halves(zs)
    s_b, shift = block.b(z1)
    x2 = tuple((z - t) * (-s).exp() for z, s, t in zip(z2, s_b, shift))
    s_a = block.a(x2)[0]
    x1 = tuple((z - t) * (-s).exp() for z, s, t in zip(z1, s_a, shift))
    return joined(x1, x2), total(s_a, s_b)             # total: the sum of all numbers at all scales, (B,)


xs = tuple(torch.randn(2, 2, side, side, generator=torch.Generator().manual_seed(side)).double() for side in (8, 4, 2))
for gammas in ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)):
    zs, _ = Block(gammas)(xs)
    back, _ = flawed_inverse(Block(gammas), zs)
    error = max(float((a - b).abs().max()) for a, b in zip(back, xs))
    print(f"gammas {gammas[0]}: largest error of the round trip {error:.2g}")


# %% [markdown]
# **Law.** The inverse undoes the block at every scale, with gammas away from 0, and its log_det is minus the forward one.
# Write the function with both flaws repaired.

# %%
def fixed_inverse(block, zs):
    """zs: tuple of maps (B, 2c, h_k, w_k), the block's output. Returns (xs, log_det)."""
    z1, z2 = halves(zs)
    ### BEGIN SOLUTION
    s_b, t_b = block.b(z1)                             # z1 is known, so this can be computed again
    x2 = tuple((z - t) * (-s).exp() for z, s, t in zip(z2, s_b, t_b))
    s_a, t_a = block.a(x2)
    x1 = tuple((z - t) * (-s).exp() for z, s, t in zip(z1, s_a, t_a))
    return joined(x1, x2), -total(s_a, s_b)
    ### END SOLUTION


checks.ch10.check("fixed_inverse", fixed_inverse)


# %% [markdown]
# ## 6 · Where, and how much? (7 min)
#
# The *map* says where: at each position of the finest scale, the mean of z² over the channels, enlarged bilinearly to the
# image with `align_corners=False`, so that a cell's value stands at the cell's centre. The *score* says how much: half the
# mean of z² over all numbers of all three scales. The log_det is handed in because training needs it. Does the score?
#
# **Law.** Before it is enlarged, the map averages to the mean of all $z_0^2$. The score of z = 1 is 0.5. Each image has
# its own.

# %%
def localise(zs, size):
    """zs: tuple of latents (B, C, h_k, w_k). size: (H, W). Returns the map (B, H, W)."""
    ### BEGIN SOLUTION
    squares = zs[0].square().mean(dim=1, keepdim=True)                       # (B, 1, h, w): the finest scale alone
    return F.interpolate(squares, size=size, mode="bilinear", align_corners=False)[:, 0]
    ### END SOLUTION


def image_score(zs, log_det):
    """zs: tuple of latents (B, C, h_k, w_k). log_det: (B,). Returns the score (B,)."""
    ### BEGIN SOLUTION
    numbers = torch.cat([z.flatten(1) for z in zs], dim=1)                   # (B, D): every number weighs the same
    return numbers.square().mean(dim=1) / 2                                  # no log_det, as published
    ### END SOLUTION


checks.ch10.check("localise", localise, image_score)

# %% [markdown]
# A question to end with: scale 0 has 16 times as many positions as scale 2. If every z² is near 1, as on a good part, what
# share of the score comes from the smallest picture? (One in 21, a little under 5 %. The shares are 16 : 4 : 1.)
#
# `checks.ch10.overview()` lists what you have passed so far. Back to the chapter:
# [10 CS-Flow](../notebooks/10_csflow.ipynb).
