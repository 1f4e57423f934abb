# %% [markdown]
# # 03 · The determinant
#
# A network takes 768 numbers and returns 768 others. Around each point it bends space: here it makes room, there it
# takes room away.
#
# **How much room? Can one number say it, and does that number fit into a float?**
#
# **After this chapter you can**
# - read area, mirror image and flatness off a determinant, and say what it does not tell;
# - compute it in three ways, and say which one a flow can afford;
# - use ln|det| where the determinant itself is 0 or infinite in float32;
# - explain why a whole block of a coupling layer's Jacobian never has to be computed;
# - say what det J ≠ 0 proves about a curved map, and what it does not.
#
# *Prerequisites: matrix times vector; what a Jacobian is ([02](02_jacobian.ipynb)). Reading 35 minutes, running about
# 10 seconds. If you come from the survey article: this is its section 2.2.*

# %%
import tutorial_lib  # noqa: F401  first: it makes a mismatched torchvision importable
import math
from itertools import combinations, permutations
from time import perf_counter

import torch
from IPython.display import display
from torch import nn

from tutorial_lib import plots
from tutorial_lib.plots import determinant as pictures
from tutorial_lib.plots.parallelogram import images
from tutorial_lib.widgets import parallelogram

plots.style.use()

first = {"stretch": (1.5, 0.0, 0.0, 1.5), "shear": (1.0, 0.0, 1.5, 1.0), "mirror": (-1.0, 0.5, 0.5, 1.0),
         "flat": (1.0, 0.5, 2.0, 1.0)}                      # a1, a2, b1, b2: where the two sides of the square go
dets = {name: parallelogram.determinant(state) for name, state in first.items()}
fig = images([(f"{name}\ndet = {dets[name]:.2f}", parallelogram.matrix(state), None, None)
              for name, state in first.items()], frame=(-1.3, 3.2, -0.7, 2.2))
plots.show(fig, "Four matrices and what they make of the unit square (dashed), which has an F in it. Determinants: "
           + ", ".join(f"{name} {det:.2f}" for name, det in dets.items()) + ".")

# %% [markdown]
# > **Notation.** J is a matrix, later a Jacobian: rows are outputs, columns are inputs. In the plane its columns a
# > and b say where the two sides of the unit square go, and
# >
# > $$\det J = a_1 b_2 - a_2 b_1$$
# >
# > ln is the natural logarithm. In a flow, $\text{log\_det} = \ln|\det \partial z/\partial x|$, one number per sample.
# > All terms: [notation and words](notation_and_glossary.md).

# %% [markdown]
# ## Act 1 · Signed area
#
# The picture shows all three things that the number says. Its **size** is the area of the image of the unit square:
# 2.25 for the stretch, which is 1.5 · 1.5. Its **sign** is the orientation: the F in the orange panel is a mirror
# image, and no turning makes it readable. **Zero** means that the square has become a line: an area is lost.
#
# **Predict.** Another shear leaves side a where it is, and pushes the end of side b by 3 to the right. Its area?
#
# <details><summary>(a) 4, because the sides got longer.</summary>Side b got longer, and the figure leans. Length is
# not area.</details>
# <details><summary>(b) 1.</summary>Yes. Base 1, height 1: a stack of cards pushed sideways keeps its volume.</details>
# <details><summary>(c) Less than 1, because it is squeezed.</summary>It is squeezed along one direction, and
# stretched along another by the reciprocal factor. The product is 1.</details>
#
# Do not trust the formula yet. Measure: put a box around the image, throw 5,000 dots into it, count those inside. With
# a share p inside, the area is box · p, and chance puts it off by about one *standard error*, box · √(p (1 − p) / n).

# %%
states = {"shear by 3": (1.0, 0.0, 3.0, 1.0), "turn and stretch": (2.0, 0.5, -0.5, 1.5),
          "mirror": (-1.0, 0.5, 0.5, 1.0), "thin": (3.0, 2.0, 1.5, 1.5), "small": (0.5, 0.1, -0.25, 0.5)}
for name, state in states.items():
    m = parallelogram.measure(state)                        # 5,000 dots from a named seed
    off = abs(m["counted"] - m["area"]) / m["error"]
    print(f"{name:17s} det {m['det']:+.3f}   counted {m['counted']:.3f} ± {m['error']:.3f}   "
          f"off by {off:.1f} standard errors, within 3: {off < 3}")

# %% [markdown]
# Five matrices, and each count agrees with |det| within three standard errors. The counting knows nothing of the sign:
# the mirror has a negative determinant and an ordinary area.
#
# Area is not only that of the unit square. Cut any shape into small squares: a matrix multiplies the area of each by
# the same |det J|, so it does for the whole shape.
#
# ### Look closer: the parallelogram
#
# **Find three pairs a, b with area 1: a square, a thin one, and one with a side of length 20. What did the determinant
# not tell you?** (Run the cell to use the sliders; arrow keys work.)

# %%
display(parallelogram.parallelogram())
pairs = {"a square": (1.0, 0.0, 0.0, 1.0), "thin": (3.0, 2.0, 1.0, 1.0),
         "length 20, height 0.05": (20.0, 0.0, 5.0, 0.05), "mirrored": (0.0, 1.0, 1.0, 0.0)}
fig, said = parallelogram.strip(pairs)
plots.show(fig, "Four pairs with area 1, each on its own scale; dots outside are grey. " + said)

# %% [markdown]
# The first three have the same determinant, 1. (The third is 20 long and 0.05 high, so it looks like a line.) One
# moves no point at all. One makes some vectors more than 20 times as long and others about 20 times as short. The
# longest and the shortest stretch are called *singular values*; in the plane their product is |det|. **The
# determinant tells their product and nothing about each of them.**
#
# ### Break it: det = 0
#
# Take a = (1, 0.5) and b = (2, 1). Now b = 2a, and a₁ b₂ − a₂ b₁ = 1 − 1 = 0.
#
# **Predict.** How much do you lose if you send points through this matrix and try to come back?
#
# <details><summary>(a) Nothing: every image still lies on a line, so it can be found.</summary>The images can be
# found. The points that they came from cannot.</details>
# <details><summary>(b) One point: only 0 goes to 0.</summary>0 goes to 0 under every matrix. Here it has
# company.</details>
# <details><summary>(c) Of every image, a whole line of possible origins.</summary>Yes. Everything along one direction
# lands on the same place.</details>

# %%
J = torch.tensor([[1.0, 2.0], [0.5, 1.0]])                  # (2, 2), columns a and b = 2a
lost = torch.tensor([2.0, -1.0])                            # a direction that J sends to 0
x = torch.tensor([0.3, 0.4]) + torch.linspace(-2, 2, 5)[:, None] * lost   # (5, 2): five points on one line
z = x @ J.T                                                 # (5, 2)
print("five points:      ", [[round(v, 1) for v in row] for row in x.tolist()])
print("their images:     ", [[round(v, 2) for v in row] for row in z.tolist()])
print("different images: ", len(z.mul(1000).round().unique(dim=0)))
print("singular values:  ", [round(v, 3) + 0.0 for v in torch.linalg.svdvals(J).tolist()])
try:
    torch.linalg.solve(J.double(), z.double().T)
except torch.linalg.LinAlgError:
    print("solve: refused, the matrix is singular")

# %% [markdown]
# Five points, one image. The signature is the second singular value, 0: a unit vector along (2, −1) gets the length 0.
# A flow must never do this, because a defect that differs from a good part along the lost line would be invisible. And
# log_det would be ln 0, minus infinity.
#
# ## Act 2 · The sum with n! terms
#
# For n × n the determinant is often defined as a sum over *permutations*. A permutation p takes one entry from every
# row, M[i, p(i)], and from no column twice:
#
# $$\det M = \sum_p (-1)^{\tau(p)} \prod_i M_{i,\,p(i)}$$
#
# τ(p) is the number of *inversions*: pairs in p where the larger number stands on the left. For three rows there are
# six permutations.

# %%
M = torch.tensor([[2.0, 1.0, 0.0], [3.0, -1.0, 4.0], [1.0, 0.5, -2.0]])    # (3, 3)
total = 0.0
for p in permutations(range(3)):
    tau = sum(left > right for left, right in combinations(p, 2))
    product = math.prod(M[i, p[i]].item() for i in range(3))
    total += (-1) ** tau * product
    print(f"p = {p}   τ = {tau}   sign {(-1) ** tau:+d}   product {product:+5.1f}   sum so far {total:+5.1f}")
print(f"library: {torch.linalg.det(M):.1f}")

# %% [markdown]
# You may read that τ "denotes the sign". **τ is a count; the sign is (−1)^τ.** In the last line τ is 3, and the
# sign is −1. With two rows the sum is M₁₁ M₂₂ − M₁₂ M₂₁, the formula of the notation box.
#
# **A tempting mistake: "count the elements that moved."** One exchange moves two elements and flips the sign. So the
# number of moved elements ought to do as well as τ?

# %%
for p in ((1, 0, 2, 3), (1, 0, 3, 2), (1, 2, 0, 3), (1, 2, 3, 0)):
    tau = sum(left > right for left, right in combinations(p, 2))
    moved = sum(i != j for i, j in enumerate(p))
    matrix_of_p = torch.eye(4)[list(p)]                     # (4, 4): the same exchange, done with rows
    print(f"{p}: moved {moved}, (−1)^moved {(-1) ** moved:+d}   τ = {tau}, (−1)^τ {(-1) ** tau:+d}   "
          f"det {torch.linalg.det(matrix_of_p):+.0f}")

# %% [markdown]
# The first, third and fourth line refute it: moved and τ differ, and the determinant sides with τ.
#
# **Predict.** The sum for a 20 × 20 matrix, on a machine that adds a thousand million terms a second?
#
# <details><summary>(a) Minutes.</summary>400 entries are few, but the terms are not made from single
# entries.</details>
# <details><summary>(b) Days.</summary>In four days you finish 17 rows; see the next output.</details>
# <details><summary>(c) Years.</summary>Yes: a lifetime. See the next output.</details>

# %%
years = math.factorial(20) / 1e9 / (3600 * 24 * 365.25)
print(f"20! = {math.factorial(20):.2e} terms, {years:.0f} years; 17! takes {math.factorial(17) / 1e9 / 86400:.1f} days")
P, L, U = torch.linalg.lu(M)                                # (3, 3) each: M = P L U
for name, part in (("P", P), ("L", L), ("U", U)):
    print(name, [[round(v, 2) + 0.0 for v in row] for row in part.tolist()])
print(f"det P {torch.linalg.det(P):+.0f} · product of U's diagonal {U.diagonal().prod():+.1f} = det M "
      f"{torch.linalg.det(P) * U.diagonal().prod():+.1f}")

# %% [markdown]
# Nobody computes the sum. Libraries use **LU**: Gaussian elimination writes M = P L U. P exchanges rows (its
# determinant is the sign of a permutation), L has ones on its diagonal (determinant 1), U is *triangular*. A
# triangular matrix has the product of its diagonal as its determinant: in the sum, every other term takes an entry
# from the zero half.
#
# Elimination needs in the order of n³ operations (about ⅔ n³). If the matrix is triangular to begin with, n are
# enough.

# %%
budget = 1e9
curves = {"sum over permutations: n · n!": {n: float(n * math.factorial(n)) for n in range(1, 15)},
          "elimination (LU): n³": {2**k: float(2**k) ** 3 for k in range(15)},
          "triangular: n": {4**k: float(4**k) for k in range(18)}}
meet = max(n for n in range(1, 20) if n * math.factorial(n) <= n**3) + 1
ends = [max(n for n in range(1, 20) if n * math.factorial(n) <= budget), round(budget ** (1 / 3)), int(budget)]
print(f"n! terms of n factors: n · n! passes n³ at n = {meet}, {meet * math.factorial(meet)} > {meet**3}; at "
      f"{meet - 1} it is {(meet - 1) * math.factorial(meet - 1)} < {(meet - 1)**3}")
print(f"largest n with at most {budget:.0e} operations: {ends[0]}, {ends[1]}, {ends[2]:.0e}")
marks = [(meet, meet * math.factorial(meet), f"n = {meet}"),
         (ends[0], ends[0] * math.factorial(ends[0]), f"n = {ends[0]}"),
         (ends[1], budget, f"n = {ends[1]}"), (ends[2], budget, "n = 10⁹")]
plots.show(pictures.costs(curves, budget, marks), "Operations for three ways to one number, up to constant factors. "
           f"The sum passes n³ at n = {meet}. Within 10⁹ operations (dotted) it gets to n = {ends[0]}, elimination to "
           f"{ends[1]}, a triangular matrix to 10⁹.")


# %% [markdown]
# For 2 × 2 and 3 × 3 the sum is the cheaper way. At 4 it is behind, and at 12 it is over the budget. Does your
# machine agree? The next cell lets each way run on larger and larger matrices until one run takes more than a tenth
# of a second. (Its seconds differ from machine to machine.)

# %% tags=["nbval-ignore-output"]
def by_sum(m):
    signs = ((p, (-1) ** sum(a > b for a, b in combinations(p, 2))) for p in permutations(range(len(m))))
    rows = m.tolist()
    return sum(sign * math.prod(rows[i][j] for i, j in enumerate(p)) for p, sign in signs)


ways = {"sum over permutations": (by_sum, lambda n: torch.randn(n, n), range(2, 12)),
        "elimination (LU)": (torch.linalg.slogdet, lambda n: torch.randn(n, n), [2**k for k in range(1, 13)]),
        "triangular, its diagonal": (lambda d: d.abs().log().sum(), torch.randn, [4**k for k in range(1, 14)])}
for name, (compute, make, sizes) in ways.items():
    for n in sizes:
        m = make(n)
        start = perf_counter()
        compute(m)
        seconds = perf_counter() - start
        if seconds > 0.1:
            break
    print(f"{name:25s} n = {n:9d}: {seconds:.2f} s")

# %% [markdown]
# The sum gives up at eight or nine rows, elimination at one or a few thousand, and the diagonal at millions. A flow
# needs a determinant *for every sample, at every training step*, with
# hundreds of values in a sample. n³ is too much. So flows are built in such a way that n is enough, and Act 4 shows
# the trick.
#
# ## Act 3 · The logarithm
#
# **Tool card: ln turns products into sums; nats and bits.** *What it is:* ln(a·b) = ln a + ln b. *The number that
# shows it:* a map that scales each of 768 values by the same factor; its determinant is that factor to the power of
# 768. *Why here:* the determinant leaves float32, its logarithm is an ordinary number.

# %%
tiny = torch.finfo(torch.float32).tiny
print(f"float32: smallest number with full precision {tiny:.0e}, largest {torch.finfo(torch.float32).max:.0e}")
for factor in (0.9, 0.5, 2.0):
    scales = torch.full((768,), factor)                     # (768,), the diagonal of J
    print(f"{factor}^768: product {scales.prod():.0e}   sum of ln {scales.log().sum():+8.1f} nats   "
          f"sum of log2 {scales.log2().sum():+8.1f} bits")
print(f"0.5^768 in float64: {0.5**768:.0e}   0.5^1100 in float64: {0.5**1100}   1 bit = {math.log(2):.3f} nats")

diagonal = torch.linspace(0.2, 0.6, 768) * torch.tensor([1.0, -1.0]).repeat(384)     # (768,), both signs
print(f"ln of the product: {diagonal.prod().abs().log():.1f}")
print(f"sum of ln:         {diagonal.log().sum():.1f}")
print(f"sum of ln|·|:      {diagonal.abs().log().sum():.1f}")
sign, logabs = torch.linalg.slogdet(torch.diag(diagonal))
print(f"library, slogdet:  sign {sign:+.0f}, ln|det| {logabs:.1f}")


# %% [markdown]
# 0.9⁷⁶⁸ just survives, with 7·10⁻³⁶. 0.5⁷⁶⁸ is 0 and 2⁷⁶⁸ is infinite; both maps are undone by one multiplication, and
# nothing is wrong with them but the size of one number. float64 only moves the wall. The logarithm needs no wall:
# −532.3 for one and +532.3 for the other.
#
# The unit of a natural logarithm is the *nat*, that of log₂ the *bit*. 1 bit is ln 2 = 0.693 nats: 768 bits are 532.3
# nats. Halving one value costs 1 bit; 768 halvings cost 768 bits.
#
# **Order matters: abs, then ln, then sum.** The logarithm of the product is too late, and without the absolute value
# the logarithm of a mirrored direction is NaN: the last four lines above. `slogdet` returns sign and ln|det| apart and
# never forms the determinant. It is what to call for a matrix without structure.
#
# **Maps in a row.** Do A first, then B: areas grow by |det A|, then by |det B|. So det(B A) = det B · det A, and the
# logarithms add. The way back has one over the determinant, so its logarithm changes sign.

# %%
def log_det(m):
    return torch.linalg.slogdet(m).logabsdet.item()                        # ln|det m|, m: (n, n)


draw = torch.Generator().manual_seed(0)
A, B = torch.randn(2, 5, 5, generator=draw, dtype=torch.float64)           # (5, 5) each
print(f"A {log_det(A):+.3f}   B {log_det(B):+.3f}   sum {log_det(A) + log_det(B):+.3f}   B A {log_det(B @ A):+.3f}")
print(f"inverse of A {log_det(torch.linalg.inv(A)):+.3f}   transpose of A {log_det(A.T):+.3f}")

# %% [markdown]
# ## Act 4 · The zero block: the key to coupling layers
#
# Here is the idea on which every flow of this course rests. Cut a matrix into four blocks, and let the upper right one
# be zero:
#
# $$M = \begin{pmatrix} A & 0 \\ B & D \end{pmatrix} \qquad\Longrightarrow\qquad \det M = \det A \cdot \det D$$
#
# **Predict.** M is 4 × 4, its blocks are 2 × 2. Of the 24 products in the sum over permutations, how many are not
# certainly zero?
#
# <details><summary>(a) 12: the zero block is a quarter, and each product takes several entries.</summary>It is
# fewer. One zero entry kills a whole product, and most permutations pass through the zero block.</details>
# <details><summary>(b) 4.</summary>Yes: two ways to choose in A, times two ways in D.</details>
# <details><summary>(c) 18: those with no entry in the zero block, and some of them use B.</summary>Not one of the
# survivors uses B. The next picture shows why.</details>

# %%
boards = list(permutations(range(4)))
in_zero = [any(i < 2 <= p[i] for i in range(4)) for p in boards]           # takes an entry from the zero block
in_b = [any(i >= 2 > p[i] for i in range(4)) for p in boards]              # takes an entry from B
alive = len(boards) - sum(in_zero)
print(f"{len(boards)} products; {sum(in_zero)} take a zero; {alive} are left = 2! · 2!")
both = sum(z and b for z, b in zip(in_zero, in_b, strict=True))
print(f"products that use B: {sum(in_b)}; of these {both} take a zero")
plots.show(pictures.surviving_terms(boards, k=2), "All 24 permutations of four rows. Filled: the entries that are "
           f"multiplied. Only the {alive} boards with a thick frame are free of orange (the zero block), and they are "
           "free of pink (B) as well.")

# %% [markdown]
# Read one board with pink in it. Pink means that a lower row has taken a left column. Now two upper rows must share
# the columns that remain, and only one of them is on the left. The other has to go right, into the zero block.
# **Whoever takes an entry of B must pay with a zero.** What survives is a choice inside A times a choice inside D.
#
# So B may be anything, as long as the zeros are zeros. Here is B at work, at a thousand times its size, and once more
# with 0.1 in place of each zero.

# %%
A, D = torch.randn(3, 3, generator=draw).double(), torch.randn(2, 2, generator=draw).double()
B = torch.randn(2, 3, generator=draw).double()                             # (2, 3): D's rows, A's columns
print(f"ln|det A| + ln|det D| = {log_det(A) + log_det(D):.4f}")
for corner in (0.0, 0.1):
    for scale in (0, 1, 1000):
        upper = torch.cat([A, torch.full((3, 2), corner).double()], dim=1)  # (3, 5)
        lower = torch.cat([scale * B, D], dim=1)                           # (2, 5)
        print(f"upper right {corner}, B times {scale:4d}: ln|det M| = {log_det(torch.cat([upper, lower])):+.4f}")


# %% [markdown]
# With zeros in the corner all digits agree, whatever B is. With 0.1 there, B enters, and a large B decides the result.
# (B times 0 is block-triangular again, the other way round.) **A small block is not a zero block.**

# %% [markdown]
# Now build a map of which this is the Jacobian. Cut x into two halves. The first half *passes*. The second is
# stretched and shifted, and a network decides, from the first half, by how much:
#
# $$z_1 = x_1, \qquad z_2 = x_2\, e^{s(x_1)} + t(x_1)$$
#
# x₁ and x₂ are vectors here, the two halves of x. The network returns one s and one t for every entry of x₂, and the
# formula works entry by entry. The way back:
#
# $$x_1 = z_1, \qquad x_2 = (z_2 - t(z_1))\, e^{-s(z_1)}$$
#
# Because z₁ is x₁, it asks for the same s and t. The network itself is only run forward.
#
# z₁ does not notice x₂: there is the zero block. A is the identity. D is diagonal, with eˢ on it. And B, the
# derivative of a whole network, is what we never compute. This is a **coupling layer**: NICE (2014) shifts only,
# RealNVP (2016) also stretches.

# %%
class Coupling(nn.Module):
    """z (B, d) and log_det (B,) of one layer; with ``swap`` the second half passes."""

    def __init__(self, d, seed, swap=False):
        super().__init__()
        torch.manual_seed(seed)
        self.st = nn.Sequential(nn.Linear(d // 2, 64), nn.Tanh(), nn.Linear(64, d)).double()
        self.swap = swap

    def forward(self, x):
        halves = x.chunk(2, dim=1)                                                   # (B, d/2) each
        kept, moved = halves[::-1] if self.swap else halves
        s, t = self.st(kept).chunk(2, dim=1)                                         # (B, d/2) each
        moved = moved * s.exp() + t
        z = torch.cat([moved, kept] if self.swap else [kept, moved], dim=1)          # (B, d)
        return z, s.sum(dim=1)                                                       # ln of the product of all e^s


# %% [markdown]
# Nothing in `forward` looks at a Jacobian. Compare its second result, the sum of s, with the honest way: build the
# whole Jacobian with autograd, all 768 × 768 entries, and take it apart by elimination.

# %%
def jacobian(layers, x):
    """J (d, d) of layers in a row, at one sample x (1, d)."""
    def through(v):                                                                  # (d,) -> (d,)
        v = v[None]
        for layer in layers:
            v, _ = layer(v)
        return v[0]
    return torch.func.jacrev(through)(x[0]).detach()


wide, x = Coupling(768, seed=0), torch.randn(1, 768, generator=draw).double()
J = jacobian([wide], x)                                                              # (768, 768)
print(f"ln|det J| by elimination on {J.shape[0]} × {J.shape[1]}: {log_det(J):+.6f}")
z, total = wide(x)                                                                   # (1, 768), (1,)
print(f"sum of the {768 // 2} values of s:             {total.item():+.6f}")
s, t = wide.st(z[:, :384]).chunk(2, dim=1)                                           # (1, 384) each
back = torch.cat([z[:, :384], (z[:, 384:] - t) * (-s).exp()], dim=1)                 # (1, 768)
print("the way back returns x, to 1e-12:", torch.allclose(back, x, atol=1e-12))
print(f"upper right block all zero: {bool((J[:384, 384:] == 0).all())}   entries of B: {J[384:, :384].numel()}")
print(f"operations: about {768**3:.0e} against {768 // 2}")

# %% [markdown]
# Six digits agree. On one side a Jacobian of 768 × 768 entries, taken apart by elimination. On the other side a sum of
# 384 numbers that the layer has computed anyway. And s and t may be any network: deep, wide, with kinks. log_det never
# asks for their Jacobian, and the way back runs them forward: nobody has to invert them.
#
# The price: half of the values pass unchanged. A second layer with the halves *swapped* changes them, and so on.
# After three layers the zeros are gone. Is the advantage gone too?

# %%
layers = [Coupling(8, seed=1), Coupling(8, seed=2, swap=True), Coupling(8, seed=3)]
x = torch.randn(1, 8, generator=draw).double()                                       # (1, 8)
here, total, parts = x, 0.0, {}
for k, layer in enumerate(layers, 1):
    parts[f"layer {k}" + ", swapped" * layer.swap] = jacobian([layer], here)         # (8, 8), at the point it gets
    here, log_dets = layer(here)
    total += log_dets.item()
    print(f"layer {k}: sum of s {log_dets.item():+.6f}   so far {total:+.6f}")
parts["three in a row"] = jacobian(layers, x)
for name, part in parts.items():
    print(f"{name:17s} zero entries {int((part == 0).sum()):2d} of 64   ln|det J| by elimination {log_det(part):+.6f}")
plots.show(pictures.jacobians(parts, limit=2.0), "Jacobians of three coupling layers on 8 values, and of all three in "
           "a row. Layers 1 and 3: the upper right block is zero. Layer 2: the lower left. In a row: "
           f"{int((parts['three in a row'] == 0).sum())} zeros.")


# %% [markdown]
# The product is full: every output notices every input, and nothing of its structure is left to use. Yet ln|det J|
# is the sum of three easy ones, because determinants multiply along the chain. **Each layer is triangular, the whole
# is not, and the log_det is never harder than a sum.** Chapter [05](05_normalizing_flows.ipynb) builds on these two
# sentences.

# %% [markdown]
# ## Act 5 · Curved maps: what det J ≠ 0 proves
#
# For a matrix, det ≠ 0 and "can be undone" are the same thing. For a curved map, J changes from point to point, and
# the sentence "det J ≠ 0 means invertible" needs a word more. If the derivatives are continuous, det J ≠ 0 at a point
# says: **near this point** the map can be undone (the inverse function theorem). It does not say that two distant
# points have two images.
#
# **Predict.** (x₁, x₂) ↦ (x₁² − x₂², 2 x₁ x₂) has det J = 4 (x₁² + x₂²), positive everywhere but at 0. Take the
# ring between the circles of radius ½ and 1, which leaves 0 out. Can the map be undone on it?
#
# <details><summary>(a) Yes: det J > 0 at every point of it.</summary>Near every point, yes. But squares forget the
# sign: look at p and −p.</details>
# <details><summary>(b) No: two points share each image.</summary>Yes: p and −p. No determinant could have told
# you.</details>
# <details><summary>(c) No: the map is curved.</summary>Coupling layers are curved too, and can be undone.</details>

# %% [markdown]
# ### Break it: a fold
#
# Beside it stands the simplest map that folds the plane: (x₁, x₂) ↦ (x₁², x₂), with det J = 2 x₁. If J multiplies each
# small area by |det J|, then the mean of |det J|, times the area of the region, is the area of the image. Is it?
# (A radius r becomes r², so the image of the ring lies between ¼ and 1 and has the area 15/16 π. The fold takes the
# square of area 4 to half of it, area 2.)

# %%
def squares(x):                                                            # (N, 2) -> (N, 2)
    return torch.stack([x[:, 0] ** 2 - x[:, 1] ** 2, 2 * x[:, 0] * x[:, 1]], dim=1)


def fold(x):
    return torch.stack([x[:, 0] ** 2, x[:, 1]], dim=1)


x = 2 * torch.rand(20_000, 2, generator=draw) - 1                          # (20000, 2), even over a square of area 4
ring = x[(x.norm(dim=1) < 1) & (x.norm(dim=1) > 0.5)]                      # even over a ring of area ¾ π
cases = (("squares", squares, ring, 3 / 4 * math.pi, 15 / 16 * math.pi), ("fold", fold, x, 4.0, 2.0))
pair = torch.tensor([[0.6, 0.3], [-0.6, -0.3]]), torch.tensor([[0.6, 0.3], [-0.6, 0.3]])
for (name, f, points, region, image), two_points in zip(cases, pair, strict=True):
    det = torch.linalg.det(torch.vmap(torch.func.jacrev(lambda v, f=f: f(v[None])[0]))(points))    # (N,)
    total, error = region * det.abs().mean(), region * det.abs().std() / len(det) ** 0.5
    print(f"{name:8s} share with det > 0: {(det > 0).double().mean():.2f}   the pair's images agree: "
          f"{torch.equal(*f(two_points))}   ∫|det J| = {total:.2f} ± {error:.2f}   area of the image {image:.2f}   "
          f"ratio {total / image:.2f}")
panels = [(name, points[:3000], f(points[:3000]), two, f(two))
          for (name, f, points, *_), two in zip(cases, pair, strict=True)]
plots.show(pictures.before_and_after(panels), "Points before and after two maps; blue where x₁ > 0, orange elsewhere. "
           "Each colour alone covers the whole image: it is covered twice. Rings: two points with one image.")

# %% [markdown]
# The areas are off by a factor of two, because the image is covered twice. **Signature of a map that is not
# one-to-one: ∫|det J| is larger than the area of the image.**
#
# The two maps differ in how they betray themselves. The fold turns orientation round: det J is negative on the orange
# side, and on the crease, x₁ = 0, it is 0. Whoever watches the sign is warned. In "squares" det J is positive for
# every point of the ring, the map goes around 0 twice, and no local number gives it away.
#
# The other direction fails as well: **a map may have det J = 0 at a point and still be undone.** x ↦ x³ has slope 0
# at 0.

# %%
x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], dtype=torch.float64)
z = x**3
back = z.sign() * z.abs() ** (1 / 3)
print("slope 3x²:", (3 * x**2).tolist())
print("there and back is the same, to 1e-12:", torch.allclose(back, x, atol=1e-12))
near = torch.tensor([1e-3, 1e-6, 1e-9], dtype=torch.float64)
print("how far back moves, per unit of z, near 0:", [f"{v:.0e}" for v in (near ** (1 / 3) / near).tolist()])

# %% [markdown]
# Undone at every point, 0 included. What is lost is the *slope* of the way back, which grows without limit near
# 0. A flow needs that slope, so flows exclude det J = 0 although invertibility alone would not.
#
# Coupling layers need none of this reasoning. They are undone by a formula, on the whole space.
#
# ## Misconceptions
#
# You have met two: "the sign counts moved elements" and "det J ≠ 0 everywhere means invertible". Here is the third:
# **"a small determinant means nearly singular."** Compare a tenth of the identity in 10 dimensions with a matrix of
# determinant 1. Disturb z by a millionth of its length, and come back.

# %%
tenth, skewed = 0.1 * torch.eye(10).double(), torch.diag(torch.tensor([1e6, 1e-6])).double()
for name, m in {"0.1 · identity, 10 × 10": tenth, "diag(10⁶, 10⁻⁶)": skewed}.items():
    x = torch.ones(len(m)).double()
    z = m @ x
    step = 1e-6 * z.norm() / len(z) ** 0.5                                 # the same for every value of z
    off = (torch.linalg.solve(m, z + step) - x).norm() / x.norm()
    print(f"{name:24s} det {torch.linalg.det(m):.0e}   longest / shortest stretch {torch.linalg.cond(m):.0e}   "
          f"way back off by {off:.0e} of its length")

# %% [markdown]
# The determinant of 10⁻¹⁰ belongs to the harmless one. What magnifies a relative error on the way back, at worst, is
# the ratio of the longest to the shortest stretch, the *condition number*. The determinant is a volume, and 0.1 per
# direction is a small volume in ten dimensions and no problem at all.
#
# **Where articles are loose, and what holds.**
#
# | You may read | What holds |
# |---|---|
# | "τ denotes the sign" | τ counts inversions, the sign is (−1)^τ |
# | "det J ≠ 0 means invertible" | for a matrix yes; for a smooth curved map near the point only |
# | "invertible means det J ≠ 0" | x³ is undone everywhere and has slope 0 at 0; *its inverse* has no slope there |
# | "the determinant underflows, so the map is singular" | the number underflows; 0.9⁷⁶⁸ does not even do that |
# | "a determinant costs n³" | for a matrix without structure; n for a triangular one |

# %% [markdown]
# ## Check yourself
#
# **1.** In det [[A, 0], [B, D]], why does B not matter?
#
# <details><summary>(a) B is small in practice.</summary>It may be a thousand times larger than A and D; the output
# above did not change.</details>
# <details><summary>(b) Each product that uses B also takes an entry of the zero block.</summary>Right. That is the
# whole proof.</details>
# <details><summary>(c) B stands below the diagonal, and nothing below a diagonal matters.</summary>Inside A and D the
# entries below the diagonal do matter. What excludes B is the zero block.</details>
#
# **2.** A 10 × 10 matrix has the determinant 10⁻¹⁰. What follows?
#
# <details><summary>(a) It is nearly singular.</summary>0.1 · identity has this determinant and a perfect condition
# number.</details>
# <details><summary>(b) It shrinks every direction.</summary>It could stretch nine directions and crush the
# tenth.</details>
# <details><summary>(c) It shrinks volumes by 10¹⁰, and nothing more.</summary>Right.</details>
#
# **3.** `L.diagonal().prod().abs().log()` for 768 values near 0.5 in float32 gives
#
# <details><summary>(a) about −532.</summary>That is the sum of the logarithms. The product comes first here.</details>
# <details><summary>(b) −inf.</summary>Right: the product is 0 in float32, and ln 0 is −inf.</details>
# <details><summary>(c) NaN.</summary>NaN comes from the logarithm of a negative number; abs prevents that.</details>

# %% [markdown]
# **4.** *(earlier: Jacobian)* z₁ = x₁ for the upper half of a map. What do the upper rows of its Jacobian look like?
#
# <details><summary>(a) Identity on the left, zeros on the right.</summary>Right: rows are outputs, and these outputs
# react to their own input only.</details>
# <details><summary>(b) Zeros on the left, identity on the right.</summary>Then z₁ would be x₂.</details>
# <details><summary>(c) All zeros, because nothing changes.</summary>A value that passes has the slope 1, not
# 0.</details>
#
# **5.** *(earlier: defect detection)* A defect of 3 × 3 pixels in an anomaly map of 64 × 64. Which image score notices
# it sooner?
#
# <details><summary>(a) The mean of the map.</summary>Nine pixels of 4096 hardly move the mean.</details>
# <details><summary>(b) The maximum.</summary>Right. For a faint haze over the whole map it is the other way
# round.</details>
# <details><summary>(c) Both alike.</summary>They answer different questions.</details>

# %% [markdown]
# ## What you can now say
#
# - |det J| is the factor by which volumes grow, its sign says whether the image is mirrored, and 0 means that a whole
#   line is lost.
# - It is a product of stretches and says nothing about each of them: neither length nor condition.
# - The sum over permutations has n! terms of n factors, elimination takes n³ operations, a triangular matrix n.
# - ln|det| is what a computer can hold. Along a chain of maps it adds.
# - With a zero block in the upper right, the lower left never enters. Therefore a coupling layer's log_det is a sum,
#   and its networks may be anything. For curved maps, det J ≠ 0 is a local statement.
#
# | formula card | |
# |---|---|
# | plane | det J = a₁ b₂ − a₂ b₁ |
# | sum | det M = Σ_p (−1)^τ(p) Π_i M[i, p(i)]: n! terms of n factors |
# | triangular | ln\|det\| = Σ ln\|Lᵢᵢ\| |
# | block-triangular | ln\|det\| = ln\|det A\| + ln\|det D\| |
# | chain | ln\|det(B A)\| = ln\|det B\| + ln\|det A\| |

# %% [markdown]
# **Next.** Write it yourself, six functions, 50 minutes: [exercises/03](../exercises/03_determinant.ipynb).
# Chapter [04](04_change_of_variables.ipynb) asks what happens to a *density* when volumes grow, and ln|det| is the
# answer.
#
# **Sources.** Coupling layers and their triangular Jacobian: NICE (2014, arXiv 1410.8516), RealNVP (2016, arXiv
# 1605.08803). Surveys: arXiv 1912.02762 and 1908.09257 (2019); the survey article named at the top is another one, see
# [00](00_start_here.ipynb). Elimination in ⅔ n³ operations and condition numbers: Golub and Van Loan, *Matrix
# Computations* (4th edition, 2013). Inverse function theorem: Rudin, *Principles of Mathematical Analysis* (3rd
# edition, 1976), theorem 9.24.
