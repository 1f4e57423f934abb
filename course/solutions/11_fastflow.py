# %% [markdown]
# # Exercises 11 · FastFlow
#
# Six tasks, about 56 minutes. You cut the tokens of a vision transformer into a map, count what a flow learns, write one
# step of FastFlow and its likelihood map, ask a flow whether it sees its neighbours, and build a baseline that belongs in
# every table: a memory of patches.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `tokens_to_map` | one line | 6 |
# | 2 | `flow_parameters` | one line | 8 |
# | 3 | `fastflow_step` | three lines; an idea from chapter 06 | 10 |
# | 4 | `likelihood_map` | two lines | 8 |
# | 5 | `position_blind` | the body | 10 |
# | 6 | `patch_memory_map` | everything but the signature | 14 |
#
# A check tests *laws* and says which one broke, where, and what the usual cause is.
# `checks.ch11.hint("tokens_to_map")` gives the next hint, `checks.ch11.answer("tokens_to_map")` says where the worked
# answer is. Chapter: [11 FastFlow](../notebooks/11_fastflow.ipynb).
#
# **Notation.** x data, z latent, log p(x) = log p(z) + log_det. A map has shape (B, C, h, w): B images, C channels, h rows
# and w columns of places. `log_det` has shape `(B,)`.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import math

import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · From tokens to a map (6 min)
#
# A vision transformer cuts the image into patches and returns one vector of C numbers for each, a *token*. They come in a
# row: the upper left patch first, then along the first row. In front there may be one or two tokens without a place in the
# picture.
#
# **Law.** Token number prefix + i · w + j lands at row i, column j, with 0, 1 and 2 tokens in front.

# %%
def tokens_to_map(t, grid, prefix):
    """t: (B, prefix + h·w, C); grid: (h, w). Returns the map (B, C, h, w) without the tokens in front."""
    h, w = grid
    B, _, C = t.shape
    ### BEGIN SOLUTION
    t = t[:, prefix:].transpose(1, 2)                              # (B, C, h·w): channels first, then the places
    ### END SOLUTION
    return t.reshape(B, C, h, w)


checks.ch11.check("tokens_to_map", tokens_to_map)


# %% [markdown]
# ## 2 · What a flow learns (8 min)
#
# One block of FastFlow: a network of two convolutions with windows of side k reads half of the C channels and gives s and t
# for the other half. Between the two lie m channels. Then each channel gets a learned scale and shift. The permutation is
# drawn once. A convolution from a to b channels has a · b · k² weights and b biases.
#
# **Law.** The number is that of the built module, and for the first of ResNet-18's three maps (64 channels, eight
# blocks of 3 × 3) it is 222,976.

# %%
def flow_parameters(C, ratio, kernels):
    """C: channels; ratio: m / (C/2), m cut off to a whole number; kernels: one k for each block. Returns an int."""
    m, total = int(C // 2 * ratio), 0
    for k in kernels:
        ### BEGIN SOLUTION
        total += (C // 2 * m * k * k + m) + (m * C * k * k + C) + 2 * C   # first and second convolution, scale and shift
        ### END SOLUTION
    return total


checks.ch11.check("flow_parameters", flow_parameters)


# %% [markdown]
# ## 3 · One step of FastFlow (10 min)
#
# The coupling of chapter 06, then a fixed order of the channels: channel i of z is channel perm[i] of the coupled map.
# (The learned scale is left out.) `st` keeps h and w and returns s and t side by side in its channels.
#
# **Law.** `log_det` equals ln|det ∂z/∂x|. It runs on a map of 7 × 9 places.

# %%
def fastflow_step(x, perm, st):
    """x: (B, C, h, w); perm: (C,); st: (B, C/2, h, w) -> (B, C, h, w). Returns z (B, C, h, w), log_det (B,)."""
    x1, x2 = x.chunk(2, dim=1)                                     # (B, C/2, h, w) each
    s, t = st(x1).chunk(2, dim=1)                                  # (B, C/2, h, w) each
    ### BEGIN SOLUTION
    y = torch.cat([x1, x2 * s.exp() + t], dim=1)                   # (B, C, h, w)
    z = y[:, perm]                                                 # reordering stretches nothing
    log_det = s.sum(dim=(1, 2, 3))                                 # (B,): every channel at every place
    ### END SOLUTION
    return z, log_det


checks.ch11.check("fastflow_step", fastflow_step)


# %% [markdown]
# ## 4 · The likelihood map (8 min)
#
# Which places of the latent are unlikely? At each place stand C numbers, and under the base density each is a standard
# normal of its own. Give the log-density of the C numbers at each place.
#
# **Law.** The places sum to log p(z); with log_det added, to log p(x) of the whole map. One place of the result depends on
# that place of z alone.

# %%
def likelihood_map(z):
    """z: (B, C, h, w). Returns ln N(z at q; 0, I) for each place q: (B, h, w)."""
    ### BEGIN SOLUTION
    C = z.shape[1]
    return -0.5 * z.square().sum(dim=1) - 0.5 * C * math.log(2 * math.pi)
    ### END SOLUTION


checks.ch11.check("likelihood_map", likelihood_map)


# %% [markdown]
# ## 5 · Blind to places? (10 min)
#
# A flow with 1 × 1 kernels judges each place alone: shuffle the places of x, and z comes out shuffled in the same way. Write
# the test. `perm` (h·w,) is an order of the places, row by row.
#
# **Law.** True exactly when z of the map shuffled by `perm` is z shuffled by `perm`, up to rounding, for every map of the
# batch. Some flows in the check keep every
# total unchanged and are not blind: compare maps.

# %%
def position_blind(flow, x, perm):
    """flow: (B, C, h, w) -> (z, log_det); x: (B, C, h, w); perm: (h·w,). Returns True or False."""
    ### BEGIN SOLUTION
    def shuffled(m):
        return m.flatten(2)[:, :, perm].view_as(m)

    z, _ = flow(x)
    of_shuffled, _ = flow(shuffled(x))
    return torch.allclose(shuffled(z), of_shuffled, atol=1e-5)
    ### END SOLUTION


checks.ch11.check("position_blind", position_blind)


# %% [markdown]
# ## 6 · A memory of patches (14 min)
#
# No flow, no training: keep the feature vectors of normal images in a bank. The anomaly of a place is its distance to the
# nearest vector in the bank. That is the core of PatchCore (Roth et al. 2022, arXiv 2106.08265).
#
# **Law.** A patch that is in the bank has distance 0. A smaller bank never makes a distance smaller. The result equals the
# loop over all pairs. (|a|² − 2ab + |b|² is fast, and may fall below 0 by rounding.)

# %%
def patch_memory_map(bank, f):
    """bank: (N, C), vectors of normal patches; f: (B, C, h, w). Returns the distance to the nearest: (B, h, w)."""
    ### BEGIN SOLUTION
    B, C, h, w = f.shape
    rows = f.permute(0, 2, 3, 1).reshape(-1, C)                    # (B·h·w, C): one row for each place
    nearest = torch.cdist(rows, bank).amin(dim=1)                  # (B·h·w,)
    return nearest.view(B, h, w)
    ### END SOLUTION


checks.ch11.check("patch_memory_map", patch_memory_map)

# %% [markdown]
# Now let your memory compete. The cell waits until your function passes; then it fills a bank with the features of 40
# washers and scores 38 others by the largest distance.

# %%
from tutorial_lib import backbones, metrics
from tutorial_lib.data import factory


def compete():
    washers = factory.split("washer", size=64, n_train=40, n_good=20, n_per_kind=3, seed=0)
    network = backbones.load(taps=("stride8",))
    seen, test = (network(images)[0] for images in (washers.train, washers.test))      # (N, 96, 8, 8) each
    bank = seen.permute(0, 2, 3, 1).reshape(-1, seen.shape[1])[::4]                    # every fourth patch
    score = patch_memory_map(bank, test).amax((1, 2))
    print(f"{len(bank)} patches in the bank, image AUROC {metrics.auroc(score, washers.labels):.2f}")


if checks.ch11.passes("patch_memory_map", patch_memory_map):
    compete()
else:
    print("The cell waits for your function.")

# %% [markdown]
# Its row stands in the chapter's table, beside the flow. `checks.ch11.overview()` lists what you have passed so far. Back
# to the chapter: [11 FastFlow](../notebooks/11_fastflow.ipynb).
