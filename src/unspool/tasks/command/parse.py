"""`Parse`: what a command parser recognizes in a sentence."""

from __future__ import annotations

from typing import Any, NamedTuple

from unspool.commands import Command
from unspool.tasks.parts.representation import brief

__all__ = ["Parse", "SlotValue"]

_NEAREST = 2  # intents that a refusal names


class SlotValue(NamedTuple):
    """A slot of a sentence."""

    slot: str
    """Name of the slot."""
    text: str
    """The value as written."""
    start: int
    """Offset of the first character in the sentence."""
    end: int
    """Offset after the last character."""
    value: Any = None
    """The typed value, for the slots of commands."""


class Parse(NamedTuple):
    """What a command parser recognizes in one sentence."""

    text: str
    intents: tuple[str, ...]
    """The most probable intent; with several per sentence, any number of them. Empty if refused."""
    slots: list[SlotValue]
    """Slots in the order of the sentence."""
    familiarity: float
    """Share of held-out commands that fit the training data worse or equally well, between 0 and 1 (a conformal
    p-value). For commands learned from templates: the probability that the sentence is a command."""
    known: bool
    """Whether the familiarity exceeds the threshold, and the sentence has an intent."""
    threshold: float
    """Familiarity at which a sentence is refused, between 0 and 1."""
    probabilities: dict[str, float]
    """Probability of each intent, between 0 and 1, most probable first."""
    command: Command | None = None
    """The command of the intent, for models of commands; None if refused."""

    @property
    def intent(self) -> str | None:
        """The most probable intent; None if the sentence is refused."""
        return self.intents[0] if self.intents else None

    @property
    def nearest(self) -> tuple[str, ...]:
        """The two most probable intents, also of a refused sentence."""
        return tuple(self.probabilities)[:_NEAREST]

    @property
    def arguments(self) -> dict[str, Any]:
        """Typed value of each slot of the command; empty if refused, and without commands."""
        return {} if self.command is None else {slot.slot: slot.value for slot in self.slots}

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the required slots of the command that have no value."""
        return () if self.command is None else tuple(slot.name for slot in self.command.unfilled(self.arguments))

    def __repr__(self) -> str:
        slots = ", ".join(f"{slot.slot}={slot.text!r}" for slot in self.slots)
        name = ", ".join(self.intents) or f"refused, nearest {self.nearest[0]}"
        return f"<Parse {name}({slots}): {brief(self.text)}>"

    def line(self) -> str:
        """Format intents, slots, familiarity and text, separated by tabs."""
        slots = " ".join(f"{slot.slot}={slot.text!r}" for slot in self.slots)
        return f"{','.join(self.intents) or '-'}\t{slots}\t{self.familiarity:.3f}\t{self.text}"

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON; each slot is a dictionary, and the value of a command's slot is JSON too."""
        slots = [slot._asdict() for slot in self.slots]
        for slot in slots:
            value = slot.pop("value")
            if self.command is not None:
                slot["value"] = self.command.slot(slot["slot"]).kind.to_json(value)
        fields = {**self._asdict(), "intents": list(self.intents), "slots": slots}
        del fields["command"]
        return fields if self.command is None else {**fields, "missing": list(self.missing)}
