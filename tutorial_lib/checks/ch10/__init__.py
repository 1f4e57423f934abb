"""The exercises of chapter 10: three sizes, one log_det, exchange, coupling and its inverse for three scales, a map."""

from tutorial_lib.checks.ch10.block import Block, halves, joined, total
from tutorial_lib.checks.ch10.coupling import COUPLING
from tutorial_lib.checks.ch10.exchange import EXCHANGE
from tutorial_lib.checks.ch10.inverse import INVERSE
from tutorial_lib.checks.ch10.localise import LOCALISE
from tutorial_lib.checks.ch10.log_det import LOG_DET
from tutorial_lib.checks.ch10.sizes import SIZES
from tutorial_lib.checks.core import Chapter

__all__ = ["Block", "answer", "chapter", "check", "halves", "hint", "joined", "overview", "total"]

chapter = Chapter("10", "10_csflow", (SIZES, LOG_DET, EXCHANGE, COUPLING, INVERSE, LOCALISE))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
