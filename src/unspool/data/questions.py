"""Questions with answers and paraphrases, from tables, JSON lines and YAML."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from unspool.data.files import Paths, Reader
from unspool.data.rows import JSON_LINES, Header, Row, Side, find_sides, read_rows
from unspool.errors import DataError

__all__ = [
    "Question",
    "extend_questions",
    "merge_questions",
    "questions_of_rows",
    "read_questions",
    "shared_wordings",
    "wording_key",
]

_QUESTION_NAMES = ("question", "questions", "query", "source", "input", "1")
_ANSWER_NAMES = ("answers", "answer", "response", "target", "output", "2")
_PARAPHRASES = "paraphrases"


@dataclass(frozen=True)
class Question:
    """A question in one wording or several, with its answers."""

    where: str
    wordings: list[str]
    """The question, then its paraphrases; at least one text."""
    answers: list[str] = field(default_factory=list)
    """The answers, at least one text."""


def read_questions(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    delimiter: str | None = None,
    question: str | None = None,
    answer: str | None = None,
    columns: Collection[str] = (),
    skip_bad: bool = False,
) -> Reader[Question]:
    """Read questions and answers, each file by its suffix.

    A row of a table (TSV, CSV, Parquet) or a line of JSON holds a question and an answer, or lists of either. JSON
    objects may also have `paraphrases`. YAML is a list, alone or under `conversations`. Its entries are objects as in
    JSON, or lists of a question and one or more answers.

    Args:
        paths: Files, folders, globs or `-`.
        format: `tsv`, `csv`, `jsonl`, `parquet` or `yaml`; None: by suffix.
        header: Whether tables of text begin with column names: `auto`, `yes` or `no`.
        delimiter: Delimiter of the cells of tables; None: detect it by content.
        question: Column of the question: a name, or a number from 1; None: detect it.
        answer: Column of the answer, likewise.
        columns: Columns of other data of the task; a first line with one of these names is a header.
        skip_bad: Skip bad entries and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if an entry lacks a side.
        MissingExtraError: If a file is YAML and PyYAML is not installed.
    """
    usual = (*_QUESTION_NAMES, *_ANSWER_NAMES, question, answer, *columns)
    names = {name for name in usual if name and not name.isdecimal()}
    rows = read_rows(paths, format=format, header=header, delimiter=delimiter, names=names, skip_bad=skip_bad)
    return questions_of_rows(rows, question=question, answer=answer)


def questions_of_rows(rows: Reader[Row], *, question: str | None = None, answer: str | None = None) -> Reader[Question]:
    """Read questions and answers from rows; see `read_questions`."""

    def of_row(row: Row) -> Question | DataError:
        layout = rows.layout.files.get(row.where.rpartition(":")[0])
        try:
            question_column, answer_column = _sides(row, question, answer, layout)
        except DataError as error:
            if layout is not None and layout != JSON_LINES:
                raise  # all rows of a table have the same columns
            return error
        if layout is not None:
            rows.layout.columns |= {"question": question_column, "answer": answer_column}
        return _of_row(row, question_column, answer_column)

    return rows.map(of_row)


def _sides(row: Row, question: str | None, answer: str | None, layout: str | None = None) -> tuple[str, str]:
    """Return the columns of the question and of the answer."""
    sides = Side("question", _QUESTION_NAMES, question), Side("answer", _ANSWER_NAMES, answer)
    return find_sides(list(row.values), *sides, row.where, besides=_PARAPHRASES, layout=layout)


def merge_questions(questions: Iterable[Question]) -> list[Question]:
    """Merge questions with equal sets of wordings; the result has all their answers, each once.

    Case and outer blanks do not count. Questions that share only some of their wordings stay separate.
    """
    groups: dict[frozenset[str], list[Question]] = {}
    for each in questions:
        groups.setdefault(_keys(each), []).append(each)
    return [_joined(group) for group in groups.values()]


def extend_questions(questions: Sequence[Question], more: Iterable[Question]) -> list[Question]:
    """Add questions to others: each merges into the question that it repeats, or comes at the end as a new one.

    A question repeats the one with the same set of wordings. Failing that, it repeats the one with the same first
    wording. Failing that, it repeats the only question that has its first wording as a paraphrase. If several
    questions have that paraphrase, the question is a new one.
    """
    groups, same = [[each] for each in questions], {_keys(each): place for place, each in enumerate(questions)}
    holders: dict[str, list[int]] = {}
    for place, each in enumerate(questions):
        for key in _keys(each):
            holders.setdefault(key, []).append(place)
    for each in merge_questions(more):
        keys, first = _keys(each), wording_key(each.wordings[0])
        candidates = holders.get(first, [])
        leading = next((place for place in candidates if wording_key(groups[place][0].wordings[0]) == first), None)
        only = candidates[0] if len(candidates) == 1 else len(groups)
        place = same.setdefault(keys, only if leading is None else leading)
        if place == len(groups):
            groups.append([])
        groups[place].append(each)
        for key in keys:
            if place not in (places := holders.setdefault(key, [])):
                places.append(place)
    return [_joined(group) if len(group) > 1 else group[0] for group in groups]


def shared_wordings(questions: Iterable[Question]) -> dict[str, list[int]]:
    """Return the wordings that several questions share, as keys of `wording_key`, with the questions' indices."""
    places: dict[str, list[int]] = {}
    for place, each in enumerate(questions):
        for wording in each.wordings:
            holders = places.setdefault(wording_key(wording), [])
            if holders[-1:] != [place]:
                holders.append(place)
    return {wording: holders for wording, holders in places.items() if len(holders) > 1}


def wording_key(wording: str) -> str:
    """Return the key that equal wordings share: the case-folded text without outer blanks."""
    return wording.casefold().strip()


def _keys(question: Question) -> frozenset[str]:
    return frozenset(map(wording_key, question.wordings))


def _joined(group: Sequence[Question]) -> Question:
    wordings: dict[str, str] = {}
    for wording in chain.from_iterable(each.wordings for each in group):
        wordings.setdefault(wording_key(wording), wording)
    answers = dict.fromkeys(chain.from_iterable(each.answers for each in group))
    return Question(group[0].where, list(wordings.values()), list(answers))


def _of_row(row: Row, question: str, answer: str) -> Question | DataError:
    try:
        wordings = [*_texts(row.values[question], question, row.where)]
        wordings += _texts(row.values.get(_PARAPHRASES) or [], _PARAPHRASES, row.where)
        return _checked(Question(row.where, wordings, _texts(row.values[answer], answer, row.where)))
    except DataError as error:
        return error


def _texts(value: Any, name: str, where: str) -> list[str]:
    """Return a text or a list of texts as a list, without blank texts."""
    values = value if isinstance(value, list) else [value]
    if bad := [each for each in values if not isinstance(each, str)]:
        raise DataError(
            f"{name!r} holds {type(bad[0]).__name__} {bad[0]!r:.40}, expected text or a list of texts", where
        )
    return [text for each in values if (text := " ".join(each.split()))]


def _checked(question: Question) -> Question | DataError:
    for name, side in (("question", question.wordings), ("answer", question.answers)):
        if not side:
            return DataError(
                f"the {name} is empty; expected a text on both sides, drop the pair or fill it", question.where
            )
    return question
