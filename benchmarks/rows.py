"""Stored tables: one file per finished row while a benchmark runs, one JSON file with everything about it at the end.

A row is found again by its job, its settings and its backbone's weights: change one of them and it is made anew.
Ctrl-C loses one row at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

import tutorial_lib

CELLS = Path(__file__).parents[1] / "build" / "cells"  # not kept in the repository
RESULTS = Path(__file__).with_name("results")


def cell_of(key: dict) -> Path:
    """The file of one row."""
    return CELLS / f"{hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:16]}.json"


def row_of(key: dict, make: Callable[[], dict]) -> dict:
    """The stored row of ``key``, or that of ``make()``, which is stored."""
    cell = cell_of(key)
    if not cell.exists():
        keep(make() | {"cell": cell.stem})
    return json.loads(cell.read_text(encoding="utf-8"))


def keep(row: dict) -> None:
    """Write one finished row to its file."""
    CELLS.mkdir(parents=True, exist_ok=True)
    part = CELLS / f"{row['cell']}.part"
    part.write_text(json.dumps(row), encoding="utf-8")
    os.replace(part, part.with_suffix(".json"))


def restore(rows: Iterable[dict]) -> None:
    """Keep ``rows`` of a stored table where their files are missing: a partial run in a fresh clone loses none."""
    for row in rows:
        if not (CELLS / f"{row['cell']}.json").exists():
            keep(row)


def read(name: str) -> list[dict]:
    """The rows of ``benchmarks/results/NAME.json``, none where there is no such file."""
    stored = RESULTS / f"{name}.json"
    return json.loads(stored.read_text(encoding="utf-8"))["rows"] if stored.exists() else []


def write(name: str, what: str, settings: dict, seeds: Iterable[int], rows: list[dict], **more) -> None:
    """``benchmarks/results/NAME.json``: what, settings, seeds, versions, hash of the rows, and one line per row."""
    found = {"what": what, "settings": settings, "seeds": list(seeds), **more,
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0],
                          "project": tutorial_lib.__version__},
             "hash": hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]}
    head = json.dumps(found, indent=1, ensure_ascii=False)[:-2]
    body = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    part = RESULTS / f"{name}.part"
    part.write_text(f'{head},\n "rows": [\n  {body}\n ]\n}}\n', encoding="utf-8")
    os.replace(part, RESULTS / f"{name}.json")


def report(done: int, of: int, what: str) -> None:
    """One line on the way."""
    print(f"{time.strftime('%H:%M:%S')}  {done}/{of}  {what}", flush=True)
