"""Terminal view of a fork: predictions of both runs side by side, and their distance at each token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from unspool.inspection.fork import Fork
from unspool.inspection.grid import Grid
from unspool.inspection.paint import OPEN_SHUT, Brush, cropped
from unspool.inspection.terminal import HeatMap
from unspool.inspection.trace import Trace, visible
from unspool.inspection.words import lines_of

__all__ = ["Sides", "show_fork"]

_LABEL, _BAR, _WIDEST_TOKEN = 24, 12, 20
_NARROWEST = 11  # columns of a bar with its number
_MOST_LABELS, _MOST_PLACES = 10, 4
_STATES = ("h", "hidden", "state", "memory", "c", "cell")
_DRAWN = ("label", "labels", "probabilities", "tags", "tag_probabilities", "surprise")


def show_fork(fork: Fork, console: Console | None = None, *, array: str | None = None, maps: str | None = None) -> None:
    """Print both runs of a fork side by side.

    Args:
        fork: The fork.
        console: Console to print to; standard output if omitted.
        array: Name of an array to draw as a heat map of units by tokens, for both runs.
        maps: Maps to draw, for both runs: a part of their names, or a whole name with `*` and `?`.

    Raises:
        UsageError: If there is no such array, or no map matches.
    """
    console = console or Console()
    drawings: list[tuple[str, Any]] = []
    for title, trace in (("original", fork.original), ("fork", fork.edited)):
        if array is not None:
            side = trace.written if trace.written is not None and array not in trace.arrays else trace
            drawings.append((title, HeatMap(side, array)))
        if maps is not None:
            drawings += [(title, Grid(trace, name)) for name in trace.maps_like(maps)]
    console.print(Sides(fork))
    for title, drawing in drawings:
        console.print()
        console.print(Text(title, style="bold"))
        console.print(drawing)


@dataclass(frozen=True)
class Sides:
    """Predictions of both runs side by side, the distance of their states at each token, and what they generate."""

    fork: Fork

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fork, brush = self.fork, Brush.of(console)
        if fork.original.model:
            yield Text(brush.plain(fork.original.model), style="bold")
        for title, edits in (("both", fork.base), ("fork", fork.edits)):
            for edit in edits:
                yield Text(brush.plain(f"{title}: {visible(str(edit)).replace('␣', ' ')}"))
        for block in (
            self._labels(brush),
            self._lines(brush),
            self._tokens(brush, options.max_width),
            self._texts(brush),
        ):
            lines = list(block)
            if lines:
                yield Text("")
                yield from lines

    def _labels(self, brush: Brush) -> Iterator[Text]:
        """Yield the labels of a classifier with both probabilities."""
        before, after = (trace.prediction.get("probabilities") for trace in (self.fork.original, self.fork.edited))
        if not isinstance(before, dict) or not isinstance(after, dict) or len(self.fork.steps) > 1:
            return
        labels = sorted({*before, *after}, key=lambda name: -max(before.get(name) or 0.0, after.get(name) or 0.0))
        width = min(_LABEL, max(cell_len(visible(label)) for label in labels))
        yield Text(f"  {'':{width}} {'original':{_BAR + 5}}  fork", style="dim")
        for label in labels[:_MOST_LABELS]:
            line = Text(f"  {brush.token(label, width)}")
            for shares in (before, after):
                share = float(shares.get(label) or 0.0)
                line.append(" " + brush.bar(share, _BAR), style=brush.style(share, OPEN_SHUT)).append(f" {share:.2f} ")
            yield cropped(line)
        if len(labels) > _MOST_LABELS:
            yield Text(f"  and {len(labels) - _MOST_LABELS} others")

    def _lines(self, brush: Brush) -> Iterator[Text]:
        """Yield other entries of the predictions, such as a translation."""
        for title, trace in (("original", self.fork.original), ("fork", self.fork.edited)):
            for key, value in trace.prediction.items():
                if key not in _DRAWN:
                    for line in lines_of(key, value):
                        yield Text(brush.plain(f"{title:8}  {visible(line).replace('␣', ' ')}"))

    def _tokens(self, brush: Brush, width: int) -> Iterator[Text]:
        """Yield a row for each token: divergence, what both runs predict, and the distance of the states."""
        fork = self.fork
        divergence = fork.divergence if len(fork.divergence) == len(fork.original.tokens) > 1 else None
        columns = [*([] if divergence is None else [("divergence", divergence)]), *_distances(fork)]
        choices = _choices(fork) if divergence is not None else None
        if not columns:
            return
        margin = _Tokens(fork, brush)
        room = width - margin.width - (0 if choices is None else 2 * _CHOICE)
        fitting = max(1, room // _NARROWEST)
        columns = columns if len(columns) <= fitting else [*columns[:1], *columns[len(columns) - fitting + 1 :]]
        bar = max(1, min(_BAR, room // len(columns) - 7))
        titles = "".join(f" {brush.fit(title, bar + 5)}" for title, _ in columns)
        heads = "" if choices is None else f" {'original':{_CHOICE - 1}} {'fork':{_CHOICE - 1}}"
        yield cropped(Text(margin.blank + titles + heads, style="dim"))
        tops = [float(values.max()) or 1.0 for _, values in columns]
        for row in range(len(fork.original.tokens)):
            line = Text(margin.of(row))
            for (_, values), top in zip(columns, tops, strict=True):
                line.append(f" {brush.bar(float(values[row]) / top, bar)} {_number(float(values[row]))}")
            for name, share in choices[row] if choices is not None else ():
                line.append(f" {brush.token(name, _CHOICE - 6)} {share:.2f}")
            yield cropped(line)
        yield Text(brush.plain(_legend(fork, divergence is not None, [title for title, _ in columns])), style="dim")

    def _texts(self, brush: Brush) -> Iterator[Text]:
        if self.fork.continuations is None:
            return
        for title, text in zip(("original", "fork"), self.fork.continuations, strict=True):
            yield Text(f"{title} goes on:", style="bold")
            for line in text.split("\n"):
                yield Text(brush.plain("".join(visible(sign) if sign != " " else sign for sign in line)))


_CHOICE = 15


class _Tokens:
    """Left margin: position and token; where a token was replaced, both."""

    def __init__(self, fork: Fork, brush: Brush) -> None:
        after = fork.edited.tokens if len(fork.edited.tokens) == len(fork.original.tokens) else fork.original.tokens
        names = [
            visible(old) if old == new else f"{visible(old)} > {visible(new)}"
            for old, new in zip(fork.original.tokens, after, strict=True)
        ]
        self._names, self._digits, self._brush = names, len(str(len(names))), brush
        self._room = min(_WIDEST_TOKEN, max(map(cell_len, names)))
        self.width = self._digits + 1 + self._room
        self.blank = " " * self.width

    def of(self, row: int) -> str:
        """Return the margin of one row."""
        return f"{row + 1:>{self._digits}} {self._brush.fit(self._names[row], self._room)}"


def _choices(fork: Fork) -> list[list[tuple[str, float]]]:
    """Return the most probable choice of each run at each token, with its probability."""
    return [[max(side.items(), key=lambda item: item[1]) for side in step] for step in fork.steps]


def _distances(fork: Fork) -> list[tuple[str, Any]]:
    """Return the mean absolute difference of one state for each of the last places of the input, by title."""
    differences, trace = fork.differences, fork.original
    chosen = []
    for place in trace.places:
        quantities = [q for q in (*_STATES, *(f"{q} real" for q in _STATES)) if f"{place} / {q}" in differences]
        if quantities:
            name = f"{place} / {quantities[0]}"
            chosen.append((_short(trace, name), differences[name]))
    return chosen[-_MOST_PLACES:]


def _short(trace: Trace, name: str) -> str:
    place, _, quantity = name.rpartition(" / ")
    for long, short in (("layer ", ""), ("encoder ", ""), ("forward", "fwd"), ("backward", "bwd")):
        place = place.replace(long, short)
    return quantity if len(trace.places) == 1 else f"{place} {quantity}"


def _legend(fork: Fork, distributions: bool, titles: Sequence[str]) -> str:
    parts = []
    if distributions:
        first = fork.first_divergence
        where = "nowhere" if first is None else f"first at token {first + 1}"
        parts.append(f"divergence: of the predictions, in nats, {where}")
    if len(titles) > distributions:
        others = "others: " if distributions else ""
        parts.append(f"{others}mean absolute difference of the state; full bar = largest")
    return "; ".join(parts)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return str(value).rjust(4)
    if 0 < value < 0.005:
        return f"{value:.0e}".replace("e-0", "e-")[:4]
    return f"{value:.2f}" if value < 99.5 else f"{value:.0f}".rjust(4)
