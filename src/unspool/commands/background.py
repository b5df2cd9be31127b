"""Training sentences out of scope: everyday sentences, and near misses made from the sentences of commands."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from random import Random

from unspool.commands.definition import Command
from unspool.commands.grammar import spoken_words
from unspool.commands.kinds.choice import ChoiceKind
from unspool.commands.kinds.lists import ListKind
from unspool.commands.stop_words import STOP_WORDS
from unspool.commands.template import Group, Part, Place, Text
from unspool.commands.variation import vary
from unspool.data.utterances import SlotSpan, Utterance

__all__ = ["background", "corrupted", "everyday_sentences"]

_TRIES = 30  # draws for one new sentence
_ROWS = 2000  # sentences of a template that are compared with those of the background
_VALUES = 0.2  # share of near misses that are the value of a slot alone
_REPEATED = 4  # occurrences of a value, on average, from which a slot counts as a choice
_NOT_ASKED = 0.3  # share of near misses that tell of a command, forbid it, or ask about a state
_TOLD = (
    "did you ", "did i ", "did anyone ", "don't ", "do not ", "why did you ", "who told you to ", "you never ",
    "he forgot to ", "she said to ", "when did i ", "how often do you ", "they wanted to ", "i would never ",
    "who used to ", "it is hard to ", "who ",
)  # fmt: skip
_UNDONE = 0.35  # share of near misses that ask for the opposite of a command
_UNDO = ("remove", "delete", "erase", "cancel", "clear", "undo", "drop", "scratch", "strike", "cross", "take")
_VERB = re.compile(r"[^\W\d_]+(?: (?:me|up|down))*(?= )")
_AWAY = {"from": ("remove", "delete", "erase", "drop", "take"), "off": ("take", "take", "cross", "scratch", "strike")}
"""Prepositions that replace `to` and `on`, with verbs: `add eggs to my list` becomes `take eggs off my list`."""
_ASKED = ("is ", "are ", "was ", "were ", "why is ", "why are ")
_ABOUT_A_STATE = frozenset((
    "is", "are", "was", "were", "did", "does", "do", "has", "have", "had", "who", "who's", "whose", "which", "why",
    "when", "when's", "where", "where's", "should", "isn't", "aren't", "wasn't", "didn't", "doesn't",
    "what", "what's", "how",
))  # fmt: skip
"""First words of questions: with such a word, a sentence of a command begins with it too, or means something else."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@cache
def everyday_sentences() -> tuple[str, ...]:
    """Return the everyday sentences of the package: lower case, without final punctuation, each once."""
    lines = files("unspool.commands").joinpath("background.txt").read_text(encoding="utf-8").splitlines()
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def background(commands: Iterable[Command], *, most: int, seed: int) -> list[Utterance]:
    """Return everyday sentences that ask for none of the commands, varied in politeness, case and punctuation.

    A sentence that a command may mean is left out, by the words of the command: those of its templates and examples,
    and those of its choices. A command may mean a sentence if the command has all of its content words. It may also
    mean a sentence that begins with a content word of the command's beginnings, and has one more of its words, apart
    from values that it does not need: `turn on the radio in the kitchen` asks for no light. A question such as `is the
    light on` is no command, unless a template begins with its first word.

    Args:
        commands: The commands.
        most: Largest number of sentences; each text occurs once.
        seed: Seed of all random choices; the same seed gives the same sentences.
    """
    meanings = [_Meaning(command) for command in commands]
    sentences = [
        sentence
        for sentence in everyday_sentences()
        if not any(meaning.may_be(spoken_words(sentence)) for meaning in meanings)
    ]
    random = Random(f"{seed} background")
    return _distinct(_varied(sentences, random), most, set())


def corrupted(utterances: Sequence[Utterance], *, most: int, seed: int) -> list[Utterance]:
    """Return near misses: sentences in the form of commands, without their meaning.

    Most keep the values and the stop words of a command's sentence. Random words of everyday sentences replace its
    other words: `set a timer for ten minutes` becomes `paint a whale for ten minutes`. Words of choices are
    replaced too, since `six times seven` is a command by its operation alone; a slot counts as a choice if its values
    repeat, on average, four times. Others are the value of one slot alone, `ten minutes`. A model learns from both
    that values are no sign of a command. Others ask for the opposite of a command: `cancel a timer for ten minutes`,
    `take eggs off my list`. The rest tell of a command, forbid it, or ask about a state: `did you set a timer`,
    `is the light on`. A sentence without its value is no near miss: a dialogue asks for the value.

    Args:
        utterances: Training sentences of the commands. No near miss has the words of one of them.
        most: Largest number of near misses; each text occurs once.
        seed: Seed of all random choices; the same seed gives the same near misses.
    """
    utterances = [each for each in utterances if each.intents]
    of_commands = {word for each in utterances for word in spoken_words(each.text)}
    choices = _choices(utterances)
    words = sorted(_content(everyday_sentences()) - of_commands)
    taken = {spoken_words(each.text) for each in utterances}
    random = Random(f"{seed} corrupted")
    verbs = _other_verbs(utterances)
    return _distinct(_near_misses(utterances, choices, words, verbs, random), most, taken)


class _Meaning:
    """The words of one command: all of them, those at the beginning of its sentences, and its fixed sentences."""

    def __init__(self, command: Command) -> None:
        self.words: set[str] = set()
        self.beginnings: set[str] = set()
        self.sentences: set[tuple[str, ...]] = set()
        self.openings: set[str] = set()
        self.needed: set[str] = set()  # words apart from the values of optional arguments
        optional = {slot.name for slot in command.slots if not slot.required}
        for slot in command.slots:
            kind = slot.kind.item if isinstance(slot.kind, ListKind) else slot.kind
            if isinstance(kind, ChoiceKind):
                of_choices = {word for form in kind.forms for word in spoken_words(form)}
                self.words |= of_choices
                self.needed |= of_choices if slot.required else set()
        for template in (*command.parsed_templates, *command.parsed_examples):
            for text, slot_name in _texts(template.parts):
                self.words.update(spoken_words(text))
                self.needed.update(() if slot_name in optional else spoken_words(text))
            for row in itertools.islice(template.choices(), _ROWS):
                words = [word for part in row if isinstance(part, Text) for word in _spoken(part.text)]
                self.beginnings.update(words[:1])
                if row and isinstance(row[0], Text):
                    self.openings.update(words[:1])
                if all(isinstance(part, Text) for part in row):
                    self.sentences.add(tuple(words))
        self.words -= STOP_WORDS
        self.beginnings -= STOP_WORDS

    def may_be(self, words: tuple[str, ...]) -> bool:
        """Return whether the command may mean a sentence."""
        content = [word for word in words if word not in STOP_WORDS]
        shared = self.words & set(content)
        if words in self.sentences:
            return True
        if words and words[0] in _ABOUT_A_STATE - self.openings:
            return False
        if content and len(shared) == len(set(content)):
            return True
        return bool(content) and content[0] in self.beginnings and bool(shared & self.needed - {content[0]})


_spoken = lru_cache(maxsize=1000)(spoken_words)  # the rows of a template repeat its few texts


def _texts(parts: tuple[Part, ...]) -> Iterator[tuple[str, str | None]]:
    """Yield all words of a template: texts with None, and marked values with their slots."""
    for part in parts:
        match part:
            case Text(text):
                yield text, None
            case Place(slot, str(value)):
                yield value, slot
            case Group(options):
                for option in options:
                    yield from _texts(option)


def _content(sentences: Iterable[str]) -> set[str]:
    words = {word for sentence in sentences for word in spoken_words(sentence)}
    return {word for word in words - STOP_WORDS if word.isalpha() and len(word) > 2}


def _varied(sentences: Sequence[str], random: Random) -> Iterator[str]:
    """Yield sentences in random order, then again in other variations, without end."""
    order = list(sentences)
    while order:
        random.shuffle(order)
        for sentence in order:
            yield "".join(text for text, _ in vary([(sentence, None)], random)).strip()


def _near_misses(
    utterances: Sequence[Utterance],
    choices: frozenset[tuple[str, str]],
    words: Sequence[str],
    verbs: Mapping[str, Sequence[str]],
    random: Random,
) -> Iterator[str]:
    order = list(utterances) if words else []
    while order:
        random.shuffle(order)
        for each in order:
            values = [span for span in each.slots if (each.intents[0], span.slot) not in choices]
            if values and random.random() < _VALUES:
                span = random.choice(values)
                yield each.text[span.start : span.end]
            elif random.random() < _UNDONE and (opposite := _opposite(each, choices, verbs[each.intents[0]], random)):
                yield opposite
            elif random.random() < _NOT_ASKED and (openings := _openings(each, choices)):
                yield random.choice(openings) + each.text[0].lower() + each.text[1:]
            else:
                yield _replaced(each.text, values, words, random)


def _other_verbs(utterances: Sequence[Utterance]) -> dict[str, list[str]]:
    """Return, for each command, the verbs of its opposite that none of its sentences has."""
    own: dict[str, set[str]] = {}
    for each in utterances:
        own.setdefault(each.intents[0], set()).update(spoken_words(each.text))
    return {name: [verb for verb in _UNDO if verb not in own[name]] for name in own}


def _opposite(utterance: Utterance, choices: frozenset[tuple[str, str]], verbs: Sequence[str], random: Random) -> str:
    """Return a sentence with a verb of taking away, and the preposition that goes with it: `take eggs off my list`.

    Empty if the sentence does not begin with a verb, or its first value is a choice, which may say what to do.
    """
    first = _VERB.match(utterance.text)
    if first is None or not utterance.slots or not verbs or first[0].split()[0].lower() in STOP_WORDS:
        return ""
    value = utterance.slots[0]
    if value.start <= first.end() - 1 or (utterance.intents[0], value.slot) in choices:
        return ""
    rest = utterance.text[value.end :]
    away = random.choice(tuple(_AWAY))
    fitting = [verb for verb in _AWAY[away] if verb in verbs]
    if fitting and (preposition := re.match(r" (to|onto|on|in)\b", rest)) is not None:
        verbs, rest = fitting, f" {away}{rest[preposition.end() :]}"
    return f"{random.choice(verbs)}{utterance.text[first.end() : value.end]}{rest}"


def _openings(utterance: Utterance, choices: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    """Return the words before a command's sentence that make it a report of a request, or a question about a state."""
    words = spoken_words(utterance.text)
    first = next((span for span in utterance.slots if span.start == 0), None)
    if not words or first is not None:
        is_choice = first is not None and (utterance.intents[0], first.slot) in choices
        return tuple(f"{asked}the " for asked in _ASKED) if is_choice else ()
    return _ASKED if words[0] == "the" else () if words[0] in STOP_WORDS else _TOLD


def _choices(utterances: Sequence[Utterance]) -> frozenset[tuple[str, str]]:
    """Return the slots, with their intents, whose values repeat so often that they are choices."""
    values: dict[tuple[str, str], list[str]] = {}
    for each in utterances:
        for span in each.slots:
            values.setdefault((each.intents[0], span.slot), []).append(each.text[span.start : span.end].lower())
    return frozenset(slot for slot, texts in values.items() if len(texts) >= _REPEATED * len(set(texts)))


def _replaced(text: str, values: Sequence[SlotSpan], words: Sequence[str], random: Random) -> str:
    """Return a text with random words in place of its content words, except in values."""
    result, end = "", 0
    for word in _WORD.finditer(text):
        is_value = any(span.start < word.end() and word.start() < span.end for span in values)
        if is_value or word[0].lower().replace("’", "'") in STOP_WORDS:
            continue
        new = random.choice(words)
        result += text[end : word.start()] + (new.capitalize() if word[0][0].isupper() else new)
        end = word.end()
    return result + text[end:]


def _distinct(texts: Iterator[str], most: int, taken: set[tuple[str, ...]]) -> list[Utterance]:
    """Return the first distinct texts without the words of `taken`; stop when no new one comes."""
    unique: dict[str, None] = {}
    failures = 0
    while len(unique) < most and failures < _TRIES * (len(unique) + 10):
        text = next(texts, None)
        if text is None:
            break
        if text in unique or (taken and spoken_words(text) in taken):
            failures += 1
            continue
        unique[text] = None
        failures = 0
    return [Utterance("background", text, ()) for text in unique]
