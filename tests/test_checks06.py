"""The checks of chapter 06: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers06
import check_suite

from tutorial_lib.checks.ch06 import chapter

globals().update(check_suite.tests(chapter, answers06))
