"""What holds for the checks of every chapter, as tests made from its module of answers.

    globals().update(check_suite.tests(chapter, answers05))

The module of answers holds
    RIGHT    [(exercise, *functions)]: right answers, several styles of each; the first style is the model
    WRONG    [(exercise, label, words, *functions)]: known wrong answers, and words that only their diagnosis has
    CHANGES  [(old, new)]: replacements in the source of a right answer that must be noticed
"""

from __future__ import annotations

import inspect
import time
from functools import cache
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_lib.checks.core import Chapter

ENOUGH_MUTANTS = 50  # fewer test nothing
NOTICED = 0.95       # share of mutants; a few changes leave a right answer right


def blank(*args):
    raise NotImplementedError("blank: your code here")


ODD = {"a blank": blank, "None": lambda *a: None, "an exception": lambda *a: 1 / 0, "a string": lambda *a: "later",
       "an empty tensor": lambda *a: torch.empty(0), "no arguments": lambda: None, "a list": lambda *a: [1, 2],
       "NaN": lambda *a: torch.full((3,), torch.nan), "sys.exit": lambda *a: exit(),
       "a module": lambda *a: nn.Linear(2, 2), "an array of words": lambda *a: np.array(["a", "b"])}


def tests(chapter: Chapter, answers: ModuleType) -> dict:
    """Test functions by name."""
    exercises = chapter.exercises
    model = {name: functions for name, *functions in reversed(answers.RIGHT)}

    @cache
    def diagnosis(exercise, *functions):
        return str(exercises[exercise].examine(*functions)).split("\n  Checked")[0]

    def test_every_exercise_has_a_right_answer_in_two_styles():
        styles = [name for name, *_ in answers.RIGHT]
        assert {name: styles.count(name) >= 2 for name in exercises} == dict.fromkeys(exercises, True)

    @pytest.mark.parametrize("case", answers.RIGHT, ids=lambda c: f"{c[0]}-{c[1].__name__}")
    def test_right_answers_pass_in_every_style_within_two_seconds(case):
        name, *functions = case
        start = time.process_time()
        verdict = exercises[name].examine(*functions)
        assert verdict.ok, str(verdict)
        assert time.process_time() - start < 2

    @pytest.mark.parametrize("case", answers.WRONG, ids=lambda c: f"{c[0]}-{c[1]}")
    def test_every_wrong_answer_gets_its_own_diagnosis(case):
        exercise, _, words, *functions = case
        assert not exercises[exercise].examine(*functions).ok
        said = diagnosis(exercise, *functions)
        assert words in said, said
        others = [c for c in answers.WRONG if c[0] == exercise and c is not case]
        shared = [c[1] for c in others if words in diagnosis(exercise, *c[3:])]
        assert not shared, f"the words {words!r} also stand in the diagnosis of {shared}"

    @pytest.mark.parametrize("name", exercises)
    @pytest.mark.slow
    def test_every_suspect_is_recognised(name):
        for suspect in exercises[name].suspects:
            functions = list(model[name])
            functions[suspect.index] = suspect.function
            verdict = exercises[name].examine(*functions)
            assert not verdict.ok and verdict.finding.cause == suspect.cause, str(verdict)

    @pytest.mark.parametrize("odd", ODD)
    @pytest.mark.parametrize("name", exercises)
    def test_nothing_that_is_handed_in_makes_a_check_crash(name, odd):
        verdict = exercises[name].examine(*[ODD[odd]] * len(model[name]))
        assert not verdict.ok
        assert verdict.finding.kind != "check" and "Traceback" not in str(verdict), str(verdict)

    @pytest.mark.parametrize("name", exercises)
    def test_a_check_leaves_the_random_state_alone(name):
        torch.manual_seed(4)
        before = torch.get_rng_state()
        exercises[name].examine(*model[name])
        assert torch.equal(before, torch.get_rng_state())

    @pytest.mark.parametrize("name", exercises)
    def test_every_exercise_has_minutes_and_three_hints(name, capsys):
        exercise = exercises[name]
        assert len(exercise.hints) >= 3 and 4 <= exercise.minutes <= 15
        for n in range(1, len(exercise.hints) + 1):
            chapter.hint(name)
            assert f"Hint {n} of {len(exercise.hints)}" in capsys.readouterr().out
        chapter.answer(name)
        assert f"solutions/{chapter.notebook}.ipynb" in capsys.readouterr().out

    @pytest.mark.slow
    def test_changes_to_right_answers_are_noticed():
        survivors, total = [], 0
        for name, *functions in answers.RIGHT:
            for index, function in enumerate(functions):
                for label, mutant in mutants(function, answers):
                    total += 1
                    if exercises[name].examine(*functions[:index], mutant, *functions[index + 1:]).ok:
                        survivors.append(label)
        assert total >= ENOUGH_MUTANTS
        assert len(survivors) <= (1 - NOTICED) * total, survivors

    return {name: found for name, found in locals().items() if name.startswith("test_")}


def mutants(function, answers: ModuleType):
    """Every single replacement of CHANGES at every place in the function's body, as (label, function)."""
    if function.__name__ == "<lambda>":  # its source cannot be compiled alone
        return
    source = inspect.getsource(function)
    head, body = source[: source.index("\n") + 1], source[source.index("\n") + 1:]
    for old, new in answers.CHANGES:
        start = body.find(old)
        while start >= 0:
            space = dict(vars(answers))
            exec(compile(head + body[:start] + new + body[start + len(old):], "<mutant>", "exec"), space)
            yield f"{function.__name__}: {old!r} -> {new!r} at {start}", space[function.__name__]
            start = body.find(old, start + len(old))
