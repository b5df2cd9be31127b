"""Data checks of a task without training, and detection of the task from files; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from unspool.data.checks import Checks, Finding
from unspool.data.files import Layout, Paths, Reader, find_files
from unspool.data.forms import form_by_suffix, form_of_examples
from unspool.data.rows import read_rows
from unspool.data.sentences import read_sentences
from unspool.data.stories import read_stories
from unspool.errors import DataError, UsageError, option
from unspool.inputs import read_labelled
from unspool.tasks.catalog import TASKS, task_entry

__all__ = ["Report", "check_data", "guess_task"]

_NONE_LEFT_OUT = "there is nothing to read"


@dataclass
class Report:
    """Summary and problems of the data of a task."""

    task: str
    layouts: dict[str, Layout] = field(default_factory=dict)
    """Layout of the files of each data set: train, valid, test."""
    checks: Checks = field(default_factory=lambda: Checks(()))
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Number of problems that would stop training."""
        return sum(finding.level == "error" for finding in self.findings)


def check_data(task: str, settings: Any, parts: Mapping[str, Paths]) -> Report:
    """Read and check the data of a task.

    Args:
        task: Name of the task.
        settings: Settings of the task; only the data settings matter.
        parts: Files by data set: train, valid, test. The training data come first.

    Raises:
        DataError: If files can't be read at all.
        UsageError: If the task generates its data.
    """
    entry = task_entry(task)
    if not entry.sides:
        raise UsageError(f"the task {task!r} makes its own data; there is nothing to check")
    several = getattr(settings, "several", False)  # of commands: auto, yes or no
    checks = Checks(entry.sides, entry.label, several=several in (True, "yes"))
    report = Report(task, checks=checks)
    before: Layout | None = None
    for part, paths in parts.items():
        data = import_module(f"unspool.tasks.{task}.data")
        reader = data.open_data(settings, paths, before, skip_bad=True)
        try:
            for sample in data.samples(reader):
                checks.add(part, sample)
                checks.several |= several == "auto" and len(sample.labels) > 1
        except DataError as error:
            if not reader.skipped or _NONE_LEFT_OUT not in error.message:
                raise
        before = before or reader.layout
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


# ---- guessing --------------------------------------------------------------------------------------------------------


def guess_task(paths: Paths) -> str:
    """Guess the task for some files, by their format and columns.

    Raises:
        UsageError: If the task is ambiguous.
        DataError: If a file does not exist.
    """
    files = find_files(paths)
    if form_of_examples(files[0]) is not None:
        return "classify"
    if form_by_suffix(files[0], "rows", "lines") is None:
        for form in filter(None, [form_by_suffix(files[0], "sentences", "stories")]):
            return next(entry.name for entry in TASKS.values() if entry.kind == form.yields)
    roles = {task: entry.columns for task, entry in TASKS.items() if entry.columns}
    names = set(chain.from_iterable(chain.from_iterable(roles.values())))
    try:
        first = next(iter(read_rows(files[:1], names=names)))
        columns = {name.casefold() for name in first.values}
    except DataError:
        return _guess_of_text(files)
    candidates = [task for task, own in roles.items() if all(columns.intersection(names) for names in own)]
    if candidates:
        return candidates[-1]  # the least common task
    try:
        for _ in zip(range(2), read_labelled(files[:1]), strict=False):
            pass
    except DataError:
        raise UsageError(_unclear(files)) from None
    return "classify"


def _guess_of_text(files: list[str]) -> str:
    """Guess the task of files that are not tables."""
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
    return f"it is not clear for which task {files[0]} is; name it: unspool check {next(iter(TASKS))} {files[0]}"
