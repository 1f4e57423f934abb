"""The exercises of chapter 04: densities after a map in one dimension and in n, two branches, modes."""

from tutorial_lib.checks.ch04.branches import TWO_BRANCHES
from tutorial_lib.checks.ch04.line import AFTER, LOGNORMAL
from tutorial_lib.checks.ch04.modes import MODES
from tutorial_lib.checks.ch04.space import AFFINE, BOX_MULLER
from tutorial_lib.checks.core import Chapter

chapter = Chapter("04", "04_change_of_variables", (LOGNORMAL, AFTER, AFFINE, BOX_MULLER, TWO_BRANCHES, MODES))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
