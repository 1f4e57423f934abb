"""Two trained flows on 8 x 8 digits: what the latent sliders and chapter 06 open.

The weights lie beside this file. ``python -m tutorial_lib.widgets.picture_flows`` trains them again (three minutes).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tutorial_lib import flows
from tutorial_lib.data import glyph_images

FILE = Path(__file__).with_name("picture_flows.safetensors")
LEVELS = 17
PICTURES, BATCH = 20_000, 128
SCHEDULE = ((3000, 3e-3), (1000, 3e-4))   # steps and learning rate
CLAMP = flows.AtanClamp(2.0)


def steps(channels: int, n: int, hidden: int, first_seed: int = 0) -> list[flows.Chain]:
    """``n`` steps of a flow with convolutional couplings."""
    return [flows.glow_step(channels, flows.conv(hidden, zero_last=True), CLAMP, first_seed + k) for k in range(n)]


def one_scale() -> flows.Flow:
    """Squeeze twice, (B, 1, 8, 8) -> (B, 16, 2, 2), then eight steps."""
    return flows.Flow(flows.Chain(flows.Squeeze(), flows.Squeeze(), *steps(16, 8, 64)), (16, 2, 2))


def two_scales() -> flows.Flow:
    """Squeeze once, four steps on (B, 4, 4, 4); half of the channels leaves, half goes on as (B, 8, 2, 2)."""
    coarse = flows.Chain(flows.Squeeze(), *steps(8, 4, 64, first_seed=100), flows.Undo(flows.Squeeze()))
    return flows.Flow(flows.Chain(flows.Squeeze(), *steps(4, 4, 48), flows.FactorOut(4, coarse)), (4, 4, 4))


MAKERS = {"one scale": one_scale, "two scales": two_scales}


def pictures(n: int, seed: int) -> Tensor:
    """Digits with noise between the grey levels, (n, 1, 8, 8) in [0, 1)."""
    return flows.dequantise(glyph_images(n, levels=LEVELS, seed=seed), LEVELS, torch.Generator().manual_seed(seed))


def train(name: str, schedule: tuple[tuple[int, float], ...] = SCHEDULE) -> flows.Flow:
    """Train a flow by maximum likelihood; the global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = MAKERS[name]()
    x = pictures(PICTURES, seed=0)
    for part, (count, rate) in enumerate(schedule):
        flows.maximum_likelihood(flow, x, steps=count, batch=BATCH, lr=rate, seed=part)
    return flow.eval()


@cache
def load(name: str) -> flows.Flow:
    """The stored flow ``"one scale"`` or ``"two scales"``, in ``eval()``, frozen."""
    if not FILE.exists():
        raise FileNotFoundError(f"{FILE.name} is missing from the package. Run "
                                "'python -m tutorial_lib.widgets.picture_flows' to train its flows again.")
    stored, flow = load_file(FILE), MAKERS[name]()
    flow.load_state_dict({key: stored[f"{name}/{key}"] for key in flow.state_dict()})
    return flow.eval().requires_grad_(False)


def main() -> None:
    """Train both and write the file."""
    torch.set_num_threads(1)                # small maps: one thread is as fast
    tensors, held_out = {}, pictures(1000, seed=1)
    for name in MAKERS:
        flow = train(name)
        tensors |= {f"{name}/{key}": value.contiguous() for key, value in flow.state_dict().items()}
        with torch.no_grad():
            print(f"{name}: {flows.bits_per_dim(flow.nll(held_out), 64, LEVELS):.3f} bits per dimension on held-out")
    save_file(tensors, FILE)


if __name__ == "__main__":
    main()
