"""The checks of chapter 09: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers09
import check_suite

from tutorial_lib.checks.ch09 import chapter

globals().update(check_suite.tests(chapter, answers09))
