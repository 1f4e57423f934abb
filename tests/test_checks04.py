"""The checks of chapter 04: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers04
import check_suite

from tutorial_lib.checks.ch04 import chapter

globals().update(check_suite.tests(chapter, answers04))
