"""Write one sequence, unit by unit, as it is decided."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
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

__all__ = ["stream", "stream_settings", "text_pieces"]

_ENDLESS = 2**62
_WINDOW = 64  # units that are decoded again with each new one


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
    _refuse_several(settings)
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


def stream_settings(chosen: DecodingSettings | None, own: DecodingSettings) -> DecodingSettings:
    """The settings of a stream: the chosen ones, or a model's own with the greedy search in place of a beam.

    Args:
        chosen: What the caller asked for, if anything.
        own: The model's settings.

    Raises:
        SettingError: If the caller asked for a beam or several outputs: they are decided at their end only.
    """
    if chosen is None:
        return own.replace(search="greedy" if own.search == "beam" else own.search, best=1)
    _refuse_several(chosen)
    return chosen


def text_pieces(
    decode: Callable[[list[int]], str], units: Iterable[int], *, begin: Sequence[int] = (), complete: bool = False
) -> Iterator[str]:
    """Turn units into pieces of text as they come.

    A piece may hold back bytes of an unfinished character. Memory does not grow with the length: the last units alone
    are decoded again.

    Args:
        decode: Returns the text of units.
        units: What is written.
        begin: Units that were there before; their text is no part of the pieces.
        complete: Whether a character that is unfinished at the end is yielded too, as `decode` shows it.
    """
    ids = list(begin)
    whole = decode(ids)
    shown = len(whole)
    for unit in units:
        ids.append(unit)
        if len(ids) > 2 * _WINDOW:  # forget the beginning, which no longer changes
            ids = ids[-_WINDOW:]
            shown = len(decode(ids[:-1]).rstrip("\ufffd"))
        whole = decode(ids)
        if len(whole) > shown and not whole.endswith("\ufffd"):
            yield whole[shown:]
            shown = len(whole)
    if complete and len(whole) > shown:
        yield whole[shown:]


def _refuse_several(settings: DecodingSettings) -> None:
    if settings.search == "beam" or settings.best > 1:
        raise SettingError(
            f"search = {settings.search} with best = {settings.best} can't be written unit by unit: expected greedy or "
            "sample, and best = 1"
        )
