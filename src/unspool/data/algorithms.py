"""Exercises made without end: copy, repeat, recall, sort, reverse, add; each laid out over time, with its right answer.

After Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section 4, and Hochreiter and Schmidhuber 1997 (adding).
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
    """A batch of exercises laid out over time."""

    inputs: Tensor
    """float32 (time, batch, inputs); zero where the answer is awaited."""
    targets: Tensor
    """float32 (time, batch, outputs): bits, or numbers."""
    counted: Tensor
    """Where an answer is wanted, bool (time, batch)."""
    lengths: Tensor
    """Steps of each, int64 (batch,)."""

    @property
    def size(self) -> int:
        """Steps, padding not counted."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> Self:
        """The same on a device."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            targets=self.targets.to(device),
            counted=self.counted.to(device),
            lengths=self.lengths.to(device),
        )

    def shard(self, rank: int, world: int) -> Self | None:
        """Every `world`-th exercise from `rank` on; None if there is none."""
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
        """Exercises of equal lengths, from arrays (time, batch, ...); `counted` is (time,) or (time, batch)."""
        time, batch, _ = inputs.shape
        if counted.ndim == 1:
            counted = np.repeat(counted[:, None], batch, axis=1)
        lengths = torch.full((batch,), time)
        return cls(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(counted), lengths)


class ExerciseKind(ABC):
    """A kind of exercise: how it is drawn, laid out over time, read from a text and shown as one.

    Attributes:
        inputs: Numbers of one step.
        outputs: Numbers of one answer.
    """

    name: ClassVar[str]
    answers: ClassVar[Literal["bits", "numbers"]] = "bits"
    """Whether answers are right or wrong bit by bit, or near or far."""
    form: ClassVar[str]
    """How one is typed, by example."""
    inputs: int
    outputs: int

    @abstractmethod
    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        """Draw exercises of a length; what is counted in it is the algorithm's affair."""

    @abstractmethod
    def read(self, text: str) -> Exercise:
        """One exercise from a text, batch of 1.

        Raises:
            DataError: If the text has another form.
        """

    def show(self, answer: Array) -> str:
        """The rows of an answer, (steps, outputs), as a text."""
        return " ".join("".join("1" if bit > 0.5 else "0" for bit in row) for row in answer)

    def tokens(self, exercise: Exercise) -> list[str]:
        """What a person may read at each step of a single exercise."""
        rows = exercise.inputs[:, 0].numpy()
        return ["".join("1" if bit > 0.5 else "0" for bit in row) if row.any() else "?" for row in rows]

    def _wrong(self, text: str) -> DataError:
        return DataError(f"{text[:60]!r} is no exercise of {self.name}; expected the form {self.form!r}", "text")

    def _bits(self, words: list[str], width: int, text: str) -> Array:
        """Words of 0 and 1 as rows, (words, width)."""
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
        """The exercise of given vectors, (length, batch, width): they are read, then a sign, then they are written."""
        length, batch, width = bits.shape
        inputs = np.zeros((2 * length + 1, batch, width + 1), np.float32)
        targets = np.zeros((2 * length + 1, batch, width), np.float32)
        inputs[:length, :, :width] = bits
        inputs[length, :, width] = 1
        targets[length + 1 :] = self.written(bits)
        return Exercise.of(inputs, targets, np.arange(2 * length + 1) > length)

    def written(self, bits: Array) -> Array:
        """What is to be written of what was read."""
        return bits

    def read(self, text: str) -> Exercise:
        return self.lay(self._bits(text.split(), self.width, text)[:, None])


class Reverse(Copy):
    """Read vectors of bits, then write them from the last to the first."""

    name = "reverse"

    def written(self, bits: Array) -> Array:
        return np.ascontiguousarray(bits[::-1])


class RepeatCopy(ExerciseKind):
    """Read vectors of bits and a number, write the vectors that often, then an end sign.

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
        """The exercise of given vectors, (length, batch, width); the number comes scaled to mean 0 and spread 1."""
        length, batch, width = bits.shape
        time = length + 1 + length * repeats + 1
        inputs = np.zeros((time, batch, width + 1), np.float32)
        targets = np.zeros_like(inputs)
        inputs[:length, :, :width] = bits
        # a number from 1 to n has mean (n + 1) / 2 and variance (n² - 1) / 12; never 0, so that it is a sign too
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
        """`length` items, at least 2."""
        items = max(2, length)
        bits = _random_bits(chance, items * self._ITEM, batch, self.width)
        asked = chance.integers(0, items - 1, batch)
        return self.lay(bits.reshape(items, self._ITEM, batch, self.width), asked)

    def lay(self, bits: Array, asked: NDArray[np.int64]) -> Exercise:
        """The exercise of items, (items, 3, batch, width), and of which is asked for in each, (batch,)."""
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
        told, question, asked = text.partition("?")
        items = [self._bits(item.split(), self.width, text) for item in told.split("|")]
        wanted = self._bits(asked.split(), self.width, text)
        places = [place for place, item in enumerate(items[:-1]) if np.array_equal(item, wanted)]
        if not question or any(len(item) != self._ITEM for item in items) or not places:
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
        """The exercise of vectors, (length, batch, width), and their priorities, (length, batch)."""
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
    """Read numbers between 0 and 1, two of them marked; at the end say their sum.

    One mark stands in the first half, one in the second. Source: Hochreiter and Schmidhuber 1997; Le, Jaitly and Hinton
    2015, arXiv:1504.00941, section 4.1.
    """

    name = "adding"
    answers = "numbers"
    form = "0.41* 0.9 0.13 0.55*"
    inputs, outputs = 2, 1

    def draw(self, chance: Chance, batch: int, length: int) -> Exercise:
        """`length` numbers, at least 2."""
        length = max(2, length)
        marks = np.zeros((length, batch), np.float32)
        marks[chance.integers(0, length // 2, batch), np.arange(batch)] = 1
        marks[chance.integers(length // 2, length, batch), np.arange(batch)] = 1
        return self.lay(chance.random((length, batch), np.float32), marks)

    def lay(self, numbers: Array, marks: Array) -> Exercise:
        """The exercise of numbers and their marks, 0 or 1, (length, batch) each."""
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
    """Numbers that are typed, (words,); a `ValueError` where one is not finite, or no number."""
    numbers = np.array([float(word) for word in words])
    if not (np.abs(numbers) <= np.finfo(np.float32).max).all():
        raise ValueError("a number is not finite")
    return numbers.astype(np.float32)


def _random_bits(chance: Chance, length: int, batch: int, width: int) -> Array:
    return chance.integers(0, 2, (length, batch, width)).astype(np.float32)


class ExerciseSource:
    """Exercises without end; an epoch is a number of them, a function of the seed and the epoch's number.

    All exercises of a batch have the same length, drawn between the two given.

    Args:
        algorithm: What kind.
        lengths: Shortest and longest.
        examples: Exercises that make an epoch.
        batch_size: Exercises of a batch.
        seed: With the epoch's and the batch's number, decides every exercise.
        stream: Exercises of different streams have nothing in common; training has 0.

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
    ) -> None:
        if not 1 <= lengths[0] <= lengths[1]:
            raise SettingError(f"lengths from {lengths[0]} to {lengths[1]}: expected at least 1, the shortest first")
        self.algorithm, self.lengths, self.examples = algorithm, lengths, examples
        self.batch_size, self.seed, self.stream = batch_size, seed, stream

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Any]:
        """The batches of an epoch, the first `start` left out."""
        for place in range(start, len(self)):
            chance = np.random.default_rng([self.seed, self.stream, number, place])
            batch = min(self.batch_size, self.examples - place * self.batch_size)
            yield self.algorithm.draw(chance, batch, int(chance.integers(self.lengths[0], self.lengths[1] + 1)))
