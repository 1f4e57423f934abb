# %% [markdown]
# # Exercises 09 · CFlow-AD
#
# Six tasks, about 58 minutes. You take a feature map apart into vectors, write the code of a position, let a coupling read
# it, and put the likelihood maps together again. At the end you ask a trained flow what it knows about places.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `map_to_vectors`, `vectors_to_map` | one line each | 5 |
# | 2 | `positions_2d` | three lines | 12 |
# | 3 | `conditional_coupling` | three lines | 10 |
# | 4 | `logsigmoid_loss` | two lines | 8 |
# | 5 | `aggregate` | the body | 13 |
# | 6 | `position_swap` | everything but the signature | 10 |
#
# A check tests *laws* and says which one broke, where, and what the usual cause is. `checks.ch09.hint("aggregate")` gives
# the next hint, `checks.ch09.answer("aggregate")` says where the worked answer is.
# Chapter: [09 CFlow-AD](../notebooks/09_cflow.ipynb).
#
# **Notation.** x data, z latent, log p(x) = log p(z) + log_det. A feature map f has shape (B, C, h, w): B images, C
# channels, h rows and w columns of cells. N counts vectors, P the entries of a position's code.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import torch
from torch.nn import functional as F

from tutorial_lib import checks


# %% [markdown]
# ## 1 · One vector per position (5 min)
#
# CFlow's flow does not see a map. It sees vectors: the C numbers of one position. Row by row, image by image.
#
# **Law.** Row (b·h + y)·w + x holds the vector of image b at row y, column x. The way back gives f again, bit for bit.

# %%
def map_to_vectors(f):
    """f: (B, C, h, w). Returns (B·h·w, C): image by image, row by row."""
    ### BEGIN SOLUTION
    return f.permute(0, 2, 3, 1).reshape(-1, f.shape[1])                # C last, then everything else in one axis
    ### END SOLUTION


def vectors_to_map(v, B, h, w):
    """v: (B·h·w, C), in that order. Returns (B, C, h, w)."""
    ### BEGIN SOLUTION
    return v.reshape(B, h, w, -1).permute(0, 3, 1, 2)
    ### END SOLUTION


checks.ch09.check("map_to_vectors", map_to_vectors, vectors_to_map)


# %% [markdown]
# ## 2 · The code of a position (12 min)
#
# Sines and cosines of the column fill the first half of the P channels, those of the row the second half. With
# half = P/2 and i = 0 … half/2 − 1:
#
# $$\omega_i = 10000^{-2i/\text{half}},\qquad \text{channels } 2i,\ 2i+1:\ \sin(\text{column}\cdot\omega_i),\
# \cos(\text{column}\cdot\omega_i)$$
#
# and the same for the row, half channels further on. Columns and rows are counted in cells, from 0.
#
# **Law.** The first half is the same in every row, the second in every column. |code|² = P/2. No two positions share a
# code. At row 5, column 7, with P = 128: channel 0 is 0.656987.

# %%
def positions_2d(P, h, w):
    """P: a multiple of 4. Returns the codes of all positions, (P, h, w)."""
    half = P // 2
    omega = 10_000 ** (-2 * torch.arange(half // 2) / half)             # (half/2,)

    def wave(n):
        """Sine and cosine in turn of the places 0 … n − 1: (half, n)."""
        ### BEGIN SOLUTION
        angle = torch.arange(n)[:, None] * omega                        # (n, half/2)
        return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).T
        ### END SOLUTION

    columns = wave(w)[:, None, :].expand(half, h, w)                    # the same in every row
    ### BEGIN SOLUTION
    rows = wave(h)[:, :, None].expand(half, h, w)                       # the same in every column
    ### END SOLUTION
    return torch.cat([columns, rows])


checks.ch09.check("positions_2d", positions_2d)


# %% [markdown]
# ## 3 · A coupling that is told (10 min)
#
# Half of the vector passes. The network that decides what happens to the other half reads two things: the half that
# passes, and the condition. `st` takes one tensor (N, C/2 + P), first x1, then the condition, and returns (N, C): first s,
# then t. Its s is bounded already.
#
# **Law.** log_det is ln|det ∂z/∂x| with the condition held fixed. Undone with another condition, z is not x.

# %%
def conditional_coupling(x, cond, st):
    """x: (N, C) with even C. cond: (N, P). Returns z, (N, C), and log_det, (N,)."""
    x1, x2 = x.chunk(2, dim=1)                                          # (N, C/2) each
    ### BEGIN SOLUTION
    s, t = st(torch.cat([x1, cond], dim=1)).chunk(2, dim=1)             # (N, C/2) each
    z2 = x2 * s.exp() + t
    log_det = s.sum(dim=1)                                              # the condition adds nothing: it is given
    ### END SOLUTION
    return torch.cat([x1, z2], dim=1), log_det


checks.ch09.check("conditional_coupling", conditional_coupling)


# %% [markdown]
# ## 4 · The log-sigmoid as a loss (8 min)
#
# Let l = log p / C be the log-likelihood per channel of a vector. The loss is the mean of −ln σ(l), with
# σ(l) = 1/(1 + e^(−l)).
#
# **Law.** l = −0.9189 costs 1.2547. A vector's weight in the gradient is σ(−l). At l = −10⁴ the loss is 10⁴.

# %%
def logsigmoid_loss(log_p, C):
    """log_p: (N,) nats, of vectors with C channels. Returns one number, shape ()."""
    ### BEGIN SOLUTION
    level = log_p / C                                                   # (N,) nats per channel
    return -F.logsigmoid(level).mean()                                  # never forms σ, which is 0 at −10⁴
    ### END SOLUTION


checks.ch09.check("logsigmoid_loss", logsigmoid_loss)


# %% [markdown]
# ## 5 · From likelihoods to one map (13 min)
#
# K scales give K maps of l. For each: subtract the largest l of the *training* images (`ref_max`), cap at 0, take exp. That
# is p, between 0 and 1. Enlarge p to the size of the image; the value of a cell stands at the centre of the pixels that
# it covers (`F.interpolate(…, mode="bilinear", align_corners=False)`, which wants (B, channels, h, w)). The anomaly map is K
# minus the sum of the enlarged p.
#
# **Law.** Less likely is higher. Image 0's map stays when image 1 is replaced. A single unlikely cell stands where the cell
# stands. Likelier than in training counts as p = 1.

# %%
def aggregate(log_p, ref_max, size):
    """log_p: list of K maps (B, h_k, w_k), per channel. ref_max: K numbers. Returns the map, (B, size, size)."""
    ### BEGIN SOLUTION
    total = 0
    for level, top in zip(log_p, ref_max, strict=True):
        p = (level - top).clamp(max=0).exp()                            # (B, h_k, w_k), in (0, 1]
        p = F.interpolate(p[:, None], size=(size, size), mode="bilinear", align_corners=False)
        total = total + p[:, 0]                                         # (B, size, size)
    return len(log_p) - total
    ### END SOLUTION


checks.ch09.check("aggregate", aggregate)


# %% [markdown]
# ## 6 · Two vectors change places (10 min)
#
# Take a map f, and let the vectors at positions a and b change places. The *codes stay*: a place is a place. By how much
# does the log-likelihood of the whole map change, its sum over all positions? Ask a detector that is told the position,
# and one that is not:
#
# - `detector.code(h, w)` gives the codes of all positions, (h·w, P), row by row;
# - `detector.with_code(v, c)` gives ln p of vectors v (N, C) at places with codes c (N, P): (N,);
# - `detector.without_code(v)` gives ln p of vectors v (N, C): (N,).
#
# **Law.** Without the code the change is exactly 0. With the code it is not. A position exchanged with itself changes
# nothing. f itself stays as it was. Both detectors are asked.

# %%
def position_swap(detector, f, a, b):
    """f: (C, h, w). a, b: (row, column). Returns (with, without): what the sum of ln p is after, minus before."""
    ### BEGIN SOLUTION
    g = f.clone()
    g[:, a[0], a[1]], g[:, b[0], b[1]] = f[:, b[0], b[1]], f[:, a[0], a[1]]    # read from f, write into g
    code = detector.code(*f.shape[1:])
    before, after = map_to_vectors(f[None]), map_to_vectors(g[None])           # (h·w, C) each
    told = detector.with_code(after, code).sum() - detector.with_code(before, code).sum()
    untold = detector.without_code(after).sum() - detector.without_code(before).sum()
    return float(told), float(untold)
    ### END SOLUTION


checks.ch09.check("position_swap", position_swap)

# %% [markdown]
# Now ask trained flows. Two small ones learn 60 circuit boards, one told the position and one not; it takes about ten
# seconds. Then the vector of one board's edge and that of its middle change places, on ten boards that neither has seen.

# %% tags=["trained"]
from tutorial_lib.experiments import told_positions


def edge_for_middle():
    pair = told_positions.trained("board", size=64, images=60, steps=150)
    maps = told_positions.vectors_of(pair, "board", size=64, images=10)        # (10, C, 8, 8)
    found = torch.tensor([position_swap(pair, f, (0, 4), (4, 4)) for f in maps])
    print(f"edge and middle exchanged, mean change of ln p over ten boards: told {found[:, 0].mean():.0f} nats, "
          f"not told {found[:, 1].abs().mean():.2f}")


if checks.ch09.passes("position_swap", position_swap):
    edge_for_middle()
else:
    print("The flows wait for your function.")

# %% [markdown]
# The flow that is told finds the two vectors out of place. The other one cannot: the same vectors are still there.
#
# ## Where you are

# %%
checks.ch09.overview()
