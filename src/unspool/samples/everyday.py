"""Questions and answers about everyday things and Unspool: training and test data of `unspool demo`.

`everyday.jsonl` has one question on each line, with paraphrases and answers. `everyday_unseen.jsonl` is held out: more
wordings of the same questions, and questions on other subjects, which an assistant should decline. Some of these share
words with training questions, such as a flat roof with a flat tyre.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import msgspec

__all__ = ["AnsweredQuestion", "UnseenQuestion", "pairs", "path", "unseen"]

T = TypeVar("T")


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question in several wordings, and its answers."""

    question: str
    """The main wording."""
    paraphrases: tuple[str, ...]
    """Other wordings, four to seven."""
    answers: tuple[str, ...]
    """The answers, one to three texts, each complete by itself."""
    topic: str
    """The subject, one word: cooking, unspool, ..."""

    @property
    def wordings(self) -> tuple[str, ...]:
        """The question and its paraphrases."""
        return (self.question, *self.paraphrases)


@dataclass(frozen=True)
class UnseenQuestion:
    """A held-out question."""

    question: str
    same_as: str | None
    """The training question with the same meaning; None if the assistant should decline."""


def pairs() -> list[AnsweredQuestion]:
    """Return all training questions with paraphrases and answers, those about Unspool first.

    No two questions share a wording, nor does a held-out question, whatever the case and punctuation.
    """
    return _read("everyday.jsonl", AnsweredQuestion)


def unseen() -> list[UnseenQuestion]:
    """Return the held-out questions: new wordings of training questions first, then questions to decline."""
    return _read("everyday_unseen.jsonl", UnseenQuestion)


def path() -> AbstractContextManager[Path]:
    """Return a context manager for the path of the training questions, in JSON lines.

    Example:
        >>> with path() as file:
        ...     file.name
        'everyday.jsonl'
    """
    return as_file(_file("everyday.jsonl"))


def _file(name: str) -> Traversable:
    return files("unspool.samples").joinpath(name)


def _read(name: str, kind: type[T]) -> list[T]:
    return msgspec.json.Decoder(kind).decode_lines(_file(name).read_bytes())
