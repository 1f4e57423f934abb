"""The hunt of chapter 14: three findings, each checked by numbers. Nothing is computed by the reader but read off."""

from tutorial_lib.checks.ch14.hidden import HIDDEN
from tutorial_lib.checks.ch14.pairs import PAIR
from tutorial_lib.checks.ch14.worst import WORST
from tutorial_lib.checks.core import Chapter

chapter = Chapter("14", "14_latent_explorer", (WORST, HIDDEN, PAIR))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
