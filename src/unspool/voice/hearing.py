"""Hear utterances: by a transcriber under the grammar of a dialogue, or by any program that prints a text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, Protocol

from unspool.decoding.ctc import Automaton
from unspool.errors import UsageError
from unspool.settings import make
from unspool.tasks import Transcriber
from unspool.tasks.dialogue import Dialogue
from unspool.tasks.transcribe.hearing import compiled, spelled
from unspool.voice.expected import Expectation, expectation_of, expected_grammar
from unspool.voice.programs import fill, run_program, split_command

__all__ = ["Ears", "ProgramEars", "TranscriberEars", "Utterance"]

_LIMIT = 120.0  # seconds of another recogniser
_FREE = None
_EXPECTED = 0.2  # nats per step by which what the dialogue expects may fit worse than a new command


class Utterance(NamedTuple):
    """What was heard."""

    text: str
    """The words; empty if nothing that the dialogue expects was heard."""
    margin: float | None = None
    """Nats per step by which another output fits better than the text; None without a grammar."""


class Ears(Protocol):
    """Something that turns a recording into words."""

    def hear(self, wav: Path, dialogue: Dialogue) -> Utterance:
        """Return the words of a recording, as the dialogue expects them."""
        ...


class ProgramEars:
    """Ears by a program that prints the text of a recording.

    Args:
        command: Command line with `{wav}` for the path of the recording.

    Raises:
        UsageError: If the command line is wrong, or has no `{wav}`.
    """

    def __init__(self, command: str) -> None:
        self.words = split_command(command, "--hear")
        if not any("{wav}" in word for word in self.words):
            raise UsageError(f"--hear {command!r} has no {{wav}}; expected the place of the recording's path")

    def hear(self, wav: Path, dialogue: Dialogue) -> Utterance:
        """Return what the program prints, as one line.

        Raises:
            MachineError: If the program fails.
        """
        output = run_program(fill(self.words, {"wav": str(wav)}), limit=_LIMIT, flag="hearing")
        return Utterance(" ".join(output.decode("utf-8", "replace").split()))


class TranscriberEars:
    """Ears by a transcriber, which hears only what the dialogue expects.

    These are the sentences of the commands; while a command waits, also values, yes and no; after a command, also
    corrections. What the dialogue expects comes before a new command that fits a little better. A value of free text,
    and a dialogue without commands, is transcribed without a grammar.

    Args:
        transcriber: A trained transcriber.
        dialogue: The dialogue.
        margin: Threshold of "none of these"; see `grammar_margin`. None: the transcriber's own.

    Raises:
        DataError: If the transcriber knows too few letters for the commands.
    """

    def __init__(self, transcriber: Transcriber, dialogue: Dialogue, *, margin: float | None = None) -> None:
        changes: dict[str, object] = {"hearing.grammar": None, "hearing.lm": None}
        changes |= {} if margin is None else {"hearing.grammar_margin": margin}
        transcriber.settings = make(transcriber.settings_type, changes, base=transcriber.settings)
        self.transcriber = transcriber
        self._characters = frozenset(transcriber.fitted.unit_ids)
        self._commands = None if dialogue.commands is None else compiled(dialogue.commands.grammar())
        if self._commands is not None:
            spelled(self._commands, transcriber.fitted.unit_ids)
        self._expected: dict[Expectation, Automaton | None] = {}

    def hear(self, wav: Path, dialogue: Dialogue) -> Utterance:
        """Return the words of a recording: of all that may be said, what fits best.

        Raises:
            DataError: If the recording can't be read.
        """
        best, best_cost = Utterance(""), math.inf
        for grammar in self._grammars(dialogue):
            result = self.transcriber.predict(str(wav), grammar=grammar)
            if grammar is _FREE:
                return Utterance(result.transcript)
            if result.transcript and result.margin is not None:
                cost = result.margin + (_EXPECTED if grammar is self._commands else 0.0)
                if cost < best_cost:
                    best, best_cost = Utterance(result.transcript, result.margin), cost
        return best

    def _grammars(self, dialogue: Dialogue) -> list[Automaton | None]:
        """Return the grammars of what may be said now; None for free text."""
        if self._commands is None:
            return [_FREE]
        expectation = expectation_of(dialogue)
        if expectation is None:
            return [self._commands]
        if expectation not in self._expected:
            name, what = expectation
            assert dialogue.commands is not None
            grammar = expected_grammar(dialogue.commands[name], what, self._characters)
            self._expected[expectation] = None if grammar is None else compiled(grammar)
        expected = self._expected[expectation]
        return [_FREE] if expected is None else [expected, self._commands]
