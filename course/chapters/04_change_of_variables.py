# %% [markdown]
# # 04 · Change of variables
#
# Ten thousand random numbers, evenly spread over 0 to 1, are squared. Small numbers become very small, so the squares
# crowd near 0.
#
# **Where exactly do they crowd, and how do you say "how crowded" in a formula?**
#
# **After this chapter you can**
# - turn the density of z into the density of x = g(z), and say which derivative is taken, and where;
# - verify such a formula by a histogram, an integral and an entropy;
# - do the same in n dimensions with a determinant, and translate between the two directions in use;
# - say why the most likely point does not travel with the map.
#
# *Prerequisites: [02 The Jacobian matrix](02_jacobian.ipynb) and [03 The determinant](03_determinant.ipynb). Reading
# 40 minutes, running about 10 seconds. If you come from the survey article: this is its section 2.3. Box–Muller (part
# 6 and exercise 4) may be skipped; part 2 may not.*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import math

import torch
from IPython.display import display
from torch.distributions import Chi2, Laplace, MultivariateNormal, Normal, StudentT

from tutorial_lib import flows, plots
from tutorial_lib.plots.change_of_variables import before_after, histogram, patches
from tutorial_lib.widgets import stretch

plots.style.use()
torch.set_default_dtype(torch.float64)                                   # we compare with formulas: double precision

u = torch.rand(10_000, generator=torch.Generator().manual_seed(0))       # (10000,), uniform on 0 to 1
x = u.square()                                                           # (10000,)
first = [int((v < 0.05).sum()) for v in (u, x)]
last = [int((v > 0.95).sum()) for v in (u, x)]
print(f"first bin, 0 to 0.05: {first[0]} before, {first[1]} after.   last bin, 0.95 to 1: {last[0]} before, "
      f"{last[1]} after")
plots.show(before_after(u, x), f"The same 10 000 numbers before and after squaring, in bins of width 0.05. The first "
           f"bin grows from {first[0]} to {first[1]} numbers, the last one shrinks from {last[0]} to {last[1]}.")

# %% [markdown]
# The left picture is flat: about 500 numbers in every bin. On the right the first bin has more than four times as
# many, and the last about half. No number was lost or made. The same numbers only stand closer together, or further
# apart.
#
# > **Notation.** z is the point before the map (u when it is uniform), with *base density* π(z). x = g(z) is the point
# > after it, with density p(x). **In this chapter the map g leads from z to x**, as in the survey article. Everywhere
# > else in this course the flow f leads from x to z. Part 7 translates. All symbols:
# > [notation and words](notation_and_glossary.md).
# >
# > $$p(x) = \frac{\pi(z)}{|g'(z)|} \quad\text{at}\quad z = g^{-1}(x)$$
#
# ## 1 · Mass stays, length changes
#
# *Mass* is a share of the probability: 0.1 means one number in ten. *Density* is mass per length. Follow one short
# piece of the z axis through the map.

# %%
width = 0.001                                                            # length of each piece of the z axis
for start in (0.05, 0.5, 0.9):
    mass = width                                                         # π = 1 on 0 to 1: mass = 1 · length
    length = (start + width) ** 2 - start ** 2                           # length of its image
    print(f"piece at z = {start:.2f}: mass {mass:.3f}, its image is {length:.6f} long at x = {start**2:.4f}; "
          f"mass per length {mass / length:5.2f}   1/|g'(z)| = {1 / (2 * start):5.2f}")


# %% [markdown]
# The mass in the middle column never changes. The length does, by the factor g′(z) = 2z, up to the small
# width of the piece. So the same mass is spread over a piece |g′(z)| times as long, and the density is divided by that
# factor:
#
# $$p(x) = \frac{\pi(z)}{|g'(z)|} = \frac{1}{2z} = \frac{1}{2\sqrt x}$$
#
# A formula is a claim. Here are three ways to test one, and this chapter uses them on every formula: the integral is 1;
# a histogram agrees; the entropy is what it should be (part 4 explains that number).
#
# How far may a histogram be off? Of n samples, n·m are expected in a bin of mass m, with a *standard error* of
# √(n m (1 − m)). More than three of these is suspicious. (With 20 bins a right formula gets there by chance once in
# about twenty tries.)

# %%
def verify(name, samples, density, x, low, high):
    """samples (n,); density: (B,) -> (B,); x: (m,) rising points that hold the mass; bins from low to high."""
    p = density(x)                                                       # (m,)
    edges = torch.linspace(low, high, 21)                                # 20 bins
    inner = edges[:-1, None] + (high - low) / 20 * torch.linspace(0, 1, 101)      # (20, 101)
    mass = torch.trapezoid(density(inner), inner)                        # (20,): integral of p over each bin
    n, count = len(samples), torch.histogram(samples, edges).hist        # (20,)
    off = ((count - n * mass) / (n * mass * (1 - mass)).sqrt()).abs().max()
    entropy = -torch.trapezoid(torch.special.xlogy(p, p), x)
    print(f"{name}: integral {torch.trapezoid(p, x):.3f}, worst of 20 bins {off:.1f} standard errors off, entropy "
          f"{entropy:+.3f}")


z_unit = torch.linspace(1e-4, 1, 20_001)                                 # (20001,), points of z between 0 and 1
p_square = lambda x: 1 / (2 * x.sqrt())
verify("x = u², the 10 000", x, p_square, z_unit.square(), 0.05, 1.0)
fresh = torch.rand(100_000, generator=torch.Generator().manual_seed(6)).square()
verify("100 000 fresh ones", fresh, p_square, z_unit.square(), 0.05, 1.0)


# %% [markdown]
# "How crowded" is 1/(2√x): it grows without bound towards 0, and is ½ at 1. The integral is 1. But the first sample
# is suspicious: one bin is off by more than three standard errors. Is it the formula, or the one try in twenty? Draw
# again, and more. With more samples a wrong formula gets worse; a chance outlier goes away. Ten times as many fresh
# numbers find nothing: it was chance. (The bins start at 0.05, where the curve is no longer too steep for this simple
# rule.)

# %% [markdown]
# ## 2 · Which derivative, taken where
#
# z is standard normal, x = eᶻ. This is the *log-normal* distribution: the logarithm of x is normal.
#
# **Predict.** The most likely z is 0. Where is the most likely x?
#
# <details><summary>(a) At e⁰ = 1. The most likely point goes to the most likely point.</summary>The point z = 0 does go
# to x = 1. But its neighbours are spread further apart than those on the left of it, so the density is not highest
# there.</details>
# <details><summary>(b) At e^½ = 1.65, the mean of x.</summary>1.65 is the mean. A long tail on the right pulls the
# mean, not the peak.</details>
# <details><summary>(c) Left of 1.</summary>Yes: at e⁻¹ = 0.37. On the left of 1 the map squeezes, so the density gains
# there. The next cell shows it.</details>

# %%
def pi(z):
    """The standard normal density, the base of most examples: (B,) -> (B,)."""
    return torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)


def p_lognormal(x):
    z = x.log()                                                          # z = g⁻¹(x)
    return pi(z) / z.exp()                                               # |g'(z)| = eᶻ, which is x


z = torch.randn(100_000, generator=torch.Generator().manual_seed(1))     # (100000,)
z_line = torch.linspace(-8, 8, 16_001)                                   # (16001,), points of z
x_line = z_line.exp()
verify("x = exp z", z.exp(), p_lognormal, x_line, 0.02, 4.0)
image, mode = math.exp(z_line[pi(z_line).argmax()]), float(x_line[p_lognormal(x_line).argmax()])
print(f"image of the most likely z: {image:.2f}.   most likely x: {mode:.2f}")
near = torch.linspace(0.01, 4, 400)
fig = histogram(z.exp(), torch.linspace(0, 4, 41), {"p(x) = π(ln x) / x": (near, p_lognormal(near))},
                {"image of the mode": image, "mode of the image": mode})
plots.show(fig, f"Histogram of 100 000 log-normal numbers with its formula. The image of the most likely z lies at "
           f"{image:.2f}, the highest density at {mode:.2f}.")

# %% [markdown]
# The curve runs along the top of the grey steps. The density is highest at 0.37, left of the image of the most likely
# z. Mass travels with the points. Density does not, and so its highest place does not either.
#
# **A tempting mistake: the derivative at the wrong place.** You may read a formula with the determinant of df(x)/dx,
# where f maps z to x. **Correction.** This map takes a z. For eᶻ you can put x in, but that is the slope at another
# place; for a map such as ln z, x may not even be allowed. The slope must be the one at the place where the mass was,
# z = g⁻¹(x). The letter x is tempting because p is a function of x. Here is what the slips cost.

# %%
candidates = {"π(ln x) / g'(z) at z = ln x": lambda x: pi(x.log()) / x,
              "π(ln x) / g'(x), taken at x": lambda x: pi(x.log()) / x.exp(),
              "π(ln x), no derivative":      lambda x: pi(x.log()),
              "π(ln x) · g'(z)":             lambda x: pi(x.log()) * x}
for name, candidate in candidates.items():
    print(f"{name:28s} integral {torch.trapezoid(candidate(x_line), x_line):.3f}")

# %% [markdown]
# Only the first is a density. You may also write it with the derivative of the way back, which *is* a function of x:
# p(x) = π(g⁻¹(x)) · |dg⁻¹/dx|. For eᶻ both say 1/x. Two safe rules: **g′ divides and is taken at z; the
# derivative of g⁻¹ multiplies and is taken at x.**
#
# ## 3 · Why it is true: mass up to x
#
# You may read: "both densities integrate to 1 over the whole line; now differentiate both sides." **What holds.** Over
# the whole line both sides are the number 1, and the derivative of 1 is 0. You get 0 = 0 and nothing about p. What can
# be differentiated is the mass *up to* x, the cumulative distribution function F(x). For a rising map,
#
# $$F(x) = P(g(z) \le x) = P(z \le g^{-1}(x)) = \Phi(g^{-1}(x))$$
#
# where Φ is the mass of z up to a point. Differentiate this: F′(x) = π(g⁻¹(x)) · (g⁻¹)′(x). That is the formula.

# %%
x0, h = torch.tensor([0.37, 1.0, 2.5]), 1e-4
whole = [torch.trapezoid(f(points), points) for f, points in ((pi, z_line), (p_lognormal, x_line))]
print(f"over the whole line: {whole[0]:.3f} and {whole[1]:.3f}: nothing to differentiate")
F = lambda x: Normal(0.0, 1.0).cdf(x.log())
counted = torch.stack([(z.exp() <= v).double().mean() for v in x0])
for k, v in enumerate(x0):
    slope = (F(v + h) - F(v - h)) / (2 * h)
    print(f"x = {v:.2f}: F {F(v):.3f}, counted {counted[k]:.3f}; slope of F {slope:.4f}, p(x) {p_lognormal(v):.4f}")

# %% [markdown]
# F agrees with counting, and its slope is p(x). The same works for the mass of any small interval.
#
# **A falling map needs the absolute value.** Take u uniform and x = −ln u. Small u give large x: the order is turned
# round, and the slope of g⁻¹(x) = e⁻ˣ is negative. Mass up to x is now mass of u *above* e⁻ˣ, so
# F(x) = 1 − e⁻ˣ. A length is never negative; |·| says so.

# %%
x_falling = torch.linspace(0, 20, 20_001)                                # (20001,)
slope = -torch.exp(-x_falling)                                           # dg⁻¹/dx
print(f"without | |: integral {torch.trapezoid(1.0 * slope, x_falling):+.3f}")
u_many = torch.rand(100_000, generator=torch.Generator().manual_seed(2))
verify("x = −ln u", -u_many.log(), lambda x: torch.exp(-x), x_falling, 0.0, 4.0)

# %% [markdown]
# Without the absolute value the "mass" is −1. With it you have the exponential distribution, made from uniform numbers.
# This trick is the *inverse CDF*: feed uniform numbers to F⁻¹ and you can sample anything on the line whose F you can
# invert. Here F⁻¹(u) = −ln(1 − u). But 1 − u is as uniform as u, so −ln u does as well.
#
# ## 4 · Entropy: the change, as one number
#
# *Entropy* is the mean of −ln p: large when mass is spread thin. Take the logarithm of the formula, ln p(x) = ln π(z) −
# ln|g′(z)|, and then the mean of both sides:
#
# $$H(x) = H(z) + \mathbb E \ln |g'(z)|$$
#
# A map that stretches on average raises the entropy by exactly its mean log-stretch. Compare with the values that
# `verify` printed from p alone.

# %%
H_normal, inside = 0.5 * math.log(2 * math.pi * math.e), torch.linspace(1e-6, 1, 200_001)
parts = {"x = u²":    (0.0, torch.trapezoid((2 * inside).log(), inside)),
         "x = exp z": (H_normal, torch.trapezoid(pi(z_line) * z_line, z_line)),
         "x = −ln u": (0.0, torch.trapezoid(-inside.log(), inside))}
for name, (base, mean_log) in parts.items():
    mean_log = mean_log.round(decimals=6) + 0.0                          # no "−0.000"
    print(f"{name:10s} H(z) {base:+.3f} + E ln|g'(z)| {mean_log:+.3f} = {base + mean_log:+.3f}")

# %% [markdown]
# The sums are the entropies from above, to within 0.01. (The first one is the hardest to integrate: its density grows
# without bound at 0.) Squaring squeezes on average, and the entropy falls below 0: the entropy of a density may be
# negative. For eᶻ the log-stretch is zero on average, and still the density is another.
#
# ## 5 · Break it: the sign, and the fold
#
# **Predict.** z is standard normal, x = 2z. At 0 the histogram of x is, compared with that of z,
#
# <details><summary>(a) twice as high: the derivative is 2.</summary>The derivative of the map that made the data
# *divides*. The cloud is twice as wide, so it must be half as high.</details>
# <details><summary>(b) half as high.</summary>Yes. The same mass on twice the length.</details>
# <details><summary>(c) equally high: 0 goes to 0.</summary>The point stays, its neighbours move apart.</details>

# %%
x_wide = torch.linspace(-20, 20, 20_001)
divided, multiplied = (lambda x: pi(x / 2) / 2), (lambda x: pi(x / 2) * 2)
share = [((v.abs() < 0.1).double().mean() / 0.2).item() for v in (z, 2 * z)]
print(f"counted density at 0: z {share[0]:.2f}, x = 2z {share[1]:.2f}")
for name, p in {"divided": divided, "multiplied": multiplied}.items():
    print(f"{name:10s} at 0: {p(torch.tensor(0.0)):.2f}   integral {torch.trapezoid(p(x_wide), x_wide):.0f}")
shown = torch.linspace(-6, 6, 241)
curves = {"divided by 2: integral 1": (shown, divided(shown)),
          "multiplied by 2: integral 4": (shown, multiplied(shown))}
fig = histogram(2 * z, torch.linspace(-6, 6, 61), curves, ylim=(0, 1.15))
plots.show(fig, "Histogram of x = 2z with both candidates. The one divided by 2 fits; the one multiplied by 2 is four "
           "times too high everywhere.")

# %% [markdown]
# The flipped sign of ln|g′| costs a factor of 2² = 4: integral 4 in place of 1. In d dimensions with all axes
# stretched by 2 it would be 4 to the power d. The integral finds this error at once.
#
# **Now the fold.** The formula asks for *the* z that came to x. The map y = x² of a normal x folds the line: both √y
# and −√y arrive at y.
#
# **Predict.** You use p(y) = π(√y) / (2√y), and forget −√y. What is the integral?
#
# <details><summary>(a) 1: the formula normalises itself.</summary>It only moves mass. What you do not follow is
# lost.</details>
# <details><summary>(b) ½: half of the numbers were negative.</summary>Yes. The branch −√y holds the other
# half.</details>
# <details><summary>(c) 2: every y counts twice.</summary>Every y *should* count twice. This formula counts it
# once.</details>

# %%
y_line = torch.linspace(-11.5, 2.1, 20_001).exp().square()               # (20001,), points of y, dense near 0
one = lambda y: pi(y.sqrt()) / (2 * y.sqrt())
both = lambda y: one(y) + pi(-y.sqrt()) / (-2 * y.sqrt()).abs()
print(f"one branch: integral {torch.trapezoid(one(y_line), y_line):.3f}")
verify("both branches", z.square(), both, y_line, 0.05, 4.0)
library = Chi2(torch.tensor(1.0)).log_prob(y_line).exp()
print("equals the library's χ² with one degree of freedom:", torch.allclose(both(y_line), library))

# %% [markdown]
# Half of the mass came from the left. The cure is a **sum over all branches**. For data of many dimensions nobody can
# list the branches, and so a flow uses maps that have only one: this is why [05](05_normalizing_flows.ipynb) insists on
# *invertible*.
#
# ### Touch it: stretch a density
#
# **For which maps do the two marks stay together at every strength, and which strength lifts the density above 3?** Ten
# strips hold a tenth of the mass each. Choose a map and move the strength. (Run the cell to use the controls.)

# %%
display(stretch.stretch())
figure, said = stretch.strip([("x = a z", 0.125), ("x = exp(a z)", 1.0), ("x = sinh(a z)", 1.0),
                              ("x = tanh(a z)", 1.25)])
plots.show(figure, said)
apart = {name: max(abs(m["image_of_mode"] - m["mode_of_image"])
                   for m in (stretch.measure(name, a) for a in stretch.STRENGTHS)) for name in stretch.MAPS}
print("largest distance of the two marks:", {name: round(gap, 2) for name, gap in apart.items()})
above = lambda name, strengths: [a for a in strengths if stretch.measure(name, a)["peak"] > 3]
print("strengths with a density above 3:", {name: above(name, stretch.STRENGTHS) for name in stretch.MAPS})
beyond = {name: above(name, [k / 10 for k in range(13, 31)]) for name in stretch.MAPS}
print("beyond the slider, up to a = 3, from:", {name: a[0] for name, a in beyond.items() if a})


# %% [markdown]
# Each panel has its own axes. Wide strips are low and narrow ones high; the area of each is 0.1 in every state. Read
# the marks:
#
# - `a z`: together, always. A constant stretch divides all densities by one number and changes no ranking.
# - `exp(a z)`: apart. The mode moves towards the squeezed side.
# - `sinh(a z)`: together, but for another reason. The map stretches least exactly where the mode is.
# - `tanh(a z)`: together for small a. Then the squeezing at the two ends wins, and one peak becomes two (the mark
#   takes the right one).
#
# On this slider only the smallest strength, 0.125, lifts the density above 3: the same mass on a short piece. No mass
# was added. Beyond the slider large strengths do so as well, where the map squeezes: tanh from about a = 1.4, exp
# from about 2.5.

# %% [markdown]
# ## 6 · Two dimensions: areas
#
# Now a map of the plane. A small patch of the z plane becomes a small patch of the x plane, and its area grows by
# |det J|, the determinant of the Jacobian ([03](03_determinant.ipynb)). Nothing else changes in the argument:
#
# $$p(x) = \frac{\pi(z)}{|\det J_g(z)|} \quad\text{at}\quad z = g^{-1}(x)$$
#
# The example is from Box and Muller (1958). u = (u₁, u₂) is uniform on the unit square. It becomes a radius and an
# angle, and these become a point of the plane.

# %%
def box_muller(u):
    """u: (..., 2), between 0 and 1. Returns x (..., 2)."""
    r, angle = (-2 * u[..., 0].log()).sqrt(), 2 * math.pi * u[..., 1]
    return torch.stack([r * angle.cos(), r * angle.sin()], -1)


jacobians = torch.func.vmap(torch.func.jacrev(box_muller))               # (B, 2) -> (B, 2, 2)
some = torch.tensor([[0.9, 0.2], [0.5, 0.6], [0.1, 0.9]])                # (3, 2)
dets = torch.linalg.det(jacobians(some)).abs()                           # (3,)
for point, det in zip(some, dets, strict=True):
    x = box_muller(point)
    normal = torch.exp(-0.5 * x.square().sum()) / (2 * math.pi)
    print(f"u = ({point[0]:.1f}, {point[1]:.1f}): |det J| {det:6.2f}, 2π/u₁ {2 * math.pi / point[0]:6.2f};  "
          f"p(x) = 1/|det J| = {1 / det:.4f}, normal density {normal:.4f}")

# %% [markdown]
# |det J| is 2π/u₁, so 1/|det J| is u₁/2π. And u₁ fixes the radius r: u₁ = e^(−r²/2), so u₁/2π = e^(−r²/2)/2π. This *is*
# the density of two independent standard normal numbers. Your library may draw its normal numbers in this way. Verify
# in the plane, by a histogram of 64 square bins and by the integral.

# %%
u_plane = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(3))     # (100000, 2)
x_plane = box_muller(u_plane)                                                    # (100000, 2)
density = lambda x: torch.exp(-0.5 * x.square().sum(-1)) / (2 * math.pi)
axis = -6 + 0.025 * (torch.arange(480) + 0.5)                                    # (480,), centres of small cells
p = density(torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1))          # (480, 480)
mass = p[160:320, 160:320].reshape(8, 20, 8, 20).sum((1, 3)) * 0.025 ** 2        # (8, 8): from −2 to 2
edges = torch.linspace(-2, 2, 9)
count = torch.histogramdd(x_plane, [edges, edges]).hist                          # (8, 8)
off = ((count - 1e5 * mass) / (1e5 * mass * (1 - mass)).sqrt()).abs().max()
print(f"integral {p.sum() * 0.025**2:.3f}; worst of 64 bins {off:.1f} standard errors off")

# %%
lines = torch.linspace(0, 1, 9)[:-1]                                             # 8 x 8 patches of the unit square
t = torch.linspace(0, 1, 9)
rim = torch.cat([torch.stack(s, -1) for s in ((t, 0 * t), (1 + 0 * t, t), (t.flip(0), 1 + 0 * t), (0 * t, t.flip(0)))])
cells = torch.cartesian_prod(lines, lines)[:, None] + rim / 8                    # (64, 36, 2)
cells[..., 0] = cells[..., 0].clamp(min=0.004)                                   # u₁ = 0 would lie at infinity
centre = torch.cartesian_prod(lines, lines) + 1 / 16                             # (64, 2)
height = centre[:, 0] / (2 * math.pi)                                            # (64,): 1/|det J| at each centre
plots.show(patches(cells, box_muller(cells), height, ("u₁", "u₂", "x₁", "x₂")),
           f"Left: 64 patches of the unit square, equal in mass. Right: their images, in the same colours. Where they "
           f"are small the density is high: {height.max():.3f} near the centre, {height.min():.3f} in the outermost "
           "ring.")

# %% [markdown]
# Every patch on the right holds one 64th of the mass. The patches at the centre are small, so the density is high
# there; the outer ring comes from u₁ below ⅛ and is cut off at r = 3.3 here (it goes on to infinity).
#
# ## 7 · n dimensions, and the two directions
#
# In n dimensions it is the same line. In logarithms (log is the natural one, as ln is):
#
# $$\log p(x) = \log \pi(z) - \log|\det J_g(z)| \quad\text{at}\quad z = g^{-1}(x)$$
#
# The affine map x = A z + b has the Jacobian A at every point. Its result must be a Gaussian with mean b and
# covariance A Aᵀ. Here n = 5, and both directions are computed.

# %%
n = 5
draw = torch.Generator().manual_seed(4)
A, b = torch.randn(n, n, generator=draw), torch.randn(n, generator=draw)         # (5, 5), (5,)
x5 = torch.randn(1000, n, generator=draw) @ A.T + b                              # (1000, 5)
z5 = torch.linalg.solve(A, (x5 - b).T).T                                         # (1000, 5): z = g⁻¹(x)
ln_det_g = torch.linalg.slogdet(A).logabsdet                                     # (): ln|det J_g|
log_det = torch.linalg.slogdet(torch.linalg.inv(A)).logabsdet                    # (): of f = g⁻¹
log_pi = flows.standard_normal_log_prob(z5)                                      # (1000,)
library = MultivariateNormal(b, A @ A.T).log_prob(x5)                            # (1000,)
print(f"ln|det J_g| {ln_det_g:+.4f}   log_det of f {log_det:+.4f}")
print("g's direction equals the library:", torch.allclose(log_pi - ln_det_g, library))
print("f's direction equals the library:", torch.allclose(log_pi + log_det, library))
wrong = ((log_pi + ln_det_g) - library).mean()
print(f"with the wrong sign every log p(x) is off by {wrong:+.4f} = 2 ln|det J_g|")

# %% [markdown]
# The two numbers differ in their sign only: what g stretches, f squeezes. Both sums agree with the library. Many sign
# errors come from mixing the two columns of this table, so print it and keep it beside you. From here on the base
# density π(z) is written p(z). The right column is the *house direction*.
#
# | this chapter, and the survey article | the rest of the course |
# |---|---|
# | g: z → x | f = g⁻¹: x → z |
# | p(x) = p(z) / \|det J_g(z)\| at z = g⁻¹(x) | p(x) = p(z) · \|det J_f(x)\| at z = f(x) |
# | log p(x) = log p(z) − log\|det J_g(z)\| | log p(x) = log p(z) + log_det |
# | stretching on the way to x makes p(x) smaller | stretching on the way to z makes p(x) larger |
#
# Why does the course turn the direction round? A defect detector *has* x, the measurement, and wants log p(x). With f
# it computes z and log_det on the way, and nothing has to be inverted.
#
# **The entropy law in n dimensions:** H(x) = H(z) + E ln|det J_g(z)|. For the affine map the mean is over a constant.

# %%
H_z, H_x = n * H_normal, MultivariateNormal(b, A @ A.T).entropy()
print(f"H(z) {H_z:.4f} + ln|det A| {ln_det_g:+.4f} = {H_z + ln_det_g:.4f};  the library's H(x) {H_x:.4f}")

# %% [markdown]
# **Correction: z need not be normal.** You may find "z is normal" beside the formula, as if it were a condition.
# Nothing in the argument used which density the base has. Any base that you can compute will do; the normal one is a
# choice, made because its logarithm is cheap and its samples are easy. Three bases, one map: x = sinh z.

# %%
bases = {"normal": Normal(0.0, 1.0), "Laplace": Laplace(0.0, 1.0), "Student t, 5": StudentT(5.0)}
wide = torch.linspace(-30, 30, 60_001)                                           # points of z
for seed, (name, base) in enumerate(bases.items(), start=8):
    torch.manual_seed(seed)
    verify(f"{name:13s} x = sinh z", base.sample((100_000,)).sinh(),
           lambda x, base=base: base.log_prob(x.asinh()).exp() / x.asinh().cosh(), wide.sinh(), -4.0, 4.0)

# %% [markdown]
# Three times 1, and three histograms that fit.
#
# ## 8 · Tool card: density depends on the coordinates
#
# *What it is:* density is mass per length, and length depends on what you measure with: x, ln x, millimetres, a
# radius. *The number that shows it:* for x = eᶻ the image of the mode is 1.00, the mode of the image 0.37. *Why
# here:* chapter 07 asks whether "likely" can mean "normal". If a smooth change of units changes which of two parts is
# more likely, likelihood alone cannot be the answer.

# %%
parts = torch.tensor([0.37, 1.0])                                                # one measurement x of two parts
in_x, in_z = p_lognormal(parts), pi(parts.log())                                 # measured as x, and as z = ln x
for k, v in enumerate(parts):
    print(f"part with x = {v:.2f}: density per unit of x {in_x[k]:.2f}, density per unit of ln x {in_z[k]:.2f}")
a, b = -1.0, 0.5
masses = [torch.trapezoid(f(s), s) for f, s in ((pi, torch.linspace(a, b, 2001)),
                                              (p_lognormal, torch.linspace(math.exp(a), math.exp(b), 2001)))]
print(f"P(−1 < z < ½) = {masses[0]:.3f},  P(e⁻¹ < x < e^½) = {masses[1]:.3f}: mass agrees in both")
r = torch.linspace(0, 6, 6001)
p_r = r * torch.exp(-0.5 * r.square())                                           # polar: area stretches by r
print(f"normal cloud in the plane: densest point at radius 0, most likely radius {r[p_r.argmax()]:.2f}, integral "
      f"{torch.trapezoid(p_r, r):.3f}")

# %% [markdown]
# Measured as x, the part with 0.37 is the more likely one. Measured as ln x, the part with 1 is. Same parts, same
# probability, another ruler. What both rulers agree on is mass: the probability of an interval.
#
# The last line is the same effect in polar coordinates. The densest point of the plane is the centre. Yet the most
# likely *distance* from it is 1, because a ring of radius r has a length that grows with r. In many dimensions this
# becomes extreme: it is the *typical set* of chapter [07](07_density_to_defects.ipynb).
#
# ## 9 · Common misconceptions
#
# You have met two: "multiply by the derivative of the map that made the data" (integral 4), and "the most likely
# point goes to the most likely point" (0.37, not 1). Here is the third: **"a density cannot exceed 1."** A
# probability cannot.

# %%
x_mm = 0.1 * torch.rand(100_000, generator=torch.Generator().manual_seed(5))     # uniform on 0 to 0.1
for unit, factor in (("mm", 1.0), ("µm", 1000.0)):
    x = factor * x_mm
    cut = 0.05 * factor
    density = (x < cut).double().mean() / cut                                    # mass of the lower half per length
    print(f"in {unit}: density {density:6.3f} per {unit}, mass of the lower half {(x < cut).double().mean():.2f}")

# %% [markdown]
# A density of 10 on a length of 0.1 is a mass of 1. The same lengths in micrometres have density 0.01. Neither number
# says "how probable" anything is; a density has a unit, one over that of x. So "p(x) is the probability of x" is a
# sentence to avoid.

# %% [markdown]
# ## Check yourself
#
# **1.** x = g(z). The density p(x) is π(z) divided by
#
# <details><summary>(a) |g′(x)|.</summary>g takes a z. Its slope at x is the slope at another place, if it exists at
# all.</details>
# <details><summary>(b) |g′(z)| at z = g⁻¹(x).</summary>Right: the stretch at the place where the mass was.</details>
# <details><summary>(c) |dg⁻¹/dx| at x.</summary>This one multiplies.</details>
#
# **2.** A colleague's density integrates to 0.5. The first thing to ask?
#
# <details><summary>(a) Is the sign of log_det flipped?</summary>That gives the square of the stretch as a factor. It
# could be ½ by chance, but then not for other maps.</details>
# <details><summary>(b) Does the map fold, so that a branch is missing?</summary>Right: half of the mass is the
# signature of one branch of two.</details>
# <details><summary>(c) Is the base not normal?</summary>Any base integrates to 1, and so does its image.</details>

# %% [markdown]
# **3.** f stretches a region to three times its volume on the way from x to z. In that region log_det is
#
# <details><summary>(a) +ln 3, and log p(x) is larger by this.</summary>Right: the house direction, + log_det. What is
# large in z was small in x, and its mass stood close together.</details>
# <details><summary>(b) −ln 3.</summary>That is ln|det J_g| of the other direction.</details>
# <details><summary>(c) 3.</summary>That is the determinant. log_det is its logarithm.</details>
#
# **4.** *(earlier: determinant)* A map has det J > 0 everywhere. Is it one-to-one?
#
# <details><summary>(a) Yes, that is what the determinant is for.</summary>For linear maps. In general it only says
# that the map is one-to-one *near* every point.</details>
# <details><summary>(b) Not necessarily.</summary>Right: the map *squares* of chapter 03, away from 0, is
# two-to-one with det > 0. The sum over branches is needed.</details>
# <details><summary>(c) Only if det J = 1.</summary>The size says how much volumes change, not whether points
# meet.</details>
#
# **5.** *(earlier: Jacobian)* J of a map from (B, 2) to (B, 2), one matrix per sample, has shape
#
# <details><summary>(a) (2, 2).</summary>That is one point. The stretch differs from point to point.</details>
# <details><summary>(b) (B, 2, 2).</summary>Right. `vmap(jacrev(g))` gives it: rows are outputs, columns are
# inputs.</details>
# <details><summary>(c) (2B, 2B).</summary>That would ask how one sample reacts to another, and they do not.</details>

# %% [markdown]
# ## What you can now say
#
# - A map moves mass and loses none. Density is mass per length, area, volume, and is divided by the stretch.
# - g′ divides and is taken at z; the derivative of g⁻¹ multiplies and is taken at x. In n dimensions the stretch is
#   |det J|.
# - Three tests of any density: integral 1, histogram within three standard errors (one of twenty sets of bins exceeds
#   it by chance), entropy changed by E ln|det J|.
# - A fold needs a sum over its branches; one branch of two gives ½. A flipped sign gives the stretch squared.
# - A density may exceed 1 and depends on the coordinates; the most likely point does not travel. Mass does.

# %% [markdown]
# | formula card | |
# |---|---|
# | one dimension | p(x) = p(z) / \|g′(z)\| = p(z) · \|dg⁻¹/dx\| at z = g⁻¹(x) |
# | n dimensions | log p(x) = log p(z) − log\|det J_g(z)\| at z = g⁻¹(x) |
# | house direction | log p(x) = log p(z) + log_det, f = g⁻¹ |
# | not one-to-one | p(x) = Σ over all z with g(z) = x of p(z) / \|det J_g(z)\| |
# | entropy | H(x) = H(z) + E ln\|det J_g(z)\| |

# %% [markdown]
# **Next.** Six functions, 55 minutes: [exercises/04](../exercises/04_change_of_variables.ipynb). In
# [05](05_normalizing_flows.ipynb) you *choose* the map so that the data become a normal cloud; log_det keeps the
# account.
#
# **Sources.** Box and Muller, *Annals of Mathematical Statistics* 29 (1958). Change of variables for learned maps:
# Rezende and Mohamed (2015, arXiv 1505.05770); surveys: arXiv 1912.02762 and 1908.09257 (2019). Why densities alone
# cannot define anomalies: Le Lan and Dinh (2020, arXiv 2012.03808).
