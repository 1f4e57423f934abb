"""The training loop of a detector that learns by steps: progress, checkpoints, and a clean stop on Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import files
from .errors import DetectorError
from .images import Images, checked

SECONDS_BETWEEN_CHECKPOINTS = 30.0


def adam(parameters, **numbers) -> torch.optim.Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980) as one fused kernel where the device has one: several times faster."""
    parameters = list(parameters)
    try:
        return torch.optim.Adam(parameters, fused=True, **numbers)
    except RuntimeError:  # this device or type of number has no fused kernel
        return torch.optim.Adam(parameters, **numbers)


def descend(model: nn.Module, loss_at: Callable[[int], Tensor], steps: int, optimiser: torch.optim.Optimizer, bar: tqdm,
            callback: Callable[[int, float], None] | None = None, resume: str | Path | None = None,
            key: str = "", clip: float = float("inf")) -> list[float]:
    """Take ``steps`` steps down ``loss_at(step)``; returns the loss before each of them.

    ``loss_at`` must depend on nothing but the step and the weights, so that a training that was interrupted and
    continued ends where an uninterrupted one does.

    Args:
        resume: checkpoint file: read if it exists, written every half minute, at the end, and on Ctrl-C.
        key: what this training is (settings and images); a checkpoint with another key is refused.
        clip: longest gradient, as a norm over all weights together; a longer one is shortened to it.

    Raises:
        DetectorError: the loss is not finite, or ``resume`` belongs to another training.
        KeyboardInterrupt: passed on after the checkpoint is written.
    """
    losses = _restore(resume, key, model, optimiser) if resume is not None and Path(resume).is_file() else []
    saved_at, saved = time.monotonic(), len(losses)
    bar.update(len(losses))
    try:
        for step in range(len(losses), steps):
            loss = loss_at(step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            value = float(loss.detach())
            if value != value or abs(value) == float("inf"):
                raise DetectorError(f"The loss became {value} at step {step + 1} of {steps}. Use a smaller learning "
                                    "rate, a clamp, or whitened features.")
            if clip < float("inf"):
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimiser.step()
            losses.append(value)
            bar.update()
            if callback is not None:
                callback(step, value)
            if resume is not None and time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS:
                _save(resume, key, model, optimiser, losses)
                saved_at, saved = time.monotonic(), len(losses)
    finally:  # at the end, after Ctrl-C, and after an error in the callback: the steps taken so far are kept
        if resume is not None and len(losses) > saved:
            _save(resume, key, model, optimiser, losses)
    return losses


def fingerprint(images: Images, settings: dict) -> str:
    """A short name of a training: its settings, the number of images, and the pixels of up to eight of them."""
    digest = hashlib.sha256(json.dumps([settings, len(images)], sort_keys=True, default=str).encode())
    for i in sorted({round(k * (len(images) - 1) / 7) for k in range(8)}):
        digest.update(checked(images[i], i, images, "fit").contiguous().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _save(path: str | Path, key: str, model: nn.Module, optimiser: torch.optim.Optimizer, losses: list[float]) -> None:
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    for i, entry in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{name}": t for name, t in entry.items() if isinstance(t, Tensor)}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    files.write(path, "checkpoint", tensors, {"key": key})


def _restore(path: str | Path, key: str, model: nn.Module, optimiser: torch.optim.Optimizer) -> list[float]:
    tensors, card = files.read(path, "checkpoint")
    if card["key"] != key:
        raise DetectorError(f"{path} is a checkpoint of another training (settings or images differ: {card['key']}, "
                            f"expected {key}). Choose another file for resume, or delete this one.")
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, i, entry = name.split(".")
            state.setdefault(int(i), {})[entry] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return tensors["losses"].tolist()
