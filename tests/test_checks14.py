"""The checks of chapter 14: right findings pass however they were read off; every known wrong one gets its words."""

import answers14
import check_suite
import pytest

from tutorial_lib.checks.ch14 import chapter

pytestmark = pytest.mark.slow  # the findings are those of the stored detectors on their images: seconds, not moments


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Load the three detectors and their images once; what is timed is the checking."""
    for study in (answers14.fast(), answers14.pooled(), answers14.cflow()):
        assert len(study.scores) == len(study.names)


globals().update(check_suite.tests(chapter, answers14))
