"""The checks of chapter 07: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers07
import check_suite

from tutorial_lib.checks.ch07 import chapter

globals().update(check_suite.tests(chapter, answers07))
