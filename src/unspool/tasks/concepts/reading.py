"""Reading of a task's data for the concept finder: texts, places of tokens, and further columns of the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.data import (
    END,
    RowsInMemory,
    Sentence,
    Vocabulary,
    find_files,
    read_rows,
    read_sentences,
    sentences_of_rows,
    tag_columns,
)
from unspool.data.forms import form_by_suffix
from unspool.data.units import LINE
from unspool.errors import UsageError
from unspool.inspection.concepts.labellings import Passage
from unspool.tasks.catalog import TASKS
from unspool.tasks.concepts.subjects import ExampleSubject, StreamSubject, Subject, named_columns, spans_of
from unspool.tasks.entry import one_of
from unspool.tasks.task import DataLike, Task

__all__ = ["subject_of"]

_TAKERS = ("write", "classify", "tag")


def subject_of(task: Task[Any, Any], data: DataLike, *, most: int) -> Subject:
    """Read data of a task, as `evaluate` does, and return them with the runs of its network.

    A language model also reads tag files, whose words become lines of text.

    Args:
        task: A fitted task.
        data: Files, or examples in memory.
        most: Most tokens to read.

    Raises:
        DataError: If the data can't be used, or are too few.
        UsageError: If the task has no recurrent network over tokens.
    """
    task._need_model()
    readers = {"write": _stream, "classify": _classified, "tag": _tagged}
    if task.name not in readers:
        takers = one_of(TASKS[name].a_model for name in _TAKERS)
        raise UsageError(f"a concept is found in {takers}; this is a model of the task {task.name!r}")
    subject = readers[task.name](task, data, most)
    if subject.stack(task.model) is None:
        raise UsageError("this network has no recurrent layers, so there are no units to compare with a property")
    return subject


def _stream(task: Any, data: DataLike, most: int) -> Subject:
    source = task._data_source(data)
    if not isinstance(source, RowsInMemory) and form_by_suffix(find_files(source)[0], "sentences"):
        return _tagged_stream(task, source, most)
    text: list[str] = []
    ids: list[NDArray[np.int32]] = []
    spans: list[NDArray[np.int64]] = []
    count = begin = 0
    for piece in task._read(source).pieces():
        for line in LINE.findall(piece):
            encoded, places = _encode_line(task.vocabulary, line)
            ids.append(encoded)
            spans.append(places + begin)
            text.append(line)
            count, begin = count + len(encoded), begin + len(line)
            if count >= most:
                break
        if count >= most:
            break
    passage = Passage("".join(text), np.concatenate(spans))
    return StreamSubject(task, passage, np.concatenate(ids).astype(np.int64))


def _encode_line(vocabulary: Vocabulary, line: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the ids of one line as `encode_stream` does, with the place of each in the line, int64 (tokens, 2)."""
    if vocabulary.units == "character":
        ids = vocabulary.encode_stream(line)
        if len(ids) == len(line):
            starts = np.arange(len(line))
            return ids, np.stack([starts, starts + 1], axis=1)
    encoding = vocabulary.encode_with_offsets(line)
    unit_ids, places = list(encoding.ids), list(encoding.offsets)
    if vocabulary.units in ("word", "blank") and line.endswith("\n"):
        unit_ids, places = [*unit_ids, END], [*places, (len(line) - 1, len(line))]
    return np.array(unit_ids, np.int32), np.array(places, np.int64).reshape(-1, 2)


def _tagged_stream(task: Any, source: Any, most: int) -> Subject:
    text: list[str] = []
    ids: list[NDArray[np.int32]] = []
    spans: list[NDArray[np.int64]] = []
    words: list[NDArray[np.int64]] = []
    columns: dict[str, list[str]] = {}
    count = begin = 0
    for sentence in read_sentences(source):
        line, places = spans_of(sentence.columns[tag_columns(list(sentence.columns), None, None, sentence.where)[0]])
        encoded, inside = _encode_line(task.vocabulary, f"{line}\n")
        for name, cells in named_columns(sentence.columns).items():
            columns.setdefault(name, []).extend(cells)
        ids.append(encoded)
        spans.append(inside + begin)
        words.append(places + begin)
        text.append(f"{line}\n")
        count, begin = count + len(encoded), begin + len(line) + 1
        if count >= most:
            break
    passage = Passage("".join(text), np.concatenate(spans), np.concatenate(words), columns)
    return StreamSubject(task, passage, np.concatenate(ids).astype(np.int64))


def _classified(task: Any, data: DataLike, most: int) -> Subject:
    if task.fitted.input.kind != "text":
        raise UsageError("this classifier reads rows of numbers, which have no tokens to label")
    source = task._data_source(data)
    examples = task._read(source)
    encoded = task.fitted.input.encode(examples.values, examples.where)
    first = _first(encoded.lengths, most)
    examples, encoded = examples.take(np.arange(first)), encoded.take(np.arange(first))
    cells = _cells(source, set(examples.where))
    passages = []
    for value, where, names in zip(examples.values, examples.where, examples.labels, strict=True):
        text, spans = _places(task.fitted.input.vocabulary, value)
        passages.append(Passage(text, spans, values={"label": ", ".join(names), **cells.get(where, {})}))
    gold = task.fitted.targets(examples)

    def losses(model: Any, tokens: Any, places: NDArray[np.int64]) -> NDArray[np.float64]:
        logits = model(tokens).logits.double()
        result = np.full(tuple(tokens.ids.shape), math.nan)
        chances = (logits.sigmoid() if task.settings.several else logits.softmax(-1)).cpu().numpy()
        ends = tokens.lengths.cpu().numpy() - 1
        for row, (place, end) in enumerate(zip(places, ends, strict=True)):
            result[end, row] = _nats(chances[row], gold[place])
        return result

    targets = [target for names, size in zip(examples.labels, encoded.lengths, strict=True)
               for target in [", ".join(names)] * int(size)]  # fmt: skip
    return ExampleSubject(task, passages, encoded, losses, targets, "label")


def _nats(chances: NDArray[np.float64], gold: Any) -> float:
    """Return the cross-entropy of one label id, NaN for an unknown one, or of 0-1 targets."""
    safe = np.clip(chances, 1e-12, 1 - 1e-12)
    if np.ndim(gold):
        return float(-(gold * np.log(safe) + (1 - gold) * np.log1p(-safe)).sum())
    return float(-np.log(safe[gold])) if gold >= 0 else math.nan


def _places(vocabulary: Vocabulary, value: str | list[str]) -> tuple[str, NDArray[np.int64]]:
    if isinstance(value, list) and vocabulary.units in ("word", "blank"):
        return spans_of(value)
    text = value if isinstance(value, str) else " ".join(value)
    return text, np.array(vocabulary.encode_with_offsets(text).offsets, np.int64).reshape(-1, 2)


def _cells(source: Any, places: set[str]) -> dict[str, dict[str, Any]]:
    """Return all columns of a table by the place of the row; of files that are no tables, nothing."""
    if isinstance(source, RowsInMemory):
        rows: Any = source.reader()
    elif form_by_suffix(find_files(source)[0], "rows"):
        rows = read_rows(source, skip_bad=True)
    else:
        return {}
    return {row.where: row.values for row in rows if row.where in places}


def _tagged(task: Any, data: DataLike, most: int) -> Subject:
    source = task._data_source(data)
    examples = task._read(source)
    encoded = task.fitted.input.encode_sentences(examples.words, examples.where)
    first = _first(encoded.lengths, most)
    examples, encoded = examples.take(np.arange(first)), encoded.take(np.arange(first))
    columns = _tag_columns(task, source, examples.where)
    passages, gold = [], []
    for words, tags, where in zip(examples.words, examples.tags, examples.where, strict=True):
        text, spans = spans_of(words)
        passages.append(Passage(text, spans, spans, {"tag": tags, **columns.get(where, {})}))
        labels = task.fitted.labels
        gold.append([labels.id(tag) if tag in labels else -1 for tag in task.fitted.inner(tags)])

    def losses(model: Any, tokens: Any, places: NDArray[np.int64]) -> NDArray[np.float64]:
        chances = model.probabilities(tokens).double().cpu().numpy()
        result = np.full(chances.shape[:2], math.nan)
        for row, place in enumerate(places):
            for step, tag in enumerate(gold[place]):
                result[step, row] = _nats(chances[step, row], tag)
        return result

    return ExampleSubject(task, passages, encoded, losses, [tag for tags in examples.tags for tag in tags], "tag")


def _tag_columns(task: Any, source: Any, places: Sequence[str]) -> dict[str, dict[str, Sequence[str]]]:
    if isinstance(source, RowsInMemory):
        reader = sentences_of_rows(source.reader())
    else:
        reader = read_sentences(source, format=task.settings.data.format, skip_bad=task.settings.data.skip_bad)
    inside = set(places)
    sentences: list[Sentence] = [sentence for sentence in reader if sentence.where in inside]
    return {sentence.where: named_columns(sentence.columns) for sentence in sentences}


def _first(lengths: NDArray[np.int64], most: int) -> int:
    """Return how many texts to take, so that they have about `most` tokens."""
    return min(len(lengths), int(np.searchsorted(np.cumsum(lengths), most)) + 1)
