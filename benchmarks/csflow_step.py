"""One training step of CS-Flow's flow: ours against a straightforward version of the same maths.

    python benchmarks/csflow_step.py            about four minutes on one idle core; the paper's size needs 8 GB
    python benchmarks/csflow_step.py small      one case alone; prints and stores nothing

Straightforward: each map is enlarged first and convolved then, and Adam is torch's default. Ours mixes the channels
before it enlarges (``flows.enlarged_conv``), and Adam is one fused kernel. Latents and log_dets of the two are compared
before anything is timed. The two take turns, five times each, on the same weights; the medians count. Writes
``benchmarks/results/10_csflow_step.json``. ``paper`` is the paper's structure with maps of a 768 px image,
``small`` the setting of chapter 10.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
from pathlib import Path

import torch
from steps import matmul_peak, shares, timed
from torch import nn

from tutorial_lib.detectors import CSFlow
from tutorial_lib.detectors.training import adam
from tutorial_lib.flows import CrossScaleNet, cross_scale_net
from tutorial_lib.flows.enlarged_conv import conv_of_enlarged, enlarged

OUT = Path(__file__).with_name("results") / "10_csflow_step.json"
ROUNDS = 5
CASES = {  # detector, images a step, steps a measurement
    "paper": (lambda: CSFlow.paper(weights="random", gamma=0.1), 2, 1),
    "small": (lambda: CSFlow.small(whiten=False, gamma=0.1), None, 4),
}
WAYS = {"ours": conv_of_enlarged, "straightforward": lambda h, conv: conv(enlarged(h))}


class Trainer:
    """One way to take a step: how enlarged maps are convolved, and which Adam. The weights are shared."""

    def __init__(self, name: str, flow: nn.Module, detector: CSFlow):
        s, self.flow, self.way, self.clip = detector.settings, flow, WAYS[name], detector.settings.clip
        make = adam if name == "ours" else torch.optim.Adam
        self.optimiser = make(flow.parameters(), lr=1e-6, eps=s.eps, weight_decay=s.weight_decay)

    def forward(self, y):
        """(z, log_det) this way."""
        cross_scale_net.conv_of_enlarged = self.way
        return self.flow(y)

    def step(self, y) -> None:
        """Forward, backward, cut the gradient, Adam."""
        loss = CSFlow.loss(*self.forward(y)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.flow.parameters(), self.clip)
        self.optimiser.step()


def flops(flow: nn.Module, shapes, images: int) -> float:
    """Of the straightforward convolutions in one step: 2 for each product, three times (forward, inputs, weights)."""
    places, total = [shape[1] * shape[2] for shape in shapes], 0
    for net in flow.modules():
        if isinstance(net, CrossScaleNet):
            pairs = [*zip(net.own, places, strict=True), *zip(net.same, places, strict=True),
                     *zip(net.down, places[1:], strict=True), *zip(net.up, places[:-1], strict=True)]
            total += sum(conv.weight.numel() * n for conv, n in pairs)
    return 6.0 * total * images


def measure(make, images: int | None, times: int) -> dict:
    """Both versions of one case, in turns."""
    detector = make()
    shapes, images = detector.shapes, images or detector.settings.images_per_step
    flow = detector.build_flow().transform
    draw = torch.Generator().manual_seed(0)
    y = tuple(torch.randn(images, *shape, generator=draw) for shape in shapes)
    both, off = {name: Trainer(name, flow, detector) for name in WAYS}, 0.0
    with torch.no_grad():
        (z, log_det), (other, other_log_det) = (one.forward(y) for one in both.values())
        for ours, theirs in zip((*z, log_det), (*other, other_log_det), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
            off = max(off, float((ours - theirs).abs().max() / ours.abs().max()))
    for one in both.values():
        one.step(y)  # the first one allocates
    spent = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, one in both.items():
            spent[name].append(timed(lambda one=one: one.step(y), times))
    median = {name: statistics.median(t) for name, t in spent.items()}
    peak, work = matmul_peak(), flops(flow, shapes, images)
    return {"images_per_step": images, "parameters": sum(p.numel() for p in flow.parameters()),
            "largest_relative_difference": float(f"{off:.1e}"),
            "seconds": {name: [round(t, 4) for t in ts] for name, ts in spent.items()},
            "median": {name: round(t, 4) for name, t in median.items()},
            "ratio": round(median["straightforward"] / median["ours"], 3),
            "gflop_of_the_straightforward_convolutions": round(work / 1e9, 2),
            "matmul_peak_gflops": round(peak / 1e9, 1),
            "share_of_peak": {name: round(work / t / peak, 3) for name, t in median.items()},
            "where_the_time_goes": {name: shares(lambda one=one: one.step(y)) for name, one in both.items()},
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def main() -> None:
    """Measure on one thread, smallest case first; print, and store where all cases were measured."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chosen = sys.argv[1:] or ["small", "paper"]
    found = {"what": __doc__.splitlines()[0], "threads": 1, "load_before": round(os.getloadavg()[0], 1),
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
             "cases": {name: measure(*CASES[name]) for name in chosen}}
    for name, case in found["cases"].items():
        ours, other = case["median"].values()
        print(f"{name}: ours {ours:.3f} s, straightforward {other:.3f} s, ratio {case['ratio']:.2f}; shares of the "
              f"matmul peak {case['share_of_peak']}; {case['where_the_time_goes']['ours']}")
    if len(chosen) == len(CASES):
        part = OUT.with_suffix(".part")
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        os.replace(part, OUT)


if __name__ == "__main__":
    main()
