"""Grammar of what a dialogue expects next: a value, yes or no, a correction, or the last command again."""

from __future__ import annotations

from collections.abc import Collection

from unspool.commands import Command, CommandSet
from unspool.commands.grammar import (
    Alternatives,
    Capture,
    Grammar,
    Node,
    Optional,
    Sequence,
    Word,
    any_of,
    phrase,
    sequence,
)
from unspool.tasks.dialogue import Dialogue
from unspool.tasks.dialogue.phrases import SPOKEN

__all__ = ["Expectation", "answers_grammar", "expectation_of", "expected_grammar", "spellable"]

Expectation = tuple[str, str]
"""Name of a command, and what is expected of it: the name of a slot, `yes or no`, or `again`."""

_CONFIRMS, _FOLLOWS = "yes or no", "again"
_INSTEAD = ("no", "no i meant", "i meant", "actually", "make it", "no make it")
_IN = Optional(any_of("in the", "at", "for"))


def expectation_of(dialogue: Dialogue) -> Expectation | None:
    """Return what a dialogue expects besides a new command; None if nothing."""
    pending, last = dialogue.state.pending, dialogue.state.last
    if pending is not None:
        return pending.command.name, pending.asking or _CONFIRMS
    return None if last is None else (last[0].name, _FOLLOWS)


def expected_grammar(command: Command, what: str, characters: Collection[str]) -> Grammar | None:
    """Return the grammar of what is expected; None if it is free text.

    Args:
        command: The command under way, or the last one.
        what: As in an `Expectation`.
        characters: Characters that the recogniser knows; phrases with others are left out.
    """
    corrections = _corrections(command)
    if what == _CONFIRMS:
        nodes = [_phrases("yes", "no", "cancel", "other"), sequence(Optional(any_of(*_INSTEAD)), _IN, corrections)]
    elif what == _FOLLOWS:
        nodes = [_phrases("again", "other"), sequence(any_of(*_INSTEAD), _IN, corrections)]
    else:
        values = command.slot(what).kind.grammar()
        if values is None:
            return None
        nodes = [_phrases("cancel"), sequence(_IN, Optional(any_of("the")), values, Optional(any_of("please")))]
    known = [part for node in nodes if (part := spellable(node, characters)) is not None]
    return Grammar(any_of(*known)) if known else None


def answers_grammar(commands: CommandSet) -> Grammar:
    """Return the grammar of all that may be said to a dialogue besides commands: small talk, and values alone."""
    values = (slot.kind.grammar() for command in commands for slot in command.slots)
    return Grammar(any_of(_phrases(*SPOKEN), *(node for node in values if node is not None)))


def spellable(node: Node, characters: Collection[str]) -> Node | None:
    """Return a grammar without the words that have other characters; None if no sentence is left."""
    match node:
        case Word(text):
            return node if all(character in characters for character in text) else None
        case Sequence(parts):
            spelled = [spellable(part, characters) for part in parts]
            return None if None in spelled else Sequence(tuple(part for part in spelled if part is not None))
        case Alternatives(options):
            left = [part for option in options if (part := spellable(option, characters)) is not None]
            return any_of(*left) if left else None
        case Optional(part):
            inner = spellable(part, characters)
            return Sequence(()) if inner is None else Optional(inner)
        case Capture(slot, part):
            inner = spellable(part, characters)
            return None if inner is None else Capture(slot, inner)


def _phrases(*meanings: str) -> Node:
    return any_of(*(phrase(text) for meaning in meanings for text in SPOKEN[meaning]))


def _corrections(command: Command) -> Node:
    """Return the values of the slots that a correction may change; an impossible word if there are none."""
    values = [slot.kind.grammar() for slot in command.slots if slot.kind.name not in ("text", "list")]
    known = [node for node in values if node is not None]
    return any_of(*known) if known else Alternatives(())
