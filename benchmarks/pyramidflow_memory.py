"""Peak memory of a PyramidFlow training step, with and without keeping activations.

    python benchmarks/pyramidflow_memory.py              256, 512 and 1024 px, the paper's flow: minutes on one core
    python benchmarks/pyramidflow_memory.py 256          single sizes

Each row is a process of its own that builds ``PyramidFlow.paper`` (16 channels, 4 levels, 4 stacks), takes one step on
two images and says its largest resident memory, and that before the step. Writes
``benchmarks/results/12_pyramidflow_memory.json``. The two ways give the same loss; the gradients differ by rounding.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import rows
import torch

from tutorial_lib.detectors import PyramidFlow

NAME = "12_pyramidflow_memory"
SIZES = (256, 512, 1024)
IMAGES = 2


def peak_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def one_step(size: int, reversible: bool) -> dict:
    """One training step in this process."""
    torch.set_num_threads(1)
    detector = PyramidFlow.paper(size=size, reversible=reversible, device="cpu")
    model = detector.build_model().train()
    images = torch.rand(IMAGES, 3, size, size, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-4, fused=True)
    before, start, busy = peak_mib(), time.perf_counter(), time.process_time()
    loss = detector.loss(model(detector.features(model, images)))
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return {"size": size, "reversible": reversible, "images": IMAGES, "peak_mib": round(peak_mib()),
            "before_mib": round(before), "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(time.process_time() - busy, 1), "loss": float(f"{float(loss.detach()):.6g}"),
            "gradient_norm": float(f"{float(norm):.4g}")}


def measured(size: int, way: str) -> dict:
    """The row of a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--one", str(size), way], capture_output=True, text=True)
    if done.returncode:  # the kernel ends what does not fit
        return {"size": size, "reversible": way == "reversible", "images": IMAGES,
                "failed": f"exit {done.returncode}: {(done.stderr.strip().splitlines() or ['killed'])[-1]}"}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """One process for each row that is not there yet; the file is written when all sizes were asked for."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one_step(int(sys.argv[2]), sys.argv[3] == "reversible")))
        return
    found, sizes = [], tuple(map(int, sys.argv[1:])) or SIZES
    for size in sizes:
        for way in ("plain", "reversible"):
            row = rows.row_of({"of": NAME, "size": size, "way": way}, lambda: measured(size, way))  # noqa: B023
            found.append(row)
            print(f"{size:5d} px  {way:10s}  " + (row.get("failed") or f"peak {row['peak_mib']:6d} MiB, of which "
                  f"{row['before_mib']} before the step; {row['cpu_seconds']} CPU seconds"), flush=True)
    if sizes == SIZES:
        rows.write(NAME, __doc__.splitlines()[0], {"images": IMAGES, "flow": "PyramidFlow.paper"}, (0,), found)


if __name__ == "__main__":
    main()
