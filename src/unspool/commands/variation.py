"""Variations of training sentences: politeness, clauses around a request, capitals, punctuation, and unknown verbs."""

from __future__ import annotations

import re
from random import Random

from unspool.commands.stop_words import STOP_WORDS

__all__ = ["Segment", "reword", "vary"]

Segment = tuple[str, str | None]
"""A part of a sentence, and the slot that it is the value of."""

_MADE_UP = 0.12  # share of sentences with a made-up verb
_DROPPED = 0.05  # share of sentences without one of their stop words
_DROPPABLE = frozenset(("the", "a", "an", "my", "our", "me", "please"))
_REQUESTS = (
    "please ", "please, ", "could you ", "can you ", "would you ", "could you please ", "can you please ",
    "i'd like you to ", "i want you to ", "i need you to ", "hey, ", "hey ", "hey, can you ", "ok ", "okay, ",
)  # fmt: skip
_CALLS = ("hey, ", "hey ", "ok ", "okay, ", "please, ", "so, ", "um, ")
_CLAUSES = (
    "for the trip, ", "for tonight, ", "for the party, ", "when you get a moment, ", "before i forget, ", "oh and ",
    "one more thing, ", "while you're at it, ", "quick one, ", "i'm off to bed, ", "i'm busy, ", "i'm cooking, ",
    "it's late, ", "guests are coming, ", "listen, ", "right, ", "sorry, ", "actually, ", "now ", "next, ", "also, ",
)  # fmt: skip
_ENDINGS = (" now", " right now", " when you can", " if you can", " will you", " would you", " quickly", " if possible")
_ONSETS, _NUCLEI, _CODAS = (
    tuple(text.split())
    for text in (
        "b bl br ch cl d dr fl g gl gr h j k l m n p pl pr qu r s sc sh sl sn sp st sw t tr tw v w wh z",
        "a e i o u ea oo ai ou",
        "b d ff ll m mp n nd ng nt p rk rn sh sk st tch zz",
    )
)
_THANKS = (" please", " please", ", please", " thanks", ", thank you", " for me")
_QUESTIONS = frozenset((
    "what", "what's", "which", "who", "who's", "how", "how's", "when", "when's", "where", "where's", "why", "is",
    "are", "do", "does", "did", "will", "was", "can", "could", "would", "am", "i", "i'd", "i'm", "i'll", "please",
    "hey", "ok", "okay",
))  # fmt: skip


def reword(segments: list[Segment], random: Random) -> list[Segment]:
    """Replace the verb at the beginning by a made-up one, or drop a stop word, in few of the sentences.

    A model learns from a made-up verb that an unknown word before a value, `bung`, is no part of the value. The verb
    stays if no other content word is left, without which the sentence would ask for nothing.
    """
    chance = random.random()
    if not segments or segments[0][1] is not None or all(slot is None for _, slot in segments):
        return segments
    first, *rest = segments[0][0].split(" ")
    texts = " ".join([*rest, *(text for text, slot in segments[1:] if slot is None)])
    if chance < _MADE_UP and first.isalpha() and first.lower() not in STOP_WORDS and _content_words(texts):
        return [(" ".join([_made_up_verb(random), *rest]), None), *segments[1:]]
    if chance > 1 - _DROPPED:
        return _without_a_stop_word(segments, random)
    return segments


def vary(segments: list[Segment], random: Random) -> list[Segment]:
    """Add politeness, clauses, capitals and punctuation, or drop punctuation; the values stay as they are."""
    segments = list(segments)
    first = segments[0][0].lower().split()[0] if segments and segments[0][0].strip() else ""
    is_polite = any("please" in text.lower() for text, _ in segments)
    opening = random.random()
    if segments and opening < 0.38 and not (is_polite and opening < 0.3):
        before = _CLAUSES if opening >= 0.3 else _CALLS if first in _QUESTIONS else _REQUESTS
        segments.insert(0, (random.choice(before), None))
        is_polite = is_polite or "please" in segments[0][0]
        if segments[1][1] is None:
            segments[1] = (_uncapitalized(segments[1][0]), None)
    ends_in_mark = bool(segments) and segments[-1][0][-1:] in ".!?"
    if random.random() < 0.05 and not ends_in_mark and first not in _QUESTIONS and not _is_open(segments):
        segments.append((random.choice(_ENDINGS), None))
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


def _content_words(text: str) -> list[str]:
    return [word for word in re.findall(r"[^\W\d_]+", text.lower()) if word not in STOP_WORDS and len(word) > 2]


def _made_up_verb(random: Random) -> str:
    return random.choice(_ONSETS) + random.choice(_NUCLEI) + random.choice(_CODAS)


def _without_a_stop_word(segments: list[Segment], random: Random) -> list[Segment]:
    """Drop one article or pronoun from the text around the values."""
    places = [
        (index, place)
        for index, (text, slot) in enumerate(segments)
        if slot is None
        for place, word in enumerate(text.split(" "))
        if word.lower() in _DROPPABLE
    ]
    if not places:
        return segments
    index, place = random.choice(places)
    words = segments[index][0].split(" ")
    del words[place]
    return [*segments[:index], (" ".join(words), None), *segments[index + 1 :]]


def _is_open(segments: list[Segment]) -> bool:
    """Return whether a sentence ends in a value of several words, which may be free text."""
    text, slot = segments[-1]
    return slot is not None and " " in text


def _capitalized(segments: list[Segment]) -> list[Segment]:
    text, slot = segments[0]
    return [(text[:1].upper() + text[1:] if len(text[:1].upper()) == 1 else text, slot), *segments[1:]]


def _uncapitalized(text: str) -> str:
    """Return a text with its first word in lower case, unless it has capitals inside."""
    word = text.split()[0] if text.split() else ""
    return text.replace(word, word.lower(), 1) if word[1:].islower() and word != "I" else text
