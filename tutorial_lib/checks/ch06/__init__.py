"""The exercises of chapter 06: squeeze, coupling on maps, ActNorm, 1 x 1, bits per dimension, a path on the shell."""

from tutorial_lib.checks.ch06.actnorm import ACTNORM
from tutorial_lib.checks.ch06.bits import BITS
from tutorial_lib.checks.ch06.coupling import COUPLING
from tutorial_lib.checks.ch06.one_by_one import ONE_BY_ONE
from tutorial_lib.checks.ch06.shell import SHELL
from tutorial_lib.checks.ch06.squeeze import SQUEEZE
from tutorial_lib.checks.core import Chapter

chapter = Chapter("06", "06_flows_that_paint", (SQUEEZE, COUPLING, ACTNORM, ONE_BY_ONE, BITS, SHELL))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
