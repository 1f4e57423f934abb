"""The checks of chapter 12: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers12
import check_suite

from tutorial_lib.checks.ch12 import chapter

globals().update(check_suite.tests(chapter, answers12))
