"""One training step of FastFlow's flows: ours against a stack of FrEIA's AllInOneBlocks with default Adam.

    python benchmarks/fastflow_step.py        about two minutes on one idle core; needs FrEIA

Same weights, same numbers in, same maths: latents and log_dets are compared before anything is timed. The two take
turns, five times each; the medians count. Writes ``benchmarks/results/11_fastflow_step.json``. ``resnet18`` is the
paper's structure at 256 px (three flows of 8 blocks, 3 x 3), ``small`` the setting of chapter 11.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import warnings
from pathlib import Path

import torch
from steps import matmul_peak, shares, timed
from torch import Tensor, nn

from tutorial_lib.detectors import FastFlow
from tutorial_lib.detectors.training import adam

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)  # its docstrings hold "\m" outside raw strings
    from FrEIA import framework, modules

OUT = Path(__file__).with_name("results") / "11_fastflow_step.json"
ROUNDS = 5
CASES = {  # detector, maps of its taps, images a step, steps a measurement
    "resnet18": (lambda: FastFlow.paper(backbone="resnet18", weights="random"),
                 [(64, 64, 64), (128, 32, 32), (256, 16, 16)], 4, 1),
    "small": (lambda: FastFlow.small(zero_init=False, whiten=False),
              [(48, 16, 16), (96, 8, 8), (192, 4, 4)], 16, 8),
}


def freia_twin(heads: nn.ModuleList, shapes) -> nn.ModuleList:
    """The same flows from FrEIA's blocks, with the same weights."""
    twins = nn.ModuleList()
    for head, shape in zip(heads, shapes, strict=True):
        parts, stack = list(head.flow.transform), framework.SequenceINN(*shape)
        for coupling, mixer in zip(parts[::3], parts[2::3], strict=True):
            first, _, last = coupling.scale_shift.net
            sizes = (first.in_channels, first.out_channels, last.out_channels, first.kernel_size[0])

            def subnet(_in, _out, sizes=sizes):
                c_in, hidden, c_out, k = sizes
                return nn.Sequential(nn.Conv2d(c_in, hidden, k, padding=k // 2), nn.ReLU(),
                                     nn.Conv2d(hidden, c_out, k, padding=k // 2))

            stack.append(modules.AllInOneBlock, subnet_constructor=subnet, affine_clamping=2.0,
                         global_affine_type="SOFTPLUS", permute_soft=False)
            block = stack[-1]
            block.subnet.load_state_dict(coupling.scale_shift.net.state_dict())
            eye = torch.eye(shape[0])[mixer.index]  # row i picks channel index[i]
            block.w_perm.data.copy_(eye[:, :, None, None])
            block.w_perm_inv.data.copy_(eye.T[:, :, None, None])
        twins.append(stack)
    return twins


def step(models: nn.ModuleList, optimiser, batch: list[Tensor]) -> float:
    """One optimiser step on the summed losses of all taps."""
    loss = sum(FastFlow.loss(*model(x)).mean() for model, x in zip(models, batch, strict=True))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def flops(heads: nn.ModuleList, shapes, images: int) -> float:
    """Of the convolutions in one step: 2 for each product, three times (forward, and back to inputs and weights)."""
    per_image = sum(conv.weight.numel() * shape[1] * shape[2] for head, shape in zip(heads, shapes, strict=True)
                    for conv in head.modules() if isinstance(conv, nn.Conv2d))
    return 6.0 * per_image * images


def measure(make, shapes, images: int, steps: int) -> dict:
    """Both versions of one case, in turns."""
    heads = make().build_heads(shapes)
    twins = freia_twin(heads, shapes)
    draw = torch.Generator().manual_seed(0)
    batch = [torch.randn(images, *shape, generator=draw) for shape in shapes]
    off = 0.0
    with torch.no_grad():
        for head, twin, x in zip(heads, twins, batch, strict=True):
            for ours, theirs in zip(head(x), twin(x), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
                off = max(off, float((ours - theirs).abs().max() / ours.abs().max()))
    ours = (heads, adam(heads.parameters(), lr=1e-3, weight_decay=1e-5), batch)
    theirs = (twins, torch.optim.Adam([p for p in twins.parameters() if p.requires_grad], lr=1e-3, weight_decay=1e-5),
              batch)
    times = {"ours": [], "FrEIA": []}
    for args in (ours, theirs):
        step(*args)  # the first one allocates
    for _ in range(ROUNDS):
        for name, args in (("ours", ours), ("FrEIA", theirs)):
            times[name].append(timed(lambda args=args: step(*args), steps))
    median = {name: statistics.median(t) for name, t in times.items()}
    peak, work = matmul_peak(), flops(heads, shapes, images)
    return {"images_per_step": images, "largest_relative_difference": float(f"{off:.1e}"),
            "seconds": {name: [round(t, 4) for t in ts] for name, ts in times.items()},
            "median": {name: round(t, 4) for name, t in median.items()},
            "ratio": round(median["FrEIA"] / median["ours"], 3), "gflop_of_the_convolutions": round(work / 1e9, 2),
            "matmul_peak_gflops": round(peak / 1e9, 1),
            "share_of_peak": {name: round(work / t / peak, 3) for name, t in median.items()},
            "where_the_time_goes": {"ours": shares(lambda: step(*ours)), "FrEIA": shares(lambda: step(*theirs))}}


def main() -> None:
    """Measure all cases on one thread, print and store them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = {"what": __doc__.splitlines()[0], "threads": 1, "load_before": round(os.getloadavg()[0], 1),
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
             "cases": {name: measure(*case) for name, case in CASES.items()}}
    part = OUT.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(part, OUT)
    for name, case in found["cases"].items():
        print(f"{name}: ours {case['median']['ours']:.3f} s, FrEIA {case['median']['FrEIA']:.3f} s, ratio "
              f"{case['ratio']:.2f}; share of the matmul peak {case['share_of_peak']['ours']:.0%} and "
              f"{case['share_of_peak']['FrEIA']:.0%}")


if __name__ == "__main__":
    main()
