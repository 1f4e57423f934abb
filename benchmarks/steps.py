"""How long a training step takes, what it spends its time on, and what a matrix product takes on the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

PARTS = {  # what a kernel's time counts as; the first that fits
    "matrix products": ("addmm", "::mm", "linear", "matmul"),
    "convolutions": ("conv", "mkldnn"), "the optimiser": ("adam", "_foreach", "addcdiv", "lerp"),
    "enlarging": ("upsample", "col2im", "im2col"),
    "scaling and shifting": ("mul", "add", "exp", "tanh", "atan", "softplus", "sum", "log", "neg", "threshold", "relu",
                             "pow"),
    "splitting, joining, reordering": ("cat", "split", "chunk", "copy", "index", "slice", "narrow", "select", "clone"),
}


def timed(call: Callable[[], object], times: int) -> float:
    """Processor seconds of one call, on one thread: what else runs on the machine counts less than in wall time."""
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


def matmul_peak(side: int = 1024) -> float:
    """Best float32 matrix product of this machine in flop/s, one thread."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    best = min(timed(lambda: a @ b, 1) for _ in range(8))
    return 2 * side**3 / best


def shares(call: Callable[[], object]) -> dict[str, float]:
    """What one call spends its time on, as shares of the time inside torch's kernels."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        call()
    spent = dict.fromkeys([*PARTS, "the rest"], 0.0)
    for event in found.key_averages():
        name = event.key.lower()
        part = next((p for p, words in PARTS.items() if any(w in name for w in words)), "the rest")
        spent[part] += event.self_cpu_time_total
    total = sum(spent.values())
    return {part: round(v / total, 3) for part, v in spent.items()}
