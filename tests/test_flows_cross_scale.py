"""Coupling of several maps at once: laws on the flattened tuple, who sees whom, and the released inverse's mistake."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib import flows
from tutorial_lib.checks.laws import law_check
from tutorial_lib.flows import (
    AtanClamp,
    CrossScaleCoupling,
    CrossScaleNet,
    EachScale,
    Flattened,
    cross_scale,
    enlarged_conv,
)
from tutorial_lib.flows.cross_scale_coupling import unstretch
from tutorial_lib.flows.enlarged_conv import by_window_places, enlarged

SHAPES = ((2, 4, 4), (2, 2, 2), (2, 1, 1))  # 42 numbers an image


def moved(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module in float64 with weights away from where they start."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.double().parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=draw, dtype=p.dtype))
    return module


def coupling(channels: int = 2, hidden: int = 3, seed: int = 0, **numbers) -> CrossScaleCoupling:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return moved(CrossScaleCoupling(channels, cross_scale(hidden, **numbers), AtanClamp(3.0)), seed)


def maps(shapes=SHAPES, batch: int = 2, seed: int = 1) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, *shape, generator=draw, dtype=torch.float64) for shape in shapes)


# -- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shapes", "numbers"), [
    (SHAPES, {}), (SHAPES, {"exchange": False}), (SHAPES, {"kernel": 5, "gammas": "network"}),
    (((3, 2, 4), (3, 1, 2)), {"scales": 2}), (((2, 3, 3),), {"scales": 1})],
    ids=["exchange", "no exchange", "one gamma, kernel 5", "two scales, odd channels, oblong", "one scale"])
def test_every_law_holds_on_the_flattened_tuple(shapes, numbers):
    flow = Flattened(coupling(shapes[0][0], **numbers), shapes)
    report = law_check(flow, Flattened.join(maps(shapes)))
    assert report.ok, str(report)
    assert len(report.held) == 7


def test_each_scale_by_itself_obeys_the_laws_and_its_log_dets_add():
    each = EachScale(*(flows.Whitening(2).fit(x * (k + 2) + k) for k, x in enumerate(maps(batch=9))))
    report = law_check(Flattened(each, SHAPES), Flattened.join(maps()))
    assert report.ok, str(report)
    alone = [part(x)[1] for part, x in zip(each.double().transforms, maps(), strict=True)]
    torch.testing.assert_close(each(maps())[1], sum(alone))


def test_the_density_of_a_tuple_is_that_of_the_flattened_vector():
    chain = flows.Chain(EachScale(*(flows.Permutation(2, seed=3, draw=i) for i in range(3))), coupling())
    several, one = flows.Flow(chain, SHAPES), flows.Flow(Flattened(chain, SHAPES), (42,))
    x = maps()
    torch.testing.assert_close(several.log_prob(x), one.log_prob(Flattened.join(x)))
    drawn = several.sample(5, generator=torch.Generator().manual_seed(0))
    assert [tuple(part.shape) for part in drawn] == [(5, *shape) for shape in SHAPES]
    z = several(drawn)[0]
    again = torch.randn(5, *SHAPES[0], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(z[0], again)
    torch.testing.assert_close(several.sample(2, temperature=0.0)[0][0], several.sample(2, temperature=0.0)[0][1])


def test_flattened_cuts_and_joins_without_moving_a_number():
    flow, x = Flattened(EachScale(), SHAPES), torch.arange(84.0).view(2, 42)
    parts = flow.split(x)
    assert [tuple(part.shape) for part in parts] == [(2, *shape) for shape in SHAPES]
    assert parts[1][0].flatten().tolist() == list(range(32, 40))
    assert torch.equal(flow.join(parts), x)


# -- who sees whom ----------------------------------------------------------------------------------------------------


def reached(function, x: tuple[torch.Tensor, ...], scale: int, channel: int) -> list[bool]:
    """Which scales of the output move, by a single bit at least, when one number of one scale of the input does."""
    before = function(x)
    pushed = [part.clone() for part in x]
    pushed[scale][0, channel, 0, 0] += 1
    after = function(tuple(pushed))
    return [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]


def test_only_neighbours_talk_inside_one_network():
    shapes = ((2, 8, 8), (2, 4, 4), (2, 2, 2), (2, 1, 1))
    net = moved(CrossScaleNet(2, 4, 3, scales=4))
    assert [reached(net, maps(shapes), k, 0) for k in range(4)] == [
        [True, True, False, False], [True, True, True, False], [False, True, True, True], [False, False, True, True]]
    alone = moved(CrossScaleNet(2, 4, 3, scales=4, exchange=False))
    assert [reached(alone, maps(shapes), k, 0) for k in range(4)] == [[i == k for i in range(4)] for k in range(4)]


def test_the_coarsest_scale_reaches_the_finest_only_through_both_networks_of_a_block():
    block = coupling()
    assert reached(lambda x: block(x)[0], maps(), 2, 1) == [True, True, True]  # second half: by a, then by b
    assert reached(lambda x: block(x)[0], maps(), 2, 0) == [False, True, True]  # first half: by b alone
    apart = coupling(exchange=False)
    assert reached(lambda x: apart(x)[0], maps(), 0, 1) == [True, False, False]


def test_first_halves_change_by_the_second_ones_and_then_the_other_way_round():
    block, x = coupling(4), maps(((4, 4, 4), (4, 2, 2), (4, 1, 1)))
    z, log_det = block(x)
    first, second = zip(*(part.chunk(2, dim=1) for part in x), strict=True)
    total = 0
    s, t = zip(*(out.chunk(2, dim=1) for out in block.a(second)), strict=True)
    y1 = [u * block.clamp(a).exp() + b for u, a, b in zip(first, s, t, strict=True)]
    total += sum(block.clamp(a).sum((1, 2, 3)) for a in s)
    s, t = zip(*(out.chunk(2, dim=1) for out in block.b(tuple(y1))), strict=True)
    y2 = [u * block.clamp(a).exp() + b for u, a, b in zip(second, s, t, strict=True)]
    total += sum(block.clamp(a).sum((1, 2, 3)) for a in s)
    for found, u, v in zip(z, y1, y2, strict=True):
        torch.testing.assert_close(found, torch.cat([u, v], 1))
    torch.testing.assert_close(log_det, total)


@pytest.mark.parametrize(("kernel", "shape"), [(3, (2, 3)), (5, (3, 2)), (1, (2, 2)), (5, (1, 1))])
def test_a_convolution_of_an_enlarged_map_is_the_same_on_the_small_one(kernel, shape):
    conv = moved(torch.nn.Conv2d(3, 4, kernel, padding=kernel // 2))
    found = []
    for way in (by_window_places, lambda h, conv: conv(enlarged(h))):
        h = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
        out = way(h, conv)
        found.append([out, *torch.autograd.grad(out.square().sum(), [h, conv.weight, conv.bias])])
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_many_channels_are_enlarged_after_the_convolution_and_few_before(monkeypatch):
    used = []
    monkeypatch.setattr(enlarged_conv, "by_window_places", lambda h, conv: used.append(h.shape[1]) or h)
    for channels in (enlarged_conv.MANY - 1, enlarged_conv.MANY):
        enlarged_conv.conv_of_enlarged(torch.zeros(1, channels, 1, 1), torch.nn.Conv2d(channels, 1, 1))
    assert used == [enlarged_conv.MANY]


# -- the start, and the released inverse ------------------------------------------------------------------------------


def test_it_starts_as_the_identity_and_there_only_the_gammas_have_a_gradient():
    block, x = CrossScaleCoupling(2, cross_scale(3), AtanClamp(3.0)).double(), maps()
    z, log_det = block(x)
    assert all(torch.equal(a, b) for a, b in zip(z, x, strict=True))
    assert torch.equal(log_det, torch.zeros(2).double())
    (sum(part.square().sum() for part in z) / 2 - log_det.sum()).backward()
    assert {name: bool(p.grad.any()) for name, p in block.named_parameters()} == {
        name: name.endswith("gamma") for name, _ in block.named_parameters()}


class ReleasedInverse(CrossScaleCoupling):
    """The inverse of the released code: the first half is undone with the t of the network of the second one."""

    def inverse(self, z, cond=None):
        y1, y2 = self._halves(z)
        s_b, t_b = self._scale_shift(self.b, y1, self.split[1])
        x2 = unstretch(y2, s_b, t_b)
        s_a, _ = self._scale_shift(self.a, x2, self.split[0])
        x1 = unstretch(y1, s_a, t_b)
        return tuple(torch.cat(pair, 1) for pair in zip(x1, x2, strict=True)), sum(
            s.flatten(1).sum(1) for s in (*s_a, *s_b))


@pytest.mark.parametrize(("gamma", "holds"), [(0.0, True), (0.5, False)])
def test_the_released_inverse_holds_only_while_the_gammas_are_zero(gamma, holds):
    ours = CrossScaleCoupling(4, cross_scale(8, gamma=gamma), AtanClamp(3.0)).double()
    theirs = ReleasedInverse(4, cross_scale(8, gamma=gamma), AtanClamp(3.0)).double()
    theirs.load_state_dict(ours.state_dict())
    x = maps(((4, 8, 8), (4, 4, 4), (4, 2, 2)))
    z, log_det = ours(x)
    back, back_log_det = theirs.inverse(z)
    error = max(float((a - b).detach().abs().max()) for a, b in zip(back, x, strict=True))
    assert (error < 1e-12) if holds else (error > 0.1)
    assert torch.allclose(back_log_det, -log_det) is holds  # and its log_det is not negated
    for a, b in zip(ours.inverse(z)[0], x, strict=True):
        torch.testing.assert_close(a, b)


# -- what cannot work -------------------------------------------------------------------------------------------------


def test_what_does_not_fit_gets_a_sentence():
    block = coupling()
    x = maps()
    for wrong, words in ((x[0], "received a Tensor. Expected a tuple of maps, the largest first"), (x[:2], "3 maps"),
                         ((x[0], x[1][:, :1], x[2]), r"\(2, 1, 2, 2\) at scale 1. Expected \(2, 2, h, w\)"),
                         ((x[0], x[1], x[2][:1]), r"\(1, 2, 1, 1\) at scale 2"),
                         ((x[0], x[0], x[1]), "a map of 4 x 4 and then one of 4 x 4. Expected half")):
        with pytest.raises(ValueError, match=words):
            block(wrong)
    with pytest.raises(ValueError, match=r"kernel=2.*Use an odd one"):
        CrossScaleNet(2, 2, 3, kernel=2)
    with pytest.raises(ValueError, match="at least 2 channels"):
        CrossScaleCoupling(1, cross_scale(3), AtanClamp(3.0))
    with pytest.raises(ValueError, match=r"subnet returned \(2, 1, 4, 4\) at scale 0. Expected \(2, 2, 4, 4\)"):
        CrossScaleCoupling(2, lambda c_in, c_out: torch.nn.Identity(), AtanClamp(3.0))(x)
    with pytest.raises(ValueError, match="Expected a tuple of 1 maps"):
        EachScale(flows.Permutation(2, 0))(x)
