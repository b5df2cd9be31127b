"""Stories with questions: bAbI files and JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from unspool.data.files import Paths, Reader, decode_json, decode_line, find_files, name_of, numbered_lines, suffix_of
from unspool.data.rows import Row
from unspool.errors import DataError

__all__ = ["Story", "read_stories", "stories_of_rows", "story_words"]

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


def read_stories(
    paths: Paths, *, form: StoryForm | None = None, answered: bool = False, skip_bad: bool = False
) -> Reader[Story]:
    """Read stories, one for each question.

    A bAbI file has lines `ID sentence` and `ID question<tab>answer<tab>IDs of the supporting sentences`; the ID falls
    back to 1 where a new story begins, and a question is asked about all sentences of its story above it. A JSONL file
    has an object a line: `story`, a list of sentences; `question`; `answer`, or `answers`, a list that counts as one
    answer; and, if known, `supports`, numbers of sentences from 1.

    Args:
        paths: Files, folders, globs, or `-`.
        form: `babi` or `jsonl`; by the file's name if omitted.
        answered: Whether a question needs an answer, and words: one without is bad.
        skip_bad: Leave out what can't be read, and count it.

    Raises:
        DataError: If something can't be read, at `file:line`.
    """

    def read(file: str) -> Iterator[Story | DataError]:
        chosen = form or ("jsonl" if suffix_of(file) in (".jsonl", ".ndjson") else "babi")
        return _read_jsonl(file) if chosen == "jsonl" else _read_babi(file)

    reader = Reader(find_files(paths, suffixes=(".txt", ".jsonl", ".ndjson")), read, skip_bad=skip_bad)
    return reader.map(_answered) if answered else reader


def _answered(story: Story) -> Story | DataError:
    if story.answer is None:
        return DataError("there is no answer; expected one in data to learn from or to be scored on", story.where)
    if not story_words(story.question):
        return DataError(f"the question {story.question!r} holds no word", story.where)
    return story


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


def stories_of_rows(rows: Reader[Row], *, answered: bool = False) -> Reader[Story]:
    """Read stories from rows with the fields of a JSONL file; see `read_stories`."""

    def story(row: Row) -> Story | DataError:
        try:
            return _from_record(row.values, row.where)
        except DataError as fault:
            return fault

    stories = rows.map(story)
    return stories.map(_answered) if answered else stories


def _from_object(line: str, where: str) -> Story:
    return _from_record(decode_json(line, where), where)


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
