"""What learners write in the exercises of chapter 02: right answers in several styles, and known wrong ones."""

from __future__ import annotations

import torch
from torch.func import jacfwd, jacrev, jvp, vjp

# ---- right answers ---------------------------------------------------------------------------------------------

def jacobian_fd(f, x, h):
    columns = []
    for j in range(len(x)):
        step = torch.zeros_like(x)
        step[j] = h
        columns.append((f(x + step) - f(x - step)) / (2 * h))
    return torch.stack(columns, dim=1)


def fd_by_eye(f, x, h):
    steps = h * torch.eye(x.numel()).to(x)
    J = torch.zeros(f(x).numel(), x.numel()).to(x)
    for j, e in enumerate(steps):
        J[:, j] = 0.5 / h * (f(x + e) - f(x - e))
    return J


def fd_half_steps(f, x, h):
    return torch.stack([(f(x + 0.5 * e) - f(x - 0.5 * e)) / h for e in h * torch.eye(len(x)).to(x)]).T


def fd_by_vmap(f, x, h):
    steps = h * torch.eye(len(x)).to(x)
    return torch.func.vmap(lambda e: (f(x + e) - f(x - e)) / (2 * h))(steps).T


def jacobian_rows(f, x):
    x = x.clone().requires_grad_()
    z = f(x)
    rows = []
    for i in range(len(z)):
        row, = torch.autograd.grad(z[i], x, retain_graph=True)
        rows.append(row)
    return torch.stack(rows)


def rows_by_backward(f, x):
    x = x.clone().requires_grad_()
    rows = []
    for i in range(f(x).numel()):
        x.grad = None
        f(x)[i].backward()
        rows.append(x.grad.clone())
    return torch.stack(rows)


def rows_by_vjp(f, x):
    z, pull = vjp(f, x)
    return torch.vmap(lambda u: pull(u)[0])(torch.eye(len(z), dtype=z.dtype))


def jvp_without_matrix(f, x, v):
    _, derivative = jvp(f, (x,), (v,))
    return derivative


def jvp_by_two_vjps(f, x, v):
    x = x.clone().requires_grad_()
    z = f(x)
    u = torch.zeros_like(z, requires_grad=True)
    pulled, = torch.autograd.grad(z, x, u, create_graph=True)
    return torch.autograd.grad(pulled, u, v)[0]


def jvp_by_dual(f, x, v):
    with torch.autograd.forward_ad.dual_level():
        z = f(torch.autograd.forward_ad.make_dual(x, v))
        return torch.autograd.forward_ad.unpack_dual(z).tangent


def jacobian_of_chain(fs, x):
    total = torch.eye(len(x), dtype=x.dtype)
    for f in fs:
        total = jacrev(f)(x) @ total
        x = f(x)
    return total


def chain_from_the_left(fs, x):
    points = [x]
    for f in fs:
        points.append(f(points[-1]))
    total = torch.eye(len(points[-1]), dtype=x.dtype)
    for f, point in zip(reversed(fs), reversed(points[:-1]), strict=True):
        total = total @ jacfwd(f)(point)
    return total


def chain_by_recursion(fs, x):
    inner = jacobian_rows(fs[0], x)
    return inner if len(fs) == 1 else chain_by_recursion(fs[1:], fs[0](x)) @ inner


def input_gradient(score, image):
    image = image.clone().requires_grad_()
    gradient, = torch.autograd.grad(score(image), image)
    return gradient


def gradient_by_vjp(score, image):
    value, pull = vjp(score, image.clone())
    return pull(torch.ones_like(value))[0]


def gradient_by_func(score, image):
    return torch.func.grad(score)(image)


def null_direction(J):
    Vh = torch.linalg.svd(J, full_matrices=True).Vh
    return Vh[-1]


def null_by_eigh(J):
    return torch.linalg.eigh(J.double().T @ J.double()).eigenvectors[:, 0].to(J)


def null_by_qr(J):
    return torch.linalg.qr(J.T, mode="complete").Q[:, -1]


def null_by_projection(J):
    projector = torch.eye(J.shape[1]).to(J) - torch.linalg.pinv(J, rtol=1e-5) @ J
    column = projector[:, projector.norm(dim=0).argmax()]
    return column / column.norm()


RIGHT = [
    ("jacobian_fd", jacobian_fd), ("jacobian_fd", fd_by_eye), ("jacobian_fd", fd_half_steps),
    ("jacobian_fd", fd_by_vmap),
    ("jacobian_rows", jacobian_rows), ("jacobian_rows", rows_by_backward), ("jacobian_rows", rows_by_vjp),
    ("jvp_without_matrix", jvp_without_matrix), ("jvp_without_matrix", jvp_by_two_vjps),
    ("jvp_without_matrix", jvp_by_dual),
    ("jacobian_of_chain", jacobian_of_chain), ("jacobian_of_chain", chain_from_the_left),
    ("jacobian_of_chain", chain_by_recursion),
    ("input_gradient", input_gradient), ("input_gradient", gradient_by_vjp), ("input_gradient", gradient_by_func),
    ("null_direction", null_direction),
    ("null_direction", null_by_eigh), ("null_direction", null_by_qr), ("null_direction", null_by_projection),
]


# ---- wrong answers: what exercises.md lists as "catches", and other common ones -------------------------------------

def _accumulated(f, x):
    x = x.clone().requires_grad_()
    z, rows = f(x), []
    for i in range(len(z)):
        z[i].backward(retain_graph=True)
        rows.append(x.grad.clone())
    return torch.stack(rows)


def _same_tensor(f, x):
    x = x.clone().requires_grad_()
    z, rows = f(x), []
    for i in range(len(z)):
        if x.grad is not None:
            x.grad.zero_()
        z[i].backward(retain_graph=True)
        rows.append(x.grad)
    return torch.stack(rows)


def _same_total(f, x):
    x = x.clone().requires_grad_()
    z, rows = f(x), []
    for i in range(len(z)):
        z[i].backward(retain_graph=True)
        rows.append(x.grad)
    return torch.stack(rows)


def _graph_freed(f, x):
    x = x.clone().requires_grad_()
    z = f(x)
    return torch.stack([torch.autograd.grad(z[i], x)[0] for i in range(len(z))])


def _no_requires_grad(f, x):
    z = f(x)
    return torch.stack([torch.autograd.grad(z[i], x, retain_graph=True)[0] for i in range(len(z))])


def _summed(f, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


def _joined(f, x):
    return torch.cat(list(jacobian_rows(f, x)))


def _moves_x(f, x, h):
    columns = []
    for j in range(len(x)):
        x[j] += h
        ahead = f(x)
        columns.append((ahead - f(x - h)) / (2 * h))
    return torch.stack(columns, dim=1)


def _steps_pile_up(f, x, h):
    columns, step = [], torch.zeros_like(x)
    for j in range(len(x)):
        step[j] = h
        columns.append((f(x + step) - f(x - step)) / (2 * h))
    return torch.stack(columns, dim=1)


def _through(fs, x):
    for f in fs:
        x = f(x)
    return x


def _at_x(fs, x, reverse=False):
    total = torch.eye(len(x), dtype=x.dtype)
    for f in fs:
        total = total @ jacrev(f)(x) if reverse else jacrev(f)(x) @ total
    return total


def _reversed(fs, x):
    total = torch.eye(len(x), dtype=x.dtype)
    for f in fs:
        total = total @ jacrev(f)(x)
        x = f(x)
    return total


def _late(fs, x):
    total = torch.eye(len(x), dtype=x.dtype)
    for f in fs:
        x = f(x)
        total = jacrev(f)(x) @ total
    return total


def _entrywise(fs, x):
    total = 1.0
    for f in fs:
        total, x = total * jacrev(f)(x), f(x)
    return total


def _consumed(fs, x):
    total = torch.eye(len(x), dtype=x.dtype)
    while fs:
        f = fs.pop(0)
        total, x = jacrev(f)(x) @ total, f(x)
    return total


def _of_weights(score, image):
    score(image).backward()
    return next(score.parameters()).grad


def _marks_the_image(score, image):
    image.requires_grad_()
    return torch.autograd.grad(score(image), image)[0]


def _changes_the_image(score, image):
    gradient = input_gradient(score, image)
    image += 0.01 * gradient
    return gradient


def _freezes(score, image):
    for p in score.parameters():
        p.requires_grad_(False)
    return input_gradient(score, image)


def _fills_the_weights(score, image):
    copy = image.clone().requires_grad_()
    score(copy).backward()
    return copy.grad


def _by_rows(f, x, v):
    x = x.clone().requires_grad_()
    z = f(x)
    return torch.stack([torch.autograd.grad(z[i], x, retain_graph=True)[0] @ v for i in range(len(z))])


WRONG = [  # (exercise, what is wrong, words that only its diagnosis has, answers)
    ("jacobian_fd", "transposed", "is transposed", lambda f, x, h: jacobian_fd(f, x, h).T),
    ("jacobian_fd", "one-sided", "its error shrinks like h",
     lambda f, x, h: torch.stack([(f(x + e) - f(x)) / h for e in h * torch.eye(len(x)).to(x)], 1)),
    ("jacobian_fd", "one-sided, back", "to the left",
     lambda f, x, h: torch.stack([(f(x) - f(x - e)) / h for e in h * torch.eye(len(x)).to(x)], 1)),
    ("jacobian_fd", "1/h", "divided by h: the", lambda f, x, h: 2 * jacobian_fd(f, x, h)),
    ("jacobian_fd", "not divided", "not divided at all", lambda f, x, h: 2 * h * jacobian_fd(f, x, h)),
    ("jacobian_fd", "times 2h", "multiplied by the distance", lambda f, x, h: 4 * h * h * jacobian_fd(f, x, h)),
    ("jacobian_fd", "/ 2 * h", "reads a / 2 * h", lambda f, x, h: h * h * jacobian_fd(f, x, h)),
    ("jacobian_fd", "sign", "comes first", lambda f, x, h: -jacobian_fd(f, x, h)),
    ("jacobian_fd", "sum", "sum of the two outputs",
     lambda f, x, h: torch.stack([(f(x + e) + f(x - e)) / (2 * h) for e in h * torch.eye(len(x)).to(x)], 1)),
    ("jacobian_fd", "all inputs", "moved at once",
     lambda f, x, h: torch.stack([(f(x + h) - f(x - h)) / (2 * h) for _ in x], 1)),
    ("jacobian_fd", "steps pile up", "pile up", _steps_pile_up),
    ("jacobian_fd", "x moved", "changed in place", _moves_x),
    ("jacobian_fd", "own step", "argument h is not used", lambda f, x, h: jacobian_fd(f, x, 1e-4)),
    ("jacobian_fd", "unit step", "step of length 1",
     lambda f, x, h: torch.stack([(f(x + e) - f(x - e)) / (2 * h) for e in torch.eye(len(x)).to(x)], 1)),
    ("jacobian_rows", "accumulated", "row i is the sum of rows", _accumulated),
    ("jacobian_rows", "stored without a copy", "last row wrote over", _same_tensor),
    ("jacobian_rows", "accumulated, no copy", "accumulated total", _same_total),
    ("jacobian_rows", "graph freed", "freed after the first", _graph_freed),
    ("jacobian_rows", "no requires_grad", "never asked to follow", _no_requires_grad),
    ("jacobian_rows", "summed outputs", "summed first", _summed),
    ("jacobian_rows", "one row", "one row only", lambda f, x: jacobian_rows(f, x)[0]),
    ("jacobian_rows", "transposed", "is transposed", lambda f, x: jacobian_rows(f, x).T),
    ("jacobian_rows", "cat", "end to end", _joined),
    ("jacobian_rows", "reversed", "reverse order", lambda f, x: jacobian_rows(f, x).flip(0)),
    ("jacobian_rows", "coarse differences", "right to a few digits",
     lambda f, x: torch.stack([(f(x + e) - f(x)) / 1e-8 for e in 1e-8 * torch.eye(len(x)).to(x)], 1)),
    ("jvp_without_matrix", "vjp", "mixes rows", lambda f, x, v: vjp(f, x)[1](v)[0]),
    ("jvp_without_matrix", "value", "(value, derivative)", lambda f, x, v: jvp(f, (x,), (v,))[0]),
    ("jvp_without_matrix", "both", "jvp: value, derivative", lambda f, x, v: jvp(f, (x,), (v,))),
    ("jvp_without_matrix", "whole step", "a whole step", lambda f, x, v: f(x + v) - f(x)),
    ("jvp_without_matrix", "unit v", "length 1", lambda f, x, v: jvp(f, (x,), (v / v.norm(),))[1]),
    ("jvp_without_matrix", "f(v)", "is the linear map", lambda f, x, v: f(v)),
    ("jvp_without_matrix", "swapped", "at v in the direction x", lambda f, x, v: jvp(f, (v,), (x,))[1]),
    ("jvp_without_matrix", "not summed", "still a matrix", lambda f, x, v: jacrev(f)(x) * v),
    ("jvp_without_matrix", "v unused", "v was not used", lambda f, x, v: jvp(f, (x,), (torch.ones_like(x),))[1]),
    ("jvp_without_matrix", "builds J", "whole matrix J was built", lambda f, x, v: jacrev(f)(x) @ v),
    ("jvp_without_matrix", "loop over rows", "a loop over rows", _by_rows),
    ("jvp_without_matrix", "differences", "a difference of two values",
     lambda f, x, v: (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6),
    ("jacobian_of_chain", "all at x", "cause: all Jacobians", _at_x),
    ("jacobian_of_chain", "reversed", "total = J @ total", _reversed),
    ("jacobian_of_chain", "reversed at x", "reversed, and all", lambda fs, x: _at_x(fs, x, reverse=True)),
    ("jacobian_of_chain", "too early", "where it comes out", _late),
    ("jacobian_of_chain", "entrywise", "@ and not *", _entrywise),
    ("jacobian_of_chain", "added", "Jacobians were added",
     lambda fs, x: sum(jacrev(f)(_through(fs[:k], x)) for k, f in enumerate(fs))),
    ("jacobian_of_chain", "last only", "last map only", lambda fs, x: jacrev(fs[-1])(_through(fs[:-1], x))),
    ("jacobian_of_chain", "first only", "first map only", lambda fs, x: jacrev(fs[0])(x)),
    ("jacobian_of_chain", "transposed", "result is transposed", lambda fs, x: jacobian_of_chain(fs, x).T),
    ("jacobian_of_chain", "jacrev of the whole", "on single maps only",
     lambda fs, x: jacrev(lambda v: _through(fs, v))(x)),
    ("jacobian_of_chain", "list emptied", "changed in place", _consumed),
    ("input_gradient", "of the weights", "gradient of the weights", _of_weights),
    ("input_gradient", "marks the image", "changes the caller's tensor", _marks_the_image),
    ("input_gradient", "changes the image", "an argument was changed", _changes_the_image),
    ("input_gradient", "freezes the network", "switched off and not on", _freezes),
    ("input_gradient", "backward", "the weights carry a .grad now", _fills_the_weights),
    ("input_gradient", "a tuple", "autograd.grad: one per input",
     lambda s, x: torch.autograd.grad(s(c := x.clone().requires_grad_()), c)),
    ("input_gradient", "absolute value", "has signs", lambda s, x: input_gradient(s, x).abs()),
    ("input_gradient", "sign", "the score falls", lambda s, x: -input_gradient(s, x)),
    ("input_gradient", "times image", "share of the score", lambda s, x: x * input_gradient(s, x)),
    ("input_gradient", "unit length", "scaled to length 1", lambda s, x: torch.nn.functional.normalize(
        input_gradient(s, x).flatten(), dim=0).view_as(x)),
    ("input_gradient", "largest 1", "largest entry",
     lambda s, x: input_gradient(s, x) / input_gradient(s, x).abs().max()),
    ("input_gradient", "channels summed", "channels were summed", lambda s, x: input_gradient(s, x).sum(0)),
    ("input_gradient", "batch axis", "batch axis too many", lambda s, x: input_gradient(s, x).unsqueeze(0)),
    ("input_gradient", "squared score", "squared score", lambda s, x: input_gradient(lambda v: s(v) ** 2, x)),
    ("input_gradient", "added up", "added up", lambda s, x: 2 * input_gradient(s, x)),
    ("input_gradient", "no requires_grad", "never asked to follow", lambda s, x: torch.autograd.grad(s(x), x)[0]),
    ("null_direction", "strongest", "stretches most", lambda J: torch.linalg.eigh(J.T @ J)[1][:, -1]),
    ("null_direction", "reduced", "full_matrices=False", lambda J: -torch.linalg.svd(J, full_matrices=False)[2][-1]),
    ("null_direction", "column of Vh", "a column of Vᵀ", lambda J: torch.linalg.svd(J).Vh[:, -1]),
    ("null_direction", "left", "lives among the m outputs", lambda J: torch.linalg.svd(J).U[:, -1]),
    ("null_direction", "eigenvector of J", "eigenvectors exist for square", lambda J: torch.linalg.eig(J)[1][:, 0]),
    ("null_direction", "row of eigenvectors", "puts them in columns", lambda J: torch.linalg.eigh(J.T @ J)[1][0]),
    ("null_direction", "zero", "it is no direction", lambda J: J.new_zeros(J.shape[1])),
    ("null_direction", "row of J", "as far from the null space", lambda J: J[0] / J[0].norm()),
    ("null_direction", "twice as long", "‖v‖ = 2.0000", lambda J: 2 * null_direction(J)),
]

CHANGES = [(" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), ("2 * h", "h"), ("0.5 *", "1.0 *"),
           ("0.5 /", "1.0 /"), ("dim=1", "dim=0"), ("@ total", "* total"), ("(x) @", "(0 * x) @"),
           ("total @", "total *"),
           ("[i]", "[0]"), ("[j]", "[0]"), ("[:, j]", "[:, 0]"), ("(x,), (v,)", "(v,), (x,)"),
           ("Vh[-1]", "Vh[0]"), ("[:, 0]", "[:, -1]"), ("[:, -1]", "[:, 0]"), ("u, v)", "u, 2 * v)"),
           ("return ", "return 2 * "), ("x.grad = None", "pass"), ("retain_graph=True", "retain_graph=False"),
           (".T", ""), ("mode=\"complete\"", "mode=\"reduced\""), ("full_matrices=True", "full_matrices=False"),
           ("reversed(fs)", "fs"), ("points[-1]", "points[0]"), ("fs[1:]", "fs[:1]"), ("argmax", "argmin"),
           ("jacrev(f)(x)", "jacrev(f)(f(x))"), ("jvp(f", "vjp(f"), (".requires_grad_()", "")]
