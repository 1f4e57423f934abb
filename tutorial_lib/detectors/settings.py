"""Every number that decides a result, in one frozen object; and where to compute."""

from __future__ import annotations

import dataclasses

import torch

from tutorial_lib.backbones import Backbone

from .errors import DetectorError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Every number that decides a result. Stored with a saved detector, so nothing is left to memory.

    Attributes:
        size: pixels; images are resized to size x size.
        seed: of everything that this detector draws.
        batch: images looked at together when scoring; changes memory and speed, not the scores.
        backbone, weights, backbone_seed, taps: arguments of ``backbones.load``; ``weights=None`` is its default.
    """

    size: int = 128
    seed: int = 0
    batch: int = 16
    backbone: str | None = "embedded"
    weights: str | None = None
    backbone_seed: int = 0
    taps: tuple[str, ...] | None = None


def make_settings(kind: type[Settings], who: str, backbone: str | Backbone | None, numbers: dict) -> Settings:
    """``kind(**numbers)`` with a backbone given by name or as the network itself.

    Raises:
        DetectorError: a number that ``kind`` does not have, or a size that holds no picture.
    """
    names = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(numbers) - names)
    if unknown:
        raise DetectorError(f"{who} has no setting {unknown[0]!r}. It has: {', '.join(sorted(names))}.")
    if isinstance(backbone, Backbone):
        made = backbone.settings
        numbers = {"weights": made["weights"], "backbone_seed": made["seed"], "taps": made["taps"]} | numbers
        backbone = made["name"]
    numbers = {name: tuple(v) if isinstance(v, list) else v for name, v in numbers.items()}  # as JSON gives them
    return kind(**{"backbone": backbone} | numbers)


def device_of(name: str) -> torch.device:
    """``"auto"`` is a CUDA device if there is one, else the CPU; any other name is taken as it is."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise DetectorError(f"The device {name!r} cannot be used here ({str(error).splitlines()[0]}). "
                            "Use device='cpu' or 'auto'.") from error
