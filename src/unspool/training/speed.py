"""Measurement of the training speed of a network on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from unspool.training.distributed import World
from unspool.training.random_state import RandomState, runs_other_code, seeded
from unspool.training.settings import TrainingSettings
from unspool.training.updates import BatchSource, Updater

__all__ = ["seconds_per_update"]

_WARM, _TIMED = 2, 4  # updates
_SMALL = 1e-3  # factor of the learning rate, so that the loss stays finite


def seconds_per_update(
    build: Callable[[], nn.Module], source: BatchSource, settings: TrainingSettings, device: torch.device
) -> float:
    """Train a new network for a few updates; return the mean seconds of an update, the first ones excluded.

    Args:
        build: Builds the network.
        source: The training batches, of which the first few are used.
        settings: Optimizer, precision and so on.
        device: Device of the training.
    """
    with seeded(settings.seed):
        model = build().to(device).train()
    random = RandomState(device, lends=runs_other_code(model, source))
    random.seed(settings.seed)
    updater = Updater(model, source, settings, World(), device, random)
    updates = min(_WARM + _TIMED, updater.per_epoch)
    warm = min(_WARM, updates - 1)
    start = time.monotonic()
    for update in range(updates):
        if update == warm:
            _finish(device)
            start = time.monotonic()
        with random.used():
            sums = updater.gradients(update)
        if sums.count:
            updater.step(sums.count, settings.learning_rate * _SMALL, 0.0)
    _finish(device)
    return (time.monotonic() - start) / (updates - warm)


def _finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
