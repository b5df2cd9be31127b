"""Where a run stands, apart from its tensors: what a checkpoint's record holds."""

from __future__ import annotations

from typing import Any

import msgspec

from unspool.errors import ModelFolderError

__all__ = ["RunState", "state_from", "state_record"]


class RunState(msgspec.Struct, kw_only=True):
    """Where a run stands; the epoch and the batch in it follow from `update`."""

    update: int = 0
    """Updates done."""
    seconds: float = 0.0
    """Time spent, that of earlier sessions included."""
    validated: int = 0
    """Updates done at the last validation."""
    history: list[float] = []
    """The metric at each validation."""
    best: dict[str, float] = {}
    """All metrics at the best validation; empty before the first."""
    best_update: int = 0
    """Updates done at the best validation."""
    waiting: int = 0
    """Validations in a row without improvement."""
    flat: int = 0
    """The same, since the last cut of the learning rate."""
    factor: float = 1.0
    """What plateau and anneal have left of the learning rate."""
    window_total: float = 0.0
    """Loss summed since the last log line, in nats."""
    window_count: int = 0
    """Targets it is summed over."""
    lap_total: float = 0.0
    """Loss summed since the last validation, in nats."""
    lap_count: int = 0
    """Targets it is summed over."""
    loss: float | None = None
    """Mean loss per target up to the last log line."""
    averaged: int = 0
    """Updates in the average of the weights."""
    triggered: bool = False
    """Whether an asgd average has begun."""
    log_bytes: int = 0
    """Length of log.jsonl."""


def state_record(state: RunState) -> dict[str, Any]:
    """The state as plain values."""
    return msgspec.structs.asdict(state)


def state_from(record: Any, where: object) -> RunState:
    """The state that `state_record` wrote.

    Raises:
        ModelFolderError: If the record is not one.
    """
    try:
        return msgspec.convert(record, RunState)
    except msgspec.ValidationError as error:
        raise ModelFolderError(f"{where}: not a checkpoint that this version can read ({error})") from None
