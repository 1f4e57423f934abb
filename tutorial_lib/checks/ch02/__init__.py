"""The exercises of chapter 02: finite differences, rows, columns, chains, image gradients, null directions."""

from tutorial_lib.checks.ch02.chain import CHAIN
from tutorial_lib.checks.ch02.columns import COLUMNS
from tutorial_lib.checks.ch02.finite import FINITE
from tutorial_lib.checks.ch02.images import IMAGES
from tutorial_lib.checks.ch02.null import NULL
from tutorial_lib.checks.ch02.rows import ROWS
from tutorial_lib.checks.core import Chapter

chapter = Chapter("02", "02_jacobian", (FINITE, ROWS, COLUMNS, CHAIN, IMAGES, NULL))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
