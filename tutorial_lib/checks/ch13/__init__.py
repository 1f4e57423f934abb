"""The exercises of chapter 13: an interval for an AUROC, a count of leaks, and two methods on the same images."""

from tutorial_lib.checks.ch13.draws import auroc
from tutorial_lib.checks.ch13.interval import INTERVAL
from tutorial_lib.checks.ch13.leak import LEAK
from tutorial_lib.checks.ch13.paired import PAIRED
from tutorial_lib.checks.core import Chapter

chapter = Chapter("13", "13_side_by_side", (INTERVAL, LEAK, PAIRED))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview


def passes(name: str, *functions) -> bool:
    """True if the functions pass the check; for cells that need them."""
    return chapter.exercises[name].examine(*functions).ok


__all__ = ["answer", "auroc", "chapter", "check", "hint", "overview", "passes"]
