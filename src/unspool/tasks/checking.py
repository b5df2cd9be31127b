"""Reading and checking the data of a task without training it; imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unspool.data.checks import Checks, Finding
from unspool.data.files import Layout, Paths, Reader, find_files, suffix_of
from unspool.data.labelled import LABEL_NAMES, TEXT_NAMES, read_labelled
from unspool.data.pairs import read_pairs
from unspool.data.questions import read_questions
from unspool.data.rows import read_rows
from unspool.data.sentences import read_sentences, tag_columns
from unspool.data.stories import read_stories
from unspool.data.summary import Sample
from unspool.data.text import read_lines
from unspool.errors import DataError, UsageError, option
from unspool.tasks.catalog import TASKS

__all__ = ["CHECKED", "Report", "check_data", "guess_task"]

_NONE_LEFT_OUT = "there is nothing to read"


@dataclass
class Report:
    """What is in the data of a task, and what is odd about them."""

    task: str
    layouts: dict[str, Layout] = field(default_factory=dict)
    """How the files of each part were read."""
    checks: Checks = field(default_factory=lambda: Checks(()))
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many findings training would stop at."""
        return sum(finding.level == "error" for finding in self.findings)


def check_data(task: str, settings: Any, parts: Mapping[str, Paths]) -> Report:
    """Read and check the data of a task.

    Args:
        task: Name of the task.
        settings: Its settings, of which those of the data are looked at.
        parts: Files by part: train, valid, test. Those of the training come first.

    Raises:
        DataError: If files can't be read at all.
        UsageError: If the task makes its data up.
    """
    if task not in CHECKED:
        raise UsageError(f"the task {task!r} makes its own data; there is nothing to check")
    entry = TASKS[task]
    checks = Checks(entry.sides, entry.label, several=getattr(settings, "several", False))
    report = Report(task, checks=checks)
    columns: dict[str, str] = {}
    for part, paths in parts.items():
        reader, samples = CHECKED[task](settings, paths, columns)
        try:
            for sample in samples:
                checks.add(part, sample)
        except DataError as error:
            if not reader.skipped or _NONE_LEFT_OUT not in error.message:
                raise
        columns = columns or dict(reader.layout.columns)
        report.layouts[part] = reader.layout
        report.findings += _bad_lines(reader, part, skip_bad=getattr(settings.data, "skip_bad", False))
    report.findings += checks.findings()
    report.findings.sort(key=lambda finding: finding.level)
    return report


def _bad_lines(reader: Reader[Any], part: str, *, skip_bad: bool) -> Iterator[Finding]:
    if reader.skipped:
        first = reader.bad[0]
        reason = first.message.removeprefix(f"{first.where}: ")
        lines = "line" if reader.skipped == 1 else "lines"
        way_out = "" if skip_bad else f" ({option('skip_bad')} leaves them out)"
        text = f"{reader.skipped:,} bad {lines} in the {part} data{way_out}; {reason}"
        places = [error.where for error in reader.bad[:3] if error.where]
        yield Finding("warning" if skip_bad else "error", "bad-lines", text, reader.skipped, places)


# ---- one function for each task --------------------------------------------------------------------------------------

Samples = tuple[Reader[Any], Iterator[Sample]]


def _tables(settings: Any) -> dict[str, Any]:
    data = settings.data
    return {"format": data.format, "header": data.header, "delimiter": data.delimiter, "skip_bad": True}


def _classify(settings: Any, paths: Paths, columns: Mapping[str, str]) -> Samples:
    data = settings.data
    separator = data.separator if settings.several else None
    options = _tables(settings) | {"text": data.text, "label": data.label, "separator": separator}
    reader = read_labelled(paths, columns=list(columns.values()), **options)
    return reader, (
        Sample(each.where, (each.text if isinstance(each.text, str) else " ".join(each.text),), each.labels)
        for each in reader
    )


def _tag(settings: Any, paths: Paths, columns: Mapping[str, str]) -> Samples:
    data = settings.data
    reader = read_sentences(paths, format=data.format, skip_bad=True)

    def samples() -> Iterator[Sample]:
        for each in reader:
            words, tags = tag_columns(list(each.columns), data.words, data.tags, each.where)
            reader.layout.columns |= {"words": words, "tags": tags}
            yield Sample(each.where, (" ".join(each.columns[words]),), tuple(each.columns[tags]))

    return reader, samples()


def _write(settings: Any, paths: Paths, columns: Mapping[str, str]) -> Samples:
    reader = read_lines(paths, skip_bad=True)
    return reader, (Sample(line.where, (line.text,)) for line in reader if line.text.strip())


def _translate(settings: Any, paths: Paths, columns: Mapping[str, str]) -> Samples:
    sides = {"source": settings.data.source, "target": settings.data.target}
    reader = read_pairs(paths, columns=list(columns.values()), **_tables(settings), **sides)
    return reader, (Sample(pair.where, (pair.source, pair.target)) for pair in reader)


def _answer(settings: Any, paths: Paths, columns: Mapping[str, str]) -> Samples:
    sides = {"question": settings.data.question, "answer": settings.data.answer}
    reader = read_questions(paths, columns=list(columns.values()), **_tables(settings), **sides)
    return reader, (Sample(each.where, (wording, each.answers[0])) for each in reader for wording in each.wordings)


def _read(settings: Any, paths: Paths, columns: Mapping[str, str]) -> Samples:
    reader = read_stories(paths, form=settings.data.format, answered=True, skip_bad=True)
    return reader, (
        Sample(story.where, (" ".join(story.sentences), story.question), (str(story.answer),)) for story in reader
    )


CHECKED: dict[str, Callable[[Any, Paths, Mapping[str, str]], Samples]] = {
    "classify": _classify,
    "tag": _tag,
    "write": _write,
    "translate": _translate,
    "answer": _answer,
    "read": _read,
}
"""The tasks whose data are files, and what reads them: all bad lines are left out and counted."""


# ---- guessing --------------------------------------------------------------------------------------------------------

_TELLING = (  # columns that only one task has, the likeliest last
    ("classify", TEXT_NAMES, LABEL_NAMES),
    ("translate", ("source", "src"), ("target", "tgt")),
    ("answer", ("question", "questions", "query"), ("answer", "answers", "response")),
    ("tag", ("tokens", "words"), ("tags", "ner_tags", "pos_tags", "upos")),
    ("read", ("story",), ("question",)),
)
_BY_SUFFIX = {".conllu": "tag", ".conll": "tag", ".bio": "tag", ".iob": "tag", ".iob2": "tag", ".yml": "answer"}
_BY_SUFFIX |= {".yaml": "answer", ".md": "write"}


def guess_task(paths: Paths) -> str:
    """Guess for which task files are, by their form and columns.

    Raises:
        UsageError: If that is not clear.
        DataError: If there is no such file.
    """
    files = find_files(paths)
    suffix = suffix_of(files[0])
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    try:
        first = next(iter(read_rows(files[:1], names={name for row in _TELLING for each in row[1:] for name in each})))
        columns = {name.casefold() for name in first.values}
    except DataError:
        return _guess_of_text(files)
    found = [task for task, *roles in _TELLING if all(columns.intersection(names) for names in roles)]
    if found:
        return found[-1]
    try:
        for _ in zip(range(2), read_labelled(files[:1]), strict=False):
            pass
    except DataError:
        raise UsageError(_unclear(files)) from None
    return "classify"


def _guess_of_text(files: list[str]) -> str:
    """The task of a file that is no table."""
    for task, reader in (("read", read_stories(files[0])), ("tag", read_sentences(files[0]))):
        try:
            next(iter(reader))
        except DataError:
            continue
        return task
    if len(files) > 1 and len({Path(file).suffix for file in files}) > 1:
        raise UsageError(_unclear(files))
    return "write"


def _unclear(files: list[str]) -> str:
    return f"it is not clear for which task {files[0]} is; name it: unspool check {next(iter(CHECKED))} {files[0]}"
