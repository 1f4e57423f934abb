# %% [markdown]
# # Exercises 07 · From density to defects
#
# Six tasks, about an hour. One for 7A: where the mass is. Five for 7B: a Gaussian on features, its map, what a cell
# sees, whether a network is frozen, and another picture with the same features.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `typical_radius` | one line | 6 |
# | 2 | `fit_gaussian_flow` | four lines | 10 |
# | 3 | `position_gaussian_map` | two lines | 12 |
# | 4 | `receptive_field` | the body | 12 |
# | 5 | `frozen_check` | the body | 8 |
# | 6 | `same_features_other_image` | everything but the signature | 14 |
#
# A check tests laws and names the likely cause. `checks.ch07.hint("receptive_field")` gives the next hint.
# Chapter: [07 From density to defects](../notebooks/07_density_to_defects.ipynb).
#
# **Notation.** z latent, d its dimension; f features, C channels, (h, w) positions; B images; μ mean, L lower
# triangular with $L L^\top$ = covariance. log_det has shape `(B,)`. All symbols:
# [notation and words](../notebooks/notation_and_glossary.md).

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import copy
import math

import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · Where the mass is (6 min)
#
# Draw z from a standard normal in d dimensions. Its length ‖z‖ has the mean
#
# $$\sqrt 2\;\frac{\Gamma\left(\frac{d+1}{2}\right)}{\Gamma\left(\frac d2\right)}$$
#
# and E‖z‖² = d gives the spread. Γ(384) is too large for a float; `math.lgamma` is its logarithm.
#
# **Law.** Mean and sd lie within three standard errors of 10,000 draws, for d = 1, 10 and 768.

# %%
def typical_radius(d):
    """Mean and standard deviation of the length of a standard normal vector in d dimensions: two floats."""
    ### BEGIN SOLUTION
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))  # a ratio: subtract logarithms
    ### END SOLUTION
    sd = math.sqrt(d - mean**2)                                                    # E‖z‖² − (E‖z‖)²
    return mean, sd


checks.ch07.check("typical_radius", typical_radius)


# %% [markdown]
# ## 2 · A Gaussian on features (10 min)
#
# The affine flow of [05](../notebooks/05_normalizing_flows.ipynb), now fitted to N feature vectors, with N smaller
# than d. Such a covariance has no Cholesky factor. Add a *ridge* to it: eps times the mean of its diagonal, times I.
#
# **Law.** L Lᵀ is the covariance (divided by N) plus that ridge. In other units of f, L changes by the unit alone.

# %%
def fit_gaussian_flow(f, eps):
    """f: (N, d). Returns the mean (d,) and L (d, d), lower triangular."""
    ### BEGIN SOLUTION
    mean = f.mean(0)
    cov = torch.cov(f.T, correction=0)                                             # (d, d): variables in rows
    ridge = eps * cov.diagonal().mean() * torch.eye(f.shape[1], dtype=f.dtype)     # relative: units do not matter
    L = torch.linalg.cholesky(cov + ridge)
    ### END SOLUTION
    return mean, L


checks.ch07.check("fit_gaussian_flow", fit_gaussian_flow)


# %% [markdown]
# ## 3 · One Gaussian per position (12 min)
#
# A feature map has h · w positions. Each has its own mean μ and its own triangle L. The anomaly map holds, at each
# position, ‖L⁻¹(f − μ)‖² / C: about 1 where an image is normal.
#
# **Law.** It equals (f − μ)ᵀ Σ⁻¹ (f − μ) / C. It stays as it is when features and fit both go through f ↦ A f + b.

# %%
def position_gaussian_map(f, mean, L):
    """f: (B, C, h, w), mean: (C, h, w), L: (h, w, C, C). Returns the map (B, h, w)."""
    centred = (f - mean).permute(2, 3, 1, 0)                                       # (h, w, C, B): columns to solve for
    ### BEGIN SOLUTION
    z = torch.linalg.solve_triangular(L, centred, upper=False)                     # (h, w, C, B)
    distance = z.square().mean(2)                                                  # (h, w, B): over the channels
    ### END SOLUTION
    return distance.permute(2, 0, 1)


checks.ch07.check("position_gaussian_map", position_gaussian_map)


# %% [markdown]
# ## 4 · What one cell can see (12 min)
#
# Layers are given as (kernel, stride, padding), the first one reads the image. Cell i of the last map sees the pixels
# `offset + i * step` to `offset + i * step + size − 1` in each direction: *step* is the distance of two neighbouring
# cells in pixels of the image. The offset is negative where cell 0's box begins in the padding.
#
# **Law.** The box is where the gradient of that cell with respect to the image is not zero
# ([02](../notebooks/02_jacobian.ipynb), exercise 5), for five chains of layers.

# %%
def receptive_field(layers):
    """layers: [(kernel, stride, padding), ...]. Returns size, step, offset, in pixels."""
    ### BEGIN SOLUTION
    size, step, offset = 1, 1, 0                                                   # step: pixels between two cells
    for kernel, stride, pad in layers:
        size += (kernel - 1) * step                                                # steps of the map that is read
        offset -= pad * step
        step *= stride                                                             # last
    return size, step, offset
    ### END SOLUTION


checks.ch07.check("receptive_field", receptive_field)


# %% [markdown]
# ## 5 · Is this network frozen? (8 min)
#
# A frozen network gives an image the same numbers alone and in a batch. Measure it: the largest difference over all
# images and all outputs, in the mode (train or eval) in which you get the network.
#
# **Law.** 0 in eval, more than 0 in train mode with batch norm. Afterwards the network is as it was: mode and
# statistics.

# %%
def frozen_check(net, images):
    """net: (B, 3, H, W) -> (B, ...); images: (B, 3, H, W). Returns one float."""
    ### BEGIN SOLUTION
    net = copy.deepcopy(net)                                                       # in train mode, looking changes it
    with torch.no_grad():
        together = net(images)
        alone = torch.cat([net(image[None]) for image in images])                  # a batch of one, B times
    return float((alone - together).abs().max())
    ### END SOLUTION


checks.ch07.check("frozen_check", frozen_check)


# %% [markdown]
# ## 6 · Another picture, the same features (14 min)
#
# `extract` turns a picture (C, H, W) into m features, with m far below C·H·W. Move the picture by a distance `step`
# in a direction that the features do not notice. (The direction: [02](../notebooks/02_jacobian.ipynb), exercise 6.)
#
# **Law.** The picture moves by `step` (the length of the difference), its features by less than 1 % of that.

# %%
def same_features_other_image(extract, image, step):
    """Returns a picture of the same shape (C, H, W)."""
    ### BEGIN SOLUTION
    J = torch.autograd.functional.jacobian(extract, image).flatten(1)              # (m, n), n = C·H·W
    v = torch.linalg.svd(J, full_matrices=True).Vh[-1]                             # (n,), length 1, J v = 0
    return image + step * v.view_as(image)
    ### END SOLUTION


checks.ch07.check("same_features_other_image", same_features_other_image)

# %% [markdown]
# ## Where you are

# %%
checks.ch07.overview()
