"""The law check finds every typical mistake, names its own cause, and never crashes on what it is given."""

import copy
import warnings

import pytest
import torch
from flow_cases import CASES, points

from tutorial_lib import flows
from tutorial_lib.checks.laws import LawReport, law_check
from tutorial_lib.flows.base import standard_normal_log_prob

RIGHT = CASES["two-sided"].build(6, 0).double()
ONE_SIDED = CASES["coupling"].build(6, 0).double()
CONV = CASES["coupling conv"].build(4, 0).double()
LINEAR = CASES["invertible 1x1"].build(4, 0).double()
PERMUTATION = flows.Permutation(6, 3)
X, MAPS = points("vector", 6, 5, 2, 0), points("map", 4, 3, 4, 0)


def like(module, x):
    """The module in the dtype of ``x``, so that only the planted mistake can fail."""
    return copy.deepcopy(module).to(x.dtype)


def log_det_as(change, module=RIGHT):
    """forward and inverse of ``module`` with another forward log_det: ``change(log_det, x, z)``."""
    def forward(x):
        z, log_det = like(module, x)(x)
        return z, change(log_det, x, z)

    return forward, lambda z: like(module, z).inverse(z)


def inverse_as(change, module=RIGHT):
    """forward of ``module`` with another inverse: ``change(module, z)``."""
    return lambda x: like(module, x)(x), lambda z: change(like(module, z), z)


class WrongOrder(flows.Chain):
    def inverse(self, z, cond=None):
        total = 0
        for transform in self.transforms:
            z, log_det = transform.inverse(z)
            total = total + log_det
        return z, total


class WithDropout(flows.ActNorm):
    def forward(self, x, cond=None):
        return torch.nn.functional.dropout(x, 0.5, training=True), torch.zeros_like(x[:, 0])


def clamp_left_out(module, z):
    z1, z2 = z.chunk(2, 1)
    s, t = module.scale_shift.net(z1).chunk(2, 1)
    return torch.cat([z1, (z2 - t) * (-s).exp()], 1), -module.scale_shift.clamp(s).sum(1)


def one_half_only(log_det, x, z):
    module = like(RIGHT, x)
    return module.b(z[:, :3], None)[0].sum(1)


def in_place(x):
    x[:, 0] *= 2
    return x, torch.full_like(x[:, 0], 0.6931)


def steep(alpha, shift):
    """A coupling whose scales reach exp(alpha): the larger, the more digits the round trip loses."""
    def forward(x):
        s = alpha * torch.tanh(5 * x[:, :3])
        return torch.cat([x[:, :3], x[:, 3:] * s.exp() + shift * x[:, :3]], 1), s.sum(1)

    def inverse(z):
        s = alpha * torch.tanh(5 * z[:, :3])
        return torch.cat([z[:, :3], (z[:, 3:] - shift * z[:, :3]) * (-s).exp()], 1), -s.sum(1)

    return forward, inverse


WEIGHT = torch.eye(6)

WRONG = {  # name: (transform, points, law that breaks, words of the cause)
    "sum over the batch": (log_det_as(lambda d, x, z: d.sum()), X, "log_det = ", "summed over the batch as well; give"),
    "mean over the batch": (log_det_as(lambda d, x, z: d.mean()), X, "log_det = ", "averaged over the batch; give"),
    "sum repeated": (log_det_as(lambda d, x, z: d.sum().expand_as(d)), X, "log_det = ", "as well, then repeated"),
    "mean repeated": (log_det_as(lambda d, x, z: d.mean().expand_as(d)), X, "log_det = ", "averaged over the batch, t"),
    "first row for all": (log_det_as(lambda d, x, z: d[:1].expand_as(d)), X, "log_det = ", "first row alone"),
    "kept axis": (log_det_as(lambda d, x, z: d[:, None]), X, "log_det = ", "the numbers are right once summed"),
    "not summed": (log_det_as(lambda d, x, z: d[:, None] * x), X, "log_det = ", "the numbers differ too once summed"),
    "wrong axis": (log_det_as(lambda d, x, z: d.new_zeros(6)), X, "log_det = ", "summed over the wrong axis"),
    "flipped": (log_det_as(lambda d, x, z: -d), X, "log_det = ", "sign is flipped"),
    "zero": (log_det_as(lambda d, x, z: 0 * d), X, "log_det = ", "log_det is missing"),
    "mean over entries": (log_det_as(lambda d, x, z: d / 6), X, "log_det = ", "a mean over all 6 entries"),
    "mean over changed": (log_det_as(lambda d, x, z: d / 3, ONE_SIDED), X, "log_det = ", "over the 3 changed entries"),
    "not a logarithm": (log_det_as(lambda d, x, z: d.exp()), X, "log_det = ", "the determinant itself"),
    "log2": (log_det_as(lambda d, x, z: d / 0.6931471805599453), X, "log_det = ", "in bits"),
    "log10": (log_det_as(lambda d, x, z: d / 2.302585092994046), X, "log_det = ", "log10"),
    "twice": (log_det_as(lambda d, x, z: 2 * d), X, "log_det = ", "counted twice"),
    "log_prob": (log_det_as(lambda d, x, z: d + standard_normal_log_prob(z)), X, "log_det = ", "that is log_prob"),
    "one half": (log_det_as(one_half_only), X, "log_det = ", "only the second half is counted"),
    "constant forgotten": (log_det_as(lambda d, x, z: d - 1.5), X, "log_det = ", "off by the same -1.5"),
    "unclamped": (log_det_as(lambda d, x, z: d ** 3), X, "log_det = ", "not counted, or is counted with other values"),
    "no H W": (log_det_as(lambda d, x, z: d / 8, LINEAR), MAPS, "log_det = ", "the factor H·W = 8 is missing"),
    "H W twice": (log_det_as(lambda d, x, z: d * 8, LINEAR), MAPS, "log_det = ", "H·W = 8 is counted twice"),
    "conv mean": (log_det_as(lambda d, x, z: d / 16, CONV), MAPS, "log_det = ", "over the 16 changed entries"),
    "inverse not negated": (inverse_as(lambda m, z: (m.inverse(z)[0], -m.inverse(z)[1])), X, "minus the forward",
                            "sign is flipped"),
    "inverse log_det zero": (inverse_as(lambda m, z: (m.inverse(z)[0], 0 * m.inverse(z)[1])), X, "minus the forward",
                             "log_det is missing"),
    "identity inverse": (inverse_as(lambda m, z: (z, m.inverse(z)[1])), X, "(forward(x)) = x", "its input unchanged"),
    "forward again": (inverse_as(lambda m, z: (m(z)[0], m.inverse(z)[1])), X, "(forward(x)) = x", "a second time"),
    "clamp left out": (inverse_as(clamp_left_out, ONE_SIDED), X, "(forward(x)) = x", "these do not: order of sub"),
    "permutation not inverted": ((lambda x: PERMUTATION(x), lambda z: PERMUTATION.inverse(z.flip(1))), X,
                                 "(forward(x)) = x", "wrong order of channels"),
    "all wrong": (inverse_as(lambda m, z: (m.inverse(z + 1)[0], m.inverse(z)[1])), X, "(forward(x)) = x",
                  "does not undo forward"),
    "same order": (WrongOrder(*CASES["chain of six"].build(6, 0)), X, "(forward(x)) = x", "undone in the same order"),
    "inverse shape": ((lambda x: RIGHT(x), lambda z: (z.view(5, 2, 3), z[:, 0])), X, "shape of x back", "(5, 2, 3)"),
    "float32 lost": (steep(9, 30), X, "in float32", "the formula is right (float64 passes)"),
    "float64 lost": (steep(13, 1e4), X, "(forward(x)) = x", "digits are lost even in float64"),
    "batch norm": (lambda x: (x / x.std(), -6 * x.std().log().expand(len(x))), X, "rows do not influence",
                   "statistic over the batch"),
    "dropout": (WithDropout(6), X, "same input", "random numbers inside"),
    "collapse": (lambda x: (x[:, :1].expand_as(x) + 0, x.sum(1)), X, "dz/dx is invertible", "determinant is 0"),
    "detached": (lambda x: (x.detach() * 2, x[:, 0] * 0 + 4.1589), X, "autograd can follow", "cuts the graph"),
    "in place": (in_place, X, "the input stays", "changed in place"),
    "float32 weights": (lambda x: (x @ WEIGHT, 0 * x[:, 0]), X, "it runs", "another dtype than the input"),
    "float32 constant": (lambda x: (2 * x, torch.zeros(len(x))), X, "dtype of the input", "log_det is torch.float32"),
    "nan": (lambda x: ((-x.abs()).sqrt() + x, x[:, 0]), X, "everything is finite", "NaN or infinity"),
    "one value": (lambda x: x, X, "returns a pair", "one Tensor"),
    "three values": (lambda x: (x, x, x), X, "returns a pair", "3 values"),
    "none": (lambda x: None, X, "returns a pair", "one NoneType"),
    "number": (lambda x: (x, 0.0), X, "returns a pair", "log_det is a float"),
    "values lost": (lambda x: (x[:, :5], x[:, 0]), X, "as many values", "(5, 5)"),
    "rows lost": (lambda x: (x[:4], x[:4, 0]), X, "as many values", "(4, 6)"),
    "exception": (lambda x: 1 / 0, X, "it runs", "ZeroDivisionError"),
    "wrong arguments": (lambda: None, X, "it runs", "TypeError"),
    "blank": (flows.Transform(), X, "it runs", "nothing written yet"),
    "squeezed row": (lambda x: (x.squeeze().view(-1, 6) if len(x) > 1 else x.squeeze(), 0 * x[:, 0]), X,
                     "as many values", "(6,)"),
    "module without inverse calls a string": (("forward", "inverse"), X, "it runs", "not callable"),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_mistake_breaks_its_law_and_names_its_own_cause(name):
    transform, x, law, cause = WRONG[name]
    report = law_check(transform, x)
    assert not report.ok
    assert any(law in b.law and cause in b.cause for b in report.broken), f"\n{report}"
    assert len(report.broken) == 1, f"one mistake, one finding\n{report}"
    assert str(report).startswith("✗ ") and "Likely cause: " in str(report)


def test_causes_are_told_apart():
    words = [cause for _, _, _, cause in WRONG.values()]
    same = {w for w in words if words.count(w) > 1}
    assert same == {"sign is flipped", "log_det is missing"}                           # forward and inverse


@pytest.mark.parametrize("transform", [RIGHT, (RIGHT, RIGHT.inverse)], ids=["module", "pair of functions"])
def test_a_right_transform_passes_whatever_its_dress(transform):
    if isinstance(transform, tuple):
        transform = (lambda x: like(RIGHT, x)(x), lambda z: like(RIGHT, z).inverse(z))
    report = law_check(transform, X)
    assert report.ok and len(report.held) == 7, str(report)


def test_forward_alone_is_judged_without_the_laws_of_the_inverse():
    report = law_check(lambda x: (x * 2, torch.full_like(x[:, 0], 6 * 0.6931471805599453)), X)
    assert report.ok and len(report.held) == 3, str(report)


def test_the_check_leaves_weights_mode_points_and_random_state_alone():
    transform = CASES["chain of six"].build(6, 0).train()
    state, x = copy.deepcopy(transform.state_dict()), X.clone()
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    law_check(transform, x)
    law_check(lambda x: (x + 0 * torch.rand_like(x), torch.zeros_like(x[:, 0])), x)
    assert torch.equal(torch.rand(2), expected)
    assert transform.training and next(transform.parameters()).dtype == torch.float32
    law_check(in_place, x)
    assert torch.equal(x, X)
    assert all(torch.equal(a, b) for a, b in zip(state.values(), transform.state_dict().values(), strict=True))


def test_the_check_works_under_no_grad_and_warns_of_nothing():
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert law_check(RIGHT, X).ok


def test_modules_are_judged_in_eval_mode():
    def with_dropout(c_in, c_out):
        return torch.nn.Sequential(torch.nn.Linear(c_in, c_out), torch.nn.Dropout(0.5))

    assert law_check(flows.AffineCoupling(6, with_dropout, flows.AtanClamp(2.0)).train(), X).ok


@pytest.mark.parametrize("x", [None, torch.zeros(1, 3), torch.zeros(3), torch.full((3, 3), torch.inf)])
def test_unusable_points_are_the_callers_mistake(x):
    with pytest.raises(ValueError, match="finite test points"):
        law_check(RIGHT, x)


def test_report_reads_as_sentences():
    report = law_check(WRONG["flipped"][0], X)
    assert isinstance(report, LawReport)
    first = str(report).splitlines()[0]
    assert first.startswith("✗ log_det = ln |det dz/dx| of each row. Where: forward (found [")
    assert first.endswith("Likely cause: the sign is flipped.")
