"""One training step of DifferNet's flow: ours against the released pattern of two passes and default Adam.

    python benchmarks/differnet_step.py            about two minutes on one idle core; the paper's size needs 6 GB

The released code runs every s/t network twice: once for z and once for log_det. Same weights and numbers in, same
maths: the two losses are compared before anything is timed. The two take turns, five times each; the medians count.
Writes ``benchmarks/results/08_differnet_step.json``. ``paper`` is the paper's structure and its 24 images of 4 views,
``small`` the setting of chapter 08.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import statistics
from pathlib import Path

import torch
from steps import matmul_peak, shares, timed
from torch import nn

from tutorial_lib.detectors import DifferNet
from tutorial_lib.detectors.training import adam

OUT = Path(__file__).with_name("results") / "08_differnet_step.json"
ROUNDS = 5
CASES = {  # detector, entries of a vector, vectors a step, steps a measurement
    "paper": (lambda: DifferNet.paper(weights="random"), 768, 96, 1),
    "small": (lambda: DifferNet.small(zero_init=False), 1344, 64, 8),
}


def once(flow: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The loss from one pass."""
    return DifferNet.loss(*flow(x)).mean()


def twice(flow: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The loss from two passes: z of the first, log_det of the second."""
    return DifferNet.loss(flow(x)[0], flow(x)[1]).mean()


def step(loss, flow: nn.Module, optimiser, x: torch.Tensor) -> float:
    """One optimiser step."""
    value = loss(flow, x)
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    optimiser.step()
    return float(value.detach())


def measure(make, dim: int, vectors: int, steps: int) -> dict:
    """Both versions of one case, in turns."""
    detector = make()
    flow = detector.build_flow(dim)
    twin = copy.deepcopy(flow)
    x = torch.randn(vectors, dim, generator=torch.Generator().manual_seed(0))
    s = detector.settings
    numbers = {"lr": s.lr, "betas": s.betas, "eps": s.eps, "weight_decay": s.weight_decay}
    with torch.no_grad():
        off = abs(float(once(flow, x) / twice(twin, x) - 1))
    assert off < 1e-6, off
    ours = (once, flow, adam(flow.parameters(), **numbers), x)
    theirs = (twice, twin, torch.optim.Adam(twin.parameters(), **numbers), x)
    times = {"ours": [], "two passes": []}
    for args in (ours, theirs):
        step(*args)  # the first one allocates
    for _ in range(ROUNDS):
        for name, args in (("ours", ours), ("two passes", theirs)):
            times[name].append(timed(lambda args=args: step(*args), steps))
    median = {name: statistics.median(t) for name, t in times.items()}
    peak = matmul_peak()
    work = 6.0 * vectors * sum(p.numel() for p in flow.parameters() if p.ndim == 2)  # forward, and back to two sides
    return {"vectors_per_step": vectors, "largest_relative_difference": float(f"{off:.1e}"),
            "seconds": {name: [round(t, 4) for t in ts] for name, ts in times.items()},
            "median": {name: round(t, 4) for name, t in median.items()},
            "ratio": round(median["two passes"] / median["ours"], 3),
            "gflop_of_the_matrix_products": round(work / 1e9, 2), "matmul_peak_gflops": round(peak / 1e9, 1),
            "share_of_peak": round(work / median["ours"] / peak, 3),
            "where_the_time_goes": {"ours": shares(lambda: step(*ours)), "two passes": shares(lambda: step(*theirs))}}


def main() -> None:
    """Measure all cases on one thread, print and store them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = {"what": __doc__.splitlines()[0], "threads": 1, "load_before": round(os.getloadavg()[0], 1),
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
             "cases": {name: measure(*case) for name, case in CASES.items()}}
    for name, case in found["cases"].items():
        print(name, case["median"], f"ratio {case['ratio']}", f"share of peak {case['share_of_peak']}")
    part = OUT.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(part, OUT)


if __name__ == "__main__":
    main()
