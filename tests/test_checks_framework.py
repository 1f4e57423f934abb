"""The exercise framework: every kind of bad input gets a sentence of its own, nothing crashes, nothing is disturbed."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch

from tutorial_lib import checks
from tutorial_lib.checks import progress
from tutorial_lib.checks.core import Chapter, Exercise, Law, Suspect
from tutorial_lib.checks.slots import NumberSlot, ObjectSlot, TensorSlot


def _is_double(call):
    x = torch.arange(6.0).view(3, 2)
    out = call(x)
    return None if torch.equal(out, 2 * x.sum(1)) else f"found {out.tolist()}"


EXERCISE = Exercise(
    name="twice", minutes=2, laws=(Law("it is not twice the sum of each row", _is_double),),
    returns=(lambda x: TensorSlot("the result", x.shape[:1], "(B,)", x.dtype),), passes="twice the sum",
    hints=("Sum over the last axis.", "Then double."),
    suspects=(Suspect("the factor 2 is missing", lambda x: x.sum(1)),
              Suspect("the batch was summed as well", lambda x: 2 * x.sum())))


def _chapter():
    return Chapter("99", "99_example", (EXERCISE,))


def _blank(x):
    raise NotImplementedError


def _returns_nothing(x):
    x.sum(1)


def _in_place(x):
    x += 1
    return 2 * x.sum(1)


def _raises(x):
    rows = x @ x
    return rows


def _exits(x):
    raise SystemExit(3)


def _recurses(x):
    return _recurses(x)


def _interrupted(x):
    raise KeyboardInterrupt


BAD = [  # (what the learner wrote, kind of finding, words of its sentence)
    (_blank, "blank", "nothing to check yet"),
    (_returns_nothing, "blank", "it returned None"),
    (lambda x: ..., "blank", "it returned Ellipsis"),
    (lambda: 1, "arguments", "called with 1 arguments"),
    (lambda x, y: x, "arguments", "keep the signature"),
    (lambda x: 3.0, "type", "found a float"),
    (lambda x: np.zeros(3, np.float32), "type", "a NumPy array"),
    (lambda x: "three", "type", "found a str"),
    (lambda x: [1, 2, 3], "type", "found a list"),
    (lambda x: torch.zeros(4), "shape", "found (4,), expected (B,) = (3,)"),
    (lambda x: x, "shape", "the last axis was not reduced"),
    (lambda x: 2 * x.sum(1).double(), "dtype", "torch.float64"),
    (lambda x: 2 * x.sum(1).long(), "dtype", "torch.int64"),
    (lambda x: x.sum(1) / 0 * 0, "finite", "3 of 3 values are NaN or inf"),
    (lambda x: -1 / (x.sum(1) * 0), "finite", "NaN or inf"),
    (_raises, "error", "rows = x @ x"),
    (lambda x: undefined_name, "error", "NameError"),  # noqa: F821
    (_exits, "error", "SystemExit"),
    (_recurses, "error", "RecursionError"),
    (_interrupted, "error", "interrupted"),
    (_in_place, "in place", "changed in place"),
    (lambda x: x.sum(1), "law", "factor 2 is missing"),
    (lambda x: 2 * x.sum(), "shape", "the batch was summed"),
    (lambda x: 5 * x.sum(1), "law", "not twice the sum"),
]


@pytest.mark.parametrize("case", BAD, ids=[f"{i}-{case[1]}" for i, case in enumerate(BAD)])
def test_every_bad_answer_gets_a_sentence_and_no_traceback(case, capsys):
    function, kind, words = case
    chapter = _chapter()
    chapter.check("twice", function)
    out = capsys.readouterr().out
    assert EXERCISE.examine(function).finding.kind == kind
    assert words in out and "Traceback" not in out and len(out.splitlines()) <= 4, out
    assert function.__name__ in out and "line " in out and 'checks.ch99.hint("twice")' in out


@pytest.mark.parametrize("given", [3, None, "text", torch.zeros(2), ...])
def test_a_result_instead_of_a_function_is_named(given, capsys):
    _chapter().check("twice", given)
    assert "is not a function" in capsys.readouterr().out


def test_usage_errors_are_sentences(capsys):
    chapter = _chapter()
    chapter.check("twice")
    chapter.check("thrice", abs)
    chapter.check(None, abs)
    chapter.hint("thrice")
    chapter.answer(7)
    out = capsys.readouterr().out
    assert "takes 1 function(s), 0 given" in out and out.count("There is no exercise") == 4


def test_callables_of_every_sort_are_accepted(capsys):
    class Twice(torch.nn.Module):
        def forward(self, x):
            return 2 * x.sum(1)

    for function in (Twice(), Twice().forward, torch.compiler.disable(lambda x: 2 * x.sum(1))):
        assert EXERCISE.examine(function).ok


def test_a_stumbling_check_says_so_instead_of_crashing():
    broken = Exercise(name="x", minutes=1, laws=(Law("it fails", lambda call: 1 / 0),), passes="", hints=())
    assert broken.examine(abs).finding.kind == "check"


def test_the_callers_random_state_and_tensors_stay_as_they_were():
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    def draws(x):
        torch.rand(3)
        np.random.rand(3)
        random.random()
        return 2 * x.sum(1)

    assert EXERCISE.examine(draws).ok
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == np.random.get_state()[1].tolist()
    assert before[2] == random.getstate()


def test_hints_come_one_at_a_time_and_never_hold_the_answer(capsys):
    chapter = _chapter()
    for expected in ("Hint 1 of 2: Sum", "Hint 2 of 2: Then", "Those were all 2 hints", "Those were all 2 hints"):
        chapter.hint("twice")
        assert expected in capsys.readouterr().out
    chapter.answer("twice")
    assert capsys.readouterr().out.strip() == "The worked answer is exercise 1 of solutions/99_example.ipynb."


# ---- other kinds of result -------------------------------------------------------------------------------------

@pytest.mark.parametrize(("slot", "value", "words"), [
    (NumberSlot("n"), "a", "must be one number"), (NumberSlot("n"), float("nan"), "not finite"),
    (NumberSlot("n"), torch.zeros(2), "must be one number"),
    (ObjectSlot("net", torch.nn.Module), 3, "must be a Module"),
    (TensorSlot("t", (), "()"), torch.zeros(3), "the mean over the batch is missing"),
])
def test_slots_name_what_does_not_fit(slot, value, words):
    exercise = Exercise(name="f", minutes=1, laws=(Law("-", lambda call: call() and None),), passes="", hints=(),
                        returns=(lambda: slot,))
    assert words in str(exercise.examine(lambda: value))


def test_a_missing_second_value_is_named():
    pair = Exercise(name="f", minutes=1, laws=(Law("-", lambda call: call() and None),), passes="", hints=(),
                    returns=(lambda: (NumberSlot("a"), NumberSlot("b")),))
    assert "it must return a, b" in str(pair.examine(lambda: 1.0))


# ---- progress ---------------------------------------------------------------------------------------------------

def test_a_pass_is_counted_once_and_stays(capsys):
    chapter = _chapter()
    chapter.check("twice", _blank)
    chapter.hint("twice")
    chapter.check("twice", lambda x: 2 * x.sum(1))
    chapter.check("twice", _blank)
    entry = json.loads(progress.file().read_text())["exercises"]["99/twice"]
    assert entry == {"passed": True, "tries": 3, "hints": 1} and progress.passed() == {"99/twice"}
    capsys.readouterr()
    chapter.overview()
    assert capsys.readouterr().out == "✓ twice (2 min)\n"


@pytest.mark.parametrize("content", ["{broken", "[]", '{"exercises": 3}', "", "\x00\x01"])
def test_an_unreadable_file_is_kept_and_a_new_one_begins(content, capsys):
    progress.file().write_text(content)
    _chapter().check("twice", lambda x: 2 * x.sum(1))
    kept = list(progress.file().parent.glob("progress.unreadable-*.json"))
    assert [k.read_text() for k in kept] == [content] and "was kept as" in capsys.readouterr().out
    assert progress.passed() == {"99/twice"}


def test_entries_of_an_unknown_kind_do_not_crash(capsys):
    progress.file().write_text('{"exercises": {"99/twice": 5, "x": {"tries": "many"}}}')
    _chapter().check("twice", lambda x: 2 * x.sum(1))
    assert progress.passed() == {"99/twice"}


def test_a_failed_write_costs_a_sentence_and_keeps_the_old_file(capsys, monkeypatch):
    _chapter().check("twice", lambda x: 2 * x.sum(1))
    before = progress.file().read_text()

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress.os, "replace", full)
    _chapter().check("twice", _blank)
    assert "No space left on device" in capsys.readouterr().out
    assert progress.file().read_text() == before and not list(progress.file().parent.glob("*.part"))


def test_a_folder_that_does_not_exist_costs_a_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("FLOW_COURSE_PROGRESS", str(tmp_path / "no such folder" / "进度.json"))
    _chapter().check("twice", lambda x: 2 * x.sum(1))
    assert "Progress was not saved" in capsys.readouterr().out


def test_running_the_worked_answers_is_not_progress(monkeypatch, capsys):
    monkeypatch.setenv("JPY_SESSION_NAME", "solutions/99_example.ipynb")
    _chapter().check("twice", lambda x: 2 * x.sum(1))
    assert progress.passed() == set()




def test_chapters_load_by_name_and_an_unknown_one_is_named():
    assert checks.ch05.check is not None
    with pytest.raises(AttributeError, match="no part 'ch77'"):
        _ = checks.ch77


def test_a_blank_helper_is_named_when_the_answer_itself_is_written():
    def helper(x):
        raise NotImplementedError("helper: your code here")

    verdict = str(_chapter().exercises["twice"].examine(lambda x: 2 * helper(x)))
    assert verdict.startswith("○") and "helper is still blank" in verdict
    assert "replace the TODO lines" in str(_chapter().exercises["twice"].examine(_blank))
