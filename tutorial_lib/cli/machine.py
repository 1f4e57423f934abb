"""What this machine is: processor, memory, versions. Every value is None where it cannot be found out."""

import importlib.metadata
import os
import platform
import subprocess
import threading
from pathlib import Path

import torch

import tutorial_lib

MIB = 2**20
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "safetensors", "matplotlib")


def cpu_model() -> str | None:
    """The processor's name as its maker gives it, or the architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or None


def cores() -> int:
    """How many cores this process may use: what a container or 'taskset' allows, not what the machine has."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:  # a container's share of processor time (cgroup v2): '200000 100000' is two cores
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return allowed


def memory() -> tuple[float, float] | None:
    """Memory that is free, and in all, in MiB; inside a container the container's limit counts."""
    try:
        import psutil
    except ImportError:
        return None
    found = psutil.virtual_memory()
    free, total = found.available / MIB, found.total / MIB
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text()) / MIB
        used = int(Path("/sys/fs/cgroup/memory.current").read_text()) / MIB
        return min(free, max(limit - used, 0.0)), min(total, limit)
    except (OSError, ValueError):  # no container, or 'max': no limit
        return free, total


def versions() -> dict[str, str | None]:
    """Versions of Python, of the packages that decide a number, and of this project with its commit."""
    found = {"python": platform.python_version(), "tutorial_lib": tutorial_lib.__version__, "commit": _commit()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def description(device: torch.device | str = "cpu") -> dict:
    """What a stored result says about the machine that made it."""
    total = memory()
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "memory_mib": None if total is None else round(total[1]),
        "system": f"{platform.system()} {platform.release()}",
        "device": torch.cuda.get_device_name() if str(device).startswith("cuda") else str(device),
    }


def _commit() -> str | None:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude", "*"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


class PeakMemory:
    """The highest resident memory of this process while the block runs, sampled every 10 ms, in MiB.

    ``before`` is the level at the start: Python, libraries and what is already loaded. ``peak`` is what the machine
    must have. Their difference understates a block that can reuse memory which an earlier block gave back. Both are
    None where psutil is missing. GPU memory is not in it.
    """

    def __enter__(self) -> "PeakMemory":
        self.before = self.peak = None
        self._stop = threading.Event()
        try:
            import psutil
        except ImportError:
            return self
        self._resident = lambda: psutil.Process().memory_info().rss / MIB
        self.before = self.peak = self._resident()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.peak = max(self.peak, self._resident())

    def __exit__(self, *_) -> None:
        self._stop.set()
        if self.before is not None:
            self._thread.join()
            self.peak = max(self.peak, self._resident())
