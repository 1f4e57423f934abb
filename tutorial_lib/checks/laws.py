"""The law check of invertible maths: what every transform must fulfil, whoever wrote it. Tests and learners share it.

1. forward and inverse return ``(tensor, log_det)``: finite, input untouched, no randomness
2. rows do not influence each other (in ``eval()``)
3. log_det = ln |det dz/dx|, shape (B,), against slogdet of the autograd Jacobian, in float64
4. inverse(forward(x)) = x, in float64 and in float32
5. the inverse's log_det is minus the forward one

Nothing here raises because of the code under test: an exception, a wrong type or shape becomes a ``Broken``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tutorial_lib.checks.law_causes import cause_of_log_det, cause_of_round_trip, channels_that_differ
from tutorial_lib.checks.law_runs import Broken, LawBroken, row_jacobians, run

__all__ = ["Broken", "LawReport", "law_check", "row_jacobians"]

ROUND_TRIP = "inverse(forward(x)) = x"


@dataclass(frozen=True)
class LawReport:
    """What held and what broke. ``report.ok``; ``print(report)`` names law, place and likely cause."""

    held: tuple[str, ...]
    broken: tuple[Broken, ...]

    @property
    def ok(self) -> bool:
        return not self.broken

    def __str__(self) -> str:
        return "\n".join([f"✗ {b}" for b in self.broken] + [f"✓ {h}" for h in self.held])


def law_check(transform: nn.Module | Callable | tuple, x: Tensor, cond: Tensor | None = None, *,
              rtol: float = 1e-9, rtol32: float = 1e-4) -> LawReport:
    """Try every law on the rows of ``x``. A module is copied, so that its weights and mode stay as they are.

    Args:
        transform: a ``Transform``; or a pair of functions ``(forward, inverse)``; or ``forward`` alone, for which the
            laws of the inverse are left out. ``forward(x) -> (z, log_det)``, ``inverse(z) -> (x, log_det)``; they get
            ``cond`` as second argument only if there is one. Functions are called with float64 and with float32.
        x: at least two rows (B, ...), small: the Jacobian costs one backward pass per entry of a row.
        cond: condition (B, ...), or None.
        rtol: allowed error in float64, relative to the largest magnitude (at least 1).
        rtol32: the same for the round trip in float32.

    Raises:
        ValueError: if ``x`` itself cannot be used: fewer than two rows, or not finite.
    """
    if not isinstance(x, Tensor) or x.dim() < 2 or len(x) < 2 or not x.isfinite().all():
        found = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"law_check needs finite test points x of shape (B, ...) with B of at least 2. Found {found}.")
    try:
        check = _Check(transform, _own(x), None if cond is None else _own(cond), rtol, rtol32)
    except Exception as error:
        return LawReport((), (Broken("it can be copied and cast to float64", "before the first call", str(error)),))
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        check.try_all()
    return LawReport(tuple(check.held), tuple(check.broken))


class _Check:
    """One run: the functions, the test points, and the results on which later laws build."""

    def __init__(self, transform, x: Tensor, cond: Tensor | None, rtol: float, rtol32: float):
        self.x, self.cond, self.rtol, self.rtol32 = x, cond, rtol, rtol32
        self.forward, self.inverse = _functions(transform, torch.float64)
        self.forward32, self.inverse32 = _functions(transform, torch.float32)
        self.parts = list(getattr(self.forward, "transforms", []))
        self.held: list[str] = []
        self.broken: list[Broken] = []

    def try_all(self) -> None:
        laws = [self.forward_runs, self.forward_treats_rows_apart, self.log_det_is_that_of_the_jacobian]
        if self.inverse is not None:
            laws += [self.round_trip, self.inverse_log_det_is_negated, self.inverse_treats_rows_apart,
                     self.round_trip_float32]
        for law in laws:
            try:
                law()
                self.held.append(law.__name__.replace("_", " "))
            except LawBroken as stop:
                self.broken.append(stop.broken)
                if stop.fatal:
                    return

    def forward_runs(self) -> None:
        z, log_det = run(self.forward, self.x, self.cond, "forward")
        again, _ = run(self.forward, self.x, self.cond, "forward")
        if not torch.equal(z, again):
            raise LawBroken("the same input gives the same output", "forward, called twice",
                            "random numbers inside, such as dropout in training mode", fatal=True)
        self.z, self.log_det = z.detach(), log_det.detach()

    def forward_treats_rows_apart(self) -> None:
        self._rows_apart("forward", self.forward, self.x)

    def inverse_treats_rows_apart(self) -> None:
        self._rows_apart("inverse", self.inverse, self.z)

    def _rows_apart(self, name: str, function: Callable, points: Tensor) -> None:
        whole = run(function, points, self.cond, name)[0]
        for k in (0, len(points) - 1):
            cond = None if self.cond is None else self.cond[k:k + 1]
            alone = run(function, points[k:k + 1], cond, f"{name} of a single row")[0]
            if not _near(alone, whole[k:k + 1], self.rtol):
                raise LawBroken("rows do not influence each other", f"{name}, row {k} alone and in the batch",
                                "a statistic over the batch axis, such as a mean over dim 0 or batch normalisation",
                                f"largest difference {_gap(alone, whole[k:k + 1]):.3g}", fatal=True)

    def log_det_is_that_of_the_jacobian(self) -> None:
        x = self.x.clone().requires_grad_()
        self.jacobian = row_jacobians(run(self.forward, x, self.cond, "forward")[0], x)      # (B, D, D)
        if self.jacobian is None:
            raise LawBroken("autograd can follow forward from x to z", "forward",
                            "something cuts the graph: .detach(), .data, .item(), NumPy or torch.no_grad()", fatal=True)
        self.truth = torch.linalg.slogdet(self.jacobian)[1]                                  # (B,) nats
        if not self.truth.isfinite().all():
            raise LawBroken("dz/dx is invertible", f"forward, row {int(self.truth.isfinite().int().argmin())}",
                            "its determinant is 0: inputs that differ share an output, or autograd sees only a part",
                            fatal=True)
        cause = cause_of_log_det(self.log_det, self.truth, self.x, self.z, self.jacobian, self.rtol)
        if cause is not None:
            raise LawBroken("log_det = ln |det dz/dx| of each row", "forward", cause,
                            _numbers(self.log_det, self.truth))

    def round_trip(self) -> None:
        back, self.back_log_det = run(self.inverse, self.z, self.cond, "inverse")
        if back.shape != self.x.shape:
            raise LawBroken("the inverse gives the shape of x back", "inverse",
                            f"it returned {tuple(back.shape)}, x has {tuple(self.x.shape)}", fatal=True)
        if not _near(back, self.x, self.rtol):
            cause = cause_of_round_trip(back, self.x, self.z, self.forward, self.parts, self.cond, self.rtol)
            raise LawBroken(ROUND_TRIP, f"inverse, {channels_that_differ(back, self.x, self.rtol)}", cause,
                            f"largest error {_gap(back, self.x):.3g}", fatal=True)

    def inverse_log_det_is_negated(self) -> None:
        cause = cause_of_log_det(self.back_log_det.detach(), -self.truth, self.x, self.z, None, self.rtol)
        if cause is not None:
            raise LawBroken("the inverse's log_det is minus the forward one", "inverse", cause,
                            _numbers(self.back_log_det, -self.truth))

    def round_trip_float32(self) -> None:
        x, cond = self.x.float(), None if self.cond is None else self.cond.float()
        z, _ = run(self.forward32, x, cond, "forward in float32")
        back, _ = run(self.inverse32, z, cond, "inverse in float32")
        if not _near(back, x, self.rtol32):
            raise LawBroken(ROUND_TRIP + " in float32", f"inverse, {channels_that_differ(back, x, self.rtol32)}",
                            "the formula is right (float64 passes), the precision is not: scales so large or small "
                            "that digits are lost. Clamp the log-scale or use fewer layers",
                            f"largest error {_gap(back, x):.3g}")


def _functions(transform, dtype: torch.dtype) -> tuple[Callable, Callable | None]:
    if isinstance(transform, nn.Module):
        module = copy.deepcopy(transform).to(dtype).eval()
        return module, getattr(module, "inverse", None)
    return transform if isinstance(transform, tuple | list) else (transform, None)


def _own(x: Tensor) -> Tensor:
    return x.detach().double().clone()                # a function that changes its input must not reach the caller's


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


def _near(a: Tensor, b: Tensor, rtol: float) -> bool:
    return a.shape == b.shape and _gap(a, b) <= rtol * max(1.0, float(b.detach().abs().max()))


def _numbers(found: Tensor, expected: Tensor) -> str:
    return f"found {_short(found)}, expected {_short(expected)}"


def _short(values: Tensor) -> str:
    return "[" + ", ".join(f"{v:.4g}" for v in values.flatten()[:3].tolist()) + (", …]" if values.numel() > 3 else "]")
