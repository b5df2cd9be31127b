"""Time budget of an assistant's training: how the minutes divide into questions, generator and commands."""

from __future__ import annotations

from typing import NamedTuple

from unspool.errors import counted
from unspool.tasks.running.planning import Rules

__all__ = ["Budget", "budget_of", "rules_of"]

_GENERATOR = 5.0  # minutes with a generator, if neither `minutes` nor `epochs` is passed
_COMMANDS, _SHARE = 1.0, 0.25  # minutes of the commands at most, and their share of all


class Budget(NamedTuple):
    """Time limits of the parts of a training, in minutes."""

    questions: float | None
    """For the retriever and the generator, which train together; None: no limit."""
    commands: float | None
    """For the parser of the commands; None: its own default, or no commands."""

    def note(self, *, generator: bool) -> str:
        """Describe the budget in one line; empty without a limit."""
        if self.questions is None:
            return ""
        whole = counted(round(self.questions + (self.commands or 0), 2), "minutes")
        trained = "the questions and the generator" if generator else "the questions"
        if self.commands is None:
            return f"budget: {whole} for {trained}"
        return f"budget: {whole}, {self.questions:.3g} for {trained}, {self.commands:.3g} for the commands"


def budget_of(minutes: float | None, *, commands: bool) -> Budget:
    """Divide the minutes of a training: a quarter, at most one minute, for the commands; the rest for the questions.

    Args:
        minutes: Time limit of the whole training; None: no limit.
        commands: Whether the assistant has commands.
    """
    if minutes is None or not commands:
        return Budget(minutes, None)
    share = min(_COMMANDS, _SHARE * minutes)
    return Budget(minutes - share, share)


def rules_of(*, generator: bool, commands: bool) -> Rules | None:
    """Return the rules of a training without a time limit; None without a generator: the rest trains in seconds."""
    if not generator:
        return None
    minutes = _GENERATOR + (_COMMANDS if commands else 0)
    return Rules(minutes=minutes, sizes=(), epochs=lambda updates: 1, suits=lambda settings: False)
