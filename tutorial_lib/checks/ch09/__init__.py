"""The exercises of chapter 09: vectors, position code, conditional coupling, log-sigmoid, one map, a swap of places."""

from tutorial_lib.checks.ch09.aggregate import AGGREGATE
from tutorial_lib.checks.ch09.code import POSITIONS
from tutorial_lib.checks.ch09.conditional import CONDITIONAL
from tutorial_lib.checks.ch09.loss import LOSS
from tutorial_lib.checks.ch09.swap import SWAP
from tutorial_lib.checks.ch09.vectors import VECTORS
from tutorial_lib.checks.core import Chapter

chapter = Chapter("09", "09_cflow", (VECTORS, POSITIONS, CONDITIONAL, LOSS, AGGREGATE, SWAP))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview


def passes(name: str, *functions) -> bool:
    """Whether the functions fulfil the laws of exercise ``name``; prints nothing and records nothing."""
    return chapter.exercises[name].examine(*functions).ok


__all__ = ["answer", "chapter", "check", "hint", "overview", "passes"]
