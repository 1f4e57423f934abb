# %% [markdown]
# # Exercises 03 · The determinant
#
# Six tasks, about 50 minutes. You compute the same number in several ways, among them the one that flows use, and
# then measure it with random points, without any formula.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `logdet_triangular` | one line | 4 |
# | 2 | `permutation_sign` | one line | 6 |
# | 3 | `leibniz` | three lines | 10 |
# | 4 | `logdet_block` | the body | 8 |
# | 5 | `slogdet_lu` | the body | 12 |
# | 6 | `area_by_counting` | everything but the signature | 10 |
#
# **How a check works.** It tests *laws*, for example "the result does not depend on B", and says which law broke,
# where, and what the usual cause is. Run a check as often as you like. `checks.ch03.hint("leibniz")` gives the next
# hint, `checks.ch03.answer("leibniz")` says where the worked answer is.
# Chapter: [03 The determinant](../notebooks/03_determinant.ipynb).
#
# **Notation.** ln is the natural logarithm. A shape `()` means one number, as a tensor. The checks send float64 and
# float32; results keep the type of the matrix.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
from itertools import permutations

import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · A triangular matrix (4 min)
#
# Its determinant is the product of the diagonal. You want ln|det|, for large matrices too, and entries may be negative.
#
# **Law.** It equals the library's ln|det|. It stays finite for n = 1024 with 0.5 on the diagonal, in float32.

# %%
def logdet_triangular(L):
    """L: (n, n), lower triangular, no zero on the diagonal. Returns ln|det L|, a tensor of shape ()."""
    diagonal = L.diagonal()                                                       # (n,)
    ### BEGIN SOLUTION
    log_det = diagonal.abs().log().sum()                                          # (): ln of a product is a sum
    ### END SOLUTION
    return log_det


checks.ch03.check("logdet_triangular", logdet_triangular)


# %% [markdown]
# ## 2 · The sign of a permutation (6 min)
#
# A permutation of 0 … n−1 has τ *inversions*: pairs in which the larger number stands on the left. An even τ gives the
# sign +1, an odd τ gives −1.
#
# **Law.** Doing one permutation after another multiplies the signs: sign(p∘q) = sign(p) · sign(q).

# %%
def permutation_sign(p):
    """p: (n,), each of 0 … n−1 once, a tensor or a tuple. Returns +1 or −1."""
    n = len(p)
    pairs = [(int(p[i]), int(p[j])) for i in range(n) for j in range(i + 1, n)]   # the left one first
    ### BEGIN SOLUTION
    sign = (-1) ** sum(left > right for left, right in pairs)                     # (−1)^τ
    ### END SOLUTION
    return sign


checks.ch03.check("permutation_sign", permutation_sign)


# %% [markdown]
# ## 3 · The sum over permutations (10 min)
#
# $$\det M = \sum_p \text{sign}(p) \prod_i M_{i,\,p(i)}$$
#
# Each p takes one entry from every row, and from every column. For n = 6 there are 720 of them.
#
# **Law.** It equals the determinant. Exchanging two rows flips the sign.

# %%
def leibniz(M):
    """M: (n, n), n ≤ 6. Returns det M, a tensor of shape ()."""
    n = len(M)
    total = M.new_zeros(())                                                       # (), same type as M
    for p in permutations(range(n)):                                              # a tuple of n column numbers
        ### BEGIN SOLUTION
        entries = M[range(n), p]                                                  # (n,): M[i, p[i]] for every row i
        term = permutation_sign(p) * entries.prod()
        total = total + term
        ### END SOLUTION
    return total


checks.ch03.check("leibniz", leibniz)


# %% [markdown]
# ## 4 · A block-triangular matrix (8 min)
#
# This is the Jacobian of every coupling layer. A is k×k, D is m×m, B is m×k, and the upper right block is zero:
#
# $$M = \begin{pmatrix} A & 0 \\ B & D \end{pmatrix}$$
#
# **Law.** ln|det M|, whatever B is. The whole matrix is never built.

# %%
def logdet_block(A, B, D):
    """A: (k, k), B: (m, k), D: (m, m). Returns ln|det M|, a tensor of shape ()."""
    ### BEGIN SOLUTION
    return torch.linalg.slogdet(A).logabsdet + torch.linalg.slogdet(D).logabsdet  # B enters no surviving product
    ### END SOLUTION


checks.ch03.check("logdet_block", logdet_block)


# %% [markdown]
# ## 5 · Any matrix, through LU (12 min)
#
# `P, L, U = torch.linalg.lu(M)` gives M = P L U. P exchanges rows, L is lower triangular with ones on its diagonal, U
# is upper triangular. Use what you have written above.
#
# **Law.** Sign and logarithm of A B follow from those of A and of B. It survives n = 400 in float32.

# %%
def slogdet_lu(M):
    """M: (n, n), invertible. Returns the sign of det M and ln|det M|, tensors of shape ()."""
    ### BEGIN SOLUTION
    P, _, U = torch.linalg.lu(M)                                                  # (n, n) each; L has determinant 1
    pivoting = permutation_sign(P.argmax(dim=0))                                  # det P: ±1
    sign = pivoting * U.diagonal().sign().prod()
    return sign, logdet_triangular(U)
    ### END SOLUTION


checks.ch03.check("slogdet_lu", slogdet_lu)


# %% [markdown]
# ## 6 · An area by counting (10 min)
#
# No formula now. J makes a parallelogram of the unit square. Put a box around it, throw n random points into the box,
# and count those inside. Say how far off the count may be: with a share p inside, the standard error of p is
# √(p (1 − p) / n).
#
# **Law.** The area lies within 3 standard errors of |det J| (for at least 18 of 20 matrices: chance may put one or
# two outside). Four times the points, half the error. Area and error come from one count: both follow from p.

# %%
def area_by_counting(J, n):
    """J: (2, 2), invertible. Returns the area of the parallelogram of J's columns, and its standard error."""
    ### BEGIN SOLUTION
    corners = torch.stack([torch.zeros_like(J[:, 0]), J[:, 0], J[:, 1], J.sum(dim=1)])   # (4, 2)
    low, side = corners.amin(0), corners.amax(0) - corners.amin(0)                # (2,) each: the box
    x = low + side * torch.rand(n, 2, dtype=J.dtype)                              # (n, 2), even over the box
    u = torch.linalg.solve(J, x.T).T                                              # (n, 2), back into the square
    p = ((u >= 0) & (u <= 1)).all(dim=1).double().mean()                          # share of the points inside
    box = side.prod()
    return box * p, box * (p * (1 - p) / n).sqrt()
    ### END SOLUTION


checks.ch03.check("area_by_counting", area_by_counting)

# %% [markdown]
# ## Where you are

# %%
checks.ch03.overview()
