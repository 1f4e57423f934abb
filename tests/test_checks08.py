"""The checks of chapter 08: right answers pass in several styles, every known wrong one gets a diagnosis of its own."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torchvision.transforms import functional as TF

from tutorial_lib.checks.ch08 import blur, chapter
from tutorial_lib.detectors.views import rotate

NAMES = tuple(chapter.exercises)


# ---- right answers ---------------------------------------------------------------------------------------------

def pool_concat(maps):
    return torch.cat([m.mean(dim=(2, 3)) for m in maps], dim=1)


def pool_by_library(maps):
    return torch.cat([nn.functional.adaptive_avg_pool2d(m, 1).flatten(1) for m in maps], dim=1)


def pool_by_loop(maps):
    rows = []
    for i in range(len(maps[0])):
        rows.append(torch.stack([m[i, c].sum() / m[i, c].numel() for m in maps for c in range(m.shape[1])]))
    return torch.stack(rows)


def fc_subnet(d_in, d_out, hidden):
    layers = [nn.Linear(d_in, hidden), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, 2 * d_out))


def subnet_by_class(d_in, d_out, hidden):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [d_in, hidden, hidden, hidden]
            self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
            self.last = nn.Linear(hidden, 2 * d_out)

        def forward(self, x):
            for layer in self.hidden:
                x = layer(x).relu()
            return self.last(x)

    return Net()


def views_by_loop(nll, views):
    return sum(nll(views[:, t]) for t in range(views.shape[1])) / views.shape[1]


def views_by_reshape(nll, views):
    B, T, *rest = views.shape
    return nll(views.reshape(B * T, *rest)).reshape(B, T).mean(-1)


def gradient_map(score, x, sigma):
    image = x.detach().clone().requires_grad_(True)
    gradient, = torch.autograd.grad(score(image[None])[0], image)
    return blur(gradient, sigma).abs().sum(0)


def gradient_by_backward(score, x, sigma):
    image = x.clone().requires_grad_()
    score(image.unsqueeze(0)).sum().backward()
    return sum(blur(g[None], sigma)[0].abs() for g in image.grad)


def gradient_by_scipy(score, x, sigma):
    image = x.clone().requires_grad_()
    score(image[None]).backward()
    return sum(torch.from_numpy(gaussian_filter(g.numpy(), sigma, truncate=4)).abs() for g in image.grad)


def angles_of(T, seed, first=0.0):
    draw = torch.rand(T - 1, generator=torch.Generator().manual_seed(seed))
    return torch.cat([torch.tensor([first]), 360 * draw - 180])


def fair(score, images, T, seed):
    return torch.stack([score(rotate(images, a.expand(len(images)))) for a in angles_of(T, seed)], 1).mean(1)


def fair_by_torchvision(score, images, T, seed):
    views = torch.stack([TF.rotate(images, float(a)) for a in angles_of(T, seed)], dim=1)
    return score(views.flatten(0, 1)).view(len(images), T).mean(1)


RIGHT = [
    ("pool_concat", pool_concat), ("pool_concat", pool_by_library), ("pool_concat", pool_by_loop),
    ("soft_clamp", lambda s, alpha: 2 * alpha / math.pi * torch.atan(s / alpha)),
    ("soft_clamp", lambda s, alpha: alpha * 0.636 * (s / alpha).arctan()),
    ("soft_clamp", lambda s, alpha: alpha * torch.atan2(s, torch.full_like(s, alpha)) / (torch.pi / 2)),
    ("fc_subnet", fc_subnet), ("fc_subnet", subnet_by_class),
    ("multi_view_score", views_by_loop), ("multi_view_score", views_by_reshape),
    ("gradient_map", gradient_map), ("gradient_map", gradient_by_backward), ("gradient_map", gradient_by_scipy),
    ("views_for_the_baseline", fair), ("views_for_the_baseline", fair_by_torchvision)]


@pytest.mark.parametrize("name, function", RIGHT)
def test_a_right_answer_passes_in_whatever_style(name, function):
    verdict = chapter.exercises[name].examine(function)
    assert verdict.ok, str(verdict)


# ---- wrong answers: what they get wrong, and words that only their diagnosis holds -------------------------------

def mixed_subnet(*extra, hidden_layers=3, out=None, bias=True):
    def build(d_in, d_out, hidden):
        layers, width = [], d_in
        for _ in range(hidden_layers):
            layers += [nn.Linear(width, hidden, bias=bias), nn.ReLU()]
            width = hidden
        return nn.Sequential(*layers, nn.Linear(width, out(d_out) if out else 2 * d_out, bias=bias),
                             *[make(d_out) for make in extra])
    return build


def with_first(make):
    return lambda d_in, d_out, hidden: nn.Sequential(make(d_in), *fc_subnet(d_in, d_out, hidden))


def hidden_in_a_list(d_in, d_out, hidden):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = list(fc_subnet(d_in, d_out, hidden))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    return Net()


def raw_gradient(score, x):
    image = x.clone().requires_grad_()
    return torch.autograd.grad(score(image[None])[0], image)[0]


def gradient_of_a_batch(score, x, sigma):
    batch = x[None].repeat(4, 1, 1, 1).requires_grad_()
    gradient = torch.autograd.grad(score(batch).sum(), batch)[0].sum(0)
    return blur(gradient, sigma).abs().sum(0)


def gradient_accumulated(score, x, sigma):
    image = x.clone().requires_grad_()
    for _ in range(3):
        score(image[None])[0].backward()
    return blur(image.grad, sigma).abs().sum(0)


def fair_with(angles, last=lambda s: s.mean(1)):
    def function(score, images, T, seed):
        return last(torch.stack([score(rotate(images, a.expand(len(images)))) for a in angles(T, seed)], dim=1))
    return function


def per_image_angles(score, images, T, seed):
    draw = torch.rand(T, len(images), generator=torch.Generator().manual_seed(seed)) * 360 - 180
    draw[0] = 0
    return torch.stack([score(rotate(images, a)) for a in draw], 1).mean(1)


def drawn_between_calls(score, images, T, seed):
    scores = [score(images)]
    for _ in range(T - 1):
        scores.append(score(rotate(images, (torch.rand(1) * 360 - 180).expand(len(images)))))
    return torch.stack(scores, 1).mean(1)


def mixed_up(score, images, T, seed):
    views = torch.stack([rotate(images, a.expand(len(images))) for a in angles_of(T, seed)], 1)
    return score(views.flatten(0, 1)).view(T, len(images)).mean(0)


GRADIENTS = {
    "before the blur": lambda g, s: blur(g.abs(), s).sum(0),
    "after the channel sum": lambda g, s: blur(g, s).sum(0).abs(),
    "no absolute value at all": lambda g, s: blur(g, s).sum(0),
    "there is no blur": lambda g, s: g.abs().sum(0),
    "channels were not added": lambda g, s: blur(g, s).abs(),
    "mean over the channels": lambda g, s: blur(g, s).abs().mean(0),
    "largest channel": lambda g, s: blur(g, s).abs().amax(0),
    "you take squares": lambda g, s: blur(g, s).square().sum(0)}

WRONG = [
    ("pool_concat", lambda m: torch.cat([x.sum((2, 3)) for x in m], 1), "sum over the positions"),
    ("pool_concat", lambda m: torch.cat([x.mean((2, 3)) for x in m], 0), "on the batch axis"),
    ("pool_concat", lambda m: torch.cat([x.amax((2, 3)) for x in m], 1), "maximum over the positions"),
    ("pool_concat", lambda m: torch.cat([x.flatten(1) for x in m], 1), "flatten the whole map"),
    ("pool_concat", lambda m: torch.cat([x.mean((2, 3)) for x in m[::-1]], 1), "reverse order"),
    ("pool_concat", lambda m: torch.cat([x.mean((0, 2, 3)).expand(len(x), -1) for x in m], 1), "batch too"),
    ("pool_concat", lambda m: torch.cat([x[:, :, 0, 0] for x in m], 1), "read one position"),
    ("pool_concat", lambda m: torch.cat([x.mean(2).flatten(1) for x in m], 1), "one spatial axis only"),
    ("soft_clamp", lambda s, a: s.clamp(-a, a), "hard clamp"),
    ("soft_clamp", lambda s, a: 2 * a / torch.pi * torch.atan(s), "outside only: atan(s)"),
    ("soft_clamp", lambda s, a: 0.636 * a * torch.atan(s), "with 0.636 for 2/π"),
    ("soft_clamp", lambda s, a: 2 / torch.pi * torch.atan(s / a), "inside only"),
    ("soft_clamp", lambda s, a: a * torch.atan(s / a), "2/π is missing"),
    ("soft_clamp", lambda s, a: a * torch.tanh(s / a), "tanh clamp"),
    ("soft_clamp", lambda s, a: 2 * a / torch.pi * torch.atan(s * a), "it is divided"),
    ("soft_clamp", lambda s, a: s, "comes back unchanged"),
    ("fc_subnet", mixed_subnet(lambda _: nn.ReLU()), "a ReLU after the last layer"),
    ("fc_subnet", mixed_subnet(lambda _: nn.Tanh()), "tanh or sigmoid after the last layer"),
    ("fc_subnet", mixed_subnet(lambda _: nn.LeakyReLU()), "an activation after the last layer"),
    ("fc_subnet", mixed_subnet(out=lambda d: d), "d_out was not doubled"),
    ("fc_subnet", lambda d_in, d_out, hidden: fc_subnet(d_in, d_out, hidden)[:-1], "the last layer is missing"),
    ("fc_subnet", lambda d_in, d_out, hidden: fc_subnet(d_in, d_in, hidden), "2 · d_in wide"),
    ("fc_subnet", mixed_subnet(hidden_layers=2), "2 hidden layers; three are due"),
    ("fc_subnet", mixed_subnet(hidden_layers=4), "4 hidden layers; three are due"),
    ("fc_subnet", mixed_subnet(bias=False), "have no bias"),
    ("fc_subnet", hidden_in_a_list, "not registered"),
    ("fc_subnet", with_first(lambda d: nn.BatchNorm1d(d)), "a normalisation layer"),
    ("fc_subnet", with_first(lambda d: nn.BatchNorm1d(d, affine=False)), "mixes the rows"),
    ("fc_subnet", with_first(lambda d: nn.Dropout(0.5)), "dropout"),
    ("fc_subnet", lambda d_in, d_out, hidden: nn.Sequential(nn.Linear(d_in, hidden), nn.Linear(hidden + 1, 2)),
     "is not the width that the next layer reads"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).view(v.shape[:2]).sum(1), "sum over T"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).view(v.shape[1], v.shape[0]).mean(0), "not .view(T, B)"),
    ("multi_view_score", lambda f, v: f(v.transpose(0, 1).flatten(0, 1)).view(v.shape[:2]).mean(1), "on the way in"),
    ("multi_view_score", lambda f, v: f(v.mean(1)), "average the pictures"),
    ("multi_view_score", lambda f, v: f(v[:, 0]), "first view only"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).view(v.shape[:2]).amax(1), "the largest of the T"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).view(v.shape[:2]).amin(1), "the smallest of the T"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).view(v.shape[:2]).mean(0), "keep the views"),
    ("multi_view_score", lambda f, v: -f(v.flatten(0, 1)).view(v.shape[:2]).mean(1), "sign is flipped"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).mean(), "one number for the whole batch"),
    ("multi_view_score", lambda f, v: f(v).mean(1), "it was given (3, 1, 2, 3, 3)"),
    *[("gradient_map", lambda score, x, sigma, last=last: last(raw_gradient(score, x), sigma), words)
      for words, last in GRADIENTS.items()],
    ("gradient_map", lambda score, x, s: blur(x * raw_gradient(score, x), s).abs().sum(0), "times its gradient"),
    ("gradient_map", gradient_of_a_batch, "sum over a batch of 4 copies"),
    ("gradient_map", gradient_accumulated, "accumulated in x.grad"),
    ("gradient_map", lambda score, x, sigma: score(x), "it was given (3, 36, 36)"),
    ("views_for_the_baseline", fair_with(lambda T, seed: torch.cat([torch.zeros(1), torch.rand(T - 1) * 360])),
     "different views per row"),
    ("views_for_the_baseline", drawn_between_calls, "different views per row"),
    ("views_for_the_baseline", fair_with(angles_of, lambda s: s.sum(1)), "sum over the T views"),
    ("views_for_the_baseline", fair_with(angles_of, lambda s: s.amax(1)), "another reduction than the mean"),
    ("views_for_the_baseline", mixed_up, "of different images were averaged"),
    ("views_for_the_baseline", lambda score, images, T, seed: score(images), "seen once"),
    ("views_for_the_baseline", fair_with(lambda T, seed: torch.zeros(T)), "turned by the same angle"),
    ("views_for_the_baseline", fair_with(lambda T, seed: torch.arange(T) * 360.0 / T), "seed is not used"),
    ("views_for_the_baseline", per_image_angles, "place in the batch"),
    ("views_for_the_baseline", fair_with(lambda T, seed: angles_of(T, seed, first=0.0 if T == 1 else 33.0)),
     "the first one is 0"),
    ("views_for_the_baseline", fair_with(lambda T, seed: angles_of(T, seed, first=33.0)), "must be the image as it is"),
    ("views_for_the_baseline", fair_with(lambda T, seed: angles_of(T + 1, seed) if T > 1 else angles_of(1, seed)),
     "T − 1 more, not T")]


@pytest.mark.parametrize("name, function, words", WRONG, ids=[f"{n}: {w}" for n, _, w in WRONG])
def test_a_wrong_answer_gets_its_own_diagnosis(name, function, words):
    verdict = chapter.exercises[name].examine(function)
    assert not verdict.ok
    assert words in str(verdict), str(verdict)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_wrong_answers_share_a_diagnosis(name):
    mine = [(f, w) for n, f, w in WRONG if n == name]
    said = [str(chapter.exercises[name].examine(f)).split("\n  Checked")[0] for f, _ in mine]
    for _, words in mine:
        others = [s for j, s in enumerate(said) if mine[j][1] != words]
        assert not any(words in s for s in others), words


BROKEN_LAW = [
    ("pool_concat", lambda m: torch.cat([x.sum((2, 3)) for x in m], 1), "a constant map must give its constant"),
    ("pool_concat", lambda m: torch.cat([x[:, :, 0, 0] for x in m], 1), "shuffling the positions"),
    ("soft_clamp", lambda s, a: 2 * a / torch.pi * torch.atan(s), "slope at 0 must be 2/π"),
    ("soft_clamp", lambda s, a: s * 2 / torch.pi, "must stay below alpha"),
    ("soft_clamp", lambda s, a: (2 / torch.pi * s).clamp(-0.9 * a, 0.9 * a), "must rise everywhere"),
    ("soft_clamp", lambda s, a: a * torch.tanh(2 / torch.pi * s / a), "must rise everywhere"),
    ("soft_clamp", lambda s, a: (2 * a / torch.pi * torch.atan(s / a)).abs(), "must be odd"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).view(v.shape[:2]).sum(1), "repeating a view"),
    ("multi_view_score", lambda f, v: f(v.flatten(0, 1)).view(v.shape[1], -1).mean(0), "on its neighbours"),
    ("multi_view_score", lambda f, v: f(v[:, 0]), "order of the views"),
    ("gradient_map", lambda score, x, s: blur(raw_gradient(score, x), s).sum(0), "must not be negative"),
    ("gradient_map", lambda score, x, s: blur(raw_gradient(score, x), s).sum(0).abs(), "channels of opposite sign"),
    ("gradient_map", lambda score, x, s: blur(raw_gradient(score, x).abs(), s).sum(0), "neighbours of opposite sign")]


@pytest.mark.parametrize("name, function, law", BROKEN_LAW, ids=[f"{n}: {w}" for n, _, w in BROKEN_LAW])
def test_the_verdict_names_the_law_that_broke(name, function, law):
    assert law in chapter.exercises[name].examine(function).finding.law


# ---- whatever is handed in ---------------------------------------------------------------------------------------

def blank(*args):
    raise NotImplementedError("blank: your code here")


def broken(*args):
    return 1 / 0


ODD = {"a blank": blank, "None": lambda *a: None, "an exception": broken, "a string": lambda *a: "later",
       "a number": lambda *a: 3.0, "an empty tensor": lambda *a: torch.empty(0), "no arguments": lambda: None,
       "a list": lambda *a: [1, 2], "NaN": lambda *a: torch.full((3,), torch.nan), "sys.exit": lambda *a: exit(),
       "a module": lambda *a: nn.Linear(2, 2), "a numpy array": lambda *a: torch.zeros(3).numpy()}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_is_handed_in_makes_a_check_crash(name, odd):
    verdict = chapter.exercises[name].examine(ODD[odd])
    assert not verdict.ok
    assert verdict.finding.kind != "check", str(verdict)
    assert "Traceback" not in str(verdict)


@pytest.mark.parametrize("value", [3, "pool_concat", None, [], torch.zeros(2)])
def test_a_value_instead_of_a_function_gets_a_sentence(value):
    assert "is not a function" in str(chapter.exercises["pool_concat"].examine(value))


def test_arguments_changed_in_place_are_noticed():
    def greedy(maps):
        return torch.cat([m.sub_(1).mean((2, 3)) for m in maps], 1)

    assert "in place" in str(chapter.exercises["pool_concat"].examine(greedy))


@pytest.mark.parametrize("name, function", [RIGHT[0], RIGHT[3], RIGHT[6], RIGHT[8], RIGHT[10], RIGHT[13]])
def test_a_check_leaves_the_random_state_alone(name, function):
    torch.manual_seed(4)
    before = torch.get_rng_state()
    chapter.exercises[name].examine(function)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_has_three_hints_and_minutes(name, capsys):
    exercise = chapter.exercises[name]
    assert len(exercise.hints) >= 3 and 5 <= exercise.minutes <= 15
    for n in range(1, len(exercise.hints) + 1):
        chapter.hint(name)
        assert f"Hint {n} of {len(exercise.hints)}" in capsys.readouterr().out
    chapter.answer(name)
    assert "solutions/08_differnet.ipynb" in capsys.readouterr().out


def test_the_library_fulfils_the_laws_that_learners_are_asked_for():
    from tutorial_lib.detectors.pooled import pool_concat as library_pool
    from tutorial_lib.flows.clamps import Atan0636Clamp, AtanClamp

    assert chapter.exercises["pool_concat"].examine(lambda maps: library_pool(maps)).ok
    for clamp in (AtanClamp, Atan0636Clamp):
        assert chapter.exercises["soft_clamp"].examine(lambda s, alpha, c=clamp: c(alpha)(s)).ok


def test_the_blur_is_the_gaussian_of_the_formula():
    spot = torch.zeros(1, 41, 41)
    spot[0, 20, 20] = 1
    found = blur(spot, 3.0)[0]
    reference = torch.from_numpy(gaussian_filter(spot[0].numpy(), 3.0, truncate=4, mode="constant"))
    assert torch.allclose(found, reference, atol=1e-6)
    assert abs(float(found.sum()) - 1) < 1e-5
