"""The checks of chapter 02: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers02
import check_suite

from tutorial_lib.checks.ch02 import chapter

globals().update(check_suite.tests(chapter, answers02))
