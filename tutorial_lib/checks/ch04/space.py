"""Exercises 3 and 4: an affine map of a Gaussian in n dimensions, and the Box–Muller map of the unit square."""

from __future__ import annotations

import math

import torch
from torch.distributions import MultivariateNormal

from tutorial_lib.checks.ch04.probes import per_sample
from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

LN_2PI = math.log(2 * math.pi)


def _affine():
    """Points (30, 3), a matrix with a negative determinant and a shift."""
    A = torch.tensor([[0.4, 1.7, -0.6], [2.1, 0.3, 0.5], [-0.2, 0.9, 1.3]], dtype=torch.float64)
    b = torch.tensor([1.5, -3.0, 0.7], dtype=torch.float64)
    return normal(30, 3, seed=44) @ A.T + b, A, b


def _base(z):
    return -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * LN_2PI


def _back(x, A, b):
    return torch.linalg.solve(A, (x - b).T).T


def _ln(A):
    return torch.linalg.slogdet(A).logabsdet


def _library(call):
    x, A, b = _affine()
    return differ("log p(x)", call(x, A, b), MultivariateNormal(b, A @ A.T).log_prob(x), 1e-8, "the library's")


def _scaled(call):
    x, A, b = _affine()
    low, high = call(x, A, b).detach(), call(b + 2 * (x - b), 2 * A, b).detach()
    shift = float((low - high).mean())
    return None if abs(shift - 3 * math.log(2)) < 1e-8 else (
        f"a cloud twice as wide in 3 dimensions must lose 3 ln 2 = 2.0794 nats at the point that moved along, it loses "
        f"{shift:.4f}")


AFFINE = Exercise(
    name="affine_logpdf", minutes=10,
    returns=(lambda x, A, b: TensorSlot("log p(x)", x.shape[:1], "(B,)", x.dtype),),
    laws=(Law("it is not the log density of A z + b", _library),
          Law("a wider cloud is not thinner by the right amount", _scaled)),
    passes="equals the library's Gaussian with mean b and covariance A Aᵀ, det A < 0 included",
    hints=("Go back first: which z gives x = A z + b? torch.linalg.solve needs no inverse, but it wants one column per "
           "sample, and yours are rows.",
           "The map z → x stretches volumes by |det A|. Does that make the density at x larger or smaller?",
           "Three parts: log π(z), with its constant for n dimensions; the logarithm of the stretch; and its sign. "
           "det A may be negative: which function of torch.linalg keeps sign and logarithm apart?"),
    suspects=(
        Suspect("ln|det A| was added: A leads to x, where the same mass fills |det A| times the volume, so subtract",
                lambda x, A, b: _base(_back(x, A, b)) + _ln(A)),
        Suspect("A was applied instead of A⁻¹: you computed A (x − b), and z is the point that A sends to x − b",
                lambda x, A, b: _base((x - b) @ A.T) - _ln(A)),
        Suspect("A z + b was computed once more: x is already that; which z came from it? Solve A z = x − b",
                lambda x, A, b: _base(x @ A.T + b) - _ln(A)),
        Suspect("the constant of the normal density is missing: −n/2 · ln 2π",
                lambda x, A, b: _base(_back(x, A, b)) + 0.5 * len(b) * LN_2PI - _ln(A)),
        Suspect("the constant of the normal density is that of one dimension: it counts n times, −n/2 · ln 2π",
                lambda x, A, b: _base(_back(x, A, b)) + 0.5 * (len(b) - 1) * LN_2PI - _ln(A)),
        Suspect("A⁻¹ stands on the wrong side: rows are samples, so (x − b) @ A⁻¹ needs a transpose",
                lambda x, A, b: _base((x - b) @ A.inverse()) - _ln(A)),
        Suspect("ln|det A| is missing: this is the density of z",
                lambda x, A, b: _base(_back(x, A, b))),
        Suspect("b was not subtracted", lambda x, A, b: _base(_back(x, A, 0 * b)) - _ln(A)),
        Suspect("b was subtracted after A⁻¹: undo the last step first, x − b, then A⁻¹",
                lambda x, A, b: _base(_back(x, A, 0 * b) - b) - _ln(A)),
        Suspect("ln|det A| was shared out over the batch: every sample gets all of it",
                lambda x, A, b: _base(_back(x, A, b)) - _ln(A) / len(x)),
        Suspect("the determinant of the covariance was used: ln det A Aᵀ is twice ln|det A|",
                lambda x, A, b: _base(_back(x, A, b)) - 2 * _ln(A)),
        Suspect("the determinant itself was subtracted: in log p(x) stands its logarithm",
                lambda x, A, b: _base(_back(x, A, b)) - torch.linalg.det(A).abs()),
        Suspect("torch.logdet gives NaN when det A < 0: take the absolute value first, or slogdet",
                lambda x, A, b: _base(_back(x, A, b)) - torch.logdet(A)),
        Suspect("only the diagonal of A was used: that is the determinant of a triangular matrix",
                lambda x, A, b: _base(_back(x, A, b)) - A.diagonal().abs().log().sum()),
        Suspect("the density was returned, not its logarithm",
                lambda x, A, b: (_base(_back(x, A, b)) - _ln(A)).exp()),
    ),
)


def box_muller(u):
    """Two uniform numbers to two normal ones: u (…, 2) -> x (…, 2). Box and Muller, 1958."""
    r, angle = (-2 * u[..., 0].log()).sqrt(), 2 * math.pi * u[..., 1]
    return torch.stack([r * angle.cos(), r * angle.sin()], -1)


def _square():
    return 0.03 + 0.94 * torch.rand(40, 2, generator=torch.Generator().manual_seed(45), dtype=torch.float64)


def _autograd(call):
    u = _square()
    J = torch.func.vmap(torch.func.jacrev(box_muller))(u)                                     # (40, 2, 2)
    return differ("log_det", call(u), torch.linalg.slogdet(J).logabsdet, 1e-9, "ln|det J| by autograd")


def _becomes_normal(call):
    u = _square()
    return differ("−log_det", -call(u), _base(box_muller(u)), 1e-9, "the normal log density of the output")


BOX_MULLER = Exercise(
    name="box_muller_logdet", minutes=10, returns=(per_sample("log_det"),),
    laws=(Law("it is not ln|det J| of the map u → x", _autograd),
          Law("the output does not get the normal density", _becomes_normal)),
    passes="equals autograd at 40 points, and the output gets the density of two normal numbers",
    hints=("Two steps: u → (r, angle) with r = √(−2 ln u₁) and angle = 2π u₂, then (r, angle) → x. Their log_dets add.",
           "The second step, polar to plane, stretches areas by r. The first is diagonal: |dr/du₁| = 1/(r u₁), and 2π.",
           "r · 1/(r u₁) · 2π: the r cancels. Take the logarithm, one number per row of u."),
    suspects=(
        Suspect("the sign is turned: this is the log_det of the way back, from x to u",
                lambda u: u[:, 0].log() - LN_2PI),
        Suspect("taken at the output: the formula was fed with x instead of u",
                lambda u: LN_2PI - box_muller(u)[:, 0].log()),
        Suspect("taken at the output: the formula was fed with |x| instead of u",
                lambda u: LN_2PI - box_muller(u)[:, 0].abs().log()),
        Suspect("the factor 2π of the angle is missing", lambda u: -u[:, 0].log()),
        Suspect("u₂ stands where u₁ is due: the angle's step has the same stretch, 2π, everywhere",
                lambda u: LN_2PI - u[:, 1].log()),
        Suspect("only the step from polar to plane: ln r. The step from u to (r, angle) stretches too",
                lambda u: 0.5 * (-2 * u[:, 0].log()).log()),
        Suspect("only the step from u to (r, angle): from polar to plane the area grows by r",
                lambda u: LN_2PI - u[:, 0].log() - 0.5 * (-2 * u[:, 0].log()).log()),
        Suspect("2πr is the length of a circle: the r of polar to plane cancels against 1/(r u₁) of the first step",
                lambda u: LN_2PI + 0.5 * (-2 * u[:, 0].log()).log()),
        Suspect("the determinant itself was returned: its logarithm is asked for", lambda u: 2 * math.pi / u[:, 0]),
        Suspect("the sum ran over the batch and was then repeated: every row has its own log_det",
                lambda u: (LN_2PI - u[:, 0].log()).sum().expand(len(u))),
    ),
)
