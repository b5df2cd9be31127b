"""Runs of a fitted task over its data in the order of the text, for language models, classifiers and taggers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data import Examples, Labelled, evaluation_batches
from unspool.errors import DataError
from unspool.inspection.concepts.labellings import Passage
from unspool.layers import Recurrent
from unspool.tasks.task import Task
from unspool.tasks.trainable import batched_tokens, device_of

__all__ = ["ExampleSubject", "StreamSubject", "Subject", "Window"]

SELECTION, HELD_OUT, UNUSED = 0, 1, -1
_COLUMNS, _SHORTEST, _STEPS, _WARM_UP = 64, 256, 64, 200


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
    """Running text for a language model, in stretches that alternate between selection and held-out part."""

    what = "next unit"

    def __init__(self, task: Task[Any, Any], passage: Passage, ids: NDArray[np.int64]) -> None:
        super().__init__(task)
        count = min(_COLUMNS, len(ids) // _SHORTEST) // 2 * 2
        if count < 2:
            raise DataError(f"{len(ids)} tokens are too few for a concept; expected at least {2 * _SHORTEST}")
        self.height = len(ids) // count
        kept = self.height * count
        self.columns = ids[:kept].reshape(count, self.height)
        self.ids = ids[:kept]
        self.passages = [Passage(passage.text, passage.spans[:kept], passage.words, passage.columns)]
        parts = np.tile(np.array([SELECTION, HELD_OUT], np.int8), count // 2).repeat(self.height)
        parts[np.arange(kept) % self.height < min(_WARM_UP, self.height // 8)] = UNUSED
        self.parts = parts
        spans, text = self.passages[0].spans, passage.text
        self._units = [text[begin:end] for begin, end in spans.tolist()]
        starts = np.zeros(kept, np.int64)
        after = np.flatnonzero(np.array([unit.endswith("\n") for unit in self._units])) + 1
        after = after[after < kept]
        starts[after] = after
        self.positions = np.arange(kept) - np.maximum.accumulate(starts)
        self.targets = [*self._units[1:], ""]

    def stack(self, model: Any) -> Recurrent | None:
        return model.decoder if isinstance(model.decoder, Recurrent) else None

    @torch.no_grad()
    def run(self, model: Any, *, most: int | None = None, losses: bool = False) -> Iterator[Window]:
        device, state = device_of(model), None
        chosen = np.arange(len(self.columns)) if most is None else np.arange(1, len(self.columns), 2)
        height = self.height if most is None else min(self.height, max(_STEPS, most // len(chosen)))
        tokens = torch.from_numpy(self.columns[chosen].T.copy()).to(device)  # (time, batch)
        for begin in range(0, height, _STEPS):
            window = tokens[begin : min(begin + _STEPS, height)]
            outputs, state = model.states(window, state)
            places = chosen * self.height + np.arange(begin, begin + len(window))[:, None]
            yield Window(places, self._losses(model, outputs, tokens, begin) if losses else None)

    def _losses(self, model: Any, outputs: Tensor, tokens: Tensor, begin: int) -> NDArray[np.float64]:
        following = tokens[begin + 1 : begin + 1 + len(outputs)]
        result = np.full(outputs.shape[:2], math.nan)
        scores = model.softmax.log_probabilities(outputs[: len(following)])
        result[: len(following)] = -scores.gather(2, following[:, :, None])[:, :, 0].double().cpu().numpy()
        return result

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
            return list(self.targets)
        cells = []
        for passage in self.passages:
            if by not in passage.values:
                raise DataError(f"these data have no column {by!r}; there are {', '.join(passage.values) or 'none'}")
            cells += [f"{by} {passage.values[by]}"] * len(passage)
        return cells


def spans_of(words: Sequence[str]) -> tuple[str, NDArray[np.int64]]:
    """Return words as a text with blanks between them, and the place of each, int64 (words, 2)."""
    lengths = np.array([len(word) for word in words], np.int64)
    ends = np.cumsum(lengths + 1) - 1
    return " ".join(words), np.stack([ends - lengths, ends], axis=1)


def named_columns(columns: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return columns under their names and their numbers from 1."""
    numbered = {str(number): cells for number, cells in enumerate(columns.values(), 1)}
    return {**numbered, **columns}
