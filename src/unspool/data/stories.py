"""Stories with questions and answers, from bAbI files and JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from unspool.data.files import Paths, Reader, find_files
from unspool.data.forms import FormOptions, Kind, form_by_suffix, form_named, forms_of
from unspool.data.rows import Row
from unspool.errors import DataError

__all__ = ["Story", "read_stories", "stories_of_rows", "story_words"]

StoryForm = Literal["babi", "jsonl"]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_KINDS: tuple[Kind, ...] = ("stories", "rows")
_FIELDS = {"story", "question", "answer", "answers", "supports"}


@dataclass(frozen=True, slots=True)
class Story:
    """Sentences, a question about them, and its answer."""

    sentences: tuple[str, ...]
    """The sentences of the story in order, at least one."""
    question: str
    answer: str | None = None
    """One word, or several separated by commas; None: unknown."""
    supports: tuple[int, ...] = ()
    """Indices, from 0, of the supporting sentences, if the data have them."""
    where: str = ""
    """`file:line` of the question."""


def story_words(text: str) -> list[str]:
    """Return the words of a sentence or question, without punctuation."""
    return _WORD.findall(text)


def read_stories(
    paths: Paths, *, form: StoryForm | None = None, answered: bool = False, skip_bad: bool = False
) -> Reader[Story]:
    """Read stories, one for each question.

    A bAbI file has lines `ID sentence` and `ID question<tab>answer<tab>IDs of the supporting sentences`. The ID 1
    begins a new story. A question is about all sentences of its story above it. A JSONL file has one object a line.
    Its keys are `story`, a list of sentences; `question`; `answer`, or `answers`, a list that counts as one answer;
    and optionally `supports`, numbers of sentences from 1.

    Args:
        paths: Files, folders, globs, or `-`.
        form: `babi` or `jsonl`; None: by the file's name.
        answered: Whether a question without an answer, or without a word, is bad.
        skip_bad: Skip bad entries and count them in the reader's `skipped`.

    Raises:
        DataError: If an entry can't be read, with its `file:line`.
    """
    fixed = None if form is None else form_named(form, *_KINDS)
    options = FormOptions()

    def read(file: str) -> Iterator[Story | DataError]:
        chosen = fixed or form_by_suffix(file, *_KINDS) or forms_of("stories")["babi"]
        for item in chosen.read(file, options):
            yield _story_of(item) if isinstance(item, Row) else item

    suffixes = (".txt", ".jsonl", ".ndjson")
    reader = Reader(find_files(paths, suffixes=suffixes), read, skip_bad=skip_bad)
    return reader.map(_answered) if answered else reader


def _answered(story: Story) -> Story | DataError:
    if story.answer is None:
        return DataError("the question has no answer; expected one in data for training or scoring", story.where)
    if not story_words(story.question):
        return DataError(f"the question {story.question!r} holds no word", story.where)
    return story


def stories_of_rows(rows: Reader[Row], *, answered: bool = False) -> Reader[Story]:
    """Read stories from rows with the fields of a JSONL file; see `read_stories`."""
    stories = rows.map(_story_of)
    return stories.map(_answered) if answered else stories


def _story_of(row: Row) -> Story | DataError:
    try:
        return _from_record(row.values, row.where)
    except DataError as error:
        return error


def _from_record(record: Any, where: str) -> Story:
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
