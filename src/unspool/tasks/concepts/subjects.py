"""Runs of a fitted task over its data in the order of the text, for language models, classifiers and taggers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import PADDING, Examples, Labelled, evaluation_batches
from unspool.errors import DataError
from unspool.inspection.concepts.labellings import Passage
from unspool.layers import Recurrent
from unspool.tasks.task import Task
from unspool.tasks.trainable import batched_tokens, device_of

__all__ = ["ExampleSubject", "StreamSubject", "Subject", "Window", "named_columns", "spans_of"]

SELECTION, HELD_OUT, UNUSED = 0, 1, -1
_STRETCHES, _SHORTEST, _STEPS, _WARM_UP = 64, 256, 64, 200


class Window(NamedTuple):
    """Results of a network for some tokens; padding has the place -1."""

    places: NDArray[np.int64]
    """Index of each token in the data, (time, batch)."""
    losses: NDArray[np.float64] | None
    """Loss at each token in nats, NaN where there is none, (time, batch); None if not asked for."""


class Subject(ABC):
    """Data of a task as one sequence of tokens, and the task's network over them.

    Attributes:
        passages: The texts, in order; the tokens of the data are those of all passages.
        ids: Ids of the tokens, int64 (tokens,).
        parts: 0 for tokens that select a unit, 1 for held-out tokens, -1 for others, int8 (tokens,).
        positions: Position of each token in its line, or in its text, from 0, int64 (tokens,).
        targets: Name of what is predicted at each token, such as the next unit, (tokens,).
    """

    what: ClassVar[str]
    """What `targets` are, for the head of a table."""
    passages: list[Passage]
    ids: NDArray[np.int64]
    parts: NDArray[np.int8]
    positions: NDArray[np.int64]
    targets: Sequence[str]

    def __init__(self, task: Task[Any, Any]) -> None:
        self.task = task

    @abstractmethod
    def stack(self, model: Any) -> Recurrent | None:
        """Return the recurrent stack of a network; None without one."""

    @abstractmethod
    def run(self, model: Any, *, most: int | None = None, losses: bool = False) -> Iterator[Window]:
        """Run a network over all tokens, or over held-out tokens alone.

        Args:
            model: A network of the task.
            most: Approximate number of held-out tokens to run over; None: all tokens of both parts.
            losses: Whether to compute the loss at each token.
        """

    @abstractmethod
    def categories(self, names: Callable[[str], str], by: str | None) -> list[str]:
        """Return the category of the prediction at each token, (tokens,).

        Args:
            names: From a target, such as the next unit, to its category.
            by: Column of the table whose cells are the categories; None: `names`.
        """


class StreamSubject(Subject):
    """Running text for a language model, in stretches that alternate between selection and held-out part.

    The network reads all stretches side by side, each from its initial state. So a stretch begins at a paragraph or a
    line where there is one nearby, and its first tokens count for neither part.
    """

    what = "next unit"

    def __init__(self, task: Task[Any, Any], passage: Passage, ids: NDArray[np.int64]) -> None:
        super().__init__(task)
        count = min(_STRETCHES, len(ids) // _SHORTEST) // 2 * 2
        if count < 2:
            raise DataError(f"{len(ids)} tokens are too few for a concept; expected at least {2 * _SHORTEST}")
        self.passages, self.ids = [passage], ids
        units = [passage.text[begin:end] for begin, end in passage.spans.tolist()]
        lines = np.flatnonzero([unit.endswith("\n") for unit in units]) + 1
        starts = np.zeros(len(ids), np.int64)
        starts[lines[lines < len(ids)]] = lines[lines < len(ids)]
        self.positions = np.arange(len(ids)) - np.maximum.accumulate(starts)
        self.targets = [*units[1:], ""]
        self.starts = _stretches(units, lines, count)
        self.parts = np.full(len(ids), UNUSED, np.int8)
        for number, (begin, end) in enumerate(pairwise(self.starts)):
            self.parts[begin + min(_WARM_UP, (end - begin) // 8) : end] = (SELECTION, HELD_OUT)[number % 2]

    def stack(self, model: Any) -> Recurrent | None:
        return model.decoder if isinstance(model.decoder, Recurrent) else None

    @torch.no_grad()
    def run(self, model: Any, *, most: int | None = None, losses: bool = False) -> Iterator[Window]:
        device, state = device_of(model), None
        begins, lengths = self.starts[:-1], np.diff(self.starts)
        if most is not None:
            begins, lengths = begins[1::2], lengths[1::2]
            lengths = np.minimum(lengths, max(_STEPS, most // len(lengths)))
        for step in range(0, int(lengths.max()), _STEPS):
            steps = np.arange(step, min(step + _STEPS, int(lengths.max())))[:, None]
            places = np.where(steps < lengths, begins + steps, -1)  # (time, batch)
            inputs = torch.from_numpy(np.where(places < 0, PADDING, self.ids[places])).to(device)
            outputs, state = model.states(inputs, state)
            yield Window(places, self._losses(model, outputs, places, begins + lengths) if losses else None)

    def _losses(
        self, model: Any, outputs: Tensor, places: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        following = np.where((places >= 0) & (places + 1 < ends), places + 1, -1)
        targets = torch.from_numpy(self.ids[following]).to(outputs.device)
        nats = -model.softmax.log_probabilities(outputs).gather(2, targets[:, :, None])[:, :, 0]
        return np.where(following < 0, math.nan, nats.double().cpu().numpy())

    def categories(self, names: Callable[[str], str], by: str | None) -> list[str]:
        if by is not None:
            raise DataError(f"running text has no column {by!r}")
        cache = {unit: names(unit) for unit in set(self.targets)}
        return [cache[unit] for unit in self.targets]


class ExampleSubject(Subject):
    """Texts with one loss per text or per token, for classifiers and taggers; texts alternate between the parts.

    Args:
        task: The task.
        passages: The texts.
        encoded: The encoded texts, in the same order.
        losses: From a network, a batch and the indices of its texts to the loss at each token, (time, batch).
        targets: Name of what is predicted at each token.
        what: What `targets` are.
    """

    def __init__(
        self,
        task: Task[Any, Any],
        passages: list[Passage],
        encoded: Examples,
        losses: Callable[[Any, Any, NDArray[np.int64]], NDArray[np.float64]],
        targets: Sequence[str],
        what: str,
    ) -> None:
        super().__init__(task)
        if len(passages) < 4:
            raise DataError(f"{len(passages)} texts are too few for a concept; expected at least 4")
        self.passages, self._encoded, self._losses = passages, encoded, losses
        self.targets, self.what = targets, what  # type: ignore[misc]
        lengths = encoded.lengths
        self._offsets = np.concatenate([[0], np.cumsum(lengths)])
        self.ids = np.asarray(encoded.tokens.flat, np.int64)
        self.parts = np.repeat(np.arange(len(lengths)) % 2, lengths).astype(np.int8)
        self.positions = np.concatenate([np.arange(length) for length in lengths])

    def stack(self, model: Any) -> Recurrent | None:
        return model.encoder if isinstance(model.encoder, Recurrent) else None

    @torch.no_grad()
    def run(self, model: Any, *, most: int | None = None, losses: bool = False) -> Iterator[Window]:
        device, lengths = device_of(model), self._encoded.lengths
        chosen = np.arange(len(lengths))
        if most is not None:
            chosen = chosen[1::2]
            chosen = chosen[: max(1, int(np.searchsorted(np.cumsum(lengths[chosen]), most, side="right")))]
        part = self._encoded.take(chosen)
        for places, batch in evaluation_batches(part, batch_tokens=batched_tokens(self.task.settings)):
            texts = chosen[places]
            tokens = (batch.tokens if isinstance(batch, Labelled) else batch).to(device)
            values = self._losses(model, tokens, texts)
            steps = np.arange(len(values))[:, None]
            inside = steps < lengths[texts]
            yield Window(
                np.where(inside, self._offsets[texts] + steps, -1),
                np.where(inside, values, math.nan) if losses else None,
            )

    def categories(self, names: Callable[[str], str], by: str | None) -> list[str]:
        if by is None:
            return [names(target) for target in self.targets]
        cells = []
        for passage in self.passages:
            if by not in passage.values:
                raise DataError(f"these data have no column {by!r}; there are {', '.join(passage.values) or 'none'}")
            cells += [f"{by} {passage.values[by]}"] * len(passage)
        return cells


def _stretches(units: Sequence[str], lines: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return where stretches of about equal length begin, and the end of the last one, (count + 1,).

    A stretch begins after a blank line, at a line without indentation, if there is one in the next quarter of a
    stretch; else at a line, if there is one.
    """
    inside = lines[lines < len(units) - 1]
    fresh = np.array([units[line - 1] == "\n" and (line < 2 or units[line - 2].endswith("\n")) for line in inside])
    bare = np.array([not units[line][:1].isspace() for line in inside], np.bool_)
    paragraphs = inside[fresh.astype(np.bool_) & bare]
    nominal = np.linspace(0, len(units), count + 1).astype(np.int64)
    starts = nominal.copy()
    for number in range(1, count):
        end = nominal[number] + (nominal[1] - nominal[0]) // 4
        for candidates in (paragraphs, inside):
            place = np.searchsorted(candidates, nominal[number])
            if place < len(candidates) and candidates[place] < end:
                starts[number] = candidates[place]
                break
    return starts


def spans_of(words: Sequence[str]) -> tuple[str, NDArray[np.int64]]:
    """Return words as a text with blanks between them, and the place of each, int64 (words, 2)."""
    lengths = np.array([len(word) for word in words], np.int64)
    ends = np.cumsum(lengths + 1) - 1
    return " ".join(words), np.stack([ends - lengths, ends], axis=1)


def named_columns(columns: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return columns under their names and their numbers from 1."""
    numbered = {str(number): cells for number, cells in enumerate(columns.values(), 1)}
    return {**numbered, **columns}
