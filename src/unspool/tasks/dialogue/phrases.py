"""Small talk of a dialogue: yes, no, cancel, again and corrections; and a command with its arguments in words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from unspool.commands import Command
from unspool.commands.template import Place

__all__ = [
    "SPOKEN",
    "correction_of",
    "in_words",
    "is_again",
    "is_cancel",
    "is_no",
    "is_other",
    "is_yes",
    "title_of",
]

_YES = frozenset({
    "yes", "y", "yeah", "yep", "yup", "sure", "ok", "okay", "confirm", "confirmed", "correct", "right", "exactly",
    "absolutely", "definitely", "please", "do it", "go ahead", "do", "yes please", "yes do it", "please do",
    "of course", "go for it", "that's right", "sounds good",
})  # fmt: skip
_NO = frozenset({
    "no", "n", "nope", "nah", "don't", "do not", "no thanks", "no thank you", "better not", "not now", "wrong",
})  # fmt: skip
_CANCEL = frozenset({
    "cancel", "stop", "never mind", "nevermind", "forget it", "forget about it", "abort", "leave it", "cancel that",
    "stop it", "let it be", "drop it",
})  # fmt: skip
_AGAIN = frozenset({
    "again", "once more", "one more time", "do it again", "do that again", "repeat", "repeat that", "same again",
    "the same again", "and again", "again please", "another one", "one more",
})  # fmt: skip
_OTHER = frozenset({
    "the other one", "the other", "no the other one", "no the other", "not that one", "not this one", "wrong one",
    "i meant the other one", "no i meant the other one", "other one",
})  # fmt: skip
_CORRECTION = re.compile(
    r"(?:(?:no|nope|wait|sorry|actually|oops)\b[ ,]*)+"
    r"(?:(?:i meant|i mean|make it|make that|rather|it's|it is)\b[ ,]*)?"
    r"|(?:i meant|i mean|make it|make that|change it to|rather)\b[ ,]*",
    re.IGNORECASE,
)
_ROWS = 200  # sentences of a template that are tried for a phrase


SPOKEN: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "yes": tuple(sorted(_YES - {"y", "do", "right", "please"})),
    "no": tuple(sorted(_NO - {"n", "wrong"})),
    "cancel": tuple(sorted(_CANCEL)),
    "again": tuple(sorted(_AGAIN)),
    "other": tuple(sorted(_OTHER)),
})  # fmt: skip
"""Phrases of small talk by meaning, for a grammar of speech."""


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]", " ", text.casefold()).split())


def is_yes(text: str) -> bool:
    """Whether a text agrees."""
    return _plain(text) in _YES


def is_no(text: str) -> bool:
    """Whether a text declines."""
    return _plain(text) in _NO


def is_cancel(text: str) -> bool:
    """Whether a text drops what is under way."""
    return _plain(text).removeprefix("please ").removesuffix(" please") in _CANCEL


def is_again(text: str) -> bool:
    """Whether a text asks for the last command once more."""
    return _plain(text) in _AGAIN


def is_other(text: str) -> bool:
    """Whether a text asks for the other of two values."""
    return _plain(text).removesuffix(" please") in _OTHER


def correction_of(text: str) -> str | None:
    """Return what follows `no,`, `I meant` and the like; None if a text does not begin so, or says nothing else."""
    match = _CORRECTION.match(text.strip())
    rest = "" if match is None else text.strip()[match.end() :].strip(" ,.!")
    return rest or None


def title_of(command: Command) -> str:
    """Return a short phrase for a command: its first template with dots for values, as `set a timer for …`."""
    if not command.parsed_templates:
        return command.examples[0]
    row = next(iter(command.parsed_templates[0].choices()))
    return " ".join("".join("…" if isinstance(part, Place) else part.text for part in row).split())


def in_words(command: Command, arguments: Mapping[str, Any]) -> str:
    """Return a command with its arguments as a sentence of its templates, as `turn on the light in the kitchen`.

    The sentence that holds the most of the arguments, and nothing else, is chosen; the others follow in brackets.
    """
    given = {name: value for name, value in arguments.items() if value is not None and value != ""}
    best: tuple[Any, ...] = ()
    for template in command.parsed_templates:
        for row in itertools.islice(template.choices(), _ROWS):
            places = [part.slot for part in row if isinstance(part, Place)]
            if set(places) <= set(given) and (not best or len(places) > _places(best)):
                best = row
    spoken = {name: command.slot(name).kind.speak(value) for name, value in given.items()}
    text = "".join(spoken[part.slot] if isinstance(part, Place) else part.text for part in best)
    inside = {part.slot for part in best if isinstance(part, Place)}
    rest = [f"{name.replace('_', ' ')} {words}" for name, words in spoken.items() if name not in inside]
    text = " ".join(text.split()) or command.name.replace("_", " ")
    return f"{text} ({', '.join(rest)})" if rest else text


def _places(row: tuple[Any, ...]) -> int:
    return sum(isinstance(part, Place) for part in row)
