"""The exercises of chapter 12: a pyramid and back, Parseval, unit volume, volume normalisation, levels, template."""

from tutorial_lib.checks.ch12.fourier import FOURIER
from tutorial_lib.checks.ch12.levels import LEVELS
from tutorial_lib.checks.ch12.matching import TEMPLATE
from tutorial_lib.checks.ch12.mixing import MIXING
from tutorial_lib.checks.ch12.probes import blur_and_skip, nearest
from tutorial_lib.checks.ch12.pyramid import PYRAMID
from tutorial_lib.checks.ch12.volume import VOLUME
from tutorial_lib.checks.core import Chapter

__all__ = ["answer", "blur_and_skip", "chapter", "check", "hint", "nearest", "overview", "passes"]

chapter = Chapter("12", "12_pyramidflow", (PYRAMID, FOURIER, MIXING, VOLUME, LEVELS, TEMPLATE))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview


def passes(name: str, *functions) -> bool:
    """Whether an exercise passes, without printing: for a cell that runs only when it does."""
    return chapter.exercises[name].examine(*functions).ok
