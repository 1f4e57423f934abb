"""The checks of chapter 03: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

import answers03
import check_suite
import pytest
import torch

from tutorial_lib.checks.ch03 import chapter, throws

globals().update(check_suite.tests(chapter, answers03))


@pytest.mark.parametrize("seed", range(12))
def test_an_honest_count_passes_whatever_it_draws(seed):
    def other_draw(J, n):
        torch.manual_seed(1000 * seed + n % 97)
        return answers03.area_by_counting(J, n)

    verdict = chapter.exercises["area_by_counting"].examine(other_draw)
    assert verdict.ok, str(verdict)


def test_the_probes_of_the_count_have_both_signs_and_are_not_near_singular():
    dets = [float(torch.linalg.det(j)) for j in throws.probes()]
    assert min(dets) < 0 < max(dets) and all(1 < abs(d) < 12 for d in dets)
