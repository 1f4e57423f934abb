"""Exercises and the chapters they belong to: run the laws, name the likely cause, offer hints, never the answer.

An exercise is checked by laws, not by comparing with one stored answer. When a law breaks, every *suspect* (a known
wrong variant) is called with the same arguments; one that gives the learner's results names the likely cause.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from tutorial_lib.checks import progress
from tutorial_lib.checks.calls import SEED, Call, copied, detached, same
from tutorial_lib.checks.findings import Finding, Stop, Verdict, described


@dataclass(frozen=True)
class Law:
    """A statement that a right answer fulfils.

    ``breaks(*calls)`` returns None when the law holds, else the sentence for "where" (or ``(where, cause)``).
    ``broken`` completes "name — …" when it does not hold.
    """

    broken: str
    breaks: Callable[..., str | tuple[str, str] | None]


@dataclass(frozen=True)
class Suspect:
    """A known wrong variant: ``function`` behaves like it, ``cause`` says what it does wrong."""

    cause: str
    function: Callable
    index: int = 0  # which function of the exercise it stands for


@dataclass(frozen=True)
class Exercise:
    """One exercise: its laws in the order in which they are tried, its suspects and its hints."""

    name: str
    minutes: int
    laws: tuple[Law, ...]
    passes: str
    hints: tuple[str, ...]
    suspects: tuple[Suspect, ...] = ()
    functions: tuple[str, ...] = ()  # when the exercise asks for more than one
    returns: tuple[Callable | None, ...] = field(default=(None,))

    def examine(self, *functions: Callable) -> Verdict:
        """The verdict on the learner's functions. Leaves the global random state as it was."""
        names = self.functions or (self.name,)
        checked = "; ".join(described(f) for f in functions) or "nothing"
        finding = self._wrong_arguments(names, functions)
        if finding is None:
            returns = self.returns * len(names) if len(self.returns) == 1 else self.returns
            calls = [Call(n, f, r) for n, f, r in zip(names, functions, returns, strict=True)]
            with quiet_random_state():
                finding = self._first_broken(calls)
        return Verdict(self.name, finding, self.passes, checked)

    def _wrong_arguments(self, names: tuple[str, ...], functions: tuple) -> Finding | None:
        usage = f'check("{self.name}", {", ".join(names)})'
        if len(functions) != len(names):
            return Finding("usage", f"the check takes {len(names)} function(s), {len(functions)} given",
                           f"write {usage}")
        for name, function in zip(names, functions, strict=True):
            if not callable(function):
                return Finding("usage", f"{name} is not a function", f"found {type(function).__name__}",
                               f"the result was passed instead of the function: write {usage}, without parentheses")
        return None

    def _first_broken(self, calls: list[Call]) -> Finding | None:
        """The first finding; a number type is judged last, so that it hides no law that breaks for another reason."""
        finding = self._run(calls)
        if finding is None or finding.kind != "dtype":
            return finding
        for call in calls:
            call.any_dtype = True
        return self._run(calls, recognised_only=True) or finding

    def _run(self, calls: list[Call], recognised_only: bool = False) -> Finding | None:
        """Run the laws. ``recognised_only`` passes over a break that no suspect explains: it may be rounding."""
        for law in self.laws:
            try:
                broken = law.breaks(*calls)
            except Stop as stop:
                finding = stop.finding
                if recognised_only and finding.kind == "error":  # the wrong number type may be the reason
                    continue
                return finding.because(self._suspect(calls)) if finding.kind in ("shape", "finite") else finding
            except KeyboardInterrupt:
                return Finding("error", "the check was interrupted", "your code was still running",
                               "a loop that does not end")
            except Exception as error:
                if recognised_only:
                    continue
                return Finding("check", f"the check could not finish ({type(error).__name__}: {error})",
                               f"while testing that it does not happen that {law.broken}")
            if broken:
                where, cause = broken if isinstance(broken, tuple) else (broken, "")
                suspect = self._suspect(calls)
                if suspect or not recognised_only:
                    return Finding("law", law.broken, where, suspect or cause)
        return None

    def _suspect(self, calls: list[Call]) -> str:
        for suspect in self.suspects:
            log = calls[suspect.index].log
            if log and all(_repeats(suspect.function, args, result) for args, result in log):
                return suspect.cause
        return ""


def _repeats(function: Callable, args: tuple, result) -> bool:
    torch.manual_seed(SEED)
    try:
        return same(detached(function(*copied(args))), result)
    except Exception:  # a suspect that cannot run on these arguments is not the culprit
        return False


@contextmanager
def quiet_random_state():
    """Run a block without disturbing the caller's random generators: Python's, NumPy's global one, torch's (CPU)."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


class Chapter:
    """The exercises of one chapter: what a notebook calls.

    Args:
        number: two digits, ``"05"``.
        notebook: stem of the exercise and solution notebooks, ``"05_normalizing_flows"``.
        exercises: in the order in which the notebook asks for them.
    """

    def __init__(self, number: str, notebook: str, exercises: tuple[Exercise, ...]):
        self.number, self.notebook = number, notebook
        self.exercises = {e.name: e for e in exercises}
        self._hints_given = dict.fromkeys(self.exercises, 0)

    def check(self, name: str, *functions: Callable) -> None:
        """Print a short verdict on ``functions`` and note a pass in the progress file. Never raises."""
        if (exercise := self._find(name)) is None:
            return
        verdict = exercise.examine(*functions)
        print(replace(verdict, prefix=f"checks.ch{self.number}."))
        progress.record(f"{self.number}/{name}", passed=verdict.ok, hints=self._hints_given[name])

    def hint(self, name: str) -> None:
        """Print the next hint; after the last one, say where the worked answer is."""
        if (exercise := self._find(name)) is None:
            return
        given, total = self._hints_given[name], len(exercise.hints)
        if given >= total:
            print(f"Those were all {total} hints. checks.ch{self.number}.answer(\"{name}\") says where the worked "
                  "answer is.")
            return
        self._hints_given[name] = given + 1
        print(f"Hint {given + 1} of {total}: {exercise.hints[given]}")

    def answer(self, name: str) -> None:
        """Say where the worked answer is. It is not printed here: the choice to look stays yours."""
        if (exercise := self._find(name)) is not None:
            place = list(self.exercises).index(exercise.name) + 1
            print(f"The worked answer is exercise {place} of solutions/{self.notebook}.ipynb.")

    def overview(self) -> None:
        """Print which exercises of this chapter have passed."""
        passed = progress.passed()
        for name, exercise in self.exercises.items():
            print(f"{'✓' if f'{self.number}/{name}' in passed else '○'} {name} ({exercise.minutes} min)")

    def _find(self, name: str) -> Exercise | None:
        if not isinstance(name, str) or name not in self.exercises:
            print(f"There is no exercise {name!r} in chapter {self.number}. It has: {', '.join(self.exercises)}.")
            return None
        return self.exercises[name]
