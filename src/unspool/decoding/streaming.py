"""Streaming decoding: yield one sequence unit by unit, by greedy search or sampling, and its text by pieces."""

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

__all__ = ["TextPieces", "stream", "stream_settings", "text_pieces"]

_ENDLESS = 2**62
_WINDOW = 64  # units decoded again with each new one


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
    """Decode one sequence by greedy search or sampling; yields the same units as `decode`.

    Memory grows only with the model's own state, and with the units so far if `no_repeat_ngram` is set.

    Args:
        model: Predicts the next unit.
        state: State of the model for one sequence.
        settings: The search and its settings; a `max_length` there replaces the argument.
        max_length: Maximum number of units, the end included. None: until the end.
        begin: The first unit that the model reads.
        end: The unit that ends the sequence; it is not yielded.
        forbidden: Units that never occur, bool (vocabulary,).
        prefix: Units that the sequence must begin with; they are yielded too.
        generator: Random number generator for sampling.

    Yields:
        A unit, and its log-probability in nats.

    Returns:
        Whether the end was reached.

    Raises:
        SettingError: If the search can't stream, or the prefix or `forbidden` does not fit.
        DecodingError: If a log-probability is NaN.
    """
    _refuse_several(settings)
    limit = settings.max_length or (_ENDLESS if max_length is None else max_length)
    if limit < 1:
        raise SettingError(f"max_length = {limit}: expected 1 or more")
    rules = Rules(settings, np.array([limit]), end=end, forbidden=forbidden, prefix=[prefix])
    chooser: Chooser = Draws(settings, 1, generator) if settings.search == "sample" else Likeliest()
    carried, unit = CarriedState(state), begin
    owner, total = np.zeros(1, dtype=np.int64), np.zeros(1)
    history = np.zeros((1, 0), dtype=np.int64) if rules.needs_history else None
    for step in range(limit):
        log_probabilities = carried.advance(model, torch.tensor([unit], device=carried.device), alone=True).float()
        candidates = chooser.choose(rules.apply(log_probabilities, step, owner, history), step, owner, total)
        if candidates.stuck[0]:
            return False
        unit = int(candidates.units[0])
        if unit == end:
            return True
        if history is not None:
            history = np.append(history, [[unit]], axis=1)
        yield unit, float(candidates.nats[0])
    return False


def stream_settings(settings: DecodingSettings | None, own: DecodingSettings) -> DecodingSettings:
    """Return the settings of a stream: the caller's, or the model's with greedy search in place of a beam.

    Args:
        settings: The caller's settings, if any.
        own: The model's settings.

    Raises:
        SettingError: If the caller's settings have a beam or several outputs, which can't stream.
    """
    if settings is None:
        return own.replace(search="greedy" if own.search == "beam" else own.search, best=1)
    _refuse_several(settings)
    return settings


class TextPieces:
    """Turns units into pieces of text as they arrive.

    Bytes of an incomplete character wait for the next unit. Memory does not grow with the length, since only the last
    units are decoded again.

    Args:
        decode: Returns the text of units.
        begin: Earlier units, whose text is not part of the pieces.
        incomplete: Whether an incomplete character at the end of `begin` belongs to the pieces.
    """

    def __init__(
        self, decode: Callable[[list[int]], str], begin: Sequence[int] = (), *, incomplete: bool = False
    ) -> None:
        self._decode, self._ids = decode, list(begin)
        self._whole = decode(self._ids)
        self._sent = len(self._whole.rstrip("\ufffd") if incomplete else self._whole)

    def add(self, units: Sequence[int]) -> str:
        """Return the text of further units, as far as it is complete."""
        if len(self._ids) + len(units) > 2 * _WINDOW:  # drop the beginning, which no longer changes
            waiting = len(self._whole) - self._sent
            self._ids = self._ids[-_WINDOW:]
            self._sent = len(self._decode(self._ids)) - waiting
        self._ids += units
        self._whole = self._decode(self._ids)
        if self._whole.endswith("\ufffd"):
            return ""
        return self.end()

    def end(self) -> str:
        """Return what was not yet returned, a character that is incomplete at the end as `decode` shows it."""
        piece, self._sent = self._whole[self._sent :], max(self._sent, len(self._whole))
        return piece

    @property
    def incomplete(self) -> bool:
        """Whether a character at the end is incomplete, and not returned yet."""
        return self._sent < len(self._whole)

    @property
    def context(self) -> list[int]:
        """The last units, from which a later object can go on: its `begin`."""
        return self._ids[-_WINDOW:]


def text_pieces(
    decode: Callable[[list[int]], str], units: Iterable[int], *, begin: Sequence[int] = (), complete: bool = False
) -> Iterator[str]:
    """Turn a stream of units into pieces of text, as `TextPieces` does.

    Args:
        decode: Returns the text of units.
        units: The stream.
        begin: Earlier units, whose text is not part of the pieces.
        complete: Whether to yield a character that is incomplete at the end, as `decode` shows it.
    """
    pieces = TextPieces(decode, begin)
    for unit in units:
        if piece := pieces.add([unit]):
            yield piece
    if complete and (piece := pieces.end()):
        yield piece


def _refuse_several(settings: DecodingSettings) -> None:
    if settings.search == "beam" or settings.best > 1:
        raise SettingError(
            f"search = {settings.search} with best = {settings.best} can't be written unit by unit: expected greedy or "
            "sample, and best = 1"
        )
