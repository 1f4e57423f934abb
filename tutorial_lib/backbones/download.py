"""Fetch one file safely: streamed, resumed after a break, verified by hash, complete or absent.

    file = fetch(url, folder / "weights-0a1b2c3d.pth", "0a1b2c3d")

What arrives goes into ``weights-0a1b2c3d.pth.part``. Only a complete file with the right hash takes the final name.
Only the standard library carries the bytes: torch.hub and pooch both begin again from zero after a break, and on a slow
line a file of 800 MB may never arrive that way. Proxies are those of the environment (HTTPS_PROXY).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock, Timeout
from tqdm import tqdm

TIMEOUT = 30.0        # seconds without a single byte; a slow line that moves may take as long as it likes
PAUSES = (1, 3, 10)   # seconds before the 2nd, 3rd and 4th try in a row that brought nothing
CHUNK = 1 << 18


class DownloadFailed(RuntimeError):
    """A file could not be fetched; the sentence says why and what was kept."""


class _Broken(Exception):
    """The connection ended early: worth another try from where it stopped."""


def sha256(file: Path) -> str:
    """SHA-256 of a file in hex."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(url: str, file: Path, prefix: str, progress: bool = True) -> Path:
    """Download ``url`` to ``file``, whose SHA-256 must begin with ``prefix``; nothing happens if ``file`` exists.

    Two processes may ask at once: the second waits and finds the first one's file.

    Raises:
        DownloadFailed: no network, an error page, wrong bytes, or no room. Nothing is left under the final name.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _alone(file):
            if not file.exists():
                _fetch(url, file, prefix, progress)
    except OSError as error:
        raise DownloadFailed(f"{file.parent} cannot be written to ({error.strerror or error}). What has arrived "
                             "is kept; free some space or choose another folder") from error
    return file


def _alone(file: Path) -> FileLock:
    """A lock that one process holds at a time; the operating system takes it from a process that is killed."""
    lock = FileLock(str(file) + ".lock")
    try:
        lock.acquire(timeout=0.2)
    except Timeout:
        tqdm.write(f"Another process is fetching {file.name}: waiting for it.", file=sys.stderr)
    else:
        lock.release()
    return lock


def _fetch(url: str, file: Path, prefix: str, progress: bool) -> None:
    part = file.with_name(file.name + ".part")
    old, most, in_vain = _size(part) > 0, _size(part), 0
    while True:
        try:
            _continue(url, part, progress)
        except _Broken as error:
            in_vain = 0 if _size(part) > most else in_vain + 1
            most = max(most, _size(part))
            if in_vain > len(PAUSES):
                kept = f". {_size(part) / 1e6:.1f} MB have arrived and are kept; the next try goes on from there"
                raise DownloadFailed(f"{url} cannot be reached from here ({error})"
                                     + (kept if _size(part) else "")) from error
            if in_vain:
                time.sleep(PAUSES[in_vain - 1])
            continue
        found = sha256(part)
        if found.startswith(prefix):
            os.replace(part, file)
            return
        with open(part, "rb") as stream:
            page = stream.read(200).lstrip().startswith(b"<")
        part.unlink()
        if not old:
            looks = ", and look like a web page (a login page of the network?)" if page else ""
            raise DownloadFailed(f"{url} gave other bytes than expected: their SHA-256 begins with {found[:8]}, "
                                 f"expected {prefix}{looks}. They were removed")
        old = False  # the beginning came from an earlier day and may be to blame: once more, from zero


def _continue(url: str, part: Path, progress: bool) -> None:
    """Bring ``part`` to its full length, from where it ends now."""
    have = _size(part)
    headers = {"User-Agent": "flows-for-defects", "Accept-Encoding": "identity"}
    try:
        answer = urlopen(Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {})), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing behind what is there: complete, or not a beginning of this file
            if error.headers.get("Content-Range", "").rpartition("/")[2] != str(have):
                part.unlink()
                raise _Broken("what had arrived earlier does not belong to this file") from error
            return
        if error.code >= 500 or error.code == 429:
            raise _Broken(f"the server answers {error.code} {error.reason}") from error
        raise DownloadFailed(f"{url} is not there (the server answers {error.code} {error.reason})") from error
    except (OSError, HTTPException) as error:  # URLError, time-outs and resets are OSErrors
        raise _Broken(_why(error)) from error
    with answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not goes_on:
            if answer.status == 206:
                raise DownloadFailed(f"{url} answered with another part of the file than was asked for")
            have = 0  # the server sends everything again
        _receive(answer, part, have, progress)


def _receive(answer: HTTPResponse, part: Path, have: int, progress: bool) -> None:
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length is not None else None
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise DownloadFailed(f"{part.parent} has {free / 1e6:.0f} MB free, and {(total - have) / 1e6:.0f} MB are still "
                             "to come. Free some space or choose another folder")
    silent = {} if progress else {"disable": True}  # an argument would overrule TQDM_DISABLE
    name = part.name.removesuffix(".part")
    with open(part, "ab" if have else "wb") as stream, tqdm(total=total, initial=have, unit="B", unit_scale=True,
                                                            desc=name, **silent) as bar:
        while True:
            try:
                chunk = answer.read1(CHUNK)  # what is there, so that a line that dies loses nothing
            except (OSError, HTTPException) as error:
                raise _Broken(_why(error)) from error
            if not chunk:
                break
            stream.write(chunk)
            bar.update(len(chunk))
        stream.flush()
        os.fsync(stream.fileno())
    if total is not None and _size(part) < total:
        raise _Broken(f"the connection ended after {_size(part) / 1e6:.1f} of {total / 1e6:.1f} MB")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    return f"{type(reason).__name__}: {reason}"
