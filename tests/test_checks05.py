"""The checks of chapter 05: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers05
import check_suite
import numpy as np
import pytest

from tutorial_lib.checks.ch05 import chapter

globals().update(check_suite.tests(chapter, answers05))


@pytest.mark.parametrize("case", answers05.FLOAT32_AND, ids=lambda c: c[0])
def test_a_number_type_hides_no_other_mistake(case):
    _, words, *functions = case
    assert words in str(chapter.exercises["compose"].examine(*functions))


def test_numpy_results_are_named():
    verdict = chapter.exercises["nll"].examine(lambda z, ld: np.float64(1.0))
    assert "must be a torch tensor" in str(verdict)
