"""The checks of chapter 10: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers10
import check_suite

from tutorial_lib.checks.ch10 import chapter

globals().update(check_suite.tests(chapter, answers10))
