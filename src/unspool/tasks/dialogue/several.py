"""Several commands in one sentence: `turn on the light and set a timer for ten minutes`, cut at conjunctions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from unspool.commands.grammar import spoken_words
from unspool.commands.stop_words import STOP_WORDS

if TYPE_CHECKING:
    from unspool.tasks.command.parse import Parse

__all__ = ["MOST_COMMANDS", "several_commands"]

MOST_COMMANDS = 3
"""Maximum number of commands in one sentence."""
_MOST_JOINTS = 8  # conjunctions of a sentence that are tried
_SURE = 0.9  # minimum familiarity of each part
_JOINT = re.compile(r"[,;.]?\s+(?:and\s+then|and\s+also|and|then|after\s+that)\s+|[;.]\s+", re.IGNORECASE)
_PRONOUNS = frozenset(("it", "them", "that", "this", "these", "those", "one", "some"))
"""Words that stand for a value of the part before."""


def several_commands(text: str, whole: Parse, parse: Callable[[str], Parse]) -> tuple[Parse, ...]:
    """Return the parses of the commands that a sentence joins; empty for a sentence of one command, or of none.

    A sentence is cut at a conjunction, or at a full stop, if each part is a command by itself, familiar to at least
    90 %, with a content word beside its values, and no pronoun for a value. It stays whole where a value of the whole
    sentence goes across the conjunction: `add eggs and oat milk`, `note that the dog is fed and turn off the light`.

    Args:
        text: The sentence.
        whole: Parse of the whole sentence.
        parse: Parses a part.
    """
    joints = [
        (joint.start(), joint.end())
        for joint in _JOINT.finditer(text.rstrip(" .,;!?"))
        if joint.start() and not any(slot.start < joint.end() and joint.start() < slot.end for slot in whole.slots)
    ]
    parts = _cut(text, 0, joints[:_MOST_JOINTS], parse) if joints else []
    return tuple(parts) if 1 < len(parts) <= MOST_COMMANDS else ()


def _cut(text: str, begin: int, joints: list[tuple[int, int]], parse: Callable[[str], Parse]) -> list[Parse]:
    """Return the parses of the parts from one place on; the first part is as short as possible. Empty: no parts."""
    for index, part in _parts(text, begin, joints):
        first = parse(part)
        if not _is_sure(first):
            continue
        if index == len(joints):
            return [first]
        rest = _cut(text, joints[index][1], joints[index + 1 :], parse)
        if rest:
            return [first, *rest]
    return []


def _parts(text: str, begin: int, joints: list[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """Yield the parts that may be the first, from the shortest, with the index of the joint behind each."""
    ends = [*(start for start, _ in joints), len(text)]
    for index, end in enumerate(ends):
        if any(letter.isalnum() for letter in text[begin:end]):
            yield index, text[begin:end]


def _is_sure(parse: Parse) -> bool:
    """Whether a part is a command by itself, and more than values."""
    if parse.command is None or parse.familiarity < _SURE:
        return False
    if any(_PRONOUNS.intersection(spoken_words(slot.text)[:1]) for slot in parse.slots):
        return False
    rest, end = "", 0
    for slot in parse.slots:
        if slot.end > end and parse.command.slot(slot.slot).kind.name not in ("choice", "boolean"):
            rest += f"{parse.text[end : max(end, slot.start)]} "
            end = slot.end
    return any(word not in STOP_WORDS for word in spoken_words(rest + parse.text[end:]))
