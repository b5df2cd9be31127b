"""Questions and answers about everyday things and about Unspool itself: what `unspool demo` makes an assistant of.

`everyday.jsonl` has one question on each line, with other wordings of it and what to answer. `everyday_unseen.jsonl` is
never trained on: more wordings of the same questions, and questions on other subjects that an assistant trained on the
first file should say it does not know. Some of these share words with known ones, such as a flat roof with a flat tyre.
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
    """The wording it goes by."""
    paraphrases: tuple[str, ...]
    """Other wordings, four to seven."""
    answers: tuple[str, ...]
    """What may be answered, one to three texts, each right by itself."""
    topic: str
    """The subject it belongs to, one word: cooking, unspool, ..."""

    @property
    def wordings(self) -> tuple[str, ...]:
        """The question and its paraphrases."""
        return (self.question, *self.paraphrases)


@dataclass(frozen=True)
class UnseenQuestion:
    """A question that is never trained on."""

    question: str
    same_as: str | None
    """The known question that it asks in other words; None where the assistant should say that it does not know."""


def pairs() -> list[AnsweredQuestion]:
    """All known questions with their paraphrases and answers, those about Unspool first.

    No wording stands in two of them, nor among the unseen questions, whatever the case and punctuation.
    """
    return _read("everyday.jsonl", AnsweredQuestion)


def unseen() -> list[UnseenQuestion]:
    """New wordings of known questions first, then the questions that are not to be known."""
    return _read("everyday_unseen.jsonl", UnseenQuestion)


def path() -> AbstractContextManager[Path]:
    """The file of the known questions, JSON lines, for as long as the context is open.

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
