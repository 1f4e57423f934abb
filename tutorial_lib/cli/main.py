"""Chooses the command. Commands are imported when they are called, so that help answers at once."""

import difflib
import importlib
import sys

from tutorial_lib.cli.errors import CommandError, guarded

COMMANDS = {
    "doctor": "what this machine, or a folder of photographs, can and cannot do",
    "compare": "train the methods, score them, print the table, draw the heat maps",
    "explore": "look into the latent space of a trained detector, on a web page of its own",
    "lab": "open the course in JupyterLab",
    "pretrain": "train the embedded backbone again, from nothing",
}


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m tutorial_lib argv…`` and return the exit code."""
    for stream in (sys.stdout, sys.stderr):  # a console that cannot print '×' or '检' prints '?' instead of failing
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    return guarded(_dispatch, list(sys.argv[1:] if argv is None else argv))


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    name, *rest = argv
    if name in ("--version", "version"):
        from tutorial_lib import __version__

        print(__version__)
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(COMMANDS)}."
        raise CommandError(f"There is no command '{name}'. {meant} See 'python -m tutorial_lib --help'.")
    return importlib.import_module(f"tutorial_lib.cli.{name}").run(rest)


def usage() -> str:
    """The text of ``--help``."""
    lines = [f"  {name:<9} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "python -m tutorial_lib COMMAND [options]",
            "",
            *lines,
            "",
            "'python -m tutorial_lib COMMAND --help' lists the options of one command.",
        ]
    )
