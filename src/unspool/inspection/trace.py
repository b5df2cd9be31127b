"""What a network did with one input: every recorded number under its name, token by token."""

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
_JOINERS = "\u200d\u200c"  # they hold an emoji or a ligature together; every other invisible sign is spelled out


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The tokens of one input, and what the network computed at each of them.

    Args:
        tokens: What the network read, in reading order.
        arrays: Named numbers, each (tokens, units) or (tokens,); kept as float32 copies that can't be written to. A
            name says the place, then ` / `, then the quantity: `layer 1 forward / forget`. Those of a backward layer
            stand in the order of the tokens too. The quantities `h` (or `hidden`, `state`) and `c` (or `cell`) are the
            states after the token.
        prediction: What came out, as JSON knows it. The views know `label` or `labels`; `probabilities` (name to
            number); and, one per token, `tags`, `tag_probabilities` and `surprise` (nats). Anything else is shown as
            it is.
        model: One line that says which network it was.
        notes: Whatever else a reader should know. Numbers that are not finite are noted here by themselves.
        maps: Named matrices between two lists of tokens, such as attention from the units written to the units read.
            Views that show one show the first. They are named as arrays are, `decoder layer 1 / attention head 2`.
        written: The same of what the network wrote, token by token, where it wrote a text of its own. Its model stays
            empty, and all names of arrays and maps are different from those here.

    Raises:
        ShapeError: If an array, or a list of tags, does not have one row for each token.
        UsageError: If a name, a token or the prediction is not what it should be, or a name comes twice.
    """

    tokens: tuple[str, ...]
    arrays: Mapping[str, Array]
    prediction: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    notes: tuple[str, ...] = ()
    maps: Mapping[str, Map] = field(default_factory=dict)
    written: Trace | None = None

    def __post_init__(self) -> None:
        given: object = self.tokens
        tokens = tuple(self.tokens)
        if isinstance(given, str) or not all(isinstance(token, str) for token in tokens):
            raise UsageError(f"tokens are a sequence of strings, not {repr(given)[:80]}")
        if not tokens:
            raise UsageError("a trace needs at least one token, and there is none to look at")
        arrays = {_checked_name(name): _frozen(name, array, len(tokens)) for name, array in self.arrays.items()}
        maps = {_checked_name(name): _checked_map(name, given) for name, given in self.maps.items()}
        _refuse_twice([*arrays, *maps, *(() if self.written is None else self.written.names)])
        numbers = arrays | {name: given.values for name, given in maps.items()}
        said = [note for name, array in numbers.items() if (note := _not_finite(name, array))]
        notes = dict.fromkeys([*self.notes, *said])
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
        """Of all arrays and maps, those of what was written too."""
        return (*self.arrays, *self.maps, *(() if self.written is None else self.written.names))

    @property
    def places(self) -> tuple[str, ...]:
        """Where the arrays come from, in order: `layer 1 forward`, `layer 1 backward`, ..."""
        return tuple(dict.fromkeys(_split(name)[0] for name in self.arrays))

    def at(self, place: str) -> dict[str, Array]:
        """The arrays of one place by quantity: `forget`, `input`, ...; empty if there is no such place."""
        return {_split(name)[1]: array for name, array in self.arrays.items() if _split(name)[0] == place}

    def array(self, name: str) -> Array:
        """One array, (tokens, units).

        Raises:
            UsageError: If there is no array of that name; the message names the nearest.
        """
        if name not in self.arrays:
            known = "; it has " + ", ".join(map(repr, self.arrays)) if self.arrays else "; it has none"
            raise UsageError(f"this trace has no array {name!r}{nearest(name, self.arrays) or known}")
        return self.arrays[name]

    def map(self, name: str) -> Map:
        """One map.

        Raises:
            UsageError: If there is no map of that name; the message names the nearest.
        """
        if name not in self.maps:
            known = "; it has " + ", ".join(map(repr, self.maps)) if self.maps else "; it has none"
            raise UsageError(f"this trace has no map {name!r}{nearest(name, self.maps) or known}")
        return self.maps[name]

    def summary(self, name: str) -> Array:
        """The mean over all units of one array at each token, (tokens,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.array(name).mean(axis=1, dtype=np.float64), dtype=np.float32)

    def series(self, name: str, unit: int) -> Array:
        """One unit of one array over the tokens, (tokens,); units count from 0 here, as in any array."""
        array = self.array(name)
        if not -array.shape[1] <= unit < array.shape[1]:
            raise UsageError(f"{name!r} has units 0 to {array.shape[1] - 1}, so there is no unit {unit}")
        return array[:, unit]

    def select(self, pattern: str) -> Trace:
        """The same trace with some of its arrays and maps, those of what was written too.

        Args:
            pattern: A part of the name (`forget`), or with `*` and `?` the whole of it (`layer 1 * / forget`).

        Raises:
            UsageError: If no name fits; the message lists the names there are.
        """
        chosen = self._chosen(pattern)
        if not chosen.names:
            raise UsageError(f"no array fits {pattern!r}; there are {', '.join(map(repr, self.names)) or 'none'}")
        return chosen

    def maps_like(self, pattern: str) -> list[str]:
        """The names of the maps that fit a pattern, read as by `select`.

        Raises:
            UsageError: If no name fits; the message lists the names there are.
        """
        found = [name for name in self.maps if _fits(name, pattern)]
        if not found:
            raise UsageError(f"no map fits {pattern!r}; there are {', '.join(map(repr, self.maps)) or 'none'}")
        return found

    def _chosen(self, pattern: str) -> Trace:
        return replace(
            self,
            arrays={name: array for name, array in self.arrays.items() if _fits(name, pattern)},
            maps={name: given for name, given in self.maps.items() if _fits(name, pattern)},
            written=None if self.written is None else self.written._chosen(pattern),
        )

    def __eq__(self, other: object) -> bool:
        """Whether everything is the same, the numbers to the bit."""
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
        for name, given in self.maps.items():
            lines.append(f"  {name}: {len(given.rows)} rows by {len(given.columns)} columns")
        if self.prediction:
            lines.append(f"  prediction: {', '.join(self.prediction)}")
        lines += [f"  note: {note}" for note in self.notes]
        if self.written is not None:
            lines += [f"  written: {line}" for line in repr(self.written).splitlines()[:1]]
            lines += [f"  {line}" for line in repr(self.written).splitlines()[1:]]
        return "\n".join(lines)


def visible(token: str) -> str:
    """A token as a person can see it and a terminal can take it: blanks as signs, control characters spelled out."""
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
        raise UsageError(f"an array is named by a line of printable text such as 'layer 1 / forget', not {name!r}")
    return name


def _checked_map(name: str, given: object) -> Map:
    if not isinstance(given, Map):
        raise UsageError(f"{name!r} is a {type(given).__name__}; a trace takes maps as Map(values, rows, columns)")
    return given


def _refuse_twice(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"every array and map has a name of its own, but {twice[0]!r} came twice")


def _frozen(name: str, values: Any, tokens: int) -> Array:
    array = np.array(values, dtype=np.float32, order="C")
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[0] != tokens or array.shape[1] == 0:
        raise ShapeError(f"{name!r} came as {np.shape(values)}; {tokens} tokens need ({tokens}, units) or ({tokens},)")
    array[np.isnan(array)] = np.nan  # one NaN, so that files give back equal bits
    array.flags.writeable = False
    return array


def _not_finite(name: str, array: Array) -> str | None:
    count = array.size - int(np.isfinite(array).sum())
    return f"{name}: {count} of {array.size} values are not finite" if count else None


def _plain(value: Any, where: str) -> Any:
    """A value as JSON knows it, copied; a number that is not finite becomes None."""
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
