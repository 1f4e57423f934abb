"""What every test relies on: no display, one thread, no one's progress file, no network of any kind."""

import os
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"                 # before anything imports matplotlib
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")            # two workers on two cores; one thread each

import pytest
from hypothesis import HealthCheck, settings

import tutorial_lib  # noqa: F401  first: repairs a torchvision that would not load

ROOT = Path(__file__).resolve().parents[1]

# The same examples on every machine and every run: a failure here is a failure there.
settings.register_profile("course", deadline=None, derandomize=True, max_examples=25, database=None,
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.load_profile("course")


@pytest.fixture(autouse=True)
def own_progress_file(tmp_path_factory, monkeypatch):
    """Exercise checks run by a test leave the reader's progress alone."""
    monkeypatch.setenv("FLOW_COURSE_PROGRESS", str(tmp_path_factory.mktemp("progress") / "progress.json"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def mtd_dir() -> Path:
    """The folder of real photographs (magnetic tiles, MVTec AD layout), or a skip that says how to provide it."""
    named = os.environ.get("MTD_DIR")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "mtd"
    if not (folder / "train" / "good").is_dir():
        pytest.skip(f"no real photographs at {folder.name}: set MTD_DIR to a folder with train/good in it")
    return folder
