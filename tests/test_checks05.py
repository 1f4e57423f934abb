"""The checks of chapter 05: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

from __future__ import annotations

import inspect
import math
import time
from functools import cache

import numpy as np
import pytest
import torch
from answers05 import FLOAT32_AND, RIGHT, WRONG, soft_clamp

from tutorial_lib.checks.ch05 import chapter

EXERCISES = chapter.exercises
MODEL = {name: functions for name, *functions in reversed(RIGHT)}  # the first style of each exercise


@pytest.mark.parametrize("case", RIGHT, ids=lambda c: c[1].__name__)
def test_right_answers_pass_in_every_style_within_two_seconds(case):
    name, *functions = case
    start = time.process_time()
    verdict = EXERCISES[name].examine(*functions)
    assert verdict.ok, str(verdict)
    assert time.process_time() - start < 2


@cache
def _diagnosis(exercise, *functions):
    return str(EXERCISES[exercise].examine(*functions))


@pytest.mark.parametrize("case", WRONG, ids=lambda c: f"{c[0]}-{c[1]}")
def test_every_wrong_answer_gets_its_own_diagnosis(case):
    exercise, _, words, *functions = case
    verdict = _diagnosis(exercise, *functions)
    assert verdict.startswith("✗") and words in verdict, verdict
    others = [c for c in WRONG if c[0] == exercise and c is not case]
    shared = [c[1] for c in others if words in _diagnosis(exercise, *c[3:])]
    assert not shared, f"the words {words!r} also stand in the diagnosis of {shared}"


@pytest.mark.parametrize("case", FLOAT32_AND, ids=lambda c: c[0])
def test_a_number_type_hides_no_other_mistake(case):
    _, words, *functions = case
    assert words in _diagnosis("compose", *functions)


@pytest.mark.parametrize("name", EXERCISES)
def test_every_suspect_is_recognised_and_right_answers_match_none(name):
    exercise = EXERCISES[name]
    for suspect in exercise.suspects:
        functions = list(MODEL[name])
        functions[suspect.index] = suspect.function
        verdict = exercise.examine(*functions)
        assert not verdict.ok and verdict.finding.cause == suspect.cause, str(verdict)


# ---- mutants: small changes to the right answers must be noticed --------------------------------------------------

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".sum(", ".mean("), (".mean(", ".sum("),
           ("dim=1)", "dim=0)"), ("-s", "s"), (".exp()", ".cos()"), ("0.5 *", "1.0 *"), ("math.pi", "3.0"),
           ("reversed(layers)", "layers"), (".inverse(", "("), (".log()", ".log2()"), ("randn", "rand"),
           ("return -", "return "), ("-L", "L"), (", upper=False", ", upper=True"), ("x2 *", "x1 *"),
           ("st(x1)", "st(x2)"),
           ("st(z1)", "st(z2)"), ("s.exp()", "t.exp()"), ("[x1,", "[x2,"), ("[z1,", "[z2,"), ("square()", "abs()"),
           ("2 * alpha", "alpha"), (".atan(", ".tanh("), ("(s / alpha)", "(s)"), ("temperature *", "1.0 *"), (".T", "")]


def _mutants(function):
    """Every single replacement of CHANGES at every place in the function's source, as (label, function)."""
    source = inspect.getsource(function)
    head, body = source[: source.index("\n") + 1], source[source.index("\n") + 1:]
    for old, new in CHANGES:
        start = body.find(old)
        while start >= 0:
            space = {"torch": torch, "math": math, "soft_clamp": soft_clamp}
            exec(compile(head + body[:start] + new + body[start + len(old):], "<mutant>", "exec"), space)
            yield f"{function.__name__}: {old!r} -> {new!r} at {start}", space[function.__name__]
            start = body.find(old, start + len(old))


def test_at_least_95_percent_of_mutants_are_killed():
    survivors, total = [], 0
    for name, *functions in RIGHT:
        for index, function in enumerate(functions):
            for label, mutant in _mutants(function):
                changed = list(functions)
                changed[index] = mutant
                total += 1
                if EXERCISES[name].examine(*changed).ok:
                    survivors.append(label)
    assert total >= 70, "so few mutants test nothing"
    assert len(survivors) <= 0.05 * total, survivors


def test_numpy_results_are_named():
    verdict = EXERCISES["nll"].examine(lambda z, ld: np.float64(1.0))
    assert "must be a torch tensor" in str(verdict)
