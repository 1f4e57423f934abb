"""Do two-sided coupling blocks need a permutation between them? Two moons, four seeds, with and without.

    python benchmarks/two_sided.py        twelve seconds on one core

Prints the mean -log p(x) on held-out moons, in nats, for each seed (chapter 05 quotes it).
"""

from __future__ import annotations

import torch

from tutorial_lib import flows
from tutorial_lib.data import toys

SEEDS, BLOCKS, STEPS = (0, 1, 2, 3), 4, 300


def held_out_nll(swap: bool, seed: int) -> float:
    """Train ``BLOCKS`` two-sided blocks, with the halves swapped between them or not."""
    torch.manual_seed(seed)
    parts = []
    for _ in range(BLOCKS):
        parts += [flows.TwoSidedCoupling(2, flows.dense(32), flows.AtanClamp(2.0))]
        parts += [flows.Permutation(2, seed=0)] if swap else []  # seed 0 exchanges the two coordinates
    flow = flows.Flow(flows.Chain(*parts), (2,))
    flows.maximum_likelihood(flow, toys.two_moons(2000, seed=0), steps=STEPS, batch=256, lr=5e-3, seed=seed)
    with torch.no_grad():
        return flow.nll(toys.two_moons(2000, seed=1)).item()


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert flows.Permutation(2, seed=0).index.tolist() == [1, 0]
    for swap in (False, True):
        found = torch.tensor([held_out_nll(swap, seed) for seed in SEEDS])
        print(f"{'with' if swap else 'without'} swaps: " + ", ".join(f"{v:.2f}" for v in found.tolist())
              + f"   mean {found.mean():.2f}, sd {found.std():.2f} over seeds {SEEDS}")
