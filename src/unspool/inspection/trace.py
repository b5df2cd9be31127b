"""Trace of a network on one input: named arrays of gates, states and attention, token by token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from unspool.errors import ShapeError, UsageError
from unspool.inspection.maps import Map
from unspool.inspection.trace_checks import Array, checked_map, checked_name, frozen, not_finite, plain, refuse_twice
from unspool.settings import nearest

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from rich.console import Console

    from unspool.inspection.columns import Columns
    from unspool.inspection.shown_image import ShownImage

__all__ = ["Array", "Trace", "visible"]

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
        image: The image that the tokens are parts of; None if there is none.

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
    image: ShownImage | None = None

    def __post_init__(self) -> None:
        argument: object = self.tokens
        tokens = tuple(self.tokens)
        if isinstance(argument, str) or not all(isinstance(token, str) for token in tokens):
            raise UsageError(f"tokens are a sequence of strings, not {repr(argument)[:80]}")
        if not tokens:
            raise UsageError("a trace needs at least one token, and there is none")
        arrays = {checked_name(name): frozen(name, array, len(tokens)) for name, array in self.arrays.items()}
        maps = {checked_name(name): checked_map(name, matrix) for name, matrix in self.maps.items()}
        refuse_twice([*arrays, *maps, *(() if self.written is None else self.written.names)])
        numbers = arrays | {name: matrix.values for name, matrix in maps.items()}
        warnings = [note for name, array in numbers.items() if (note := not_finite(name, array))]
        notes = dict.fromkeys([*self.notes, *warnings])
        prediction = plain(dict(self.prediction), "prediction")
        if self.image is not None and len(self.image.boxes) != len(tokens):
            raise ShapeError(f"the image has {len(self.image.boxes)} boxes for {len(tokens)} tokens")
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

    def over(self, image: ShownImage) -> Trace:
        """Return the trace over an image whose parts are its tokens."""
        return replace(self, image=image)

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

    def show(
        self,
        console: Console | None = None,
        *,
        array: str | None = None,
        maps: str | None = None,
        memory: int | None = None,
    ) -> None:
        """Display the trace in a notebook, or print it in a terminal.

        Args:
            console: Console to print to, also from a notebook; if omitted, the notebook or the standard output.
            array: Array to draw unit by unit; in a notebook, the array that the page opens with.
            maps: Maps to draw in place of the first: a part of their names, or a whole name with `*` and `?`. In a
                notebook, the page opens with the first of them.
            memory: Step, from 0, after which to draw the contents of each memory.

        Raises:
            UsageError: If no map matches, or there is no such array, memory or step.
        """
        from unspool.inspection.notebook import opened_html, show_result
        from unspool.inspection.terminal import show

        show_result(
            self,
            console,
            lambda console: show(self, console, array=array, maps=maps, memory=memory),
            lambda: opened_html(self, array=array, maps=maps, memory=memory),
        )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a file .json, .npz, .csv, .html or .svg; see `write_trace`."""
        from unspool.inspection.files import write_trace

        return write_trace(self, path, overwrite=overwrite)

    def to_columns(self, array: str | None = None) -> Columns:
        """Return columns for a data frame with one row per token: `pandas.DataFrame(trace.to_columns())`.

        Args:
            array: Name of an array, whose units become the columns `unit 0`, `unit 1`, and so on. If omitted, there is
                one column for each array, its mean over the units, after the tags and the surprise if there are any.

        Raises:
            UsageError: If there is no array of that name.
        """
        from unspool.inspection.columns import means_columns, unit_columns

        return means_columns(self) if array is None else unit_columns(self, array)

    def to_long_columns(self) -> Columns:
        """Return columns for a data frame with one row per number of all arrays.

        The columns are `array`, `position`, `token`, `unit` and `value`; positions and units count from 0. `select`
        chooses arrays; the maps and the written text have columns of their own.
        """
        from unspool.inspection.columns import long_columns

        return long_columns(self.tokens, self.arrays)

    def _repr_html_(self) -> str:
        from unspool.inspection.notebook import trace_html

        return trace_html(self)

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
        if not same or self.prediction != other.prediction:
            return False
        if self.written != other.written or self.image != other.image:
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
