r"""Templates of sentences: `turn {state} the {device} [in the {room}]`.

`{slot}` is the place of a value, `[...]` may be left out, `(a|b)` is one of several; they nest. `\` makes the next
character a plain one. `{slot=words}` allows no other words, as in `the {operation=sum} of {first} and {second}`;
`{state=on|off}` allows one of several.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from unspool.commands.grammar import (
    Alternatives,
    Capture,
    Node,
    Optional,
    Sequence,
    any_of,
    phrase,
    sequence,
    spoken_words,
)
from unspool.errors import CommandError

__all__ = [
    "Group",
    "Part",
    "Place",
    "Template",
    "Text",
    "fixed_places",
    "most_places",
    "parse_example",
    "parse_template",
    "template_words",
    "words_after",
]

_DEEPEST = 12  # groups inside each other
_LONGEST = 1000  # characters
_MOST_ROWS = 500  # sentences of a template with a group inside a word
_GLUED_GROUP = re.compile(r"\w[\[(]|[\])]\w|[\])][\[(]")
_NEVER_GLUED = frozenset(("about", "and", "for", "from", "my", "of", "the", "with", "your"))
"""Words that never end a longer word: `timer[for|of]` means `timer for`, unlike `light[s]` and `log[in]`."""
_NAME = re.compile(r"[^\W\d]\w*")
_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True)
class Text:
    """Words as they stand."""

    text: str


@dataclass(frozen=True)
class Place:
    """The place of a slot's value."""

    slot: str
    value: str | None = None
    """The words of the value, in an example, or of the only value that a template allows."""
    fixed: bool = False
    """Whether no other value may take the place."""


@dataclass(frozen=True)
class Group:
    """One of several rows of parts."""

    options: tuple[tuple[Part, ...], ...]


Part = Text | Place | Group


@dataclass(frozen=True)
class Template:
    """A template, or an example with marked values."""

    source: str
    parts: tuple[Part, ...]

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots in order, each once."""
        return tuple(dict.fromkeys(_slots(self.parts)))

    @property
    def count(self) -> int:
        """Number of ways to choose options and alternatives."""
        return _count(self.parts)

    def choices(self) -> Iterator[tuple[Text | Place, ...]]:
        """Yield the sentence for every choice of options and alternatives; the empty options come last."""
        return _expand(self.parts)

    def draw(self, random: Random) -> tuple[Text | Place, ...]:
        """Return the sentence of a random choice of options and alternatives."""
        return tuple(_draw(self.parts, random))

    def grammar(self, slots: Mapping[str, Node | None]) -> Node | None:
        """Return the grammar of the spoken sentences; None if every sentence has a slot without a grammar.

        Args:
            slots: Grammar of each slot's values; None for free text.
        """
        if not _GLUED_GROUP.search(self.source):
            return _grammar(self.parts, slots)
        rows = [_grammar(_merged(row), slots) for row in itertools.islice(self.choices(), _MOST_ROWS)]
        nodes = [row for row in rows if row is not None]
        return any_of(*nodes) if nodes else None

    def render(self, row: tuple[Text | Place, ...], fill: Callable[[Place], str]) -> list[tuple[str, str | None]]:
        """Return the segments of a sentence: text and the slot that the text is the value of, or None.

        Args:
            row: A choice of options and alternatives.
            fill: Words of a slot's value.
        """
        segments: list[tuple[str, str | None]] = []
        ends_in_space = True
        for part in row:
            if isinstance(part, Place):
                segments.append((_without_repetition(fill(part), segments), part.slot))
                ends_in_space = False
                continue
            text = re.sub(r"\s+", " ", part.text)
            text = text.lstrip() if ends_in_space else text
            if text:
                segments.append((text, None))
                ends_in_space = text.endswith(" ")
        return _tidy(segments)


def parse_template(source: str, *, values: bool = False) -> Template:
    """Parse a template.

    Args:
        source: The text.
        values: Whether all places hold values that others may replace, as in an example: `{length=ten minutes}`.

    Raises:
        CommandError: If brackets do not match, or a place holds no name.
    """
    if len(source) > _LONGEST:
        raise CommandError(f"a template of {len(source):,} characters; expected at most {_LONGEST:,}")
    parser = _Parser(source, values)
    parts = parser.row(None, 0)
    if not any(isinstance(part, Place) or _letters(part) for part in parts):
        raise CommandError(f"the template {source!r} has no words")
    return Template(source, parts)


def parse_example(source: str) -> Template:
    """Parse an example: a plain sentence in which values may be marked, `put {item=oat milk} on my list`.

    Raises:
        CommandError: If a marked value is not closed, or empty.
    """
    return parse_template(re.sub(r"[\[\]()|]", r"\\\g<0>", source), values=True)


def most_places(parts: tuple[Part, ...], slot: str) -> int:
    """Return how often one sentence of a template holds a slot at most."""
    count = 0
    for part in parts:
        if isinstance(part, Place):
            count += part.slot == slot
        elif isinstance(part, Group):
            count += max(most_places(option, slot) for option in part.options)
    return count


def fixed_places(parts: tuple[Part, ...]) -> Iterator[Place]:
    """Yield the places of a template that allow one value only."""
    for part in parts:
        if isinstance(part, Place) and part.fixed:
            yield part
        elif isinstance(part, Group):
            for option in part.options:
                yield from fixed_places(option)


def words_after(parts: tuple[Part, ...], slot: str) -> set[str]:
    """Return the words that may stand after a slot in sentences of a template, in lower case."""
    return _words_after(parts, slot, set())


def template_words(parts: tuple[Part, ...]) -> set[str]:
    """Return all words of a template, and of the values that it allows alone, in lower case."""
    words: set[str] = set()
    for part in parts:
        match part:
            case Text(text):
                words.update(spoken_words(text))
            case Place(_, str(value)):
                words.update(spoken_words(value))
            case Group(options):
                words.update(*(template_words(option) for option in options))
    return words


class _Parser:
    """Reads a template from left to right."""

    def __init__(self, source: str, values: bool) -> None:
        self.source, self.values, self.index = source, values, 0

    def row(self, opened: int | None, depth: int) -> tuple[Part, ...]:
        """Read parts up to the end of a group's option, or of the template."""
        parts: list[Part] = []
        text = ""

        def flush() -> None:
            nonlocal text
            if text:
                parts.append(Text(text))
            text = ""

        while self.index < len(self.source):
            character = self.source[self.index]
            if character == "\\" and self.index + 1 < len(self.source):
                text += self.source[self.index + 1]
                self.index += 2
            elif character == "{":
                flush()
                parts.append(self.place())
            elif character in _CLOSING:
                flush()
                parts.append(self.group(depth + 1))
            elif character in "])|":
                if opened is None:
                    hint = "; write alternatives as (a|b)" if character == "|" else ""
                    raise self.error(f"{character!r} without a bracket before it{hint}")
                break
            elif character == "}":
                raise self.error("'}' without '{' before it")
            else:
                text += character
                self.index += 1
        flush()
        return tuple(parts)

    def group(self, depth: int) -> Group:
        opened = self.index
        if depth > _DEEPEST:
            raise self.error(f"brackets inside more than {_DEEPEST} others")
        bracket = self.source[opened]
        options: list[tuple[Part, ...]] = []
        while True:
            self.index += 1
            options.append(self.row(opened, depth))
            end = self.source[self.index : self.index + 1]
            if end == "|":
                continue
            if end != _CLOSING[bracket]:
                self.index = opened
                raise self.error(f"{bracket!r} is not closed")
            self.index += 1
            break
        if opened and _is_letter(self.source[opened - 1]):
            options = _apart(options)
        if bracket == "[":
            options.append(())
        return Group(tuple(dict.fromkeys(options)))

    def place(self) -> Place | Group:
        opened = self.index
        end = self.source.find("}", opened)
        if end < 0:
            raise self.error("'{' is not closed")
        name, equals, value = self.source[opened + 1 : end].partition("=")
        name = name.partition(":")[0].strip()
        if not _NAME.fullmatch(name):
            raise self.error(f"{self.source[opened : end + 1]!r} holds no name of an argument; write {{length}}")
        value = " ".join(value.replace("\\", "").split())
        words = [value] if self.values else [part.strip() for part in value.split("|")]
        if (self.values and not equals) or (equals and not all(words)):
            raise self.error(f"{self.source[opened : end + 1]!r}: expected {{{name}=the words of its value}}")
        self.index = end + 1
        if self.values or not equals:
            return Place(name, value if equals else None)
        places = [Place(name, part, fixed=True) for part in dict.fromkeys(words)]
        return places[0] if len(places) == 1 else Group(tuple((place,) for place in places))

    def error(self, message: str) -> CommandError:
        kind = "example" if self.values else "template"
        return CommandError(f"{kind} {self.source.replace(chr(92), '')!r}, character {self.index + 1}: {message}")


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _apart(options: list[tuple[Part, ...]]) -> list[tuple[Part, ...]]:
    """Put a blank before options that are words of their own, in a group that touches the word before it.

    Beside an option that begins with a mark, as in `timer[:|for]`, every word is one. So are words such as `for`.
    """
    firsts = [option[0].text if option and isinstance(option[0], Text) else "" for option in options]
    has_mark = any(text and not _is_letter(text[0]) and text[0] not in " \t\n-'’" for text in firsts)
    apart: list[tuple[Part, ...]] = []
    for text, option in zip(firsts, options, strict=True):
        is_word = bool(text) and _is_letter(text[0]) and (has_mark or text.split()[0].lower() in _NEVER_GLUED)
        is_value = has_mark and bool(option) and isinstance(option[0], Place)
        apart.append((Text(" "), *option) if is_word or is_value else option)
    return apart


def _letters(part: Part) -> bool:
    match part:
        case Text(text):
            return any(letter.isalnum() for letter in text)
        case Place():
            return True
        case Group(options):
            return any(_letters(inner) for option in options for inner in option)


def _slots(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Place):
            yield part.slot
        elif isinstance(part, Group):
            for option in part.options:
                yield from _slots(option)


def _words_after(parts: tuple[Part, ...], slot: str, following: set[str]) -> set[str]:
    """Return the words after a slot; add all words of the parts to those that follow."""
    result: set[str] = set()
    for part in reversed(parts):
        match part:
            case Text(text):
                following |= set(spoken_words(text))
            case Place(name):
                result |= following if name == slot else set()
            case Group(options):
                inner = [set(following) for _ in options]
                for option, words in zip(options, inner, strict=True):
                    result |= _words_after(option, slot, words)
                following.update(*inner)
    return result


def _count(parts: tuple[Part, ...]) -> int:
    return math.prod(sum(map(_count, part.options)) for part in parts if isinstance(part, Group))


def _expand(parts: tuple[Part, ...]) -> Iterator[tuple[Text | Place, ...]]:
    if not parts:
        yield ()
        return
    first, rest = parts[0], parts[1:]
    for tail in _expand(rest):
        if isinstance(first, Group):
            for option in first.options:
                for head in _expand(option):
                    yield head + tail
        else:
            yield (first, *tail)


def _draw(parts: tuple[Part, ...], random: Random) -> Iterator[Text | Place]:
    for part in parts:
        if isinstance(part, Group):
            yield from _draw(random.choice(part.options), random)
        else:
            yield part


def _grammar(parts: tuple[Part, ...], slots: Mapping[str, Node | None]) -> Node | None:
    nodes: list[Node] = []
    for part in parts:
        match part:
            case Text(text):
                nodes.append(phrase(text))
            case Place(slot, str(value), True):
                words = phrase(value)
                if words == Sequence(()):  # a symbol
                    return None
                nodes.append(Capture(slot, words))
            case Place(slot):
                node = slots[slot]
                if node is None:
                    return None
                nodes.append(Capture(slot, node))
            case Group(options):
                rows = [_grammar(option, slots) for option in options]
                filled = tuple(row for row, option in zip(rows, options, strict=True) if row is not None and option)
                if not filled and () not in options:
                    return None
                if filled:
                    node = filled[0] if len(filled) == 1 else Alternatives(filled)
                    nodes.append(Optional(node) if () in options else node)
    nodes = [node for node in nodes if node != Sequence(())]
    return sequence(*nodes)


def _merged(row: tuple[Text | Place, ...]) -> tuple[Part, ...]:
    """Return a sentence with neighbouring texts as one."""
    parts: list[Part] = []
    for part in row:
        if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text + part.text)
        else:
            parts.append(part)
    return tuple(parts)


def _without_repetition(value: str, segments: list[tuple[str, str | None]]) -> str:
    """Return a value without its first word if the sentence has the word already: `in {when}`, `in ten minutes`."""
    before = segments[-1][0].split() if segments else []
    word, _, rest = value.partition(" ")
    return rest if before and rest and before[-1].lower() == word.lower() and word.isalpha() else value


def _tidy(segments: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Drop spaces before punctuation and at the end."""
    for index, (text, slot) in enumerate(segments):
        following = segments[index + 1][0][:1] if index + 1 < len(segments) else ""
        if slot is None and (not following or following in ",.!?;:"):
            segments[index] = (text.rstrip(), None)
        elif slot is None:
            segments[index] = (re.sub(r" +([,.!?;:])", r"\1", text), None)
    return [segment for segment in segments if segment[0]]
