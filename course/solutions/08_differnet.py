# %% [markdown]
# # Exercises 08 · DifferNet
#
# You build DifferNet's parts yourself: the pooled vector, the clamp, the sub-network, the score over several views
# and the gradient map. In the last exercise you answer the fairness question of the chapter with your own code.
#
# | # | function | what is left to you | minutes |
# |---|---|---|---|
# | 1 | `pool_concat` | one line | 5 |
# | 2 | `soft_clamp` | one line | 6 |
# | 3 | `fc_subnet` | two to four lines | 8 |
# | 4 | `multi_view_score` | two to four lines | 8 |
# | 5 | `gradient_map` | the body | 12 |
# | 6 | `views_for_the_baseline` | everything but the signature | 14 |
#
# **How a check works.** It does not compare you with one answer. It tests a *law*, for example "shuffling the
# positions changes nothing", and says which law broke, where, and what the usual cause is. Run a check as often as
# you like. `checks.ch08.hint("pool_concat")` gives the next hint, `checks.ch08.answer("pool_concat")` says where the
# worked answer is. Chapter: [08 DifferNet](../notebooks/08_differnet.ipynb).

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import torch
from torch import nn

from tutorial_lib import checks


# %% [markdown]
# ## 1 · The pooled vector (5 min)
#
# The backbone gives one feature map per scale. DifferNet averages each map over its positions and puts the results
# side by side: one vector per image. With three AlexNet maps of 256 channels that makes 3 × 256 = 768 numbers.
#
# **Law.** The positions of a map may be shuffled: the vector stays the same. Each image keeps its own row.

# %%
def pool_concat(maps):
    """maps: list of (B, C, h_i, w_i), the sizes h_i, w_i differ. Returns (B, sum of C): one vector per image."""
    vectors = []
    for features in maps:
        ### BEGIN SOLUTION
        vectors.append(features.mean(dim=(2, 3)))  # (B, C): average over the h_i * w_i positions
        ### END SOLUTION
    return torch.cat(vectors, dim=1)


checks.ch08.check("pool_concat", pool_concat)


# %% [markdown]
# ## 2 · The soft clamp (6 min)
#
# A coupling layer multiplies by $e^s$. One large s and the latent explodes. DifferNet bends s before it is used:
#
# $$c(s) = \frac{2\alpha}{\pi}\arctan\frac{s}{\alpha}$$
#
# **Law.** c is odd and increasing, never reaches ±α, and leaves 0 with slope 2/π ≈ 0.637, whatever α is.

# %%
def soft_clamp(s, alpha):
    """s: tensor of any shape. Returns c(s), the same shape, between -alpha and alpha."""
    ### BEGIN SOLUTION
    return (2 * alpha / torch.pi) * torch.atan(s / alpha)
    ### END SOLUTION


checks.ch08.check("soft_clamp", soft_clamp)


# %% [markdown]
# ## 3 · The sub-network (8 min)
#
# One fully connected network reads half of the vector and returns s and t for the other half, in this order, in one
# output. Three hidden layers of equal width with a ReLU after each; nothing after the last layer.
#
# **Law.** Output shape `(B, 2 * d_out)`. With the paper's sizes (384 in, 384 to be changed, 2048 hidden) it has
# 10,754,816 parameters. A coupling layer that uses it can be undone, and every row is treated on its own.

# %%
def fc_subnet(d_in, d_out, hidden):
    """d_in: values read; d_out: values to be changed. Returns a module (B, d_in) -> (B, 2 * d_out): s, then t."""
    layers = [nn.Linear(d_in, hidden), nn.ReLU()]
    ### BEGIN SOLUTION
    for _ in range(2):
        layers += [nn.Linear(hidden, hidden), nn.ReLU()]
    layers.append(nn.Linear(hidden, 2 * d_out))  # s may be negative and t large: no activation here
    ### END SOLUTION
    return nn.Sequential(*layers)


checks.ch08.check("fc_subnet", fc_subnet)


# %% [markdown]
# ## 4 · One score from several views (8 min)
#
# Each image is seen in T views. The score is the mean of the T negative log-likelihoods.
# `nll` takes a plain batch of pictures `(N, C, H, W)` and returns `(N,)`, so the views must be folded into the batch
# and unfolded again.
#
# **Law.** The order of the views does not matter. T = 1 gives the plain score. Repeating a view changes nothing.
# The score of one image does not depend on its neighbours in the batch.

# %%
def multi_view_score(nll, views):
    """nll: function (N, C, H, W) -> (N,). views: (B, T, C, H, W). Returns (B,): the mean over the T views."""
    B, T = views.shape[:2]
    ### BEGIN SOLUTION
    flat = views.flatten(0, 1)         # (B * T, C, H, W): the T views of image 0 first, then those of image 1
    scores = nll(flat).view(B, T)      # the same order on the way back
    return scores.mean(dim=1)
    ### END SOLUTION


checks.ch08.check("multi_view_score", multi_view_score)

# %% [markdown]
# ## 5 · The gradient map (12 min)
#
# Which pixels move the score? Take the gradient of the score with respect to the image, blur each channel with a
# Gaussian G, take the absolute value, and only then add the channels:
#
# $$g = \sum_c \left| G * \nabla_{x_c} \text{score} \right|$$
#
# `blur(gradient, sigma)` does the $G*$ for you: `(C, H, W)` in, `(C, H, W)` out, each channel on its own.
#
# **Law.** g ≥ 0. It equals the loop formula. Neighbouring gradients of opposite sign cancel (they are blurred
# first), channels of opposite sign do not (they are added last).

# %%
from tutorial_lib.checks.ch08 import blur


def gradient_map(score, x, sigma):
    """score: function (B, C, H, W) -> (B,). x: (C, H, W), one image. sigma: pixels. Returns (H, W), not negative."""
    ### BEGIN SOLUTION
    image = x.detach().clone().requires_grad_(True)
    value = score(image[None])[0]                       # a batch of one, and its only score
    gradient, = torch.autograd.grad(value, image)       # (C, H, W)
    return blur(gradient, sigma).abs().sum(dim=0)       # blur, then absolute value, then the channels
    ### END SOLUTION


checks.ch08.check("gradient_map", gradient_map)

# %% [markdown]
# ## 6 · The same views for the baseline (14 min)
#
# The survey article asks: is it fair that only DifferNet may look at each part several times? Answer it yourself.
# Write a function that gives *any* score T views, then fill a table with four rows: {Gaussian, DifferNet} × {1, T}.
#
# The first of the T views is the image as it is (angle 0). The other T − 1 angles are uniform between −180° and 180°
# and follow from `seed` alone. All images are turned by the same T angles. `rotate(images, degrees)` takes
# `(B, 3, S, S)` and one angle per image `(B,)`.
#
# **Law.** T = 1 is the plain score. Both rows of the table see the same pictures. The same seed gives the same
# views, another seed gives others. An image scores the same alone and in a batch.

# %%
from tutorial_lib.detectors.views import rotate


def views_for_the_baseline(score, images, T, seed):
    """score: function (N, 3, S, S) -> (N,). images: (B, 3, S, S). Returns (B,): the mean score over T views."""
    ### BEGIN SOLUTION
    drawn = torch.rand(T - 1, generator=torch.Generator().manual_seed(seed))
    angles = torch.cat([torch.zeros(1), 360 * drawn - 180])                    # (T,) degrees
    scores = [score(rotate(images, angle.expand(len(images)))) for angle in angles]  # T times (B,)
    return torch.stack(scores, dim=1).mean(dim=1)
    ### END SOLUTION


checks.ch08.check("views_for_the_baseline", views_for_the_baseline)

# %% [markdown]
# Now the table. `rotate` fills the corners with black, so the detectors are told to learn black corners. Both learn from the same turned views of 40 washers. It takes about a quarter of
# a minute and waits until your function passes.

# %%
from tutorial_lib import detectors, metrics
from tutorial_lib.data import factory


def four_rows(T):
    washers = factory.split("washer", n_train=40, n_good=20, n_per_kind=5, seed=0)
    differnet = detectors.create("differnet", rotation=180.0, fill="black", test_views=1, progress=False)
    gaussian = detectors.create("mahalanobis", **differnet.view_settings, progress=False)
    for name, detector in (("Gaussian", gaussian), ("DifferNet", differnet)):
        detector.fit(washers.train)
        for views in (1, T):
            scores = views_for_the_baseline(detector.score, washers.test, views, seed=0)
            print(f"{name:10s} T = {views}   image AUROC {metrics.auroc(scores, washers.labels):.2f}")


if checks.ch08.passes("views_for_the_baseline", views_for_the_baseline):
    four_rows(T=4)
else:
    print("The table waits for your function.")

# %% [markdown]
# Compare the rows in pairs. What does a second look bring to the Gaussian, and what to DifferNet? One seed and 50
# test images leave an AUROC uncertain by about ±0.07, so a difference of 0.02 says nothing. The chapter prints the
# same table over three seeds.
#
# `checks.ch08.overview()` lists what you have passed so far. Back to the chapter:
# [08 DifferNet](../notebooks/08_differnet.ipynb).
