"""The set-up script with pretended Pythons: which one it takes, what it says when there is none, when it calls pip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "dirname", "cksum", "sed", "rm", "mv", "mkdir", "cp", "cat")
PYTHON = """#!/bin/sh
case "$*" in
    *platform.python_version*) echo {version} ;;
    *"sys.exit(not"*) exit {unfit} ;;
    *"import ensurepip"*) exit {unable} ;;
    *"import sys, pip"*) exit 0 ;;
    *"print(sys.version)"*) echo "{version} (pretended)" ;;
    *"-m venv"*) echo venv >> calls; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *"-m pip"*) echo "$*" >> calls; exit $(cat pip_exit) ;;
esac
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="make and sh are for POSIX systems")


class Machine:
    """A folder with the set-up script, and a PATH with pretended Pythons only."""

    def __init__(self, folder: Path):
        self.project, self.bin = folder / "my course", folder / "bin"
        (self.project / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("scripts/setup.sh", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.project / name)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.pip_exits(0)

    def has(self, name: str, version: str, fit: bool = True, able: bool = True) -> None:
        file = self.bin / name
        file.write_text(PYTHON.format(version=version, unfit=int(not fit), unable=int(not able)))
        file.chmod(0o755)

    def pip_exits(self, code: int) -> None:
        (self.project / "pip_exit").write_text(str(code))

    def set_up(self, *args: str, **env: str) -> subprocess.CompletedProcess:
        return subprocess.run(["sh", "scripts/setup.sh", *args], cwd=self.project, text=True, capture_output=True,
                              env={"PATH": str(self.bin), **env}, check=False)

    def calls(self) -> list[str]:
        """What was asked of venv and pip since the last look."""
        log = self.project / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def test_a_fresh_folder_is_set_up_once(machine):
    machine.has("python3", "3.12.4")
    first = machine.set_up()
    assert first.returncode == 0 and "Set-up is complete" in first.stdout, first.stderr
    venv, pip = machine.calls()
    assert venv == "venv" and pip.endswith("-c constraints.txt -e .")
    assert machine.set_up().returncode == 0 and machine.calls() == []


def test_the_tests_need_more_and_more_is_enough_for_the_course(machine):
    machine.has("python3", "3.12.4")
    machine.set_up()
    machine.calls()
    machine.set_up("dev")
    assert [c.split(" -e ")[1] for c in machine.calls()] == [".[dev]"]
    machine.set_up()
    assert machine.calls() == []


def test_an_interrupted_set_up_is_taken_up_again(machine):
    machine.has("python3", "3.12.4")
    machine.pip_exits(1)
    failed = machine.set_up()
    assert failed.returncode == 1 and "run the same command again" in failed.stderr
    machine.calls()
    machine.pip_exits(0)
    assert machine.set_up().returncode == 0 and len(machine.calls()) == 1


def test_a_failed_update_does_not_leave_the_old_set_up_as_complete(machine):
    machine.has("python3", "3.12.4")
    machine.set_up()
    pins = machine.project / "constraints.txt"
    old = pins.read_text()
    pins.write_text(old + "another==1.0\n")
    machine.pip_exits(1)
    assert machine.set_up().returncode == 1
    machine.calls()
    pins.write_text(old)      # back to what was complete once, but half of the packages have changed since
    assert machine.set_up().returncode == 1 and machine.calls(), "the second run did not even try"


def test_a_folder_that_was_moved_is_set_up_again(machine):
    machine.has("python3", "3.12.4")
    machine.set_up()
    machine.calls()
    machine.project = machine.project.rename(machine.project.with_name("moved here"))
    machine.set_up()
    assert len(machine.calls()) == 1


def test_an_old_default_python_is_passed_over_for_a_newer_one(machine):
    machine.has("python3", "3.9.2", fit=False)
    machine.has("python3.12", "3.12.1")
    assert "pretended" in (machine.set_up().stdout + (machine.project / ".venv" / "complete").read_text())


@pytest.mark.parametrize(("pythons", "said"), [
    ({}, ["3.11, 3.12 or 3.13", "no python3 at all"]),
    ({"python3": ("3.9.2", False, True)}, ["3.11, 3.12 or 3.13", "python3=3.9.2"]),
    ({"python3": ("3.14.0", False, True)}, ["python3=3.14.0", "PYTHON="]),
    ({"python3": ("3.11.2", True, False)}, ["venv module is missing", "apt-get install python3-venv"]),
], ids=["none", "too old", "too new", "no venv"])
def test_without_a_suitable_python_a_sentence_says_what_to_do(machine, pythons, said):
    for name, (version, fit, able) in pythons.items():
        machine.has(name, version, fit, able)
    run = machine.set_up()
    assert run.returncode == 1 and machine.calls() == [] and not (machine.project / ".venv").exists()
    assert all(part in run.stderr for part in said), run.stderr


def test_a_named_python_that_does_not_fit_is_not_replaced_by_another(machine):
    machine.has("python3", "3.12.4")
    machine.has("python3.8", "3.8.1", fit=False)
    run = machine.set_up(PYTHON="python3.8")
    assert run.returncode == 1 and "python3.8=3.8.1" in run.stderr and machine.calls() == []


def test_settings_of_other_pythons_do_not_leak_in(machine):
    machine.has("python3", "3.12.4")
    with (machine.bin / "python3").open("a") as file:
        file.write('[ -z "$PYTHONPATH$PYTHONHOME$PIP_TARGET" ] || echo leaked >> calls\n')
    machine.set_up(**dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PIP_TARGET"), os.sep))
    assert "leaked" not in machine.calls()
