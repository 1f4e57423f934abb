"""The exercises of chapter 08: pooled vector, soft clamp, sub-network, views, gradient map, a fair comparison."""

from tutorial_lib.checks.ch08.clamp import SOFT_CLAMP
from tutorial_lib.checks.ch08.fairness import FAIRNESS
from tutorial_lib.checks.ch08.gradient import GRADIENT_MAP
from tutorial_lib.checks.ch08.pooling import POOL_CONCAT
from tutorial_lib.checks.ch08.probes import blur
from tutorial_lib.checks.ch08.subnet import FC_SUBNET
from tutorial_lib.checks.ch08.views import MULTI_VIEW
from tutorial_lib.checks.core import Chapter

chapter = Chapter("08", "08_differnet", (POOL_CONCAT, SOFT_CLAMP, FC_SUBNET, MULTI_VIEW, GRADIENT_MAP, FAIRNESS))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview


def passes(name: str, *functions) -> bool:
    """Whether the functions fulfil the laws of exercise ``name``; prints nothing and records nothing."""
    return chapter.exercises[name].examine(*functions).ok


__all__ = ["answer", "blur", "chapter", "check", "hint", "overview", "passes"]
