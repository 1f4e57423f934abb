"""What chapter 04 says in numbers: the signatures of its broken formulas, computed here in another way."""

import math
from pathlib import Path

import nbformat
import pytest
from scipy.integrate import quad
from scipy.stats import chi2, expon, lognorm, norm

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "04_change_of_variables.ipynb"


@pytest.fixture(scope="module")
def printed():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    return "\n".join(o.text for c in cells if c.cell_type == "code" for o in c.outputs if o.output_type == "stream")


def test_a_folded_map_with_one_branch_keeps_half_of_the_mass(printed):
    one = quad(lambda y: norm.pdf(y**0.5) / (2 * y**0.5), 0, math.inf)[0]
    assert one == pytest.approx(0.5, abs=1e-6)
    assert 2 * norm.pdf(0.7**0.5) / (2 * 0.7**0.5) == pytest.approx(chi2.pdf(0.7, 1))
    assert f"one branch: integral {one:.3f}" in printed


def test_a_flipped_sign_of_log_det_costs_the_square_of_the_stretch(printed):
    for name, sign in (("divided", -1), ("multiplied", 1)):
        total = quad(lambda x, sign=sign: norm.pdf(x / 2) * 2.0**sign, -40, 40)[0]
        assert total == pytest.approx({"divided": 1, "multiplied": 4}[name])
        assert f"{name:10s} at 0: {norm.pdf(0) * 2.0**sign:.2f}   integral {total:.0f}" in printed


def test_the_derivative_at_the_wrong_place_has_another_integral(printed):
    for name, candidate in {"π(ln x) / g'(z) at z = ln x": lambda x: lognorm.pdf(x, 1),
                            "π(ln x) / g'(x), taken at x": lambda x: norm.pdf(math.log(x)) * math.exp(-x),
                            "π(ln x), no derivative": lambda x: norm.pdf(math.log(x)),
                            "π(ln x) · g'(z)": lambda x: norm.pdf(math.log(x)) * x}.items():
        total = quad(lambda z, f=candidate: f(math.exp(z)) * math.exp(z), -12, 12)[0]
        assert f"{name:28s} integral {total:.3f}" in printed


def test_a_falling_map_without_absolute_value_has_mass_minus_one(printed):
    assert f"without | |: integral {-quad(expon.pdf, 0, math.inf)[0]:+.3f}" in printed


def test_the_tool_card_has_the_modes_of_the_log_normal(printed):
    assert f"image of the most likely z: {math.exp(0):.2f}.   most likely x: {math.exp(-1):.2f}" in printed


def test_entropies_change_by_the_mean_log_stretch(printed):
    for name, base, mean_log in (("x = u²", 0.0, math.log(2) - 1), ("x = exp z", norm.entropy(), 0.0),
                                 ("x = −ln u", 0.0, 1.0)):
        assert f"{name:10s} H(z) {base:+.3f} + E ln|g'(z)| {mean_log:+.3f} = {base + mean_log:+.3f}" in printed
    assert lognorm.entropy(1) == pytest.approx(norm.entropy())


def test_every_histogram_but_the_one_that_the_text_discusses_agrees_within_three_standard_errors(printed):
    lines = [line for line in printed.splitlines() if "standard errors off" in line]
    off = {line: float(line.split(" standard errors")[0].split()[-1]) for line in lines}
    assert len(off) == 9
    assert [line[:18] for line, worst in off.items() if worst > 3] == ["x = u², the 10 000"]
    assert all("integral 1.000" in line for line in lines)
