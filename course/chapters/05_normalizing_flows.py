# %% [markdown]
# # 05 · Normalizing flows
#
# You have a cloud of measurements of good parts: tilted, stretched, off centre. One matrix turns it into a round cloud
# around zero, and then "how unusual is this part?" is a distance that you can look up. Now the measurements lie on two
# curved arcs. No matrix makes that round.
#
# **What is the least that must be added so that the map can also unroll two moons, and still be undone exactly?**
#
# **After this chapter you can**
# - fit the smallest flow without a loop and say what its log_det is;
# - write a coupling layer, forward, back, and its log_det;
# - train a flow by maximum likelihood, sample from it, and check that its density integrates to 1;
# - name, from a number, which part of a broken flow is missing.
#
# *Prerequisites: chapters [02](02_jacobian.ipynb) to [04](04_change_of_variables.ipynb). Reading 45 minutes, running
# about 20 seconds. If you come from the survey article: this is its section 2.4.*
#
# **In three lines, if you come straight here.**
# - *Jacobian* of x → z: the table of all derivatives. Row i, column j: how output i reacts to input j (02).
# - *Determinant:* its absolute value is the factor by which a small volume grows. For a triangular matrix it is the
#   product of the diagonal (03).
# - *Change of variables:* probability is kept. Where a small patch around x is stretched to twice its area, the same
#   probability is spread twice as thin in z. So p(x) = p(z) · 2 there, and in logarithms the ln of the factor is *added* (04).

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import math

import torch
from IPython.display import display
from torch import nn

from tutorial_lib import flows, plots
from tutorial_lib.data import toys
from tutorial_lib.plots.toys import clamp_curves, clouds, learning_rates, losses, maps
from tutorial_lib.widgets import bench, microscope
from tutorial_lib.widgets.bench_states import Switches

plots.style.use()
LN_2PI = math.log(2 * math.pi)

tilted = toys.tilted_gaussian(2000, seed=0)                             # (2000, 2)
moons, held_out = toys.two_moons(2000, seed=0), toys.two_moons(2000, seed=1)
plots.show(clouds({"a tilted cloud": tilted, "two moons": moons}, half=4.0),
           "What a matrix can make round, and what it cannot.")

# %% [markdown]
# **Notation, everywhere in this course.** x is data, z the latent; f: x → z is the flow's forward direction.
#
# $$\log p(x) = \log p(z) + \text{log\_det},\quad \text{log\_det} = \ln\left|\det \frac{\partial z}{\partial x}\right|$$
#
# All symbols: [notation and words](notation_and_glossary.md). `log_det` has shape `(B,)`: one number per sample. It is positive where the flow stretches space on the way to z.
# Logarithms are natural, and their unit is the *nat*: 1 nat is a factor e = 2.718. B is the number of samples, d the number of values in one of them (here d = 2).
#
# ## Act 1 · The smallest flow
#
# **Tool card: covariance, Cholesky, whitening.** *What it is:* the covariance Σ says how the coordinates of a cloud
# vary together. Its Cholesky factor L is the lower triangular matrix with $L L^\top = \Sigma$: it turns round noise
# into this cloud. *The number that shows it:* print Σ and L. *Why here:* solving with L goes the other way, from the
# cloud to round noise. That is a flow.

# %%
mean, cov = tilted.mean(0), torch.cov(tilted.T, correction=0)   # (2,), (2, 2); 0: divide by N, not N − 1
L = torch.linalg.cholesky(cov)                                  # (2, 2), lower triangular
print("covariance", [[round(v, 2) for v in row] for row in cov.tolist()])
print("L         ", [[round(v, 2) for v in row] for row in L.tolist()])
print("L Lᵀ is the covariance:", torch.allclose(L @ L.T, cov, atol=1e-6))


# %% [markdown]
# Both coordinates vary by about 1, and they go up together. L says how to make such a cloud: the first coordinate is a
# random number, the second repeats 0.8 of it and adds 0.6 of a new one.
#
# Now undo it: $z = L^{-1}(x - \mu)$. This is an affine map, its Jacobian is $L^{-1}$ at every point, so
#
# $$\text{log\_det} = \ln\det L^{-1} = -\ln\det L = -\sum_i \ln L_{ii}$$

# %%
def whiten(x):
    """x: (B, 2). Returns z (B, 2) and log_det (B,)."""
    z = torch.linalg.solve_triangular(L, (x - mean).T, upper=False).T   # solves L z = x − mean, no inverse needed
    log_det = -L.diagonal().log().sum().expand(len(x))                  # (B,), the same for every sample
    return z, log_det


z, log_det = whiten(tilted)
ours = flows.standard_normal_log_prob(z) + log_det                      # (B,): log p(x)
library = torch.distributions.MultivariateNormal(mean, scale_tril=L).log_prob(tilted)
print("covariance of z:", (torch.cov(z.T, correction=0).numpy().round(2) + 0.0).tolist())   # + 0.0: no "−0.0"
print(f"log_det {log_det[0]:.3f}; log p(x) equals the library's: {torch.allclose(ours, library, atol=1e-5)}")

# PCA (principal component analysis) turns the axes along the cloud; its whitening then divides by the spread.
spread, axes = torch.linalg.eigh(cov)                        # (2,), (2, 2): variances along the axes, axes in columns
z_pca = (tilted - mean) @ axes / spread.sqrt()               # (B, 2): PCA whitening, another z
turn = torch.linalg.lstsq(z, z_pca).solution.T               # the matrix that takes z to z_pca
print(f"PCA whitening: the matrix from z to it has singular values {torch.linalg.svdvals(turn).numpy().round(3)}")
print(f"‖z‖² of the first sample: {z[0].square().sum():.3f} and {z_pca[0].square().sum():.3f}")

# %% [markdown]
# The covariance is now the identity, and the log density agrees with the library's Gaussian to float32 rounding. You
# have just fitted a normalizing flow: an invertible map, a standard normal base, and a log_det. Without the log_det
# term every log density would be off by the same 0.5 nats.
#
# The last lines compare with PCA whitening. All singular values are 1: the two differ by a rotation (possibly with a mirror), which moves points and stretches nothing. Every
# whitening is a turned version of every other. ‖z‖² is the same for all of them; it is the squared *Mahalanobis
# distance*, which chapter 08 uses as its baseline.
#
# **Predict.** You whiten two moons in the same way, with their own mean and covariance. What is true of z?
#
# <details><summary>(a) Its covariance is the identity, so it is a standard normal.</summary>The first half is right,
# the second does not follow. Covariance sees second moments only.</details>
# <details><summary>(b) Its covariance is the identity, and it is still two moons.</summary>Yes. A straight map keeps
# curves curved.</details>
# <details><summary>(c) Its covariance is not the identity, because the moons are not Gaussian.</summary>Whitening fits
# any cloud's covariance; it does not ask for a Gaussian.</details>

# %%
affine = flows.Flow(flows.Whitening(2).fit(moons), shape=(2,))          # the same map, from the library
z_moons, _ = affine(moons)
print("covariance of z:", (torch.cov(z_moons.T, correction=0).numpy().round(2) + 0.0).tolist())
print(f"mean −log p(x) on held-out moons: {affine.nll(held_out):.2f} nats")
fig = clouds({"whitened cloud": z, "whitened moons": z_moons}, circle=(0, 1), axis="z")
plots.show(fig, "Whitening makes the tilted cloud round. The moons get covariance 1 too, and stay moons. "
           "Dashed: the circle that holds 86 % of a standard normal.")

# %% [markdown]
# ## Act 2 · The coupling layer
#
# One stretch for the whole plane is too stiff. Let the stretch of x₂ *depend on x₁*:
#
# $$z_1 = x_1, \qquad z_2 = x_2\, e^{s(x_1)} + t(x_1)$$
#
# On every vertical line, x₁ is fixed and the map is affine: stretch by eˢ, shift by t. From line to line, s and t may
# change as they like; a small network computes both. To go back you need s and t again, and you can compute them,
# because x₁ = z₁ is still there:
#
# $$x_1 = z_1, \qquad x_2 = \left(z_2 - t(z_1)\right) e^{-s(z_1)}$$

# %%
torch.manual_seed(0)
st = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 2))       # x1 -> (s, t)


def coupling(x):
    x1, x2 = x.chunk(2, dim=1)                                          # (B, 1) each
    s, t = st(x1).chunk(2, dim=1)                                       # (B, 1) each
    return torch.cat([x1, x2 * s.exp() + t], dim=1), s.sum(dim=1)       # z (B, 2), log_det (B,)


def coupling_back(z):
    z1, z2 = z.chunk(2, dim=1)
    s, t = st(z1).chunk(2, dim=1)                                       # the same s and t: z1 is x1
    return torch.cat([z1, (z2 - t) * (-s).exp()], dim=1), -s.sum(dim=1)


with torch.no_grad():
    z, log_det = coupling(moons)
    x, log_det_back = coupling_back(z)
print("there and back is the same point, to 1e-5:", torch.allclose(x, moons, atol=1e-5))
print("log_det back is minus log_det there:      ", torch.allclose(log_det, -log_det_back, atol=1e-5))

# %% [markdown]
# Undone to the last digits of float32, with an untrained network inside. Now the log_det. Before you look: the
# Jacobian has four entries. Which of them is certainly 0? (Below it, the same layer as the library has it, for d values
# and for maps. `scale_shift` is the network, with one part more, the *clamp* that you meet below; `cond` is an optional
# condition, unused in this chapter.)

# %%
point = moons[0]
J = torch.autograd.functional.jacobian(lambda v: coupling(v[None])[0][0], point)   # (2, 2); v[None]: a batch of 1
print("Jacobian", [[round(v, 3) for v in row] for row in J.tolist()])
print(f"ln|det J| = {torch.linalg.slogdet(J).logabsdet:.4f}     s(x1) = {log_det[0]:.4f}")
plots.show_source(flows.AffineCoupling.forward)
plots.show_source(flows.AffineCoupling.inverse)

# %% [markdown]
# The upper right entry is 0: z₁ does not notice x₂. A triangular matrix has the product of its diagonal as determinant,
# here 1 · eˢ, and its logarithm is s. The lower left entry (how s and t react to x₁) is the hard one to compute, and it
# never enters. With d values it is the same: log_det is the **sum of s over the changed half**.
#
# **A tempting mistake: "s and t must be invertible."** The whole layer is, so its parts should be? Kill the network:
# a ReLU that never opens gives the same s and t for every input. Nothing can be less invertible than a constant.

# %%
dead = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 2))
with torch.no_grad():
    dead[0].weight.zero_()
    dead[0].bias.fill_(-1.0)                                            # every ReLU is shut
# The layer asks for a network with c_in inputs and c_out outputs; whatever it asks, it gets the dead one.
layer = flows.AffineCoupling(2, lambda c_in, c_out: dead, flows.AtanClamp(2.0))
with torch.no_grad():
    z, _ = layer(moons)
    back, _ = layer.inverse(z)
print(f"different outputs of the dead network: {len(dead(moons[:, :1]).unique(dim=0))}")
print("the layer comes back, to 1e-5:", torch.allclose(back, moons, atol=1e-5))

# %% [markdown]
# The network has a single output value, and the layer still comes back. s and t are only ever computed forward,
# from the half that did not change. They may be any function: ReLU networks, convolutions, later even networks that
# look at other scales.
#
# **Tool card: soft clamps.** *What it is:* a curve that bends s before it goes into the exponential. *The number that
# shows it:* s = −20 multiplies by e⁻²⁰ = 2·10⁻⁹; then t swallows x₂, and in float32 it does not come back (first two
# lines below). *Why here:* one such factor and the round trip is lost. s = +20 comes back, but throws z far
# out. Papers differ in the curve, and in its slope at 0, which sets how fast a new layer starts to move.

# %%
x2, t = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))  # (1000,) each, standard normal
for big in (-20.0, 20.0):
    off = (((x2 * math.exp(big) + t) - t) * math.exp(-big) - x2).abs().max()
    print(f"s = {big:+.0f}: x2 comes back " + (f"off by up to {off:.1f}" if off > 1e-5 else "to better than 1e-5"))

s = torch.linspace(-8, 8, 161)
clamps = {"(2α/π) arctan(s/α)": flows.AtanClamp(2.0), "0.636 α arctan(s)": flows.Atan0636RawClamp(2.0),
          "α tanh(s)": flows.TanhClamp(2.0), "α (2 sigmoid(s) − 1)": flows.SigmoidClamp(2.0)}
for name, clamp in clamps.items():
    print(f"{name:22s} slope at 0: {clamp.slope:.3f}   c(20) = {clamp(torch.tensor(20.0)):.3f}")
fig = clamp_curves(s, {name: clamp(s) for name, clamp in clamps.items()})
plots.show(fig, "Four soft clamps with α = 2. All stay within ±2; their slopes at 0 are 0.637, 1.272, 2 and 1.")


# %% [markdown]
# Read the figure at the left and right edges first: the unclamped line leaves the picture, the four curves flatten.
# Then at 0: the two arctan formulas look like twins on paper, and one is twice (α times) as steep. DifferNet's paper
# has the first, a later version of the library behind its code the second; swapping them changes the training. The
# sigmoid is a tanh in disguise: α (2 sigmoid(s) − 1) = α tanh(s/2).
#
# **Predict.** Stack four of these layers, each passing x₁ and changing x₂. How far can x₁ move?
#
# <details><summary>(a) Further with every layer.</summary>Each layer returns x₁ as it came. Four times nothing is
# nothing.</details>
# <details><summary>(b) Not at all.</summary>Yes. Depth does not help; someone has to swap the roles.</details>
# <details><summary>(c) A little, through t.</summary>t is added to x₂ only.</details>

# %%
def stack(depth, swap=True, hidden=32, seed=0):
    """An untrained flow of one-sided couplings; with ``swap`` every second one exchanges the roles.

    ``flows.dense(hidden)`` makes the networks for s and t: fully connected, like ``st`` above.
    """
    torch.manual_seed(seed)
    return flows.Flow(flows.Chain(*[
        flows.AffineCoupling(2, flows.dense(hidden), flows.AtanClamp(2.0), swap=swap and k % 2 == 1)
        for k in range(depth)]), shape=(2,))


two_sided = flows.TwoSidedCoupling(2, flows.dense(32), flows.AtanClamp(2.0))
for name, flow in {"four, no swap": stack(4, swap=False), "four, swapped in turn": stack(4),
                   "one two-sided block": two_sided}.items():
    with torch.no_grad():
        moved = (flow(moons)[0] - moons).abs().amax(0)
    print(f"{name:22s} x1 moves by at most {moved[0]:.2f}, x2 by at most {moved[1]:.2f}")

# %% [markdown]
# Without swapping, x₁ moves by exactly 0. In two dimensions, swapping is the only permutation there is; with 768 values
# one draws a fixed random permutation instead, at no cost: it moves nothing in volume, log_det = 0.
#
# The last line is a fair warning against a rule learnt too well. A *two-sided* block changes the first half by the
# second and then the second by the first. It moves everything, also without any permutation, and trains as well: four
# such blocks, 300 steps, four seeds give −log p(x) = 0.98 ± 0.11 on held-out moons without swaps between them and
# 1.01 ± 0.04 with (`benchmarks/two_sided.py`). DifferNet uses two-sided blocks.
#
# **Composition.** Put layers in a row and their Jacobians multiply. The determinant of a product is the product of the
# determinants. Its logarithm is a sum: **the log_dets add**.

# %%
flow = stack(8)
probe = torch.tensor([[0.5, -0.7]])
with torch.no_grad():
    for k, (here, total) in enumerate(flow.transform.steps(probe)):
        print(f"after layer {k}: ({here[0, 0]:+.3f}, {here[0, 1]:+.3f})   log_det so far {total.item():+.4f}")
J = torch.autograd.functional.jacobian(lambda v: flow(v[None])[0][0], probe[0])
print(f"autograd, all 8 layers at once:               {torch.linalg.slogdet(J).logabsdet:+.4f}")


# %% [markdown]
# ## Act 3 · Maximum likelihood
#
# How do s and t get good? Make the data likely. The loss is the mean of −log p(x) over the batch:
#
# $$\text{loss} = \frac1B\sum_b \left( \tfrac12\|z_b\|^2 + \tfrac d2 \ln 2\pi - \text{log\_det}_b \right)$$
#
# ½‖z‖² is the **cost of lying far out**: it pulls all latents towards 0. log_det is the **reward for stretching**; whoever
# squeezes the data together has a negative log_det and pays. The two pull against each other.
#
# The loss has a floor set by the data: averaged over all data there could be, it cannot fall below their entropy (on a
# finite training set it can: chapter 08 shows a flow that learns by heart). How far it lies above that floor is called KL(data ‖ model), the Kullback–Leibler divergence. It is 0 only if the model *is* the
# data's distribution.
#
# Any base density would do in place of the normal one; the normal is a convenient choice, not a condition.

# %% tags=["trained"]
def train(flow, x, steps, lr, seed=0, log_det_weight=1.0, keep=()):
    """Maximum likelihood. ``log_det_weight``: 1 is right; ``keep``: steps at which z is photographed."""
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(flow.parameters(), lr=lr, fused=True)     # fused: the same steps, faster
    history, photos = [], {}
    for step in range(steps + 1):
        if step in keep:
            with torch.no_grad():
                photos[f"step {step}"] = flow(x)[0]
        batch = x[torch.randint(len(x), (256,), generator=draw)]             # (256, 2)
        z, log_det = flow(batch)                                             # (256, 2), (256,)
        half_square = 0.5 * z.square().sum(1)                                # (256,)
        loss = (half_square + x.shape[1] / 2 * LN_2PI - log_det_weight * log_det).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    return history, photos


flow = stack(8)
history, photos = train(flow, moons, steps=600, lr=5e-3, keep=(0, 20, 80, 200, 600))
print(f"held-out −log p(x): affine {affine.nll(held_out):.2f}, coupling flow {flow.nll(held_out):.2f} nats per sample (one seed)")

# %% tags=["trained"]
with torch.no_grad():
    half_squares = [0.5 * z.square().sum(1).mean().item() for z in photos.values()]
fig = clouds(photos, colour=moons[:, 0], circle=range(5), axis="z")
plots.show(fig, "The latents of the moons at five steps of the training, coloured by x₁. The two arcs open, then "
           "spread into one round cloud. "
           f"Mean of ½‖z‖²: {half_squares[0]:.2f} at the start, {half_squares[-1]:.1f} at the end.")

# %% [markdown]
# Follow the dark blue points: they start as the left end of the upper arc and end as one side of a round cloud. At the
# end, the mean of ½‖z‖² is about 1, as for a standard normal, where it is d/2. But the untrained flow had 0.91. **Far
# from d/2 proves that something is wrong; near d/2 proves nothing.**
#
# Three questions to ask any trained flow: does it come back, does its density integrate to 1, do its samples look like
# the data?

# %% tags=["trained"]
half, n = 3.0, 300
square = microscope.grid(half, n)                                       # (90000, 2)
with torch.no_grad():
    there, back = flow(held_out)[0], flow.inverse(flow(held_out)[0])[0]
    density, stretch = flow.log_prob(square).exp().view(n, n), flow(square)[1].view(n, n)
    twin = stack(8).double()
    twin.load_state_dict(flow.state_dict())
    exact = twin.inverse(twin(held_out.double())[0])[0]
print("round trip below 1e-5 in float32:", bool((back - held_out).abs().max() < 1e-5),
      "  below 1e-12 in float64:", torch.allclose(exact, held_out.double(), atol=1e-12, rtol=0))
print(f"integral of the density over the square: {density.sum() * (2 * half / n) ** 2:.3f}")
top = square[stretch.argmax()].round() + 0.0
print(f"log_det positive on the whole square: {bool((stretch > 0).all())}; largest {stretch.max():.0f}, near "
      f"({top[0]:.0f}, {top[1]:.0f}); mean on the data {flow(held_out)[1].mean():.1f}")
fig = maps(density, stretch, held_out[:300], half)
plots.show(fig, "Left: the learned density, high on the moons, with a thin bridge between them. Right: log_det, positive "
           f"everywhere here, and largest ({stretch.max():.0f} nats) at the lower edge, where no data lie.")

# %% [markdown]
# Left: the number on the colour bar is probability *per area*, not "the probability that x is real", a phrase that some
# articles use. Draw the moons at half their size and it becomes four times as large, well above 1.
#
# Right: a tempting reading is "high log_det = likely". The picture says otherwise: log_det is largest at the lower edge,
# in the middle, where there are no data at all. The reward for stretching is high there, and the cost of lying far out is
# so much higher that the density is 0. Only the sum means something.
#
# **Temperature** is the standard deviation of z when you sample. 1 is the model; less stays near the middle of the
# latent cloud; 0 gives one point, n times.

# %% tags=["trained"]
samples = {f"temperature {t}": flow.sample(800, temperature=t, generator=torch.Generator().manual_seed(0))
           for t in (0.0, 0.5, 1.0, 1.5)}
fig = clouds(samples, behind=moons, half=2.6)
plots.show(fig, "800 samples at four temperatures (blue) over the data (grey). At 0 all fall on one point; at 1.5 they "
           "leave the moons.")

# %% [markdown]
# Look at temperature 0.5: two ends of the moons are missing, and a bridge between the moons is crowded. The one point
# at temperature 0 sits where that bridge leaves the upper moon. The middle of the latent cloud is where the flow has
# joined the two. What is central in z need not be central in the data; chapter 07 will build on this.
#
# ### Look inside: the flow microscope
#
# **Which layer unrolls the moons, and which one pays for it in log_det?** Move the layer from 0 to 8, then the probe.
# The sum under the picture is the formula with its numbers in place. (Run the cell to use the controls.)

# %% tags=["trained"]
display(microscope.microscope(flow, held_out))
with torch.no_grad():
    sums = [total.mean().item() for _, total in flow.transform.steps(held_out)]
fig = microscope.strip(flow, held_out, layers=(0, 2, 4, 6, 8))
plots.show(fig, "Points and grid after 0, 2, 4, 6 and 8 layers, two layers from panel to panel: the first of the two "
           "moves points up or down, the second left or right. Each frame holds at least 99 % of the points.")
print(f"mean log_det of all eight layers together: {sums[-1]:+.1f}; layers 1 to 7 add, layer 8 takes away: "
      f"{sums[:8] == sorted(sums[:8]) and sums[8] < sums[7]}")

# %% [markdown]
# By layer 4 the arcs face each other across a gap, by layer 6 they have become one line, and the last two layers spread
# it into a round cloud. No layer unrolls the moons alone. Stretching earns log_det, squeezing pays: in the mean over the
# data, layers 1 to 7 stretch and earn, and layer 8, which pulls the long line together, pays a little.
#
# ## Break it
#
# **Predict.** Delete log_det from the loss and train again. What happens?
#
# <details><summary>(a) The latents explode.</summary>Nothing pushes them out: log_det was the only term that rewards
# stretching.</details>
# <details><summary>(b) The latents collapse towards one point.</summary>Yes. ½‖z‖² is all that is left, and shrinking
# no longer costs anything. The loss goes to ln 2π = 1.838, the value at z = 0.</details>
# <details><summary>(c) Little: the samples get a bit blurred.</summary>Shrinking costs, because it makes log_det
# negative; without log_det in the loss shrinking is free, and the flow shrinks until ½‖z‖² is nearly 0.</details>

# %% tags=["trained"]
runs, table = {"log_det in the loss": history[:301]}, {}
for name, weight in {"log_det deleted": 0.0, "sign of log_det flipped": -1.0}.items():
    broken = stack(8)
    runs[name], _ = train(broken, moons, steps=300, lr=5e-3, log_det_weight=weight)
    with torch.no_grad():
        z = broken(held_out)[0]
        table[name] = (runs[name][-1], 0.5 * z.square().sum(1).mean().item(), broken.nll(held_out).item())
for name, (loss, half_square, true) in table.items():
    print(f"{name:24s} loss {loss:6.1f}   mean ½‖z‖² {half_square:.2f}   true −log p(x) {true:5.0f}")
fig = losses(runs, ylim=(0, 4), level=(LN_2PI, "ln 2π = 1.838"))
flat = next(step for step, loss in enumerate(runs["log_det deleted"]) if loss < 1.9)
plots.show(fig, f"Three losses. Deleted: flat at ln 2π = 1.84 within {flat} steps. Flipped: leaves the picture, and "
           f"reaches {runs['sign of log_det flipped'][-1]:.1f}, near the limit of eight clamps of 2, ln 2π − 16 = −14.2.")

# %% [markdown]
# (One seed each.) Both broken runs look *better* than the honest one in some way. The deleted one converges at once and stays perfectly
# flat. The flipped one rewards squeezing, and only the clamps stop it. Their true −log p(x), with the log_det back in its
# place, is worse by many nats.
#
# How to notice: compare mean ½‖z‖² with d/2 = 1. Near 0 it says "collapsed".
#
# A trap: 1.838 is *higher* than the honest loss of about 0.9. If the moons were drawn ten times as large, the honest
# loss would be near 5.5, and the collapsed run would look better there too. Compare losses only in the same units; see
# below.
#
# ### The bench: which part does what?
#
# **Which missing part leaves half of the input exactly where it was, and what does the loss say about it?** The 32
# flows behind these switches are trained and stored, one seed each.

# %%
display(bench.break_it())
states = {"everything on": Switches(), "no exchange": Switches(exchange=False), "no log_det": Switches(log_det=False),
          "no clamp": Switches(clamp=False), "2 layers": Switches(depth=2)}
for name, state in states.items():
    m = bench.measure(state)
    far = "not finite" if math.isinf(m["far_error"]) else "below 1e-3" if m["far_error"] < 1e-3 else "bad"
    print(f"{name:14s} −log p {m['nll']:5.2f}   x1 moved {m['first_moved']:.2f}   ½‖z‖² {m['half_square']:.2f}   "
          f"samples near the data {m['samples_near']:4.0%}   round trip at |x| ≤ 6 {far}")
alone = [bench.measure(Switches(exchange=False, depth=depth))["nll"] for depth in (1, 2, 4, 8)]
print("no exchange, −log p with 1, 2, 4, 8 layers:", ", ".join(f"{v:.1f}" for v in alone))
plots.show(bench.strip(states), "Samples over the data (above) and latents (below) of five stored flows, one seed each. "
           "The samples of the flow without log_det lie outside the frame.")

# %% [markdown]
# The columns, on 1000 test points: mean −log p; the *largest* move of x₁; the mean of ½‖z‖²; the share of 400 samples
# within 0.15 of a test point; the largest round-trip error on a grid out to 6.
#
# Read it as a doctor reads a chart. **No exchange**: x₁ moved by 0.00, so z₁ has the same histogram as x₁, and −log p
# stays near 1.5 with 1 to 8 layers. Its ½‖z‖² looks healthy: near d/2 proves nothing. **No log_det**: ½‖z‖² is 0, no
# sample is near the data. **Two layers**: a plausible flow with a scar in its latents. **No clamp**: 0.87 against 0.94
# is a smaller difference than that between two seeds (about 0.2). The damage is far out, where no data were: the round trip is
# not finite. A defect is exactly such a point, so keep the clamp.
#
# *You may stop here, do the [exercises](../exercises/05_normalizing_flows.ipynb), and come back for the limits.*
#
# ### Two islands
#
# A flow is continuous and so is its inverse. It can stretch the space between two islands as thin as it likes, but it
# cannot cut it.

# %% tags=["trained"]
islands = toys.two_islands(2000, seed=0)
bridge, drawn = {"data": (islands[:, 0].abs() < 0.5).float().mean().item()}, {"data": islands}
for depth in (2, 8):
    flow_on_islands = stack(depth)
    train(flow_on_islands, islands, steps=400, lr=1e-2)
    drawn[f"{depth} layers"] = flow_on_islands.sample(2000, generator=torch.Generator().manual_seed(0))
    bridge[f"{depth} layers"] = (drawn[f"{depth} layers"][:, 0].abs() < 0.5).float().mean().item()
print("share of points between the islands, |x1| < 0.5, one seed:", {name: f"{share:.0%}" for name, share in bridge.items()})
plots.show(clouds(drawn), "Two islands, and samples of a flow with 2 and with 8 layers: a bridge remains between them.")

# %% [markdown]
# With two layers about a quarter of the samples lies in the strait; with eight about one in a hundred. That some bridge
# always remains is a theorem, not a measurement (arXiv 1909.13833). Points on the bridge get a likelihood that they do
# not deserve. If your good parts come in two kinds, expect this.
#
# ### Tool card: Adam, learning rate, one slow seed
#
# *What it is:* Adam takes steps whose length is set by the learning rate and adapted per weight. *The number that shows
# it:* the same flow, three learning rates, three seeds. *Why here:* a single run says little about a method.

# %% tags=["trained"]
rates, found = {}, {}
for lr in (3e-4, 3e-3, 1e-1):
    rates[lr], found[lr] = [], []
    for seed in (0, 1, 2):
        small = stack(4, hidden=24, seed=seed)
        rates[lr].append(train(small, moons, steps=200, lr=lr, seed=seed)[0])
        found[lr].append(small.nll(held_out).item())
    print(f"learning rate {lr:g}: held-out −log p(x), best of three seeds {min(found[lr]):.1f}, median {sorted(found[lr])[1]:.1f}")
print("every run at 0.003 ends below every run of the other two:", max(found[3e-3]) < min(found[3e-4] + found[1e-1]))
plots.show(learning_rates(rates, ylim=(0.8, 4)), "Loss over 200 steps, three seeds each, smoothed over ten steps. Left: too slow. Right: too "
           "large, noisy and stuck. Middle: good, and one seed of three ends higher than the others.")

# %% [markdown]
# The middle rate is the best of the three, and still one seed is behind after 200 steps: same data, same steps, another
# start. It still beats every run of the other two rates, but between two good settings a difference of 0.2 would decide
# nothing. So every table of this course shows several seeds, or says that it does not.
#
# ## Misconceptions
#
# You have met one ("s and t must be invertible"). Here is the second: **"a lower −log p(x) means a better model."**
# Express the same moons in tenths of a millimetre instead of millimetres: every number is ten times as large. Put one
# more layer in front of the *same* trained flow, a division by 10.

# %%
ruler = flows.Whitening(2)
ruler.L.copy_(10 * torch.eye(2))                                         # z = x / 10, log_det = −2 ln 10
in_tenths = flows.Flow(flows.Chain(ruler, flow.transform), (2,))
with torch.no_grad():
    shift = in_tenths.nll(10 * held_out) - flow.nll(held_out)
    draw_a = flow.sample(500, generator=torch.Generator().manual_seed(1))
    draw_b = in_tenths.sample(500, generator=torch.Generator().manual_seed(1)) / 10
print(f"−log p(x) rises by {shift:.3f} nats; 2 ln 10 = {2 * math.log(10):.3f}")
print("samples, back in millimetres, are the same:", torch.allclose(draw_a, draw_b, atol=1e-4))

# %% [markdown]
# The same model, the same samples, and 4.605 nats worse. Compare −log p(x) only for the same data in the same units.
#
# **Where articles are loose, and what holds.**
#
# | You may read | What holds |
# |---|---|
# | "z must be normally distributed" | any base density with a formula and a sampler will do |
# | "s and t must be invertible" | they are computed forward only, from the half that passes |
# | "p(x) is the probability that x is real" | it is a density: it may exceed 1, and it changes with the units |
# | "the determinant must be 1" | it may be anything but 0; log_det accounts for it |
# | "exactly invertible" | in exact arithmetic; in float32 to 10⁻⁵ here, and worse where s is far below 0 |

# %% [markdown]
# ## Check yourself
#
# **1.** In the Jacobian of a coupling layer, why may the lower left block be ignored?
#
# <details><summary>(a) It is zero.</summary>No: s and t depend on x₁, so it is there, and not small in general.</details>
# <details><summary>(b) The determinant of a block-triangular matrix is the product of its diagonal
# blocks.</summary>Right. The lower left block is there and does not enter.</details>
# <details><summary>(c) It is small after training.</summary>Its size does not matter at all.</details>
#
# **2.** A layer returns `s.sum()` as log_det for a batch of 256. What goes wrong?
#
# <details><summary>(a) Nothing: the loss is averaged anyway.</summary>Every sample would be credited with the log_det
# of all 256, and scores of single samples would depend on their neighbours.</details>
# <details><summary>(b) Each sample gets the whole batch's log_det.</summary>Right, and the library refuses the
# shape.</details>
# <details><summary>(c) The inverse fails.</summary>Points still come back; only the density is wrong.</details>

# %% [markdown]
# **3.** Training ends with mean ½‖z‖² = 0.02 in d = 2. Likely cause?
#
# <details><summary>(a) The clamp is missing.</summary>That shows far from the data, not here.</details>
# <details><summary>(b) Perfect training.</summary>A perfect flow has d/2 = 1.</details>
# <details><summary>(c) log_det is missing from the loss.</summary>Right: stretching earns nothing any more, so shrinking is
# free.</details>
#
# **4.** *(earlier: determinant)* A linear map of 768 values scales each by 0.5. Its determinant in float32 is
#
# <details><summary>(a) 0.5⁷⁶⁸ = 0, so it is not invertible.</summary>It is: multiply by 2. The number
# underflows.</details>
# <details><summary>(b) 0 in float32, yet its logarithm −532.3 is harmless.</summary>Right. That is why flows return
# log_det.</details>
# <details><summary>(c) 384, the sum of the scales.</summary>The determinant is a product.</details>
#
# **5.** *(earlier: Jacobian)* Row i, column j of ∂z/∂x says how
#
# <details><summary>(a) output i reacts to input j.</summary>Right. Rows are outputs, columns are inputs.</details>
# <details><summary>(b) input i reacts to output j.</summary>That is the inverse map's Jacobian.</details>
# <details><summary>(c) sample i reacts to sample j.</summary>In a flow, samples of a batch do not react to each
# other.</details>

# %% [markdown]
# ## What you can now say
#
# - A flow is an invertible map, a base density, and a log_det. Whitening is the smallest one, fitted in closed form.
# - A coupling layer lets half of the values pass and uses them to stretch and shift the rest. It is undone without
#   inverting any network, and its log_det is the sum of the clamped s.
# - Between one-sided layers someone must swap the halves. Layers compose, log_dets add.
# - In maximum likelihood, ½‖z‖² is the cost of lying far out, log_det the reward for stretching. ½‖z‖² far from d/2
#   proves that something is wrong; near d/2 proves nothing.
# - −log p(x) has units, a flow cannot cut space, and one seed is no result.
#
# | formula card | |
# |---|---|
# | affine | z = L⁻¹(x − μ), log_det = −Σ ln Lᵢᵢ |
# | coupling | z₁ = x₁, z₂ = x₂ exp(c(s(x₁))) + t(x₁), log_det = Σ c(s) |
# | back | x₂ = (z₂ − t) exp(−c(s)), log_det = −Σ c(s) |
# | chain | log_det = sum over the layers |
# | loss | mean of ½‖z‖² + (d/2) ln 2π − log_det |

# %% [markdown]
# **Next.** Build it yourself, six functions, 45 minutes: [exercises/05](../exercises/05_normalizing_flows.ipynb).
# In chapter 08 the same layers, 768 values wide, look for defects.
#
# **Sources.** NICE (2014, arXiv 1410.8516): coupling by shifts. RealNVP (2016, arXiv 1605.08803): affine coupling. Glow
# (2018, arXiv 1807.03039): learned mixing. Surveys: arXiv 1912.02762 and 1908.09257 (2019). Why a flow cannot cut
# space: arXiv 1909.13833 (2019). Adam: arXiv 1412.6980 (2014). The arctan clamp: DifferNet (2020, arXiv 2008.12577).
