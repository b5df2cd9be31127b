"""State of a training run without its tensors: the record of a checkpoint."""

from __future__ import annotations

from typing import Any

import msgspec

from unspool.errors import ModelFolderError

__all__ = ["RunState", "state_from", "state_record"]


class RunState(msgspec.Struct, kw_only=True):
    """Counters and scores of a run; epoch and batch follow from `update`."""

    update: int = 0
    """Number of updates so far."""
    seconds: float = 0.0
    """Elapsed time, earlier sessions included."""
    validated: int = 0
    """Value of `update` at the last validation."""
    history: list[float] = []
    """The metric at each validation."""
    best: dict[str, float] = {}
    """All metrics at the best validation; empty before the first."""
    best_update: int = 0
    """Value of `update` at the best validation."""
    waiting: int = 0
    """Validations without improvement in a row."""
    flat: int = 0
    """The same, since the last cut of the learning rate."""
    factor: float = 1.0
    """Factor of plateau and anneal on the learning rate, between 0 and 1."""
    window_total: float = 0.0
    """Loss summed since the last log line, in nats."""
    window_count: int = 0
    """Number of targets in that sum."""
    window_norm: float = 0.0
    """Largest gradient norm since the last log line."""
    window_clipped: int = 0
    """Number of updates since the last log line whose gradient was clipped."""
    window_updates: int = 0
    """Number of updates since the last log line."""
    lap_total: float = 0.0
    """Loss summed since the last validation, in nats."""
    lap_count: int = 0
    """Number of targets in that sum."""
    loss: float | None = None
    """Mean loss per target up to the last log line."""
    knots: list[tuple[int, float, float]] = []
    """Knots of the pace so far; see `unspool.training.pace.Pace`."""
    longest_warmup: float | None = None
    """Maximum warm-up, as a fraction of the training; None in checkpoints from before there was a limit."""
    averaged: int = 0
    """Updates in the average of the weights."""
    triggered: bool = False
    """Whether an asgd average has begun."""
    log_bytes: int = 0
    """Length of log.jsonl."""


def state_record(state: RunState) -> dict[str, Any]:
    """Return the state as plain values."""
    return msgspec.structs.asdict(state)


def state_from(record: Any, where: object) -> RunState:
    """Return the state of a record from `state_record`.

    Raises:
        ModelFolderError: If the record has another structure.
    """
    try:
        return msgspec.convert(record, RunState)
    except msgspec.ValidationError as error:
        raise ModelFolderError(f"{where}: not a checkpoint that this version can read ({error})") from None
