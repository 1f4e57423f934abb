"""What the exercises call. ``checks.ch05.check("nll", nll)`` prints a short verdict that names the broken law.

``core``      exercises, laws, suspects, hints
``calls``     a learner's function under guard: copies in, problems named
``findings``  findings and verdicts as data
``progress``  which exercises have passed
``laws``      the law check of invertible maths, shared with the tests
``ch05`` …    one part per chapter
"""

from importlib import import_module


def __getattr__(name: str):
    """Load ``checks.ch05``, ``checks.laws`` … at first use: a chapter's checks cost nothing until they are needed."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"tutorial_lib.checks has no part {name!r}; chapters are called ch05, ch08, …") from None
