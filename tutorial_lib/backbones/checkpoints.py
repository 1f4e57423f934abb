"""Weights of published networks on disk: found in torch's cache, fetched when asked for, read without running code."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from . import download
from .weights_file import WeightsDamaged

SUFFIXES = (".safetensors", ".pth", ".pt")


class WeightsUnavailable(RuntimeError):
    """Weights were asked for that are not on this machine and cannot be fetched."""


@dataclass(frozen=True)
class Published:
    """Where the published weights of a network are.

    Attributes:
        title: the network in words. url: of the file. megabytes: its size.
        prefix: how the SHA-256 of the file begins; None where the publisher names no hash, and nothing is fetched then.
    """

    title: str
    url: str
    megabytes: int
    prefix: str | None

    @property
    def file(self) -> Path:
        """Its place in torch's cache (``TORCH_HOME`` moves that)."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]


def torchvision_weights(title: str, enum: str) -> Published:
    """``Published`` from torchvision's own list, such as ``"ResNet18_Weights.IMAGENET1K_V1"``.

    torchvision's files carry the beginning of their SHA-256 in their names.
    """
    from torchvision.models import get_weight

    weight = get_weight(enum)
    return Published(title, weight.url, round(weight.meta["_file_size"]), Path(weight.url).stem.rsplit("-", 1)[-1])


def obtain(name: str, source: Published) -> tuple[dict[str, Tensor], str]:
    """Tensors of the published weights and the beginning of their hash, from the cache or else from the network.

    Raises:
        WeightsUnavailable: no file in the cache and no way to fetch one; the sentence says what to do.
    """
    file, verb = source.file, "by hand and try again"
    instead = (f"Without it, load('embedded') needs no download, and load('{name}', weights='random') runs with "
               "weights that were never trained.")
    if source.prefix is None:
        raise WeightsUnavailable(
            f"{source.title}'s ImageNet weights are not fetched: their publisher names no hash, so a damaged file "
            f"could not be told from a sound one. Bring the file by hand: {source.url} (about {source.megabytes} MB), "
            f"save it where you like, and give its path: load('{name}', weights='/your/folder/{file.name}'). {instead}")
    try:
        why = f"{file} cannot be read"
        if not file.exists():
            download.fetch(source.url, file, source.prefix)
        found = download.sha256(file)
        if not found.startswith(source.prefix):
            verb = "by hand, in place of the one there, and try again"
            raise WeightsDamaged(f"its SHA-256 begins with {found[:8]}, expected {source.prefix}")
        return read(file)[0], source.prefix
    except download.DownloadFailed as error:
        why, cause = str(error), error
    except (OSError, WeightsDamaged) as error:
        why, cause = f"{why} ({error})", error
    raise WeightsUnavailable(
        f"{source.title}'s ImageNet weights are not loaded: {why}. Bring the file {file.name} (about "
        f"{source.megabytes} MB, from {source.url}) into the folder {file.parent} {verb} "
        f"(the environment variable TORCH_HOME moves that folder). {instead}") from cause


def read(file: Path) -> tuple[dict[str, Tensor], str]:
    """Tensors of a ``.safetensors``, ``.pth`` or ``.pt`` file in float32, and the SHA-256 of the file in hex.

    Loading runs no code from the file. A dictionary inside ``"model"`` or ``"state_dict"`` is unpacked.

    Raises:
        WeightsDamaged: no such file, or not a plain dictionary of tensors.
    """
    if not file.is_file():
        raise WeightsDamaged(f"Backbone weights: there is no file {file}. Check the path, or choose weights by name.")
    cure = "Fetch it again, or take another one."
    try:
        state = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsDamaged(f"Backbone weights: {file} is damaged or holds more than tensors. A file may carry "
                             f"code that runs when it is read, so only plain tensors are taken. {cure}") from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsDamaged(f"Backbone weights: {file} cannot be read as {file.suffix} ({why}). {cure}") from error
    for wrapper in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        raise WeightsDamaged(f"Backbone weights: {file} holds no dictionary from names to tensors, which is what "
                             "torch.save(network.state_dict(), file) writes. Save it that way.")
    state = {k.removeprefix("module."): t.float() if t.is_floating_point() else t for k, t in state.items()}
    return state, download.sha256(file)


def fit(state: dict[str, Tensor], wanted: dict[str, torch.Size], known: set[str], who: str) -> dict[str, Tensor]:
    """The part of ``state`` that ``wanted`` names, after comparing names and shapes.

    ``known`` are the names of the complete network: its layers behind the deepest tap may be in the file or not.

    Raises:
        WeightsDamaged: a tensor is missing, has another shape, or belongs to another network.
    """
    counters = {k for k in wanted if k.endswith("num_batches_tracked")}  # old files lack them, and nothing reads them
    missing = sorted(wanted.keys() - state.keys() - counters)
    strange = sorted(state.keys() - known)
    shapes = [k for k in wanted if k in state and state[k].shape != wanted[k]]
    if missing or strange or shapes:
        what = [f"{len(missing)} of {len(wanted)} tensors are missing, such as {missing[0]!r}"] if missing else []
        what += [f"{len(strange)} belong to another network, such as {strange[0]!r}"] if strange else []
        what += [f"{k!r} has shape {tuple(state[k].shape)}, expected {tuple(wanted[k])}" for k in shapes[:1]]
        raise WeightsDamaged(f"Backbone weights: {who} does not fit the network: {'; '.join(what)}. "
                             "Give a file that was saved from this very network.")
    return {k: state[k] if k in state else torch.zeros(wanted[k], dtype=torch.long) for k in wanted}
