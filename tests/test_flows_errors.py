"""Wrong shapes and settings get a sentence that says what was found and what was expected."""

import pytest
import torch

from tutorial_lib import flows
from tutorial_lib.flows import AtanClamp, conv, dense

CLAMP = AtanClamp(2.0)
X = torch.zeros(2, 4)

CASES = {
    "too many channels": (lambda: flows.AffineCoupling(4, dense(4), CLAMP)(torch.zeros(2, 5)),
                          r"AffineCoupling received a tensor of shape \(2, 5\).*Expected \(B, 4\)"),
    "three axes": (lambda: flows.Permutation(4, 0)(torch.zeros(2, 4, 3)), r"shape \(2, 4, 3\)"),
    "one channel": (lambda: flows.TwoSidedCoupling(1, dense(4), CLAMP), "at least 2 channels"),
    "condition missing": (lambda: flows.AffineCoupling(4, dense(4), CLAMP, cond_dim=3)(X),
                          r"received no condition. Expected shape \(2, 3\)"),
    "condition not wanted": (lambda: flows.AffineCoupling(4, dense(4), CLAMP)(X, X), "cond_dim to use one"),
    "condition of another size": (lambda: flows.TwoSidedCoupling(4, conv(4), CLAMP, cond_dim=3)(
        torch.zeros(2, 4, 6, 6), torch.zeros(2, 3, 3, 3)), r"shape \(2, 3, 3, 3\). Expected shape \(2, 3, 6, 6\)"),
    "subnet too narrow": (lambda: flows.AffineCoupling(4, lambda a, b: torch.nn.Linear(a, b // 2), CLAMP)(X),
                          r"subnet returned a tensor of shape \(2, 2\). Expected \(2, 4\)"),
    "subnet shrinks the map": (lambda: flows.AffineCoupling(4, lambda a, b: torch.nn.Conv2d(a, b, 3), CLAMP)(
        torch.zeros(2, 4, 6, 6)), r"shape \(2, 4, 4, 4\). Expected \(2, 4, 6, 6\)"),
    "even window": (lambda: conv(4, kernel=4), "kernel=4.*odd kernel"),
    "odd side": (lambda: flows.Squeeze()(torch.zeros(1, 3, 5, 4)), r"shape \(1, 3, 5, 4\).*even H and W"),
    "squeeze of a vector": (lambda: flows.Squeeze()(X), "even H and W"),
    "unsqueeze of 6 channels": (lambda: flows.Squeeze().inverse(torch.zeros(1, 6, 2, 2)), "four channels"),
    "actnorm of other channels": (lambda: flows.ActNorm(3)(X), r"ActNorm received.*Expected \(B, 3\)"),
}


@pytest.mark.parametrize("name", CASES)
def test_error_is_a_sentence(name):
    call, message = CASES[name]
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert str(error.value).endswith(".")
