# %% [markdown]
# # Exercises 02 · The Jacobian matrix
#
# Six tasks, about 55 minutes. You compute the same matrix by differences, by rows and by columns, put two maps in a
# row, differentiate a score by an image, and find a direction that no output notices.
#
# | # | Function | Missing | Minutes |
# |---|---|---|---|
# | 1 | `jacobian_fd` | one line | 8 |
# | 2 | `jacobian_rows` | three lines | 10 |
# | 3 | `jvp_without_matrix` | two lines | 8 |
# | 4 | `jacobian_of_chain` | the body | 10 |
# | 5 | `input_gradient` | the body | 8 |
# | 6 | `null_direction` | everything but the signature | 10 |
#
# **How a check works.** It tests *laws*, for example "the result is linear in v", and says which law broke, where, and
# what the usual cause is. Run a check as often as you like. `checks.ch02.hint("jacobian_fd")` gives the next hint,
# `checks.ch02.answer("jacobian_fd")` says where the worked answer is.
# Chapter: [02 The Jacobian matrix](../notebooks/02_jacobian.ipynb).
#
# **Notation.** f takes a tensor of shape `(n,)` and returns one of shape `(m,)`. J has shape `(m, n)`: rows are
# outputs, columns are inputs. The checks send float64.

# %%
import tutorial_lib  # noqa: F401  first: it repairs a mismatched torchvision
import torch

from tutorial_lib import checks


# %% [markdown]
# ## 1 · By differences (8 min)
#
# Move one input by h, forward and back, and see how all outputs answer:
#
# $$J_{:,j} \approx \frac{f(x + h\,e_j) - f(x - h\,e_j)}{2h}$$
#
# **Law.** On a quadratic map, central differences are exact at any step. The matrix has shape `(m, n)`, also for m ≠ n.

# %%
def jacobian_fd(f, x, h):
    """f: (n,) -> (m,); x: (n,); h: length of the step. Returns J, (m, n)."""
    columns = []
    for j in range(len(x)):
        step = torch.zeros_like(x)                                                # (n,)
        step[j] = h                                                               # input j only
        ### BEGIN SOLUTION
        column = (f(x + step) - f(x - step)) / (2 * h)                            # (m,): the two points lie 2h apart
        ### END SOLUTION
        columns.append(column)
    return torch.stack(columns, dim=1)                                            # (m, n)


checks.ch02.check("jacobian_fd", jacobian_fd)


# %% [markdown]
# ## 2 · Row by row (10 min)
#
# autograd differentiates one number. Row i of J is the gradient of the number z[i]. Given: a copy of x that asks for
# gradients, and the outputs z.
#
# **Law.** It equals central differences to 10⁻⁶, and the exact derivative to 10⁻¹¹.

# %%
def jacobian_rows(f, x):
    """f: (n,) -> (m,); x: (n,). Returns J, (m, n), by autograd."""
    x = x.clone().requires_grad_()                                                # (n,): a copy, x itself stays
    z = f(x)                                                                      # (m,)
    rows = []
    ### BEGIN SOLUTION
    for i in range(len(z)):
        row, = torch.autograd.grad(z[i], x, retain_graph=True)                    # (n,): the next row needs the graph
        rows.append(row)
    ### END SOLUTION
    return torch.stack(rows)                                                      # (m, n)


checks.ch02.check("jacobian_rows", jacobian_rows)


# %% [markdown]
# ## 3 · J v without J (8 min)
#
# How do all outputs move when x moves along v? One pass through f answers that, without ever storing m · n numbers.
#
# **Law.** It equals J v, is linear in v, calls f once, and makes no tensor of m · n numbers.

# %%
def jvp_without_matrix(f, x, v):
    """f: (n,) -> (m,); x, v: (n,). Returns J v, (m,)."""
    ### BEGIN SOLUTION
    _, derivative = torch.func.jvp(f, (x,), (v,))                                 # (m,), (m,): f(x) and J v
    return derivative
    ### END SOLUTION


checks.ch02.check("jvp_without_matrix", jvp_without_matrix)


# %% [markdown]
# ## 4 · Maps in a row (10 min)
#
# `fs` is a list of maps, applied from first to last: z = f₃(f₂(f₁(x))). For the Jacobian of a single map you may use
# `torch.func.jacrev(f)(point)` or your own function from above. Call jacrev on single maps only: multiplying is your part.
#
# **Law.** It equals the Jacobian of the whole, for maps that change the number of values on the way. The maps are
# differentiated one by one.

# %%
def jacobian_of_chain(fs, x):
    """fs: list of maps, at least one; x: (n,). Returns the Jacobian of their composition, (m, n)."""
    ### BEGIN SOLUTION
    total = torch.eye(len(x), dtype=x.dtype)                                      # (n, n)
    for f in fs:
        total = torch.func.jacrev(f)(x) @ total                                   # taken where this map is entered
        x = f(x)
    return total
    ### END SOLUTION


checks.ch02.check("jacobian_of_chain", jacobian_of_chain)


# %% [markdown]
# ## 5 · Which pixels move the score? (8 min)
#
# `score` is a network with one number as output, shape `()`. Differentiate it by the image, not by its weights, and
# leave both as they were: no weight has a `.grad` afterwards.
#
# **Law.** The inner product of your gradient with any picture v is the slope of the score along v. A score that sees
# only 5 × 5 pixels has a gradient that is exactly 0 everywhere else.

# %%
def input_gradient(score, image):
    """score: (C, H, W) -> (); image: (C, H, W). Returns the gradient, (C, H, W)."""
    ### BEGIN SOLUTION
    image = image.clone().requires_grad_()                                        # a copy: the caller's stays as it is
    gradient, = torch.autograd.grad(score(image), image)
    return gradient
    ### END SOLUTION


checks.ch02.check("input_gradient", input_gradient)


# %% [markdown]
# ## 6 · A direction that nobody notices (10 min)
#
# J has more columns than rows, n > m. Then some direction v changes no output, to first order. Find one.
#
# **Law.** ‖v‖ = 1 and ‖J v‖ < 10⁻⁶, also for a matrix of lower rank.

# %%
def null_direction(J):
    """J: (m, n) with n > m. Returns v, (n,), of length 1 with J v = 0."""
    ### BEGIN SOLUTION
    Vh = torch.linalg.svd(J, full_matrices=True).Vh                               # (n, n): rows are input directions
    return Vh[-1]                                                                 # beyond row m: no singular value
    ### END SOLUTION


checks.ch02.check("null_direction", null_direction)

# %% [markdown]
# ## Where you are

# %%
checks.ch02.overview()
