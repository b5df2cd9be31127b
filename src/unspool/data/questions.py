"""Questions with their answers: tables, JSON lines with paraphrases, and YAML lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from unspool.data.files import Paths, Reader, find_files, name_of, open_bytes, suffix_of
from unspool.data.rows import ROW_FORMATS, Header, Row, find_column, read_rows
from unspool.errors import DataError, MissingExtraError
from unspool.settings import nearest

__all__ = ["Question", "merge_questions", "read_questions"]

_QUESTION_NAMES = ("question", "questions", "query", "source", "input", "1")
_ANSWER_NAMES = ("answers", "answer", "response", "target", "output", "2")
_PARAPHRASES = "paraphrases"
_YAML = {".yml": "yaml", ".yaml": "yaml"}


@dataclass(frozen=True)
class Question:
    """One thing that may be asked, in one wording or several, and everything that may be answered."""

    where: str
    wordings: list[str]
    """The question itself, then its paraphrases; at least one."""
    answers: list[str] = field(default_factory=list)
    """At least one."""


def read_questions(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    question: str | None = None,
    answer: str | None = None,
    skip_bad: bool = False,
) -> Reader[Question]:
    """Read questions and answers, each file by its suffix.

    A row of a table (TSV, CSV, Parquet) or a line of JSON holds a question and an answer, or lists of either; JSON may
    have `paraphrases` beside the question. YAML is a list, alone or under `conversations`, of lists (the question, then
    one or more answers) or of such objects as in JSON.

    Args:
        paths: Files, folders, globs or `-`.
        format: `tsv`, `csv`, `jsonl`, `parquet` or `yaml`, whatever the suffix says.
        header: Whether TSV and CSV begin with column names.
        question: Column of the question: a name, or a number from 1; found by itself if omitted.
        answer: Column of the answer.
        skip_bad: Leave bad entries out and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if an entry lacks a side.
        MissingExtraError: If YAML is to be read and its library is not installed.
    """
    known = {**ROW_FORMATS, **_YAML}
    if format is not None and format not in known.values():
        kinds = sorted(set(known.values()))
        raise DataError(f"format {format!r} is none of {', '.join(kinds)}{nearest(format, kinds)}")
    files = find_files(paths, suffixes=None if format else known.keys())
    in_yaml = [format == "yaml" or (format is None and suffix_of(file) in _YAML) for file in files]
    if all(in_yaml):
        return Reader(files, _yaml, skip_bad=skip_bad)
    if any(in_yaml):
        raise DataError("YAML and tables can't be read together; train on one of them, or convert the YAML")
    wanted = {name for name in (*_QUESTION_NAMES, *_ANSWER_NAMES, question, answer) if name and not name.isdecimal()}
    rows = read_rows(paths, format=format, header=header, names=wanted, skip_bad=skip_bad)
    return rows.map(lambda row: _of_row(row, question, answer))


def merge_questions(questions: Iterable[Question]) -> list[Question]:
    """Put together what has a wording in common, case and outer blanks set aside; all answers are kept, each once."""
    merged: list[Question] = []
    place: dict[str, int] = {}
    for each in questions:
        keys = [wording.casefold().strip() for wording in each.wordings]
        known = next((place[key] for key in keys if key in place), None)
        if known is None:
            known = len(merged)
            merged.append(Question(each.where, [], []))
        into = merged[known]
        seen = {wording.casefold().strip() for wording in into.wordings}
        for wording, key in zip(each.wordings, keys, strict=True):
            if key not in seen:
                seen.add(key)
                into.wordings.append(wording)
            place.setdefault(key, known)
        into.answers.extend(answer for answer in dict.fromkeys(each.answers) if answer not in into.answers)
    return merged


def _of_row(row: Row, question: str | None, answer: str | None) -> Question | DataError:
    columns = list(row.values)
    try:
        if len(columns) < 2:
            raise DataError(f"one column only ({columns[0]}), expected a question and an answer", row.where)
        asked = find_column(columns, question, row.where) if question else _named(columns, _QUESTION_NAMES, columns[0])
        others = [name for name in columns if name not in (asked, _PARAPHRASES)]
        if not others:
            raise DataError(f"there is no answer beside {asked!r}; the columns are {', '.join(columns)}", row.where)
        said = find_column(columns, answer, row.where) if answer else _named(others, _ANSWER_NAMES, others[0])
        if asked == said:
            raise DataError(f"question and answer are both read from column {asked!r}", row.where)
        wordings = [*_texts(row.values[asked], asked, row.where)]
        wordings += _texts(row.values.get(_PARAPHRASES) or [], _PARAPHRASES, row.where)
        return _checked(Question(row.where, wordings, _texts(row.values[said], said, row.where)))
    except DataError as error:
        return error


def _named(columns: Sequence[str], wanted: Sequence[str], otherwise: str) -> str:
    lower = {name.casefold(): name for name in columns}
    return next((lower[name] for name in wanted if name in lower), otherwise)


def _texts(value: Any, name: str, where: str) -> list[str]:
    """A text or a list of texts, blank ones left out."""
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


def _yaml(path: str) -> Iterator[Question | DataError]:
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("reading YAML", "PyYAML", "yaml") from None
    name = name_of(path)
    with open_bytes(path) as stream:
        try:
            root = yaml.compose(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            raise DataError(f"not readable YAML: {getattr(error, 'problem', None) or error}", f"{name}{line}") from None
    for node in _entries(yaml, root, name):
        yield _of_node(yaml, node, f"{name}:{node.start_mark.line + 1}")


def _entries(yaml: Any, root: Any, name: str) -> list[Any]:
    """The nodes of the list of questions."""
    if isinstance(root, yaml.MappingNode):
        parts = {key.value: value for key, value in root.value}
        root = next((parts[key] for key in ("conversations", "questions", "pairs") if key in parts), None)
    if not isinstance(root, yaml.SequenceNode):
        raise DataError("expected a list of questions, alone or under `conversations:`", name)
    entries: list[Any] = root.value
    return entries


def _of_node(yaml: Any, node: Any, where: str) -> Question | DataError:
    try:
        if isinstance(node, yaml.MappingNode):
            values = {key.value: _plain(yaml, value, where) for key, value in node.value}
            return _of_row(Row(where, values), None, None)
        if not isinstance(node, yaml.SequenceNode):
            raise DataError("expected a list: the question, then its answers", where)
        question, *answers = [_plain(yaml, each, where) for each in node.value] or [""]
        listed = [text for each in answers for text in _texts(each, "answer", where)]
        return _checked(Question(where, _texts(question, "question", where), listed))
    except DataError as error:
        return error


def _plain(yaml: Any, node: Any, where: str) -> Any:
    """A text, or a list of texts; a number is the text that stands there, so that 1e-3 and yes stay what they are."""
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(yaml, each, where) for each in node.value]
    raise DataError("expected texts and lists of texts", where)
