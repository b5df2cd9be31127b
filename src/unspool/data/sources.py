"""Sources of mini-batches: length buckets, windows of running text, evaluation order.

The seed and the epoch's number alone decide the order of an epoch, so that training can resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from unspool.data.batches import IGNORED, Batch, Window
from unspool.data.examples import refuse_empty
from unspool.data.vocabulary import END
from unspool.errors import DataError

__all__ = [
    "Augmented",
    "BatchSource",
    "Bucketed",
    "Encoded",
    "Interleaved",
    "Windows",
    "count_evaluated",
    "evaluation_batches",
]

B = TypeVar("B", bound=Batch, covariant=True)


class BatchSource(Protocol[B]):
    """Protocol of a source of training batches; it may have a `note` for the user as an attribute."""

    def __len__(self) -> int:
        """Number of batches of an epoch."""

    def epoch(self, number: int, *, start: int = 0) -> Iterator[B]:
        """Yield the batches of an epoch in order, from the batch `start` on."""


class Encoded(Protocol[B]):
    """Protocol of an encoded data set that can batch any of its examples."""

    def __len__(self) -> int:
        """Number of examples."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each example in tokens, for the budget of a batch, int64 (examples,)."""

    def batch(self, indices: NDArray[np.int64]) -> B:
        """Pad the examples at some indices into one batch."""


@runtime_checkable
class Augmented(Protocol):
    """Protocol of an encoded data set that differs from epoch to epoch in training."""

    def in_epoch(self, number: int) -> Any:
        """Return the `Encoded` examples as training sees them in an epoch; the epoch's number decides all changes."""


class Bucketed(Generic[B]):
    """Mini-batches of sequences of similar length, within a budget of tokens.

    An epoch has every example exactly once. Each epoch shuffles examples of equal length, and the order of batches. A
    sequence longer than the budget is a batch of its own.

    Args:
        examples: Encoded examples, none empty.
        batch_tokens: Most tokens of a batch, with padding.
        batch_size: Most sequences of a batch; None: no limit beside the budget.
        seed: Seed of the order, together with the epoch's number.

    Raises:
        DataError: If there are no examples, or one is empty.
    """

    def __init__(
        self, examples: Encoded[B], *, batch_tokens: int, batch_size: int | None = None, seed: int = 0
    ) -> None:
        if not len(examples):
            raise DataError("there are no examples to train on")
        refuse_empty(examples)
        self.examples, self.seed = examples, seed
        self._lengths = examples.lengths
        self._cuts = _cut(np.sort(self._lengths), batch_tokens, batch_size)

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def epoch(self, number: int, *, start: int = 0) -> Iterator[B]:
        """Yield the batches of an epoch in order, from the batch `start` on."""
        examples = self.examples.in_epoch(number) if isinstance(self.examples, Augmented) else self.examples
        for indices in self.epoch_indices(number)[start:]:
            yield examples.batch(indices)

    def epoch_indices(self, number: int) -> list[NDArray[np.int64]]:
        """Return the indices of the examples of each batch of an epoch, int64 (batch,) each."""
        generator = np.random.default_rng([self.seed, number])
        order = generator.permutation(len(self.examples))
        order = order[np.argsort(self._lengths[order], kind="stable")]
        return [order[self._cuts[b] : self._cuts[b + 1]] for b in generator.permutation(len(self))]


Count = Callable[[int, int], None]
_count: ContextVar[Count | None] = ContextVar("count", default=None)


@contextmanager
def count_evaluated(count: Count) -> Iterator[None]:
    """Within the context, call `count(done, total)`, numbers of examples, after each of the `evaluation_batches`."""
    token = _count.set(count)
    try:
        yield
    finally:
        _count.reset(token)


def evaluation_batches(
    examples: Encoded[B], *, batch_tokens: int, batch_size: int | None = None
) -> Iterator[tuple[NDArray[np.int64], B]]:
    """Yield every example once, shortest first: the indices of each batch, int64 (batch,), and the batch.

    Args:
        examples: Encoded examples, none empty.
        batch_tokens: Most tokens of a batch, with padding.
        batch_size: Most sequences of a batch; None: no limit beside the budget.

    Raises:
        DataError: If an example is empty.
    """
    refuse_empty(examples)
    lengths = examples.lengths
    order = np.argsort(lengths, kind="stable")
    cuts = _cut(lengths[order], batch_tokens, batch_size)
    count = _count.get()
    for begin, end in pairwise(cuts):
        yield order[begin:end], examples.batch(order[begin:end])
        if count is not None:
            count(end, len(order))


def _cut(lengths: NDArray[np.int64], batch_tokens: int, batch_size: int | None) -> list[int]:
    """Return the ends of batches over ascending lengths; number of sequences times longest stays within the budget."""
    cuts = [0]
    for place, length in enumerate(lengths.tolist()):
        count = place - cuts[-1] + 1
        if count > 1 and (count * length > batch_tokens or (batch_size and count > batch_size)):
            cuts.append(place)
    return [*cuts, len(lengths)] if len(lengths) else cuts


class Interleaved:
    """The batches of two sources, interleaved evenly; each source keeps its own order.

    Args:
        first: One source.
        second: The other source.
    """

    def __init__(self, first: BatchSource[Any], second: BatchSource[Any]) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch in order, from the batch `start` on."""
        turns = self._turns()
        skip = sum(turns[:start])
        first = self.first.epoch(number, start=skip)
        second = self.second.epoch(number, start=start - skip)
        for turn in turns[start:]:
            yield next(first if turn else second)

    def _turns(self) -> list[bool]:
        """Return for each batch whether it comes from the first source."""
        ours, all_ = len(self.first), len(self)
        return [(place + 1) * ours // all_ > place * ours // all_ for place in range(all_)]


class Windows:
    """Windows of running text in parallel columns, for truncated backpropagation; state carries over between windows.

    The text is cut into `batch_size` columns of equal length; the first ones have a token more if the text does not
    divide evenly. Every token is a target exactly once; the input before the first token is the end unit.

    Args:
        tokens: Token ids, any integer type (tokens,), in memory or mapped.
        batch_size: Number of columns; with fewer tokens, there are fewer columns and a `note`.
        steps: Tokens of each column in a window; the last window may be shorter.

    Attributes:
        columns: Number of columns.
        note: Message about a smaller number of columns; None if there is none.

    Raises:
        DataError: If there are no tokens.
    """

    def __init__(self, tokens: NDArray[np.integer], *, batch_size: int, steps: int) -> None:
        if not len(tokens):
            raise DataError("there are no tokens to train on")
        self.tokens, self.steps = tokens, steps
        self.columns = batch_size
        self.note: str | None = None
        if len(tokens) < batch_size:
            self.columns = max(1, len(tokens) // steps)
            self.note = f"{len(tokens)} tokens are too few for {batch_size} columns; made {self.columns} instead"
        whole, longer = divmod(len(tokens), self.columns)
        self._starts = [column * whole + min(column, longer) for column in range(self.columns + 1)]
        self._height = whole + (longer > 0)

    def __len__(self) -> int:
        return -(-self._height // self.steps)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Window]:
        """Yield the windows in order, from the window `start` on; every epoch is the same."""
        for window in range(start, len(self)):
            yield self._window(window * self.steps, min((window + 1) * self.steps, self._height))

    def _window(self, begin: int, end: int) -> Window:
        inputs = np.zeros((self.columns, end - begin), np.int64)
        targets = np.full_like(inputs, IGNORED)
        for column, (first, after) in enumerate(pairwise(self._starts)):
            stretch = self.tokens[first + begin : min(first + end, after)]
            count = len(stretch)
            targets[column, :count] = stretch
            inputs[column, 1:count] = stretch[:-1]
            if count:
                before = first + begin - 1
                inputs[column, 0] = self.tokens[before] if before >= 0 else END
        return Window(torch.from_numpy(inputs.T.copy()), torch.from_numpy(targets.T.copy()))
