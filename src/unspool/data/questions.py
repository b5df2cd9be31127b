"""Questions with their answers: tables, JSON lines with paraphrases, and YAML lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from unspool.data.files import Paths, Reader, find_files, name_of, open_bytes, suffix_of
from unspool.data.rows import ROW_FORMATS, Header, Row, Side, find_sides, read_rows
from unspool.errors import DataError, MissingExtraError
from unspool.settings import nearest

__all__ = ["Question", "merge_questions", "questions_of_rows", "read_questions"]

_QUESTION_NAMES = ("question", "questions", "query", "source", "input", "1")
_ANSWER_NAMES = ("answers", "answer", "response", "target", "output", "2")
_PARAPHRASES = "paraphrases"
_YAML = {".yml": "yaml", ".yaml": "yaml"}
_DEEPEST = 100  # levels of a YAML file


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
        return Reader(files, partial(_yaml, question=question, answer=answer), skip_bad=skip_bad)
    if any(in_yaml):
        raise DataError("YAML and tables can't be read together; train on one of them, or convert the YAML")
    wanted = {name for name in (*_QUESTION_NAMES, *_ANSWER_NAMES, question, answer) if name and not name.isdecimal()}
    rows = read_rows(paths, format=format, header=header, names=wanted, skip_bad=skip_bad)
    return questions_of_rows(rows, question=question, answer=answer)


def questions_of_rows(rows: Reader[Row], *, question: str | None = None, answer: str | None = None) -> Reader[Question]:
    """Read questions and answers from rows; see `read_questions`."""
    return rows.map(lambda row: _of_row(row, question, answer))


def merge_questions(questions: Iterable[Question]) -> list[Question]:
    """Put together what has a wording in common, case and outer blanks set aside; all answers are kept, each once.

    A question that has a wording in common with each of two others joins those as well.
    """
    listed = list(questions)
    first: dict[str, int] = {}
    parents = list(range(len(listed)))  # of what belongs together, the first is the root

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for number, each in enumerate(listed):
        for wording in each.wordings:
            one, other = sorted((root(first.setdefault(_key(wording), number)), root(number)))
            parents[other] = one
    groups: dict[int, list[Question]] = {}
    for number, each in enumerate(listed):
        groups.setdefault(root(number), []).append(each)
    return [_joined(group) for group in groups.values()]


def _joined(group: Sequence[Question]) -> Question:
    wordings: dict[str, str] = {}
    for wording in chain.from_iterable(each.wordings for each in group):
        wordings.setdefault(_key(wording), wording)
    answers = dict.fromkeys(chain.from_iterable(each.answers for each in group))
    return Question(group[0].where, list(wordings.values()), list(answers))


def _key(wording: str) -> str:
    return wording.casefold().strip()


def _of_row(row: Row, question: str | None, answer: str | None) -> Question | DataError:
    columns = list(row.values)
    try:
        sides = Side("question", _QUESTION_NAMES, question), Side("answer", _ANSWER_NAMES, answer)
        asked, said = find_sides(columns, *sides, row.where, besides=_PARAPHRASES)
        wordings = [*_texts(row.values[asked], asked, row.where)]
        wordings += _texts(row.values.get(_PARAPHRASES) or [], _PARAPHRASES, row.where)
        return _checked(Question(row.where, wordings, _texts(row.values[said], said, row.where)))
    except DataError as error:
        return error


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


def _yaml(path: str, *, question: str | None, answer: str | None) -> Iterator[Question | DataError]:
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("reading YAML", "PyYAML", "yaml") from None
    name, loader = name_of(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open_bytes(path) as stream:
        raw = stream.read()
    try:
        _refuse_depth(yaml.parse(raw, Loader=loader), name)
        root = yaml.compose(raw, Loader=loader)
    except DataError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        mark, what = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        line = raw[: getattr(error, "position", 0)].count(b"\n") if mark is None else mark.line
        raise DataError(f"not readable YAML: {' '.join(what.split())}", f"{name}:{line + 1}") from None
    for node in _entries(yaml, root, name):
        where = f"{name}:{node.start_mark.line + 1}"
        try:
            yield _of_node(yaml, node, where, question, answer)
        except DataError as error:
            yield error


def _refuse_depth(events: Iterable[Any], name: str) -> None:
    """Refuse brackets in brackets without end, for which the library has no guard."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if depth > _DEEPEST:
            where = f"{name}:{event.start_mark.line + 1}"
            raise DataError("lists in lists in lists; expected texts and lists of texts", where)


def _entries(yaml: Any, root: Any, name: str) -> list[Any]:
    """The nodes of the list of questions."""
    if isinstance(root, yaml.MappingNode):
        parts = _by_name(yaml, root)
        root = next((parts[key] for key in ("conversations", "questions", "pairs") if key in parts), None)
    if not isinstance(root, yaml.SequenceNode):
        raise DataError("expected a list of questions, alone or under `conversations:`", name)
    entries: list[Any] = root.value
    return entries


def _of_node(yaml: Any, node: Any, where: str, question: str | None, answer: str | None) -> Question | DataError:
    if isinstance(node, yaml.MappingNode):
        values = {key: _plain(yaml, value, where) for key, value in _by_name(yaml, node).items()}
        return _of_row(Row(where, values), question, answer)
    if not isinstance(node, yaml.SequenceNode):
        raise DataError("expected a list: the question, then its answers", where)
    asked, *said = [_plain(yaml, each, where) for each in node.value] or [""]
    listed = [text for each in said for text in _texts(each, "answer", where)]
    return _checked(Question(where, _texts(asked, "question", where), listed))


def _by_name(yaml: Any, node: Any) -> dict[str, Any]:
    """The values of an object; keys that are no texts are left out."""
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _plain(yaml: Any, node: Any, where: str) -> str | list[str]:
    """A text, or a list of texts; a number is the text that stands there, so that 1e-3 and yes stay what they are."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(each, yaml.ScalarNode) for each in node.value):
        return [str(each.value) for each in node.value]
    raise DataError("expected texts and lists of texts", where)
