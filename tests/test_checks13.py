"""The checks of chapter 13: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers13
import check_suite
import pytest

from tutorial_lib.checks.ch13 import chapter

found = check_suite.tests(chapter, answers13)
pytest.mark.slow(found["test_every_wrong_answer_gets_its_own_diagnosis"])  # thousands of draws each
globals().update(found)
