"""The same weights and the same input give what FrEIA 0.2 gives: GLOW block (every clamp form) and AllInOneBlock."""

import warnings

import numpy as np
import pytest
import torch

from tutorial_lib import flows
from tutorial_lib.flows import Atan0636Clamp, Atan0636RawClamp, SigmoidClamp, TanhClamp, conv, dense

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)             # its docstrings hold "\m" outside raw strings
    modules = pytest.importorskip("FrEIA.modules")

ALPHA = 3.0
CLAMPS = {"ATAN": Atan0636RawClamp(ALPHA), "TANH": TanhClamp(ALPHA), "SIGMOID": SigmoidClamp(ALPHA),
          "published": Atan0636Clamp(ALPHA)}
ACTIVATIONS = {"published": lambda u: 0.636 * torch.atan(u / ALPHA)}    # the form of 2020, as in DifferNet's code
SIZES = {"vector": ((), dense(16, depth=2)), "map": ((3, 4), conv(6))}  # size behind the channel axis, subnet


@pytest.fixture(autouse=True)
def _own_random_state():
    state = np.random.get_state()                              # AllInOneBlock draws from the global generator
    np.random.seed(11)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        yield
    np.random.set_state(state)


def agree(ours, theirs, x, cond=None):
    """z, log_det and the inverse to rtol 1e-10 in float64."""
    extra = [] if cond is None else [cond]
    z, log_det = ours(x, cond)
    (their_z,), their_log_det = theirs([x], extra)
    torch.testing.assert_close(z, their_z, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(log_det, their_log_det, rtol=1e-10, atol=1e-12)
    assert log_det.abs().min() > 1e-3                          # an agreement on zero would say nothing
    back, back_log_det = ours.inverse(z, cond)
    (their_back,), their_back_log_det = theirs([z], extra, rev=True)
    torch.testing.assert_close(back, their_back, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(back_log_det, their_back_log_det, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", CLAMPS)
@pytest.mark.parametrize(("channels", "cond"), [(6, 0), (5, 0), (6, 2)])
def test_two_sided_coupling_equals_the_glow_block(size, form, channels, cond):
    rest, subnet = SIZES[size]
    theirs = modules.GLOWCouplingBlock(
        [(channels, *rest)], [(cond, *rest)] if cond else [], subnet_constructor=subnet, clamp=ALPHA,
        clamp_activation=ACTIVATIONS.get(form, form), split_len=channels - channels // 2).double()
    ours = flows.TwoSidedCoupling(channels, subnet, CLAMPS[form], cond_dim=cond).double()
    ours.a.net.load_state_dict(theirs.subnet2.state_dict())    # reads the second part, changes the first
    ours.b.net.load_state_dict(theirs.subnet1.state_dict())
    x = torch.randn(4, channels, *rest).double()
    agree(ours, theirs, x, torch.randn(4, cond, *rest).double() if cond else None)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("soft", [False, True], ids=["permutation", "rotation"])
@pytest.mark.parametrize("channels", [6, 5])
def test_three_parts_equal_the_all_in_one_block(size, soft, channels):
    rest, subnet = SIZES[size]
    theirs = modules.AllInOneBlock([(channels, *rest)], subnet_constructor=subnet, affine_clamping=ALPHA,
                                   permute_soft=soft, global_affine_type="EXP").double()
    with torch.no_grad():
        for p in (theirs.global_scale, theirs.global_offset):
            p.add_(0.3 * torch.randn_like(p))
    coupling = flows.AffineCoupling(channels, subnet, TanhClamp(ALPHA, gain=0.1))
    norm = flows.ActNorm(channels)
    mixer = flows.Rotation(channels, 0) if soft else flows.Permutation(channels, 0)
    ours = flows.Chain(coupling, norm, mixer).double().eval()
    with torch.no_grad():
        coupling.scale_shift.net.load_state_dict(theirs.subnet.state_dict())
        last = list(coupling.scale_shift.net)[-1]
        last.weight[channels // 2:] *= 0.1                     # it damps t by 0.1 as well: here part of the weights
        last.bias[channels // 2:] *= 0.1
        norm.log_s.copy_(theirs.global_scale.flatten())
        norm.b.copy_(theirs.global_offset.flatten())
        matrix = theirs.w_perm.view(channels, channels)
        if soft:
            mixer.matrix = matrix.clone()
        else:
            mixer.index, mixer.inverse_index = matrix.argmax(1), matrix.argmax(0)
    agree(ours, theirs, torch.randn(4, channels, *rest).double())


def test_a_checkpoint_of_one_clamp_generation_gives_other_numbers_in_the_next():
    """The clamp trap: the same weights, the same alpha, two forms. Near s = 0 the log-scales differ by the factor 3."""
    published, later = (flows.TwoSidedCoupling(6, dense(16), CLAMPS[form]).double() for form in ("published", "ATAN"))
    later.load_state_dict(published.state_dict())
    x = 1e-3 * torch.randn(50, 6).double()
    with torch.no_grad():
        for module in (*published.modules(), *later.modules()):
            if isinstance(module, torch.nn.Linear):
                module.bias.zero_()                            # then s is small where x is
        ratio = later(x)[1] / published(x)[1]
    torch.testing.assert_close(ratio, torch.full_like(ratio, ALPHA), rtol=1e-2, atol=0)
    with torch.no_grad():
        assert (later(1e3 * x)[0] - published(1e3 * x)[0]).abs().max() > 0.05
