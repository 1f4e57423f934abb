"""``python -m tutorial_lib doctor [PATH]``: what this machine, or a folder of photographs, can and cannot do."""

from pathlib import Path
from typing import NamedTuple

from tutorial_lib.cli.errors import Parser

OK, NOTE, PROBLEM = "ok", "note", "problem"
MARKS = {OK: "✓", NOTE: "·", PROBLEM: "✗"}


class Line(NamedTuple):
    """One finding in words; ``status`` is "ok", "note" (good to know) or "problem" (something will not work)."""

    status: str
    text: str

    def __str__(self) -> str:
        return f"{MARKS[self.status]} {self.text}"


def report(path: str | Path | None = None) -> list[Line]:
    """Look at this machine, and at the data folder ``path`` if there is one; takes a few seconds, raises nothing.

    Without a path: Python and packages, processor, memory, disk, GPU, weights, a one-second measurement of speed.
    With a path: how many pictures of which kind and size were found, and every problem with the name of its file.
    """
    from tutorial_lib.cli import doctor_folder, doctor_machine

    if path is not None:
        return doctor_folder.lines(Path(path))
    return [line for look in doctor_machine.LOOKS for line in _careful(look)]


def _careful(look) -> list[Line]:
    try:
        return look()
    except Exception as error:  # a doctor that faints helps nobody
        return [Line(NOTE, f"{look.__name__.replace('_', ' ')} could not be examined ({error}).")]


def run(argv: list[str]) -> int:
    """Print the report; the exit code is 0 without problems and 2 with one."""
    parser = Parser(prog="python -m tutorial_lib doctor", description=__doc__.split(": ", 1)[1])
    parser.add_argument("path", nargs="?", type=Path, help="a folder of photographs in the layout of MVTec AD")
    options = parser.parse_args(argv)
    found = report(options.path)
    for line in found:
        print(line)
    problems = sum(line.status == PROBLEM for line in found)
    if problems:
        verdict = f"{problems} problem{'s' if problems > 1 else ''}: see the lines with {MARKS[PROBLEM]}."
    else:
        verdict = "Nothing stands in the way." if options.path is None else "This folder can be compared on."
    print(f"\n{verdict}", flush=True)
    return 2 if problems else 0
