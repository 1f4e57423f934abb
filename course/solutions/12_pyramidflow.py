# %% [markdown]
# # Exercises 12 · PyramidFlow
#
# You build what PyramidFlow is made of: a pyramid and its way back, the distance of two pictures in frequencies, a
# matrix whose volume stays 1, volume normalisation, a coupling between two levels, and the template with its map.
#
# | # | function | what is left to you | minutes |
# |---|---|---|---|
# | 1 | `laplacian_split`, `laplacian_join` | one line each | 12 |
# | 2 | `fourier_gap` | one line | 6 |
# | 3 | `unit_volume` | two lines | 8 |
# | 4 | `volume_norm` | two to four lines | 12 |
# | 5 | `level_coupling` | two to four lines | 12 |
# | 6 | `template`, `defect_map` | the bodies | 12 |
#
# **How a check works.** It does not compare you with one answer. It tests a *law*, for example "the round trip gives
# the picture back for any filter", and says which law broke, where, and what the usual cause is. Run a check as often
# as you like. `checks.ch12.hint("laplacian_split")` gives the next hint, `checks.ch12.answer("laplacian_split")` says
# where the worked answer is. Chapter: [12 PyramidFlow](../notebooks/12_pyramidflow.ipynb).

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · A pyramid, and back (12 min)
#
# `down` makes a picture half as large, `up` makes one twice as large. Level k of the pyramid stores what `up` of the
# next smaller picture *missed*; the last level is the smallest picture itself. The way back adds what was missed, from
# coarse to fine.
#
# **Law.** Two statements. Level k is x_k − up(x_(k+1)), where x_0 is the picture and x_(k+1) = down(x_k); the last level is
# the smallest x_k as it is. And `laplacian_join(laplacian_split(x, levels, down, up), up)` is x, exactly, for any `down` and
# `up`: the check tries a blur, a max-pool, and a random filter with zeros in the gaps. The second alone would allow other
# levels, with both signs turned for example. Sides that cannot be halved often enough raise a ValueError that names them
# (that part is done).

# %%
def laplacian_split(x, levels, down, up):
    """x: (B, C, H, W). down, up: half and double the sides. Returns a list of `levels` tensors, the finest first."""
    pyramid, times = [], 2 ** (levels - 1)
    if x.shape[2] % times or x.shape[3] % times:
        raise ValueError(f"{levels} levels need sides that are multiples of {times}. Found {tuple(x.shape[2:])}.")
    for _ in range(levels - 1):
        smaller = down(x)                     # (B, C, H/2, W/2)
        ### BEGIN SOLUTION
        pyramid.append(x - up(smaller))       # what the prediction from the small picture missed
        ### END SOLUTION
        x = smaller
    return [*pyramid, x]


def laplacian_join(pyramid, up):
    """pyramid: list of (B, C, h, w), the finest first. Returns (B, C, H, W)."""
    x = pyramid[-1]
    for missed in reversed(pyramid[:-1]):
        ### BEGIN SOLUTION
        x = up(x) + missed
        ### END SOLUTION
    return x


checks.ch12.check("laplacian_split", laplacian_split, laplacian_join)


# %% [markdown]
# ## 2 · A distance in frequencies (6 min)
#
# The Fourier transform writes a picture as a sum of waves. Normalised as a *rotation* (`norm="ortho"`), it keeps
# lengths: that is Parseval's law. PyramidFlow takes the magnitudes |F| of a map of differences (there: squared differences
# of latents, joined), not their squares. Here, on the plain difference of two pictures, you see what that changes.
#
# $$\text{gap} = \operatorname{mean}\ |F(a - b)|^{\text{power}}$$
#
# `torch.fft.fft2(x, norm="ortho")` transforms the last two axes; its result is complex.
#
# **Law.** With `power=2` the gap is the mean of (a − b)² over the pixels. With `power=1` it is not: a difference in one
# pixel fills every frequency, an even grey difference only one.

# %%
def fourier_gap(a, b, power):
    """a, b: (B, C, H, W). power: 1 or 2. Returns the mean of |F(a - b)| ** power over everything: one number."""
    ### BEGIN SOLUTION
    return (torch.fft.fft2(a - b, norm="ortho").abs() ** power).mean()
    ### END SOLUTION


checks.ch12.check("fourier_gap", fourier_gap)


# %% [markdown]
# ## 3 · A matrix that learns, and keeps its volume (8 min)
#
# A 1 × 1 convolution mixes the channels of each position by a matrix W. PyramidFlow's W may learn, but |det W| = 1. It is
# kept in parts:
#
# $$W = P\,(L + I)\,\bigl(U + \operatorname{diag}(\text{sign} \cdot e^{w - \bar w})\bigr)$$
#
# P is a fixed permutation matrix, L strictly lower and U strictly upper triangular, sign holds ±1, and $\bar w$ is the
# mean of w. `lower` and `upper` come as full matrices: take what is strictly below or above the diagonal
# (`torch.tril(m, -1)`, `torch.triu(m, 1)`).
#
# **Law.** |ln|det W|| < 10⁻⁶ at the start and after ten gradient steps on the parts. Orthogonal is another thing: W is
# that at the start only.

# %%
def unit_volume(P, lower, upper, sign, w):
    """P, lower, upper: (C, C). sign, w: (C,). Returns W (C, C) with |det W| = 1."""
    L = torch.tril(lower, -1) + torch.eye(len(P), dtype=P.dtype)
    ### BEGIN SOLUTION
    U = torch.triu(upper, 1) + torch.diag(sign * torch.exp(w - w.mean()))   # the exponents add up to 0
    return P @ L @ U
    ### END SOLUTION


checks.ch12.check("unit_volume", unit_volume)


# %% [markdown]
# Rotation or not? Ten steps away from a random orthogonal matrix, the volume is still 1 and the shape is not.

# %%
def rotation_or_not():
    turned = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))[0]
    P, lower, upper = torch.linalg.lu(turned)
    sign, w = upper.diagonal().sign(), upper.diagonal().abs().log()
    parts = [v.clone().requires_grad_() for v in (lower, upper, w)]
    for step in range(11):
        W = unit_volume(P, parts[0], parts[1], sign, parts[2])
        if step % 5 == 0:
            off = (W.T @ W - torch.eye(4)).abs().max()
            print(f"step {step:2d}   |det W| = {torch.linalg.det(W).abs():.4f}   largest entry of |WᵀW − I| {off:.3f}")
        gradients = torch.autograd.grad((W - 2 * torch.eye(4)).square().sum(), parts)
        parts = [(v - 0.05 * g).detach().requires_grad_() for v, g in zip(parts, gradients, strict=True)]


if checks.ch12.passes("unit_volume", unit_volume):
    rotation_or_not()
else:
    print("This table waits for your function.")


# %% [markdown]
# ## 4 · Volume normalisation (12 min)
#
# A coupling multiplies by $e^{s}$. Take the mean of s away, and one number can only grow if another one
# shrinks. The batch
# axis is always among the axes of the mean: `dims=(0, 1)` gives one mean per pixel (over batch and channels),
# `dims=(0, 2, 3)` one per channel.
#
# A single image to be judged has no batch. So training keeps a running mean, `0.9 * running + 0.1 * batch mean`, and
# evaluation takes that away instead.
#
# **Law.** Training: Σ s' = 0 over the axes, so ln|det| of the *whole batch* is 0; the new running mean carries no graph.
# Evaluation: s − running, running unchanged, images apart.

# %%
def volume_norm(s, dims, running, training):
    """s: (B, C, h, w). running: the mean's shape, 1 along dims. Returns (s', new running mean)."""
    ### BEGIN SOLUTION
    if not training:
        return s - running, running
    mean = s.mean(dims, keepdim=True)
    return s - mean, 0.9 * running + 0.1 * mean.detach()     # stored without its graph
    ### END SOLUTION


checks.ch12.check("volume_norm", volume_norm)

# %% [markdown]
# ## 5 · Two levels in one coupling (12 min)
#
# Here it is not halves of the channels that take turns but levels of a pyramid. The coarse level passes and is looked
# at; the fine one is scaled and shifted:
#
# $$\text{fine}' = \text{fine} \odot e^{s} + t, \qquad (s, t) = \text{st}(\text{nearest}(\text{coarse}))$$
#
# `nearest` makes a map twice as large: each pixel becomes a block of 2 × 2. `st` gives 2C channels: s first, then t.
#
# **Law.** The coarse level and both shapes stay; log_det equals ln|det| of the pair's Jacobian, one number per pyramid.

# %%
from tutorial_lib.checks.ch12 import nearest


def level_coupling(fine, coarse, st):
    """fine: (B, C, h, w). coarse: (B, C, h/2, w/2). st: (B, C, h, w) -> (B, 2C, h, w). Returns ((fine', coarse), (B,))."""
    ### BEGIN SOLUTION
    s, t = st(nearest(coarse)).chunk(2, dim=1)               # (B, C, h, w) each, the size of fine
    return (fine * s.exp() + t, coarse), s.sum(dim=(1, 2, 3))
    ### END SOLUTION


checks.ch12.check("level_coupling", level_coupling)


# %% [markdown]
# ## 6 · Template and map (12 min)
#
# The flow has turned every image into a pyramid of latents. The template T is the mean of normal ones, level by level.
# The map of a new part takes |z − T| at every level, composes the levels as in exercise 1, and averages the channels:
#
# $$T_l = \operatorname{mean}_i z_l^{(i)}, \qquad \text{map} = \operatorname{mean}_c \operatorname{join}\bigl(|z_0 - T_0|, \dots, |z_{L-1} - T_{L-1}|\bigr)$$
#
# Here a latent is one image's: a tuple of `(C, h, w)`, no batch axis. Pass `up` on to your `laplacian_join`.
#
# **Law.** The order of the normal parts does not matter. The map of the template itself is 0. A planted difference
# shows in its place, whatever its sign.

# %%
def template(latents):
    """latents: list of tuples, one per normal image, each with one (C, h, w) per level. Returns such a tuple."""
    ### BEGIN SOLUTION
    return tuple(torch.stack(level).mean(dim=0) for level in zip(*latents, strict=True))
    ### END SOLUTION


def defect_map(latent, template, up):
    """latent, template: tuples of (C, h, w), the finest first. up: twice the sides. Returns (H, W)."""
    ### BEGIN SOLUTION
    differences = [(z - t).abs() for z, t in zip(latent, template, strict=True)]   # before anything can cancel
    return laplacian_join(differences, up).mean(dim=0)
    ### END SOLUTION


checks.ch12.check("template", template, defect_map)

# %% [markdown]
# Now use them on pictures, without any flow: the pyramid of the pixels is the latent. This is rung one of the chapter's
# ladder, a template of pixels. The map is drawn once your functions pass.

# %%
from tutorial_lib import plots
from tutorial_lib.checks.ch12 import blur_and_skip
from tutorial_lib.data import factory
from tutorial_lib.plots import gallery


def pixels_only(normals=30):
    def latents(images):
        levels = laplacian_split(images, 4, blur_and_skip, nearest)
        return [tuple(level[i] for level in levels) for i in range(len(images))]

    good = factory.normal("washer", normals, size=64, seed=0)
    spotted, masks = factory.defective("washer", "missing", 3, size=64, seed=1)
    common = template(latents(good))
    maps = [defect_map(z, common, nearest) for z in latents(spotted)]
    plots.show(gallery.strip(list(spotted), ["missing"] * 3, maps=maps, masks=list(masks)),
               f"Three washers with a piece broken out, and the map of |z − T| for a template of {normals} good ones. "
               "The defect is there, and so is every edge that lies elsewhere than on average.")


if checks.ch12.passes("laplacian_split", laplacian_split, laplacian_join) and \
        checks.ch12.passes("template", template, defect_map):
    pixels_only()
else:
    print("The picture waits for exercises 1 and 6.")

# %% [markdown]
# What a flow has to add is visible here: pull the good parts together, so that their edges no longer light up. The
# chapter measures how far that goes.
#
# `checks.ch12.overview()` lists what you have passed so far. Back to the chapter:
# [12 PyramidFlow](../notebooks/12_pyramidflow.ipynb).
