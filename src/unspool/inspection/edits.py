"""Edits of a run: a change of a gate, a state, an attention row or a token, as a value, a line of text, or JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from unspool.errors import UsageError
from unspool.settings import nearest

__all__ = ["Action", "Edit", "Edits", "read_edits"]

Action = Literal["zero", "clamp", "scale", "swap", "copy", "replace"]
_FORM = "expected PLACE / QUANTITY[UNITS] = ACTION @ TOKENS, such as 'layer 1 / forget[3,7] = 0 @ 2'"
_ACTIONS = "zero, a number, scale NUMBER, swap, or copy 'TEXT'"
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_LINE = re.compile(rf"(?P<left>[^=@'\"]+)=(?P<right>(?:{_QUOTED}|[^@'\"])+)(?:@(?P<where>[^@'\"]*))?")
_LEFT = re.compile(r"(?P<name>.+?)(?: (?:slot|head) (?P<row>[^\s\[\]]+))?(?:\[(?P<units>[^\[\]]*)\])?")
_COPY = re.compile(rf"copy (?P<text>{_QUOTED})(?: step (?P<step>\S+))?")
_SCALARS = ("clamp", "scale")
_LARGEST = 1 << 20  # positions of a range


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change of a run: what changes, at which tokens, and how.

    In Python all positions count from 0. A line of text and JSON count from 1, as the terminal and files do.

    Args:
        place: Place in the trace, such as `layer 1 forward`; `*` and `?` match several. Empty for a token, and for
            attention without a layer.
        quantity: Name of a gate, of another value that the cell records, or of a part of its state: `forget`, `h`.
            `state` means all parts of the state. `attention` and `self-attention` mean attention weights, with a row
            for each token that looks. `token` means the input token.
        action: `zero`, `clamp` to `number`, `scale` by `number`, `swap` two units, `copy` from the trace of `text`, or
            `replace` the token by `text`.
        units: Units that change; all if None. Of attention: the tokens that are looked at.
        tokens: First and last token, both included; None for the last: to the end. All tokens if None. The value
            changes after the network read the token.
        row: Memory slot, or head, of a value that has several; all if None.
        number: Number of `clamp` and `scale`.
        text: Text of `copy`, or the new token.
        step: Token of `text` to copy from; the token that is edited if None.

    Raises:
        UsageError: If the fields do not fit together.
    """

    place: str = ""
    quantity: str
    action: Action
    units: tuple[int, ...] | None = None
    tokens: tuple[int, int | None] | None = None
    row: int | None = None
    number: float | None = None
    text: str | None = None
    step: int | None = None

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise UsageError(f"action {self.action!r}: expected one of {', '.join(get_args(Action))}")
        if not self.quantity.strip():
            raise UsageError(f"an edit needs a quantity, and {self.quantity!r} came; {_FORM}")
        if (self.action == "replace") != (self.quantity == "token"):
            raise UsageError(f"{self.quantity} with {self.action}: a token is replaced, and nothing else is")
        if self.action in _SCALARS and (self.number is None or not math.isfinite(self.number)):
            raise UsageError(f"{self.action} {self.number}: expected a finite number")
        if self.action in ("copy", "replace") and not self.text:
            raise UsageError(f"{self.action} needs a text, and {self.text!r} came")
        if self.action == "swap" and (self.units is None or len(set(self.units)) != 2):
            raise UsageError(f"swap exchanges two units, as in 'layer 1 / h[3,7] = swap'; units {self._units()!r} came")
        if self.action == "replace" and (self.tokens is None or self.tokens[0] != self.tokens[1]):
            raise UsageError("a new token needs its place, as in token = 'flight' @ 2")
        numbers = [*(self.units or ()), *(self.tokens or ()), self.row, self.step]
        if any(number is not None and number < 0 for number in numbers) or self.units == ():
            raise UsageError("units, tokens, slots and steps of an edit count from 0 in Python, from 1 in text")

    @classmethod
    def parse(cls, line: str) -> Edit:
        """Parse a line of text, such as `layer 1 / forget[3,7] = 0 @ 2`.

        Raises:
            UsageError: If the line has another form; the message says what was expected.
        """
        match = _LINE.fullmatch(line.strip())
        left = _LEFT.fullmatch(match["left"].strip()) if match else None
        if match is None or left is None:
            raise UsageError(f"the edit {line!r} has another form; {_FORM}")
        place, _, quantity = left["name"].rpartition(" / ")
        try:
            return cls(
                place=place.strip(),
                quantity=quantity.strip(),
                units=_units_of(left["units"]),
                row=_position(left["row"], "slot or head"),
                tokens=_tokens_of(match["where"]),
                **_action_of(quantity.strip(), match["right"].strip()),
            )
        except UsageError as error:
            raise UsageError(f"the edit {line!r}: {error.message}") from None

    @classmethod
    def of(cls, value: Edit | str | Mapping[str, Any]) -> Edit:
        """Return an edit, parsed from a line of text or from `record()` if it is none yet.

        Raises:
            UsageError: If the value is no edit.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, Mapping):
            return _from_record(value)
        raise UsageError(f"an edit is an Edit or a line of text, and {type(value).__name__} came; {_FORM}")

    def record(self) -> dict[str, Any]:
        """Return plain JSON values, without empty fields; units, tokens, rows and steps count from 1."""
        tokens = None
        if self.tokens is not None:
            first, last = self.tokens
            tokens = [first + 1, None if last is None else last + 1]
        record = {
            "place": self.place or None,
            "quantity": self.quantity,
            "row": _from_one(self.row),
            "units": None if self.units is None else [unit + 1 for unit in self.units],
            "tokens": tokens,
            "action": self.action,
            "number": self.number,
            "text": self.text,
            "step": _from_one(self.step),
        }
        return {name: value for name, value in record.items() if value is not None}

    def at(self, token: int) -> bool:
        """Return whether the edit changes the value at a token, from 0."""
        if self.tokens is None:
            return True
        first, last = self.tokens
        return first <= token and (last is None or token <= last)

    def fits(self, place: str) -> bool:
        """Return whether the edit's place is, or matches, a place of a trace."""
        wild = any(sign in self.place for sign in "*?")
        return fnmatchcase(place, self.place.replace("[", "[[]")) if wild else place == self.place

    def __str__(self) -> str:
        name = f"{self.place} / {self.quantity}" if self.place else self.quantity
        if self.row is not None:
            name += f" {'head' if 'attention' in self.quantity else 'slot'} {self.row + 1}"
        if self.units is not None:
            name += f"[{self._units()}]"
        return f"{name} = {self._action()}{self._where()}"

    def _units(self) -> str:
        return ",".join(str(unit + 1) for unit in self.units or ())

    def _action(self) -> str:
        if self.action == "clamp":
            return f"{self.number:.15g}"
        if self.action == "scale":
            return f"scale {self.number:.15g}"
        if self.action == "replace":
            return _quoted(self.text or "")
        if self.action == "copy":
            return f"copy {_quoted(self.text or '')}" + ("" if self.step is None else f" step {self.step + 1}")
        return self.action

    def _where(self) -> str:
        if self.tokens is None:
            return ""
        first, last = self.tokens
        if first == last:
            return f" @ {first + 1}"
        return f" @ {first + 1}-" + ("" if last is None else str(last + 1))


Edits = Iterable[Edit | str | Mapping[str, Any]]
"""Edits, each as a value, a line of text, or the JSON values of `Edit.record`."""


def read_edits(edits: Edits | Edit | str) -> tuple[Edit, ...]:
    """Return edits as values.

    Raises:
        UsageError: If one of them is no edit.
    """
    return tuple(map(Edit.of, [edits] if isinstance(edits, str | Edit) else edits))


def _from_record(record: Mapping[str, Any]) -> Edit:
    fields = dict(record)
    names = ("place", "quantity", "row", "units", "tokens", "action", "number", "text", "step")
    for name in fields:
        if name not in names:
            raise UsageError(f"an edit has no field {name!r}{nearest(name, names)}; it has {', '.join(names)}")
    for name, kinds, form in (
        ("place", str, "a text"),
        ("quantity", str, "a text"),
        ("action", str, "a text"),
        ("text", str, "a text"),
        ("number", (int, float), "a number"),
        ("row", int, "a whole number from 1"),
        ("step", int, "a whole number from 1"),
    ):
        value = fields.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise UsageError(f"{name} of an edit is {form}, and {value!r} came")
    if "quantity" not in fields or "action" not in fields:
        raise UsageError(f"an edit needs a quantity and an action, and {dict(record)!r} came")
    units, tokens = fields.pop("units", None), fields.pop("tokens", None)
    if units is not None:
        units = tuple(unit - 1 for unit in _whole_numbers(units, "units"))
    if tokens is not None:
        if not isinstance(tokens, list | tuple) or len(tokens) != 2:
            raise UsageError(f"tokens of an edit are the first and the last, and {tokens!r} came")
        first, last = tokens[0], tokens[1]
        _whole_numbers([first, *([] if last is None else [last])], "tokens")
        tokens = (first - 1, None if last is None else last - 1)
    places = {name: fields.pop(name) - 1 for name in ("row", "step") if fields.get(name) is not None}
    fields = {name: value for name, value in fields.items() if value is not None}
    return Edit(**fields, **places, units=units, tokens=tokens)


def _whole_numbers(values: Any, name: str) -> list[int]:
    if not isinstance(values, list | tuple) or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise UsageError(f"{name} of an edit are whole numbers from 1, and {values!r} came")
    return list(values)


def _action_of(quantity: str, text: str) -> dict[str, Any]:
    if quantity == "token":
        if not re.fullmatch(_QUOTED, text):
            raise UsageError(f"{text!r} came; expected the new token in quotes, as in token = 'flight' @ 2")
        return {"action": "replace", "text": _unquoted(text)}
    if text in ("zero", "swap"):
        return {"action": text}
    if copy := _COPY.fullmatch(text):
        return {"action": "copy", "text": _unquoted(copy["text"]), "step": _position(copy["step"], "step")}
    verb, _, number = text.rpartition(" ")
    if verb in ("", "clamp", "scale"):
        try:
            return {"action": verb or "clamp", "number": float(number)}
        except ValueError:
            pass
    raise UsageError(f"{text!r} is no action; expected {_ACTIONS}")


def _units_of(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    units: list[int] = []
    for part in text.split(","):
        first, last = _range_of(part, "units")
        units += range(first, (first if last is None else last) + 1)
    return tuple(units)


def _tokens_of(text: str | None) -> tuple[int, int | None] | None:
    if text is None or text.strip() == "all":
        return None
    if text.strip().endswith("-"):
        return _range_of(text.strip()[:-1], "tokens")[0], None
    return _range_of(text, "tokens")


def _range_of(text: str, what: str) -> tuple[int, int | None]:
    """Parse a number, or a range such as `3-5`, counted from 1; return both ends from 0."""
    match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", text)
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else 0
    if match is None or first < 1 or not 0 <= last - first < _LARGEST:
        raise UsageError(f"{what} {text.strip()!r}: expected a number from 1, or a range such as 3-5")
    return first - 1, last - 1


def _position(text: str | None, what: str) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{what} {text!r}: expected a number from 1")
    return int(text) - 1


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + "'"


def _unquoted(text: str) -> str:
    signs = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: signs.get(match[1], match[1]), text[1:-1], flags=re.DOTALL)


def _from_one(position: int | None) -> int | None:
    return None if position is None else position + 1
