"""Exercise 5: find the two flaws of an inverse."""

from __future__ import annotations

from tutorial_lib.checks.ch05.probes import differ
from tutorial_lib.checks.ch10.block import Block, halves, joined, total
from tutorial_lib.checks.ch10.probes import like, maps_differ, pyramid
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot
from tutorial_lib.flows.cross_scale_coupling import unstretch

TRAINED = (0.9, -0.7, 1.1)


def _returns(block, zs):
    return like("xs", zs), TensorSlot("log_det", zs[0].shape[:1], "(B,)", zs[0].dtype)


def _probe(c=1):
    block, xs = Block(TRAINED, c), pyramid(2 * c, 4, seed=61, batch=3)
    return block, xs, *block(xs)


def _round_trip(call):
    block, xs, zs, _ = _probe(c=2)
    where = maps_differ("inverse(forward(xs))", call(block, zs)[0], xs, 1e-9, "xs")
    return where and f"with gammas {', '.join(map(str, TRAINED))}: {where}"


def _negated(call):
    block, _, zs, log_det = _probe()
    return differ("log_det", call(block, zs)[1], -log_det, 1e-9, "minus the forward one")


def _rows(call):
    block, _, zs, _ = _probe()
    where = maps_differ("xs", call(block, tuple(z[1:] for z in zs))[0], tuple(x[1:] for x in call(block, zs)[0]), 1e-9,
                        "that of the same sample in a batch")
    return where and (where, "something was reduced over the batch axis")


def _inverse(block, zs, undo=unstretch, log_det=lambda a, b: -total(a, b), see=lambda z2, x2: x2, released=False):
    z1, z2 = halves(zs)
    s_b, t_b = block.b(z1)
    x2 = undo(z2, s_b, t_b)
    s_a, t_a = block.a(see(z2, x2))
    return joined(undo(z1, s_a, t_b if released else t_a), x2), log_det(s_a, s_b)


def _forward_order(block, zs):
    z1, z2 = halves(zs)
    s_a, t_a = block.a(z2)
    x1 = unstretch(z1, s_a, t_a)
    s_b, t_b = block.b(x1)
    return joined(x1, unstretch(z2, s_b, t_b)), -total(s_a, s_b)


def _exchanged(block, zs):
    z1, z2 = halves(zs)
    s_b, t_b = block.a(z1)
    x2 = unstretch(z2, s_b, t_b)
    s_a, t_a = block.b(x2)
    return joined(unstretch(z1, s_a, t_a), x2), -total(s_a, s_b)


def _fed_changed(block, zs):
    z1, z2 = halves(zs)
    s_b, t_b = block.b(z2)
    x2 = unstretch(z2, s_b, t_b)
    s_a, t_a = block.a(x2)
    return joined(unstretch(z1, s_a, t_a), x2), -total(s_a, s_b)


def _halves_exchanged(block, zs):
    xs, log_det = _inverse(block, zs)
    return joined(*halves(xs)[::-1]), log_det


def _with(**changed):
    return lambda block, zs: _inverse(block, zs, **changed)


def _step(change):
    return _with(undo=lambda ys, s, t: tuple(map(change, ys, s, t)))


INVERSE = Exercise(
    name="fixed_inverse", minutes=13, returns=(_returns,),
    laws=(Law("it does not undo the block once the gammas are not zero", _round_trip),
          Law("the inverse log_det is not minus the forward one", _negated),
          Law("the samples of a batch depend on each other", _rows)),
    passes="round trip to 1e-9 at three scales with gammas away from zero, log_det negated",
    hints=("Write the forward block as two lines: z1 = … a(x2) …, then z2 = … b(z1) …. Which of them can you undo with "
           "what you have, z1 and z2?",
           "z1 is known, so b(z1) is known: that gives x2 back. Then a(x2) is known. Whose t shifted the first halves?",
           "Look at t in the line that makes x1, and at the sign of log_det in the last line."),
    suspects=(
        Suspect("this is the released inverse: the t of the first halves was taken from b, which shifted the second "
                "halves; and log_det is not negated", _with(released=True, log_det=total)),
        Suspect("one flaw is left: the t of the first halves must come from a", _with(released=True)),
        Suspect("one flaw is left: log_det must change its sign on the way back", _with(log_det=total)),
        Suspect("the halves were undone in forward order: z2 was made last, so it is undone first", _forward_order),
        Suspect("a was fed z2, the half that has not been undone yet: it must see x2", _with(see=lambda z2, x2: z2)),
        Suspect("b was fed z2: in the block it saw z1", _fed_changed),
        Suspect("a and b changed places: b made the second halves, so b undoes them", _exchanged),
        Suspect("this is the block itself, not its inverse", lambda block, zs: block(zs)),
        Suspect("divided before subtracting: the shift came last, so it goes first",
                _step(lambda y, s, t: y * (-s).exp() - t)),
        Suspect("multiplied by exp(s): the block did that already, so divide",
                _step(lambda y, s, t: (y - t) * s.exp())),
        Suspect("t was added: the block did that already, so subtract", _step(lambda y, s, t: (y + t) * (-s).exp())),
        Suspect("the shift was not undone", _step(lambda y, s, t: y * (-s).exp())),
        Suspect("the stretching was not undone", _step(lambda y, s, t: y - t)),
        Suspect("log_det counts a alone: b stretched the second halves", _with(log_det=lambda a, b: -total(a))),
        Suspect("log_det counts b alone: a stretched the first halves", _with(log_det=lambda a, b: -total(b))),
        Suspect("log_det counts scale 0 only", _with(log_det=lambda a, b: -total(a[:1], b[:1]))),
        Suspect("log_det is zero on the way back", _with(log_det=lambda a, b: 0 * total(a, b))),
        Suspect("log_det was summed over the batch", _with(log_det=lambda a, b: -total(a, b).sum())),
        Suspect("the halves came back exchanged: joined(x1, x2), the first half first",
                lambda block, zs: _halves_exchanged(block, zs)),
        Suspect("zs came back unchanged", lambda block, zs: (zs, 0 * total(zs))),
    ),
)
