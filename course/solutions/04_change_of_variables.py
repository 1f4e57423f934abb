# %% [markdown]
# # Exercises 04 · Change of variables
#
# Six tasks, about 55 minutes. You follow mass through a map: on the line, in n dimensions, through a fold, and find out
# that the most likely point does not travel with it.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `lognormal_density` | one line | 6 |
# | 2 | `density_after` | two lines | 8 |
# | 3 | `affine_logpdf` | three lines | 10 |
# | 4 | `box_muller_logdet` | the body | 10 |
# | 5 | `two_branch_density` | the body | 8 |
# | 6 | `modes` | everything but the signature | 12 |
#
# **How a check works.** It tests *laws*, for example "the integral is 1", and says which law broke, where, and what the
# usual cause is. Run a check as often as you like. `checks.ch04.hint("modes")` gives the next hint,
# `checks.ch04.answer("modes")` says where the worked answer is.
# Chapter: [04 Change of variables](../notebooks/04_change_of_variables.ipynb).
#
# **Notation.** z has the base density π. As in the chapter, g: z → x makes the data, and g⁻¹ leads back. (The rest of
# the course writes f for g⁻¹: [notation and words](../notebooks/notation_and_glossary.md).) B points have shape `(B,)`.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import math

import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · The log-normal density (6 min)
#
# z is standard normal, x = eᶻ. Given is z and its density; what is missing is the density of x.
#
# **Law.** Never negative, integral 1, and the counts of a histogram of eᶻ within three standard errors.

# %%
def lognormal_density(x):
    """x: (B,), all > 0. Returns the density of x = exp(z), (B,)."""
    z = x.log()                                                                   # (B,): the point that x came from
    pi = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)                    # (B,): its density
    ### BEGIN SOLUTION
    density = pi / x                                                              # (B,): d ln x / dx = 1/x
    ### END SOLUTION
    return density


checks.ch04.check("lognormal_density", lognormal_density)


# %% [markdown]
# ## 2 · Any one-to-one map of the line (8 min)
#
# `pi` is the base density, a function of z. `g_inv` and its derivative `dg_inv` are functions of x.
#
# **Law.** For a rising and for a falling map, normal base or not: never negative, integral 1, and each interval of x
# has the mass of the interval of z that it came from.

# %%
def density_after(pi, g_inv, dg_inv, x):
    """pi, g_inv, dg_inv: functions (B,) -> (B,); x: (B,). Returns the density of x = g(z), (B,)."""
    ### BEGIN SOLUTION
    z = g_inv(x)                                                                  # (B,)
    density = pi(z) * dg_inv(x).abs()                                             # (B,): a length is never negative
    ### END SOLUTION
    return density


checks.ch04.check("density_after", density_after)


# %% [markdown]
# ## 3 · A Gaussian in n dimensions (10 min)
#
# z is standard normal in n dimensions and x = A z + b. A is any invertible matrix; its determinant may be negative.
#
# **Law.** The library's log density of a Gaussian with mean b and covariance A Aᵀ. Stretch the cloud by 2 in all n
# directions: at the point that moved along, the log density is lower by n ln 2.

# %%
def affine_logpdf(x, A, b):
    """x: (B, n), A: (n, n), b: (n,). Returns log p(x), (B,)."""
    n = len(b)
    ### BEGIN SOLUTION
    z = torch.linalg.solve(A, (x - b).T).T                                        # (B, n): solves A z = x − b
    log_pi = -0.5 * z.square().sum(dim=1) - 0.5 * n * math.log(2 * math.pi)       # (B,)
    log_p = log_pi - torch.linalg.slogdet(A).logabsdet                            # (B,): A leads to x, so minus
    ### END SOLUTION
    return log_p


checks.ch04.check("affine_logpdf", affine_logpdf)


# %% [markdown]
# ## 4 · Box–Muller (10 min)
#
# May be skipped, like part 6 of the chapter. Two uniform numbers become two normal ones:
#
# $$r = \sqrt{-2 \ln u_1}, \quad x_1 = r \cos 2\pi u_2, \quad x_2 = r \sin 2\pi u_2$$
#
# Write ln|det ∂x/∂u|, by hand; no autograd needed.
#
# **Law.** It equals autograd's. Minus this number is the log density of two independent standard normal numbers at x.

# %%
def box_muller_logdet(u):
    """u: (B, 2), between 0 and 1. Returns ln|det ∂x/∂u|, (B,)."""
    ### BEGIN SOLUTION
    return math.log(2 * math.pi) - u[:, 0].log()                                  # (B,): r · 1/(r u₁) · 2π
    ### END SOLUTION


checks.ch04.check("box_muller_logdet", box_muller_logdet)


# %% [markdown]
# ## 5 · Two branches (8 min)
#
# x is standard normal and y = x². This map is not one-to-one: 2 and −2 both land on 4.
#
# **Law.** Integral 1, and equal to the library's χ² density with one degree of freedom.

# %%
def two_branch_density(y):
    """y: (B,), all > 0. Returns the density of y = x², (B,)."""
    ### BEGIN SOLUTION
    root = y.sqrt()                                                               # (B,): the branches are ± root
    pi = torch.exp(-0.5 * root.square()) / math.sqrt(2 * math.pi)                 # (B,): the same on both
    return 2 * pi / (2 * root)                                                    # (B,): two terms, |dy/dx| = 2 |x|
    ### END SOLUTION


checks.ch04.check("two_branch_density", two_branch_density)


# %% [markdown]
# ## 6 · The most likely point (12 min)
#
# `logpdf_z` is the log density of z; `g` and `g_inv` act on each number alone; `grid` (N,) are candidates for x, and
# `g_inv(grid)` the candidates for z. Find the most likely z and send it through g. Then find the most likely x. You
# need the derivative of g_inv: chapter 02 has two ways to get it.
#
# **Law.** The two answers differ for x = eᶻ and agree for an affine map, and both are right to the step of the grid.

# %%
def modes(logpdf_z, g, g_inv, grid):
    """grid: (N,), points x. Returns g(mode of z) and the mode of x, two tensors of shape ()."""
    ### BEGIN SOLUTION
    x = grid.clone().requires_grad_()                                             # (N,)
    z = g_inv(x)                                                                  # (N,)
    slope, = torch.autograd.grad(z.sum(), x)                                      # (N,): dz/dx at every point
    log_pi = logpdf_z(z.detach())                                                 # (N,)
    log_p = log_pi + slope.abs().log()                                            # (N,)
    return g(z.detach()[log_pi.argmax()]), grid[log_p.argmax()]
    ### END SOLUTION


checks.ch04.check("modes", modes)

# %% [markdown]
# ## Where you are

# %%
checks.ch04.overview()
