"""Synthetic algorithmic tasks: copy, repeat copy, associative recall, sort, reverse and adding.

Each draws random mini-batches of inputs and targets. After Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section
4, and Hochreiter and Schmidhuber 1997 (adding).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.errors import DataError, SettingError

__all__ = [
    "Adding",
    "Copy",
    "Exercise",
    "ExerciseKind",
    "ExerciseSource",
    "Recall",
    "RepeatCopy",
    "Reverse",
    "Sort",
]

Array = NDArray[np.float32]
Chance = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Exercise:
    """A mini-batch of exercises: inputs and targets at each time step."""

    inputs: Tensor
    """float32 (time, batch, inputs); zero at the steps of the answer."""
    targets: Tensor
    """float32 (time, batch, outputs): bits or real numbers."""
    counted: Tensor
    """Mask of the steps with a target, bool (time, batch)."""
    lengths: Tensor
    """Steps of each exercise, int64 (batch,)."""

    @property
    def size(self) -> int:
        """Number of steps without padding."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            targets=self.targets.to(device),
            counted=self.counted.to(device),
            lengths=self.lengths.to(device),
        )

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th exercise from `rank` on; None if there is none."""
        if rank >= self.inputs.shape[1]:
            return None
        part = slice(rank, None, world)
        return replace(
            self,
            inputs=self.inputs[:, part],
            targets=self.targets[:, part],
            counted=self.counted[:, part],
            lengths=self.lengths[part],
        )

    @classmethod
    def of(cls, inputs: Array, targets: Array, counted: NDArray[np.bool_]) -> Self:
        """Return exercises of equal lengths from arrays (time, batch, ...); `counted` is (time,) or (time, batch)."""
        time, batch, _ = inputs.shape
        if counted.ndim == 1:
            counted = np.repeat(counted[:, None], batch, axis=1)
        lengths = torch.full((batch,), time)
        return cls(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(counted), lengths)


class ExerciseKind(ABC):
    """Base of a synthetic task: draws exercises, parses one from a text, and formats answers.

    Attributes:
        inputs: Features of one input step.
        outputs: Features of one output step.
    """

    name: ClassVar[str]
    answers: ClassVar[Literal["bits", "numbers"]] = "bits"
    """Type of the outputs: bits, each right or wrong, or real numbers."""
    form: ClassVar[str]
    """An exercise as text, as an example."""
    inputs: int
    outputs: int

    @abstractmethod
    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        """Draw exercises of a length; each task defines the unit of length.

        Args:
            chance: Random generator.
            batch: Number of exercises, at least 1.
            length: Length of each exercise, at least 1.
        """

    @abstractmethod
    def read(self, text: str) -> Exercise:
        """Parse one exercise from a text, as a batch of 1.

        Raises:
            DataError: If the text has another form.
        """

    def show(self, answer: Array) -> str:
        """Format an answer, (steps, outputs), as a text."""
        return " ".join("".join("1" if bit > 0.5 else "0" for bit in row) for row in answer)

    def tokens(self, exercise: Exercise) -> list[str]:
        """Return a readable label for each step of a single exercise."""
        rows = exercise.inputs[:, 0].numpy()
        return ["".join("1" if bit > 0.5 else "0" for bit in row) if row.any() else "?" for row in rows]

    def _wrong(self, text: str) -> DataError:
        return DataError(f"{text[:60]!r} is no exercise of {self.name}; expected the form {self.form!r}", "text")

    def _bits(self, words: list[str], width: int, text: str) -> Array:
        """Parse words of 0 and 1 into rows, (words, width)."""
        if not words or any(len(word) != width or set(word) - {"0", "1"} for word in words):
            raise self._wrong(text)
        return np.array([[int(bit) for bit in word] for word in words], np.float32)


class Copy(ExerciseKind):
    """Read vectors of bits, then write them.

    Args:
        width: Bits of a vector.
    """

    name = "copy"
    form = "10010110 01011101"

    def __init__(self, width: int = 8) -> None:
        self.width, self.inputs, self.outputs = width, width + 1, width

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        return self.lay(_random_bits(chance, length, batch, self.width))

    def lay(self, bits: Array) -> Exercise:
        """Lay out vectors, (length, batch, width): the input vectors, a delimiter step, then the output steps."""
        length, batch, width = bits.shape
        inputs = np.zeros((2 * length + 1, batch, width + 1), np.float32)
        targets = np.zeros((2 * length + 1, batch, width), np.float32)
        inputs[:length, :, :width] = bits
        inputs[length, :, width] = 1
        targets[length + 1 :] = self.written(bits)
        return Exercise.of(inputs, targets, np.arange(2 * length + 1) > length)

    def written(self, bits: Array) -> Array:
        """Return the target vectors of input vectors, (length, batch, width) both."""
        return bits

    def read(self, text: str) -> Exercise:
        return self.lay(self._bits(text.split(), self.width, text)[:, None])


class Reverse(Copy):
    """Read vectors of bits, then write them from the last to the first."""

    name = "reverse"

    def written(self, bits: Array) -> Array:
        return np.ascontiguousarray(bits[::-1])


class RepeatCopy(ExerciseKind):
    """Read vectors of bits and a number, write the vectors that number of times, then an end sign.

    Args:
        width: Bits of a vector.
        repeats: Highest number drawn.
    """

    name = "repeat-copy"
    form = "3x 10010110 01011101"

    def __init__(self, width: int = 8, repeats: int = 10) -> None:
        self.width, self.repeats, self.inputs, self.outputs = width, repeats, width + 1, width + 1

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        repeats = int(chance.integers(1, self.repeats + 1))
        return self.lay(_random_bits(chance, length, batch, self.width), repeats)

    def lay(self, bits: Array, repeats: int) -> Exercise:
        """Lay out vectors, (length, batch, width); the input number is scaled to mean 0 and standard deviation 1."""
        length, batch, width = bits.shape
        time = length + 1 + length * repeats + 1
        inputs = np.zeros((time, batch, width + 1), np.float32)
        targets = np.zeros_like(inputs)
        inputs[:length, :, :width] = bits
        # Uniform from 1 to n: mean (n + 1) / 2, variance (n² - 1) / 12. Never 0, since it marks the delimiter too.
        spread = np.sqrt((self.repeats**2 - 1) / 12) or 1.0
        inputs[length, :, width] = (repeats - (self.repeats + 1) / 2) / spread or 1e-3
        targets[length + 1 : -1, :, :width] = np.tile(bits, (repeats, 1, 1))
        targets[-1, :, width] = 1
        return Exercise.of(inputs, targets, np.arange(time) > length)

    def read(self, text: str) -> Exercise:
        first, *words = text.split() or [""]
        if not first.endswith("x") or not first[:-1].isdecimal() or int(first[:-1]) < 1:
            raise self._wrong(text)
        return self.lay(self._bits(words, self.width, text)[:, None], int(first[:-1]))


class Recall(ExerciseKind):
    """Read items of three vectors each, then one of them again; write the item that came after it.

    Args:
        width: Bits of a vector.
    """

    name = "recall"
    form = "101100 010111 111000 | 000111 101010 011001 ? 101100 010111 111000"
    _ITEM = 3  # vectors of an item

    def __init__(self, width: int = 6) -> None:
        self.width, self.inputs, self.outputs = width, width + 2, width

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        """Draw exercises of `length` items, at least 2."""
        items = max(2, length)
        bits = _random_bits(chance, items * self._ITEM, batch, self.width)
        queries = chance.integers(0, items - 1, batch)
        return self.lay(bits.reshape(items, self._ITEM, batch, self.width), queries)

    def lay(self, bits: Array, asked: NDArray[np.int64]) -> Exercise:
        """Lay out items, (items, 3, batch, width), and the index of each query item, `asked`, int64 (batch,)."""
        items, size, batch, width = bits.shape
        begin = items * (size + 1)
        time = begin + 2 * size + 2
        inputs, targets = np.zeros((time, batch, width + 2), np.float32), np.zeros((time, batch, width), np.float32)
        for item in range(items):
            at = item * (size + 1)
            inputs[at, :, width] = 1
            inputs[at + 1 : at + 1 + size, :, :width] = bits[item]
        rows = np.arange(batch)
        inputs[[begin, begin + size + 1], :, width + 1] = 1
        inputs[begin + 1 : begin + 1 + size, :, :width] = bits[asked, :, rows].transpose(1, 0, 2)
        targets[-size:] = bits[asked + 1, :, rows].transpose(1, 0, 2)
        return Exercise.of(inputs, targets, np.arange(time) >= time - size)

    def read(self, text: str) -> Exercise:
        items_text, mark, query_text = text.partition("?")
        items = [self._bits(item.split(), self.width, text) for item in items_text.split("|")]
        query = self._bits(query_text.split(), self.width, text)
        places = [place for place, item in enumerate(items[:-1]) if np.array_equal(item, query)]
        if not mark or any(len(item) != self._ITEM for item in items) or not places:
            raise self._wrong(text)
        return self.lay(np.stack(items)[:, :, None], np.array(places[:1]))


class Sort(ExerciseKind):
    """Read vectors of bits, each with a priority between -1 and 1; write them from the highest priority to the lowest.

    Args:
        width: Bits of a vector.
    """

    name = "sort"
    form = "0.31:10010110 -0.62:01011101"

    def __init__(self, width: int = 8) -> None:
        self.width, self.inputs, self.outputs = width, width + 2, width

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        bits = _random_bits(chance, length, batch, self.width)
        return self.lay(bits, chance.uniform(-1, 1, (length, batch)).astype(np.float32))

    def lay(self, bits: Array, priorities: Array) -> Exercise:
        """Lay out vectors, (length, batch, width), and their priorities, (length, batch)."""
        length, batch, width = bits.shape
        inputs = np.zeros((2 * length + 1, batch, width + 2), np.float32)
        targets = np.zeros((2 * length + 1, batch, width), np.float32)
        inputs[:length, :, :width] = bits
        inputs[:length, :, width] = priorities
        inputs[length, :, width + 1] = 1
        order = np.argsort(-priorities, axis=0, kind="stable")
        targets[length + 1 :] = np.take_along_axis(bits, order[..., None], axis=0)
        return Exercise.of(inputs, targets, np.arange(2 * length + 1) > length)

    def read(self, text: str) -> Exercise:
        pairs = [word.partition(":")[::2] for word in text.split()]
        try:
            priorities = _finite([priority for priority, _ in pairs])
        except ValueError:
            raise self._wrong(text) from None
        return self.lay(self._bits([word for _, word in pairs], self.width, text)[:, None], priorities[:, None])


class Adding(ExerciseKind):
    """Read numbers between 0 and 1, two of which have a mark; output the sum of those two at the last step.

    One mark stands in the first half, one in the second. Source: Hochreiter and Schmidhuber 1997; Le, Jaitly and Hinton
    2015, arXiv:1504.00941, section 4.1.
    """

    name = "adding"
    answers = "numbers"
    form = "0.41* 0.9 0.13 0.55*"
    inputs, outputs = 2, 1

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        """Draw exercises of `length` numbers, at least 2."""
        length = max(2, length)
        marks = np.zeros((length, batch), np.float32)
        marks[chance.integers(0, length // 2, batch), np.arange(batch)] = 1
        marks[chance.integers(length // 2, length, batch), np.arange(batch)] = 1
        return self.lay(chance.random((length, batch), np.float32), marks)

    def lay(self, numbers: Array, marks: Array) -> Exercise:
        """Lay out numbers and their marks, 0 or 1, (length, batch) each."""
        length = len(numbers)
        targets = np.zeros((*numbers.shape, 1), np.float32)
        targets[-1, :, 0] = (numbers * marks).sum(0)
        return Exercise.of(np.stack([numbers, marks], axis=-1), targets, np.arange(length) == length - 1)

    def read(self, text: str) -> Exercise:
        words = text.split()
        try:
            numbers = _finite([word.removesuffix("*") for word in words])
        except ValueError:
            raise self._wrong(text) from None
        if sum(word.endswith("*") for word in words) != 2:
            raise self._wrong(text)
        return self.lay(numbers[:, None], np.array([[float(word.endswith("*"))] for word in words], np.float32))

    def show(self, answer: Array) -> str:
        return f"{float(answer[-1, 0]):.3f}"

    def tokens(self, exercise: Exercise) -> list[str]:
        return [f"{number:.2f}{'*' * (mark > 0)}" for number, mark in exercise.inputs[:, 0].tolist()]


def _finite(words: list[str]) -> Array:
    """Parse numbers, (words,); raise `ValueError` for a word that is no finite number."""
    numbers = np.array([float(word) for word in words])
    if not (np.abs(numbers) <= np.finfo(np.float32).max).all():
        raise ValueError("a number is not finite")
    return numbers.astype(np.float32)


def _random_bits(chance: Chance, length: int, batch: int, width: int) -> Array:
    return chance.integers(0, 2, (length, batch, width)).astype(np.float32)


class ExerciseSource:
    """Endless source of exercises; seed, epoch number and batch number decide every exercise.

    All exercises of a batch have the same length, drawn uniformly between the two `lengths`.

    Args:
        algorithm: The synthetic task.
        lengths: Shortest and longest length, at least 1.
        examples: Exercises per epoch.
        batch_size: Exercises per batch.
        seed: Seed of the random generator.
        stream: Number of the random stream; different streams are independent, training uses 0.
        growing: Epochs over which the longest length grows from the shortest to the longest of `lengths`, linearly in
            batches (curriculum learning, Bengio et al. 2009).

    Raises:
        SettingError: If the shortest is longer than the longest, or less than 1.
    """

    def __init__(
        self,
        algorithm: ExerciseKind,
        lengths: tuple[int, int],
        *,
        examples: int,
        batch_size: int,
        seed: int = 0,
        stream: int = 0,
        growing: float = 0.0,
    ) -> None:
        if not 1 <= lengths[0] <= lengths[1]:
            raise SettingError(f"lengths from {lengths[0]} to {lengths[1]}: expected at least 1, the shortest first")
        self.algorithm, self.lengths, self.examples = algorithm, lengths, examples
        self.batch_size, self.seed, self.stream, self.growing = batch_size, seed, stream, growing

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch from the batch `start` on."""
        for place in range(start, len(self)):
            chance = np.random.default_rng([self.seed, self.stream, number, place])
            batch = min(self.batch_size, self.examples - place * self.batch_size)
            longest = self._longest(number + place / len(self))
            yield self.algorithm.draw(chance, batch, int(chance.integers(self.lengths[0], longest + 1)))

    def _longest(self, epochs: float) -> int:
        """Return the longest length after some epochs."""
        shortest, longest = self.lengths
        if epochs >= self.growing:
            return longest
        return shortest + int((longest - shortest + 1) * epochs / self.growing)
