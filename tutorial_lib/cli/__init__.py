"""The command line: ``python -m tutorial_lib doctor | compare | explore | lab | pretrain``.

One file per command, each with ``run(argv) -> exit code``; ``main`` chooses the command and turns every error into a
sentence. Exit codes: 0 done, 1 a fault of this program, 2 something the user can mend, 130 stopped by Ctrl-C.
"""

__all__ = ["doctor"]


def __getattr__(name: str):
    """``from tutorial_lib import cli; cli.doctor.report()`` works without loading the other commands."""
    if name != "doctor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module("tutorial_lib.cli.doctor")
