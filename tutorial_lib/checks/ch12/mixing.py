"""Exercise 3: a matrix that may learn and whose volume stays 1."""

from __future__ import annotations

import torch

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.findings import Finding, Stop
from tutorial_lib.checks.slots import TensorSlot


def _returns(P, lower, upper, sign, w):
    return TensorSlot("W", P.shape, "(C, C)", P.dtype)


def parts(c: int, seed: int):
    """A random orthogonal matrix (c, c) and its parts P, lower, upper, sign, w. The triangles come as full matrices."""
    turned = torch.linalg.qr(normal(c, c, seed=seed))[0]
    P, low, up = torch.linalg.lu(turned)
    diagonal = up.diagonal()
    return turned, (P, low.tril(-1), up.triu(1), diagonal.sign(), diagonal.abs().log())


def _made(P, lower, upper, sign, w, scale=None):
    eye = torch.eye(len(P), dtype=P.dtype)
    scale = torch.exp(w - w.mean()) if scale is None else scale
    return P @ (lower.tril(-1) + eye) @ (upper.triu(1) + torch.diag(sign * scale))


def _start(call):
    for c in (4, 7):
        turned, given = parts(c, seed=c)
        found = differ("W", call(*given), turned, 1e-9, "the orthogonal matrix whose parts were given")
        if found:
            return f"{c} channels, at the start: {found.replace('sample', 'row')}"
    return None


def _trained(call=None, steps=10):
    """Ten gradient steps on full matrices, so that what is not strictly lower or upper is filled too."""
    _, (P, lower, upper, sign, w) = parts(5, seed=9)
    learned = [v.clone().requires_grad_() for v in (lower + 0.3 * normal(5, 5, seed=10),
                                                    upper + 0.3 * normal(5, 5, seed=11), w + 0.4)]
    call, target = call or _made, 2 * normal(5, 5, seed=12)
    for _ in range(steps):
        low, up, diagonal = learned
        loss = (call(P, low, up, sign, diagonal) - target).square().sum()
        gradients = torch.autograd.grad(loss, learned, allow_unused=True) if loss.requires_grad else (None,) * 3
        if None in gradients:
            silent = [n for n, g in zip(("lower", "upper", "w"), gradients, strict=True) if g is None]
            raise Stop(Finding(
                "law", "W carries no gradient to the parts that learn", f"none reaches {', '.join(silent)}",
                "the graph was cut: .detach(), .data, .item(), torch.no_grad() or torch.tensor(…) make new numbers "
                "that know nothing of where they came from"))
        learned = [(v - 0.01 * g).detach().requires_grad_() for v, g in zip(learned, gradients, strict=True)]
    low, up, diagonal = (v.detach() for v in learned)
    return P, low, up, sign, diagonal


def _volume(call):
    given = _trained(call)
    log_det = float(torch.linalg.slogdet(call(*given).detach())[1])
    return None if abs(log_det) < 1e-6 else f"after ten gradient steps ln|det W| is {log_det:.4f}, due is 0"


def _form(call):
    given = _trained()
    W = call(*given).detach()
    if float((W.T @ W - torch.eye(5, dtype=W.dtype)).abs().max()) < 1e-6:
        return ("after ten gradient steps W is still orthogonal",
                "W was made orthogonal again: unit volume is all that is asked, and it may stretch one way and shrink "
                "another")
    found = differ("W", W, _made(*given), 1e-6, "P (L + I)(U + diag(sign · exp(w − mean w)))")
    return found and f"after ten gradient steps, {found.replace('sample', 'row')}"


def _with(change):
    """The formula with another factor: ``change(P, L, U, diag)`` gives W from the right parts."""
    def wrong(P, lower, upper, sign, w):
        eye = torch.eye(len(P), dtype=P.dtype)
        return change(P, lower.tril(-1) + eye, upper.triu(1), torch.diag(sign * torch.exp(w - w.mean())))
    return wrong


def _scaled(scale):
    return lambda P, lower, upper, sign, w: _made(P, lower, upper, sign, w, scale(w))


MIXING = Exercise(
    name="unit_volume", minutes=8, returns=(_returns,),
    laws=(Law("at the start W must be the matrix whose parts were given", _start),
          Law("|det W| must stay 1 while the parts learn", _volume),
          Law("W is not P (L + I)(U + diag(sign · exp(w − mean w)))", _form)),
    passes="the given rotation at the start, |det W| = 1 after ten gradient steps, and orthogonal no longer",
    hints=("The determinant of a triangular matrix is the product of its diagonal. Which of the four factors have a "
           "diagonal that is not 1?",
           "ln|det W| = Σ of the exponents. What do you take away from w so that they add up to 0?",
           "torch.tril(lower, -1) keeps what is strictly below the diagonal, torch.triu(upper, 1) strictly above; "
           "torch.eye and torch.diag make the rest."),
    suspects=(
        Suspect("the mean of w was not taken away: the exponents must add up to 0", _scaled(torch.exp)),
        Suspect("the mean was taken after exp: the *logarithms* must add up to 0",
                _scaled(lambda w: w.exp() / w.exp().mean())),
        Suspect("the sum of w was taken away instead of its mean: each of the C entries gives up its share",
                _scaled(lambda w: torch.exp(w - w.sum()))),
        Suspect("w itself stands on the diagonal: its exponential is due", _scaled(lambda w: w - w.mean())),
        Suspect("the spread was divided out too: only the mean goes",
                _scaled(lambda w: torch.exp((w - w.mean()) / w.std()))),
        Suspect("sign was forgotten: the factor of the start may be negative",
                lambda P, lower, upper, sign, w: _made(P, lower, upper, torch.ones_like(sign), w)),
        Suspect("sign stands inside exp: it multiplies the exponential, sign · exp(w − mean w)",
                lambda P, lower, upper, sign, w: _made(P, lower, upper, torch.ones_like(sign), w,
                                                       torch.exp(sign * (w - w.mean())))),
        Suspect("the diagonal of lower was counted: only what is strictly below it (torch.tril(lower, -1))",
                lambda P, lower, upper, sign, w: P @ (lower.tril() + torch.eye(len(P)))
                @ (upper.triu(1) + torch.diag(sign * torch.exp(w - w.mean())))),
        Suspect("the whole of lower was used: only what is strictly below the diagonal (torch.tril(lower, -1))",
                lambda P, lower, upper, sign, w: P @ (lower + torch.eye(len(P)))
                @ (upper.triu(1) + torch.diag(sign * torch.exp(w - w.mean())))),
        Suspect("the diagonal of upper was counted: only what is strictly above it (torch.triu(upper, 1))",
                lambda P, lower, upper, sign, w: P @ (lower.tril(-1) + torch.eye(len(P)))
                @ (upper.triu() + torch.diag(sign * torch.exp(w - w.mean())))),
        Suspect("the whole of upper was used: only what is strictly above the diagonal (torch.triu(upper, 1))",
                lambda P, lower, upper, sign, w: P @ (lower.tril(-1) + torch.eye(len(P)))
                @ (upper + torch.diag(sign * torch.exp(w - w.mean())))),
        Suspect("the ones on the diagonal of L are missing: without them its determinant is 0",
                _with(lambda P, L, U, D: P @ (L - torch.eye(len(P))) @ (U + D))),
        Suspect("P stands on the wrong side: it comes first", _with(lambda P, L, U, D: L @ (U + D) @ P)),
        Suspect("P was turned over: no transpose here", _with(lambda P, L, U, D: P.T @ L @ (U + D))),
        Suspect("P was forgotten", _with(lambda P, L, U, D: L @ (U + D))),
        Suspect("U came before L", _with(lambda P, L, U, D: P @ (U + D) @ L)),
        Suspect("the diagonal was multiplied in, not added: U + diag(…)",
                _with(lambda P, L, U, D: P @ L @ (U + torch.eye(len(P))) @ D)),
        Suspect("the strictly upper part was forgotten: that factor is U + diag(…)",
                _with(lambda P, L, U, D: P @ L @ D)),
        Suspect("the whole product was divided by the root of its determinant: the volume is right, but only the "
                "diagonal gives up the mean",
                lambda P, lower, upper, sign, w: _made(P, lower, upper, sign, w, torch.exp(w)) / torch.exp(w.mean())),
    ),
)
