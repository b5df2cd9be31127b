"""Terminal view of a trace: prediction, maps, gates per token, and heat maps of units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from unspool.errors import UsageError
from unspool.inspection.grid import Grid, Lookups
from unspool.inspection.image_words import ImageWords, is_over_image
from unspool.inspection.memory import memory_maps
from unspool.inspection.named_units import NamedUnits
from unspool.inspection.overview import Column, columns, legend, scale, sentences, units
from unspool.inspection.paint import DIVERGING, OPEN_SHUT, SEQUENTIAL, Brush, cropped
from unspool.inspection.trace import Trace, visible
from unspool.inspection.unit_names import NAMED_UNITS
from unspool.inspection.words import lines_of
from unspool.settings import nearest

__all__ = ["Gates", "HeatMap", "Prediction", "show"]

_NUMBER = 4  # 0.71
_WIDEST_BAR = 16
_MOST_NAMES = 10
_PER_TOKEN = ("tags", "tag_probabilities", "surprise")


def show(
    trace: Trace,
    console: Console | None = None,
    *,
    array: str | None = None,
    maps: str | None = None,
    memory: int | None = None,
) -> None:
    """Print a trace: prediction, first map, and the gates of each layer per token, for input and output text.

    Args:
        trace: The trace.
        console: Console to print to; standard output if omitted.
        array: Name of an array to draw as a heat map of units by tokens, too.
        maps: Maps to draw in place of the first: a part of their names, or a whole name with `*` and `?`.
        memory: Step, from 0, after which to draw the contents of each memory, too.

    Raises:
        UsageError: If no map matches, or there is no such array, memory or step.
    """
    console = console or Console()
    brush = Brush.of(console)
    parts: list[Any] = [Prediction(trace)] if trace.prediction else []
    parts += _maps(trace, maps)
    sides = _sides(trace)
    explained = {
        _to_explain(side, place): place for side in sides for place in side.places
    }.values()  # the last of each
    for side in sides:
        if side is not trace and side.prediction:
            parts.append(Group(Text("written", style="bold"), Prediction(side)))
        parts += [
            NamedUnits(side) if place == NAMED_UNITS else Gates(side, place, explained=place in explained)
            for place in side.places
        ]
    if array is not None:
        parts.append(HeatMap(_holder(trace, array), array))
    if memory is not None:
        contents = memory_maps(trace, memory)
        parts += [Grid(replace(trace, maps=contents), name) for name in contents]
    if trace.model:
        console.print(Text(brush.plain(_visible_line(trace.model)), style="bold"))
    for number, part in enumerate(parts):
        if number or trace.model:
            console.print()
        console.print(part)
    for note in trace.notes:
        console.print(Text(brush.plain(f"Note: {_visible_line(note)}")))


def _to_explain(trace: Trace, place: str) -> tuple[bool, tuple[str, ...]]:
    """Return the kinds of columns that the line below a place explains."""
    return units(trace.at(place)) > 1, tuple(dict.fromkeys(column.kind for column in columns(trace, place)))


def _sides(trace: Trace) -> list[Trace]:
    """Return the trace of the input, and that of the output text if there is one."""
    return [trace] if trace.written is None else [trace, trace.written]


def _maps(trace: Trace, pattern: str | None) -> list[Any]:
    """Return the maps to draw: those that match a pattern; else the first, in words too, and the names of others."""
    if pattern is not None:
        return [_map(trace, name) for name in trace.maps_like(pattern)]
    if not trace.maps:
        return []
    first, *others = trace.maps
    count = f"{len(others)} more map{'s' * (len(others) > 1)}"
    line = f"{count}: {', '.join(others[:3])}{', ...' if len(others) > 3 else ''}"
    words = [] if is_over_image(trace, first) else [Lookups(trace, first)]
    return [_map(trace, first), *words, *([Text(line, style="dim")] if others else [])]


def _map(trace: Trace, name: str) -> Grid | ImageWords:
    return ImageWords(trace, name) if is_over_image(trace, name) else Grid(trace, name)


def _holder(trace: Trace, array: str) -> Trace:
    """Return the side of a trace that has an array."""
    sides = _sides(trace)
    for side in sides:
        if array in side.arrays:
            return side
    names = [name for side in sides for name in side.arrays]
    hint = nearest(array, names) or f"; it has {', '.join(map(repr, names)) or 'none'}"
    raise UsageError(f"this trace has no array {array!r}{hint}")


@dataclass(frozen=True)
class Gates:
    """Gates of one place: a row per token, a bar per gate, and sentences about them.

    Print it with a rich console; it fits any width from 40 columns, in several tables if needed.

    Raises:
        UsageError: If the trace has no such place.
    """

    trace: Trace
    place: str
    explained: bool = True
    """Whether to print the line that explains the bars."""

    def __post_init__(self) -> None:
        if self.place not in self.trace.places:
            hint = nearest(self.place, self.trace.places) or f"; there are {', '.join(self.trace.places) or 'none'}"
            raise UsageError(f"this trace has no place {self.place!r}{hint}")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, width = Brush.of(console), options.max_width
        place_columns, margin = columns(self.trace, self.place), _Margin.fit(self.trace, brush, width)
        yield Text(brush.plain(self.place), style="bold")
        for table in _tables(place_columns, width - margin.width):
            yield from self._table(table, margin, brush, width - margin.width)
        for line in sentences(self.trace, self.place):
            yield Text(brush.plain(line))
        if self.explained:
            yield Text(brush.plain(legend(place_columns, units(self.trace.at(self.place)))), style="dim")

    def _table(self, table: list[Column], margin: _Margin, brush: Brush, room: int) -> Iterator[Text]:
        cell = min(room // len(table), max(_WIDEST_BAR + _NUMBER + 2, *map(_least, table)))
        titles = "".join(" " + brush.fit(column.title, cell - 1) for column in table)
        yield cropped(Text(margin.blank + titles, style="dim"))
        for index in range(len(self.trace.tokens)):
            line = Text(margin.of(index))
            for column in table:
                value = float(column.values[index])
                share = value / column.high
                bar = brush.bar(share, cell - _NUMBER - 2)
                line.append(" " + bar, style=brush.style(share, OPEN_SHUT))
                line.append(f" {_number(value)}")
            yield cropped(line)


@dataclass(frozen=True)
class HeatMap:
    """Heat map of one array: a row per token, a column per unit, coloured by value.

    A console too narrow for all units shows those with the largest variance over the tokens.

    Raises:
        UsageError: If the trace has no such array.
    """

    trace: Trace
    name: str

    def __post_init__(self) -> None:
        self.trace.array(self.name)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, array = Brush.of(console), self.trace.array(self.name)
        margin = _Margin.fit(self.trace, brush, options.max_width)
        room = options.max_width - margin.width - 1
        selection = _most_varying(array, room)
        patch = max(1, min(3, room // len(selection)))
        low, high = scale(self.name.rpartition(" / ")[2], array)
        colours = DIVERGING if low < 0 else SEQUENTIAL
        yield Text(brush.plain(self.name), style="bold")
        yield cropped(Text(f"{margin.blank} {_ruler(selection, patch)}", style="dim"))
        for index in range(len(self.trace.tokens)):
            line = Text(margin.of(index) + " ")
            for unit in selection:
                line.append_text(brush.heat((float(array[index, unit]) - low) / (high - low), colours, patch))
            yield cropped(line)
        marks = Text(f"{low:.3g} ")
        for step in range(17):
            marks.append_text(brush.heat(step / 16, colours))
        which = "all" if len(selection) == array.shape[1] else f"the {len(selection)} that vary most of"
        yield marks.append(f" {high:.3g}; units from 1, {which} {array.shape[1]}")


@dataclass(frozen=True)
class Prediction:
    """Prediction: labels with probabilities, tags beside their tokens, other entries as lines."""

    trace: Trace

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, prediction = Brush.of(console), self.trace.prediction
        labels = prediction["labels"] if "labels" in prediction else [prediction.get("label")]
        if names := [str(label) for label in labels if label is not None]:
            yield Text("predicted: ").append(brush.plain(_visible_line(", ".join(names))), style="bold")
        elif "labels" in prediction:
            yield Text("predicted: no label")
        if isinstance(probabilities := prediction.get("probabilities"), dict):
            yield from _probabilities(probabilities, brush, options.max_width)
        if any(key in prediction for key in _PER_TOKEN):
            yield from self._tags(brush, options.max_width)
        for key, value in prediction.items():
            if key not in ("label", "labels", "probabilities", *_PER_TOKEN):
                yield from (Text(brush.plain(_visible_line(line))) for line in lines_of(key, value))

    def _tags(self, brush: Brush, width: int) -> Iterator[Text]:
        margin = _Margin.fit(self.trace, brush, width)
        tags = [_visible_line(str(tag)) for tag in self.trace.prediction.get("tags", [""] * len(self.trace.tokens))]
        sure = self.trace.prediction.get("tag_probabilities")
        surprise = self.trace.prediction.get("surprise")
        column = max(3, *map(cell_len, tags)) if "tags" in self.trace.prediction else 0
        bars = max(1, (sure is not None) + (surprise is not None))
        room = max(1, min(_WIDEST_BAR, (width - margin.width - column - 1) // bars - 2 - _NUMBER))
        most = max((float(value) for value in surprise or () if value is not None), default=0.0) or 1.0
        yield cropped(Text(margin.blank + self._titles(column, room), style="dim"))
        for index, tag in enumerate(tags):
            line = Text(margin.of(index))
            if column:
                line.append(" " + brush.fit(tag, column), style="bold")
            for values, top in ((sure, 1.0), (surprise, most)):
                if values is not None and values[index] is None:
                    line.append(" " * (room + 2 + _NUMBER))
                elif values is not None:
                    value = float(values[index])
                    line.append(f" {brush.bar(value / top, room)} {_number(value)}")
            yield cropped(line)
        if surprise is not None:
            yield Text("surprise: at the token, in nats; full bar = largest", style="dim")

    def _titles(self, column: int, room: int) -> str:
        """Return the headings of `_tags`."""
        titles = {"tag_probabilities": "probability", "surprise": "surprise"}
        headings = [title for key, title in titles.items() if key in self.trace.prediction]
        cell = room + 1 + _NUMBER
        return (" " + "tag".ljust(column)[:column] if column else "") + "".join(
            " " + title[:cell].ljust(cell) for title in headings
        )


@dataclass(frozen=True)
class _Margin:
    """Left margin of every row: position and token."""

    tokens: tuple[str, ...]
    digits: int

    @property
    def width(self) -> int:
        return cell_len(self.blank)

    @property
    def blank(self) -> str:
        return " " * (self.digits + 1 + (cell_len(self.tokens[0]) if self.tokens else 0))

    @classmethod
    def fit(cls, trace: Trace, brush: Brush, width: int) -> _Margin:
        longest = max((cell_len(brush.plain(visible(token))) for token in trace.tokens), default=0)
        room = max(2, min(longest, max(8, width // 4)))
        return cls(tuple(brush.token(token, room) for token in trace.tokens), len(str(len(trace.tokens))))

    def of(self, index: int) -> str:
        return f"{index + 1:>{self.digits}} {self.tokens[index]}"


def _visible_line(text: str) -> str:
    """Return a line of foreign text in printable form; blanks stay blanks."""
    return " ".join(visible(part) if part else "" for part in text.split(" "))


def _tables(place_columns: list[Column], room: int) -> list[list[Column]]:
    """Distribute columns over as few tables as fit the width, in order."""
    tables: list[list[Column]] = []
    for column in place_columns:
        if tables and max(map(_least, [*tables[-1], column])) * (len(tables[-1]) + 1) <= room:
            tables[-1].append(column)
        else:
            tables.append([column])
    return tables


def _least(column: Column) -> int:
    return 1 + max(_NUMBER + 2, min(len(column.title), 10))


def _number(value: float) -> str:
    if not np.isfinite(value):
        return str(value).rjust(_NUMBER)
    return next((text for places in (2, 1, 0) if len(text := f"{value:.{places}f}") <= _NUMBER), f"{value:.0e}")


def _most_varying(array: np.ndarray[Any, Any], room: int) -> list[int]:
    if array.shape[1] <= room:
        return list(range(array.shape[1]))
    spread = np.where(np.isfinite(array), array, 0).astype(np.float64).var(axis=0) if len(array) else np.zeros(0)
    return sorted(int(unit) for unit in np.argsort(-spread, kind="stable")[: max(1, room)])


def _ruler(selection: list[int], patch: int) -> str:
    """Return unit numbers, from 1, above their columns, as many as fit."""
    line = ""
    for place, unit in enumerate(selection):
        label = str(unit + 1)
        if place * patch >= len(line) + (1 if line else 0) and place * patch + len(label) <= len(selection) * patch:
            line = line.ljust(place * patch) + label + " " * 3
    return line.rstrip()


def _probabilities(probabilities: dict[str, Any], brush: Brush, width: int) -> Iterator[Text]:
    ranked = sorted(probabilities.items(), key=lambda item: -(item[1] or 0.0))
    names = [_visible_line(name) for name, _ in ranked[:_MOST_NAMES]]
    column = min(max(map(cell_len, names), default=0), max(8, width // 2))
    room = max(1, min(2 * _WIDEST_BAR, width - column - _NUMBER - 4))
    for name, (_, value) in zip(names, ranked, strict=False):
        number = float("nan") if value is None else float(value)
        line = Text(f"  {brush.fit(name, column)} ")
        line.append(brush.bar(number, room), style=brush.style(number, OPEN_SHUT))
        yield cropped(line.append(f" {_number(number)}"))
    if len(ranked) > _MOST_NAMES:
        yield Text(f"  and {len(ranked) - _MOST_NAMES} others")
