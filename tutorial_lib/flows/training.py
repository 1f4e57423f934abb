"""Maximum likelihood in one loop: draw a batch, take a step down the mean negative log-likelihood."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib.flows.base import Flow


def maximum_likelihood(flow: Flow, x: Tensor, steps: int = 1000, batch: int = 256, lr: float = 1e-3, seed: int = 0,
                       callback: Callable[[int, float], None] | None = None, cond: Tensor | None = None) -> list[float]:
    """Train ``flow`` in place on samples ``x`` with Adam; the loss is ``flow.nll``, in nats per sample.

    Args:
        flow: anything with ``nll(x, cond)`` and parameters.
        x: training samples (N, ...), on the device of the flow.
        steps: optimiser steps.
        batch: samples per step, drawn with replacement; all of them, in order, where N is not larger.
        lr: learning rate of Adam.
        seed: of the draws of the batches; an own generator, the global one is not touched.
        callback: called as ``callback(step, loss)`` after each step, for a progress bar or a picture.
        cond: condition (N, ...) of each sample, or None.

    Returns:
        The loss of each step, before the step was taken.

    Raises:
        ValueError: if there is nothing to train or nothing to train on.
        FloatingPointError: if the loss is not finite; the weights are then those before that step.
    """
    parameters = [p for p in flow.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"{type(flow).__name__} has no trainable parameters. A whitening alone is fitted by .fit(x).")
    if len(x) == 0:
        raise ValueError("maximum_likelihood received no samples. Expected x of shape (N, ...) with N of at least 1.")
    optimiser = torch.optim.Adam(parameters, lr=lr, fused=True)   # one kernel for all weights: several times faster
    generator = torch.Generator().manual_seed(seed)
    losses, was_training = [], flow.training
    flow.train()
    try:
        for step in range(steps):
            index = torch.randint(len(x), (batch,), generator=generator) if batch < len(x) else torch.arange(len(x))
            index = index.to(x.device)
            loss = flow.nll(x[index], None if cond is None else cond[index])
            value = loss.item()
            if not torch.isfinite(loss):
                raise FloatingPointError(f"The loss is {value} at step {step}. Check x for NaN, lower lr (now {lr:g}), "
                                         "or clamp the log-scales of the couplings.")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(value)
            if callback is not None:
                callback(step, value)
    finally:
        flow.train(was_training)
    return losses
