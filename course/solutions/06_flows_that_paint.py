# %% [markdown]
# # Exercises 06 · Flows that paint images
#
# Six tasks, about 50 minutes. You build the parts of a flow on pictures: squeeze, a coupling on maps, ActNorm and the
# 1 × 1 convolution, the unit of papers, and a path between two pictures.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `squeeze`, `unsqueeze` | one line each | 8 |
# | 2 | `conv_coupling` | three lines | 12 |
# | 3 | `actnorm_init`, `actnorm_forward` | two lines and one | 8 |
# | 4 | `conv1x1_logdet` | one line; an idea from chapter 03 | 6 |
# | 5 | `bits_per_dim` | the body | 6 |
# | 6 | `shell_path` | the body | 10 |
#
# A check tests *laws* and says which one broke, where, and what the usual cause is. `checks.ch06.hint("squeeze")` gives
# the next hint, `checks.ch06.answer("squeeze")` says where the worked answer is.
# Chapter: [06 Flows that paint images](../notebooks/06_flows_that_paint.ipynb).
#
# **Notation.** x data, z latent, log p(x) = log p(z) + log_det. A map has shape (B, C, H, W): B pictures, C channels, H
# rows, W columns. `log_det` has shape `(B,)`.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import math

import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · Squeeze, and back (8 min)
#
# Each 2 × 2 block of pixels becomes four channels of one position. i is the row inside the block, j the column:
#
# $$z_{4c + 2i + j,\; h,\; w} = x_{c,\; 2h + i,\; 2w + j}$$
#
# The first line names all axes: h and i together are the rows, w and j the columns. Bring them into the right order.
#
# **Law.** The ramp 1 … 16 lands where the formula says, the four channels of one c stay together, and `unsqueeze` gives
# x back, bit for bit.

# %%
def squeeze(x):
    """x: (B, C, H, W) with even H and W. Returns z, (B, 4C, H/2, W/2)."""
    B, C, H, W = x.shape
    x = x.reshape(B, C, H // 2, 2, W // 2, 2)                                     # axes b, c, h, i, w, j
    ### BEGIN SOLUTION
    x = x.permute(0, 1, 3, 5, 2, 4)                                               # axes b, c, i, j, h, w
    ### END SOLUTION
    return x.reshape(B, 4 * C, H // 2, W // 2)


def unsqueeze(z):
    """z: (B, 4C, H/2, W/2). Returns x, (B, C, H, W)."""
    B, C4, h, w = z.shape
    z = z.reshape(B, C4 // 4, 2, 2, h, w)                                         # axes b, c, i, j, h, w
    ### BEGIN SOLUTION
    z = z.permute(0, 1, 4, 2, 5, 3)                                               # axes b, c, h, i, w, j
    ### END SOLUTION
    return z.reshape(B, C4 // 4, 2 * h, 2 * w)


checks.ch06.check("squeeze", squeeze, unsqueeze)


# %% [markdown]
# ## 2 · A coupling layer on maps (12 min)
#
# Half of the *channels* passes and decides, at every position, how the other half is stretched and moved:
#
# $$z_1 = x_1 \qquad z_2 = x_2\, e^{s(x_1)} + t(x_1)$$
#
# `st` keeps height and width and returns s and t side by side in its channels; s is clamped inside `st` already.
#
# **Law.** `log_det` equals ln|det ∂z/∂x|, measured by nudging every entry, on maps of three sizes. A map gets the same
# number alone and in a batch.

# %%
def conv_coupling(x, st):
    """x: (B, C, H, W); st: (B, C/2, H, W) -> (B, C, H, W). Returns z (B, C, H, W) and log_det (B,)."""
    x1, x2 = x.chunk(2, dim=1)                                                    # (B, C/2, H, W) each
    ### BEGIN SOLUTION
    s, t = st(x1).chunk(2, dim=1)                                                 # (B, C/2, H, W) each
    z2 = x2 * s.exp() + t
    log_det = s.sum(dim=(1, 2, 3))                                                # (B,): every channel, every position
    ### END SOLUTION
    return torch.cat([x1, z2], dim=1), log_det


checks.ch06.check("conv_coupling", conv_coupling)


# %% [markdown]
# ## 3 · ActNorm (8 min)
#
# z = x · exp(log_s) + b, one log_s and one b per channel, the same at every position. From the first batch, choose them
# so that each channel of z has mean 0 and variance 1. Then say the log_det.
#
# **Law.** Channel mean 0 and variance 1 after the start. `log_det` equals ln|det ∂z/∂x| of the whole map.

# %%
def actnorm_init(x):
    """x: (B, C, H, W). Returns log_s (C,) and b (C,)."""
    mean, std = x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3))                       # (C,) each: over batch and positions
    ### BEGIN SOLUTION
    log_s = -std.log()                                                            # times exp(log_s) is division by std
    b = -mean / std                                                               # the shift comes after the scaling
    ### END SOLUTION
    return log_s, b


def actnorm_forward(x, log_s, b):
    """x: (B, C, H, W); log_s, b: (C,). Returns z (B, C, H, W) and log_det (B,)."""
    B, C, H, W = x.shape
    z = x * log_s.exp().view(1, C, 1, 1) + b.view(1, C, 1, 1)
    ### BEGIN SOLUTION
    log_det = (H * W * log_s.sum()).expand(B)                                     # (B,): the same for every picture
    ### END SOLUTION
    return z, log_det


checks.ch06.check("actnorm_init", actnorm_init, actnorm_forward)


# %% [markdown]
# ## 4 · The log_det of a 1 × 1 convolution (6 min)
#
# At every position of an H × W map, the C channels are multiplied by the same matrix M. The Jacobian of the whole map
# is block-diagonal.
#
# **Law.** Equals autograd's value for the whole map. 0 for rotations and for mirrors. Holds for 200 channels.

# %%
def conv1x1_logdet(M, H, W):
    """M: (C, C). Returns log_det of the whole map, a tensor of shape ()."""
    ### BEGIN SOLUTION
    log_det = H * W * torch.linalg.slogdet(M).logabsdet                           # never forms the determinant itself
    ### END SOLUTION
    return log_det


checks.ch06.check("conv1x1_logdet", conv1x1_logdet)


# %% [markdown]
# ## 5 · Bits per dimension (6 min)
#
# `nll` is −ln p(y) in nats of pictures with d values each, y = (x + u) / levels in [0, 1). Turn it into bits per value,
# and undo the division by the number of levels.
#
# **Law.** An even guess (nll = 0) costs log₂ of the number of levels: 8 for 256. Twice the density per value saves one
# bit.

# %%
def bits_per_dim(nll, d, levels=256):
    """nll: (B,), nats. Returns (B,), bits per value."""
    ### BEGIN SOLUTION
    return nll / (d * math.log(2)) + math.log2(levels)
    ### END SOLUTION


checks.ch06.check("bits_per_dim", bits_per_dim)


# %% [markdown]
# ## 6 · A path on the shell (10 min)
#
# n latents from z0 to z1, both ends included. The length must go steadily from ‖z0‖ to ‖z1‖, and the direction must
# turn on the shortest way: separate length and direction. Ends that point the same way must work; opposite ends need
# not.
#
# **Law.** Ends exact, lengths steady between those of the ends, no jumps, the shortest way, parallel ends.

# %%
def shell_path(z0, z1, n):
    """z0, z1: (d,). Returns the path, (n, d), from z0 to z1."""
    ### BEGIN SOLUTION
    t = torch.linspace(0, 1, n, dtype=z0.dtype)[:, None]                          # (n, 1)
    line = (1 - t) * z0 / z0.norm() + t * z1 / z1.norm()                          # (n, d), between the unit vectors
    length = (1 - t) * z0.norm() + t * z1.norm()                                  # (n, 1)
    return length * line / line.norm(dim=1, keepdim=True)
    ### END SOLUTION


checks.ch06.check("shell_path", shell_path)

# %% [markdown]
# ## Where you are

# %%
checks.ch06.overview()
