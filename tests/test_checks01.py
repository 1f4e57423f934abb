"""The checks of chapter 01: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers01
import check_suite

from tutorial_lib.checks.ch01 import chapter

globals().update(check_suite.tests(chapter, answers01))
