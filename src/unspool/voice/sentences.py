"""Draw sentences of a grammar of commands that together hold all of its words, as far as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from random import Random

from unspool.commands import CommandSet
from unspool.commands.grammar import Grammar
from unspool.errors import CommandError

__all__ = ["draw_sentences", "missing_words"]

_CANDIDATES = 60  # sentences of which the one with the rarest words is taken
_LONGEST = 14  # words of a sentence that a person is asked to say


def draw_sentences(
    commands: CommandSet, each: int, *, seed: int = 0, without: Collection[str] = (), answers: Grammar | None = None
) -> list[str]:
    """Draw different sentences of every command, those with the words that came least often so far.

    Commands whose every template has free text are left out; short grammars give fewer sentences.

    Args:
        commands: The commands.
        each: Number of sentences of each command.
        seed: Seed of all random choices.
        without: Sentences that may not come.
        answers: What else is said, as often as a command.

    Raises:
        CommandError: If no command has a grammar.
    """
    grammars = [grammar for name in commands.names if (grammar := _grammar_of(commands, name)) is not None]
    if not grammars:
        commands.grammar()
    grammars += [answers] if answers is not None else []
    random, counts, drawn = Random(f"sentences {seed}"), Counter[str](), dict.fromkeys(without)
    sentences: list[str] = []
    for _ in range(each):
        for grammar in grammars:
            sentence = _rarest(grammar, random, counts, drawn)
            if sentence is not None:
                drawn[sentence] = None
                sentences.append(sentence)
                counts.update(set(sentence.split()))
    return sentences


def missing_words(commands: CommandSet, sentences: Collection[str]) -> list[str]:
    """Return the words of the grammar that no sentence holds, sorted."""
    return sorted(commands.grammar().vocabulary() - {word for sentence in sentences for word in sentence.split()})


def _grammar_of(commands: CommandSet, name: str) -> Grammar | None:
    try:
        return commands.grammar([name])
    except CommandError:
        return None


def _rarest(grammar: Grammar, random: Random, counts: Counter[str], drawn: Collection[str]) -> str | None:
    """Return the candidate whose words came least often; None if all candidates came before."""
    candidates = {grammar.sample(random) for _ in range(_CANDIDATES)}
    fresh = sorted(each for each in candidates if each and each not in drawn)
    short = [each for each in fresh if len(each.split()) <= _LONGEST] or fresh

    def rarity(sentence: str) -> float:
        return sum(1 / (1 + counts[word]) ** 2 for word in set(sentence.split()))

    return max(short, key=rarity) if short else None
