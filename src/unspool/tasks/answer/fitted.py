"""Fitted state of an assistant: questions, n-gram vocabulary, generator vocabulary and calibration."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np

from unspool.commands import CommandSet
from unspool.data import (
    LONGEST_TEXT,
    UNKNOWN,
    NgramVocabulary,
    PairedExamples,
    Question,
    Sequences,
    Vocabulary,
)
from unspool.errors import DataError, ModelFolderError, UsageError, option
from unspool.inputs.text.fitted import learned_vocabulary
from unspool.reading import read_json
from unspool.tasks.answer.data import Questions, in_wordings, whole
from unspool.tasks.answer.matching import (
    Calibration,
    HeldOut,
    PairBags,
    answer_weight,
    hold_out,
    learn_vocabulary,
)
from unspool.tasks.answer.settings import AssistantSettings, MemorySettings
from unspool.tasks.contracts import Fitted
from unspool.tasks.parts.stored_commands import load_commands, save_commands
from unspool.writing import replace_file

__all__ = ["LONGEST_QUESTION", "Addition", "FittedAssistant", "Lesson"]

LONGEST_QUESTION = 256
"""Maximum question length for the generator, in units; longer questions are truncated."""


class Lesson(NamedTuple):
    """Training data of the retriever."""

    held: HeldOut
    """Training questions, and the held-out wordings that determine the threshold."""
    bags: PairBags
    """Bags of n-grams of the training questions."""


class Addition(NamedTuple):
    """Wordings and answers added to a question after training."""

    place: int | None
    """Index of the question; None for a new question."""
    question: Question
    """Added wordings and answers; either list may be empty."""


@dataclass
class FittedAssistant(Fitted):
    """Questions, vocabularies and calibration of an assistant."""

    questions: list[Question]
    """All questions with their wordings and answers."""
    ngrams: NgramVocabulary
    """Vocabulary of words and character n-grams of the retriever."""
    vocabulary: Vocabulary | None
    """Vocabulary of the generator; None without a generator."""
    memory: MemorySettings
    seed: int
    calibration: Calibration | None = None
    """Calibration of the confidence, with the threshold; None until training ends."""
    additions: list[Addition] = field(default_factory=list)
    """Additions from after an earlier training, stored while a resumed training runs."""
    commands: CommandSet | None = None
    """The commands of the assistant, without functions if it was loaded; None if it has none."""

    @classmethod
    def learn(cls, examples: Sequence[Question], settings: AssistantSettings) -> Self:
        """Learn the vocabularies; see `Fitted.learn`."""
        if len(examples) < 2:
            raise DataError("one question only: expected at least two, there would be nothing to choose from")
        vocabulary = None
        if settings.generator:
            texts = chain.from_iterable((*each.wordings, *each.answers) for each in examples)
            vocabulary = learned_vocabulary(texts, settings.vocabulary)
        return cls(
            list(examples), _ngrams(examples, settings.memory), vocabulary, settings.memory, settings.training.seed
        )

    @cached_property
    def lesson(self) -> Lesson:
        """Training data of the retriever, with some wordings held out for calibration."""
        split = hold_out(self.questions, seed=self.seed)
        bags = PairBags(split.kept, self.ngrams)
        bags.answer_weight = answer_weight(bags)
        return Lesson(split, bags)

    @property
    def units(self) -> Vocabulary:
        """Vocabulary of the generator.

        Raises:
            UsageError: If there is no generator.
        """
        if self.vocabulary is None:
            raise UsageError(f"this assistant has no generator; train one with {option('generator')}")
        return self.vocabulary

    def encode(self, texts: Sequence[str]) -> Sequences:
        """Encode and truncate questions for the generator.

        Raises:
            UsageError: If there is no generator.
        """
        encoded = (ids[:LONGEST_QUESTION] for ids in self.units.encode_batch([text[:LONGEST_TEXT] for text in texts]))
        return Sequences.of(ids if len(ids) else np.array([UNKNOWN], np.int32) for ids in encoded)

    def paired(self, examples: Iterable[Question]) -> PairedExamples:
        """Encode every wording with every answer of its question, for the generator.

        Raises:
            UsageError: If there is no generator.
        """
        both = [(wording, answer) for each in examples for wording in each.wordings for answer in each.answers]
        sources = self.encode([wording for wording, _ in both])
        return PairedExamples(sources, self.units.encode_batch([answer for _, answer in both]))

    def restart(self, train: Questions, held_out: Questions | None) -> Self:
        """Remove additions from after training, and held-out wordings; `completed` restores both."""
        additions = _additions(whole(train, held_out), self.questions)
        ngrams = _ngrams(train, self.memory)
        kept: dict[str, Any] = {"additions": additions, "commands": self.commands}
        return type(self)(list(train), ngrams, self.vocabulary, self.memory, self.seed, **kept)

    def completed(self, train: Questions, held_out: Questions | None) -> list[Question]:
        """Return the questions with their held-out wordings and later additions."""
        return _with_additions(whole(train, held_out), self.additions)

    def extended(self, questions: list[Question]) -> Self:
        """Return the state for a longer list of questions; the n-gram vocabulary grows with new wordings."""
        old = set(chain.from_iterable(each.wordings for each in self.questions))
        fresh = [in_wordings(each, [i for i, one in enumerate(each.wordings) if one not in old]) for each in questions]
        fresh = [each for each in fresh if each.wordings]
        ngrams = self.ngrams.extended([each.wordings for each in fresh], [each.answers for each in fresh])
        kept: dict[str, Any] = {"calibration": self.calibration, "commands": self.commands}
        return type(self)(questions, ngrams, self.vocabulary, self.memory, self.seed, **kept)

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        listed = [{"wordings": each.wordings, "answers": each.answers} for each in self.questions]
        replace_file(folder / "questions.json", msgspec.json.format(msgspec.json.encode(listed)) + b"\n")
        if self.vocabulary is not None:
            self.vocabulary.save(folder)
        self.ngrams.save(folder)
        if self.calibration is not None:
            self.calibration.save(folder)
        if self.commands is not None:
            save_commands(self.commands, folder)

    @classmethod
    def load(cls, folder: Path, settings: AssistantSettings) -> Self:
        """See `Fitted.load`."""
        path = folder / "questions.json"
        listed = read_json(path, list[_Stored], "the list of questions")
        if not listed or not all(each.wordings and each.answers for each in listed):
            raise ModelFolderError(f"{path}: a question without wording or answer; the folder is damaged")
        questions = [Question(str(path), each.wordings, each.answers) for each in listed]
        vocabulary = Vocabulary.load(folder) if settings.generator else None
        calibration = Calibration.load(folder) if os.path.lexists(folder / "matching.json") else None
        ngrams = NgramVocabulary.load(folder)
        kept: dict[str, Any] = {"calibration": calibration, "commands": load_commands(folder)}
        return cls(questions, ngrams, vocabulary, settings.memory, settings.training.seed, **kept)


class _Stored(msgspec.Struct):
    """Format of a question in the model folder."""

    wordings: list[str]
    answers: list[str]


def _ngrams(examples: Sequence[Question], memory: MemorySettings) -> NgramVocabulary:
    return learn_vocabulary(examples, shortest=memory.shortest, longest=memory.longest)


def _additions(trained: Sequence[Question], questions: Sequence[Question]) -> list[Addition]:
    """Return the additions of `questions` over the training questions, which come first and in the same order."""
    texts = {text for each in trained for text in (*each.wordings, *each.answers)}
    additions = []
    for place, each in enumerate(questions):
        old = trained[place] if place < len(trained) else None
        if old is not None and old.wordings[0] == each.wordings[0]:
            more = _without(each, old)
            if more.wordings or more.answers:
                additions.append(Addition(place, more))
        elif old is None or not texts.issuperset((*each.wordings, *each.answers)):
            additions.append(Addition(None, each))
    return additions


def _with_additions(trained: Sequence[Question], additions: Sequence[Addition]) -> list[Question]:
    """Return the training questions with their additions, followed by new questions."""
    questions = list(trained)
    for place, more in additions:
        if place is None:
            questions.append(more)
        else:
            old = questions[place]
            questions[place] = Question(old.where, old.wordings + more.wordings, old.answers + more.answers)
    return questions


def _without(question: Question, other: Question) -> Question:
    """Return a question without the wordings and answers of another."""
    wordings, answers = set(other.wordings), set(other.answers)
    return Question(
        question.where,
        [text for text in question.wordings if text not in wordings],
        [text for text in question.answers if text not in answers],
    )
