"""Planning of a training: the settings that were not passed, from the data, the time limit and the speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from unspool.errors import counted
from unspool.training.devices import choose_device
from unspool.training.distributed import World
from unspool.training.speed import seconds_per_update
from unspool.training.threads import num_threads
from unspool.training.updates import BatchSource

if TYPE_CHECKING:
    from unspool.tasks.trainable import Trainable

__all__ = ["Rules", "Size", "epochs_for", "is_gated", "plan_data", "plan_training"]

_GAIN = 1.1  # minimum speed of bfloat16 relative to float32


@dataclass(frozen=True)
class Size:
    """Size of a network, with the settings that belong to it."""

    updates: int
    """Minimum number of updates with which this size is better than the next smaller one."""
    values: Mapping[str, object]
    """Settings by dotted name."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Rules from which the settings of a training follow that were not passed.

    The limits of the sizes come from trainings on real data; `docs/defaults.md` lists them.
    """

    minutes: float | Callable[[Any], float]
    """Time limit if neither `minutes` nor `epochs` is passed; or a function of the training data."""
    sizes: Sequence[Size]
    """Sizes of network, smallest first; the first one needs no minimum of updates."""
    epochs: Callable[[int], int]
    """Maximum number of epochs, from the number of updates per epoch."""
    data: Callable[[Any, Any], Mapping[str, object]] = lambda settings, examples: {}
    """Settings that are needed before the vocabularies are learned, from the settings so far and the training data."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Settings for all sizes, by dotted name."""
    adjust: Callable[[Any, float], Mapping[str, object]] = lambda settings, epochs: {}
    """Settings that follow from the settings so far and the expected number of epochs, such as dropout."""
    suits: Callable[[Any], bool] = lambda settings: True
    """Whether the rules hold for some settings; otherwise only the time limit follows from them."""


def epochs_for(updates: int, least: int, most: int) -> Callable[[int], int]:
    """Return a rule for `Rules.epochs`: enough epochs for a number of updates, within limits."""
    return lambda per_epoch: max(least, min(most, round(updates / max(1, per_epoch))))


def is_gated(settings: Any) -> bool:
    """Return whether a network is a stack of LSTM or GRU cells, with which most rules were measured."""
    return settings.network.network == "recurrent" and settings.network.cell in ("lstm", "gru")


def plan_data(task: Trainable[Any, Any], examples: Any) -> None:
    """Choose the settings of a task that decide how its training data are read, where they were not passed."""
    rules = task._training_rules()
    if rules is not None and task._plans and rules.suits(task.settings):
        new = {name: value for name, value in rules.data(task.settings, examples).items() if name not in task._explicit}
        task.settings, task._planned = task.settings.replace(**new), frozenset(new)


def plan_training(task: Trainable[Any, Any], examples: Any, world: World) -> str | None:
    """Choose the settings of a task that were not passed; return a note for the user, or None.

    Args:
        task: The task, with its vocabularies learned. Its settings change.
        examples: The training data.
        world: The processes of the training; the first one measures.
    """
    rules = task._training_rules()
    if rules is None or not task._plans:
        return None
    before = task.settings
    chosen, note = _Planner(task, rules, examples).plan() if world.first else ({}, None)
    chosen, note = world.share([chosen, note])
    task.settings, task._planned = before.replace(**chosen), task._planned.union(chosen)
    return note  # type: ignore[no-any-return]


class _Planner:
    """Planning of one training."""

    def __init__(self, task: Trainable[Any, Any], rules: Rules, examples: Any) -> None:
        self.task, self.rules, self.examples = task, rules, examples
        self.chosen: dict[str, object] = {}
        self._sources: dict[tuple[int, ...], BatchSource] = {}

    def plan(self) -> tuple[dict[str, object], str | None]:
        """Choose time limit, size, length and precision; return the choices and a note."""
        task, rules = self.task, self.rules
        if not task._explicit & {"training.minutes", "training.epochs"}:
            minutes = rules.minutes(self.examples) if callable(rules.minutes) else rules.minutes
            self._choose({"training.minutes": minutes})
        if not rules.suits(task.settings):
            return self.chosen, None
        self._choose(rules.values)
        per_epoch = math.ceil(len(self._source()) / task.settings.training.accumulate)
        self._choose({"training.epochs": rules.epochs(per_epoch)})
        updates, minutes = task.settings.training.epochs * per_epoch, task.settings.training.minutes
        seconds = self._choose_size(updates, minutes)
        if minutes is not None and 60 * minutes / seconds < updates:
            seconds = self._choose_threads(self._choose_precision(seconds))
            updates = int(60 * minutes / seconds)
        epochs = updates / per_epoch
        self._choose(rules.adjust(task.settings, epochs))
        return self.chosen, self._note(epochs, None if minutes is None else seconds)

    def _choose(self, values: Mapping[str, object]) -> None:
        """Set the values of settings that were not passed."""
        new = self._open(values)
        self.chosen |= new
        self.task.settings = self.task.settings.replace(**new)

    def _open(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the values of settings that were neither passed nor chosen with the data."""
        decided = self.task._explicit | self.task._planned
        return {name: value for name, value in values.items() if name not in decided}

    def _choose_size(self, updates: int, minutes: float | None) -> float:
        """Choose the largest size that gets its minimum of updates; return its seconds per update, 0 if not needed."""
        chosen, seconds = -1, 0.0
        for place, size in enumerate(self.rules.sizes):
            fitting = updates if minutes is None or not seconds else min(updates, 60 * minutes / seconds)
            if place and fitting < size.updates:
                break  # a larger network is slower
            slower = self._measure(self._open(size.values)) if minutes is not None else 0.0
            if place and slower and 60 * (minutes or 0) / slower < size.updates:
                break
            chosen, seconds = place, slower
        self._choose(self.rules.sizes[chosen].values)
        return seconds

    def _choose_precision(self, seconds: float) -> float:
        """Choose bfloat16 if it is faster here; return the seconds per update."""
        low = self._open({"training.precision": "bfloat16"})
        if not low or (faster := self._measure(low)) * _GAIN > seconds:
            return seconds
        self._choose(low)
        return faster

    def _choose_threads(self, seconds: float) -> float:
        """Choose one thread if several are not faster, as when another process holds a core."""
        one = self._open({"training.threads": 1})
        if not one or torch.get_num_threads() == 1 or (alone := self._measure(one)) > seconds:
            return seconds
        self._choose(one)
        return alone

    def _measure(self, changes: Mapping[str, object]) -> float:
        """Measure the seconds per update with some changes of the settings."""
        task, before = self.task, self.task.settings
        task.settings = before.replace(**changes)
        try:
            training = task.settings.training
            device = choose_device(training.device)
            with num_threads(training.threads):
                return seconds_per_update(task._make_network, self._source(), training, device)
        finally:
            task.settings = before

    def _source(self) -> BatchSource:
        """Return the training batches of the current settings, encoded once."""
        training = self.task.settings.training
        key = (training.batch_tokens, training.batch_size, training.steps)
        if key not in self._sources:
            self._sources[key] = self.task._source(self.examples)
        return self._sources[key]

    def _note(self, epochs: float, seconds: float | None) -> str:
        """Describe the plan in one line."""
        training = self.task.settings.training
        limit = "" if training.minutes is None else f", {counted(training.minutes, 'minutes')}"
        length = counted(float(f"{epochs:.3g}") if epochs < training.epochs else training.epochs, "epochs")
        speed = "" if seconds is None else f" at {1 / seconds:.3g} updates a second"
        return (
            f"{self.task._summary()}, learning rate {training.learning_rate:g}, {training.precision}{limit}: "
            f"{length}{speed}"
        )
