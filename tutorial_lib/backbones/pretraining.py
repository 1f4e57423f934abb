"""Training of the embedded backbone, on procedural pictures and nothing else.

Three tasks at once: name the class of the picture, find the small region in it that is foreign (``alteration``), and
say how strong waves of each length and direction are at every position (``energies``). The classifier reads the mean
over positions of three taps, not of the deepest one only, the locator reads the same taps, and the energies are read
from each of the four, so that each tap is trained towards features that mean something by themselves. Pictures are
turned, zoomed, blurred and made noisy while training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import procedural
from .alteration import Locator, alter, locating_loss
from .embedded import Embedded, fold, normed_conv, stages
from .energies import EnergyReader


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights: data, budget and optimiser."""

    seed: int = 0
    per_class: int = 110
    held_out: int = 10
    size: int = 64
    steps: int = 3600
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.02
    locating: float = 3.0
    energies: float = 3.0


class Learner(nn.Module):
    """The stages of the backbone with batch normalisation, and what reads them: linear layers for each task."""

    def __init__(self, classes: int):
        super().__init__()
        self.taps = {name: Embedded.ALL_TAPS[name] for name in Embedded.DEFAULT_TAPS}
        self.stages = stages(normed_conv)
        self.classify = nn.Linear(sum(tap.channels for tap in self.taps.values()), classes)
        self.locate = Locator(self.taps)
        self.energies = EnergyReader(Embedded.ALL_TAPS.values())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        x, maps = (images - Embedded.MEAN[0]) / Embedded.STD[0], {}
        for name, stage in self.stages.items():
            x = maps[name] = stage(x)
        pooled = torch.cat([maps[name].mean((2, 3)) for name in self.taps], 1)  # (B, 48 + 96 + 192)
        return self.classify(pooled), self.locate(maps), list(maps.values())  # (B, classes), (B, 1, S/4, S/4), 4 maps


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, zoom, mirror, blur, change the contrast and add noise, each image by its own draw; stays in [0, 1]."""
    n = images.shape[0]
    draw = lambda low, high, *shape: low + (high - low) * torch.rand(n, *shape, generator=generator)
    angle, zoom = draw(0, 2 * math.pi), 1.2 ** draw(-1, 1)
    mirror = draw(0, 1).lt(0.5) * 2.0 - 1
    cos, sin, nought = zoom * angle.cos(), zoom * angle.sin(), torch.zeros(n)
    turn = torch.stack([cos, -sin * mirror, nought, sin, cos * mirror, nought], 1).view(n, 2, 3)
    grid = F.affine_grid(turn, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1)
    images = images + draw(0, 1, 1, 1, 1).pow(3) * (soft - images)
    images = (images - 0.5) * draw(0.6, 1.3, 1, 1, 1) + 0.5 + draw(-0.15, 0.15, 1, 1, 1)
    noise = torch.randn(images.shape, generator=generator) * 0.05 * draw(0, 1, 1, 1, 1).square()
    return (images + noise).clamp(0, 1)


def pretrain(settings: Settings, progress: Callable[[int, float], None] = lambda step, loss: None) -> tuple[dict, dict]:
    """Train and fold the backbone; returns its weights and the facts for the model card.

    ``progress`` is called with the step and the loss. The global random state is left as it was found.
    """
    start, generator = time.process_time(), torch.Generator().manual_seed(settings.seed)
    images, labels = procedural.pictures(settings.per_class + settings.held_out, settings.size, settings.seed)
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    held_out = torch.arange(len(labels)) % (settings.per_class + settings.held_out) >= settings.per_class
    train, test = torch.where(~held_out)[0], torch.where(held_out)[0]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = Learner(len(procedural.CLASSES)).to(memory_format=torch.channels_last)
    network.energies.measure(images[train[torch.randperm(len(train), generator=generator)[:512]]].float() / 255)
    optimiser = torch.optim.AdamW(network.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.lr, settings.steps, pct_start=0.1)
    for step in range(settings.steps):
        pick = train[torch.randint(len(train), (settings.batch,), generator=generator)]
        batch, shape = alter(augment(images[pick].float() / 255, generator), generator)
        logits, place, maps = network(batch.contiguous(memory_format=torch.channels_last))
        loss = settings.energies * network.energies.loss(maps, batch) if settings.energies else 0
        loss = loss + settings.locating * locating_loss(place, shape) + F.cross_entropy(logits, labels[pick])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        progress(step, loss.item())

    network.eval()
    with torch.no_grad():
        right = [network(images[i].float() / 255)[0].argmax(1) == labels[i] for i in test.split(256)]
    card = {"trained_on": f"{len(train)} procedural images of {len(procedural.CLASSES)} formula classes",
            "held_out_accuracy": round(torch.cat(right).float().mean().item(), 4), "held_out_images": len(test),
            "cpu_minutes": round((time.process_time() - start) / 60, 1), "torch": torch.__version__,
            "threads": torch.get_num_threads(), "settings": asdict(settings)}
    return fold(network.stages).state_dict(), card
