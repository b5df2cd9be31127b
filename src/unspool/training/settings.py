"""How long, how fast and with what a network is trained; the field docstrings are the `--help`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from unspool.errors import SettingError, wording
from unspool.settings import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt, Seed, Settings, to_record

__all__ = ["TrainingSettings", "refuse_changes"]

_Threads = Annotated[int, msgspec.Meta(gt=0, le=1024)]


class TrainingSettings(Settings, frozen=True, kw_only=True):
    """How a network is trained."""

    epochs: PositiveInt = 20
    """Passes over the training data."""
    minutes: Positive | None = None
    """Stop after this many minutes, at the next update; time before a resume counts. None: no limit."""
    batch_tokens: PositiveInt = 4096
    """Tokens of a batch, padding counted (classifiers and taggers)."""
    batch_size: PositiveInt = 32
    """Columns read in parallel (language models), or the most sequences of a batch (classifiers and taggers)."""
    steps: PositiveInt = 35
    """Tokens that gradients reach back, truncated back-propagation through time (language models)."""
    accumulate: PositiveInt = 1
    """Batches whose gradients are summed before each update: a larger batch in the same memory."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Update rule; averaged SGD is `sgd` with `average = asgd`."""
    learning_rate: Positive = 1e-3
    """Size of an update, the highest that the schedule reaches; with sgd rather 1 to 20."""
    weight_decay: NonNegative = 0.01
    """Pull of weight matrices towards zero; biases and other vectors are left alone."""
    momentum: Fraction = 0.0
    """Share of the last update that the next one keeps (sgd)."""
    beta1: Fraction = 0.9
    """Memory of the gradient's mean, between 0 and 1 (adam, adamw)."""
    beta2: Fraction = 0.999
    """Memory of the gradient's size, between 0 and 1 (adam, adamw)."""
    epsilon: Positive = 1e-8
    """Added to the gradient's size before dividing by it (adam, adamw)."""
    clip: Positive | None = 1.0
    """Longest gradient, as the norm over all weights; longer ones are scaled down to it. None: off."""
    schedule: Literal["constant", "cosine", "linear", "plateau", "anneal"] = "constant"
    """Course of the learning rate: cosine and linear come down by the end of training; plateau divides it when
    validation stands still, anneal each time that validation does not improve."""
    warmup: NonNegativeInt = 0
    """Updates over which the learning rate first climbs from near zero, with any schedule."""
    final_learning_rate_fraction: Fraction = 0.0
    """Where the schedule ends, as a share of `learning_rate`; plateau and anneal go no lower."""
    anneal_factor: Positive = 4.0
    """What plateau and anneal divide the learning rate by."""
    plateau_length: PositiveInt = 3
    """Validations in a row without improvement before plateau divides the learning rate."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward pass; weights and updates stay in float32."""
    average: Literal["none", "ema", "tail", "asgd"] = "none"
    """Averaged weights, which are then validated and saved: ema remembers with `decay`; tail is the mean over the last
    part of training; asgd is the mean since validation stopped improving (Merity et al. 2017)."""
    decay: Fraction = 0.999
    """Memory of the ema average per update; shorter at the start of training."""
    tail: Fraction = 0.2
    """Last part of training over which the tail average runs, as a share of the whole."""
    trigger: PositiveInt = 5
    """Validations to look back: asgd starts once the newest is worse than the best of those older than this."""
    patience: PositiveInt | None = None
    """Stop after this many validations in a row without improvement. None: never."""
    validate_every: Positive = 1.0
    """Epochs between validations; may be a fraction."""
    checkpoint_minutes: Positive = 10.0
    """Minutes between checkpoints; one is also written at each validation, at the end and on ctrl-C."""
    seed: Seed = 0
    """Start of all random numbers; the same seed gives the same network on the same machine."""
    device: str = "auto"
    """Where to train: auto (CUDA if there is one), cpu, cuda, cuda:1, mps, xpu."""
    threads: _Threads | None = None
    """CPU threads, at most 1,024. None: as torch chooses."""
    tensorboard: bool = False
    """Also write the log for TensorBoard, into `training/tensorboard` of the model folder."""

    def check(self) -> None:
        """Refuse a device that has no such name, and a cut of the learning rate that would raise it."""
        if not re.fullmatch(r"auto|cpu|mps|xpu|cuda(:\d+)?", self.device):
            raise SettingError(f"device = {self.device!r}: expected auto, cpu, cuda, cuda:N, mps or xpu")
        if self.anneal_factor < 1:
            raise SettingError(f"anneal_factor = {self.anneal_factor}: expected at least 1, it divides")
        if self.average == "tail" and self.tail == 0:
            raise SettingError("tail = 0 leaves the tail average nothing to average: expected a share above 0")


_FREE = {"patience", "checkpoint_minutes", "device", "threads", "tensorboard"}
_LENGTH = {"epochs", "minutes"}
_ADJUSTABLE = {
    *("learning_rate", "weight_decay", "momentum", "beta1", "beta2", "epsilon", "clip", "precision", "decay"),
    *("schedule", "warmup", "final_learning_rate_fraction", "anneal_factor", "plateau_length", "validate_every"),
    *_LENGTH,
}


def refuse_changes(before: TrainingSettings, now: TrainingSettings, allow: frozenset[str] = frozenset()) -> None:
    """Refuse to resume a run with settings under which it would have gone another way so far.

    What only says when to stop, or where and how watched a run goes, may change. The length (`epochs`, `minutes`) may
    change unless it shapes the course: with a cosine or linear schedule or the tail average. Settings of the update
    rule may change where the caller names them in `allow`; those that the data's order hangs on never.

    Raises:
        SettingError: Naming every setting that differs, with both values.
    """
    old, new = to_record(before), to_record(now)
    differing = {name for name in new if new[name] != old.get(name)} - _FREE
    if before.schedule not in ("cosine", "linear") and before.average != "tail":
        differing -= _LENGTH
    differing -= allow & _ADJUSTABLE
    if not differing:
        return
    names = [name for name in new if name in differing]
    changes = ", ".join(f"{name} = {new[name]} (was {old.get(name)})" for name in names)
    way_out = "resume with the old values, or train into a new folder"
    if differing <= _ADJUSTABLE:
        allowed = wording(" ".join(f"--allow {name}" for name in names), f"allow={names!r}")
        way_out += f"; or allow the change on purpose: {allowed}"
    raise SettingError(f"this run was started with other settings: {changes}; {way_out}")
