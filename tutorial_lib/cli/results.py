"""Results on disk: a new file for every run, complete or not there at all, and never in the place of an older one."""

import hashlib
import json
import os
import tempfile
from datetime import datetime
from pathlib import Path

from tutorial_lib.cli.errors import CommandError


def prepare(folder: Path) -> Path:
    """Create the folder and prove that a file can be written there: before minutes of training, not after them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0" * 4096)
    except OSError as error:
        raise CommandError(
            f"Results cannot be written to {folder}: {error.strerror}. Choose a folder that you may write to with "
            "--out, or free some space."
        ) from error
    return folder


def new_stem(folder: Path, what: str, settings: dict) -> Path:
    """A path without suffix that no file has yet: command, date and time, and a hash of the settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    stem = f"{what}_{datetime.now():%Y%m%d-%H%M%S}_{digest}"
    number, path = 1, folder / stem
    while any(folder.glob(f"{path.name}*")):
        number += 1
        path = folder / f"{stem}-{number}"
    return path


def write(path: Path, content: bytes | dict, replace: bool = False) -> Path:
    """Store bytes, or a dict as JSON; the file appears under its name only when it is complete and on the disk.

    ``replace`` is for a run that brings its own file up to date.

    Raises:
        FileExistsError: a file has that name already. OSError: the disk is full or the folder cannot be written to;
        nothing is left behind then.
    """
    data = content if isinstance(content, bytes) else (json.dumps(content, indent=1) + "\n").encode()
    if path.exists() and not replace:
        raise FileExistsError(17, "a file has this name already", str(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
    return path
