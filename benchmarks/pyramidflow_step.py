"""One training step of PyramidFlow: ours against a straightforward version with default Adam.

    python benchmarks/pyramidflow_step.py        about two minutes on one idle core

Same weights, same images, same maths: loss and gradients are compared before anything is timed. The two take turns,
five times each; the medians count. Writes ``benchmarks/results/12_pyramidflow_step.json``. ``paper`` is the structure
of the paper at 64 px instead of 256, ``small`` the setting of chapter 12.

The straightforward version does what the formulas say, one after the other: a 5 x 5 kernel for each blur, every pair
joined in all its channels before their mean is taken, log_dets added up although no loss uses them, one weight after
the other in the optimiser.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from itertools import combinations
from pathlib import Path

import torch
import torch.nn.functional as F
from steps import matmul_peak, shares, timed
from torch import Tensor, nn

from tutorial_lib.detectors import PyramidFlow
from tutorial_lib.detectors.training import adam

OUT = Path(__file__).with_name("results") / "12_pyramidflow_step.json"
ROUNDS = 5
CASES = {  # detector, images a step, steps a measurement
    "paper": (lambda: PyramidFlow.paper(size=64), 2, 4),
    "small": (PyramidFlow.small, 4, 8),
}


def blurred(x: Tensor) -> Tensor:
    """5 x 5 in one pass."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = (line[:, None] * line / 256).expand(x.shape[1], 1, 5, 5)
    return F.conv2d(x, kernel, padding=2, groups=x.shape[1])


def up(x: Tensor) -> Tensor:
    """Repeat, then blur."""
    return blurred(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def straightforward_loss(detector: PyramidFlow, model: nn.Module, images: Tensor) -> Tensor:
    """The loss of one batch, formula by formula."""
    x, levels = detector.features(model, images), []
    for _ in range(model.settings.levels - 1):
        smaller = F.max_pool2d(blurred(x), 2)
        levels.append(x - up(smaller))
        x = smaller
    levels.append(x)
    blocks, log_det = list(model.flow.transforms), torch.zeros(len(images))
    for coupling, mixer in zip(blocks[::2], blocks[1::2], strict=True):
        k = coupling.level
        s, t = coupling.scale_shift(tuple(levels), track=True)
        weight = mixer.transform.matrix()[:, :, None, None]
        levels[k] = F.conv2d(levels[k] * torch.exp(s) + t, weight)
        log_det = log_det + s.flatten(1).sum(1)
    loss = []
    for i, j in combinations(range(len(images)), 2):
        joined = None
        for z in reversed(levels):
            part = ((z[i] - z[j]) ** 2)[None]
            joined = part if joined is None else up(joined) + part
        loss.append(torch.fft.fft2(joined.mean(1)).abs().mean())
    return torch.stack(loss).mean()


def plain_loss(detector: PyramidFlow, model: nn.Module, images: Tensor) -> Tensor:
    """The loss of one batch as the detector takes it."""
    return detector.loss(model(detector.features(model, images)))


def step(loss_of, detector: PyramidFlow, model: nn.Module, optimiser, images: Tensor) -> float:
    """One optimiser step."""
    loss = loss_of(detector, model, images)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def compare(detector: PyramidFlow, images: Tensor) -> float:
    """Largest relative difference of the two gradients, with weights away from their start."""
    found = []
    for loss_of in (plain_loss, straightforward_loss):
        model = moved(detector)
        loss_of(detector, model, images).backward()
        found.append([p.grad for p in model.parameters()])
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*found, strict=True))


def moved(detector: PyramidFlow) -> nn.Module:
    """The untrained model with no weight at zero."""
    model, draw = detector.build_model().train(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=draw))
    return model


def flops(model: nn.Module, size: int, images: int) -> float:
    """Of the convolutions in one step: 2 for each product, three times (forward, and back to inputs and weights)."""
    total = 0
    for coupling in list(model.flow.transforms)[::2]:
        level = coupling.level - (type(coupling).__name__ == "DownCoupling")
        total += sum(p.numel() for p in coupling.net.parameters()) * (size >> level) ** 2
    return 6.0 * total * images


def measure(make, images: int, steps: int) -> dict:
    """Both versions of one case, in turns."""
    detector = make()
    s = detector.settings
    batch = torch.rand(images, 3, s.size, s.size, generator=torch.Generator().manual_seed(0))
    off = compare(detector, batch)
    assert off < 1e-2, off
    numbers = {"lr": s.lr, "betas": s.betas, "eps": s.eps, "weight_decay": s.weight_decay}
    ways = {"ours": plain_loss, "straightforward": straightforward_loss}
    runs = {}
    for name, loss_of in ways.items():
        model = moved(detector)
        optimiser = (adam(model.parameters(), **numbers) if name == "ours" else
                     torch.optim.Adam(model.parameters(), foreach=False, **numbers))
        runs[name] = lambda loss_of=loss_of, model=model, optimiser=optimiser: step(loss_of, detector, model, optimiser,
                                                                                    batch)
        runs[name]()  # the first one allocates
    times = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            times[name].append(timed(run, steps))
    median = {name: statistics.median(t) for name, t in times.items()}
    peak, work = matmul_peak(), flops(moved(detector), s.size, images)
    return {"size": s.size, "images_per_step": images, "largest_relative_difference_of_gradients": float(f"{off:.1e}"),
            "seconds": {name: [round(t, 4) for t in ts] for name, ts in times.items()},
            "median": {name: round(t, 4) for name, t in median.items()},
            "ratio": round(median["straightforward"] / median["ours"], 3),
            "gflop_of_the_convolutions": round(work / 1e9, 2), "matmul_peak_gflops": round(peak / 1e9, 1),
            "share_of_peak": {name: round(work / t / peak, 3) for name, t in median.items()},
            "where_the_time_goes": {name: shares(run) for name, run in runs.items()}}


def main() -> None:
    """Measure all cases on one thread, print and store them."""
    torch.set_num_threads(1)
    found = {"what": __doc__.splitlines()[0], "threads": 1, "load_before": round(os.getloadavg()[0], 1),
             "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]},
             "cases": {name: measure(*case) for name, case in CASES.items()}}
    part = OUT.with_suffix(".part")
    part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(part, OUT)
    for name, case in found["cases"].items():
        print(f"{name:6s} ours {1000 * case['median']['ours']:.0f} ms, straightforward "
              f"{1000 * case['median']['straightforward']:.0f} ms, ratio {case['ratio']:.2f}, share of peak "
              f"{case['share_of_peak']['ours']:.2f}")


if __name__ == "__main__":
    main()
