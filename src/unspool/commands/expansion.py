"""Training sentences of commands: templates and examples with sampled values, varied as people write and speak."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from random import Random

from unspool.commands.definition import Command
from unspool.commands.template import Place, Template, Text
from unspool.data.utterances import SlotSpan, Utterance

__all__ = ["expand_commands", "marked_example", "vary"]

Segment = tuple[str, str | None]
"""A part of a sentence, and the slot that it is the value of."""

_NOW = datetime(2026, 6, 3, 10, 0)  # examples hold values whatever the date
_ENUMERATED = 2000  # most choices of a template that are gone through in turn, not drawn
_TRIES = 30  # draws for one new sentence

_REQUESTS = (
    "please ", "please, ", "could you ", "can you ", "would you ", "could you please ", "can you please ",
    "i'd like you to ", "i want you to ", "i need you to ", "hey, ", "hey ", "hey, can you ", "ok ", "okay, ",
)  # fmt: skip
_CALLS = ("hey, ", "hey ", "ok ", "okay, ", "please, ", "so, ", "um, ")
_THANKS = (" please", " please", ", please", " thanks", ", thank you", " for me")
_QUESTIONS = frozenset((
    "what", "what's", "which", "who", "who's", "how", "how's", "when", "when's", "where", "where's", "why", "is",
    "are", "do", "does", "did", "will", "was", "can", "could", "would", "am", "i", "i'd", "i'm", "i'll", "please",
    "hey", "ok", "okay",
))  # fmt: skip


def expand_commands(commands: Sequence[Command], most: int, seed: int) -> list[Utterance]:
    """Return training sentences of commands, each text once, the same for the same seed.

    Args:
        commands: The commands; each gets about the same number of sentences, if its templates can give so many.
        most: Largest number of sentences of all commands together.
        seed: Seed of all random choices.
    """
    streams = {command.name: _variations(command, Random(f"{seed} {command.name}")) for command in commands}
    utterances: dict[str, Utterance] = {}
    waiting = [command.name for command in commands]
    while waiting and len(utterances) < most:
        for name in tuple(waiting):
            for utterance in itertools.islice(streams[name], _TRIES):
                if utterance.text not in utterances:
                    utterances[utterance.text] = utterance
                    break
            else:
                waiting.remove(name)
            if len(utterances) == most:
                break
    return list(utterances.values())


def marked_example(command: Command, example: Template) -> Template:
    """Return an example with the places of the values that the kinds of its slots find in it.

    A value is marked where the sentence holds exactly one value of the slot's kind, apart from marked ones.
    """
    parts: list[Text | Place] = [part for part in example.parts if isinstance(part, Text | Place)]
    marked = {part.slot for part in parts if isinstance(part, Place)}
    for slot in command.slots:
        if slot.name in marked:
            continue
        hits = [
            (index, start, end)
            for index, part in enumerate(parts)
            if isinstance(part, Text)
            for start, end, _ in slot.kind.find(part.text, _NOW)
        ]
        if len(hits) == 1:
            index, start, end = hits[0]
            text = parts[index].text if isinstance(parts[index], Text) else ""  # type: ignore[union-attr]
            parts[index : index + 1] = [Text(text[:start]), Place(slot.name, text[start:end]), Text(text[end:])]
    return Template(example.source, tuple(part for part in parts if part != Text("")))


def _variations(command: Command, random: Random) -> Iterator[Utterance]:
    """Yield sentences of a command without end, from all templates and examples in turn."""
    sources = [
        (template, _rows(template, random))
        for template in (
            *command.parsed_templates,
            *(marked_example(command, example) for example in command.parsed_examples),
        )
    ]
    kinds = {slot.name: slot.kind for slot in command.slots}

    def fill(place: Place) -> str:
        if place.value is not None and (
            place.fixed or random.random() < 0.3 or (kinds[place.slot].name == "text" and random.random() < 0.5)
        ):
            return place.value
        return kinds[place.slot].sample(random)

    for template, rows in itertools.cycle(sources):
        segments = vary(template.render(next(rows), fill), random)
        yield _utterance(segments, command, template.source)


def _rows(template: Template, random: Random) -> Iterator[tuple[Text | Place, ...]]:
    """Yield choices of a template's options without end; each of them in turn if there are few."""
    if template.count > _ENUMERATED:
        while True:
            yield template.draw(random)
    rows = list(template.choices())
    while True:
        random.shuffle(rows)
        yield from rows


def vary(segments: list[Segment], random: Random) -> list[Segment]:
    """Add politeness, capitals and punctuation, or drop punctuation; the values stay as they are."""
    segments = list(segments)
    first = segments[0][0].lower().split()[0] if segments and segments[0][0].strip() else ""
    is_polite = any("please" in text.lower() for text, _ in segments)
    if random.random() < 0.3 and not is_polite:
        segments.insert(0, (random.choice(_CALLS if first in _QUESTIONS else _REQUESTS), None))
        is_polite = "please" in segments[0][0]
        if segments[1][1] is None:
            segments[1] = (_uncapitalized(segments[1][0]), None)
    ends_in_mark = bool(segments) and segments[-1][0][-1:] in ".!?"
    if random.random() < 0.12 and not ends_in_mark and not is_polite and first not in _QUESTIONS:
        segments.append((random.choice(_THANKS), None))
    style = random.random()
    if style < 0.3:
        segments = _capitalized(segments)
        if not ends_in_mark and style < 0.22:
            segments.append(("?" if first in _QUESTIONS else random.choice("...!"), None))
    elif style < 0.7:  # as a speech recogniser writes
        plain = [(re.sub(r"[^\w\s'%-]", "", text) if slot is None else text, slot) for text, slot in segments]
        segments = [(text.lower() if slot is None else text, slot) for text, slot in plain]
    return [segment for segment in segments if segment[0]]


def _capitalized(segments: list[Segment]) -> list[Segment]:
    text, slot = segments[0]
    return [(text[:1].upper() + text[1:] if len(text[:1].upper()) == 1 else text, slot), *segments[1:]]


def _uncapitalized(text: str) -> str:
    """Return a text with its first word in lower case, unless it has capitals inside."""
    word = text.split()[0] if text.split() else ""
    return text.replace(word, word.lower(), 1) if word[1:].islower() and word != "I" else text


def _utterance(segments: list[Segment], command: Command, source: str) -> Utterance:
    text, spans = "", []
    for part, slot in segments:
        if slot is not None:
            spans.append(SlotSpan(slot, len(text), len(text) + len(part)))
        text += part
    stripped = text.rstrip()
    lead = len(stripped) - len(stripped.lstrip())
    spans = [SlotSpan(slot, start - lead, end - lead) for slot, start, end in spans]
    return Utterance(f"{command.name}: {source!r}", stripped.lstrip(), (command.name,), tuple(spans))
