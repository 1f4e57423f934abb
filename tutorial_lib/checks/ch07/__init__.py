"""The exercises of chapter 07: typical radius, Gaussian on features, receptive fields, frozen networks, null moves."""

from tutorial_lib.checks.ch07.fields import FIELD
from tutorial_lib.checks.ch07.frozen import FROZEN
from tutorial_lib.checks.ch07.gaussian import FIT, MAP
from tutorial_lib.checks.ch07.moves import MOVE
from tutorial_lib.checks.ch07.radius import RADIUS
from tutorial_lib.checks.core import Chapter

chapter = Chapter("07", "07_density_to_defects", (RADIUS, FIT, MAP, FIELD, FROZEN, MOVE))
check, hint, answer, overview = chapter.check, chapter.hint, chapter.answer, chapter.overview
