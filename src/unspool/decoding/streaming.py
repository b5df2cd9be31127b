"""Write one sequence, unit by unit, as it is decided."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unspool.data import END
from unspool.decoding.choosers import Chooser, Draws, Likeliest
from unspool.decoding.rules import Rules
from unspool.decoding.settings import DecodingSettings
from unspool.decoding.states import CarriedState, StepModel
from unspool.errors import SettingError

__all__ = ["stream"]

_ENDLESS = 2**62


@torch.no_grad()
def stream(
    model: StepModel,
    state: Any,
    *,
    settings: DecodingSettings,
    max_length: int | None = None,
    begin: int = END,
    end: int = END,
    forbidden: Tensor | None = None,
    prefix: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Generator[tuple[int, float], None, bool]:
    """Write one sequence by the greedy search or by sampling; the same units as `decode` writes.

    Memory does not grow with the length, but for what the model's own state takes, and for what was written where
    `no_repeat_ngram` has to look at it.

    Args:
        model: What predicts the next unit.
        state: Begun by the model, for one sequence.
        settings: Which search, and how; a `max_length` there replaces `max_length`.
        max_length: Most units, the end counted as one; without it, writing stops at the end alone.
        begin: The first unit that the model reads.
        end: The unit that ends the sequence; it is not yielded.
        forbidden: Units that are never written, bool (vocabulary,).
        prefix: Units that the sequence is forced to begin with; they are yielded too.
        generator: Where the chance of sampling comes from.

    Yields:
        A unit, and the model's log-probability of it in nats.

    Returns:
        Whether the end was reached.

    Raises:
        SettingError: If the search is not one that writes unit by unit, or the prefix or `forbidden` does not fit.
        DecodingError: If a log-probability is not a number.
    """
    if settings.search == "beam" or settings.best > 1:
        raise SettingError(
            f"search = {settings.search} with best = {settings.best} can't be written unit by unit: expected greedy or "
            "sample, and best = 1"
        )
    limit = settings.max_length or (_ENDLESS if max_length is None else max_length)
    if limit < 1:
        raise SettingError(f"a greatest length of {limit}: expected 1 or more")
    rules = Rules(settings, np.array([limit]), end=end, forbidden=forbidden, prefix=[prefix])
    chooser: Chooser = Draws(settings, 1, generator) if settings.search == "sample" else Likeliest()
    carried, unit = CarriedState(state), begin
    owner, total = np.zeros(1, dtype=np.int64), np.zeros(1)
    written = np.zeros((1, 0), dtype=np.int64) if rules.needs_history else None
    for step in range(limit):
        log_probabilities = carried.advance(model, torch.tensor([unit], device=carried.device), alone=True).float()
        candidates = chooser.choose(rules.apply(log_probabilities, step, owner, written), step, owner, total)
        if candidates.stuck[0]:
            return False
        unit = int(candidates.units[0])
        if unit == end:
            return True
        if written is not None:
            written = np.append(written, [[unit]], axis=1)
        yield unit, float(candidates.nats[0])
    return False
