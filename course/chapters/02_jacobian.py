# %% [markdown]
# # 02 · The Jacobian matrix
#
# One pixel of a photograph gets brighter by one grey level. A network turns the photograph into a few hundred numbers.
#
# **Which of these numbers notice, and can you know without trying every pixel?**
#
# **After this chapter you can**
# - read a Jacobian: say what one row and one column of it answer;
# - compute it by differences, by rows and by columns, and choose the cheapest way;
# - get J v and uᵀJ without ever storing J;
# - put maps in a row and multiply their Jacobians in the right order, at the right points;
# - compute which pixels move a score, and say what such a picture does not show.
#
# *Prerequisites: a slope, a matrix times a vector, what `requires_grad` does. Reading 40 minutes, running about 15
# seconds. If you come from the survey article: this is its section 2.1.*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import math
import time

import torch
from IPython.display import display
from torch import nn
from torch.func import jacrev, jvp, vjp, vmap

from tutorial_lib import backbones, plots
from tutorial_lib.data import factory
from tutorial_lib.plots import jacobian as pictures
from tutorial_lib.widgets import grid_warp

plots.style.use()

# %% [markdown]
# The network is the frozen one that came with the course. Its feature maps, averaged over all positions and put side by
# side, are the vector z. Everything is computed in float64, so that tiny changes can be seen.

# %%
backbone = backbones.load().double()
washer = factory.normal("washer", 1, size=128, seed=0)[0]    # (3, 128, 128), values in [0, 1]


def feature_maps(images, last="stride16"):
    """images: (B, 3, H, W) float64. Returns the maps up to ``last`` by name: stride4 (B, 48, H/4, W/4), and so on."""
    found = backbone.maps((images - backbone.mean) / backbone.std, last)
    return {name: found[name] for name in backbone.taps if name in found}


def features(images):
    """images: (B, 3, H, W). Returns the mean of every feature map, side by side: (B, 336)."""
    return torch.cat([m.mean((2, 3)) for m in feature_maps(images).values()], dim=1)


def f(image):
    """One image (3, H, W) to one vector (336,)."""
    return features(image[None])[0]


x, pixel = washer.double(), (40, 64)                         # row 40, column 64
one_level = torch.zeros_like(x)
one_level[:, pixel[0], pixel[1]] = 1 / 255                   # the same pixel in all three colours
change = f(x + one_level) - f(x)                             # (336,)

# %%
blocks = {f"{name} map": tap.channels for name, tap in backbone.taps.items()}
noticed = int((change != 0).sum())
print(f"inputs {x.numel()}, outputs {len(change)}: {noticed} moved, {len(change) - noticed} did not")
plots.show(pictures.one_pixel(washer, pixel, change, blocks),
           f"Left: a good washer; the ringed pixel gets one grey level brighter. Right: how far each of the "
           f"{len(change)} outputs moves. {len(change) - noticed} do not move at all.")


# %% [markdown]
# One pixel of 16,384, one level of 255, and almost every output moves: each output is a mean over a whole feature map.
# Some move a thousand times as far as others, and a few do not move at all.
#
# This was one pixel, and it cost a run of the network. A photograph of 448 × 448 pixels has 602,112 inputs, and
# DifferNet (chapter 08) makes 768 numbers of it: 462 million answers to "how does this output react to
# this input?". The table of all these answers is the *Jacobian matrix*. This chapter computes it, and then does almost
# everything without it.
#
# **Notation** ([notation and words](notation_and_glossary.md)).
#
# > f takes n numbers x and returns m numbers z. **J has m rows and n columns: rows are outputs, columns are inputs.**
# >
# > $$J_{ij} = \frac{\partial z_i}{\partial x_j} \qquad f(x + v) \approx f(x) + J\,v \quad\text{for small } v$$
# >
# > v is a step in the input, shape `(n,)`, and ‖v‖ is its length; $e_j$ is the step that has 1 at input j and 0
# > elsewhere. u is a weighting of the outputs, shape `(m,)`. h is a length of steps. Rows and columns count from 0.

# %% [markdown]
# ## One number in, one number out
#
# With n = m = 1 the Jacobian is a slope. You can measure a slope: step to both sides, divide the difference by the
# distance. This is the *central difference*
#
# $$\frac{f(x + h) - f(x - h)}{2h}$$
#
# The smaller h, the better it follows the curve.
#
# **Predict.** The slope of sin at 1 is cos 1 = 0.5403. You compute in float32, the usual number type of networks, with
# h = 0.005 and with h = 0.00000001 = 10⁻⁸. Which is more accurate?
#
# <details><summary>(a) h = 10⁻⁸: smaller is better.</summary>True on paper. In float32 the neighbour of 1 is
# 1.00000012. A step of 10⁻⁸ does not reach it: 1 + 10⁻⁸ <em>is</em> 1.</details>
# <details><summary>(b) h = 0.005.</summary>Yes. Its error is a few millionths; with 10⁻⁸ both points are 1, and the
# answer is 0.</details>
# <details><summary>(c) Both alike: float32 has seven digits.</summary>Seven digits of sin. Their difference keeps
# what is left after the equal digits cancel, here none.</details>

# %%
def sine(v):
    """sin, rounded once to the number type of v: the best that this type can hold."""
    return v.double().sin().to(v.dtype)


def slope(v, h):
    return (sine(v + h) - sine(v - h)) / (2 * h)


steps = 10.0 ** torch.arange(-1, -12.1, -0.25, dtype=torch.float64)          # (45,)
errors = {}
for dtype in (torch.float32, torch.float64):
    near_1 = torch.linspace(0.9, 1.1, 201, dtype=torch.float64).to(dtype)    # (201,): one point alone may be lucky
    exact = near_1.double().cos()                                            # (201,)
    errors[str(dtype)[6:]] = torch.stack([(slope(near_1, h.to(dtype)).double() - exact).abs().mean() for h in steps])
for h in (0.005, 1e-7, 1e-8):
    single, double = (slope(torch.ones((), dtype=d), torch.tensor(h, dtype=d)).item() for d in (torch.float32, torch.float64))
    print(f"h = {h:<6g} float32 {single:.6f}   float64 {double:.6f}   exact {math.cos(1):.6f}")
turns = [torch.finfo(d).eps ** (1 / 3) for d in (torch.float32, torch.float64)]
plots.show(pictures.over(steps, errors, "h, length of the step", "mean error of the slope", floor=1e-12),
           "Error of the central difference of sin, mean over 201 points near 1. Both curves fall with h, turn, and rise again. Rule of thumb: "
           f"they turn near the cube root of the number type's precision, {turns[0]:.3f} in float32 and {turns[1]:.0e} in float64.")


# %% [markdown]
# The errors are means over 201 points near 1: at a single point rounding errors may cancel by luck, and its curve would
# show needles. Read both curves from right to left. First the error falls like h²: the difference follows the curve better and
# better. Then it rises like 1/h: fewer and fewer digits survive the subtraction. On the far left float32 is flat: the
# estimate is 0, and the error is the whole slope.
#
# A step far too small does not complain. It returns a clean zero, and a zero looks like "this output does not depend on
# this input". Remember that when you check a gradient.
#
# ## Several in, several out
#
# A rectangular plate has sides a = 3 and b = 4 centimetres. From them you compute three numbers: area ab, perimeter
# 2(a + b), diagonal √(a² + b²). So n = 2 and m = 3. Move one side at a time.

# %%
def plate(sides):
    """sides: (2,) in cm. Returns area in cm², perimeter and diagonal in cm: (3,)."""
    a, b = sides
    return torch.stack([a * b, 2 * (a + b), (a * a + b * b).sqrt()])


def jacobian_by_differences(g, at, h):
    """g: (n,) -> (m,). Returns J, (m, n), one column per input."""
    columns = [(g(at + h * e) - g(at - h * e)) / (2 * h) for e in torch.eye(len(at), dtype=at.dtype)]
    return torch.stack(columns, dim=1)


sides = torch.tensor([3.0, 4.0], dtype=torch.float64)
J = jacobian_by_differences(plate, sides, h=1e-4)                               # (3, 2)
for name, row in zip(("area", "perimeter", "diagonal"), J.tolist(), strict=True):
    print(f"{name:10s} per cm of a: {row[0]:.2f}   per cm of b: {row[1]:.2f}")

# %% [markdown]
# **A row belongs to one output.** The first says how the area reacts: 4 cm² per cm of a, 3 cm² per cm of b. **A column
# belongs to one input.** The first says what a longer a does to all three numbers.
#
# Every entry has a unit, output per input. The area's row is in cm² per cm, the others are plain numbers. Measure a in
# millimetres and its column shrinks by ten. The Jacobian depends on the units, and so will everything that is built on it.

# %% [markdown]
# ## The best linear approximation
#
# Near one point, J replaces the map: f(x + v) ≈ f(x) + J v. In the plane you can see this. Take a square of side h
# around a point. J makes a parallelogram of it; the true image is curved. The *gap* is the largest distance between
# the two.
#
# **Predict.** You halve the side h. The square halves, and so do its image and the parallelogram. And the gap?
#
# <details><summary>(a) It halves too.</summary>Then the curve would look as bent in every magnification. That happens
# with a wrong matrix, or at a crease.</details>
# <details><summary>(b) It vanishes.</summary>For a matrix there is no gap to begin with. For a curved map it never
# quite vanishes.</details>
# <details><summary>(c) It becomes a quarter.</summary>Yes. What J leaves out begins with the square of the step.</details>

# %%
swirl, point = grid_warp.swirl, torch.tensor([0.5, 0.25], dtype=torch.float64)   # a map of the plane, (…, 2) -> (…, 2)
edge = grid_warp.edge()                                                           # (97, 2): edge of the unit square
J = jacobian_by_differences(swirl, point, h=1e-4)                                 # (2, 2)
nearly = J + torch.tensor([[0.05, 0.0], [0.0, 0.0]], dtype=torch.float64)         # another matrix, one entry 0.05 off


def gap(matrix, h):
    """Largest distance between the image of the square's edge and what the matrix makes of it."""
    return (swirl(point + h * edge) - swirl(point) - h * edge @ matrix.T).norm(dim=1).max()


sizes = 2.0 ** -torch.arange(0, 9, dtype=torch.float64)                           # (9,): 1 to 1/256
gaps = {name: torch.stack([gap(m, h) for h in sizes]) for name, m in (("J", J), ("one entry 0.05 off", nearly))}
for k in (3, 5, 7):
    factors = ", ".join(f"{name}: {g[k] / g[k + 1]:.2f}" for name, g in gaps.items())
    print(f"from h = 1/{2**k} to 1/{2**(k + 1)} the gap shrinks by a factor   {factors}")
guides = {"like h": (1, 0.06), "like h²": (2, float(gaps["J"][0]))}
plots.show(pictures.over(sizes, gaps, "side h of the square", "gap", slopes=guides),
           "The gap over the side of the square. With J it falls like h², with a matrix that is 0.05 off in one entry "
           f"like h once h is small: at h = 1/256 it is {gaps['one entry 0.05 off'][-1] / gaps['J'][-1]:.0f} times as large.")

# %% [markdown]
# This is what "best" means. Every matrix gives an error that shrinks at least like the step. Only one gives an error
# that shrinks like its *square*, factor 4 per halving. This holds where the map is twice differentiable near the point:
# smooth, without a crease. A matrix that is off in one entry by 0.05 looks as good at h = 1 and
# falls behind as you come closer.
#
# ### Look at it: grid warp
#
# **By what factor does the gap shrink when the side is halved?** Choose a map, move the point, halve the side. The
# right panel blows the image up by 1/h, so that small squares stay visible. (Run the cell to use the controls.)

# %%
display(grid_warp.grid_warp())
states = [("swirl", (0.5, 0.25), 1.0), ("swirl", (0.5, 0.25), 0.5), ("swirl", (0.5, 0.25), 0.25), ("fold", (0.0, 0.25), 0.25)]
fig, said = grid_warp.strip(states)
centre_factor = grid_warp.measure("swirl", (0.0, 0.0), 1 / 64)["factor"]
print(f"in the centre of the swirl, at h = 1/64, the factor is {centre_factor:.1f}")
plots.show(fig, "Image of a square (blue) and parallelogram of J (orange), blown up by 1/h. " + said)

# %% [markdown]
# From left to right: at side 1 the image is visibly bent, at ¼ it fits the parallelogram. The last panel is a map that folds
# the plane along a line, with the point on the crease. There the parallelogram has collapsed to a line and never fits;
# the gap falls by 2 per halving. A crease has no Jacobian. More about it under "Break it".
#
# The printed line is an exception to the other side: in the very centre of the swirl the factor is 8. There the second
# derivatives vanish by symmetry, and what J leaves out begins with the third power. "Like the square" means: at least.
#
# ## Exact, by rows or by columns
#
# Differences need a step, and the step is never quite right. Automatic differentiation needs none: it applies the
# rules of calculus to every operation of the program. It comes in two directions.
#
# - **Backward, vjp** (vector–Jacobian product): give weights u for the outputs, get $u^\top J$. With u = (0, 1, 0) that
#   is *row* 1. It is what `backward()` does.
# - **Forward, jvp** (Jacobian–vector product): give a step v in the input, get J v. With v = (1, 0) that is *column* 0.

# %%
values, pull = vjp(plate, sides)                                    # values (3,); pull: u (3,) -> uᵀJ (2,)
rows = torch.stack([pull(u)[0] for u in torch.eye(3, dtype=torch.float64)])                             # (3, 2)
columns = torch.stack([jvp(plate, (sides,), (v,))[1] for v in torch.eye(2, dtype=torch.float64)], dim=1)  # (3, 2)
print("row 1 (perimeter):", rows[1].tolist(), "  column 0 (side a):", [round(v, 2) for v in columns[:, 0].tolist()])
print("rows and columns give the same matrix:", torch.allclose(rows, columns, atol=1e-12, rtol=0))

u, v = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([0.3, 0.7]).double()
print(f"u · (J v) = {u @ jvp(plate, (sides,), (v,))[1]:.4f}   (uᵀ J) · v = {pull(u)[0] @ v:.4f}")

# %% [markdown]
# The last line is a test that needs no J at all: u · (J v) and (uᵀJ) · v are the same number, because both are uᵀJ v.
# If forward and backward disagree, one of them is wrong.
#
# Now for a network. To keep J small enough to store, cut 20 × 20 pixels out of the washer: n = 3 · 20 · 20 = 1200
# inputs, m = 336 outputs.
#
# **Predict.** Every way below ends with the same 336 × 1200 matrix. How many passes through the network does each need?
#
# <details><summary>(a) Differences 2400, columns 1200, rows 336.</summary>Yes: two runs per input, one per input, one
# per output (plus the forward run that they share).</details>
# <details><summary>(b) The same for all: one per entry, 403,200.</summary>One pass moves one input and shows all
# outputs, or follows one output back to all inputs. Nothing is done entry by entry.</details>
# <details><summary>(c) Rows 1: backward gives all gradients at once.</summary>All gradients of <em>one</em> number. This
# network has 336.</details>

# %%
crop = x[:, 44:64, 44:64].contiguous()                                # (3, 20, 20)
inputs = torch.eye(crop.numel(), dtype=torch.float64).view(-1, *crop.shape)   # (1200, 3, 20, 20): one per input
passes = {}

values, pull = vjp(f, crop)
weights = torch.eye(len(values), dtype=torch.float64)                 # (336, 336): one per output
rows = vmap(lambda u: pull(u)[0])(weights).flatten(1)                 # (336, 1200); vmap: all the u in one batch
passes["rows (vjp)"] = len(weights)

columns = vmap(lambda v: jvp(f, (crop,), (v,))[1], chunk_size=100)(inputs).T
passes["columns (jvp)"] = len(inputs)

h, differences, passes["differences"] = 1e-5, [], 0
for e in inputs.split(100):
    ahead, behind = crop + h * e, crop - h * e                        # (100, 3, 20, 20) each
    differences.append((features(ahead) - features(behind)) / (2 * h))
    passes["differences"] += len(ahead) + len(behind)
differences = torch.cat(differences).T                                # (336, 1200)

print("passes:", passes)
print("rows = columns, to 1e-12:", torch.allclose(rows, columns, atol=1e-12, rtol=0),
      "   rows = differences, to 1e-6:", torch.allclose(rows, differences, atol=1e-6, rtol=0))

# %%
zero_rows = int((rows == 0).all(1).sum())
plots.show(pictures.matrices({"J of the network at this crop": rows}, "input", "output", ("red", "green", "blue")),
           f"The Jacobian, 336 rows and 1200 columns; white is exactly 0. {zero_rows} rows are white from end to end, "
           f"and {float((rows == 0).float().mean()):.0%} of all entries are 0.")

# %% [markdown]
# Read the picture by rows: a white row is an output that no pixel of this crop moves, to first order, here. Read it by
# columns: inputs 0 to 399 are the red values of the 400 pixels, then come the green ones, then the blue ones.
#
# J is wide, n > m, so some direction v in the input moves no output at all: J v = 0, to first order.
# `torch.linalg.svd(J)` finds them. It lists n directions in the input, the one that J stretches most first; the
# directions that no output notices stand last. The last exercise asks for one.
#
# The counts decide which way to go.
#
# | you want | way | passes |
# |---|---|---|
# | what one pixel does to all outputs (a column, J v) | jvp | 1 |
# | what all pixels do to one output or score (a row, uᵀJ) | vjp | 1 |
# | all of J, fewer outputs than inputs | rows | m |
# | all of J, fewer inputs than outputs | columns | n |
# | a check of any of these | differences | 2 per column |

# %%
for name, n, m in (("washer, 128 px, embedded backbone", x.numel(), len(change)), ("448 px, AlexNet at three sizes", 3 * 448 * 448, 768)):
    print(f"{name}: n = {n:,}, m = {m}; J has {n * m / 1e6:.1f} million entries, {4 * n * m / 1e6:.0f} MB in float32")
    print(f"   differences {2 * n:,} passes, columns {n:,}, rows {m}, the gradient of one score 1")

# %% [markdown]
# A score is one number, m = 1. Its whole Jacobian is a single row, and one backward pass gives it, whether the image
# has a thousand pixels or a million. All training of networks rests on this line.
#
# ## The opening question
#
# One pixel, all outputs: a column, so a single jvp. The matrix at 128 pixels would have 16.5 million entries; nobody
# builds it.

# %%
value, predicted = jvp(f, (x,), (one_level,))                        # (336,), (336,)
silent = predicted == 0
print(f"{int((~silent).sum())} outputs notice, {int(silent.sum())} do not;",
      "the same ones as in the first figure:", torch.equal(silent, change == 0))
for levels in (0.1, 1, 8, 64):
    true = f(x + levels * one_level) - value
    off = (true - levels * predicted).norm() / true.norm()
    print(f"{levels:>4} grey levels: the linear prediction is off by {off:.1%}")

# %% [markdown]
# One pass says which outputs notice, without trying. It also says by how much, and there the fine print matters. For a
# tenth of a grey level the prediction is as good as exact, for one level off by two fifths, for 8 levels more wrong than right. The reason is
# inside the network: it is made of ReLUs, max(0, ·), each with a crease. Between creases the network is exactly
# linear; a larger step crosses some. **A Jacobian is a local statement.** How local, you have to measure.

# %% [markdown]
# ## Maps in a row: the chain rule
#
# Let g follow f. A small step v becomes J_f v, and that becomes J_g (J_f v). So the Jacobian of the whole is a matrix
# product:
#
# $$J_{g \circ f}(x) = J_g\big(f(x)\big)\; J_f(x)$$
#
# The map that acts first stands on the right. And J_g is taken at f(x), the point that g receives.
#
# **A tempting mistake: "multiply the Jacobians, all taken at x."** Take f(x) = x + 2 and g(y) = y². Both slopes at
# x = 1 are known: 1 and 2. Is the slope of (x + 2)² at 1 their product?

# %%
shift, square = (lambda v: v + 2), (lambda v: v**2)
one = torch.ones(1, dtype=torch.float64)
true = jacrev(lambda v: square(shift(v)))(one).item()
print(f"all at x: {(jacrev(square)(one) @ jacrev(shift)(one)).item():.0f}   outer one at f(x): "
      f"{(jacrev(square)(shift(one)) @ jacrev(shift)(one)).item():.0f}   true slope: {true:.0f}")

inner, at = grid_warp.squares, torch.tensor([1.5, 0.5], dtype=torch.float64)          # (2,) -> (2,)
product = jacrev(plate)(inner(at)) @ jacrev(inner)(at)                                # (3, 2) @ (2, 2)
print("plate after squares, (3, 2):", torch.allclose(product, jacrev(lambda v: plate(inner(v)))(at), atol=1e-12))


def multiplications(shapes):
    """Multiplications in a product of matrices (rows, columns), carried out from left to right."""
    return sum(shapes[0][0] * rows * columns for rows, columns in shapes[1:])


layers = [(1, 64), (64, 512), (512, 1200)]                                             # last layer first: J₃ J₂ J₁
backward, forward = multiplications(layers), multiplications([(c, r) for r, c in layers[::-1]])
print(f"J₃ J₂ J₁ for 1200 → 512 → 64 → 1: from the left {backward:,}, from the right {forward:,} multiplications")

# %% [markdown]
# At the wrong point the product is 2; the slope is 6.
#
# The last line explains backward against forward. A matrix product may be carried out from either end. From the left
# you carry one row (the score's) through the layers: that is vjp, `backward()`. From the right you carry all 1200
# columns. Same result, sixty times the work. With one input and many outputs it is the other way round.
#
# ## Which pixels move the score?
#
# Now the image is the input, and the output is one number. Before scores, take the plainest output: the sum over the
# channels at *one position* of a feature map. The map `stride4` has 48 channels on 32 × 32 positions.
#
# **Predict.** A position of this map is computed from 39 × 39 pixels, its *receptive field* (chapter 06 counts it). What is
# its gradient on the other pixels of the 128 × 128 image?
#
# <details><summary>(a) Small, falling with the distance.</summary>Inside the field it does fall off towards the edges.
# Outside there is no path from pixel to output, and nothing to be small.</details>
# <details><summary>(b) Exactly 0.</summary>Yes. No path, no derivative, not even a rounding error.</details>
# <details><summary>(c) Unknown: it depends on the weights.</summary>Inside the field it does. Outside no weight connects
# them.</details>

# %%
place = (15, 17)                                                         # a position of the map, row and column


def one_position(image):
    return feature_maps(image[None], "stride4")["stride4"][0, :, place[0], place[1]].sum()    # (48,) -> ()


seen = torch.func.grad(one_position)(x).abs().sum(0)                     # (128, 128): a row of J, colours added
_, moved = jvp(lambda v: feature_maps(v[None])["stride4"][0], (x,), (one_level,))    # (48, 32, 32): a column of J
moved = moved.abs().sum(0)                                               # (32, 32)
where = seen.nonzero()
(top, left), (low, right) = where.amin(0).tolist(), where.amax(0).tolist()
side = backbone.taps["stride4"].receptive_field
print(f"the position sees rows {top} to {low}, columns {left} to {right}; the recursion promises {side} × {side} pixels")
print(f"the pixel reaches {int((moved > 0).sum())} of {moved.numel()} positions; the other entries are exactly 0")
plots.show(pictures.reach(washer, pixel, place, moved, seen, (top, left, side)),
           f"Ring: the pixel {pixel}. Cross: the map position {place}, another place. Middle: the {int((moved > 0).sum())} positions "
           f"of the 32 × 32 map that notice the pixel. Right: the pixels that the position notices, all inside its receptive "
           f"field of {side} × {side} pixels (frame).")

# %% [markdown]
# Middle and right are a column and a row of the same matrix, for two places that have nothing to do with each other:
# the ringed pixel, and the position with the cross. The column is the pixel's footprint in the map, the row is
# the position's field of view in the image. White is exactly 0: chapter 07 turns this around and *measures* receptive
# fields by looking where a gradient is zero. Inside the frame the middle counts most.
#
# ### A score and its sensitivity map
#
# Here is a small defect score. From 60 good washers take the mean and the spread of every number of the map. For a
# new washer, the *deviation* of a position is the mean over its 48 channels of ((number − mean) / spread)². Two image scores follow
# (chapter 01): the mean deviation, and the largest.

# %%
goods = factory.normal("washer", 60, size=128, seed=0).double()                          # (60, 3, 128, 128)
maps = feature_maps(goods, "stride4")["stride4"]                                          # (60, 48, 32, 32)
centre = maps.mean(0)                                                                     # (48, 32, 32)
spread = maps.std(0) + 0.1 * maps.std((0, 2, 3))[:, None, None] + 1e-3                     # never 0


def deviation(image):
    """image: (3, 128, 128). Returns how unusual each position is, (32, 32)."""
    return ((feature_maps(image[None], "stride4")["stride4"][0] - centre) / spread).square().mean(0)


scores = {"mean": lambda image: deviation(image).mean(), "largest": lambda image: deviation(image).max()}
test = factory.split("washer", size=128, n_train=1, n_good=6, n_per_kind=6, seed=0)
gradients = {name: torch.stack([torch.func.grad(score)(image.double()).abs().sum(0) for image in test.test])
             for name, score in scores.items()}                                           # (42, 128, 128) each
bad = [k for k, kind in enumerate(test.kinds) if kind != "good"]
for name, maps_ in gradients.items():
    hits = sum(bool(test.masks[k].flatten()[maps_[k].argmax()]) for k in bad)
    touching = sum(bool((maps_[k] > 0)[test.masks[k]].any()) for k in bad)
    share = (maps_ > 0).double().mean()
    print(f"{name:8s} non-zero on {share:4.0%} of the pixels; touches the defect in {touching} of {len(bad)}, "
          f"most sensitive pixel inside it in {hits} of {len(bad)}")

# %%
metal = goods.mean((0, 1)) > 0.25                                                         # (128, 128): bright is metal
coarse, good = metal[::4, ::4], torch.tensor([kind == "good" for kind in test.kinds])     # (32, 32), (42,)
for name, which in (("good", good), ("defective", ~good)):
    on, elsewhere = (gradients["mean"][which][:, part].mean() for part in (metal, ~metal))
    print(f"gradient of the mean deviation, {name} washers: a pixel off the metal counts {elsewhere / on:.1f} times one on it")
peaks = sum(bool(metal.flatten()[m.argmax()]) for m in gradients["mean"])
print(f"brightest pixel on the metal in {peaks} of {len(good)} images; metal is {metal.double().mean():.0%} of the area")
print(f"mean spread of the numbers on metal {spread[:, coarse].mean():.2f}, elsewhere {spread[:, ~coarse].mean():.2f}")

# %%
shown = [0] + [test.kinds.index(kind) for kind in ("scratch", "missing", "misplaced")]
boxes = []
for k in shown:
    inside = gradients["largest"][k].nonzero()
    boxes.append((*inside.amin(0).tolist(), side))
touched = [bool((gradients["largest"][k] > 0)[test.masks[k]].any()) for k in shown[1:]]
plots.show(pictures.sensitivity([test.test[k] for k in shown], [test.kinds[k] for k in shown], [test.masks[k] for k in shown],
                                {name: [g[k] for k in shown] for name, g in gradients.items()}, {"largest": boxes}),
           "Four washers with the true mask outlined (pink). Below: which pixels move the mean deviation, and which move "
           f"the largest, each map on its own scale. Frame: the receptive field of the most deviant position; it touches "
           f"the defect in {sum(touched)} of these {len(touched)} defective washers.")


# %% [markdown]
# A first gradient map, six chapters before DifferNet's. Read it with care.
#
# - **Bottom row, largest deviation.** The score comes from one position, so the gradient is exactly 0 outside its 39 × 39
#   pixels. Where that position sits on the defect, the frame points at it; where it does not, the map misses. The good
#   washer has a frame too: *some* position is always the largest.
# - **Middle row, mean deviation.** Every position has a say. On *good* washers a pixel of the background or of the hole
#   moves the score more, on average, than one on the metal, and one reason is printed above: the spread is smaller there,
#   and the score divides by its square. On defective washers it is the other way round, and over all images the single
#   brightest pixel is mostly on the metal. Only in a minority of cases is it inside the defect.
#
# **A tempting mistake: "bright means defective."** A sensitivity map answers: *where would a small change of the image
# move the score most?* Here that is, on *good* parts, the background: a speck there would be unusual. That a defect *is*
# there is another statement, and it needs the score itself. Chapter 08 blurs and averages such maps, and measures how far
# one gets with them.

# %% tags=["nbval-ignore-output"]
def seconds(run, times=10):
    run()
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


with torch.no_grad():
    plain = seconds(lambda: scores["mean"](x))
full = seconds(lambda: torch.func.grad(scores["mean"])(x))
print(f"score and all {x.numel():,} derivatives together cost about {full / plain:.1f} times the score alone (varies by machine)")


# %% [markdown]
# About 49 thousand derivatives for the price of a few evaluations. (This is the one number here that depends on the machine.)
#
# ## Break it
#
# **Predict.** You fill J row by row with `z[i].backward()` and copy `x.grad` after each call. What stands in row 2 of the
# plate's Jacobian?
#
# <details><summary>(a) The sum of rows 0, 1 and 2.</summary>Yes. <code>backward</code> does not write x.grad, it
# <em>adds</em> to it, and nobody set it back.</details>
# <details><summary>(b) The derivatives of the diagonal, as they should.</summary>They would, if x.grad were set back
# to None before each call. Nobody did.</details>
# <details><summary>(c) An error, because the graph was used before.</summary>Only if you forget
# <code>retain_graph=True</code>. With it nothing complains.</details>

# %%
def rows_by_backward(g, at, reset):
    at = at.clone().requires_grad_()
    z, found = g(at), []
    for value in z:
        if reset:
            at.grad = None
        value.backward(retain_graph=True)
        found.append(at.grad.clone())
    return torch.stack(found)


right, wrong = (rows_by_backward(plate, sides, reset) for reset in (True, False))
for name, a, b in zip(("area", "perimeter", "diagonal"), right.tolist(), wrong.tolist(), strict=True):
    print(f"{name:10s} right {[round(v, 2) for v in a]}   accumulated {[round(v, 2) for v in b]}")
print("accumulated row = running sum of the rows:", torch.allclose(wrong, right.cumsum(0)))
print("difference of neighbouring rows gives J back:", torch.allclose(wrong.diff(dim=0), right[1:]))

# %% [markdown]
# The first row is right, and that is what makes this mistake hard to see: a quick look at one gradient finds nothing.
# How to notice: compare the *last* row with a central difference.
#
# **Now the crease.** At the fold of the widget's last map there is no derivative. What does autograd say?

# %%
crease, off = (0.0, 0.25), (0.75, 0.25)
for name, at in (("on the crease", crease), ("beside it", off)):
    J = grid_warp.jacobian("fold", at)
    gaps = [grid_warp.measure("fold", at, h)["gap"] for h in (0.5, 0.25, 0.125)]
    print(f"{name:14s} J = {[[round(v, 2) for v in row] for row in J.tolist()]}   gap at h = 1/2, 1/4, 1/8: "
          + ", ".join(f"{g:.3f}" for g in gaps))
from_left, from_right = (jacrev(grid_warp.fold)(torch.tensor([side, 0.25]).double())[0, 0].item() for side in (-1e-9, 1e-9))
print(f"slope of the first output just left and just right of the crease: {from_left:.0f} and {from_right:.0f}")

# %% [markdown]
# autograd returns a matrix without a word: 0, between the −1 of the left and the +1 of the right. The gap tells:
# it halves where it should fall to a quarter. Beside the crease the map is linear, and there is no gap at all.
#
# Every ReLU is such a crease. A point that lies *exactly* on one is rare, so autograd's choice hardly ever matters in practice. A
# finite step that *crosses* one is common: that is why the prediction for 1 and for 8 grey levels failed.
#
# ## Common misconceptions
#
# You have met "all Jacobians are taken at x" and "bright means defective". Two more.
#
# **"A zero entry means that the output does not depend on that input."** It means: not at this point, not to first
# order.

# %%
square_at_0 = jacrev(square)(torch.zeros(1, dtype=torch.float64)).item()
relu_left = jacrev(torch.relu)(torch.tensor([-0.5], dtype=torch.float64)).item()
print(f"x² at 0: slope {square_at_0:.0f}, yet x² goes from 0 to {square(3.0):.0f} at x = 3")
print(f"relu at −0.5: slope {relu_left:.0f}, yet relu(2) = {torch.relu(torch.tensor(2.0)).item():.0f}")
_, elsewhere = jvp(f, (torch.ones_like(x),), (one_level,))                 # (336,): the same pixel, in a white image
woken = int((elsewhere[silent] != 0).sum())
print(f"of the {int(silent.sum())} outputs with a zero entry for our pixel, {woken} have a non-zero one in a white image")

# %% [markdown]
# **"In a batch, each gradient belongs to its own sample."** It does if the samples do not touch each other on the way. The
# Jacobian of a batch has four axes: sample and output, sample and input. The blocks off the diagonal say whether
# samples mix. Below, the same small network twice, once with batch normalisation in training mode.

# %%
torch.manual_seed(0)
plain = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
mixing = nn.Sequential(plain[0], nn.BatchNorm1d(4).double(), *plain[1:])     # in training mode: uses the batch's mean
batch = torch.randn(5, 3, dtype=torch.float64)                               # (B, n)
for name, net in (("without batch norm", plain), ("with batch norm", mixing)):
    blocks = torch.autograd.functional.jacobian(net, batch)                  # (B, m, B, n)
    other = blocks.abs().sum((1, 3))                                         # (B, B): does sample i notice sample j?
    print(f"{name:18s} {tuple(blocks.shape)}; blocks off the diagonal are zero:",
          bool((other[~torch.eye(5, dtype=torch.bool)] == 0).all()))

# %% [markdown]
# Without batch normalisation only the diagonal blocks are left: no sample moves the result of another one. So you may
# add up the scores of a whole batch and differentiate the sum. Every image gets the gradient of its own score, all in
# one backward pass. With batch normalisation in training mode, every sample
# notices every other. A frozen network is in evaluation mode, and there it does not happen (chapter 07).
#
# **Where articles are loose, and what holds.**
#
# | You may read | What holds |
# |---|---|
# | "the Jacobian is the derivative of the network" | at one point; on the next side of a crease it is another matrix |
# | "a zero gradient: the pixel is irrelevant" | irrelevant to first order, here; outside the receptive field for good |
# | "a smaller step is more accurate" | until rounding takes over: near h = 0.005 in float32 for a curve like sin |
# | "the saliency map shows the defect" | it shows where the score is sensitive |

# %% [markdown]
# ## Check yourself
#
# **1.** z = f(x) with 5 inputs and 2 outputs. What does column 3 of J say? (Counting starts at 0.)
#
# <details><summary>(a) How output 3 reacts to all inputs.</summary>That would be a row, and there are only two.</details>
# <details><summary>(b) How both outputs react to input 3.</summary>Right. Columns are inputs; it has two
# entries.</details>
# <details><summary>(c) How sample 3 of a batch is mapped.</summary>J belongs to one sample. A batch has one J per
# sample.</details>
#
# **2.** You want the derivative of one score with respect to 49,152 pixels. Cheapest way?
#
# <details><summary>(a) 49,152 forward passes, one per pixel (jvp).</summary>It works and gives a column of one entry each
# time.</details>
# <details><summary>(b) 98,304 evaluations by central differences.</summary>The dearest, and the only inexact
# one.</details>
# <details><summary>(c) One backward pass (vjp).</summary>Right: J has a single row.</details>
#
# **3.** g follows f. The Jacobian of the whole at x is
#
# <details><summary>(a) J_f(x) J_g(f(x)).</summary>The order is turned. The shapes tell: g's inputs must meet f's
# outputs.</details>
# <details><summary>(b) J_g(x) J_f(x).</summary>Right order, wrong place: g never sees x.</details>
# <details><summary>(c) J_g(f(x)) J_f(x).</summary>Right.</details>

# %% [markdown]
# **4.** *(earlier: defect detection)* A camera finds 95 % of the bad parts and raises a false alarm for 5 % of the good
# ones. One part in a hundred is bad. Of a hundred alarms, how many are real?
#
# <details><summary>(a) About 95.</summary>That is the share of bad parts that raise an alarm, the other way round.</details>
# <details><summary>(b) About 16.</summary>Right: in 1000 parts 9.5 hits and 49.5 false alarms.</details>
# <details><summary>(c) About 50.</summary>It would be, with one bad part in twenty.</details>
#
# **5.** *(earlier: defect detection)* From which images may you choose the threshold of a detector?
#
# <details><summary>(a) From good images that are not in the test set.</summary>Right. No defect is needed, and the test stays a test.</details>
# <details><summary>(b) From the test images, so that the F1 score is best.</summary>Then the test has been used for
# training, and its number promises too much.</details>
# <details><summary>(c) From the defective images.</summary>The next defect may be of a kind that you do not
# have.</details>

# %% [markdown]
# ## What you can now say
#
# - J has a row per output and a column per input. It is the one matrix whose error falls like the square of the step, where the map is smooth.
# - Differences need two passes per column and a step that is neither too large nor too small; a step too small
#   returns zeros.
# - vjp gives rows, jvp gives columns, each in one pass and without J.
# - Jacobians of maps in a row multiply, the first map on the right, each at the point it receives.
# - The gradient of a score by the image shows where the score is sensitive. It is exactly 0 outside the receptive
#   field, and it is not a map of defects.
#
# | formula card | |
# |---|---|
# | Jacobian | Jᵢⱼ = ∂zᵢ/∂xⱼ, (m, n): rows are outputs |
# | linear approximation | f(x + v) = f(x) + J v + error of order ‖v‖², if f is twice differentiable near x |
# | central difference | column j ≈ (f(x + h eⱼ) − f(x − h eⱼ)) / 2h; eⱼ: 1 at input j, else 0 |
# | jvp and vjp | J v: 1 pass forward. uᵀJ: 1 pass backward. u · (J v) = (uᵀJ) · v |
# | chain rule | J of g∘f at x = J_g(f(x)) J_f(x) |

# %% [markdown]
# **Next.** Build it yourself, six functions, about 55 minutes: [exercises/02](../exercises/02_jacobian.ipynb). One of
# them finds a direction in the input that *no* output notices. Chapter 03 asks by what factor a square Jacobian
# changes volumes: [the determinant](03_determinant.ipynb). The logarithm of that factor is the log_det of every flow. The gradient map returns in [08](08_differnet.ipynb).
#
# **Sources.** Automatic differentiation, forward and backward: survey by Baydin and others (2018, arXiv 1502.05767).
# Gradients of a score by the image: Simonyan and others (2013, arXiv 1312.6034). Receptive fields: Araujo and others
# (Distill 2019); why their middle counts most: Luo and others (2016, arXiv 1701.04128). The gradient map of defects:
# DifferNet (2020, arXiv 2008.12577).
