"""Dialogue with an assistant that answers questions and carries out commands."""

from unspool.tasks.dialogue.dialogue import Dialogue
from unspool.tasks.dialogue.turn import DialogueState, Pending, Turn

__all__ = ["Dialogue", "DialogueState", "Pending", "Turn"]
