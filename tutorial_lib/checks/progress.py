"""Which exercises have passed, in one small JSON file: written atomically, set aside when it cannot be read."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import tutorial_lib

VARIABLE = "FLOW_COURSE_PROGRESS"


def file() -> Path:
    """``progress.json`` in the course folder (or the current one); ``FLOW_COURSE_PROGRESS`` names another place."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    course = Path(tutorial_lib.__file__).resolve().parent.parent
    return (course if (course / "notebooks").is_dir() else Path.cwd()) / "progress.json"


def load() -> dict | None:
    """What is stored: ``{"exercises": {"05/nll": {"passed": true, "tries": 2, "hints": 1}}}``.

    None when an unreadable file could not be set aside either: then nothing may be written over it.
    """
    path, empty = file(), {"version": 1, "exercises": {}}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(stored, dict) and isinstance(stored.get("exercises"), dict):
            return stored
        problem = "it does not hold a progress record"
    except FileNotFoundError:
        return empty
    except (OSError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    return empty if _set_aside(path, problem) else None


def record(exercise: str, passed: bool, hints: int = 0) -> None:
    """Count one try. A pass stays a pass. A folder that cannot be written costs a sentence, not an exception."""
    if Path(os.environ.get("JPY_SESSION_NAME", "")).parent.name == "solutions":
        return  # running the worked answers is not progress
    stored = load()
    if stored is None:
        return
    entry = stored["exercises"].get(exercise)
    entry = entry if isinstance(entry, dict) else {}
    tries = entry.get("tries", 0)
    stored["exercises"][exercise] = {
        "passed": bool(entry.get("passed")) or passed, "hints": hints,
        "tries": (tries if isinstance(tries, int) else 0) + 1}
    path = file()
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        scratch.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        print(f"(Progress was not saved: {path}: {error.strerror or error}. Set {VARIABLE} to a file you may write.)")


def passed() -> set[str]:
    """Names such as ``"05/nll"`` of all exercises that have passed."""
    stored = load() or {"exercises": {}}
    return {name for name, entry in stored["exercises"].items() if isinstance(entry, dict) and entry.get("passed")}


def _set_aside(path: Path, problem: str) -> bool:
    for n in range(1, 1000):
        aside = path.with_name(f"{path.stem}.unreadable-{n}{path.suffix}")
        if not aside.exists():
            break
    try:
        os.replace(path, aside)
        print(f"({path.name} could not be read ({problem}). It was kept as {aside.name}, and a new one begins.)")
        return True
    except OSError as error:
        print(f"({path.name} could not be read ({problem}) nor set aside ({error.strerror or error}).)")
        return False
