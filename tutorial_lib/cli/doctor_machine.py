"""The doctor's looks at the machine: each returns lines in plain words."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
import time
from pathlib import Path

import torch

from tutorial_lib import _torchvision_guard
from tutorial_lib.cli.doctor import NOTE, OK, PROBLEM, Line
from tutorial_lib.cli.machine import cores, cpu_model, memory

PROJECT = "flows-for-defects"
MIN_MEMORY, MIN_DISK = 2048, 1024  # MiB: what 'compare' on a thousand photographs needs, and room for results
REFERENCE = 300  # images/s at 128 px on the two cores for which the budgets below hold
BUDGETS = {"a chapter up to 07": 40, "a chapter from 08 on": 90, "'compare' on the factory": 120}  # seconds there


def software() -> list[Line]:
    """Python and every package against the bounds of the project."""
    from packaging.requirements import Requirement

    version = platform.python_version()
    try:
        bounds = importlib.metadata.metadata(PROJECT)["Requires-Python"]
        wanted = [Requirement(text) for text in importlib.metadata.requires(PROJECT) or []]
    except importlib.metadata.PackageNotFoundError:
        return [Line(NOTE, f"Python {version}. The project itself is not installed, so the packages cannot be compared "
                           "with its bounds: run 'pip install -e .' in its folder.")]
    fits = Requirement(f"python{bounds}").specifier.contains(version, prereleases=True)
    lines = [Line(OK, f"Python {version}.")]
    if not fits:
        lines = [Line(PROBLEM, f"Python {version} is outside {bounds}. Install another and make a new environment.")]
    fine = []
    for need in wanted:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(Line(PROBLEM, f"{need.name} is missing: pip install '{need.name}{need.specifier}'."))
            continue
        if need.specifier.contains(found, prereleases=True):
            fine.append(f"{need.name} {found}")
        else:
            lines.append(Line(PROBLEM, f"{need.name} {found} is outside {need.specifier}. Install a version inside: "
                                       f"pip install '{need.name}{need.specifier}'."))
    lines.append(Line(OK, f"{len(fine)} packages are inside their bounds: {', '.join(fine)}."))
    if _torchvision_guard._library is not None:
        lines.append(Line(OK, "The compiled part of torchvision does not fit this torch; it was replaced for this "
                              "session. Transforms and models work, detection operators such as nms do not."))
    return lines


def hardware() -> list[Line]:
    """Processor, memory, disk and GPU."""
    n, threads, found = cores(), torch.get_num_threads(), memory()
    lines = [Line(OK if n > 1 else NOTE, f"{n} processor core{'s' if n > 1 else ''} ({cpu_model() or 'unknown'}), of "
                                         f"which torch uses {threads}.")]
    if threads > n:
        lines.append(Line(NOTE, f"torch starts {threads} threads on {n} cores, which slows it down: set "
                                f"OMP_NUM_THREADS={n}."))
    if found is not None:
        free, total = found
        short = free < MIN_MEMORY
        lines.append(Line(NOTE if short else OK, f"{free / 1024:.1f} of {total / 1024:.1f} GiB of memory are free." + (
            " 'compare' on a large folder wants 2 GiB: close other programs and notebooks." if short else "")))
    free = shutil.disk_usage(Path.cwd()).free / 2**20
    lines.append(Line(NOTE if free < MIN_DISK else OK, f"{free / 1024:.1f} GiB of disk are free here." + (
        " That is little: results may not fit." if free < MIN_DISK else "")))
    if torch.cuda.is_available():
        lines.append(Line(OK, f"GPU: {torch.cuda.get_device_name()}. Detectors use it (device='auto'); the papers' own "
                              "settings are within reach."))
    else:
        lines.append(Line(NOTE, "No GPU that torch can use. The course does not need one; the papers' own settings, "
                                "such as DifferNet.paper(), would take hours."))
    return lines


def weights() -> list[Line]:
    """The weights of the backbones: there, and unchanged."""
    from tutorial_lib import backbones

    try:
        lines = [Line(OK, f"The embedded backbone is there and its weights are unchanged: {backbones.load().label}.")]
    except backbones.WeightsDamaged as error:
        lines = [Line(PROBLEM, str(error))]
    there, absent = [], []
    for name, kind in backbones.CLASSES.items():
        if issubclass(kind, backbones.PublishedBackbone) and kind.source().prefix:  # else nothing is fetched
            (there if kind.source().file.is_file() else absent).append(name)
    if there:
        lines.append(Line(OK, f"ImageNet weights are on the disk for {', '.join(there)}."))
    if absent:
        lines.append(Line(NOTE, f"ImageNet weights are not on the disk for {', '.join(absent)}. Nothing in the course "
                                "needs them; weights='pretrained' fetches them. "
                                "DifferNet.paper() asks for those of alexnet (about 240 MB)."))
    return lines


def speed() -> list[Line]:
    """One second of feature extraction, and what it means for the chapters."""
    from tutorial_lib import backbones

    backbone = backbones.load(weights="random")
    images = torch.rand(8, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        backbone(images)
        done, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < 1.0:
            backbone(images)
            done += len(images)
    rate = done / elapsed
    factor = max(REFERENCE / rate, 0.1)
    times = "; ".join(f"{what} {_duration(seconds * factor)}" for what, seconds in BUDGETS.items())
    slow = factor > 3
    text = f"Features of {rate:.0f} images of 128 × 128 px a second. At that pace, at most: {times}."
    if slow:
        text += " That is slow: close other programs and idle kernels, and plug in a laptop."
    return [Line(NOTE if slow else OK, text)]


def programs() -> list[Line]:
    """JupyterLab, and the browser that only the project's own tests need."""
    lab = importlib.util.find_spec("jupyterlab") is not None
    lines = [Line(OK, "JupyterLab is installed: 'python -m tutorial_lib lab' opens the course.") if lab else
             Line(PROBLEM, "JupyterLab is missing. Install it: pip install jupyterlab.")]
    browsers = ("chromium", "chromium-browser", "google-chrome")
    if sys.platform.startswith("linux") and not any(map(shutil.which, browsers)):
        lines.append(Line(NOTE, "No Chromium: the browser tests of this project will be skipped. Readers need none."))
    return lines


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


LOOKS = (software, hardware, weights, speed, programs)
