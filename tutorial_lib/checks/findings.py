"""What a check can find, as data: one finding becomes one short verdict."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: ``kind`` groups it, ``law`` names it, ``where`` shows it, ``cause`` says why."""

    kind: str  # blank, arguments, type, shape, dtype, finite, error, in place, law, usage, check
    law: str
    where: str = ""
    cause: str = ""

    def because(self, cause: str) -> Finding:
        return replace(self, cause=cause) if cause else self


class Stop(Exception):
    """Ends a check early with a finding; not an error of the program."""

    def __init__(self, finding: Finding):
        super().__init__(finding.law)
        self.finding = finding


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check. ``str(verdict)`` is what the reader sees."""

    name: str
    finding: Finding | None
    passes: str
    checked: str
    prefix: str = ""  # what stands before ``hint(...)`` in the reader's notebook, such as ``checks.ch05.``

    @property
    def ok(self) -> bool:
        return self.finding is None

    def __str__(self) -> str:
        if self.finding is None:
            return f"✓ {self.name} — passes: {self.passes}.\n  Checked: {self.checked}."
        mark = "○" if self.finding.kind == "blank" else "✗"
        lines = [f"{mark} {self.name} — {self.finding.law}."]
        lines += [f"  Where: {self.finding.where}"] if self.finding.where else []
        lines += [f"  Likely cause: {self.finding.cause}"] if self.finding.cause else []
        lines += [f"  Checked: {self.checked}. A hint: {self.prefix}hint(\"{self.name}\")"]
        return "\n".join(lines)


def described(function: Callable) -> str:
    """Name and line of the function that was received, so that an old definition is noticed."""
    plain = inspect.unwrap(getattr(function, "func", function))
    code = getattr(plain, "__code__", None)
    if code is None:
        return f"{type(function).__name__} object"
    place = Path(code.co_filename).name if Path(code.co_filename).exists() else "its cell"
    return f"{plain.__name__}, line {code.co_firstlineno} of {place}"


def stumbled_at(error: BaseException, function: Callable) -> str:
    """The learner's own line at which an exception left their code: ``line 4: z = x @ L``."""
    code = getattr(inspect.unwrap(getattr(function, "func", function)), "__code__", None)
    found, trace = "", error.__traceback__
    while trace is not None and code is not None:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            text = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            found = f"line {trace.tb_lineno}" + (f": {text}" if text else "")
        trace = trace.tb_next
    return found or "inside the call"
