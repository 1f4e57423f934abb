"""The exercises of chapter 01: threshold, precision, AUROC, image score, per-region overlap, connected regions."""

from tutorial_lib.checks.ch01.decisions import PRECISION, THRESHOLD
from tutorial_lib.checks.ch01.maps import IMAGE_SCORE
from tutorial_lib.checks.ch01.overlap import OVERLAP
from tutorial_lib.checks.ch01.ranking import AUROC
from tutorial_lib.checks.ch01.regions import REGIONS
from tutorial_lib.checks.core import Chapter

chapter = Chapter("01", "01_defect_detection", (THRESHOLD, PRECISION, AUROC, IMAGE_SCORE, OVERLAP, REGIONS))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
