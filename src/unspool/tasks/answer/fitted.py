"""What an assistant learned beside weights: its questions, the words it counts, how sure it must be to answer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np

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
from unspool.writing import replace_file

__all__ = ["LONGEST_QUESTION", "Addition", "FittedAssistant", "Lesson"]

LONGEST_QUESTION = 256
"""Units of a question that the generator reads."""


class Lesson(NamedTuple):
    """What the memory is trained on."""

    held: HeldOut
    """The questions without some of their wordings, by which the threshold is chosen."""
    bags: PairBags


class Addition(NamedTuple):
    """What a question has beyond what it was trained with."""

    place: int | None
    """Of the question; None for a new one."""
    question: Question
    """The wordings and answers that came later; there may be none of either."""


@dataclass
class FittedAssistant(Fitted):
    """The memory of an assistant without its weights, and the units of its generator."""

    questions: list[Question]
    """What it knows: questions in all their wordings, and their answers."""
    ngrams: NgramVocabulary
    """Words and pieces of words that the memory counts."""
    vocabulary: Vocabulary | None
    """Units of the generator; None without one."""
    memory: MemorySettings
    seed: int
    calibration: Calibration | None = None
    """How sure it must be to answer; None until training ends."""
    additions: list[Addition] = field(default_factory=list)
    """What was added after training, while a training goes on."""

    @classmethod
    def learn(cls, examples: Sequence[Question], settings: AssistantSettings) -> Self:
        """Learn words and pieces; see `Fitted.learn`."""
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
        """What the memory is trained on."""
        held = hold_out(self.questions, seed=self.seed)
        bags = PairBags(held.kept, self.ngrams)
        bags.answer_weight = answer_weight(bags)
        return Lesson(held, bags)

    @property
    def units(self) -> Vocabulary:
        """Units of the generator.

        Raises:
            UsageError: If there is no generator.
        """
        if self.vocabulary is None:
            raise UsageError(f"this assistant has no generator that could write; train one with {option('generator')}")
        return self.vocabulary

    def encode(self, texts: Sequence[str]) -> Sequences:
        """Encode questions for the generator, as far as it reads them.

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
        """Set aside what was added after training, and the wordings held out; `completed` puts both back."""
        additions = _additions(whole(train, held_out), self.questions)
        ngrams = _ngrams(train, self.memory)
        return type(self)(list(train), ngrams, self.vocabulary, self.memory, self.seed, additions=additions)

    def completed(self, train: Questions, held_out: Questions | None) -> list[Question]:
        """The questions with the wordings that were held out of them, and with what was added after training."""
        return _with_additions(whole(train, held_out), self.additions)

    def extended(self, questions: list[Question]) -> Self:
        """What it is with more questions; some of the wordings are new to its words and pieces."""
        seen = set(chain.from_iterable(each.wordings for each in self.questions))
        fresh = [in_wordings(each, [i for i, one in enumerate(each.wordings) if one not in seen]) for each in questions]
        fresh = [each for each in fresh if each.wordings]
        ngrams = self.ngrams.extended([each.wordings for each in fresh], [each.answers for each in fresh])
        return type(self)(questions, ngrams, self.vocabulary, self.memory, self.seed, self.calibration)

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        listed = [{"wordings": each.wordings, "answers": each.answers} for each in self.questions]
        replace_file(folder / "questions.json", msgspec.json.format(msgspec.json.encode(listed)) + b"\n")
        if self.vocabulary is not None:
            self.vocabulary.save(folder)
        self.ngrams.save(folder)
        if self.calibration is not None:
            self.calibration.save(folder)

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
        return cls(questions, ngrams, vocabulary, settings.memory, settings.training.seed, calibration)


class _Stored(msgspec.Struct):
    """A question as the model folder keeps it."""

    wordings: list[str]
    answers: list[str]


def _ngrams(examples: Sequence[Question], memory: MemorySettings) -> NgramVocabulary:
    return learn_vocabulary(examples, shortest=memory.shortest, longest=memory.longest)


def _additions(trained: Sequence[Question], questions: Sequence[Question]) -> list[Addition]:
    """What questions have that those trained on lack; those trained on come first, in their order."""
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
    """The questions with what was added to them, and the new ones behind them."""
    questions = list(trained)
    for place, more in additions:
        if place is None:
            questions.append(more)
        else:
            old = questions[place]
            questions[place] = Question(old.where, old.wordings + more.wordings, old.answers + more.answers)
    return questions


def _without(question: Question, other: Question) -> Question:
    """The wordings and answers of a question that another lacks."""
    wordings, answers = set(other.wordings), set(other.answers)
    return Question(
        question.where,
        [text for text in question.wordings if text not in wordings],
        [text for text in question.answers if text not in answers],
    )
