"""Speak replies by the system's voice: `espeak-ng`, `say`, `spd-say`, or a program of one's own."""

from __future__ import annotations

from unspool.errors import UsageError
from unspool.voice.programs import fill, first_installed, run_program, split_command

__all__ = ["SPEAKERS", "Speaker", "find_speaker"]

SPEAKERS: dict[str, list[str]] = {
    "espeak-ng": ["espeak-ng", "{text}"],
    "say": ["say", "{text}"],
    "spd-say": ["spd-say", "--wait", "{text}"],
}
"""Command lines that speak `{text}`, in the order of preference."""

_LIMIT = 120.0  # seconds of a reply


def find_speaker(command: str | None = None) -> Speaker | None:
    """Return the speaker of a command line, or the first that is installed; None if none is.

    Raises:
        UsageError: If the command line is wrong, or has no `{text}`.
    """
    if command is not None:
        words = split_command(command, "--speak")
        if not any("{text}" in word for word in words):
            raise UsageError(
                f"--speak {command!r} has no {{text}}; expected the place of the reply, as espeak-ng {{text}}"
            )
        return Speaker(words)
    name = first_installed(SPEAKERS)
    return None if name is None else Speaker(SPEAKERS[name])


class Speaker:
    """A program that speaks a text.

    Args:
        words: Program and arguments, with `{text}` for the text.
    """

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def say(self, text: str) -> None:
        """Speak a text, and wait for its end.

        Raises:
            MachineError: If the program fails.
        """
        if any(letter.isalnum() for letter in text):
            run_program(fill(self.words, {"text": " ".join(text.split())}), limit=_LIMIT, flag="speaking")
