"""The exercises of chapter 11: tokens to a map, parameters, a step, a likelihood map, blind to places, patch memory."""

from tutorial_lib.checks.ch11.blind import BLIND
from tutorial_lib.checks.ch11.likelihood import LIKELIHOOD
from tutorial_lib.checks.ch11.memory import MEMORY
from tutorial_lib.checks.ch11.parameters import PARAMETERS
from tutorial_lib.checks.ch11.step import STEP
from tutorial_lib.checks.ch11.tokens import TOKENS
from tutorial_lib.checks.core import Chapter

chapter = Chapter("11", "11_fastflow", (TOKENS, PARAMETERS, STEP, LIKELIHOOD, BLIND, MEMORY))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview


def passes(name: str, *functions) -> bool:
    """Whether the functions fulfil the laws of exercise ``name``; prints nothing and records nothing."""
    return chapter.exercises[name].examine(*functions).ok


__all__ = ["answer", "chapter", "check", "hint", "overview", "passes"]
