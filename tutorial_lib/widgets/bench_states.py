"""The 32 small flows of the break-it bench: how each was trained, and what was measured on it.

The weights lie beside this file. ``python -m tutorial_lib.widgets.bench_states`` trains them again (half a minute).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tutorial_lib import flows
from tutorial_lib.data import toys

FILE = Path(__file__).with_name("bench_states.safetensors")
DEPTHS = (1, 2, 4, 8)
STEPS, BATCH, LEARNING_RATE, HIDDEN = 500, 256, 0.01, 24


@dataclass(frozen=True)
class Switches:
    """One state of the bench. ``exchange``: every second coupling swaps the roles of the two coordinates."""

    exchange: bool = True
    clamp: bool = True
    depth: int = 8
    log_det: bool = True

    @property
    def key(self) -> str:
        return f"{'x' if self.exchange else '-'}{'c' if self.clamp else '-'}{'d' if self.log_det else '-'}{self.depth}"


STATES = tuple(Switches(e, c, d, g) for e, c, g, d in itertools.product((True, False), (True, False), (True, False),
                                                                        DEPTHS))


def build(state: Switches) -> flows.Flow:
    """The untrained flow of a state: one-sided couplings on two numbers."""
    clamp = flows.AtanClamp(2.0) if state.clamp else flows.NoClamp()
    layers = [flows.AffineCoupling(2, flows.dense(HIDDEN), clamp, swap=state.exchange and k % 2 == 1)
              for k in range(state.depth)]
    return flows.Flow(flows.Chain(*layers), (2,))


def train(state: Switches, steps: int = STEPS) -> tuple[flows.Flow, Tensor]:
    """Train a state on two moons; returns the flow and the loss of every step. Where ``log_det`` is off, the loss
    is the mean of -log p(z) alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = build(state)
    data, draw = toys.two_moons(2000, seed=0), torch.Generator().manual_seed(0)
    optimiser, losses = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE, fused=True), []
    for _ in range(steps):
        x = data[torch.randint(len(data), (BATCH,), generator=draw)]  # (B, 2)
        z, log_det = flow(x)
        loss = -(flows.standard_normal_log_prob(z) + (log_det if state.log_det else 0.0)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 10.0)  # without the clamp a step can be very large
        optimiser.step()
        losses.append(loss.item())
    return flow.eval(), torch.tensor(losses)


@cache
def _stored() -> dict[str, Tensor]:
    if not FILE.exists():
        raise FileNotFoundError(f"{FILE.name} is missing from the package. Run "
                                "'python -m tutorial_lib.widgets.bench_states' to train its flows again.")
    return load_file(FILE)


@cache
def load(state: Switches) -> tuple[flows.Flow, Tensor]:
    """The stored flow of a state and its losses, every fifth step."""
    stored, flow = _stored(), build(state)
    flow.load_state_dict({n: stored[f"{state.key}/{n}"] for n in flow.state_dict()})
    return flow.eval().requires_grad_(False), stored[f"{state.key}/losses"]


def main() -> None:
    """Train every state and write the file."""
    torch.set_num_threads(1)  # small matrices: one thread is faster, and the result does not depend on the machine
    tensors = {}
    for state in STATES:
        flow, losses = train(state)
        tensors |= {f"{state.key}/{name}": value.contiguous() for name, value in flow.state_dict().items()}
        tensors[f"{state.key}/losses"] = losses[::5].contiguous()
        print(f"{state.key}  loss {losses[-50:].mean():.3f}")
    save_file(tensors, FILE)


if __name__ == "__main__":
    main()
