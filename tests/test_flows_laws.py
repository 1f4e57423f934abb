"""Every transform of the table obeys every law, over shapes, seeds and dtypes, with weights away from their start."""

import pytest
import torch
from flow_cases import CASES, condition, points
from hypothesis import given, settings
from hypothesis import strategies as st

from tutorial_lib.checks.laws import law_check

KINDS = [(name, kind) for name, case in CASES.items() for kind in case.shapes]
QUICK = settings(max_examples=8, deadline=None, derandomize=True)


@pytest.mark.parametrize(("name", "kind"), KINDS)
@QUICK
@given(channels=st.integers(2, 5), batch=st.integers(2, 4), side=st.sampled_from([2, 4]), seed=st.integers(0, 10_000))
def test_every_law_holds(name, kind, channels, batch, side, seed):
    case = CASES[name]
    x = points(kind, channels, batch, side, seed)
    report = law_check(case.build(channels, seed), x, condition(x, case.cond), rtol=1e-10, rtol32=1e-4)
    assert report.ok, f"\n{report}"
    assert len(report.held) == 7


@pytest.mark.parametrize(("name", "kind"), KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_device_of_the_input_are_kept(name, kind, dtype):
    case = CASES[name]
    transform = case.build(4, 0).to(dtype).eval()
    x = points(kind, 4, 3, 2, 0).to(dtype)
    for function in (transform, transform.inverse):
        x, log_det = function(x, condition(x, case.cond))
        assert x.dtype == log_det.dtype == dtype
        assert log_det.shape == (3,)


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_state_dict_carries_the_whole_map(name, kind):
    case = CASES[name]
    first, second = case.build(4, 0).eval(), case.build(4, 1).eval()
    x = points(kind, 4, 3, 2, 0).float()
    c = condition(x, case.cond)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x, c)[0], second(x, c)[0])
    assert torch.equal(first.inverse(first(x, c)[0], c)[0], second.inverse(second(x, c)[0], c)[0])


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case.cond])
def test_a_condition_changes_the_result(name):
    case = CASES[name]
    x = points(case.shapes[0], 4, 3, 2, 0).float()
    transform, c = case.build(4, 0), condition(x, case.cond)
    assert not torch.allclose(transform(x, c)[0], transform(x, c + 1)[0])
