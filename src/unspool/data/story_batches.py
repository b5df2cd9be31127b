"""Encoded stories with questions, and mini-batches of them."""

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
    """A mini-batch of stories with a question each; each distinct sentence of the batch occurs once."""

    sentences: Tokens
    """The distinct sentences of the batch, (words, sentences)."""
    index: Tensor
    """Index of the sentence in each slot, in story order, int64 (slots, batch); 0 in the padding."""
    lengths: Tensor
    """Sentences of each story, int64 (batch,), at least 1."""
    questions: Tokens
    """The questions, (words, batch)."""
    answers: Tensor
    """Id of the right answer among the model's answers, int64 (batch,); `IGNORED` if unknown."""

    @property
    def mask(self) -> Tensor:
        """True at sentences, False in the padding, bool (slots, batch)."""
        return torch.arange(self.index.shape[0], device=self.index.device)[:, None] < self.lengths

    @property
    def size(self) -> int:
        """Number of sentences without padding."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on a device."""
        return replace(
            self,
            sentences=self.sentences.to(device),
            index=self.index.to(device),
            lengths=self.lengths.to(device),
            questions=self.questions.to(device),
            answers=self.answers.to(device),
        )

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th story from `rank` on; None if there is none."""
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
    """Encoded stories: each distinct sentence once, and the sentence indices of each story.

    Attributes:
        sentences: Word ids of the distinct sentences.
        stories: Sentence indices of each story, the newest `slots` ones at most.
        questions: Word ids of each question.
        answers: Id of each answer, int64 (stories,); `IGNORED` if unknown.
        dropped: Number of stories that lost their oldest sentences.
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
            vocabulary: Vocabulary of words.
            answers: Id of each story's answer.
            slots: Most sentences of a story; older sentences are dropped. None: no limit.

        Raises:
            DataError: If a question or a sentence holds no word.
        """
        indices: dict[str, int] = {}
        spelled: list[list[int]] = []
        flat_indices, questions, dropped = array("i"), [], 0
        ends = array("q", [0])
        for story in stories:
            sentences = story.sentences if slots is None else story.sentences[-slots:]
            dropped += len(sentences) < len(story.sentences)
            for text in sentences:
                place = indices.get(text)
                if place is None:
                    place = indices[text] = len(spelled)
                    spelled.append(_encoded(text, vocabulary, story.where))
                flat_indices.append(place)
            ends.append(len(flat_indices))
            questions.append(_encoded(story.question, vocabulary, story.where))
        offsets = np.frombuffer(ends, np.int64)
        flat = np.frombuffer(flat_indices, np.int32) if flat_indices else np.empty(0, np.int32)
        encoded = Sequences.of(spelled), Sequences(flat, offsets), Sequences.of(questions)
        return cls(*encoded, np.asarray(answers, np.int64), dropped)

    def __len__(self) -> int:
        return len(self.stories)

    def batch(self, indices: NDArray[np.int64]) -> Stories:
        """Pad the stories at some indices into one batch."""
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
    """Mini-batches of stories; the seed and the epoch's number alone decide their order.

    Args:
        examples: Encoded stories, at least one.
        batch_size: Stories per batch.
        seed: Seed of the order, together with the epoch's number.

    Attributes:
        note: Message for the user before training; None if there is none.

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
        """Yield the batches of an epoch in order, from the batch `start` on."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.examples))
        for begin in range(start * self.batch_size, len(order), self.batch_size):
            yield self.examples.batch(order[begin : begin + self.batch_size])
