"""`Dialogue`: a conversation that answers questions and carries out commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from unspool.commands import Command, CommandSet, Slot, call
from unspool.errors import SlotError, UsageError
from unspool.tasks.dialogue.phrases import (
    correction_of,
    in_words,
    is_again,
    is_cancel,
    is_no,
    is_other,
    is_yes,
    title_of,
)
from unspool.tasks.dialogue.several import several_commands
from unspool.tasks.dialogue.turn import DialogueState, Due, Kind, Pending, Turn, Understanding, to_json

if TYPE_CHECKING:
    from unspool.tasks.answer.assistant import Assistant
    from unspool.tasks.answer.reply import Reply
    from unspool.tasks.command.parse import Parse
    from unspool.tasks.command.parser import CommandParser

__all__ = ["Dialogue", "commands_of"]

_SURE = 0.9  # familiarity of a new command that interrupts a question for a value
_STATES = ({"on", "off"}, {"yes", "no"})  # choices that "the other one" does not mean


class Dialogue:
    """A conversation with an assistant, a command parser, or both.

    A sentence is a command if the parser accepts it, and the assistant has no answer of a higher confidence. Then the
    dialogue asks for required values that are missing, asks for confirmation where the command wants it, and calls the
    function. `cancel`, `again`, `no, the other one` and corrections such as `no, in the bedroom` are understood.

    Args:
        model: An assistant, with or without commands, or a command parser.
        commands: The functions: a Python file, whose code runs, or a `CommandSet`. None: commands are named, not
            called.
        threshold: Minimum confidence of an answer; None: the assistant's own.
        clock: Returns the moment that relative times count from.

    Attributes:
        state: What is under way, and the last call.
        reply: The assistant's answer to the last sentence that it was asked, whether it was said or not.
        parse: What the parser recognized in the last sentence that it read.

    Raises:
        CommandError: If the commands do not fit those that the model learned.
        UsageError: If the model has not been trained, or knows no commands.
    """

    def __init__(
        self,
        model: Assistant | CommandParser,
        commands: str | os.PathLike[str] | CommandSet | None = None,
        *,
        threshold: float | None = None,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.assistant, self.parser = _parts_of(model)
        self.threshold, self._clock = threshold, clock
        self.state = DialogueState()
        self.reply: Reply | None = None
        self.parse: Parse | None = None
        learned = None if self.parser is None else self.parser.commands
        if commands is not None:
            if learned is None:
                raise UsageError(
                    "this model learned no commands; train it with a Python file of commands beside its data"
                )
            given = commands if isinstance(commands, CommandSet) else CommandSet.load(commands)
            learned = learned.bind(given)
        self.commands = learned

    def say(self, text: str) -> Turn:
        """Reply to a sentence, and carry out its command.

        Raises:
            DataError: If the sentence contains no word.
        """
        step = self.decide(text)
        return self.carry_out(step) if isinstance(step, Due) else step

    def decide(self, text: str) -> Turn | Due:
        """Reply to a sentence, except for calling a function; `carry_out` does that, in any thread.

        Raises:
            DataError: If the sentence contains no word.
        """
        pending = self.state.pending
        if pending is not None:
            step = self._go_on(text, pending)
            if step is not None:
                return step
        elif self.state.last is not None and (step := self._after(text, *self.state.last)) is not None:
            return step
        return self._fresh(text)

    def carry_out(self, due: Due) -> Turn:
        """Call the function of a command, for at most its time limit. The state of the dialogue stays as it is.

        Of several commands in a sentence, each function is called in turn.
        """
        first = None if due.before is None else self.carry_out(due.before)
        outcome = call(due.command, due.arguments, self._clock())
        kind: Kind = "did" if outcome.error is None else "failed"
        turn = self._turn(due.text, outcome.text or outcome.error or "", kind, due.command, due.arguments, due.detail)
        return turn if first is None else _joined(first, turn)

    # ---- a new sentence ----------------------------------------------------------------------------------------

    def _fresh(self, text: str) -> Turn | Due:
        self.state.pending = None
        parse, reply = self._understand(text)
        parts = self._parts(text, parse, reply, self._clock())
        if parts:
            return self._begin_all(text, parts)
        if parse is not None and parse.command is not None and not _prefers(reply, parse):
            command, arguments = self._own(parse.command, parse.arguments)
            return self._begin(text, command, arguments, f"{parse.familiarity:.0%} familiar")
        if reply is not None and reply.known:
            return Turn(text, reply.answer, "answer", detail=reply.source_line())
        return self._refuse(text, parse, reply)

    def _understand(self, text: str) -> tuple[Parse | None, Reply | None]:
        parse = None if self.parser is None else self.parser.parse(text, now=self._clock())
        reply = None if self.assistant is None else self.assistant.ask(text, threshold=self.threshold)
        self.state.nearest = () if parse is None else parse.nearest
        self.reply, self.parse = reply, parse
        return parse, reply

    def understand(self, text: str, now: datetime | None = None) -> Understanding:
        """Understand one sentence outside of the conversation; nothing is called, and the state stays as it is.

        Args:
            text: The sentence.
            now: The moment that relative times count from; the clock's if omitted.

        Raises:
            DataError: If the sentence contains no word.
        """
        parse = None if self.parser is None else self.parser.parse(text, now=now or self._clock())
        reply = None if self.assistant is None else self.assistant.ask(text, threshold=self.threshold)
        parts = self._parts(text, parse, reply, now or self._clock())
        if parts:
            missing = tuple(name for part in parts for name in part.missing)
            return Understanding(" + ".join(part.intents[0] for part in parts), {}, missing, "")
        if parse is not None and parse.command is not None and not _prefers(reply, parse):
            arguments = to_json(parse.command, parse.arguments)
            return Understanding(parse.command.name, arguments, parse.missing, "")
        return Understanding(None, {}, (), "" if reply is None else reply.answer)

    def _refuse(self, text: str, parse: Parse | None, reply: Reply | None) -> Turn:
        nearest = [f"“{title_of(self._named(name))}”" for name in (() if parse is None else parse.nearest)]
        words = "I don't know." if reply is None else reply.answer
        if nearest:
            words += f" The nearest that I can do: {' or '.join(nearest)}."
        detail = "" if parse is None else f"{parse.familiarity:.0%} familiar, refused up to {parse.threshold:.0%}"
        if reply is not None:
            detail = f"{detail}; {reply.source_line()}".removeprefix("; ")
        return Turn(text, words, "refuse", detail=detail)

    def _named(self, name: str) -> Command:
        assert self.commands is not None
        return self.commands[name]

    def _own(self, command: Command, arguments: Mapping[str, Any]) -> tuple[Command, dict[str, Any]]:
        """Return a command with its function, if there is one, and the arguments with the values of its enums."""
        own, values = self._named(command.name), dict(arguments)
        for name, value in arguments.items():
            kind = own.slot(name).kind
            if kind.name in ("choice", "list") and value is not None:  # a model folder stores the keys of enums
                values[name] = kind.from_json(command.slot(name).kind.to_json(value))
        return own, values

    def _parts(self, text: str, parse: Parse | None, reply: Reply | None, now: datetime) -> tuple[Parse, ...]:
        """Return the commands that a sentence joins; empty unless there are several."""
        if parse is None or self.parser is None:
            return ()
        parser = self.parser
        parts = several_commands(text, parse, lambda part: parser.parse(part, now=now))
        return () if any(_prefers(reply, part) for part in parts) else parts

    def _begin_all(self, text: str, parts: tuple[Parse, ...]) -> Turn | Due:
        """Call several commands; ask for one at a time if one of them has a question."""
        ready = []
        for part in parts:
            assert part.command is not None
            command, arguments = self._own(part.command, part.arguments)
            if command.confirm or command.unfilled(arguments):
                words = (
                    f"That is {len(parts)} commands, and one of them needs a question; please give me one at a time."
                )
                return Turn(text, words, "refuse", detail=", ".join(each.intents[0] for each in parts))
            ready.append((command, arguments, f"{command.name}: {part.familiarity:.0%} familiar"))
        step: Turn | Due | None = None
        for command, arguments, detail in ready:
            following = self._call(text, command, arguments, detail)
            if isinstance(following, Due):
                step = following._replace(before=step if isinstance(step, Due) else None)
            else:
                step = following if not isinstance(step, Turn) else _joined(step, following)
        assert step is not None
        return step

    # ---- under way ---------------------------------------------------------------------------------------------

    def _begin(self, text: str, command: Command, arguments: Mapping[str, Any], detail: str = "") -> Turn | Due:
        """Ask for what is missing, then for confirmation, then call."""
        arguments = dict(arguments)
        if unfilled := command.unfilled(arguments):
            self.state.pending = Pending(command, arguments, asking=unfilled[0].name)
            return self._turn(text, unfilled[0].question, "ask", command, arguments, detail)
        if command.confirm:
            self.state.pending = Pending(command, arguments)
            phrase = in_words(command, arguments)
            return self._turn(
                text, f"{phrase[:1].upper()}{phrase[1:]}: shall I?", "confirm", command, arguments, detail
            )
        return self._call(text, command, arguments, detail)

    def _call(self, text: str, command: Command, arguments: dict[str, Any], detail: str = "") -> Turn | Due:
        self.state.pending = None
        self.state.last = command, arguments
        if command.function is None:
            words = f"I would {in_words(command, arguments)}; load the file of commands to carry it out."
            return self._turn(text, words, "would", command, arguments, detail)
        return Due(text, command, arguments, detail)

    def _go_on(self, text: str, pending: Pending) -> Turn | Due | None:
        """Reply to a sentence while a command waits; None if the sentence begins something else."""
        command, arguments = pending.command, pending.arguments
        if is_cancel(text):
            return self._drop(text, command)
        if pending.asking is not None:
            return self._answered(text, pending, command.slot(pending.asking))
        if is_yes(text):
            return self._call(text, command, arguments)
        if is_other(text):
            return self._other(text, command, arguments)
        if is_no(text):
            return self._drop(text, command)
        corrected = self._corrected(command, arguments, correction_of(text) or text)
        if corrected is not None:
            return self._begin(text, command, corrected)
        parse, reply = self._understand(text)
        if (parse is not None and parse.command is not None) or (reply is not None and reply.known):
            return None
        phrase = in_words(command, arguments)
        return self._turn(text, f"Please say yes or no: {phrase}?", "confirm", command, arguments)

    def _answered(self, text: str, pending: Pending, slot: Slot) -> Turn | Due | None:
        """Take a sentence as the value that was asked for."""
        command, now = pending.command, self._clock()
        problem = ""
        try:
            value = slot.kind.parse(text.strip(), now)
        except SlotError as error:
            hits = slot.kind.find(text, now)
            if len(hits) != 1:
                problem = error.message
            else:
                value = hits[0][2]
        if not problem:
            return self._begin(text, command, {**pending.arguments, slot.name: value})
        parse, reply = self._understand(text)
        if parse is not None and parse.command is not None and parse.familiarity >= _SURE:
            return None
        if reply is not None and reply.known and reply.confidence >= _SURE:
            return None
        pending.failures += 1
        hint = " Say “cancel” to stop." if pending.failures > 1 else ""
        words = f"{problem[:1].upper()}{problem[1:]}. {slot.question}{hint}"
        return self._turn(text, words, "ask", command, pending.arguments)

    def _drop(self, text: str, command: Command) -> Turn:
        self.state.pending = None
        return Turn(text, "All right, I leave it.", "cancel", command.name)

    # ---- after a call ------------------------------------------------------------------------------------------

    def _after(self, text: str, command: Command, arguments: dict[str, Any]) -> Turn | Due | None:
        """Reply to a sentence about the last call; None if the sentence is about something else."""
        if is_again(text):
            return self._begin(text, command, arguments)
        if is_other(text):
            return self._other(text, command, arguments)
        rest = correction_of(text)
        corrected = None if rest is None else self._corrected(command, arguments, rest)
        return None if corrected is None else self._begin(text, command, corrected)

    def _corrected(self, command: Command, arguments: Mapping[str, Any], text: str) -> dict[str, Any] | None:
        """Return the arguments with the values of a correction; None if it has none."""
        now, changed = self._clock(), {}
        for slot in command.slots:
            if slot.kind.name in ("text", "list"):
                continue
            hits = slot.kind.find(text, now)
            if not hits:
                try:
                    hits = [(0, len(text), slot.kind.parse(text, now))]
                except SlotError:
                    continue
            if len(hits) == 1 and hits[0][2] != arguments.get(slot.name):
                changed[slot.name] = hits[0][2]
        kinds = [command.slot(name).kind for name in changed]
        if not changed or len(kinds) != len(set(map(repr, kinds))):  # two slots of one kind: which one is meant?
            return None
        return {**arguments, **changed}

    def _other(self, text: str, command: Command, arguments: Mapping[str, Any]) -> Turn | Due:
        """Take the other value of the choice that was given, or ask which one."""
        choices = [
            slot
            for slot in command.slots
            if slot.kind.name == "choice" and {str(each.key) for each in slot.kind.choices} not in _STATES  # type: ignore[attr-defined]
        ]
        if not choices:
            self.state.pending = None
            return Turn(text, "Then please say it in other words.", "cancel", command.name)
        slot = next((slot for slot in choices if slot.name in arguments), choices[0])
        before = arguments.get(slot.name, slot.default)
        values = [each.value for each in slot.kind.choices if each.value != before]  # type: ignore[attr-defined]
        if len(values) == 1:
            return self._begin(text, command, {**arguments, slot.name: values[0]})
        rest = {name: value for name, value in arguments.items() if name != slot.name}
        self.state.pending = Pending(command, rest, asking=slot.name)
        return self._turn(text, slot.question, "ask", command, rest)

    def _turn(
        self, text: str, reply: str, kind: Kind, command: Command, arguments: Mapping[str, Any], detail: str = ""
    ) -> Turn:
        return Turn(text, reply, kind, command.name, dict(arguments), detail, to_json(command, arguments))


def _parts_of(model: Any) -> tuple[Assistant | None, CommandParser | None]:
    """Return the assistant and the parser of a model; either may be missing."""
    if model.name == "command":
        if model.commands is None:
            raise UsageError("this parser learned from labelled data; a dialogue needs a parser of a file of commands")
        return None, model
    return model, getattr(model, "parser", None)


def commands_of(model: Any) -> CommandSet | None:
    """Return the commands of a trained assistant or command parser; None if it has none."""
    parser = model if model.name == "command" else getattr(model, "parser", None)
    return None if parser is None else parser.commands


def _joined(first: Turn, second: Turn) -> Turn:
    """Return two turns as one; command and arguments are those of the second."""
    kind: Kind = "failed" if "failed" in (first.kind, second.kind) else second.kind
    detail = f"{first.detail}; {second.detail}"
    stop = "" if first.reply.endswith((".", "!", "?")) else "."
    return second._replace(reply=f"{first.reply}{stop} {second.reply}", kind=kind, detail=detail)


def _prefers(reply: Reply | None, parse: Parse) -> bool:
    """Whether the answer to a question is surer than the command."""
    return reply is not None and reply.known and reply.confidence > parse.familiarity
