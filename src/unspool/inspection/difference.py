"""Difference of two traces: two models, two checkpoints or two texts, aligned by token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from unspool.errors import UsageError
from unspool.inspection.columns import Columns
from unspool.inspection.maps import Map
from unspool.inspection.paint import Brush
from unspool.inspection.result import Result
from unspool.inspection.trace import Array, Trace, visible
from unspool.settings import nearest

__all__ = ["AlignedToken", "TraceDifference", "compare_traces"]

Kind = Literal["equal", "replaced", "only one", "only other"]

_SIGNS: dict[Kind, str] = {"equal": " ", "replaced": "~", "only one": "-", "only other": "+"}
_NUMBER, _BAR, _TOKEN = 10, 10, 20  # widths in the terminal, of a token at most
_MOST = 10  # labels of a prediction


class AlignedToken(NamedTuple):
    """A token of one trace beside a token of the other; positions count from 0."""

    kind: Kind
    """`equal`; `replaced` by another token at the same place; or only in one of the two."""
    one: int | None
    """Position in the first trace; None if only the other has the token."""
    other: int | None
    """Position in the other trace; None if only the first has the token."""


@dataclass(frozen=True, eq=False, repr=False)
class TraceDifference(Result):
    """Difference of two traces, the other minus the first, one row per aligned token.

    Printed with a rich console, it shows the predictions and the mean size of each difference at each token.
    """

    noun = "difference"

    one: Trace
    other: Trace
    rows: tuple[AlignedToken, ...]
    arrays: Mapping[str, Array]
    """Differences of the arrays that both have with equal units, (rows, units); NaN where one has no token."""
    maps: Mapping[str, Map]
    """Differences of the maps that both have, over their equal and replaced tokens."""
    only_one: tuple[str, ...]
    """Arrays and maps that only the first has, or that have other units in the other."""
    only_other: tuple[str, ...]
    """Arrays and maps that only the other has, or that have other units in the first."""
    probabilities: Mapping[str, tuple[float | None, float | None]]
    """Probability of each label or unit in both predictions, the largest difference first; None if not listed."""
    written: TraceDifference | None = None
    """Difference of the output texts, if both traces have one."""

    @property
    def is_zero(self) -> bool:
        """Whether tokens, arrays, maps and predictions are all equal."""
        values = [*self.arrays.values(), *(matrix.values for matrix in self.maps.values())]
        same = self.one.tokens == self.other.tokens and not self.only_one and not self.only_other
        return (
            same
            and not any(array.any() for array in values)  # NaN counts as a difference
            and self.one.prediction == self.other.prediction
            and (self.written is None or self.written.is_zero)
            and (self.one.written is None) == (self.other.written is None)
        )

    @property
    def tokens(self) -> tuple[str, ...]:
        """Token of each row; two tokens with a bar between them if one replaces the other."""
        return tuple(self._token(row) for row in self.rows)

    def array(self, name: str) -> Array:
        """Return the difference of one array, (rows, units).

        Raises:
            UsageError: If not both traces have an array of that name with equal units.
        """
        if name not in self.arrays:
            choices = f"; they are {', '.join(map(repr, self.arrays)) or 'none'}"
            raise UsageError(f"both traces have no array {name!r} in common{nearest(name, self.arrays) or choices}")
        return self.arrays[name]

    def sizes(self, name: str) -> NDArray[np.float64]:
        """Return the mean absolute difference over the units of an array at each row, (rows,); NaN if unaligned."""
        return np.asarray(np.abs(self.array(name)).mean(axis=1, dtype=np.float64))

    def largest(self, name: str) -> int | None:
        """Return the row with the largest mean absolute difference of an array; None if there is no difference."""
        sizes = np.nan_to_num(self.sizes(name))
        return int(sizes.argmax()) if sizes.any() else None

    def trace(self) -> Trace:
        """Return the differences as a trace, for its views and files; rows without a partner are NaN."""
        return Trace(
            self.tokens,
            {f"{name} difference": array for name, array in self.arrays.items()},
            {"one": dict(self.one.prediction), "other": dict(self.other.prediction)},
            f"{self.other.model or 'other'} minus {self.one.model or 'one'}",
            maps={f"{name} difference": matrix for name, matrix in self.maps.items()},
            written=None if self.written is None else self.written.trace(),
        )

    def to_columns(self) -> Columns:
        """Return one row per aligned token: the tokens, their positions, and the mean size of each difference."""
        return {
            "token": list(self.tokens),
            "kind": [row.kind for row in self.rows],
            "one": [row.one for row in self.rows],
            "other": [row.other for row in self.rows],
            **{name: self.sizes(name) for name in self.arrays},
        }

    def _drawing(self) -> RenderableType:
        return self

    def _traces(self) -> Mapping[str, Trace]:
        return {"difference": self.trace()}

    def record(self) -> dict[str, Any]:
        """Return everything as JSON values; a number that is not finite is None."""
        return {
            "models": [self.one.model, self.other.model],
            "rows": [{**row._asdict(), "token": self._token(row)} for row in self.rows],
            "arrays": {name: _plain(array) for name, array in self.arrays.items()},
            "maps": {
                name: {"rows": list(matrix.rows), "columns": list(matrix.columns), "values": _plain(matrix.values)}
                for name, matrix in self.maps.items()
            },
            "only_one": list(self.only_one),
            "only_other": list(self.only_other),
            "probabilities": {name: list(pair) for name, pair in self.probabilities.items()},
            "predictions": [dict(self.one.prediction), dict(self.other.prediction)],
            "is_zero": self.is_zero,
            "written": None if self.written is None else self.written.record(),
        }

    def _token(self, row: AlignedToken) -> str:
        sides = [] if row.one is None else [self.one.tokens[row.one]]
        sides += [] if row.other is None else [self.other.tokens[row.other]]
        return "|".join(dict.fromkeys(sides))

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{count} {kind}" for kind in _SIGNS if (count := sum(row.kind == kind for row in self.rows))
        )
        lines = [f"TraceDifference of {len(self.rows)} tokens ({counts}){', all zero' if self.is_zero else ''}"]
        for name in self.arrays:
            place = self.largest(name)
            if place is not None:
                where = f"at {visible(self.tokens[place])!r} (row {place})"
                lines.append(f"  {name}: largest mean difference {self.sizes(name)[place]:.3g} {where}")
        return "\n".join(lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        brush, width = Brush.of(console), options.max_width
        for title, trace in (("one", self.one), ("other", self.other)):
            yield _line(brush, f"{title:5}  {trace.model}", "bold")
        yield from self._prediction_lines(brush)
        if self.is_zero:
            yield _line(brush, "no difference")
            return
        for place in dict.fromkeys(name.rpartition(" / ")[0] for name in self.arrays):
            yield Text()
            yield from self._place_lines(place, brush, width)
        for title, names in (("only in one", self.only_one), ("only in other", self.only_other)):
            if names:
                yield _line(brush, f"{title}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}", "dim")
        if self.written is not None:
            yield Text()
            yield _line(brush, "written", "bold")
            yield self.written

    def _prediction_lines(self, brush: Brush) -> RenderResult:
        for key in dict.fromkeys((*self.one.prediction, *self.other.prediction)):
            values = [trace.prediction.get(key) for trace in (self.one, self.other)]
            if all(value is None or isinstance(value, str | int | float) for value in values):
                same = values[0] == values[1]
                yield _line(brush, f"{key}: {values[0]}" if same else f"{key}: {values[0]} | {values[1]}")
        for name, pair in list(self.probabilities.items())[:_MOST]:
            numbers = ["  -  " if value is None else f"{value:.3f}" for value in pair]
            change = "" if None in pair else f"  {(pair[1] or 0) - (pair[0] or 0):+.3f}"
            yield _line(brush, f"  {brush.fit(visible(name), _TOKEN)} {numbers[0]} | {numbers[1]}{change}")

    def _place_lines(self, place: str, brush: Brush, width: int) -> RenderResult:
        """Yield a table of one place: a row per token, a bar per quantity."""
        names = [name for name in self.arrays if name.rpartition(" / ")[0] == place]
        digits = len(str(len(self.rows)))
        token_width = min(_TOKEN, max(cell_len(visible(token)) for token in self.tokens))
        margin = digits + 4 + token_width
        fit = max(1, (width - margin) // (_BAR + _NUMBER))
        yield _line(brush, f"{place or 'all'}: mean difference of the units", "bold")
        for start in range(0, len(names), fit):
            part = names[start : start + fit]
            sizes = [self.sizes(name) for name in part]
            titles = "".join(brush.fit(name.rpartition(" / ")[2], _BAR + _NUMBER - 1) + " " for name in part)
            yield _line(brush, " " * margin + titles.rstrip(), "dim")
            for index, row in enumerate(self.rows):
                token = brush.token(self._token(row), token_width)
                line = f"{index + 1:>{digits}} {_SIGNS[row.kind]} {token} "
                yield _line(brush, line + "".join(_bar(values, index, brush) for values in sizes))


def compare_traces(one: Trace, other: Trace) -> TraceDifference:
    """Subtract a trace from another, aligned by token.

    Equal tokens stand side by side, in the longest common order. Tokens between them are `replaced` if as many stand in
    the other trace, and otherwise belong to one of the two only. Arrays and maps of equal name are subtracted if their
    units are equal in number.

    Args:
        one: The first trace.
        other: The trace from which the first is subtracted: of another model, checkpoint or text.
    """
    rows = tuple(_aligned(one.tokens, other.tokens))
    arrays, maps = _arrays(one, other, rows), _maps(one, other)
    common = {*arrays, *maps}
    both = one.written is not None and other.written is not None
    return TraceDifference(
        one,
        other,
        rows,
        MappingProxyType(arrays),
        MappingProxyType(maps),
        tuple(name for name in (*one.arrays, *one.maps) if name not in common),
        tuple(name for name in (*other.arrays, *other.maps) if name not in common),
        MappingProxyType(_probabilities(one, other)),
        compare_traces(one.written, other.written) if both and one.written and other.written else None,
    )


def _aligned(one: tuple[str, ...], other: tuple[str, ...]) -> list[AlignedToken]:
    rows: list[AlignedToken] = []
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if b - a == d - c:
            kind: Kind = "equal" if tag == "equal" else "replaced"
            rows += [AlignedToken(kind, i, j) for i, j in zip(range(a, b), range(c, d), strict=True)]
        else:
            rows += [AlignedToken("only one", i, None) for i in range(a, b)]
            rows += [AlignedToken("only other", None, j) for j in range(c, d)]
    return rows


def _pairs(rows: tuple[AlignedToken, ...]) -> tuple[list[int], list[int], list[int]]:
    """Return rows with two tokens, and their positions in both traces."""
    places = [place for place, row in enumerate(rows) if row.one is not None and row.other is not None]
    return places, [rows[place].one or 0 for place in places], [rows[place].other or 0 for place in places]


def _arrays(one: Trace, other: Trace, rows: tuple[AlignedToken, ...]) -> dict[str, Array]:
    places, first, second = _pairs(rows)
    arrays = {}
    for name, values in _with_surprise(one).items():
        theirs = _with_surprise(other).get(name)
        if theirs is not None and theirs.shape[1] == values.shape[1]:
            difference = np.full((len(rows), values.shape[1]), np.nan, np.float32)
            difference[places] = theirs[second] - values[first]
            difference.flags.writeable = False
            arrays[name] = difference
    return arrays


def _with_surprise(trace: Trace) -> dict[str, Array]:
    """Return the arrays, and the surprise of each token in nats as one more."""
    surprise = trace.prediction.get("surprise")
    if surprise is None or "prediction / surprise" in trace.arrays:
        return dict(trace.arrays)
    column = np.array([np.nan if value is None else value for value in surprise], np.float32)[:, np.newaxis]
    return {**trace.arrays, "prediction / surprise": column}


def _maps(one: Trace, other: Trace) -> dict[str, Map]:
    maps = {}
    for name, mine in one.maps.items():
        theirs = other.maps.get(name)
        if theirs is None:
            continue
        rows, columns = (_aligned(getattr(mine, side), getattr(theirs, side)) for side in ("rows", "columns"))
        (_, up, down), (_, left, right) = _pairs(tuple(rows)), _pairs(tuple(columns))
        if up and left:
            difference = theirs.values[np.ix_(down, right)] - mine.values[np.ix_(up, left)]
            maps[name] = Map(difference, tuple(mine.rows[i] for i in up), tuple(mine.columns[i] for i in left))
    return maps


def _probabilities(one: Trace, other: Trace) -> dict[str, tuple[float | None, float | None]]:
    tables = [trace.prediction.get("probabilities") for trace in (one, other)]
    first, second = (table if isinstance(table, dict) else {} for table in tables)
    pairs = {name: (first.get(name), second.get(name)) for name in (*first, *second)}
    order = sorted(pairs, key=lambda name: -abs((pairs[name][1] or 0.0) - (pairs[name][0] or 0.0)))
    return {name: pairs[name] for name in order}


def _bar(values: NDArray[np.float64], index: int, brush: Brush) -> str:
    value = float(values[index])
    if not np.isfinite(value):
        return " " * (_BAR + _NUMBER)
    top = float(np.nanmax(values)) or 1.0
    return f"{brush.bar(value / top, _BAR)} {value:<{_NUMBER - 1}.3g}"


def _line(brush: Brush, text: str, style: str = "") -> Text:
    return Text(brush.plain(text.rstrip()), style=style, no_wrap=True, overflow="crop")


def _plain(values: Array) -> list[list[float | None]]:
    return [[value if np.isfinite(value) else None for value in row] for row in values.tolist()]
