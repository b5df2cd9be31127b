"""Samples of a model's output during training, within a budget of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from torch import nn

__all__ = ["Sample", "Sampler"]

Sample = Callable[[nn.Module], Sequence[Mapping[str, str]]]
"""Returns samples of a model's output, each with texts by name: `input`, `output`, `right`."""

_SHARE = 0.01


class Sampler:
    """Take samples, as long as they take at most a hundredth of the time since training began or resumed.

    The first call takes samples in any case. Which calls do changes the log, never the training.

    Args:
        sample: Returns the samples; None: no samples.
    """

    def __init__(self, sample: Sample | None) -> None:
        self._sample = sample
        self._total = self._last = 0.0  # seconds

    def due(self, session: float) -> bool:
        """Return whether samples fit into the budget of a session, which has taken this number of seconds."""
        return self._sample is not None and (not self._total or self._total + self._last <= _SHARE * session)

    def take(self, model: nn.Module) -> list[dict[str, str]]:
        """Return samples of a model in evaluation mode."""
        assert self._sample is not None
        started = time.monotonic()
        samples = [dict(sample) for sample in self._sample(model)]
        self._last = time.monotonic() - started
        self._total += self._last
        return samples
