"""Weight averaging during training: exponential moving average, tail average and averaged SGD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from unspool.training.settings import TrainingSettings

__all__ = ["Average", "triggers"]


class Average:
    r"""A running average of a model's weights, and of its stored buffers, such as the statistics of normalisation.

    .. math::
        \bar\theta_n &= \bar\theta_{n-1} + w_n (\theta_n - \bar\theta_{n-1}) \\
        w_n &= 1 / n \quad \text{(tail, asgd)} \\
        w_n &= 1 - \min(\text{decay}, (1 + n) / (10 + n)) \quad \text{(ema)}

    Source: Polyak and Juditsky 1992 (asgd); the warm-up of the decay is the one in TensorFlow's
    `ExponentialMovingAverage`. Differs: the first update takes the weights as they are, so there is no bias to correct.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings) -> None:
        self.kind, self.decay, self.tail = settings.average, settings.decay, settings.tail
        weights: list[tuple[str, Tensor]] = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        stored = model.state_dict().keys()
        weights += [(name, b) for name, b in model.named_buffers() if name in stored and b.is_floating_point()]
        self._names = [name for name, _ in weights] if self.kind != "none" else []
        self._parameters: list[Tensor] = [p.detach() for _, p in weights] if self.kind != "none" else []
        self._mean: list[Tensor] = []
        self.updates = 0
        """Updates in the average so far."""
        self.triggered = False
        """Whether an asgd average has begun."""

    def update(self, progress: float) -> None:
        """Add the weights after an update to the average, if the average has begun.

        Args:
            progress: Fraction of the training so far, between 0 and 1.
        """
        if self.kind == "none" or not self._has_begun(progress):
            return
        if not self._mean:
            self._mean = [parameter.clone() for parameter in self._parameters]
        n = self.updates
        self.updates += 1
        if n == 0:
            torch._foreach_copy_(self._mean, self._parameters)
        elif self.kind == "ema":
            torch._foreach_lerp_(self._mean, self._parameters, 1 - min(self.decay, (1 + n) / (10 + n)))
        else:
            torch._foreach_lerp_(self._mean, self._parameters, 1 / (n + 1))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the model inside the context; restore its own weights afterwards."""
        if not self.updates:
            yield
            return
        own = [parameter.clone() for parameter in self._parameters]
        self.apply()
        try:
            yield
        finally:
            torch._foreach_copy_(self._parameters, own)

    def apply(self) -> None:
        """Put the averaged weights into the model for good, if there are any."""
        if self.updates:
            torch._foreach_copy_(self._parameters, self._mean)

    def tensors(self) -> dict[str, Tensor]:
        """Return the averaged weights by name; empty before the average begins."""
        return dict(zip(self._names, self._mean, strict=True)) if self.updates else {}

    def load(self, tensors: Mapping[str, Tensor], updates: int, triggered: bool) -> None:
        """Continue from a stored average."""
        self.updates, self.triggered = updates, triggered
        if updates:
            self._mean = [parameter.clone() for parameter in self._parameters]
            torch._foreach_copy_(self._mean, [tensors[name].to(p) for name, p in self._pairs()])

    def _pairs(self) -> Iterator[tuple[str, Tensor]]:
        return zip(self._names, self._parameters, strict=True)

    def _has_begun(self, progress: float) -> bool:
        if self.kind == "tail":
            return progress > 1 - self.tail
        return self.kind == "ema" or self.triggered


def triggers(history: Sequence[float], length: int, *, higher_is_better: bool) -> bool:
    """Return whether the newest validation is worse than the best of those more than `length` validations ago.

    Source: Merity et al. 2017, arXiv:1708.02182, algorithm 1 (non-monotonically triggered averaged SGD).

    Args:
        history: The metric at each validation, oldest first.
        length: The non-monotone interval, in validations.
        higher_is_better: Which way the metric improves.
    """
    earlier = history[: -length - 1]
    if not earlier:
        return False
    newest = history[-1]
    return newest < max(earlier) if higher_is_better else newest > min(earlier)
