"""Sentences with intents and slots: `Utterance`, and its readers for tables, JSON lines, CoNLL, Rasa YAML and Snips."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from unspool.data.files import Layout, Paths, Reader, find_files
from unspool.data.forms import Form, FormOptions, Kind, form_by_suffix, form_named
from unspool.data.rows import Header, Row, find_column, read_rows
from unspool.data.sentences import Sentence
from unspool.errors import DataError

__all__ = [
    "INTENT_NAMES",
    "SLOT_NAMES",
    "UTTERANCE_NAMES",
    "SlotSpan",
    "Utterance",
    "read_utterances",
    "utterances_of_rows",
]

UTTERANCE_NAMES = ("text", "utterance", "sentence", "query", "example", "tokens", "words", "1")
"""Usual names of the column of sentences."""
INTENT_NAMES = ("intent", "intents", "label", "labels", "action", "command", "2")
"""Usual names of the column of intents."""
SLOT_NAMES = ("slots", "entities", "spans", "tags")
"""Usual names of the column of slots."""

_MARK = re.compile(r"\[([^\[\]]+)\](?:\(([^()\s]+)\)|\{(.+?)\})")  # [ten minutes](length), [ten]{"entity": "length"}


class SlotSpan(NamedTuple):
    """Place of a slot's value in a text."""

    slot: str
    """Name of the slot."""
    start: int
    """Offset of the first character."""
    end: int
    """Offset after the last character."""


class Utterance(NamedTuple):
    """A sentence with its intents and slots."""

    where: str
    """Place for messages, such as `file:line`."""
    text: str
    intents: tuple[str, ...]
    """Names of the intents; empty if the sentence asks for none of them (out of scope)."""
    slots: tuple[SlotSpan, ...] = ()
    """Spans of the slots in order, without overlap."""


def read_utterances(
    paths: Paths,
    *,
    format: str | None = None,
    header: Header = "auto",
    delimiter: str | None = None,
    text: str | None = None,
    intent: str | None = None,
    slots: str | None = None,
    separator: str = ",",
    out_of_scope: str = "oos",
    columns: Collection[str] = (),
    skip_bad: bool = False,
) -> Reader[Utterance]:
    """Read sentences with intents and slots, each file by its suffix.

    A row of a table or a line of JSON has a text, an intent or a list of intents, and maybe slots: a list of objects
    with a name (`slot`, `entity` or `name`), `start` and `end`; an object that maps names to values or to objects with
    `span`; or a list of BIO tags, one for each word. Slots may also be marked in the text: `set a timer for [ten
    minutes](length)`. CoNLL has a line `# intent: NAME` above the words and their tags.

    Args:
        paths: Files, folders, globs or `-`.
        format: A form of tables or of sentences; None: by suffix.
        header: Whether tables of text begin with column names: `auto`, `yes` or `no`.
        delimiter: Delimiter of the cells of tables; None: detect it by content.
        text: Column of the text: a name, or a number from 1; None: detect it.
        intent: Column of the intent, likewise.
        slots: Column of the slots, likewise; None: detect it, or read marks in the text.
        separator: Separator between several intents in one cell of a table.
        out_of_scope: Intent of sentences that are out of scope.
        columns: Columns of other data of the task; a first line with one of these names is a header.
        skip_bad: Skip bad examples and count them in the reader's `skipped`.

    Raises:
        DataError: If a file is missing, empty or of unknown form; while reading, if an example is bad.
    """
    kinds: tuple[Kind, ...] = ("rows", "sentences")
    form = None if format is None else form_named(format, *kinds)
    files = find_files(paths)
    forms = {file: form or form_by_suffix(file, *kinds) for file in files}
    sentences = {file: form for file, form in forms.items() if form is not None and form.yields == "sentences"}
    if sentences:
        if len(sentences) < len(files):
            raise DataError("CoNLL files and tables came together; pass files of one kind", files[0])
        return _read_conll(sentences, separator, out_of_scope, skip_bad=skip_bad)
    usual = (*UTTERANCE_NAMES, *INTENT_NAMES, *SLOT_NAMES, text, intent, slots, *columns)
    names = {name for name in usual if name and not name.isdecimal()}
    rows = read_rows(paths, format=format, header=header, delimiter=delimiter, names=names, skip_bad=skip_bad)
    return utterances_of_rows(
        rows, text=text, intent=intent, slots=slots, separator=separator, out_of_scope=out_of_scope
    )


def utterances_of_rows(
    rows: Reader[Row],
    *,
    text: str | None = None,
    intent: str | None = None,
    slots: str | None = None,
    separator: str = ",",
    out_of_scope: str = "oos",
) -> Reader[Utterance]:
    """Read sentences with intents and slots from rows; see `read_utterances`."""
    settings = _Columns(text, intent, slots)

    def of_row(row: Row) -> Utterance | DataError:
        try:
            names = settings.of(row)
            rows.layout.columns |= {role: name for role, name in names.items() if name is not None}
            return _of_row(row, names, separator, out_of_scope)
        except DataError as error:
            return error

    return rows.map(of_row)


class _Columns:
    """Columns of text, intent and slots: by setting, or by a usual name."""

    def __init__(self, text: str | None, intent: str | None, slots: str | None) -> None:
        self._roles = {"text": (text, UTTERANCE_NAMES), "intent": (intent, INTENT_NAMES), "slots": (slots, SLOT_NAMES)}

    def of(self, row: Row) -> dict[str, str | None]:
        """Return the column of each role; None for a row without slots.

        Raises:
            DataError: If the row has no text or intent.
        """
        names = list(row.values)
        lower = {name.casefold(): name for name in names}
        chosen: dict[str, str | None] = {}
        for role, (setting, usual) in self._roles.items():
            if setting is not None and not (role == "slots" and setting not in names):
                chosen[role] = find_column(names, setting, row.where)
                continue
            chosen[role] = next(
                (lower[name] for name in usual if name in lower and lower[name] not in chosen.values()), None
            )
            if chosen[role] is None and role != "slots":
                raise DataError(
                    f"can't tell which column holds the {role}; the columns are {', '.join(names)}", row.where
                )
        return chosen


def _of_row(row: Row, names: Mapping[str, str | None], separator: str, out_of_scope: str) -> Utterance:
    value, cell = row.values[names["text"] or ""], row.values[names["intent"] or ""]
    tagged = row.values.get(names["slots"] or "")
    if isinstance(tagged, str):  # a cell of a table
        tagged = _decoded(tagged, row.where)
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        text, marked = " ".join(value), list[SlotSpan]()
        starts = _starts(value)
    elif isinstance(value, str):
        text, marked = _unmarked(" ".join(value.split()) if tagged is None else value, row.where)
        starts = None
    else:
        raise DataError(f"{type(value).__name__} {value!r:.40} came as the text; expected a sentence", row.where)
    if not text.strip():
        raise DataError("the text is empty; expected a sentence", row.where)
    spans = [*marked, *_spans(tagged, text, starts, row.where)]
    return Utterance(
        row.where, text, _intents(cell, separator, out_of_scope, row.where), _ordered(spans, text, row.where)
    )


def _decoded(cell: str, where: str) -> Any:
    if not cell.strip():
        return None
    if cell.lstrip()[:1] in "[{":
        try:
            return json.loads(cell)
        except ValueError:
            raise DataError(f"the slots are not readable JSON: {cell[:60]!r}", where) from None
    return cell.split()


def _starts(words: Sequence[str]) -> list[tuple[int, int]]:
    """Return the offsets of words that blanks join."""
    offsets, place = [], 0
    for word in words:
        offsets.append((place, place + len(word)))
        place += len(word) + 1
    return offsets


def _unmarked(text: str, where: str) -> tuple[str, list[SlotSpan]]:
    """Remove marks such as `[ten minutes](length)` from a text; return the text and its spans."""
    plain, spans, end = "", [], 0
    for mark in _MARK.finditer(text):
        plain += text[end : mark.start()]
        name = mark[2]
        if name is None:
            try:
                name = json.loads("{" + mark[3] + "}")["entity"]
            except (ValueError, KeyError, TypeError):
                raise DataError(
                    f'{mark[0]!r}: expected a mark as [value](slot) or [value]{{"entity": "slot"}}', where
                ) from None
        spans.append(SlotSpan(str(name).partition(":")[0], len(plain), len(plain) + len(mark[1])))
        plain += mark[1]
        end = mark.end()
    return plain + text[end:], spans


def _intents(cell: Any, separator: str, out_of_scope: str, where: str) -> tuple[str, ...]:
    if isinstance(cell, str):
        names = [name.strip() for name in cell.split(separator)] if separator else [cell.strip()]
    elif cell is None:
        names = []
    elif isinstance(cell, list) and all(isinstance(name, str) for name in cell):
        names = cell
    else:
        raise DataError(
            f"{type(cell).__name__} {cell!r:.40} came as the intent; expected a name or a list of names", where
        )
    return tuple(dict.fromkeys(name for name in names if name and name != out_of_scope))


def _spans(slots: Any, text: str, starts: list[tuple[int, int]] | None, where: str) -> Iterator[SlotSpan]:
    """Yield the spans of a column of slots in any of its forms."""
    if not slots:
        return
    if isinstance(slots, Mapping):
        for name, value in slots.items():
            yield _named(str(name), value, text, where)
    elif isinstance(slots, list) and all(isinstance(tag, str) for tag in slots):
        offsets = starts or [(word.start(), word.end()) for word in re.finditer(r"\S+", text)]
        yield from _tagged(slots, offsets, where)
    elif isinstance(slots, list) and all(isinstance(each, Mapping) for each in slots):
        for each in slots:
            name = next((each[key] for key in ("slot", "entity", "name", "label") if key in each), None)
            if not isinstance(name, str):
                raise DataError(f"a slot without a name: {str(dict(each))[:60]}; expected slot, start and end", where)
            yield _named(name, each, text, where)
    else:
        raise DataError(
            f"{type(slots).__name__} {slots!r:.40} came as the slots; expected a list of slots or tags", where
        )


def _named(name: str, value: Any, text: str, where: str) -> SlotSpan:
    if isinstance(value, Mapping):
        span = value.get("span", (value.get("start"), value.get("end")))
        if isinstance(span, list | tuple) and len(span) == 2 and all(type(place) is int for place in span):
            return SlotSpan(name, *span)
        value = value.get("text", value.get("value"))
    if isinstance(value, str) and value:
        start = text.casefold().find(value.casefold())
        if start >= 0:
            return SlotSpan(name, start, start + len(value))
        raise DataError(f"the value {value!r:.40} of the slot {name!r} does not stand in the text {text[:60]!r}", where)
    raise DataError(f"the slot {name!r} has no place; expected start and end, or its text", where)


def _tagged(tags: Sequence[str], offsets: Sequence[tuple[int, int]], where: str) -> Iterator[SlotSpan]:
    """Yield the spans of BIO tags, one for each word."""
    if len(tags) != len(offsets):
        raise DataError(f"{len(tags)} tags came with {len(offsets)} words; expected one for each word", where)
    name, start, end = "", 0, 0
    for tag, (first, last) in zip([*tags, "O"], [*offsets, (0, 0)], strict=True):
        letter, _, kind = tag.partition("-")
        if letter not in "BIOESLU" or len(letter) != 1:
            raise DataError(f"{tag!r} is no tag of a slot; expected O, B-NAME or I-NAME", where)
        if name and (letter in "OBSU" or kind != name):
            yield SlotSpan(name, start, end)
            name = ""
        if letter != "O":
            start, name = (start if name else first), kind
            end = last


def _ordered(spans: list[SlotSpan], text: str, where: str) -> tuple[SlotSpan, ...]:
    ordered = sorted(spans, key=lambda span: span.start)
    end = 0
    for span in ordered:
        if not 0 <= span.start < span.end <= len(text):
            raise DataError(
                f"the slot {span.slot!r} from {span.start} to {span.end} lies outside of the text of {len(text)} "
                f"characters",
                where,
            )
        if span.start < end:
            raise DataError(
                f"the slot {span.slot!r} overlaps the slot before it; expected one slot for each word", where
            )
        end = span.end
    return tuple(ordered)


def _read_conll(forms: Mapping[str, Form], separator: str, out_of_scope: str, *, skip_bad: bool) -> Reader[Utterance]:
    layout = Layout()
    options = FormOptions(layout=layout)

    def read(file: str) -> Iterator[Utterance | DataError]:
        for item in forms[file].read(file, options):
            yield item if isinstance(item, DataError) else _guarded(_of_sentence, item, separator, out_of_scope)

    layout.columns |= {"text": "1", "slots": "the last", "intent": "# intent"}
    return Reader(list(forms), read, skip_bad=skip_bad, layout=layout)


def _guarded(make: Callable[..., Utterance], *arguments: Any) -> Utterance | DataError:
    try:
        return make(*arguments)
    except DataError as error:
        return error


def _of_sentence(sentence: Sentence, separator: str, out_of_scope: str) -> Utterance:
    columns = list(sentence.columns.values())
    words, tags = columns[0], columns[-1] if len(columns) > 1 else ["O"] * len(columns[0])
    if "intent" not in sentence.comments:
        raise DataError("there is no line '# intent: NAME' above the words of this sentence", sentence.where)
    spans = list(_tagged(tags, _starts(words), sentence.where))
    intents = _intents(sentence.comments["intent"], separator, out_of_scope, sentence.where)
    return Utterance(sentence.where, " ".join(words), intents, tuple(spans))
