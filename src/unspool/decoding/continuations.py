"""Continuous batching: texts that join and leave a batch at any step, each with its own sampling and random numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.decoding.sampling import SelfStarting, chances, check_seed, draw
from unspool.decoding.states import join, leaves, select

__all__ = ["PLAIN_SAMPLING", "Continuation", "Continuations", "Sampling", "Step", "continued", "random_numbers"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Sampling(NamedTuple):
    """How the next unit is chosen; values as in `sample_next`."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def check(self) -> None:
        """Raise `SettingError` if a value is out of its range."""
        chances(torch.zeros(1, 1), **self._asdict())


PLAIN_SAMPLING = Sampling()


def random_numbers(seeds: Sequence[int] | NDArray[np.uint64], counts: Sequence[int]) -> NDArray[np.float32]:
    """Return uniform random numbers in [0, 1): number `counts[i]` of the stream with seed `seeds[i]`.

    A number depends on its seed and its place alone, so a stream needs no state, and another program repeats it easily.
    Source: SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195), its upper 24 bits.

    Args:
        seeds: Whole numbers from 0 to 2^63 - 1, (rows,).
        counts: Places in the streams, from 0, (rows,).

    Returns:
        Float32 (rows,).
    """
    with np.errstate(over="ignore"):
        mixed = np.asarray(seeds, dtype=np.uint64) * _FIRST + (np.asarray(counts, dtype=np.uint64) + 1) * _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
        mixed ^= mixed >> np.uint64(31)
    numbers: NDArray[np.float32] = (mixed >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    return numbers


class Continuation:
    """One text that a model continues: units to read, units to write, and the state of the model after both.

    Args:
        prompt: Units to read first, at least one.
        length: Number of units to write.
        sampling: How units are chosen.
        seed: Seed of the random numbers, from 0 to 2^63 - 1.

    Raises:
        SettingError: If the sampling or the seed is out of range.
    """

    def __init__(
        self, prompt: Sequence[int], *, length: int = 0, sampling: Sampling = PLAIN_SAMPLING, seed: int = 0
    ) -> None:
        sampling.check()
        check_seed(seed)
        self.unread = deque(prompt)
        """Units that the model has not read yet. The unit that a text wrote last stays here until the text goes on."""
        self.left = length
        """Number of units that are still to be written."""
        self.sampling, self.seed = sampling, seed
        self.drawn = 0
        """Number of units that were written so far, which is also the place in the stream of random numbers."""
        self.state: Any = None
        """State of the model, one row; None before the first step. Outdated while the text is in a batch."""
        self.scores: Tensor | None = None
        """Log-probabilities of the next unit in nats, (vocabulary,); None before the first step, or in a batch."""

    def fork(self) -> Continuation:
        """Return a copy that goes on from the same state; it shares tensors, which no step changes."""
        copy = Continuation((), sampling=self.sampling, seed=self.seed)
        copy.unread, copy.left, copy.drawn = deque(self.unread), self.left, self.drawn
        copy.state, copy.scores = self.state, self.scores
        return copy


@torch.no_grad()
def continued(model: SelfStarting, text: Continuation, *, forbidden: Tensor | None = None) -> Iterator[int]:
    """Continue one text alone, and yield each unit before the model reads it; `Continuations` agrees with this loop.

    Args:
        model: Predicts the next unit.
        text: The text; afterwards it holds the state.
        forbidden: Units that are never written, bool (vocabulary,).
    """
    if text.state is None:
        text.state = model.start(1)
    while text.unread or text.left:
        while text.unread:
            scores, text.state = model.advance(_ids([text.unread.popleft()], text.state), text.state)
            text.scores = scores[0]
        if not text.left:
            return
        assert text.scores is not None, "the text has no unit to begin with"
        scores = text.scores if forbidden is None else text.scores.masked_fill(forbidden, float("-inf"))
        number = torch.from_numpy(random_numbers([text.seed], [text.drawn])).to(scores.device)
        unit = int(draw(chances(scores.unsqueeze(0), **text.sampling._asdict()), number))
        text.drawn, text.left = text.drawn + 1, text.left - 1
        text.unread.append(unit)
        yield unit
        if not text.left:
            return


class Step(NamedTuple):
    """What one step of a batch did."""

    written: list[tuple[Continuation, int]]
    """The texts that wrote a unit, with the unit."""
    finished: list[Continuation]
    """The texts that left the batch, as they have nothing more to read or write."""


class Continuations:
    """Texts that a model continues together, one unit of each per step.

    The units of a text depend neither on the other texts nor on the step at which it joins, as far as the model's rows
    do not depend on each other to the bit.

    Args:
        model: Predicts the next unit. States whose tensors keep their shape are batched; others are stepped one by one.
        forbidden: Units that are never written, bool (vocabulary,).
    """

    def __init__(self, model: SelfStarting, *, forbidden: Tensor | None = None) -> None:
        self._model, self._forbidden = model, forbidden
        self.rows: list[Continuation] = []
        """The texts of the batch."""
        self._state: Any = None
        self._scores: Tensor | None = None
        self._batches: bool | None = None
        self._groups: list[_Group] = []
        """All rows by sampling; empty if rows came or went since the last step."""

    def start(self) -> Any:
        """Return the state of the model before the first unit, one row."""
        return self._model.start(1)

    @torch.no_grad()
    def add(self, texts: Sequence[Continuation]) -> None:
        """Let texts join the batch."""
        for text in texts:
            if text.state is None:
                text.state = self.start()
        if self._batches is None and texts:
            self._batches = _keeps_shape(self._model)
        if self._batches and texts:
            self._state = join([] if self._state is None else [self._state], [text.state for text in texts])
            self._add_scores(texts)
            for text in texts:
                text.state = text.scores = None
        self.rows += texts
        self._groups = []

    def remove(self, texts: Sequence[Continuation]) -> None:
        """Take texts out of the batch; each then holds its own state."""
        if not texts:
            return
        leaving = {id(text) for text in texts}
        stay = [place for place, row in enumerate(self.rows) if id(row) not in leaving]
        if self._batches:
            self._extract([place for place, row in enumerate(self.rows) if id(row) in leaving])
            index = torch.tensor(stay, dtype=torch.long)
            self._state = select(self._state, index) if stay else None
            self._scores = self._scores[index] if stay and self._scores is not None else None
        self.rows = [self.rows[place] for place in stay]
        self._groups = []

    @torch.no_grad()
    def step(self) -> Step:
        """Advance every text by one unit, read or written, and let finished texts leave."""
        idle = self._remove_idle()
        written, units, finished = [], [], []
        chosen = self._choose()
        for place, row in enumerate(self.rows):
            if row.unread:
                units.append(row.unread.popleft())
                continue
            unit = chosen[place]
            written.append((row, unit))
            row.drawn, row.left = row.drawn + 1, row.left - 1
            if row.left:
                units.append(unit)
            else:
                row.unread.append(unit)
                finished.append(row)
        self.remove(finished)
        if self.rows:
            self._read(units)
        return Step(written, [*idle, *finished, *self._remove_idle()])

    def _remove_idle(self) -> list[Continuation]:
        """Take out the texts that have nothing to read or write."""
        idle = [row for row in self.rows if not row.left and not row.unread]
        self.remove(idle)
        return idle

    def _choose(self) -> dict[int, int]:
        """Sample the next unit of each row that has nothing to read, by place."""
        writers = [place for place, row in enumerate(self.rows) if not row.unread]
        if len(writers) < len(self.rows):
            groups = _grouped(self.rows, writers)
        else:
            groups = self._groups = self._groups or _grouped(self.rows, writers)
        units: dict[int, int] = {}
        for group in groups:
            scores = self._scores_of(group.places)
            if self._forbidden is not None:
                scores = scores.masked_fill(self._forbidden, float("-inf"))
            numbers = random_numbers(group.seeds, [self.rows[place].drawn for place in group.places])
            probabilities = chances(scores, **group.sampling._asdict())
            chosen = draw(probabilities, torch.from_numpy(numbers).to(scores.device)).tolist()
            units.update(zip(group.places, chosen, strict=True))
        return units

    def _scores_of(self, places: list[int]) -> Tensor:
        if not self._batches:
            return torch.stack([scores for place in places if (scores := self.rows[place].scores) is not None])
        assert self._scores is not None
        return self._scores if len(places) == len(self.rows) else self._scores[torch.tensor(places)]

    def _read(self, units: list[int]) -> None:
        if self._batches:
            self._scores, self._state = self._model.advance(_ids(units, self._state), self._state)
            return
        for row, unit in zip(self.rows, units, strict=True):
            scores, row.state = self._model.advance(_ids([unit], row.state), row.state)
            row.scores = scores[0]

    def _add_scores(self, texts: Sequence[Continuation]) -> None:
        """Stack the scores of the batch and of further texts; texts without scores, which read first, have zeros."""
        rows: list[Tensor | None] = [None] * len(self.rows) if self._scores is None else list(self._scores)
        rows += [text.scores for text in texts]
        like = next((row for row in rows if row is not None), None)
        if like is not None:
            self._scores = torch.stack([torch.zeros_like(like) if row is None else row for row in rows])

    def _extract(self, places: list[int]) -> None:
        """Give rows of the batch their own state and scores."""
        for place in places:
            row, index = self.rows[place], torch.tensor([place])
            row.state = select(self._state, index)
            row.scores = None if self._scores is None else self._scores[place].clone()


class _Group(NamedTuple):
    """Rows that are sampled in the same way."""

    sampling: Sampling
    places: list[int]
    seeds: NDArray[np.uint64]


def _grouped(rows: Sequence[Continuation], places: Sequence[int]) -> list[_Group]:
    members: dict[Sampling, list[int]] = {}
    for place in places:
        members.setdefault(rows[place].sampling, []).append(place)
    return [
        _Group(sampling, mine, np.array([rows[place].seed for place in mine], dtype=np.uint64))
        for sampling, mine in members.items()
    ]


def _keeps_shape(model: SelfStarting) -> bool:
    """Whether the tensors of a state keep their shapes from step to step, so that states can be batched."""
    start = model.start(1)
    _, after = model.advance(_ids([0], start), start)
    return _shapes(after) == _shapes(start)


def _ids(units: list[int], state: Any) -> Tensor:
    """Return units as a tensor on the device of a state."""
    device = next((leaf.device for leaf in leaves(state) if leaf is not None), torch.device("cpu"))
    return torch.tensor(units, device=device)


def _shapes(state: Any) -> list[Any]:
    return [None if leaf is None else leaf.shape for leaf in leaves(state)]
