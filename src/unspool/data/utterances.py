"""`Utterance`: a sentence with its intents and the spans of its slots."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SlotSpan", "Utterance"]


class SlotSpan(NamedTuple):
    """Place of a slot's value in a text."""

    slot: str
    """Name of the slot."""
    start: int
    """Offset of the first character."""
    end: int
    """Offset after the last character."""


class Utterance(NamedTuple):
    """A sentence with its intents and slots."""

    where: str
    """Place for messages, such as `file:line`."""
    text: str
    intents: tuple[str, ...]
    """Names of the intents; empty if the sentence asks for none of them (out of scope)."""
    slots: tuple[SlotSpan, ...] = ()
    """Spans of the slots in order, without overlap."""
