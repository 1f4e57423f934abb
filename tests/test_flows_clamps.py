"""The soft clamps are their formulas: values, bound, slope, and the trap of two that look alike."""

import math

import pytest
import torch

from tutorial_lib.flows import Atan0636Clamp, Atan0636RawClamp, AtanClamp, NoClamp, SigmoidClamp, TanhClamp

CLAMPS = [AtanClamp(3.0), Atan0636Clamp(3.0), Atan0636RawClamp(3.0), TanhClamp(2.0), TanhClamp(2.0, gain=0.1),
          SigmoidClamp(1.5), NoClamp()]


@pytest.mark.parametrize("clamp", CLAMPS, ids=str)
def test_clamp_is_odd_and_increasing_with_the_stated_slope_and_bound(clamp):
    s = torch.linspace(-6, 6, 101, dtype=torch.float64, requires_grad=True)
    c = clamp(s)
    slope = torch.autograd.grad(c.sum(), s)[0]
    torch.testing.assert_close(c, -clamp(-s))
    assert (slope > 0).all()
    assert float(slope[50]) == pytest.approx(clamp.slope, rel=1e-12)
    assert c.abs().max() < clamp.bound
    if math.isfinite(clamp.bound):
        assert float(clamp(torch.tensor(1e9, dtype=torch.float64))) == pytest.approx(clamp.bound, rel=1e-6)


@pytest.mark.parametrize(("s", "c"), [(0.5, 0.315104), (1.0, 0.613900), (3.0, 1.498540), (10.0, 2.440980)])
def test_released_differnet_clamp_has_its_check_values(s, c):
    assert float(Atan0636Clamp(3.0)(torch.tensor(s, dtype=torch.float64))) == pytest.approx(c, abs=5e-7)


def test_largest_factor_of_released_differnet_is_20():
    assert Atan0636Clamp(3.0).bound == pytest.approx(2.99708, abs=1e-5)
    assert math.exp(Atan0636Clamp(3.0).bound) == pytest.approx(20.03, abs=5e-3)


def test_clamp_trap_two_generations_differ_by_alpha_at_zero():
    published, later = Atan0636Clamp(3.0), Atan0636RawClamp(3.0)
    assert published.slope == pytest.approx(0.636)
    assert later.slope == pytest.approx(1.908)
    assert later.bound == published.bound                              # far out they agree, so it goes unnoticed
    s = torch.tensor(1.0, dtype=torch.float64)
    assert float(later(s) - published(s)) == pytest.approx(0.8846, abs=1e-4)


def test_paper_form_and_released_form_differ_by_a_thousandth():
    s = torch.linspace(-10, 10, 41, dtype=torch.float64)
    ratio = (Atan0636Clamp(3.0)(s) / AtanClamp(3.0)(s))[s != 0]
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.636 * math.pi / 2))
    assert float(1 - ratio[0]) == pytest.approx(9.7e-4, abs=1e-5)
