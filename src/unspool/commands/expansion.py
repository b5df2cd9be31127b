"""Training sentences of commands: templates and examples with sampled values, varied as people write and speak."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from random import Random

from unspool.commands.background import everyday_sentences
from unspool.commands.definition import Command
from unspool.commands.kinds.text import TextKind
from unspool.commands.phrases import sample_phrase
from unspool.commands.template import Place, Template, Text
from unspool.commands.variation import Segment, reword, vary
from unspool.data.utterances import SlotSpan, Utterance

__all__ = ["expand_commands", "marked_example"]

_NOW = datetime(2026, 6, 3, 10, 0)  # examples hold values whatever the date
_ENUMERATED = 2000  # most choices of a template that are gone through in turn, not drawn
_TOLD_BEFORE = 0.05  # share of sentences after a statement: `my back hurts, set a timer`
_PREPOSITIONS = ("for", "about", "of", "with", "during")
_SUBJECTS = frozenset(("i", "i'm", "it's", "the", "he", "she", "we", "my", "mum", "dad", "someone", "nobody"))
_TRIES = 30  # draws for one new sentence


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
    before: dict[str, str] = {}  # the word before each value

    def fill(place: Place) -> str:
        if place.value is not None and (
            place.fixed or random.random() < 0.3 or (kinds[place.slot].name == "text" and random.random() < 0.5)
        ):
            return place.value
        kind = kinds[place.slot]
        if isinstance(kind, TextKind) and kind.topic == "tasks" and before.get(place.slot) in _PREPOSITIONS:
            return sample_phrase("events", random)  # to call mum, but for the call
        return kind.sample(random)

    for template, rows in itertools.cycle(sources):
        row = next(rows)
        before.clear()
        for text, place in itertools.pairwise(row):
            if isinstance(text, Text) and isinstance(place, Place):
                before[place.slot] = (text.text.split() or [""])[-1].lower()
        segments = reword(template.render(row, fill), random)
        if random.random() < _TOLD_BEFORE:
            segments = [(f"{random.choice(_statements())}, ", None), *segments]
        segments = vary(segments, random)
        yield _utterance(segments, command, template.source)


@cache
def _statements() -> tuple[str, ...]:
    """Return the everyday sentences that state something."""
    return tuple(each for each in everyday_sentences() if each.split()[0] in _SUBJECTS and len(each.split()) < 9)


def _rows(template: Template, random: Random) -> Iterator[tuple[Text | Place, ...]]:
    """Yield choices of a template's options without end; each of them in turn if there are few."""
    if template.count > _ENUMERATED:
        while True:
            yield template.draw(random)
    rows = list(template.choices())
    while True:
        random.shuffle(rows)
        yield from rows


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
