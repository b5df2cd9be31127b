"""A small generated language: tagged sentences, labelled texts, running text and translations, equal on every machine.

A grammar draws sentences from word lists with Zipf's frequencies. Some words belong to two classes, adjectives have a
polarity that a negation turns round, and the translation moves adjectives behind nouns and verbs to the end.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Sentence", "SmallLanguage"]

_SIZES = {"NOUN": 400, "VERB": 200, "ADJ": 160, "ADV": 40, "PROPN": 120}
_SUFFIXES = {"NOUN": ("ness", "or", "um"), "VERB": ("ate", "is"), "ADJ": ("ful", "ic"), "ADV": ("ly",), "PROPN": ("",)}
_SHIFT = str.maketrans("bdgpktaeiou", "pktbgdeiaou")
_NEGATION = "ne"
_NOISE = 0.08  # share of labels that are turned round


@dataclass
class Sentence:
    """One sentence with all that the four tasks need."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    translation: list[str] = field(default_factory=list)
    polarity: int = 0

    def add(self, word: str, tag: str) -> None:
        """Append a word with its tag."""
        self.words.append(word)
        self.tags.append(tag)


class SmallLanguage:
    """The word lists and the grammar.

    Args:
        seed: Seed of the sentences; the word lists are always the same.
    """

    def __init__(self, seed: int = 0) -> None:
        letters = random.Random(1)
        self.words = {tag: [_word(letters, tag) for _ in range(size)] for tag, size in _SIZES.items()}
        self.words["VERB"][::6] = self.words["NOUN"][: len(self.words["VERB"][::6])]  # words of two classes
        self.random = random.Random(seed)

    def sentences(self, count: int) -> Iterator[Sentence]:
        """Draw sentences."""
        for _ in range(count):
            yield self._sentence()

    def write(self, task: str, path: Path, count: int) -> Path:
        """Write a file of some sentences in the form that a task reads."""
        form = {"classify": _labelled, "tag": _tagged, "write": _plain, "translate": _parallel}[task]
        lines = (form(sentence, self.random) for sentence in self.sentences(count))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _sentence(self) -> Sentence:
        sentence = Sentence()
        subject = self._phrase(sentence)
        negated = self.random.random() < 0.25
        if negated:
            sentence.add(_NEGATION, "PART")
        if self.random.random() < 0.4:
            sentence.add(self._draw("ADV"), "ADV")
        verb = self._draw("VERB")
        sentence.add(verb, "VERB")
        target = self._phrase(sentence)
        if self.random.random() < 0.3:
            sentence.add(self.random.choice(["sub", "ad", "in", "per"]), "ADP")
            target += [_shifted(sentence.words[-1]), *self._phrase(sentence)]
        sentence.add(".", "PUNCT")
        ending = [_NEGATION + "k"] * negated + [_shifted(verb) + "en", "."]
        sentence.translation = [*subject, *target, *ending]
        sentence.polarity = -sentence.polarity if negated else sentence.polarity
        return sentence

    def _phrase(self, sentence: Sentence) -> list[str]:
        """Append a noun phrase; return its translation."""
        if self.random.random() < 0.25:
            name = self._draw("PROPN").capitalize()
            sentence.add(name, "PROPN")
            return [name]
        determiner = self.random.choice(["le", "un"])
        sentence.add(determiner, "DET")
        adjectives = [self._draw("ADJ") for _ in range(self.random.choice([0, 1, 1, 2]))]
        for adjective in adjectives:
            sentence.add(adjective, "ADJ")
            sentence.polarity += 1 if self.words["ADJ"].index(adjective) % 2 else -1
        noun = self._draw("NOUN")
        sentence.add(noun, "NOUN")
        gender = "ar"[len(noun) % 2]
        return [determiner[0] + gender, _shifted(noun), *(_shifted(adjective) + gender for adjective in adjectives)]

    def _draw(self, tag: str) -> str:
        words = self.words[tag]
        return words[int(len(words) ** self.random.random()) - 1]


def _word(letters: random.Random, tag: str) -> str:
    syllables = (letters.choice("bdgklmnprstv") + letters.choice("aeiou") for _ in range(letters.choice([1, 2, 2, 3])))
    return "".join(syllables) + letters.choice("lmnrst") + letters.choice((*_SUFFIXES[tag], ""))


def _shifted(word: str) -> str:
    return word.translate(_SHIFT)


def _labelled(sentence: Sentence, noise: random.Random) -> str:
    positive = sentence.polarity > 0 if sentence.polarity else len(sentence.words[0]) % 2 == 0
    return f"{'up' if positive ^ (noise.random() < _NOISE) else 'down'}\t{_plain(sentence, noise)}"


def _tagged(sentence: Sentence, noise: random.Random) -> str:
    return "\n".join(f"{word} {tag}" for word, tag in zip(sentence.words, sentence.tags, strict=True)) + "\n"


def _plain(sentence: Sentence, noise: random.Random) -> str:
    return " ".join(sentence.words)


def _parallel(sentence: Sentence, noise: random.Random) -> str:
    return f"{_plain(sentence, noise)}\t{' '.join(sentence.translation)}"
