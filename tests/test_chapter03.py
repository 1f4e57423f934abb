"""Chapter 03: the signatures of its break-it cells, and what its figures and prose rest on."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch

from tutorial_lib.checks.ch03.permutations import sign
from tutorial_lib.plots.determinant import before_and_after


def test_a_determinant_of_zero_sends_a_line_to_one_point():
    J, lost = torch.tensor([[1.0, 2.0], [0.5, 1.0]]), torch.tensor([2.0, -1.0])
    x = torch.tensor([0.3, 0.4]) + torch.linspace(-2, 2, 5)[:, None] * lost
    assert torch.allclose(x @ J.T, (x @ J.T)[:1].expand(5, 2), atol=1e-6)
    assert torch.linalg.svdvals(J)[1] < 1e-6
    with pytest.raises(torch.linalg.LinAlgError):
        torch.linalg.solve(J.double(), (x @ J.T).double().T)


MAPS = {  # (map, its pair of points with one image, region, area of the region, area of the image, share of det > 0)
    "squares": (lambda v: torch.stack([v[0] ** 2 - v[1] ** 2, 2 * v[0] * v[1]]), (-1.0, -1.0), "ring",
                3 / 4 * math.pi, 15 / 16 * math.pi, 1.0),
    "fold": (lambda v: torch.stack([v[0] ** 2, v[1]]), (-1.0, 1.0), "square", 4.0, 2.0, 0.5)}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_that_covers_its_image_twice_has_twice_the_integral_of_its_determinant(name):
    f, mirror, region, size, image, positive = MAPS[name]
    x = 2 * torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    x = x[(x.norm(dim=1) > 0.5) & (x.norm(dim=1) < 1)] if region == "ring" else x
    det = torch.linalg.det(torch.vmap(torch.func.jacrev(f))(x))
    total, error = size * det.abs().mean(), size * det.abs().std() / len(x) ** 0.5
    assert abs(float(total) - 2 * image) < 3 * float(error)
    assert float((det > 0).double().mean()) == pytest.approx(positive, abs=0.02)
    assert torch.equal(torch.vmap(f)(x), torch.vmap(f)(x * torch.tensor(mirror)))


def test_a_zero_block_must_be_exactly_zero():
    draw = torch.Generator().manual_seed(1)
    A, B, D = (torch.randn(3, 3, generator=draw).double() for _ in range(3))
    whole = torch.cat([torch.cat([A, torch.zeros(3, 3).double()], 1), torch.cat([B, D], 1)])
    blocks = torch.linalg.slogdet(A).logabsdet + torch.linalg.slogdet(D).logabsdet
    assert torch.allclose(torch.linalg.slogdet(whole).logabsdet, blocks, atol=1e-12)
    whole[:3, 3:] += 0.1 * torch.eye(3)
    assert abs(float(torch.linalg.slogdet(whole).logabsdet - blocks)) > 1e-3


@pytest.mark.parametrize("n, k", [(4, 2), (5, 2), (5, 3)])
def test_whoever_takes_an_entry_of_b_pays_with_a_zero(n, k):
    alive = 0
    for p in permutations(range(n)):
        zero, lower = any(i < k <= p[i] for i in range(n)), any(i >= k > p[i] for i in range(n))
        assert zero == lower  # both or neither
        alive += not zero
    assert alive == math.factorial(k) * math.factorial(n - k)


def test_the_sign_is_minus_one_to_the_power_of_tau():
    for n in (2, 3, 4):
        for p in permutations(range(n)):
            assert sign(p) == round(float(torch.linalg.det(torch.eye(n)[list(p)])))


def test_what_fits_into_float32():
    product = {f: float(torch.full((768,), f).prod()) for f in (0.9, 0.5, 2.0)}
    assert torch.finfo(torch.float32).tiny < product[0.9] < 1e-35
    assert product[0.5] == 0 and product[2.0] == math.inf
    assert float(torch.full((768,), 0.5).log().sum()) == pytest.approx(-768 * math.log(2), rel=1e-4)


def test_where_the_costs_cross():
    assert [n * math.factorial(n) > n**3 for n in (1, 2, 3, 4, 5, 6)] == [False] * 3 + [True] * 3
    assert 11 * math.factorial(11) < 1e9 < 12 * math.factorial(12)
    assert 76 < math.factorial(20) / 1e9 / (3600 * 24 * 365.25) < 78


def test_a_ring_of_the_pair_stands_where_both_points_land():
    panels = []
    for name, (f, mirror, *_) in MAPS.items():
        pair = torch.tensor([[0.6, 0.3], [0.6, 0.3]]) * torch.tensor([[1.0, 1.0], list(mirror)])
        panels.append((name, pair, torch.vmap(f)(pair), pair, torch.vmap(f)(pair)))
    for ax, (*_, rings) in zip(before_and_after(panels).axes[1::2], panels, strict=True):
        drawn = torch.tensor(ax.lines[0].get_xydata(), dtype=rings.dtype)
        assert torch.allclose(drawn, rings) and torch.equal(drawn[0], drawn[1])


def test_a_coupling_layer_is_undone_with_its_network_run_forward():
    draw = torch.Generator().manual_seed(2)
    x1, x2, weights = (torch.randn(3, 3, generator=draw, dtype=torch.float64) for _ in range(3))
    st = lambda v: ((v @ weights).tanh(), (v @ weights).relu())
    s, t = st(x1)
    z1, z2 = x1, x2 * s.exp() + t
    s, t = st(z1)
    assert torch.allclose((z2 - t) * (-s).exp(), x2, atol=1e-12)
