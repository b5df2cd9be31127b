"""Generator of sentences for subject-verb agreement: predict the verb's number from the words before it.

"The flights the airline was cancelling **were** full": the verb agrees with its subject, however many nouns stand
between them. These nouns, the *attractors*, may have the other number. Neither word counts, nor the last noun, nor the
first noun solve the task, since some sentences open with another noun.
After Linzen et al. 2016, arXiv:1611.01368.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

from unspool.errors import UsageError
from unspool.samples.grammar import ADVERBS, KINDS, OPENINGS, PREPOSITIONS, VERBS, Noun, Verb

__all__ = ["EXAMPLE", "LABELS", "AgreementExample", "generate", "minimal_pair", "train_and_test", "write_tsv"]

Label = Literal["singular", "plural"]
LABELS: tuple[Label, ...] = ("singular", "plural")
T = TypeVar("T")

_NOUNS = [noun for kind in KINDS.values() for noun in kind.nouns]
_OTHER_NUMBER = {one: other for noun in _NOUNS for one, other in (noun, noun[::-1])}
_COLUMNS = ("text", "label", "attractors", "disagreeing", "verb", "ending")


@dataclass(frozen=True)
class AgreementExample:
    """One sentence up to its main verb, and the number of the verb."""

    words: tuple[str, ...]
    """The words before the main verb."""
    label: Label
    """The number of the subject."""
    attractors: int
    """Number of nouns between the subject and the verb."""
    disagreeing: int
    """Number of attractors that differ from the subject in number."""
    verb: str
    """The verb in the right number."""
    ending: str
    """The words after the verb; may be empty."""

    @property
    def agreeing(self) -> int:
        """Number of attractors that agree with the subject in number."""
        return self.attractors - self.disagreeing

    @property
    def subject(self) -> int:
        """Index of the subject in `words`: only attractors follow it, among the nouns."""
        nouns = [place for place, word in enumerate(self.words) if word in _OTHER_NUMBER]
        return nouns[-1 - self.attractors]

    @property
    def text(self) -> str:
        """The words before the verb, with blanks between."""
        return " ".join(self.words)

    @property
    def sentence(self) -> str:
        """The whole sentence."""
        return f"{self.text} {self.verb} {self.ending}".strip()


EXAMPLE = AgreementExample(("the", "flights", "the", "airline", "was", "cancelling"), "plural", 1, 1, "were", "full")


def generate(
    count: int,
    seed: int = 0,
    *,
    max_attractors: int = 4,
    min_attractors: int = 0,
    exclude: Iterable[Sequence[str]] = (),
) -> list[AgreementExample]:
    """Generate distinct sentences, half of them singular, with equally many for each number of attractors.

    The same arguments give the same sentences on every machine and Python version. `EXAMPLE` is never among them.

    Args:
        count: Number of sentences.
        seed: Seed of the random generator.
        max_attractors: Most nouns between subject and verb, 0 to 6.
        min_attractors: Fewest nouns between subject and verb, 0 to `max_attractors`.
        exclude: Words of sentences to exclude.

    Raises:
        UsageError: If the numbers of attractors are out of range, or the grammar has too few distinct sentences.
    """
    if not 0 <= min_attractors <= max_attractors <= 6:
        raise UsageError(f"attractors from {min_attractors} to {max_attractors}: expected at least 0 and at most 6")
    used = {EXAMPLE.words, *map(tuple, exclude)}
    random = Random(seed)
    examples: list[AgreementExample] = []
    failures = 0
    while len(examples) < count:
        label = LABELS[len(examples) % 2]
        attractors = min_attractors + len(examples) // 2 % (max_attractors - min_attractors + 1)
        example = _Sentence(random).write(label, attractors)
        if example is None or example.words in used:
            failures += 1
            if failures > 1000:
                raise UsageError(f"the grammar has too few sentences with {attractors} attractors for {count} examples")
            continue
        failures = 0
        used.add(example.words)
        examples.append(example)
    return _shuffled(examples, random)


def train_and_test(
    train: int,
    test: int,
    seed: int = 0,
    *,
    max_attractors: int = 4,
    test_max_attractors: int | None = None,
) -> tuple[list[AgreementExample], list[AgreementExample]]:
    """Generate two disjoint sets of sentences.

    Args:
        train: Number of sentences in the first set.
        test: Number of sentences in the second set.
        seed: Seed of the random generator.
        max_attractors: Most nouns between subject and verb, 0 to 6.
        test_max_attractors: The same for the second set; None: `max_attractors`.

    Raises:
        UsageError: As `generate`.
    """
    first = generate(train, seed, max_attractors=max_attractors)
    most = max_attractors if test_max_attractors is None else test_max_attractors
    second = generate(test, seed + 1_000_003, max_attractors=most, exclude=[example.words for example in first])
    return first, second


def write_tsv(path: Path, examples: Iterable[AgreementExample]) -> None:
    """Write examples as TSV with a header: text, label, attractors, disagreeing, verb, ending."""
    lines = ["\t".join(_COLUMNS)]
    lines += ["\t".join(str(getattr(example, column)) for column in _COLUMNS) for example in examples]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def minimal_pair(example: AgreementExample) -> tuple[str, str]:
    """Return the text of a sentence, and the same text with its subject in the other number."""
    other = list(example.words)
    other[example.subject] = _OTHER_NUMBER[example.words[example.subject]]
    return example.text, " ".join(other)


class _DeadEnd(Exception):  # noqa: N818 - not an error: the generator draws another sentence
    """The grammar has no continuation for a draw."""


class _Sentence:
    """Draws one sentence, without repeating a noun."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.used: set[Noun] = set()
        self.attractors: list[bool] = []  # whether each is plural

    def write(self, label: Label, attractors: int) -> AgreementExample | None:
        """Draw a sentence with a number of attractors; None if the draw ends in a dead end."""
        plural = label == "plural"
        past = self.chance(0.5)
        kind = self.pick(tuple(KINDS))
        try:
            opening = self.opening(kind, past) if self.chance(0.5) else []
            subject = self.noun_phrase(kind, plural)
            modifiers = self.modifiers(kind, attractors, past, relatives=2)
        except _DeadEnd:
            return None
        adverb, verb, ending = self.predicate(kind, plural, past)
        words = (*opening, *subject, *modifiers, *adverb)
        return AgreementExample(words, label, attractors, self.attractors.count(not plural), verb, ending)

    def opening(self, subject: str, past: bool) -> list[str]:
        """When the guests arrived ... / the guards from the bank said that ..."""
        opening = self.pick([each for each in OPENINGS if subject in each.subjects.split() and (past or not each.past)])
        kind = self.pick(opening.nouns.split())
        noun = self.noun_phrase(kind, self.chance(0.5))
        more = self.modifiers(kind, 1, past, relatives=0) if self.chance(0.3) else []
        self.attractors.clear()  # these nouns stand before the subject
        return [*opening.before.split(), *noun, *more, *self.pick(opening.after).split()]

    def noun_phrase(self, kind: str, plural: bool) -> list[str]:
        """The old letters."""
        entry = KINDS[kind]
        noun = self.pick(_not_empty([noun for noun in entry.nouns if noun not in self.used]))
        self.used.add(noun)
        determiner = self.pick(entry.determiners[1:]) if len(entry.determiners) > 1 and self.chance(0.15) else "the"
        adjective = [self.pick(entry.adjectives)] if self.chance(0.2) else []
        return [determiner, *adjective, noun.plural if plural else noun.singular]

    def attractor(self, kind: str) -> list[str]:
        """A noun phrase of either number that is not the subject."""
        self.attractors.append(self.chance(0.5))
        return self.noun_phrase(kind, self.attractors[-1])

    def modifiers(self, kind: str, nouns: int, past: bool, relatives: int) -> list[str]:
        """Draw the modifiers of a noun: one clause, or one or two prepositional phrases.

        Args:
            kind: Kind of the noun.
            nouns: Number of nouns in the modifiers.
            past: Whether the sentence is in the past tense.
            relatives: Most levels of nested relative clauses.
        """
        if nouns == 0:
            return []
        if relatives and self.chance(0.55):
            clause = self.pick([self.object_relative, self.subject_relative, self.participle])
            return clause(kind, nouns, past, relatives)
        second = self.below(nouns) if self.chance(0.3) else 0
        first = self.prepositional_phrase(kind, nouns - second, past, 0 if second else relatives)
        return first + (self.prepositional_phrase(kind, second, past, relatives) if second else [])

    def prepositional_phrase(self, kind: str, nouns: int, past: bool, relatives: int) -> list[str]:
        """Near the doors ..."""
        prepositions, kinds = self.pick(_not_empty([rest for heads, *rest in PREPOSITIONS if kind in heads.split()]))
        preposition, other = self.pick(prepositions.split(", ")), self.pick(kinds.split())
        return [preposition, *self.attractor(other), *self.modifiers(other, nouns - 1, past, relatives)]

    def object_relative(self, kind: str, nouns: int, past: bool, relatives: int) -> list[str]:
        """(That) the airline was cancelling; only prepositional phrases stand between its subject and its verb."""
        subjects, verb = self.verb_with(kind, as_object=True)
        that = ["that"] if self.chance(0.4) else []
        subject = self.attractor(subjects)
        plural = self.attractors[-1]
        inside = self.modifiers(subjects, nouns - 1, past, relatives=0)
        return [*that, *subject, *inside, *self.relative_verb(verb, plural, past)]

    def relative_verb(self, verb: Verb, plural: bool, past: bool) -> list[str]:
        """Draw mostly the past tense, which has no number; sometimes a form with a number."""
        if self.chance(0.65):
            return [verb.past]
        if verb.ing and self.chance(0.7):
            return [_be(plural, past), verb.ing]
        return [verb.past] if past else [verb.base if plural else verb.third]

    def subject_relative(self, kind: str, nouns: int, past: bool, relatives: int) -> list[str]:
        """Who helped the children; always in the past tense, which does not reveal the number of the noun."""
        objects, verb = self.verb_with(kind, as_object=False)
        rest = self.attractor(objects) + self.modifiers(objects, nouns - 1, past, relatives - 1)
        return [KINDS[kind].who, verb.past, *rest]

    def participle(self, kind: str, nouns: int, past: bool, relatives: int) -> list[str]:
        """Sold by the company."""
        subjects, verb = self.verb_with(kind, as_object=True)
        rest = self.attractor(subjects) + self.modifiers(subjects, nouns - 1, past, relatives - 1)
        return [verb.participle, "by", *rest]

    def verb_with(self, kind: str, *, as_object: bool) -> tuple[str, Verb]:
        """Draw a verb that takes this kind as object or subject, and the kind of its other argument."""
        fitting = [
            (subjects if as_object else objects, verbs)
            for subjects, objects, verbs in VERBS
            if kind in (objects if as_object else subjects).split()
        ]
        others, verbs = self.pick(_not_empty(fitting))
        return self.pick(others.split()), self.pick(verbs)

    def predicate(self, kind: str, plural: bool, past: bool) -> tuple[list[str], str, str]:
        """Draw the words before the verb, the verb in the right number, and the words after it."""
        entry = KINDS[kind]
        if past:
            return [], _be(plural, past), self.pick(entry.be)
        if entry.act and self.chance(0.4):
            third, base = self.pick(entry.act)
            return [self.pick(ADVERBS)] if self.chance(0.6) else [], base if plural else third, ""
        if self.chance(0.4):
            return [], "have" if plural else "has", self.pick(entry.have)
        return [], _be(plural, past), self.pick(entry.be)

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.random.random() < probability

    def below(self, number: int) -> int:
        """Draw a whole number from 0, below `number`."""
        return _below(self.random, number)

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of some choices."""
        return choices[self.below(len(choices))]


def _be(plural: bool, past: bool) -> str:
    return ("were" if plural else "was") if past else ("are" if plural else "is")


def _not_empty(choices: Sequence[T]) -> Sequence[T]:
    if not choices:
        raise _DeadEnd
    return choices


def _below(random: Random, number: int) -> int:
    # Python guarantees only the sequence of `random()`, no other method of `Random`, across its versions.
    return int(random.random() * number)


def _shuffled(items: Sequence[T], random: Random) -> list[T]:
    mixed = list(items)
    for last in range(len(mixed) - 1, 0, -1):
        other = _below(random, last + 1)
        mixed[last], mixed[other] = mixed[other], mixed[last]
    return mixed
