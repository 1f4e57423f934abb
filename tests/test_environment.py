"""pyproject.toml, environment.yml and constraints.txt say the same; what is installed keeps within the bounds."""

import re
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch"}      # conda-forge's name: the name on PyPI, where they differ


def table(lines):
    """Name to version bounds, names as PyPI spells them."""
    found = {}
    for line in lines:
        need = Requirement(line)
        found[canonicalize_name(CONDA_NAMES.get(need.name, need.name))] = need.specifier
    return found


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BOUNDS = table(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])
PINS = table(line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]


def test_environment_yml_has_the_bounds_of_pyproject():
    from_pip = next(d["pip"] for d in CONDA if isinstance(d, dict))
    lines = [d for d in CONDA if isinstance(d, str)] + [d for d in from_pip if not d.startswith("-e")]
    conda = table(lines)
    assert conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    conda.pop("pip")
    assert conda == BOUNDS


def test_environment_yml_installs_this_project():
    assert "-e ." in next(d["pip"] for d in CONDA if isinstance(d, dict))


def test_the_timm_extra_asks_for_the_timm_that_the_tests_run_with():
    extra = table(PROJECT["optional-dependencies"]["timm"])
    assert extra == {"timm": BOUNDS["timm"]}


def test_every_dependency_is_pinned_within_its_bounds():
    missing = BOUNDS.keys() - PINS.keys()
    assert not missing, f"constraints.txt lacks {sorted(missing)}"
    outside = {n: str(PINS[n]) for n in BOUNDS if not BOUNDS[n].contains(_pinned(n))}
    assert not outside, f"constraints.txt pins outside pyproject's bounds: {outside}"


def test_constraints_pin_one_exact_public_version_each():
    for name, pin in PINS.items():
        assert [s.operator for s in pin] == ["=="], f"{name}: '{pin}' is not one exact version"
        assert _pinned(name).local is None, f"{name}: '{pin}' names a local build that no public index has"


def test_constraints_are_sorted():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    names = [line.split("==")[0].lower() for line in lines if not line.startswith("#")]
    assert names == sorted(names)


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_installed_version_is_within_bounds(name):
    assert BOUNDS[name].contains(Version(version(name)), prereleases=True)


@pytest.mark.parametrize("python", ["3.11.0", "3.13.9"])
def test_every_pin_installs_on_every_supported_python(python):
    """Debian 12 ships 3.11.2, and some packages drop a Python between two of its patch releases."""
    too_new = {d.name: needs for d in distributions() if (needs := d.metadata.get("Requires-Python"))
               and canonicalize_name(d.name) in PINS and not SpecifierSet(needs).contains(python)}
    assert not too_new, f"these pins need another Python than {python}: {too_new}"


def test_ruff_is_not_told_to_look_for_another_python_than_the_oldest_supported():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    oldest = re.search(r">=3\.(\d+)", PROJECT["requires-python"])[1]
    assert settings["tool"]["ruff"]["target-version"] == f"py3{oldest}"


def test_library_and_project_name_the_same_version():
    import tutorial_lib

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert tutorial_lib.__version__ == PROJECT["version"] == str(cited["version"])


def test_readme_names_the_supported_python_versions():
    low, high = (int(n) for n in re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    text = (ROOT / "README.md").read_text()
    assert f"3.{low}" in text and f"3.{high - 1}" in text


def _pinned(name: str) -> Version:
    return Version(next(iter(PINS[name])).version)
