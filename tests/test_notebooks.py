"""Every notebook prints again what is stored in it, exercises fail kindly while blank, and pages can be read."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import nbval_trained
import pytest

import build
import running

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS, SOLUTIONS, EXERCISES = (
    sorted((ROOT / folder).glob("[0-9][0-9]_*.ipynb")) for folder in ("notebooks", "solutions", "exercises"))
MAX_IGNORED = 2          # cells of a notebook whose output is not compared
MAX_TRAINED = 10         # cells of a notebook whose numbers are compared nearly, see nbval_trained.py
MAX_BYTES = 1_500_000
MAX_CODE_LINES = 25
CELL_TIMEOUT_S = 120
CHECK = re.compile(r"^\s*(?:checks\.)?ch\d\d\.check\(\s*[\"'](\w+)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=[p.relative_to(ROOT).as_posix() for p in paths])


def code_cells(nb):
    return [c for c in nb.cells if c.cell_type == "code"]


def ignored(cell) -> bool:
    """Whether nbval is told to leave this cell's output, error or run alone."""
    tags = cell.metadata.get("tags", [])
    marked = re.search(r"#\s*(PYTEST_VALIDATE_IGNORE_OUTPUT|NBVAL_(?!CHECK_OUTPUT))", cell.source)
    return bool(marked) or any(t == "raises-exception" or (t.startswith("nbval-") and t != "nbval-check-output")
                               for t in tags)


@pytest.mark.slow
@named(CHAPTERS + SOLUTIONS)
def test_runs_again_to_the_stored_outputs(path, tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "nbval_trained.py"), "--nbval", "--nbval-current-env",
               "--nbval-cell-timeout", str(CELL_TIMEOUT_S),
               "--nbval-sanitize-with", str(ROOT / "tests" / "nbval_sanitize.cfg"),
               "-p", "no:cacheprovider", "-o", "addopts=", "--color=no", "-q", str(path)]
    run = subprocess.run(command, cwd=ROOT, env=running.kernel_environment(tmp_path), capture_output=True, text=True,
                         check=False)
    assert run.returncode == 0, f"\n{run.stdout[-6000:]}\n{run.stderr[-1000:]}"


@pytest.mark.slow
@named(EXERCISES)
def test_blank_exercise_runs_to_its_end_and_says_kindly_what_is_blank(path):
    nb = nbformat.read(path, as_version=4)
    running.execute(nb, path.parent, path.name)      # raises when any cell does
    said = {name: "".join(o.get("text", "") for o in cell.outputs)
            for cell in code_cells(nb) for name in CHECK.findall(cell.source)}
    assert said, "no check cell found"
    unkind = {name: text for name, text in said.items() if not text.startswith("○")}
    assert not unkind, f"these checks of blank code do not say that it is blank: {unkind}"


@named(SOLUTIONS)
def test_solution_passes_every_check(path):
    nb = nbformat.read(path, as_version=4)
    said = {name: "".join(o.get("text", "") for o in cell.outputs)
            for cell in code_cells(nb) for name in CHECK.findall(cell.source)}
    assert said, "no check cell found"
    failed = {name: text for name, text in said.items() if not text.startswith("✓")}
    assert not failed


@named(CHAPTERS + SOLUTIONS + EXERCISES)
def test_stored_notebook_is_fit_to_be_read(path):
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    cells = code_cells(nb)
    outputs = [(number, o) for number, c in enumerate(nb.cells, 1) for o in c.get("outputs", ())]
    assert path.stat().st_size <= MAX_BYTES
    assert [f"cell {n} {why}" for n, o in outputs if (why := running.unstorable(o))] == []
    assert [c.source[:60] for c in cells if len(c.source.splitlines()) > MAX_CODE_LINES] == [], "code cells too long"
    pictures = [(n, o) for n, o in outputs if "image/png" in o.get("data", {})]
    assert [n for n, o in pictures if len(o.metadata.get("image/png", {}).get("alt", "")) < 20] == [], \
        "pictures without a description: display figures with plots.show(fig, caption)"
    assert sum(map(ignored, cells)) <= MAX_IGNORED, "too many cells whose output is not compared"
    trained = sum(nbval_trained.TAG in cell.metadata.get("tags", []) for cell in cells)
    assert trained <= MAX_TRAINED, "too many cells whose numbers are compared nearly"


@named(CHAPTERS + SOLUTIONS + EXERCISES + sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("course/*.md"))
       + sorted(ROOT.glob("notebooks/*.md")))
def test_links_to_files_of_the_project_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(c.source for c in nbformat.reads(text, as_version=4).cells if c.cell_type == "markdown")
    local = [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []


@named(SOLUTIONS)
def test_solution_belongs_to_a_chapter(path):
    assert [p for p in CHAPTERS if p.name[:3] == path.name[:3]]


def test_every_built_file_says_what_its_source_says():
    assert build.check(ROOT, []) == []
