"""The exercises of chapter 03: triangular and block matrices, permutations, the Leibniz sum, LU, areas by counting."""

from tutorial_lib.checks.ch03.blocks import BLOCK
from tutorial_lib.checks.ch03.counting import AREA
from tutorial_lib.checks.ch03.leibniz import LEIBNIZ
from tutorial_lib.checks.ch03.lu import LU
from tutorial_lib.checks.ch03.permutations import SIGN
from tutorial_lib.checks.ch03.triangular import TRIANGULAR
from tutorial_lib.checks.core import Chapter

chapter = Chapter("03", "03_determinant", (TRIANGULAR, SIGN, LEIBNIZ, BLOCK, LU, AREA))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
