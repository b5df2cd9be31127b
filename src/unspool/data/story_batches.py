"""Stories with questions, encoded and put into batches."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data.batches import Tokens
from unspool.data.examples import Sequences
from unspool.data.stories import Story, story_words
from unspool.data.vocabulary import Vocabulary
from unspool.errors import DataError

__all__ = ["Stories", "StoryBatches", "StoryExamples"]


@dataclass(frozen=True, slots=True, eq=False)
class Stories:
    """A batch of stories, each with its question; each different sentence of the batch is spelled out once."""

    sentences: Tokens
    """The batch's different sentences, (words, sentences)."""
    index: Tensor
    """Which sentence stands in each slot, in the order told, int64 (slots, batch); 0 in the padding."""
    lengths: Tensor
    """Sentences of each story, int64 (batch,), at least 1."""
    questions: Tokens
    """(words, batch)."""
    answers: Tensor
    """The number of the right answer among the model's answers, int64 (batch,); `IGNORED` where it is not known."""

    @property
    def mask(self) -> Tensor:
        """True at sentences, False in the padding, bool (slots, batch)."""
        return torch.arange(self.index.shape[0], device=self.index.device)[:, None] < self.lengths

    @property
    def size(self) -> int:
        """Sentences read, padding not counted."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> Self:
        """The same on a device."""
        return replace(
            self,
            sentences=self.sentences.to(device),
            index=self.index.to(device),
            lengths=self.lengths.to(device),
            questions=self.questions.to(device),
            answers=self.answers.to(device),
        )

    def shard(self, rank: int, world: int) -> Self | None:
        """Every `world`-th story from `rank` on; None if there is none."""
        questions = self.questions.shard(rank, world)
        if questions is None:
            return None
        part = slice(rank, None, world)
        return replace(
            self,
            index=self.index[:, part],
            lengths=self.lengths[part],
            questions=questions,
            answers=self.answers[part],
        )


class StoryExamples:
    """Stories encoded: each different sentence once, and which of them make up each story.

    Attributes:
        sentences: Word ids of the different sentences.
        stories: Which sentences each story has, newest kept where there are more than `slots`.
        questions: Word ids of each question.
        answers: The number of each answer, int64 (stories,); `IGNORED` where unknown.
        dropped: Stories that lost their oldest sentences.
    """

    def __init__(
        self, sentences: Sequences, stories: Sequences, questions: Sequences, answers: NDArray[np.int64], dropped: int
    ) -> None:
        self.sentences, self.stories, self.questions = sentences, stories, questions
        self.answers, self.dropped = answers, dropped

    @classmethod
    def of(
        cls, stories: Iterable[Story], vocabulary: Vocabulary, answers: Sequence[int], *, slots: int | None = None
    ) -> Self:
        """Encode stories.

        Args:
            stories: The stories, each with at least one word in its question.
            vocabulary: Of words.
            answers: The number of each story's answer.
            slots: Most sentences of a story; all if omitted. The newest are kept.

        Raises:
            DataError: If a question or a sentence holds no word.
        """
        known: dict[str, int] = {}
        spelled: list[list[int]] = []
        told, questions, dropped = array("i"), [], 0
        ends = array("q", [0])
        for story in stories:
            kept = story.sentences if slots is None else story.sentences[-slots:]
            dropped += len(kept) < len(story.sentences)
            for text in kept:
                place = known.get(text)
                if place is None:
                    place = known[text] = len(spelled)
                    spelled.append(_encoded(text, vocabulary, story.where))
                told.append(place)
            ends.append(len(told))
            questions.append(_encoded(story.question, vocabulary, story.where))
        offsets = np.frombuffer(ends, np.int64)
        flat = np.frombuffer(told, np.int32) if told else np.empty(0, np.int32)
        encoded = Sequences.of(spelled), Sequences(flat, offsets), Sequences.of(questions)
        return cls(*encoded, np.asarray(answers, np.int64), dropped)

    def __len__(self) -> int:
        return len(self.stories)

    def batch(self, indices: NDArray[np.int64]) -> Stories:
        """Put the stories at some places into one batch."""
        padded, lengths = self.stories.pad(indices, -1)
        table = padded.numpy()
        real = table >= 0
        different, places = np.unique(table[real], return_inverse=True)
        index = np.zeros_like(table)
        index[real] = places
        sentences, questions = Tokens(*self.sentences.pad(different)), Tokens(*self.questions.pad(indices))
        answers = torch.from_numpy(self.answers[indices])
        return Stories(sentences, torch.from_numpy(index), lengths, questions, answers)


def _encoded(text: str, vocabulary: Vocabulary, where: str) -> list[int]:
    words = story_words(text)
    if not words:
        raise DataError(f"{text!r} holds no word; expected at least one in every sentence and question", where)
    return vocabulary.encode_words(words)


class StoryBatches:
    """Batches of stories in an order that is a function of the seed and the epoch's number.

    Args:
        examples: Encoded stories, at least one.
        batch_size: Stories of a batch.
        seed: Decides, with the epoch's number, the order.

    Attributes:
        note: What a person should hear before training, in words; None if nothing.

    Raises:
        DataError: If there are no stories.
    """

    def __init__(self, examples: StoryExamples, *, batch_size: int, seed: int = 0) -> None:
        if not len(examples):
            raise DataError("there are no stories to train on")
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.note: str | None = None

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch_size)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Stories]:
        """The batches of an epoch in its order, the first `start` left out."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.examples))
        for begin in range(start * self.batch_size, len(order), self.batch_size):
            yield self.examples.batch(order[begin : begin + self.batch_size])
