"""Detectors and checkpoints on disk: safetensors with JSON in its header, replaced in one step, never unpickled."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from .errors import DetectorError

FORMAT = 1


def write(path: str | Path, kind: str, tensors: dict[str, Tensor], card: dict) -> Path:
    """Store ``tensors`` and ``card`` (anything JSON can hold) in one file.

    The new file is complete, and flushed to the disk, before it takes the place of an old one.

    Raises:
        DetectorError: the file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    header = {"format": str(FORMAT), "kind": kind, "card": json.dumps(card)}
    content = to_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, header)
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            part = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        part = None
    except OSError as error:
        kept = "The file that was there before is unchanged." if path.is_file() else "Nothing was written."
        raise DetectorError(f"{path} cannot be saved: {error.strerror or error}. {kept} Needed: "
                            f"{len(content) / 1e6:.1f} MB in {path.parent}; free some space or choose another folder."
                            ) from error
    finally:  # also when Ctrl-C arrives in the middle
        if part is not None:
            with contextlib.suppress(OSError):
                os.unlink(part)
    return path


def read(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and card of a file that ``write`` made.

    Raises:
        DetectorError: no such file, another kind of file, damaged, or written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise DetectorError(f"{path} is not a file. Save one first with detector.save(path).")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    except (SafetensorError, OSError) as error:
        raise DetectorError(f"{path} cannot be read as safetensors ({error}). It is damaged, or not a file that "
                            "this package wrote: fit again and save again.") from error
    if header.get("kind") != kind:
        raise DetectorError(f"{path} holds {header.get('kind', 'tensors without a description')!r}. "
                            f"Expected a {kind!r} file that this package wrote.")
    if header.get("format") != str(FORMAT):
        raise DetectorError(f"{path} has format {header.get('format')}, this package reads format {FORMAT}. "
                            "Update the package, or fit and save again.")
    return tensors, json.loads(header["card"])
