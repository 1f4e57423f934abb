"""Exercise 3: ActNorm's start and its log_det."""

from __future__ import annotations

from tutorial_lib.checks.ch05.probes import differ, normal
from tutorial_lib.checks.ch06.probes import map_log_det, maps
from tutorial_lib.checks.core import Exercise, Law, Suspect
from tutorial_lib.checks.slots import TensorSlot

SHAPE = (3, 4, 2, 5)


def _parameters(x):
    return (TensorSlot("log_s", x.shape[1:2], "(C,)", x.dtype), TensorSlot("b", x.shape[1:2], "(C,)", x.dtype))


def _mapped(x, log_s, b):
    return TensorSlot("z", x.shape, "(B, C, H, W)", x.dtype), TensorSlot("log_det", x.shape[:1], "(B,)", x.dtype)


def _start(x, axes=(0, 2, 3)):
    mean, std = x.mean(axes), x.std(axes, correction=0)
    return -std.log(), -mean / std


def _forward(x, log_s, b):
    return x * log_s.exp().view(1, -1, 1, 1) + b.view(1, -1, 1, 1)


def _normalised(init, forward):
    x = maps(*SHAPE, seed=21)
    z = _forward(x, *init(x))
    mean, var = z.mean((0, 2, 3)), z.var((0, 2, 3), correction=0)
    worst = int((mean.abs() + (var - 1).abs()).argmax())
    if mean.abs().max() < 1e-9 and (var - 1).abs().max() < 0.05:      # 0.05: n or n − 1 in the variance, both are right
        return None
    return (f"channel {worst} of z = x · exp(log_s) + b has mean {float(mean[worst]):.3f}, due is 0, and variance "
            f"{float(var[worst]):.3f}, due is 1")


def _map(init, forward):
    x, log_s, b = maps(*SHAPE, seed=22), normal(4, seed=23), normal(4, seed=24)
    return differ("z", forward(x, log_s, b)[0], _forward(x, log_s, b), 1e-9, "x · exp(log_s) + b, channel by channel")


def _log_det(init, forward):
    for shape in (SHAPE, (2, 3, 4, 1)):
        x, log_s, b = maps(*shape, seed=25), normal(shape[1], seed=26), normal(shape[1], seed=27)
        truth = map_log_det(lambda v, log_s=log_s, b=b: forward(v, log_s, b), x)
        found = differ(f"on maps {shape}, log_det", forward(x, log_s, b)[1], truth, 1e-6, "ln|det J|")
        if found:
            return found
    return None


def _log_dets(value):
    """The right z with another log_det."""
    return lambda x, log_s, b: (_forward(x, log_s, b), value(x, log_s).expand(len(x)))


ACTNORM = Exercise(
    name="actnorm_init", minutes=8, functions=("actnorm_init", "actnorm_forward"), returns=(_parameters, _mapped),
    laws=(Law("after the start, a channel does not have mean 0 and variance 1", _normalised),
          Law("z is not x · exp(log_s) + b", _map),
          Law("log_det is not ln|det ∂z/∂x|", _log_det)),
    passes="every channel starts with mean 0 and variance 1, log_det = H · W · Σ log_s",
    hints=("One mean and one deviation per channel. Over which three axes do you average, so that the shape (C,) is "
           "left?",
           "z = x · exp(log_s) + b shall be (x − mean) / std. Compare the factors of x, then what is left over.",
           "Every channel is scaled at every pixel: how many times does log_s of a channel stand on the diagonal?"),
    suspects=(
        Suspect("log_s has the wrong sign: dividing by std means multiplying by exp(−ln std)",
                lambda x: (-_start(x)[0], _start(x)[1])),
        Suspect("b is −mean: the mean is divided by std too, because the shift comes after the scaling",
                lambda x: (_start(x)[0], -x.mean((0, 2, 3)))),
        Suspect("two slips: +ln std where −ln std is due, and the mean was not divided by std",
                lambda x: (-_start(x)[0], -x.mean((0, 2, 3)))),
        Suspect("+ln std, and a shift that fits it: both multiply by std where a division is due",
                lambda x: (-_start(x)[0], -x.mean((0, 2, 3)) / _start(x)[0].exp())),
        Suspect("two slips: 1 / std where its logarithm is due, and the mean was not divided by std",
                lambda x: (_start(x)[0].exp(), -x.mean((0, 2, 3)))),
        Suspect("b is +mean / std: the mean must be taken away",
                lambda x: (_start(x)[0], -_start(x)[1])),
        Suspect("divided by the variance: its root is the deviation",
                lambda x: (2 * _start(x)[0], -x.mean((0, 2, 3)) / x.var((0, 2, 3), correction=0))),
        Suspect("the variance's logarithm was used for log_s: half of it is due",
                lambda x: (2 * _start(x)[0], _start(x)[1])),
        Suspect("one mean and deviation for all channels together: each channel has its own",
                lambda x: tuple(v.expand(x.shape[1]) for v in _start(x, (0, 1, 2, 3)))),
        Suspect("statistics of the first map alone: average over the batch as well",
                lambda x: _start(x[:1])),
        Suspect("statistics per sample: average over the batch as well, so that (C,) is left",
                lambda x: _start(x, (2, 3))),
        Suspect("statistics per pixel: average over the positions as well, so that (C,) is left",
                lambda x: _start(x, (0,))),
        Suspect("log_s holds the scale itself: its logarithm is due",
                lambda x: (_start(x)[0].exp(), _start(x)[1])),
        Suspect("H · W is missing: each channel is scaled at every one of its positions",
                _log_dets(lambda x, log_s: log_s.sum()), index=1),
        Suspect("the batch was counted too: log_det is that of one map, H · W · Σ log_s",
                _log_dets(lambda x, log_s: x[:, 0].numel() * log_s.sum()), index=1),
        Suspect("the wrong sign of log_det: z is x multiplied by exp(log_s)",
                _log_dets(lambda x, log_s: -x[0, 0].numel() * log_s.sum()), index=1),
        Suspect("a mean over the channels where a sum is due",
                _log_dets(lambda x, log_s: x[0, 0].numel() * log_s.mean()), index=1),
        Suspect("a single number for the whole batch: .expand(len(x)) gives every map its own",
                lambda x, log_s, b: (_forward(x, log_s, b), x[0, 0].numel() * log_s.sum()), index=1),
        Suspect("H + W instead of H · W: a map has H · W positions",
                _log_dets(lambda x, log_s: (x.shape[2] + x.shape[3]) * log_s.sum()), index=1),
        Suspect("log_s was used as the scale: multiply by exp(log_s)",
                lambda x, log_s, b: (x * log_s.view(1, -1, 1, 1) + b.view(1, -1, 1, 1),
                                     (x[0, 0].numel() * log_s.sum()).expand(len(x))), index=1),
    ),
)
