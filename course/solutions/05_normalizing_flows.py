# %% [markdown]
# # Exercises 05 · Normalizing flows
#
# Six tasks, about 45 minutes. You build a coupling flow from its parts: the smallest flow, one layer forward and back,
# the loss, the chain, samples.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `affine_flow` | two lines | 8 |
# | 2 | `coupling_forward` | one line | 10 |
# | 3 | `coupling_inverse` | three lines | 8 |
# | 4 | `nll` | two lines | 6 |
# | 5 | `compose`, `compose_inverse` | the bodies | 8 |
# | 6 | `sample` | everything but the signature | 6 |
#
# **How a check works.** It does not compare you with one answer. It tests *laws*, for example "inverse(forward(x)) is
# x", and says which law broke, where, and what the usual cause is. Run a check as often as you like.
# `checks.ch05.hint("nll")` gives the next hint, `checks.ch05.answer("nll")` says where the worked answer is.
# Chapter: [05 Normalizing flows](../notebooks/05_normalizing_flows.ipynb).
#
# **Notation.** x data, z latent, log p(x) = log p(z) + log_det. B samples of d numbers; `log_det` has shape `(B,)`.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import math

import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · The smallest flow (8 min)
#
# A Gaussian cloud is x = mean + L z, with z standard normal and L lower triangular. The flow goes the other way: solve
# for z, and say how much the volume changed.
#
# **Law.** log p(z) + log_det equals the log density that the library computes for this Gaussian. If mean and L are
# those of the cloud, the covariance of z is the identity.

# %%
def affine_flow(x, mean, L):
    """x: (B, d), mean: (d,), L: (d, d) lower triangular. Returns z = L⁻¹(x − mean), (B, d), and log_det, (B,)."""
    centred = x - mean                                                            # (B, d)
    ### BEGIN SOLUTION
    z = torch.linalg.solve_triangular(L, centred.T, upper=False).T                # (B, d): solves L z = x − mean
    log_det = -L.diagonal().log().sum().expand(len(x))                            # (B,): ln det L⁻¹, the same for all
    ### END SOLUTION
    return z, log_det


checks.ch05.check("affine_flow", affine_flow)


# %% [markdown]
# ## 2 · A coupling layer, forward (10 min)
#
# The first half passes. It decides how the second half is stretched and moved:
#
# $$z_1 = x_1 \qquad z_2 = x_2\, e^{c(s(x_1))} + t(x_1)$$
#
# with the soft clamp c(s) = (2α/π) arctan(s/α). All is given but `log_det`.
#
# **Law.** `log_det` equals ln|det ∂z/∂x|, measured by nudging every coordinate. A sample gets the same number alone
# and in a batch.

# %%
def soft_clamp(s, alpha):
    """c(s) = (2α/π) arctan(s/α): between −α and α."""
    return 2 * alpha / math.pi * torch.atan(s / alpha)


def coupling_forward(x, st, alpha):
    """x: (B, d); st: network (B, d/2) -> (B, d), s and t side by side. Returns z (B, d) and log_det (B,)."""
    x1, x2 = x.chunk(2, dim=1)                                                    # (B, d/2) each
    s, t = st(x1).chunk(2, dim=1)                                                 # (B, d/2) each
    z2 = x2 * soft_clamp(s, alpha).exp() + t
    ### BEGIN SOLUTION
    log_det = soft_clamp(s, alpha).sum(dim=1)                                     # (B,): ln of the product of all exp(c)
    ### END SOLUTION
    return torch.cat([x1, z2], dim=1), log_det


checks.ch05.check("coupling_forward", coupling_forward)


# %% [markdown]
# ## 3 · The same layer, back (8 min)
#
# You have z and want x. The first half never changed, so you can compute the same s and t as the forward layer did.
#
# **Law.** inverse(forward(x)) = x, and this `log_det` is minus the forward one.

# %%
def coupling_inverse(z, st, alpha):
    """z: (B, d). Returns x (B, d) and the log_det of the way back, (B,)."""
    z1, z2 = z.chunk(2, dim=1)                                                    # (B, d/2) each
    ### BEGIN SOLUTION
    s, t = st(z1).chunk(2, dim=1)                                                 # z1 = x1: the same s and t as forward
    s = soft_clamp(s, alpha)
    x2 = (z2 - t) * (-s).exp()                                                    # undo the last step first
    ### END SOLUTION
    return torch.cat([z1, x2], dim=1), -s.sum(dim=1)                              # s: already clamped


checks.ch05.check("coupling_inverse", coupling_inverse)


# %% [markdown]
# ## 4 · The loss (6 min)
#
# The mean over the batch of −log p(x), in nats per sample, with a standard normal base in d dimensions.
#
# **Law.** It equals the library's value. Data multiplied by c in d dimensions cost d · ln c more. A gradient reaches z.

# %%
def nll(z, log_det):
    """z: (B, d), log_det: (B,). Returns one number (a tensor of shape ()): the mean of −log p(x)."""
    d = z.shape[1]
    ### BEGIN SOLUTION
    log_p_z = -0.5 * z.square().sum(dim=1) - 0.5 * d * math.log(2 * math.pi)      # (B,)
    loss = -(log_p_z + log_det).mean()                                            # ()
    ### END SOLUTION
    return loss


checks.ch05.check("nll", nll)


# %% [markdown]
# ## 5 · Layers in a row (8 min)
#
# Each layer is called as `z, log_det = layer(x)` and undone by `x, log_det = layer.inverse(z)`; both log_dets have
# shape `(B,)`, and the one of `inverse` already carries its minus sign.
#
# **Law.** The log_det of the chain equals ln|det J| of the whole. `compose_inverse` undoes `compose`. The list of
# layers stays as it was.

# %%
def compose(layers, x):
    """layers: a list; x: (B, d). Returns z (B, d) after all layers, and the log_det of the whole chain, (B,)."""
    ### BEGIN SOLUTION
    total = x.new_zeros(len(x))                                                   # (B,)
    for layer in layers:
        x, log_det = layer(x)
        total = total + log_det                                                   # ln of a product: a sum
    return x, total
    ### END SOLUTION


def compose_inverse(layers, z):
    """The way back: x (B, d) and the log_det of the way back, (B,)."""
    ### BEGIN SOLUTION
    total = z.new_zeros(len(z))
    for layer in reversed(layers):                                                # the last one on is the first one off
        z, log_det = layer.inverse(z)
        total = total + log_det
    return z, total
    ### END SOLUTION


checks.ch05.check("compose", compose, compose_inverse)


# %% [markdown]
# ## 6 · Samples with a temperature (6 min)
#
# `flow` has a shape `flow.shape = (d,)` and the two directions `flow(x)` and `flow.inverse(z)`. Draw n samples whose
# *latents* have standard deviation `temperature`.
#
# **Law.** The latents of your samples have that spread. Temperature 0 gives one point, the image of z = 0.

# %%
def sample(flow, n, temperature):
    """Returns n samples, (n, d)."""
    ### BEGIN SOLUTION
    z = temperature * torch.randn(n, *flow.shape)                                 # (n, d): spread in the latent space
    x, _ = flow.inverse(z)
    return x
    ### END SOLUTION


checks.ch05.check("sample", sample)

# %% [markdown]
# ## Where you are

# %%
checks.ch05.overview()
