"""Settings of the training loop: length, optimizer, schedule, averaging, device. Field docstrings are the `--help`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from unspool.errors import SettingError, wording
from unspool.settings import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt, Seed, Settings, to_record
from unspool.training.pace import read_course

__all__ = ["TrainingSettings", "refuse_changes"]

_Threads = Annotated[int, msgspec.Meta(gt=0, le=1024)]


class TrainingSettings(Settings, frozen=True, kw_only=True):
    """How a network is trained."""

    plan: bool = True
    """Whether the size of the network, the batch size, the learning rate, the precision and the length of training
    follow from the data and the time limit, where they are not set. Recipes and settings objects are complete: with
    them, nothing is planned."""
    epochs: PositiveInt = 20
    """Passes over the training data."""
    minutes: Positive | None = None
    """Time limit in minutes, validations and time before a resume included; the learning rate schedule ends with it.
    None: no limit."""
    course: str | None = None
    """Recorded course of an earlier training with a time limit, which this training repeats update by update instead
    of following the clock: update:progress:slope, several with blanks. None: by updates or time."""
    batch_tokens: PositiveInt = 4096
    """Maximum tokens per batch, padding included (classifiers and taggers)."""
    batch_size: PositiveInt = 32
    """Maximum sequences per batch (classifiers and taggers), or streams of text in parallel (language models)."""
    steps: PositiveInt = 35
    """Length of truncated backpropagation through time, in tokens (language models)."""
    accumulate: PositiveInt = 1
    """Gradient accumulation: batches whose gradients are summed before each update."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """Update rule; for averaged SGD take `sgd` with `average = asgd`."""
    learning_rate: Positive = 1e-3
    """Peak learning rate of the schedule; with sgd try 1 to 20."""
    weight_decay: NonNegative = 0.01
    """Weight decay of matrices; biases and other vectors do not decay."""
    momentum: Fraction = 0.0
    """Momentum, between 0 and 1 (sgd)."""
    beta1: Fraction = 0.9
    """Decay rate of the first-moment estimate, between 0 and 1 (adam, adamw)."""
    beta2: Fraction = 0.999
    """Decay rate of the second-moment estimate, between 0 and 1 (adam, adamw)."""
    epsilon: Positive = 1e-8
    """Term added to the denominator for numerical stability (adam, adamw)."""
    clip: Positive | None = 1.0
    """Maximum gradient norm over all weights; larger gradients are rescaled to it. None: no clipping."""
    schedule: Literal["constant", "cosine", "linear", "plateau", "anneal"] = "constant"
    """Learning rate schedule: cosine and linear decay until the end of training; plateau divides the rate when
    validation stops improving, anneal at each validation without improvement."""
    warmup: NonNegativeInt = 0
    """Warm-up: updates over which the learning rate rises linearly from near zero, with any schedule; at most a tenth
    of the training."""
    final_learning_rate_fraction: Fraction = 0.0
    """Final learning rate as a fraction of `learning_rate`; plateau and anneal go no lower."""
    anneal_factor: Positive = 4.0
    """Divisor of the learning rate for plateau and anneal, at least 1."""
    plateau_length: PositiveInt = 3
    """Validations without improvement in a row before plateau divides the learning rate."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number type of the forward pass; weights and updates stay in float32."""
    average: Literal["none", "ema", "tail", "asgd"] = "none"
    """Weight averaging, for validation and the saved model: ema is an exponential moving average with `decay`; tail is
    the mean over the last part of training; asgd the mean since validation stopped improving (Merity et al. 2017)."""
    decay: Fraction = 0.999
    """Decay rate of the ema average per update; lower at the start of training."""
    tail: Fraction = 0.2
    """Fraction of training, at its end, over which tail averages the weights."""
    trigger: PositiveInt = 5
    """Validations that asgd looks back: it starts once the newest is worse than the best of those older than this."""
    patience: PositiveInt | None = None
    """Early stopping after this many validations without improvement in a row. None: no early stopping."""
    validate_every: Positive = 1.0
    """Epochs between validations; may be a fraction."""
    checkpoint_minutes: Positive = 10.0
    """Minutes between checkpoints; one is also written at each validation, at the end and on ctrl-C."""
    seed: Seed = 0
    """Seed of all random numbers; the same seed gives the same network on the same machine."""
    device: str = "auto"
    """Device to train on: auto (CUDA if available), cpu, cuda, cuda:1, mps, xpu."""
    threads: _Threads | None = None
    """Number of CPU threads, at most 1,024. None: torch's default."""
    tensorboard: bool = False
    """Also write the log for TensorBoard, into `training/tensorboard` of the model folder."""

    def check(self) -> None:
        """Refuse an unknown device, an `anneal_factor` below 1, and a tail average over nothing."""
        if not re.fullmatch(r"auto|cpu|mps|xpu|cuda(:\d+)?", self.device):
            raise SettingError(f"device = {self.device!r}: expected auto, cpu, cuda, cuda:N, mps or xpu")
        if self.anneal_factor < 1:
            raise SettingError(
                f"anneal_factor = {self.anneal_factor}: expected at least 1; it divides the learning rate"
            )
        if self.course is not None:
            read_course(self.course)
        if self.average == "tail" and self.tail == 0:
            raise SettingError("tail = 0 averages no weights: expected a fraction above 0")


_FREE = {"plan", "patience", "checkpoint_minutes", "device", "threads", "tensorboard"}
_LENGTH = {"epochs", "minutes"}
_ADJUSTABLE = {
    *("learning_rate", "weight_decay", "momentum", "beta1", "beta2", "epsilon", "clip", "precision", "decay"),
    *("schedule", "warmup", "final_learning_rate_fraction", "anneal_factor", "plateau_length", "validate_every"),
    *_LENGTH,
}


def refuse_changes(before: TrainingSettings, now: TrainingSettings, allow: frozenset[str] = frozenset()) -> None:
    """Refuse to resume a run with settings that would have changed the updates so far.

    `patience`, `checkpoint_minutes`, `device`, `threads` and `tensorboard` may change. `epochs` and `minutes` may
    change, except with a cosine or linear schedule or the tail average. Settings of the update rule may change if
    `allow` contains them. Settings that determine the order of the data never change.

    Args:
        before: Settings of the run so far.
        now: Settings of the resumed run.
        allow: Names of settings that may differ.

    Raises:
        SettingError: If settings differ that may not; the message lists each with both values.
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
