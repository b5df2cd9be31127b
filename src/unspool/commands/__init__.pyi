from .calling import Outcome, call
from .command_set import CommandSet
from .definition import Command, Slot, command, command_of
from .grammar import Grammar
from .kinds.base import SlotKind

__all__ = ["Command", "CommandSet", "Grammar", "Outcome", "Slot", "SlotKind", "call", "command", "command_of"]
