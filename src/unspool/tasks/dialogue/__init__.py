"""Dialogue with an assistant that answers questions and carries out commands."""

from unspool.tasks.dialogue.dialogue import Dialogue, commands_of
from unspool.tasks.dialogue.several import MOST_COMMANDS
from unspool.tasks.dialogue.turn import DialogueState, Due, Pending, Turn

__all__ = ["MOST_COMMANDS", "Dialogue", "DialogueState", "Due", "Pending", "Turn", "commands_of"]
