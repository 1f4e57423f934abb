"""The checks of chapter 11: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers11
import check_suite

from tutorial_lib.checks.ch11 import chapter

globals().update(check_suite.tests(chapter, answers11))
