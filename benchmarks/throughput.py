"""Scoring throughput of all methods at 256 pixels on one thread, and the share of the machine's matrix-multiply peak.

    python benchmarks/throughput.py        about three minutes

Every method in its small setting at 256 px, fitted for one step (speed does not depend on what was learned). Median of
five interleaved runs of 16 images: all methods once, then all again, so that a slow minute hits all alike. Writes
``benchmarks/results/13_throughput.json``. Peak: the same processor time for 1024 x 1024 float32 products. Operations:
those of convolutions and matrix products, as torch counts them; the rest (pooling, resizing, sorting) counts as none.
"""

from __future__ import annotations

import time
from statistics import median

import rows
import torch
from torch.utils.flop_counter import FlopCounterMode

from tutorial_lib import detectors
from tutorial_lib.data import factory
from tutorial_lib.experiments import side_by_side as study

SIZE, IMAGES, RUNS = 256, 16, 5
ONE_STEP = {name: {"steps": 1} for name in study.FLOWS}


def seconds(work) -> float:
    """Processor seconds of ``work()``."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak() -> float:
    """Operations per second of a large matrix product, the best of five."""
    a, b = torch.rand(2, 1024, 1024)
    return 2 * 1024**3 / min(seconds(lambda: a @ b) for _ in range(5))


def main() -> None:
    """Fit, count, measure, write."""
    torch.set_num_threads(1)
    train, test = factory.normal("washer", 24, SIZE, seed=0), factory.normal("washer", IMAGES, SIZE, seed=1)
    made = {}
    for name in study.METHODS:
        made[name] = detectors.create(name, size=SIZE, progress=False, **ONE_STEP.get(name, {}))
        made[name].fit(train)
        made[name].score(test[:4])  # the first pass of a process is slower
    whole = made["fastflow"]  # its taps reach the end of the backbone
    work = {"backbone alone": lambda: [whole.maps(batch) for batch in test.split(16)],
            **{name: (lambda d=d: d.score(test)) for name, d in made.items()}}
    operations = {}
    for name, run in work.items():
        with torch.no_grad(), FlopCounterMode(display=False) as counted:
            run()
        operations[name] = counted.get_total_flops()
    times, peaks = {name: [] for name in work}, []
    for _ in range(RUNS):
        peaks.append(peak())
        for name, run in work.items():
            with torch.no_grad():
                times[name].append(seconds(run))
    unit = median(times["backbone alone"])
    found = [{"method": name, "images_per_second": round(IMAGES / median(t), 2),
              "relative_time": round(median(t) / unit, 2),
              "gigaops_per_image": round(operations[name] / IMAGES / 1e9, 4),
              "share_of_peak": round(operations[name] / median(t) / median(peaks), 3)} for name, t in times.items()]
    rows.write("13_throughput", __doc__.splitlines()[0], {"size": SIZE, "images": IMAGES, "runs": RUNS}, [0], found,
               peak_gigaops=round(median(peaks) / 1e9, 1))
    for row in found:
        print(row)


if __name__ == "__main__":
    main()
