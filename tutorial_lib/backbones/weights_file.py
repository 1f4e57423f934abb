"""Weights on disk: safetensors beside a JSON card that holds their SHA-256. Nothing here runs code from a file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor

EMBEDDED = Path(__file__).parent / "weights" / "embedded.safetensors"


class WeightsDamaged(RuntimeError):
    """A weights file is missing, incomplete, or not the file that its card describes."""


def write(path: Path, tensors: dict[str, Tensor], card: dict) -> dict:
    """Store ``tensors`` in float16 and ``card`` beside them; returns the card with the file's size and SHA-256.

    Both files are complete before either of the old ones is replaced.
    """
    content = save_bytes({name: tensor.detach().half().contiguous() for name, tensor in tensors.items()})
    card = card | {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = {path: content, path.with_suffix(".json"): (json.dumps(card, indent=2) + "\n").encode()}
    for file, data in new.items():
        file.with_name(file.name + ".part").write_bytes(data)
    for file in new:
        os.replace(file.with_name(file.name + ".part"), file)
    return card


def read(path: Path) -> tuple[dict[str, Tensor], str]:
    """Tensors of ``path`` in float32, and the SHA-256 of the file in hex.

    Raises:
        WeightsDamaged: a file is missing, is no safetensors file, or has another hash than the card beside it.
    """
    card = path.with_suffix(".json")
    cure = ("Take both files from the course again ('git checkout' restores them), or train new ones with "
            "'python -m tutorial_lib pretrain'.")
    for file in (path, card):
        if not file.is_file():
            raise WeightsDamaged(f"Backbone weights: {file} is missing. {cure}")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        expected = json.loads(card.read_text())["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsDamaged(f"Backbone weights: {card} holds no 'sha256' entry ({error}). {cure}") from error
    if digest != expected:
        raise WeightsDamaged(f"Backbone weights: {path} is not the file that {card.name} describes. Found SHA-256 "
                             f"{digest[:8]}…, expected {str(expected)[:8]}…, so it is damaged or was exchanged. {cure}")
    try:
        tensors = load_bytes(content)
    except SafetensorError as error:
        raise WeightsDamaged(f"Backbone weights: {path} is no safetensors file ({error}). {cure}") from error
    return {name: tensor.float() for name, tensor in tensors.items()}, digest
