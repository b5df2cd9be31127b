"""Trace of a network on one input: named arrays of gates, states and attention, token by token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError, UsageError
from unspool.inspection.maps import Map
from unspool.settings import nearest

__all__ = ["Array", "Trace", "visible"]

Array = NDArray[np.float32]

_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍", " ": "␣", "\u00a0": "⍽", "": "∅"}
_JOINERS = "\u200d\u200c"  # they join an emoji or a ligature; all other invisible characters are escaped


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The tokens of one input, and named values that the network computed at each token.

    Args:
        tokens: Input tokens, in reading order.
        arrays: Named arrays, each (tokens, units) or (tokens,), stored as read-only float32 copies. A name is the
            place, ` / `, and the quantity: `layer 1 forward / forget`. Arrays of a backward layer are in token order
            too. The quantities `h` (or `hidden`, `state`) and `c` (or `cell`) are the states after the token.
        prediction: The output as JSON values. Views draw `label` or `labels`; `probabilities` (name to number); and,
            one per token, `tags`, `tag_probabilities` and `surprise` (nats). They print other entries as text.
        model: One line that describes the network.
        notes: Remarks for the reader. The trace adds one for each array with non-finite values.
        maps: Named matrices between two lists of tokens, such as attention from output units to input units, with names
            like those of arrays: `decoder layer 1 / attention head 2`. Views with room for one map draw the first.
        written: Trace of the output text, for a network that generates text. Its `model` is empty, and its names differ
            from all names here.

    Raises:
        ShapeError: If an array, or a list of tags, does not have one row per token.
        UsageError: If a name, a token or the prediction has the wrong type, or a name occurs twice.
    """

    tokens: tuple[str, ...]
    arrays: Mapping[str, Array]
    prediction: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    notes: tuple[str, ...] = ()
    maps: Mapping[str, Map] = field(default_factory=dict)
    written: Trace | None = None

    def __post_init__(self) -> None:
        argument: object = self.tokens
        tokens = tuple(self.tokens)
        if isinstance(argument, str) or not all(isinstance(token, str) for token in tokens):
            raise UsageError(f"tokens are a sequence of strings, not {repr(argument)[:80]}")
        if not tokens:
            raise UsageError("a trace needs at least one token, and there is none")
        arrays = {_checked_name(name): _frozen(name, array, len(tokens)) for name, array in self.arrays.items()}
        maps = {_checked_name(name): _checked_map(name, matrix) for name, matrix in self.maps.items()}
        _refuse_twice([*arrays, *maps, *(() if self.written is None else self.written.names)])
        numbers = arrays | {name: matrix.values for name, matrix in maps.items()}
        warnings = [note for name, array in numbers.items() if (note := _not_finite(name, array))]
        notes = dict.fromkeys([*self.notes, *warnings])
        prediction = _plain(dict(self.prediction), "prediction")
        for key in ("tags", "tag_probabilities", "surprise"):
            if not isinstance(prediction.get(key, []), list):
                raise UsageError(f"prediction[{key!r}] is a list with one value per token, not {prediction[key]!r}")
            if key in prediction and len(prediction[key]) != len(tokens):
                raise ShapeError(f"prediction[{key!r}] has {len(prediction[key])} values for {len(tokens)} tokens")
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "arrays", MappingProxyType(arrays))
        object.__setattr__(self, "maps", MappingProxyType(maps))
        object.__setattr__(self, "prediction", MappingProxyType(prediction))
        object.__setattr__(self, "notes", tuple(notes))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all arrays and maps, those of `written` included."""
        return (*self.arrays, *self.maps, *(() if self.written is None else self.written.names))

    @property
    def places(self) -> tuple[str, ...]:
        """Places of the arrays, in order: `layer 1 forward`, `layer 1 backward`, ..."""
        return tuple(dict.fromkeys(_split(name)[0] for name in self.arrays))

    def at(self, place: str) -> dict[str, Array]:
        """Return the arrays of one place by quantity: `forget`, `input`, ...; empty if there is no such place."""
        return {_split(name)[1]: array for name, array in self.arrays.items() if _split(name)[0] == place}

    def array(self, name: str) -> Array:
        """Return one array, (tokens, units).

        Raises:
            UsageError: If there is no array of that name; the message suggests the nearest.
        """
        if name not in self.arrays:
            choices = "; it has " + ", ".join(map(repr, self.arrays)) if self.arrays else "; it has none"
            raise UsageError(f"this trace has no array {name!r}{nearest(name, self.arrays) or choices}")
        return self.arrays[name]

    def map(self, name: str) -> Map:
        """Return one map.

        Raises:
            UsageError: If there is no map of that name; the message suggests the nearest.
        """
        if name not in self.maps:
            choices = "; it has " + ", ".join(map(repr, self.maps)) if self.maps else "; it has none"
            raise UsageError(f"this trace has no map {name!r}{nearest(name, self.maps) or choices}")
        return self.maps[name]

    def summary(self, name: str) -> Array:
        """Return the mean over the units of one array at each token, (tokens,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.array(name).mean(axis=1, dtype=np.float64), dtype=np.float32)

    def series(self, name: str, unit: int) -> Array:
        """Return one unit of one array over the tokens, (tokens,); units count from 0.

        Raises:
            UsageError: If there is no such array or unit.
        """
        array = self.array(name)
        if not -array.shape[1] <= unit < array.shape[1]:
            raise UsageError(f"{name!r} has units 0 to {array.shape[1] - 1}, so there is no unit {unit}")
        return array[:, unit]

    def select(self, pattern: str) -> Trace:
        """Return the trace with only those arrays and maps, also of `written`, whose names match a pattern.

        Args:
            pattern: A part of the name (`forget`), or, with `*` and `?`, the whole name (`layer 1 * / forget`).

        Raises:
            UsageError: If no name matches; the message lists all names.
        """
        selection = self._selection(pattern)
        if not selection.names:
            raise UsageError(f"no array matches {pattern!r}; there are {', '.join(map(repr, self.names)) or 'none'}")
        return selection

    def maps_like(self, pattern: str) -> list[str]:
        """Return the names of the maps that match a pattern of `select`.

        Raises:
            UsageError: If no name matches; the message lists all names.
        """
        names = [name for name in self.maps if _fits(name, pattern)]
        if not names:
            raise UsageError(f"no map matches {pattern!r}; there are {', '.join(map(repr, self.maps)) or 'none'}")
        return names

    def _selection(self, pattern: str) -> Trace:
        return replace(
            self,
            arrays={name: array for name, array in self.arrays.items() if _fits(name, pattern)},
            maps={name: matrix for name, matrix in self.maps.items() if _fits(name, pattern)},
            written=None if self.written is None else self.written._selection(pattern),
        )

    def __eq__(self, other: object) -> bool:
        """Return whether both traces are equal, arrays bit by bit."""
        if not isinstance(other, Trace):
            return NotImplemented
        same = (self.tokens, self.model, self.notes) == (other.tokens, other.model, other.notes)
        if not same or self.prediction != other.prediction or self.written != other.written:
            return False
        if list(self.arrays) != list(other.arrays) or list(self.maps.items()) != list(other.maps.items()):
            return False
        return all(
            a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in zip(self.arrays.values(), other.arrays.values(), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        text = " ".join(map(visible, self.tokens))
        lines = [f"Trace of {len(self.tokens)} tokens: {text if len(text) <= 70 else text[:69] + '…'}"]
        if self.model:
            lines.append(f"  model: {self.model}")
        for place in self.places:
            parts = (f"{quantity or place} ({array.shape[1]})" for quantity, array in self.at(place).items())
            lines.append(f"  {place}: {', '.join(parts)}")
        for name, matrix in self.maps.items():
            lines.append(f"  {name}: {len(matrix.rows)} rows by {len(matrix.columns)} columns")
        if self.prediction:
            lines.append(f"  prediction: {', '.join(self.prediction)}")
        lines += [f"  note: {note}" for note in self.notes]
        if self.written is not None:
            lines += [f"  written: {line}" for line in repr(self.written).splitlines()[:1]]
            lines += [f"  {line}" for line in repr(self.written).splitlines()[1:]]
        return "\n".join(lines)


def visible(token: str) -> str:
    """Return a token in printable form: white space as symbols, control characters escaped."""
    if token in _SIGNS:
        return _SIGNS[token]
    return "".join(
        _SIGNS.get(sign, sign)
        if sign in _JOINERS or sign.isprintable() or sign in _SIGNS
        else sign.encode("unicode_escape").decode("ascii")
        for sign in token
    )


def _split(name: str) -> tuple[str, str]:
    place, _, quantity = name.rpartition(" / ")
    return place or quantity, quantity


def _fits(name: str, pattern: str) -> bool:
    wild = any(sign in pattern for sign in "*?")
    return fnmatchcase(name, pattern.replace("[", "[[]")) if wild else pattern in name


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise UsageError(f"the name of an array is a line of printable text such as 'layer 1 / forget', not {name!r}")
    return name


def _checked_map(name: str, matrix: object) -> Map:
    if not isinstance(matrix, Map):
        raise UsageError(f"{name!r} is a {type(matrix).__name__}; a trace takes maps as Map(values, rows, columns)")
    return matrix


def _refuse_twice(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"every array and map needs a name of its own, but {twice[0]!r} occurs twice")


def _frozen(name: str, values: Any, tokens: int) -> Array:
    array = np.array(values, dtype=np.float32, order="C")
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[0] != tokens or array.shape[1] == 0:
        raise ShapeError(
            f"{name!r} has shape {np.shape(values)}; {tokens} tokens need ({tokens}, units) or ({tokens},)"
        )
    array[np.isnan(array)] = np.nan  # a single NaN pattern, so that files read back equal bits
    array.flags.writeable = False
    return array


def _not_finite(name: str, array: Array) -> str | None:
    count = array.size - int(np.isfinite(array).sum())
    return f"{name}: {count} of {array.size} values are not finite" if count else None


def _plain(value: Any, where: str) -> Any:
    """Convert a value to plain JSON values; a non-finite number becomes None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(inner, f"{where}[{key!r}]") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    raise UsageError(f"{where} is a {type(value).__name__}; a trace takes text, numbers, lists and dicts keyed by text")
