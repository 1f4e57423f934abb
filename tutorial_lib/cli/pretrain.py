"""``python -m tutorial_lib pretrain``: train the embedded backbone again, from nothing, on procedural images."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ..backbones import weights_file
from ..backbones.pretraining import Settings, pretrain


def run(argv: list[str]) -> int:
    """Train with the arguments in ``argv`` and write the weights and their card; returns the exit status."""
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m tutorial_lib pretrain", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--steps", type=int, default=default.steps, help="optimiser steps (default %(default)s)")
    for task, what in (("locating", "finding foreign regions"), ("energies", "telling the strength of waves")):
        parser.add_argument(f"--{task}", type=float, default=getattr(default, task),
                            help=f"weight of the task of {what}; 0 leaves it out (default %(default)s)")
    parser.add_argument("--out", type=Path, default=weights_file.EMBEDDED,
                        help="weights file to write; the card goes beside it (default: the course's own weights)")
    options = parser.parse_args(argv)
    right = options.steps >= 2 and options.locating >= 0 and options.energies >= 0  # false for nan as well
    if not right or options.out.suffix != ".safetensors":
        parser.error(f"found --steps {options.steps}, --locating {options.locating}, --energies {options.energies} and "
                     f"--out {options.out}. Expected at least 2 steps, weights of at least 0 and a file name that ends "
                     "in .safetensors.")
    print("Drawing the procedural images takes about ten seconds; then comes the training, about 0.3 seconds a step "
          "on one free core.", flush=True)
    with tqdm(total=options.steps, unit="step") as bar:
        def show(step: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        tensors, card = pretrain(Settings(seed=options.seed, steps=options.steps, locating=options.locating,
                                          energies=options.energies), show)
    card = weights_file.write(options.out, tensors, card)
    print(f"Held-out accuracy {card['held_out_accuracy']:.3f} on {card['held_out_images']} images, "
          f"{card['cpu_minutes']} minutes of one core, {card['bytes'] / 1e6:.1f} MB, SHA-256 {card['sha256'][:8]}…")
    print(f"Written: {options.out} and {options.out.with_suffix('.json').name}. "
          f"Load it with backbones.load('embedded', weights={str(options.out)!r}).")
    return 0
