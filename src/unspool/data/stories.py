"""Stories with questions: read from bAbI files and JSON lines, encoded, and put into batches."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.data.batches import Tokens
from unspool.data.examples import Sequences
from unspool.data.files import Paths, Reader, decode_line, find_files, name_of, numbered_lines, suffix_of
from unspool.data.vocabulary import Vocabulary
from unspool.errors import DataError

__all__ = ["Stories", "Story", "StoryBatches", "StoryExamples", "read_stories", "story_words"]

StoryForm = Literal["babi", "jsonl"]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_LINE = re.compile(r"(\d{1,9}) +(\S.*)$")
_FIELDS = {"story", "question", "answer", "answers", "supports"}


@dataclass(frozen=True, slots=True)
class Story:
    """Sentences, a question about them, and its answer."""

    sentences: tuple[str, ...]
    """In the order in which they are told, at least one."""
    question: str
    answer: str | None = None
    """One word, or several as one; None where it is not known."""
    supports: tuple[int, ...] = ()
    """Which sentences the answer follows from, from 0, where the data say so."""
    where: str = ""
    """`file:line` of the question."""


def story_words(text: str) -> list[str]:
    """The words of a sentence or question; punctuation is left out."""
    return _WORD.findall(text)


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_stories(paths: Paths, *, form: StoryForm | None = None, skip_bad: bool = False) -> Reader[Story]:
    """Read stories, one for each question.

    A bAbI file has lines `ID sentence` and `ID question<tab>answer<tab>IDs of the supporting sentences`; the ID falls
    back to 1 where a new story begins, and a question is asked about all sentences of its story above it. A JSONL file
    has an object a line: `story`, a list of sentences; `question`; `answer`, or `answers`, a list that counts as one
    answer; and, if known, `supports`, numbers of sentences from 1.

    Args:
        paths: Files, folders, globs, or `-`.
        form: `babi` or `jsonl`; by the file's name if omitted.
        skip_bad: Leave out what can't be read, and count it.

    Raises:
        DataError: If something can't be read, at `file:line`.
    """

    def read(file: str) -> Iterator[Story | DataError]:
        chosen = form or ("jsonl" if suffix_of(file) in (".jsonl", ".ndjson") else "babi")
        return _read_jsonl(file) if chosen == "jsonl" else _read_babi(file)

    return Reader(find_files(paths, suffixes=(".txt", ".jsonl", ".ndjson")), read, skip_bad=skip_bad)


def _read_babi(file: str) -> Iterator[Story | DataError]:
    sentences: dict[int, str] = {}  # by line ID
    before = 0
    for number, raw in numbered_lines(file):
        where = f"{name_of(file)}:{number}"
        if not raw.strip():
            continue
        try:
            id, text = _numbered(decode_line(raw, where), before, where)
            if id == 1:
                sentences = {}
            before = id
            if "\t" not in text:
                sentences[id] = text.strip()
                continue
            story = _asked(text, sentences, where)
        except DataError as fault:
            yield fault
            continue
        yield story


def _numbered(line: str, before: int, where: str) -> tuple[int, str]:
    match = _LINE.match(line)
    if match is None:
        raise DataError(
            f"{line[:40]!r} does not begin with a number and a blank; expected a bAbI line such as "
            f"'1 Mary moved to the bathroom.'",
            where,
        )
    id = int(match[1])
    if id not in (1, before + 1):
        raise DataError(f"line ID {id} follows {before}; expected {before + 1}, or 1 for a new story", where)
    return id, match[2]


def _asked(text: str, sentences: dict[int, str], where: str) -> Story:
    parts = [part.strip() for part in text.split("\t")]
    if len(parts) > 3 or not parts[0] or not parts[1]:
        raise DataError(
            f"a question has {len(parts)} fields; expected question, answer and, if known, the IDs of the supporting "
            f"sentences, parted by tabs and none of the first two empty",
            where,
        )
    if not sentences:
        raise DataError(
            "a question stands here before any sentence of its story; expected at least one above it", where
        )
    places = {id: place for place, id in enumerate(sentences)}
    supports = []
    for written in parts[2].split() if len(parts) == 3 else []:
        if not re.fullmatch(r"\d{1,9}", written) or int(written) not in places:
            known = f"{min(places)} to {max(places)}"
            raise DataError(
                f"supporting sentence {written!r} is none of the sentences above; expected line IDs among {known}",
                where,
            )
        supports.append(places[int(written)])
    return Story(tuple(sentences.values()), parts[0], parts[1], tuple(supports), where)


def _read_jsonl(file: str) -> Iterator[Story | DataError]:
    for number, raw in numbered_lines(file):
        where = f"{name_of(file)}:{number}"
        if raw.strip():
            try:
                story = _from_object(decode_line(raw, where), where)
            except DataError as fault:
                yield fault
                continue
            yield story


def _from_object(line: str, where: str) -> Story:
    try:
        record: Any = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise DataError(f"the line is no JSON: {error}", where) from None
    if not isinstance(record, dict) or not record.keys() <= _FIELDS or not {"story", "question"} <= record.keys():
        came = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        raise DataError(f"the fields are {came}; expected story, question, and answer or answers", where)
    story, question = record["story"], record["question"]
    if not (isinstance(story, list) and story and all(isinstance(each, str) and story_words(each) for each in story)):
        raise DataError("story is not a list of at least one sentence, each with a word in it", where)
    if not isinstance(question, str):
        raise DataError("question is not a text", where)
    answers = record.get("answers", [record["answer"]] if record.get("answer") is not None else [])
    if not isinstance(answers, list) or not all(isinstance(each, str) and each for each in answers):
        raise DataError("the answer is not a text, or answers is not a list of texts", where)
    supports = record.get("supports") or []
    if not isinstance(supports, list) or not all(isinstance(n, int) and 1 <= n <= len(story) for n in supports):
        raise DataError(f"supports is {supports}; expected numbers of sentences, 1 to {len(story)}", where)
    answer = ",".join(answers) or None
    return Story(tuple(story), question, answer, tuple(n - 1 for n in supports), where)


# ---- batches ---------------------------------------------------------------------------------------------------------


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
