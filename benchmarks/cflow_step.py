"""One training step of CFlow-AD's flows: ours against FrEIA's AllInOneBlock with its soft permutation and default Adam.

    python benchmarks/cflow_step.py            about two minutes on one idle core; needs FrEIA
    python benchmarks/cflow_step.py small      one case alone; prints and stores nothing

Same weights, same vectors, same codes, same maths: latents and log_dets are compared before anything is timed. FrEIA
joins the code to each vector, as the released code does, and so do we. The two take turns, five times each; the medians
count. A step is one optimiser step for every depth. Writes ``benchmarks/results/09_cflow_step.json``. ``resnet18`` is
the paper's structure (three depths, 8 blocks, 256 vectors), ``small`` the setting of chapter 09.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import warnings
from pathlib import Path

import steps
import torch
from torch import Tensor, nn

from tutorial_lib.detectors import CFlow
from tutorial_lib.detectors.training import adam

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # its docstrings hold "\m" outside raw strings
    from FrEIA import framework, modules

OUT = Path(__file__).with_name("results") / "09_cflow_step.json"
ROUNDS = 5
CASES = {  # detector, steps a measurement
    "small": (lambda: CFlow.small(), 8),
    "resnet18": (lambda: CFlow.paper(backbone="resnet18", weights="random"), 1),
}


def freia_twin(flow: nn.Module, channels: int, detector: CFlow) -> nn.Module:
    """The same flow from FrEIA's blocks, with the same weights."""
    s, parts = detector.settings, list(flow.transform)
    stack = framework.SequenceINN(channels)
    for coupling, scale, rotation in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        stack.append(modules.AllInOneBlock, cond=0, cond_shape=(s.position_dim,), permute_soft=True,
                     affine_clamping=s.alpha, global_affine_type="SOFTPLUS",
                     subnet_constructor=lambda i, o: nn.Sequential(nn.Linear(i, s.width * i), nn.ReLU(),
                                                                   nn.Linear(s.width * i, o)))
        block = stack[-1]
        block.subnet.load_state_dict(coupling.scale_shift.net.state_dict())
        with torch.no_grad():
            block.global_scale.copy_(scale.q[None])
            block.global_offset.copy_(scale.b[None])
            block.w_perm.copy_(rotation.matrix)
            block.w_perm_inv.copy_(rotation.matrix.T)
    return stack


class Ours:
    """A step of this library: fused Adam, log-likelihoods by ``Flow``."""

    def __init__(self, detector: CFlow, flows: list[nn.Module]):
        self.detector, self.flows = detector, flows
        self.optimiser = adam([p for flow in flows for p in flow.parameters()], lr=1e-6)

    def forward(self, k: int, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """z and log_det of the vectors of depth ``k``."""
        return self.flows[k](x, code)

    def step(self, batch: list[tuple[Tensor, Tensor]]) -> None:
        """One optimiser step per depth, as in the released code."""
        for k, (x, code) in enumerate(batch):
            z, log_det = self.forward(k, x, code)
            level = (-0.9189385332 * x.shape[1] - 0.5 * z.square().sum(1) + log_det) / x.shape[1]
            loss = self.detector.loss(level).mean()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()


class Theirs(Ours):
    """The same step on FrEIA's blocks, with torch's default Adam."""

    def __init__(self, detector: CFlow, flows: list[nn.Module]):
        self.detector, self.flows = detector, flows
        self.optimiser = torch.optim.Adam([p for flow in flows for p in flow.parameters() if p.requires_grad], lr=1e-6)

    def forward(self, k: int, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        return self.flows[k](x, [code])


def flops(flows: list[nn.Module], vectors: int) -> float:
    """Of all matrix products in one step: 2 for each product; three times for what is trained, twice for rotations."""
    trained = sum(m.weight.numel() for flow in flows for m in flow.modules() if isinstance(m, nn.Linear))
    fixed = sum(t.numel() for flow in flows for name, t in flow.named_buffers() if name.endswith("matrix"))
    return 2.0 * vectors * (3 * trained + 2 * fixed)


def measure(make, times: int) -> dict:
    """Both versions of one case, in turns."""
    detector = make()
    s, draw = detector.settings, torch.Generator().manual_seed(0)
    channels = [tap.channels for tap in detector.backbone.taps.values()]
    flows = [detector.build_flow(c) for c in channels]
    code = detector.code(32, 32)
    batch = [(torch.randn(s.vectors_per_step, c, generator=draw),
              code[torch.randint(len(code), (s.vectors_per_step,), generator=draw)]) for c in channels]
    both = {"ours": Ours(detector, flows),
            "FrEIA": Theirs(detector, [freia_twin(f, c, detector) for f, c in zip(flows, channels, strict=True)])}
    off = 0.0
    with torch.no_grad():
        for k, (x, c) in enumerate(batch):
            for mine, other in zip(*(one.forward(k, x, c) for one in both.values()), strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
                off = max(off, float((mine - other).abs().max() / mine.abs().max()))
    for one in both.values():
        one.step(batch)  # the first one allocates
    spent = {name: [] for name in both}
    for _ in range(ROUNDS):
        for name, one in both.items():
            spent[name].append(steps.timed(lambda one=one: one.step(batch), times))
    median = {name: statistics.median(t) for name, t in spent.items()}
    peak, work = steps.matmul_peak(), flops(flows, s.vectors_per_step)
    return {"vectors_per_step": s.vectors_per_step, "channels": channels, "blocks": s.blocks,
            "parameters": sum(p.numel() for f in flows for p in f.parameters()),
            "largest_relative_difference": float(f"{off:.1e}"),
            "seconds": {name: [round(t, 4) for t in ts] for name, ts in spent.items()},
            "median": {name: round(t, 4) for name, t in median.items()},
            "ratio": round(median["FrEIA"] / median["ours"], 3), "gflop_of_the_matrix_products": round(work / 1e9, 2),
            "matmul_peak_gflops": round(peak / 1e9, 1),
            "share_of_peak": {name: round(work / t / peak, 3) for name, t in median.items()},
            "where_the_time_goes": {name: steps.shares(lambda one=one: one.step(batch)) for name, one in both.items()}}


def main() -> None:
    """Measure on one thread, smallest case first; print, and store where all cases were measured."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chosen = sys.argv[1:] or list(CASES)
    found = {"what": __doc__.splitlines()[0], "threads": 1, "load_before": round(os.getloadavg()[0], 1),
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
             "cases": {name: measure(*CASES[name]) for name in chosen}}
    for name, case in found["cases"].items():
        ours, other = case["median"].values()
        print(f"{name}: ours {ours:.3f} s, FrEIA {other:.3f} s, ratio {case['ratio']:.2f}; shares of the matmul peak "
              f"{case['share_of_peak']}; {case['where_the_time_goes']}")
    if len(chosen) == len(CASES):
        part = OUT.with_suffix(".part")
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        os.replace(part, OUT)


if __name__ == "__main__":
    main()
