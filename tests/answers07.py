"""What learners write in the exercises of chapter 07: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import copy
import math

import torch

# ---- right answers ---------------------------------------------------------------------------------------------


def typical_radius(d):
    mean = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return mean, math.sqrt(d - mean**2)


def radius_by_recursion(d):
    mean = math.sqrt(2 / math.pi) if d % 2 else math.sqrt(math.pi / 2)
    for k in range(1 if d % 2 else 2, d, 2):
        mean = mean * (k + 1) / k
    return mean, math.sqrt(d - mean * mean)


def fit_gaussian_flow(f, eps):
    mean, cov = f.mean(0), torch.cov(f.T, correction=0)
    ridge = eps * cov.diagonal().mean() * torch.eye(f.shape[1], dtype=f.dtype)
    return mean, torch.linalg.cholesky(cov + ridge)


def fit_by_hand(f, eps):
    mean = f.sum(dim=0) / len(f)
    centred = f - mean
    cov = centred.T @ centred / len(f)
    ridge = eps * torch.trace(cov) / len(cov)
    return mean, torch.linalg.cholesky(cov + torch.diag(ridge.expand(len(cov))))


def position_gaussian_map(f, mean, L):
    centred = (f - mean).permute(2, 3, 1, 0)
    return torch.linalg.solve_triangular(L, centred, upper=False).square().mean(2).permute(2, 0, 1)


def map_by_loop(f, mean, L):
    out = torch.empty(len(f), *f.shape[2:], dtype=f.dtype)
    for i in range(f.shape[2]):
        for j in range(f.shape[3]):
            z = (f[:, :, i, j] - mean[:, i, j]) @ torch.linalg.inv(L[i, j]).T
            out[:, i, j] = (z * z).sum(dim=1) / f.shape[1]
    return out


def receptive_field(layers):
    size, step, offset = 1, 1, 0
    for kernel, stride, pad in layers:
        size += (kernel - 1) * step
        offset -= pad * step
        step *= stride
    return size, step, offset


def field_from_the_back(layers):
    first, last, stride = 0, 0, 1
    for kernel, step, pad in reversed(layers):
        first = first * step - pad
        last = last * step - pad + kernel - 1
        stride = stride * step
    return last - first + 1, stride, first


def frozen_check(net, images):
    net = copy.deepcopy(net)
    with torch.no_grad():
        together = net(images)
        alone = torch.cat([net(image[None]) for image in images])
    return float((alone - together).abs().max())


def frozen_by_loop(net, images):
    worst, batch = 0.0, copy.deepcopy(net)(images).detach()
    for k in range(len(images)):
        alone = copy.deepcopy(net)(images[k:k + 1]).detach()
        worst = max(worst, (alone[0] - batch[k]).abs().max().item())
    return worst


def frozen_with_gradient(net, images):
    net = copy.deepcopy(net)
    together, alone = net(images), torch.cat([net(image[None]) for image in images])
    return (alone - together).abs().max()


def same_features_other_image(extract, image, step):
    J = torch.autograd.functional.jacobian(extract, image).flatten(1)
    v = torch.linalg.svd(J, full_matrices=True).Vh[-1]
    return image + step * v.view_as(image)


def move_by_projection(extract, image, step):
    J = torch.func.jacrev(extract)(image).reshape(-1, image.numel())
    v = torch.ones(image.numel(), dtype=image.dtype)
    v = v - torch.linalg.pinv(J) @ (J @ v)
    return image + step * (v / v.norm()).reshape(image.shape)


RIGHT = [
    ("typical_radius", typical_radius), ("typical_radius", radius_by_recursion),
    ("fit_gaussian_flow", fit_gaussian_flow), ("fit_gaussian_flow", fit_by_hand),
    ("position_gaussian_map", position_gaussian_map), ("position_gaussian_map", map_by_loop),
    ("receptive_field", receptive_field), ("receptive_field", field_from_the_back),
    ("frozen_check", frozen_check), ("frozen_check", frozen_by_loop),
    ("frozen_check", frozen_with_gradient),
    ("same_features_other_image", same_features_other_image), ("same_features_other_image", move_by_projection),
]


# ---- wrong answers ---------------------------------------------------------------------------------------------

def _log_ratio(d):
    return math.lgamma((d + 1) / 2) - math.lgamma(d / 2)


def _spread(mean, d):
    return mean, math.sqrt(d - mean**2)


def _fit(factor):
    return lambda f, eps: (f.mean(0), factor(f, torch.cov(f.T, correction=0), eps))


def _ridge(cov, eps):
    return eps * cov.diagonal().mean() * torch.eye(len(cov), dtype=cov.dtype)


def _map(solve=lambda L, x: torch.linalg.solve_triangular(L, x, upper=False), end=lambda z: z.square().mean(2),
         centre=True):
    return lambda f, mean, L: end(solve(L, (f - mean * centre).permute(2, 3, 1, 0))).permute(2, 0, 1)


def _field(k_part=lambda k: k - 1, first=False, pad_step=True, compound=True):
    def answer(layers):
        size, step, offset = 1, 1, 0
        for k, s, p in layers:
            size += k_part(k) * (step * s if first else step) if compound else k_part(k)
            offset -= p * (step if pad_step else 1)
            step *= s
        return size, step, offset
    return answer


def _frozen(reduce=lambda a, b: (a - b).abs().max()):
    def answer(net, images):
        net = copy.deepcopy(net)
        with torch.no_grad():
            return float(reduce(torch.cat([net(x[None]) for x in images]), net(images)))
    return answer


def _no_copy(net, images):
    with torch.no_grad():
        together = net(images)
        return float((torch.cat([net(x[None]) for x in images]) - together).abs().max())


def _left_in_eval(net, images):
    result = frozen_check(net, images)
    net.eval()
    return result


def _move(direction):
    def answer(extract, image, step):
        J = torch.autograd.functional.jacobian(extract, image).flatten(1)
        return image + step * direction(J, extract, image).view_as(image)
    return answer


def _unit(v):
    return v / v.norm()


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("typical_radius", "root of d", "the root of the mean of", lambda d: (math.sqrt(d), typical_radius(d)[1])),
    ("typical_radius", "root of d, no spread", "a spread of 0", lambda d: (math.sqrt(d), 0.0)),
    ("typical_radius", "no exp", "the difference of two is", lambda d: _spread(math.sqrt(2) * _log_ratio(d), d)),
    ("typical_radius", "logarithm of all", "the logarithm of the mean",
     lambda d: _spread(_log_ratio(d) + math.log(math.sqrt(2)), d)),
    ("typical_radius", "squared length", "*squared* length", lambda d: (d, math.sqrt(2 * d))),
    ("typical_radius", "sqrt(d - 1/2)", "good approximation", lambda d: (math.sqrt(d - 0.5), math.sqrt(0.5))),
    ("typical_radius", "sd grows", "as √(2d)", lambda d: (typical_radius(d)[0], math.sqrt(2 * d))),
    ("typical_radius", "variance", "the sd is its root", lambda d: (typical_radius(d)[0], typical_radius(d)[1] ** 2)),
    ("typical_radius", "sd of one coordinate", "spread of one coordinate", lambda d: (typical_radius(d)[0], 1.0)),
    ("typical_radius", "gamma overflows", "raised OverflowError",
     lambda d: (math.sqrt(2) * math.gamma((d + 1) / 2) / math.gamma(d / 2), 0.7)),
    ("fit_gaussian_flow", "no ridge", "no ridge:", _fit(lambda f, c, e: torch.linalg.cholesky(c))),
    ("fit_gaussian_flow", "absolute ridge", "without the mean variance",
     _fit(lambda f, c, e: torch.linalg.cholesky(c + e * torch.eye(len(c))))),
    ("fit_gaussian_flow", "transpose", "samples were taken for variables",
     lambda f, e: (f.mean(0), torch.linalg.cholesky(torch.cov(f) + e * torch.eye(len(f)).to(f)))),
    ("fit_gaussian_flow", "N - 1", "divided by N − 1",
     _fit(lambda f, c, e: torch.linalg.cholesky(torch.cov(f.T) + _ridge(torch.cov(f.T), e)))),
    ("fit_gaussian_flow", "covariance", "covariance itself was returned", _fit(lambda f, c, e: c + _ridge(c, e))),
    ("fit_gaussian_flow", "upper", "the upper factor",
     _fit(lambda f, c, e: torch.linalg.cholesky(c + _ridge(c, e), upper=True))),
    ("fit_gaussian_flow", "not centred", "were not centred",
     _fit(lambda f, c, e: torch.linalg.cholesky(f.T @ f / len(f) + _ridge(c, e)))),
    ("fit_gaussian_flow", "second moment", "in the ridge as well",
     lambda f, e: (f.mean(0), torch.linalg.cholesky(f.T @ f / len(f) + _ridge(f.T @ f / len(f), e)))),
    ("fit_gaussian_flow", "trace", "uses the trace",
     _fit(lambda f, c, e: torch.linalg.cholesky(c + e * torch.trace(c) * torch.eye(len(c)).to(c)))),
    ("fit_gaussian_flow", "diagonal of L", "only the diagonal of L",
     _fit(lambda f, c, e: torch.linalg.cholesky(c + _ridge(c, e)).diagonal().diag())),
    ("fit_gaussian_flow", "variances", "only the variances",
     _fit(lambda f, c, e: torch.diag((c + _ridge(c, e)).diagonal().sqrt()))),
    ("fit_gaussian_flow", "wrong mean", "row 0: the mean", lambda f, e: (f[0], fit_gaussian_flow(f, e)[1])),
    ("fit_gaussian_flow", "ridge on L", "added to L", _fit(lambda f, c, e: torch.linalg.cholesky(c) + _ridge(c, e))),
    ("position_gaussian_map", "applied", "applied instead of solved", _map(lambda L, x: L @ x)),
    ("position_gaussian_map", "transposed", "solved with Lᵀ",
     _map(lambda L, x: torch.linalg.solve_triangular(L.mT, x, upper=True))),
    ("position_gaussian_map", "upper", "only the diagonal of L",
     _map(lambda L, x: torch.linalg.solve_triangular(L, x, upper=True))),
    ("position_gaussian_map", "no mean", "mean was not subtracted", _map(centre=False)),
    ("position_gaussian_map", "sum", "the sum over C", _map(end=lambda z: z.square().sum(2))),
    ("position_gaussian_map", "root", "root of the mean square", _map(end=lambda z: z.square().mean(2).sqrt())),
    ("position_gaussian_map", "over positions", "over positions as well",
     lambda f, m, L: position_gaussian_map(f, m, L).sum((1, 2))),
    ("position_gaussian_map", "twice", "solves twice", _map(lambda L, x: torch.linalg.solve(L @ L.mT, x))),
    ("position_gaussian_map", "one L", "one L for all", lambda f, m, L: position_gaussian_map(f, m, L[:1, :1])),
    ("receptive_field", "not compounded", "is not compounded", _field(compound=False)),
    ("receptive_field", "step first", "step was updated first: the", _field(first=True)),
    ("receptive_field", "k for k - 1", "a kernel of 1 must add nothing", _field(k_part=lambda k: k)),
    ("receptive_field", "pad ignored", "padding is ignored", lambda ls: (*receptive_field(ls)[:2], 0)),
    ("receptive_field", "pad in pixels", "counted in pixels: p cells", _field(pad_step=False)),
    ("receptive_field", "sign", "sign of the offset", lambda ls: (*receptive_field(ls)[:2], -receptive_field(ls)[2])),
    ("receptive_field", "centre", "centre of the box",
     lambda ls: (*receptive_field(ls)[:2], receptive_field(ls)[2] + (receptive_field(ls)[0] - 1) / 2)),
    ("receptive_field", "last stride", "only the last layer's",
     lambda ls: (receptive_field(ls)[0], ls[-1][1], receptive_field(ls)[2])),
    ("frozen_check", "eval inside", "eval() was called before",
     lambda net, x: frozen_check(copy.deepcopy(net).eval(), x)),
    ("frozen_check", "other image", "row i of the batch belongs", _frozen(lambda a, b: (a - b.roll(1, 0)).abs().max())),
    ("frozen_check", "first only", "first image only", _frozen(lambda a, b: (a - b)[0].abs().max())),
    ("frozen_check", "mean", "mean where the worst", _frozen(lambda a, b: (a - b).abs().mean())),
    ("frozen_check", "no abs", "no absolute value: differences", _frozen(lambda a, b: (a - b).max())),
    ("frozen_check", "reads the flag", "read from net.training",
     lambda net, x: frozen_check(net, x) if net.training else 0.0),
    ("frozen_check", "no copy", "running statistics: work", _no_copy),
    ("frozen_check", "left in eval", "and not undone", _left_in_eval),
    ("same_features_other_image", "random", "was not projected",
     _move(lambda J, e, x: _unit(torch.randn(x.numel(), dtype=x.dtype)))),
    ("same_features_other_image", "gradient", "where the features look", _move(lambda J, e, x: _unit(J[0]))),
    ("same_features_other_image", "not of length 1", "not brought to length 1",
     _move(lambda J, e, x: 3 * torch.linalg.svd(J).Vh[-1])),
    ("same_features_other_image", "clipped", "was clipped",
     lambda e, x, step: same_features_other_image(e, x, step).clamp(0, 1)),
    ("same_features_other_image", "the picture", "picture itself was returned", lambda e, x, step: x.clone()),
    ("same_features_other_image", "Jacobian elsewhere", "taken at another picture",
     _move(lambda J, e, x: torch.linalg.svd(torch.autograd.functional.jacobian(e, 4 * x).flatten(1)).Vh[-1])),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (".mean(", ".sum("), (".sum(", ".mean("),
           ("correction=0", "correction=1"), ("f.T", "f"), ("f.mean(0)", "f[0]"), ("math.sqrt(2)", "2"),
           ("mean**2", "mean"), ("lgamma((d + 1) / 2)", "lgamma(d + 1)"), (".square()", ".abs()"),
           ("(f - mean)", "f"), ("(2, 0, 1)", "(2, 1, 0)"), ("upper=False", "upper=True"),
           ("(kernel - 1) *", "kernel *"), ("step *=", "step +="), ("pad * step", "pad"), ("copy.deepcopy(net)", "net"),
           (".abs()", ""),
           (".max()", ".mean()"), ("Vh[-1]", "Vh[0]"), ("step * ", ""), ("full_matrices=True", "full_matrices=False"),
           ("reversed(layers)", "layers"), ("net(images)", "net(images[:1])"), ("eps * ", "")]
