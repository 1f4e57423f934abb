"""The exercises of chapter 05: the smallest flow, coupling layers, likelihood, composition, samples."""

from tutorial_lib.checks.ch05.affine import AFFINE, NLL
from tutorial_lib.checks.ch05.compose import COMPOSE
from tutorial_lib.checks.ch05.coupling import FORWARD, INVERSE
from tutorial_lib.checks.ch05.sampling import SAMPLE
from tutorial_lib.checks.core import Chapter

chapter = Chapter("05", "05_normalizing_flows", (AFFINE, FORWARD, INVERSE, NLL, COMPOSE, SAMPLE))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
