"""`CommandSet`: all commands of a file, checked against each other, with their training sentences and grammar."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from unspool.commands.definition import Command, command_of
from unspool.commands.expansion import expand_commands, marked_example
from unspool.commands.grammar import Grammar, Node, Optional, Sequence, any_of, sequence, spoken_words
from unspool.commands.kinds.base import SlotKind
from unspool.commands.kinds.choice import ChoiceKind, is_spoken
from unspool.commands.kinds.lists import ListKind
from unspool.commands.template import Place, Template, Text
from unspool.data.utterances import Utterance
from unspool.errors import CommandError, ModelFolderError
from unspool.settings import nearest

__all__ = ["CommandSet"]

_SKELETONS = 100_000  # most sentences that are compared


@dataclass(frozen=True)
class CommandSet:
    """Commands with different names, no two of which share a sentence.

    Raises:
        CommandError: If there are none, two have one name, or two understand the same sentence.
    """

    commands: tuple[Command, ...]

    def __post_init__(self) -> None:
        if not self.commands:
            raise CommandError("there are no commands; put @command('...') above a function")
        by_name: dict[str, Command] = {}
        for command in self.commands:
            if command.name in by_name:
                raise CommandError(
                    f"two commands have the name {command.name!r}; pass name='...' to one", command.where
                )
            by_name[command.name] = command
        _refuse_alike(self.commands)

    @classmethod
    def of(cls, functions: Iterable[Callable[..., Any]]) -> CommandSet:
        """Return the commands of decorated functions.

        Raises:
            CommandError: If a function is not decorated, or two commands are alike.
        """
        return cls(tuple(command_of(function) for function in functions))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> CommandSet:
        """Run a Python file and return its commands. The file's code has all rights of the user.

        Args:
            path: The file; name only a file that you trust.

        Raises:
            CommandError: If the file is missing, fails, or has no commands; the message names `file:line`.
            MissingExtraError: If a language needs a package that is not installed.
        """
        from unspool.commands.loading import load_functions

        functions = load_functions(Path(path))
        if not functions:
            raise CommandError("no commands; put @command('...') above a function", str(path))
        return cls.of(functions)

    @classmethod
    def from_record(cls, record: object) -> CommandSet:
        """Return the commands of a record, without functions.

        Raises:
            ModelFolderError: If the record is damaged.
        """
        from unspool.commands.records import commands_from_record

        try:
            return cls(commands_from_record(record))
        except CommandError as error:
            raise ModelFolderError(f"the commands of the model are damaged: {error.message}") from None

    def record(self) -> dict[str, Any]:
        """Return the commands as JSON, without functions, for a model folder."""
        from unspool.commands.records import record_of_commands

        return record_of_commands(self.commands)

    def __len__(self) -> int:
        return len(self.commands)

    def __iter__(self) -> Iterator[Command]:
        return iter(self.commands)

    def __contains__(self, name: object) -> bool:
        return any(command.name == name for command in self.commands)

    def __getitem__(self, name: str) -> Command:
        for command in self.commands:
            if command.name == name:
                return command
        raise KeyError(f"there is no command {name!r}{nearest(name, self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the commands in the order of the file."""
        return tuple(command.name for command in self.commands)

    def utterances(self, *, most: int = 5000, seed: int = 0) -> list[Utterance]:
        """Return training sentences: templates and examples with sampled values, varied, each text once.

        Args:
            most: Largest number of sentences; each command gets about the same share.
            seed: Seed of all random choices.
        """
        return expand_commands(self.commands, most, seed)

    def grammar(self, names: Iterable[str] | None = None) -> Grammar:
        """Return the grammar of the spoken commands, with `please`, `could you` and the like around them.

        A template is left out if each of its sentences has a slot of free text; an option with free text is left out.

        Args:
            names: Names of the commands; all if omitted.

        Raises:
            CommandError: If no template is left.
        """
        commands = self.commands if names is None else tuple(self[name] for name in names)
        nodes = [node for command in commands if (node := _grammar_of(command)) is not None]
        if not nodes:
            raise CommandError("every template has free text, so that there is no grammar of the commands")
        before, after = Optional(any_of(*_BEFORE)), Optional(any_of("please", "thanks", "thank you"))
        return Grammar(sequence(before, any_of(*nodes), after))

    def differences(self, other: CommandSet) -> tuple[str, ...]:
        """Compare with the commands of a file, one sentence for each difference that changes what a model learns.

        Args:
            other: The commands of the file; these are those that the model was trained with.
        """
        sentences = [f"command {name!r} is not in the file" for name in self.names if name not in other]
        sentences += [f"command {name!r} is new in the file" for name in other.names if name not in self]
        for command in self.commands:
            if command.name in other:
                sentences += _differences_of(command, other[command.name])
        return tuple(sentences)

    def bind(self, functions: CommandSet) -> CommandSet:
        """Return these commands with the functions of a file.

        Args:
            functions: The commands of the file. Templates may differ, and the file may have more commands.

        Raises:
            CommandError: If a command is missing in the file, or its slots differ; one sentence for each difference.
        """
        problems = [f"command {name!r} is not in the file" for name in self.names if name not in functions]
        for command in self.commands:
            if command.name in functions:
                problems += _slot_differences(command, functions[command.name])
        if problems:
            raise CommandError(f"the file does not fit the model: {'; '.join(problems)}; train again, or name its file")
        return replace(
            self,
            commands=tuple(
                replace(
                    command,
                    function=functions[command.name].function,
                    where=functions[command.name].where,
                    slots=functions[command.name].slots,  # with the values of enums
                    confirm=functions[command.name].confirm,
                    limit=functions[command.name].limit,
                )
                for command in self.commands
            ),
        )


_BEFORE = (
    "please",
    "hey",
    "okay",
    "could you",
    "can you",
    "would you",
    "could you please",
    "can you please",
    "i'd like you to",
    "i want you to",
    "hey can you",
    "hey could you",
)


def _grammar_of(command: Command) -> Node | None:
    slots = {slot.name: slot.kind.grammar() for slot in command.slots}
    nodes = [template.grammar(slots) for template in _templates_of(command)]
    filled = [node for node in nodes if node is not None and node != Sequence(())]
    return any_of(*filled) if filled else None


def _refuse_alike(commands: Iterable[Command]) -> None:
    """Refuse two commands with one sentence: the same words and kinds of slots, and the values of choices as words."""
    commands = tuple(commands)
    templates = [(command, template) for command in commands for template in _templates_of(command)]
    most = max(20, _SKELETONS // max(1, len(templates)))
    owners: dict[tuple[str, ...], list[tuple[Command, str, tuple[SlotKind, ...]]]] = {}
    for command, template in templates:
        rows = itertools.islice(template.choices(), most)
        for words, kinds in itertools.islice(
            itertools.chain.from_iterable(_skeletons(command, row) for row in rows), most
        ):
            rivals = owners.setdefault(words, [])
            for other, source, their_kinds in rivals:
                if other is not command and all(map(_share_a_value, kinds, their_kinds)):
                    raise _alike(other, source, command, template.source, " ".join(words))
            if all(other is not command for other, _, _ in rivals):
                rivals.append((command, template.source, kinds))


def _skeletons(
    command: Command, row: tuple[Text | Place, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[SlotKind, ...]]]:
    """Yield the words of a sentence with its kinds of slots; also, if all are choices, the words with each value."""
    kinds = tuple(command.slot(part.slot).kind for part in row if isinstance(part, Place))
    yield tuple(itertools.chain.from_iterable(_words_of(command, part) for part in row)), kinds
    if kinds and all(isinstance(kind, ChoiceKind) for kind in kinds):
        written = (filter(is_spoken, kind.forms) for kind in kinds if isinstance(kind, ChoiceKind))
        for forms in itertools.product(*written):
            values = iter(forms)
            parts = (spoken_words(next(values) if isinstance(part, Place) else part.text) for part in row)
            yield tuple(itertools.chain.from_iterable(parts)), ()


def _words_of(command: Command, part: Text | Place) -> tuple[str, ...]:
    return (_class_of(command.slot(part.slot).kind),) if isinstance(part, Place) else spoken_words(part.text)


def _templates_of(command: Command) -> tuple[Template, ...]:
    examples = (marked_example(command, example) for example in command.parsed_examples)
    return (*command.parsed_templates, *examples)


def _alike(first: Command, source: str, second: Command, other: str, sentence: str) -> CommandError:
    return CommandError(
        f"commands {first.name!r} ({source!r}) and {second.name!r} ({other!r}) are alike: "
        f"both understand {sentence!r}; change one of the templates",
        second.where,
    )


def _class_of(kind: SlotKind) -> str:
    """Return a placeholder that kinds share if one text can be a value of both."""
    if isinstance(kind, ListKind):
        return _class_of(kind.item)
    return {"integer": "{number}", "boolean": "{choice}"}.get(kind.name, f"{{{kind.name}}}")


def _share_a_value(first: SlotKind, second: SlotKind) -> bool:
    first, second = (kind.item if isinstance(kind, ListKind) else kind for kind in (first, second))
    if isinstance(first, ChoiceKind) and isinstance(second, ChoiceKind):
        return not set(map(_form_words, first.forms)).isdisjoint(map(_form_words, second.forms))
    return True


def _form_words(form: str) -> tuple[str, ...]:
    """Return the words of a choice's form; a symbol stands for itself."""
    return spoken_words(form) or (form,)


def _differences_of(old: Command, new: Command) -> Iterator[str]:
    yield from _slot_differences(old, new)
    for what in ("templates", "examples"):
        if getattr(old, what) != getattr(new, what):
            yield f"command {old.name!r} has other {what} in the file; train again to learn them"


def _slot_differences(old: Command, new: Command) -> Iterator[str]:
    ours, theirs = ({slot.name: slot for slot in command.slots} for command in (old, new))
    for name, slot in ours.items():
        where = f"argument {name!r} of {old.name!r}"
        if name not in theirs:
            yield f"{where} is not in the file"
            continue
        before, after = slot.kind, theirs[name].kind
        if before.name != after.name:
            yield f"{where} is of the kind {after.name} in the file, not {before.name}"
        elif before != after:
            yield f"{where} has other values in the file"
    for name, slot in theirs.items():
        if name not in ours and slot.required:
            yield f"argument {name!r} of {old.name!r} is new in the file"
